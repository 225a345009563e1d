"""A store in one SQLite file, shared by processes of one machine: one writes, many read."""

import os
from collections.abc import Iterable

from flagkeep._sync.stores.blocking import Blocking
from flagkeep._runtime.sqlite import SQLiteSession
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import BadItem, ItemRef, SerializedItem
from flagkeep.storage.contents import StoreChanges, StoreContents, WriterRecord


class SQLiteStore:
    """Flags and segments in a SQLite file.

    The file is opened at first use: for reading only, until something is to be written. Only the
    first write makes it. It must be on a local disk: SQLite's write-ahead log is not safe on a
    network file system.

    Args:
        path: of the file; two more, ending in `-wal` and `-shm`, appear beside it while it is used.
        prefix: separates environments in one file.
        busy_timeout: seconds to wait while another process holds the lock.

    Raises:
        ConfigError: an argument cannot work.
    """

    name: str = "sqlite"
    # A poll costs 4 microseconds, so that a change can be seen well within 100 ms.
    poll_interval: float | None = 0.02

    def __init__(
        self, path: str | os.PathLike[str], *, prefix: str = "", busy_timeout: float = 1.0
    ) -> None:
        self._session = SQLiteSession(path, prefix=prefix, busy_timeout=busy_timeout)
        self.label = self._session.label
        self._beside = Blocking("flagkeep-sqlite", self.label, self._session.close)

    @property
    def unstored(self) -> tuple[BadItem, ...]:
        """What was written through this object and is not in the store, by item."""
        return self._session.unstored.items

    def get_many(
        self,
        wanted: Iterable[ItemRef],
        *,
        timeout: float | None = None,
    ) -> dict[ItemRef, SerializedItem]:
        """Return those of `wanted` that are there, tombstones included, as of one moment."""
        return self._beside.run("get_many", self._session.get_many, tuple(wanted), timeout)

    def get_all(self, *, timeout: float | None = None) -> StoreContents:
        """Return everything, as of one moment; `timeout` as for `get_many`."""
        return self._beside.run("get_all", self._session.get_all, timeout)

    def is_initialized(self, *, timeout: float | None = None) -> bool:
        """Return whether a full set was ever written; `timeout` as for `get_many`."""
        return self._beside.run("is_initialized", self._session.is_initialized, timeout)

    def replace(self, changes: ChangeSet, record: WriterRecord | None = None) -> None:
        """Put a full set in the place of everything, in one transaction."""
        self._beside.run("replace", self._session.replace, changes, record)

    def upsert(self, changes: ChangeSet) -> dict[ItemRef, SerializedItem]:
        """Write what is newer, in one transaction; return what is there instead of the rest."""
        return self._beside.run("upsert", self._session.upsert, changes)

    def clear(self) -> None:
        """Remove everything under the prefix, in one transaction; for tools and tests."""
        self._beside.run("clear", self._session.clear)

    def poll_changes(self) -> StoreChanges | None:
        """Return what others changed since the last call, or since the first read.

        A file that was replaced, deleted or made counts as a change of everything.
        """
        return self._beside.run("poll_changes", self._session.poll_changes)

    def read_record(self) -> WriterRecord | None:
        """Return who wrote last; None if nobody said."""
        return self._beside.run("read_record", self._session.read_record)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._beside.close()
