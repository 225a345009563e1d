"""The official Python SDK's Big Segments, told by one line of JSON on standard input.

It takes where the store is, as `peer.py` does, and {keys, flag}. It only reads, and prints one
line: {time, memberships, details}, the latter two by context key.
"""

# mypy: ignore-errors
# ruff: noqa: ANN001
# The names are those of the official SDK, which the environment of the type checker does not have.

import base64
import hashlib
import json
import logging
import sys

from ldclient import Config, Context, LDClient
from ldclient.config import BigSegmentsConfig
from ldclient.integrations import DynamoDB, Redis

logging.basicConfig(level=logging.ERROR)


def main() -> None:
    """Do what is asked."""
    asked = json.loads(sys.stdin.readline())
    store, flags = stores_of(asked)
    said = {
        "time": store.get_metadata().last_up_to_date,
        "memberships": {key: store.get_membership(hashed(key)) for key in asked["keys"]},
    }
    config = Config(
        "sdk-key",
        feature_store=flags,
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


def stores_of(asked):
    """Return the store of Big Segments and the one of flags."""
    place = {"prefix": asked["prefix"]}
    if asked["database"] == "redis":
        place["url"] = asked["url"]
        return Redis.new_big_segment_store(**place), Redis.new_feature_store(**place)
    place["dynamodb_opts"] = {
        "endpoint_url": asked["url"],
        "region_name": asked["region"],
        "aws_access_key_id": asked["accessKeyId"],
        "aws_secret_access_key": asked["secretAccessKey"],
    }
    table = asked["table"]
    return DynamoDB.new_big_segment_store(table, **place), DynamoDB.new_feature_store(
        table, **place
    )


def hashed(key: str) -> str:
    """Return what a context key is called in the store."""
    return base64.b64encode(hashlib.sha256(key.encode()).digest()).decode()


main()
