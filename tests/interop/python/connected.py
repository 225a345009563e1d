"""The official Python SDK, connected: {uri, stream} on standard input, `stream` true or false.

It says whether it is initialized and the flag's value, then the next value for every line it gets;
when its input ends it tracks an event and closes.
"""

# mypy: ignore-errors
# The names are those of the official SDK, which the environment of the type checker does not have.

import json
import sys

from ldclient import Config, Context, LDClient

USER = Context.create("amal")

asked = json.loads(sys.stdin.readline())
uri = asked["uri"]
client = LDClient(
    Config("sdk-key", base_uri=uri, stream_uri=uri, events_uri=uri, stream=asked["stream"]), 10
)
print(json.dumps(client.is_initialized()), flush=True)
print(json.dumps(client.variation("f", USER, "default")), flush=True)
for _ in sys.stdin:
    print(json.dumps(client.variation("f", USER, "default")), flush=True)
client.track("bought", USER, metric_value=3)
client.close()
