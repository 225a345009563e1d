"""The official Python SDK's Big Segments in Redis, told by one line of JSON on standard input.

It takes {url, prefix, keys, flag}, only reads, and prints one line: {time, memberships, details},
the latter two by context key.
"""

# mypy: ignore-errors
# The names are those of the official SDK, which the environment of the type checker does not have.

import base64
import hashlib
import json
import logging
import sys

from ldclient import Config, Context, LDClient
from ldclient.config import BigSegmentsConfig
from ldclient.integrations import Redis

logging.basicConfig(level=logging.ERROR)


def main() -> None:
    """Do what is asked."""
    asked = json.loads(sys.stdin.readline())
    place = {"url": asked["url"], "prefix": asked["prefix"]}
    store = Redis.new_big_segment_store(**place)
    said = {
        "time": store.get_metadata().last_up_to_date,
        "memberships": {key: store.get_membership(hashed(key)) for key in asked["keys"]},
    }
    config = Config(
        "sdk-key",
        feature_store=Redis.new_feature_store(**place),
        big_segments=BigSegmentsConfig(store=store),
        use_ldd=True,
        send_events=False,
    )
    client = LDClient(config)
    details = {
        key: client.variation_detail(asked["flag"], Context.create(key), "the default")
        for key in asked["keys"]
    }
    said["details"] = {key: [one.value, one.reason] for key, one in details.items()}
    print(json.dumps(said))
    client.close()


def hashed(key: str) -> str:
    """Return what a context key is called in the store."""
    return base64.b64encode(hashlib.sha256(key.encode()).digest()).decode()


main()
