"""A blocking session with a SQLite store; both colours use it, each in its own thread or threads.

One connection and one lock: a read of one item takes 13 microseconds, and with a connection per
thread four threads were a tenth faster only, since Python lets one of them run at a time anyway.

Rules of this module:
- The connection is opened at first use and dropped after every error but "locked", so that a file
  that was replaced or repaired by hand is found again. Reading never creates or changes a file.
- A connection is never used in another process than the one that made it, and never kept either: a
  child that holds an inherited one opens the file without locks of its own, and may read old data
  for ever. So it is closed before Python forks; where C code forks, the child closes it.
- Whenever what was read before and what is read now may come from different files or connections,
  the next `poll_changes` says "check everything".
"""

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from flagkeep._runtime import fork
from flagkeep._runtime.sqlite_connection import (
    Mode,
    Opened,
    check_version,
    driver_errors,
    is_locked,
    open_reader,
    open_writer,
)
from flagkeep._runtime.sqlite_file import SQLiteFile
from flagkeep._runtime.sqlite_writes import Writing
from flagkeep.errors import ConfigError, StoreClosed, StoreError, StoreMissing, StoreUnavailable
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem
from flagkeep.storage import sqlite_layout as layout
from flagkeep.storage.contents import StoreChanges, StoreContents, WriterRecord
from flagkeep.storage.items import item_from_row, row_as_it_is, without_unstorable
from flagkeep.storage.unstored import Unstored

T = TypeVar("T")

log: Final = logging.getLogger("flagkeep.stores.sqlite")

# Inherited connections that cannot be closed, because something was running on them at the fork.
_abandoned: Final[list[Opened]] = []

FORK_PATIENCE: Final = 1.0  # seconds a fork waits for what is running on a connection


