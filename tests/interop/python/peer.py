"""The official Python SDK: `write` or `evaluate`, told by one line of JSON on standard input.

Both take where the store is: {database, url, prefix}, for DynamoDB also {table, region,
accessKeyId, secretAccessKey}. `write` also takes {stream, patience} and fills the store from that
stream until its input ends; it first says whether it is ready, after so many seconds at most.
`evaluate` also takes {keys, contexts}, only reads the store, and prints one line per context:
[value, index, reason] of every key. Its first line has all flags for the first context, null if
they cannot be had.
"""

# mypy: ignore-errors
# ruff: noqa: ANN001
# The names are those of the official SDK, which the environment of the type checker does not have.

import json
import logging
import sys
from urllib.parse import urlsplit

from ldclient import Config, Context, LDClient
from ldclient.feature_store import CacheConfig
from ldclient.integrations import Consul, DynamoDB, Redis

DEFAULT = "the default"

logging.basicConfig(level=logging.WARNING)


def main() -> None:
    """Do what is asked."""
    asked = json.loads(sys.stdin.readline())
    store = store_of(asked)
    if sys.argv[1] == "write":
        write(asked, store)
    else:
        evaluate(asked, store)


def store_of(asked):
    """Return the store that is asked for."""
    prefix, caching = asked["prefix"], CacheConfig(expiration=600, capacity=100_000)
    if asked["database"] == "dynamodb":
        options = {
            "endpoint_url": asked["url"],
            "region_name": asked["region"],
            "aws_access_key_id": asked["accessKeyId"],
            "aws_secret_access_key": asked["secretAccessKey"],
        }
        return DynamoDB.new_feature_store(asked["table"], prefix, options, caching)
    if asked["database"] == "consul":
        at = urlsplit(asked["url"])
        return Consul.new_feature_store(at.hostname, at.port, prefix, caching=caching)
    return Redis.new_feature_store(url=asked["url"], prefix=prefix, caching=caching)


def write(asked, store) -> None:
    """Fill the store until there is no more input."""
    settings = {"base_uri": asked["stream"], "stream_uri": asked["stream"]}
    config = Config("sdk-key", feature_store=store, send_events=False, **settings)
    client = LDClient(config, asked["patience"])
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
