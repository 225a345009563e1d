"""Clearing an environment takes all of it, and nothing else."""

from pathlib import Path

from flagkeep._sync.stores.sqlite import SQLiteStore
from flagkeep.model.item import Kind
from flagkeep.storage.contents import StoreContents, WriterRecord
from tests._sync.store_suite import flag, full

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
