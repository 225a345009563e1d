"""Time flagkeep and plain boto3 on one DynamoDB and the same bytes: `dynamodb_speed.py URL ROUNDS`.

All in turn, so that a busy moment of the machine meets all. Every fill meets an empty table. Prints
milliseconds by name, as JSON.
"""

import asyncio
import json
import sys
from collections import deque
from hashlib import blake2b
from typing import Any, Final

import boto3

from benchmarks import flags
from benchmarks.programs.timing import Least
from flagkeep import AsyncClient, CachePolicy, Client, Config, Context
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.storage.contents import WriterRecord
from flagkeep.stores import AsyncDynamoDBStore, DynamoDBStore
from tests.servers.dynamodb import (
    ACCESS_KEY_ID,
    REGION,
    SECRET_ACCESS_KEY,
    create_table,
    drop_table,
    rows,
)

TABLE: Final = "flagkeep-benchmark"
PLAIN: Final = "batch_write_item"
FEATURES: Final = "features"
ITEMS_PER_WRITE: Final = 25
SECONDS: Final = 20.0
READS: Final = 50  # in one look
LOOKS: Final = 10  # at a read, in one round
READER: Final = Config(daemon=True, cache=CachePolicy.off())
CONTEXT: Final = Context.create("user-0001")
RECORD: Final = WriterRecord(writer="benchmark")  # as a client writes


def plain_client(url: str) -> Any:
    """Return a client of boto3 with its own settings."""
    return boto3.client(
        "dynamodb",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=SECRET_ACCESS_KEY,
    )


def place(url: str) -> dict[str, Any]:
    """Return the arguments of a store."""
    return {
        "table": TABLE,
        "endpoint": url,
        "region": REGION,
        "access_key_id": ACCESS_KEY_ID,
        "secret_access_key": SECRET_ACCESS_KEY,
    }


def write_all(client: Any, puts: list[Any]) -> None:
    """Write batch after batch, as the store does; what is left undone is tried again."""
    for at in range(0, len(puts), ITEMS_PER_WRITE):
        left = puts[at : at + ITEMS_PER_WRITE]
        while left:
            answer = client.batch_write_item(RequestItems={TABLE: left})
            left = answer["UnprocessedItems"].get(TABLE, [])


def stored(url: str) -> dict[str, Any]:
    """Return the flags that are in the table now, as they travel."""
    return {row["key"]["S"]: row for row in rows(url, TABLE) if row["namespace"]["S"] == FEATURES}


class Fills:
    """An environment, and three ways to put it into an empty table."""

    def __init__(self, url: str, runner: asyncio.Runner) -> None:
        self._url = url
        self._run = runner.run
        texts = flags.kilobyte_flags()
        items = {key: SerializedItem(1, deleted=False, data=data) for key, data in texts.items()}
        self._changes = ChangeSet(full=True, flags=items, segments={})
        self._rows = {
            key: {
                "namespace": {"S": FEATURES},
                "key": {"S": key},
                "version": {"N": "1"},
                "item": {"S": data.decode()},
                "digest": {"S": blake2b(data, digest_size=8).hexdigest()},
            }
            for key, data in texts.items()
        }
        self._puts = [{"PutRequest": {"Item": row}} for row in self._rows.values()]
        drop_table(url, TABLE)  # the official SDK's, of the round before
        create_table(url, TABLE)
        self._plain = plain_client(url)
        self._store = DynamoDBStore(**place(url))
        self._async_store = AsyncDynamoDBStore(**place(url))
        self._ways = deque(
            (
                (PLAIN, lambda: write_all(self._plain, self._puts)),
                ("replace", self._replace),
                ("async replace", self._async_replace),
            )
        )
        # Clients are made and connected before anything is timed.
        self._plain.list_tables()
        self._store.is_initialized()
        self._run(self._async_store.is_initialized())

    def round(self, least: Least) -> None:
        """Fill an empty table in all ways, each time beginning with another one.

        And again what is there already, in each of ours.
        """
        for name, fill in self._ways:
            is_first = name not in least.ms
            drop_table(self._url, TABLE)
            create_table(self._url, TABLE)
            least.time(name, fill)
            if is_first and stored(self._url) != self._rows:
                raise SystemExit(f"{name} has written something else than the flags")
            if name != PLAIN:
                least.time(name.replace("replace", "refill"), fill)
            if name == "replace":
                self._refill_anew(least)
        self._ways.rotate(1)

    def close(self) -> None:
        """Close all connections; the table stays full."""
        self._plain.close()
        self._store.close()
        self._run(self._async_store.aclose())

    def _replace(self) -> None:
        self._store.replace(self._changes, RECORD)

    def _async_replace(self) -> None:
        self._run(self._async_store.replace(self._changes, RECORD))

    def _refill_anew(self, least: Least) -> None:
        """Do as a new process does."""
        store = DynamoDBStore(**place(self._url))
        store.is_initialized()
        least.time("refill, new store", lambda: store.replace(self._changes, RECORD))
        store.close()


def read(url: str, rounds: int, least: Least) -> None:
    """Read one flag that is in no cache."""
    key = flags.stored_key()
    name = {"namespace": {"S": FEATURES}, "key": {"S": key}}
    plain = plain_client(url)

    def get_item() -> None:
        plain.get_item(TableName=TABLE, Key=name, ConsistentRead=True)

    store = DynamoDBStore(**place(url))
    ref = ItemRef(Kind.FLAG, key)
    with Client(READER, store=store) as client:
        if client.variation(key, CONTEXT, None) is not True:
            raise SystemExit(f"the client does not have {key!r}")
        for _ in range(rounds * LOOKS):
            least.time("get_item", get_item, times=READS)
            least.time("get_many", lambda: store.get_many((ref,), timeout=SECONDS), times=READS)
            least.time("variation", lambda: client.variation(key, CONTEXT, None), times=READS)
    plain.close()


async def read_async(url: str, rounds: int, least: Least) -> None:
    """Do the same with asyncio, which boto3 knows nothing of: its calls go to a thread."""
    key = flags.stored_key()
    name = {"namespace": {"S": FEATURES}, "key": {"S": key}}
    plain = plain_client(url)

    async def get_item() -> None:
        await asyncio.to_thread(plain.get_item, TableName=TABLE, Key=name, ConsistentRead=True)

    async with AsyncClient(READER, store=AsyncDynamoDBStore(**place(url))) as client:
        await client.wait_until_ready()
        if await client.variation(key, CONTEXT, None) is not True:
            raise SystemExit(f"the client does not have {key!r}")
        for _ in range(rounds * LOOKS):
            await least.time_async("async get_item", get_item, times=READS)
            await least.time_async(
                "async variation", lambda: client.variation(key, CONTEXT, None), times=READS
            )
    plain.close()


def main(url: str, rounds: str) -> None:
    """Measure everything."""
    least = Least()
    with asyncio.Runner() as runner:
        fills = Fills(url, runner)
        for _ in range(int(rounds)):
            fills.round(least)
        fills.close()
        read(url, int(rounds), least)
        runner.run(read_async(url, int(rounds), least))
    drop_table(url, TABLE)
    json.dump(least.report(), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
