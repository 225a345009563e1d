"""Clearing an environment takes all of it, and nothing else."""

from pathlib import Path

import pytest

from flagkeep._async.stores.redis import AsyncRedisStore
from flagkeep._async.stores.sqlite import AsyncSQLiteStore
from flagkeep.errors import StoreCorrupt
from flagkeep.model.item import Kind
from flagkeep.storage.contents import StoreContents, WriterRecord
from tests._async.store_suite import flag, full
from tests.servers.redis import RedisServer

NOTHING = StoreContents(initialized=False, flags={}, segments={})


async def test_sqlite_is_cleared_of_one_prefix_and_readers_learn_of_it(tmp_path: Path) -> None:
    store, other = (AsyncSQLiteStore(tmp_path / "flags.db", prefix=name) for name in ("a", "b"))
    reader = AsyncSQLiteStore(tmp_path / "flags.db", prefix="a")
    for one in (store, other):
        await one.replace(full({"x": flag("x", 1)}), WriterRecord(writer="w"))
    assert len((await reader.get_all()).of(Kind.FLAG)) == 1
    await store.clear()
    assert await reader.poll_changes() is not None
    assert await reader.get_all() == NOTHING
    assert await store.read_record() is None
    assert (await other.get_all()).flags.keys() == {"x"}
    assert await other.read_record() is not None
    await store.clear()
    for one in (store, other, reader):
        await one.aclose()


async def test_redis_is_cleared_of_one_prefix_and_of_nothing_else(
    redis_server: RedisServer,
) -> None:
    store, other = (AsyncRedisStore(redis_server.url, prefix=name) for name in ("a", "a:features"))
    redis_server.cli("FLUSHDB")
    redis_server.cli("SET", "a:big_segments_synchronized_on", "1")
    redis_server.cli("HSET", "a:features:features", "x", "{}")
    for one in (store, other):
        await one.replace(full({"x": flag("x", 1)}), WriterRecord(writer="w"))
    theirs = set(redis_server.cli("KEYS", "*"))
    await store.clear()
    ours = {b"a:features", b"a:$inited", b"a:$flagkeep"}
    assert set(redis_server.cli("KEYS", "*")) == theirs - ours
    assert await store.get_all() == NOTHING
    assert await store.read_record() is None
    assert (await other.get_all()).flags.keys() == {"x"}
    await store.clear()
    for one in (store, other):
        await one.aclose()


async def test_redis_is_cleared_of_what_is_no_hash(redis_server: RedisServer) -> None:
    redis_server.cli("FLUSHDB")
    redis_server.cli("SET", "a:features", "not a hash")
    store = AsyncRedisStore(redis_server.url, prefix="a")
    with pytest.raises(StoreCorrupt, match="a:features"):
        await store.get_all()
    await store.clear()
    assert redis_server.cli("KEYS", "*") == []
    await store.aclose()
