"""Where Big Segment stores of the tests are, and a client with one."""

from pathlib import Path
from typing import Any

from flagkeep._async.client import AsyncClient
from flagkeep._async.interfaces import AsyncBigSegmentStore
from flagkeep._async.stores.dynamodb_big_segments import AsyncDynamoDBBigSegmentStore
from flagkeep._async.stores.redis_big_segments import AsyncRedisBigSegmentStore
from flagkeep._async.stores.sqlite_big_segments import AsyncSQLiteBigSegmentStore
from flagkeep._runtime import aio as runtime
from flagkeep.config import BigSegmentSettings, Config
from flagkeep.model.context import Context
from flagkeep.storage.big_segments import BigSegmentStoreStatus
from tests._async.big_segment_suite import Backend
from tests._async.hand_source import AsyncHandSource, environment
from tests._async.waiting import pause
from tests.servers import dynamodb
from tests.servers.big_segments import DynamoDBWriter, RedisWriter, SQLiteWriter

HEALTHY = BigSegmentStoreStatus(available=True, stale=False)
USER = Context.create("user-key")


def in_redis(url: str) -> Backend:
    return Backend(
        lambda prefix: AsyncRedisBigSegmentStore(url, prefix=prefix),
        lambda prefix: RedisWriter(url, prefix),
    )


def in_sqlite(folder: Path) -> Backend:
    path = folder / "flags.db"
    return Backend(
        lambda prefix: AsyncSQLiteBigSegmentStore(path, prefix=prefix),
        lambda prefix: SQLiteWriter(path, prefix),
    )


def in_dynamodb(url: str, table: str) -> Backend:
    return Backend(
        lambda prefix: AsyncDynamoDBBigSegmentStore(table, prefix=prefix, **at(url)),
        lambda prefix: DynamoDBWriter(url, table, prefix),
    )


def at(url: str) -> Any:
    """Return where a DynamoDB Local is, and how to get in."""
    return {
        "endpoint": url,
        "region": dynamodb.REGION,
        "access_key_id": dynamodb.ACCESS_KEY_ID,
        "secret_access_key": dynamodb.SECRET_ACCESS_KEY,
    }


def now_ms() -> str:
    return str(int(runtime.wall_time() * 1000))


async def client_of(store: AsyncBigSegmentStore, **settings: Any) -> AsyncClient:
    """Return a ready client with a flag that is true for members of a Big Segment."""
    source = AsyncHandSource()
    config = Config(source=source, big_segments=BigSegmentSettings(**settings))
    client = AsyncClient(config, big_segment_store=store)
    clause = {"attribute": "", "op": "segmentMatch", "values": ["s"]}
    flag = {
        "key": "f",
        "version": 1,
        "on": True,
        "variations": [False, True],
        "fallthrough": {"variation": 0},
        "offVariation": 0,
        "rules": [{"id": "r", "variation": 1, "clauses": [clause]}],
    }
    segment = {"key": "s", "version": 1, "unbounded": True, "generation": 1}
    await source.deliver(environment(flag, segments=(segment,)))
    assert await client.wait_until_ready()
    return client


async def seen_by(client: AsyncClient, context: Context = USER) -> tuple[Any, Any]:
    detail = await client.variation_detail("f", context, None)
    status = detail.reason.big_segments_status
    return detail.value, None if status is None else status.value


async def until_seen(client: AsyncClient, expected: tuple[Any, Any]) -> None:
    give_up = runtime.monotonic() + 10
    while (seen := await seen_by(client)) != expected:
        assert runtime.monotonic() < give_up, seen
        await pause()
