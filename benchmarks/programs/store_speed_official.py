"""Time the official SDK's stores: `store_speed_official.py dynamodb|consul URL ROUNDS`.

The flags and the place are those of `dynamodb_speed` and `consul_speed`.
"""

import json
import logging
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Final
from urllib.parse import urlsplit

from benchmarks import flags
from benchmarks.programs import official
from benchmarks.programs.timing import Least
from tests.servers import consul, dynamodb

TABLE: Final = "flagkeep-benchmark"
READS: Final = 50
LOOKS: Final = 10


class DynamoDB:
    """A table."""

    def __init__(self, url: str) -> None:
        self._url = url
        options = {
            "endpoint_url": url,
            "region_name": dynamodb.REGION,
            "aws_access_key_id": dynamodb.ACCESS_KEY_ID,
            "aws_secret_access_key": dynamodb.SECRET_ACCESS_KEY,
        }
        self.store = official.integrations().DynamoDB.new_feature_store(
            TABLE, dynamodb_opts=options, caching=official.caching(0)
        )

    def empty(self) -> None:
        """Let there be an empty table."""
        dynamodb.drop_table(self._url, TABLE)
        dynamodb.create_table(self._url, TABLE)


class Consul:
    """An environment."""

    def __init__(self, url: str) -> None:
        self._url = url
        at = urlsplit(url)
        self.store = official.integrations().Consul.new_feature_store(
            at.hostname, at.port, caching=official.caching(0)
        )

    def empty(self) -> None:
        """Let there be none."""
        consul.remove(self._url, "launchdarkly/")


PLACES: Final[Mapping[str, type[DynamoDB] | type[Consul]]] = {
    "dynamodb": DynamoDB,
    "consul": Consul,
}


def main(database: str, url: str, rounds: str) -> None:
    """Measure everything."""
    logging.disable(logging.CRITICAL)
    kinds = import_module("ldclient.versioned_data_kind")
    key, context, least = flags.stored_key(), official.context("user-0001"), Least()
    items = {one: json.loads(data) for one, data in flags.kilobyte_flags().items()}
    place = PLACES[database](url)
    store = place.store

    def fill() -> None:
        store.init({kinds.FEATURES: items, kinds.SEGMENTS: {}})

    for _ in range(int(rounds)):
        place.empty()
        store.is_available()  # it connects before anything is timed
        least.time("replace", fill)
        least.time("refill", fill)
    client = official.reader(store)
    if client.variation(key, context, None) is not True:
        raise SystemExit(f"the client does not have {key!r}")
    for _ in range(int(rounds) * LOOKS):
        least.time("variation", lambda: client.variation(key, context, None), times=READS)
    client.close()
    json.dump(least.report(), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
