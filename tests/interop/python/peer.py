"""The official Python SDK: `write` or `evaluate`, told by one line of JSON on standard input.

`write` takes {url, prefix, stream} and fills the store from that stream until its input ends.
`evaluate` takes {url, prefix, keys, contexts}, only reads the store, and prints one line per
context: [value, index, reason] of every key. Its first line has all flags for the first context.
"""

# mypy: ignore-errors
# ruff: noqa: ANN001
# The names are those of the official SDK, which the environment of the type checker does not have.

import json
import logging
import sys

from ldclient import Config, Context, LDClient
from ldclient.feature_store import CacheConfig
from ldclient.integrations import Redis

DEFAULT = "the default"

logging.basicConfig(level=logging.ERROR)


def main() -> None:
    """Do what is asked."""
    asked = json.loads(sys.stdin.readline())
    caching = CacheConfig(expiration=600, capacity=100_000)
    store = Redis.new_feature_store(url=asked["url"], prefix=asked["prefix"], caching=caching)
    if sys.argv[1] == "write":
        write(asked, store)
    else:
        evaluate(asked, store)


def write(asked, store) -> None:
    """Fill the store until there is no more input."""
    settings = {"base_uri": asked["stream"], "stream_uri": asked["stream"]}
    client = LDClient(Config("sdk-key", feature_store=store, send_events=False, **settings))
    print(json.dumps(client.is_initialized()), flush=True)
    sys.stdin.read()
    client.close()


def evaluate(asked, store) -> None:
    """Print what the store's flags say."""
    client = LDClient(Config("sdk-key", feature_store=store, send_events=False, use_ldd=True))
    contexts = [Context.from_dict(context) for context in asked["contexts"]]
    state = client.all_flags_state(contexts[0])
    print(json.dumps(state.to_values_map() if state.valid else None))
    for context in contexts:
        details = (client.variation_detail(key, context, DEFAULT) for key in asked["keys"])
        print(json.dumps([[one.value, one.variation_index, one.reason] for one in details]))
    client.close()


main()
