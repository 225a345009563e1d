"""Clearing an environment takes all of it, and nothing else."""

from pathlib import Path

import pytest

from flagkeep._sync.stores.redis import RedisStore
from flagkeep._sync.stores.sqlite import SQLiteStore
from flagkeep.errors import StoreCorrupt
from flagkeep.model.item import Kind
from flagkeep.storage.contents import StoreContents, WriterRecord
from tests._sync.store_suite import flag, full
from tests.servers.redis import RedisServer

NOTHING = StoreContents(initialized=False, flags={}, segments={})


def test_sqlite_is_cleared_of_one_prefix_and_readers_learn_of_it(tmp_path: Path) -> None:
    store, other = (SQLiteStore(tmp_path / "flags.db", prefix=name) for name in ("a", "b"))
    reader = SQLiteStore(tmp_path / "flags.db", prefix="a")
    for one in (store, other):
        one.replace(full({"x": flag("x", 1)}), WriterRecord(writer="w"))
    assert len((reader.get_all()).of(Kind.FLAG)) == 1
    store.clear()
    assert reader.poll_changes() is not None
    assert reader.get_all() == NOTHING
    assert store.read_record() is None
    assert (other.get_all()).flags.keys() == {"x"}
    assert other.read_record() is not None
    store.clear()
    for one in (store, other, reader):
        one.close()


def test_redis_is_cleared_of_one_prefix_and_of_nothing_else(
    redis_server: RedisServer,
) -> None:
    store, other = (RedisStore(redis_server.url, prefix=name) for name in ("a", "a:features"))
    redis_server.cli("FLUSHDB")
    redis_server.cli("SET", "a:big_segments_synchronized_on", "1")
    redis_server.cli("HSET", "a:features:features", "x", "{}")
    for one in (store, other):
        one.replace(full({"x": flag("x", 1)}), WriterRecord(writer="w"))
    theirs = set(redis_server.cli("KEYS", "*"))
    store.clear()
    ours = {b"a:features", b"a:$inited", b"a:$flagkeep"}
    assert set(redis_server.cli("KEYS", "*")) == theirs - ours
    assert store.get_all() == NOTHING
    assert store.read_record() is None
    assert (other.get_all()).flags.keys() == {"x"}
    store.clear()
    for one in (store, other):
        one.close()


def test_redis_is_cleared_of_what_is_no_hash(redis_server: RedisServer) -> None:
    redis_server.cli("FLUSHDB")
    redis_server.cli("SET", "a:features", "not a hash")
    store = RedisStore(redis_server.url, prefix="a")
    with pytest.raises(StoreCorrupt, match="a:features"):
        store.get_all()
    store.clear()
    assert redis_server.cli("KEYS", "*") == []
    store.close()