class SQLiteSession:
    """One environment in one SQLite file. Any thread may call anything at any time.

    Args:
        path: of the file.
        prefix: of the environment; `""` for none.
        busy_timeout: seconds to wait for the lock of another process.

    Attributes:
        unstored: what no row can hold.

    Raises:
        ConfigError: an argument cannot work.
    """

    def __init__(self, path: str | os.PathLike[str], *, prefix: str, busy_timeout: float) -> None:
        if not 0 <= busy_timeout < math.inf:
            raise ConfigError(f"busy_timeout must be a number of seconds, not {busy_timeout!r}")
        if not is_text(prefix):
            raise ConfigError(f"prefix must be text without lone surrogates, not {prefix!r}")
        self._file = SQLiteFile(path)
        self.label = self._file.label
        self._names = layout.Names(prefix)
        self._timeout = busy_timeout
        self._lock = threading.Lock()
        self._forking: int | None = None  # the thread that forks, while it keeps the lock
        self._opened: Opened | None = None
        self._is_closed = False
        self._was_frozen = False
        # What poll_changes compares with: data_version of the connection, number in the journal.
        self._seen_version: int | None = None
        self._seen_number = 0
        self._must_check = False
        self.unstored = Unstored()
        fork.watch(self, fork.Rank.STORE)

    def get_many(
        self, wanted: Collection[ItemRef], timeout: float | None = None
    ) -> dict[ItemRef, SerializedItem]:
        """Return those of `wanted` that are there, tombstones included.

        Args:
            wanted: what to read.
            timeout: seconds that the answer is worth waiting for: for other calls that are running,
                and for the lock of another process.
        """

        def read(opened: Opened) -> dict[ItemRef, SerializedItem]:
            if len(wanted) == 1:  # one statement is a transaction by itself
                return self._read_items(opened, wanted)
            with opened.transaction("DEFERRED"):
                return self._read_items(opened, wanted)

        return self._read("get_many", read, timeout)

    def get_all(self, timeout: float | None = None) -> StoreContents:
        """Return everything, as of one moment; `timeout` as for `get_many`."""

        def read(opened: Opened) -> StoreContents:
            bad: list[BadItem] = []
            found = {}
            with opened.transaction("DEFERRED"):
                marker = opened.execute(layout.SELECT_MARKER, self._names.marker_row).fetchone()
                for kind, namespace in self._names.namespaces.items():
                    rows = opened.execute(layout.SELECT_KIND, (namespace,))
                    found[kind] = _items(kind, rows, bad)
            return StoreContents(
                marker is not None, found[Kind.FLAG], found[Kind.SEGMENT], tuple(bad)
            )

        return self._read("get_all", read, timeout)

    def is_initialized(self, timeout: float | None = None) -> bool:
        """Return whether the marker is there; `timeout` as for `get_many`."""

        def read(opened: Opened) -> bool:
            return (
                opened.execute(layout.SELECT_MARKER, self._names.marker_row).fetchone() is not None
            )

        return self._read("is_initialized", read, timeout)

    def read_record(self) -> WriterRecord | None:
        """Return who wrote last."""

        def read(opened: Opened) -> WriterRecord | None:
            row = opened.execute(layout.SELECT_RECORD, (self._names.prefix,)).fetchone()
            return WriterRecord.decode(row[0]) if row else None

        return self._read("read_record", read)

    def replace(self, changes: ChangeSet, record: WriterRecord | None) -> None:
        """Put a full set in the place of everything."""
        self._write("replace", lambda writing: writing.replace(self._storable(changes), record))

    def upsert(self, changes: ChangeSet) -> dict[ItemRef, SerializedItem]:
        """Write what is newer; return what the store holds in the place of the rest."""
        return self._write("upsert", lambda writing: writing.upsert(self._storable(changes)))

    def clear(self) -> None:
        """Remove everything under the prefix."""
        self._write("clear", lambda writing: writing.clear())

    def poll_changes(self) -> StoreChanges | None:
        """Return what others changed since the last call or the first read."""
        operation = "poll_changes"
        with self._exclusive(operation) as patience:
            try:
                opened = self._reader(operation, patience)
            except StoreMissing:
                # Said once when a store vanishes, and again when one has appeared.
                vanished, self._seen_version = self._seen_version is not None, None
                self._must_check = True
                return StoreChanges(None) if vanished else None
            if self._must_check:
                self._take_bearings(opened)
                self._must_check = False
                return StoreChanges(None)
            if opened.number("PRAGMA data_version") == self._seen_version:
                return None
            return self._changes(opened)

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        if not fork.MARK[0]:
            fork.settle()
        with self._lock:
            self._is_closed = True
            if self._opened is not None:
                self._opened.connection.close()
                self._opened = None

    # --- reading and writing ------------------------------------------------------------------

    def _read(self, operation: str, read: Callable[[Opened], T], timeout: float | None = None) -> T:
        with self._exclusive(operation, timeout) as patience:
            opened = self._reader(operation, patience)
            result = read(opened)
            while opened.mode is Mode.FROZEN and not self._is_current(opened, operation):
                # Somebody began to write meanwhile: part of what was read may be of then.
                opened = self._reader(operation, patience)
                result = read(opened)
            return result

    def _write(self, operation: str, write: Callable[[Writing], T]) -> T:
        with self._exclusive(operation) as patience:
            opened = self._writer(operation, patience)
            with opened.transaction("IMMEDIATE"):
                writing = Writing(opened, self._names, time.time())
                result = write(writing)
                writing.finish()
            if writing.number_before == self._seen_number:
                self._seen_number = writing.number_after
            return result

    @contextmanager
    def _exclusive(self, operation: str, timeout: float | None = None) -> Iterator[float]:
        """Hold the lock, and leave things so that the next call can work after an error.

        Yields how long SQLite may wait for other processes.
        """
        if not fork.MARK[0]:
            fork.settle()
        lock = self._lock
        patience = self._timeout
        if timeout is None:
            lock.acquire()
        else:
            patience = min(patience, self._wait_in_line(operation, timeout))
        try:
            if self._is_closed:
                raise StoreClosed(self._file.label, operation)
            with driver_errors(self._file, operation, timeout=patience):
                yield patience
        except StoreError as exc:
            if not is_locked(exc):
                self._must_check = True
                self._drop()
            raise
        finally:
            lock.release()

    def _wait_in_line(self, operation: str, timeout: float) -> float:
        """Take the lock and return how many seconds are left of `timeout`.

        Raises:
            StoreUnavailable: other calls took them all.
        """
        give_up = time.monotonic() + timeout
        if not self._lock.acquire(timeout=max(0.0, timeout)):
            reason = f"still busy with another call after {timeout:.3g} s"
            raise StoreUnavailable(self._file.label, operation, reason)
        return max(0.0, give_up - time.monotonic())

    def _storable(self, changes: ChangeSet) -> ChangeSet:
        kept, bad = without_unstorable(changes)
        self.unstored.note(changes, bad)
        for complaint in bad:
            log.warning("not stored: %s", complaint)
        return kept

    # --- the connection -----------------------------------------------------------------------

    def _reader(self, operation: str, patience: float) -> Opened:
        opened = self._opened
        if opened is not None and self._is_current(opened, operation):
            opened.be_patient(patience)
            return opened
        self._drop()
        opened = open_reader(self._file, operation, timeout=patience)
        if opened.mode is Mode.FROZEN and not self._was_frozen:
            self._was_frozen = True
            log.warning(
                "%s: its folder is not writable for this process, so the file is read without"
                " sharing memory with its writer; changes are seen once they are in the main file",
                self._file.label,
            )
        return self._use(opened)

    def _writer(self, operation: str, patience: float) -> Opened:
        opened = self._opened
        may_write = opened is not None and opened.mode is Mode.WRITE
        if opened is not None and may_write and self._is_current(opened, operation):
            opened.be_patient(patience)
            return opened
        self._drop()
        return self._use(open_writer(self._file, operation, timeout=patience))

    def _is_current(self, opened: Opened, operation: str) -> bool:
        found = self._file.look(operation)
        return found is not None and opened.is_of(self._file, found)

    def _use(self, opened: Opened) -> Opened:
        self._opened = opened
        self._take_bearings(opened)
        return opened

    def _drop(self) -> None:
        if self._opened is not None:
            opened, self._opened = self._opened, None
            self._must_check = True
            opened.connection.close()

    # --- forks --------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Close the connection, and keep everybody out until the fork is over."""
        if self._lock.acquire(timeout=FORK_PATIENCE):
            self._forking = threading.get_ident()
            self._drop()

    def after_fork_in_parent(self) -> None:
        """Let the others go on."""
        if self._forking == threading.get_ident():
            self._forking = None
            self._lock.release()

    def after_fork(self) -> None:
        """In the child, close what is still open, unless the parent was in the middle of using it.

        That is so where C code forks, or when `before_fork` ran out of patience.
        """
        is_idle = self._lock.acquire(blocking=False)
        self._lock = threading.Lock()
        self._forking = None
        if is_idle:
            self._drop()
        elif self._opened is not None:
            log.warning(
                "%s: it was being read at the moment of a fork; this process shares the locks of"
                " that connection, and may see old data until it is started anew",
                self._file.label,
            )
            _abandoned.append(self._opened)
            self._opened = None
            self._must_check = True

    # --- what changed -------------------------------------------------------------------------

    def _take_bearings(self, opened: Opened) -> None:
        """Remember where the journal ends. Both numbers must be of one moment."""
        with opened.transaction("DEFERRED"):
            self._seen_number = layout.change_number(opened.number(layout.SELECT_LAST_CHANGE))
            self._seen_version = opened.number("PRAGMA data_version")

    def _changes(self, opened: Opened) -> StoreChanges | None:
        with opened.transaction("DEFERRED"):
            check_version(opened.number("PRAGMA user_version"), self._file, "poll_changes")
            key = layout.change_key(self._seen_number)
            rows = opened.execute(layout.SELECT_CHANGES, (key,)).fetchall()
            last = layout.change_number(opened.number(layout.SELECT_LAST_CHANGE))
            version = opened.number("PRAGMA data_version")
        refs = layout.changed_since(self._seen_number, self._names.prefix, rows)
        self._seen_number, self._seen_version = last, version
        return None if refs == () else StoreChanges(refs)

    def _read_items(
        self, opened: Opened, wanted: Collection[ItemRef]
    ) -> dict[ItemRef, SerializedItem]:
        found = {}
        for ref in wanted:
            if not is_text(ref.key):
                continue  # nothing of that name can be stored
            values = (self._names.namespaces[ref.kind], ref.key)
            row = opened.execute(layout.SELECT_ITEM, values).fetchone()
            if row is not None:
                found[ref] = row_as_it_is(ref.kind, ref.key, *row)
        return found


def is_text(given: object) -> bool:
    """Return whether it can be stored as text: a lone surrogate has no UTF-8 form."""
    if not isinstance(given, str):
        return False
    try:
        given.encode()
    except UnicodeEncodeError:
        return False
    return True


def _items(
    kind: Kind, rows: Iterable[tuple[bytes, object, object]], bad: list[BadItem]
) -> dict[str, SerializedItem]:
    items = {}
    for name, version, data in rows:
        try:
            key = name.decode()
        except UnicodeDecodeError:
            shown = name.decode(errors="backslashreplace")
            bad.append(BadItem(kind, shown, "$.key", "the key of the row is not UTF-8"))
            continue
        item = item_from_row(kind, key, version, data)
        if isinstance(item, SerializedItem):
            items[key] = item
        else:
            bad.append(item)
    return items
