"""Clearing an environment takes all of it, and nothing else."""

from pathlib import Path

from flagkeep._async.stores.sqlite import AsyncSQLiteStore
from flagkeep.model.item import Kind
from flagkeep.storage.contents import StoreContents, WriterRecord
from tests._async.store_suite import flag, full

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
