"""Opening SQLite files, and what its errors mean. With `sqlite` all there is of this driver."""

import enum
import math
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

# By name: gevent replaces `time.sleep`, and another greenlet would wait for the session's lock on
# the thread of the one that sleeps with it.
from time import monotonic, sleep
from typing import Any, Final

from flagkeep._runtime.sqlite_file import SQLiteFile
from flagkeep.errors import StoreCorrupt, StoreError, StoreLayoutTooNew, StoreUnavailable
from flagkeep.storage import sqlite_layout as layout

_LOCKED: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_DAMAGED: Final = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FORMAT})
_FORBIDDEN: Final = frozenset(
    {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
)


class Mode(enum.Enum):
    """What a connection may do."""

    READ = "read"
    WRITE = "write"
    FROZEN = "frozen"
    """Read without shared memory: sees the file as it was when it was opened."""


_READ_OPTIONS: Final = {Mode.READ: "mode=ro", Mode.FROZEN: "mode=ro&immutable=1"}


class Opened:
    """A connection and the file it belongs to.

    Attributes:
        stamp: device and number of the file; of a frozen one also when and how long it was written.
    """

    __slots__ = ("_wait_ms", "connection", "mode", "stamp")

    def __init__(
        self, connection: sqlite3.Connection, mode: Mode, found: os.stat_result, *, timeout: float
    ) -> None:
        self.connection = connection
        self._wait_ms = _wait_ms(timeout)
        self.mode = mode
        self.stamp = _stamp(found, mode)

    def is_of(self, file: SQLiteFile, found: os.stat_result) -> bool:
        """Return whether it still shows what is in the file."""
        if self.mode is Mode.FROZEN and file.has_wal():
            return False
        return self.stamp == _stamp(found, self.mode)

    def be_patient(self, seconds: float) -> None:
        """Wait so long for other processes from now on."""
        wait_ms = _wait_ms(seconds)
        if wait_ms != self._wait_ms:
            self.connection.execute(f"PRAGMA busy_timeout = {wait_ms}")
            self._wait_ms = wait_ms

    def execute(self, sql: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        """Run one statement."""
        return self.connection.execute(sql, values)

    def number(self, sql: str) -> Any:
        """Run a statement that gives one value."""
        return self.connection.execute(sql).fetchone()[0]

    @contextmanager
    def transaction(self, how: str) -> Iterator[None]:
        """Commit what is done inside, or nothing of it."""
        self.connection.execute(f"BEGIN {how}")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            # SQLite may have rolled back by itself: disk full, I/O error.
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise


def _wait_ms(seconds: float) -> int:
    """Rounded up to 10 ms, so that one second, of which a microsecond has passed, is the same."""
    return math.ceil(seconds * 100) * 10


def _stamp(found: os.stat_result, mode: Mode) -> tuple[int, ...]:
    identity = (found.st_dev, found.st_ino)
    if mode is not Mode.FROZEN:
        return identity
    return (*identity, found.st_size, found.st_mtime_ns)


@contextmanager
def driver_errors(file: SQLiteFile, operation: str, *, timeout: float) -> Iterator[None]:
    """Turn whatever the driver raises into a StoreError; nothing else leaves a store."""
    try:
        yield
    except sqlite3.Error as exc:
        raise translated(exc, file, operation, timeout=timeout) from exc


def translated(
    exc: sqlite3.Error, file: SQLiteFile, operation: str, *, timeout: float
) -> StoreError:
    """Return what an error of the driver means to the user of a store."""
    code = primary_code(exc)
    if code in _DAMAGED or getattr(exc, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_SHORT_READ:
        reason = (
            f"{file.path} is damaged or not a SQLite database ({exc}): restore it, or move it away"
            " and let the writer fill a new one"
        )
        return StoreCorrupt(file.label, operation, reason)
    if code == sqlite3.SQLITE_ERROR and "no such" in str(exc):
        return foreign(file, operation)
    if code in _LOCKED:
        reason = f"locked by another process for more than {timeout:g} s"
    elif code == sqlite3.SQLITE_FULL:
        reason = "the disk is full; what was stored before is unchanged"
    elif code in _FORBIDDEN:
        reason = f"this user may not do that to {file.path} or its folder, or they are read-only"
    else:
        reason = f"{getattr(exc, 'sqlite_errorname', type(exc).__name__)}: {exc}"
    return StoreUnavailable(file.label, operation, reason)


def is_locked(error: StoreError) -> bool:
    """Return whether another process was in the way, and nothing is wrong with the connection."""
    cause = error.__cause__
    return isinstance(cause, sqlite3.Error) and primary_code(cause) in _LOCKED


def primary_code(exc: sqlite3.Error) -> int:
    """Return SQLite's code without the details in its upper bits; -1 if it has none."""
    code: int = getattr(exc, "sqlite_errorcode", -1)
    return code & 0xFF if code >= 0 else code


def foreign(file: SQLiteFile, operation: str) -> StoreCorrupt:
    """Return the error for a database of another program."""
    reason = f"{file.path} is a SQLite database of another program: choose another path"
    return StoreCorrupt(file.label, operation, reason)


def open_reader(file: SQLiteFile, operation: str, *, timeout: float) -> Opened:
    """Open a file that is there, for reading only. Errors of the driver come through.

    Raises:
        StoreMissing: there is nothing in it yet.
        StoreError: it cannot be used; the reason is in it.
    """
    found = file.look(operation)
    if found is None or found.st_size == 0:
        raise file.missing(operation)
    file.refuse_network(operation)
    try:
        return _open_for_reading(file, operation, Mode.READ, timeout=timeout)
    except sqlite3.Error as exc:
        if primary_code(exc) not in _FORBIDDEN:
            raise
        if not os.access(file.path, os.R_OK):
            raise
    _refuse_wal(file, operation)
    return _open_for_reading(file, operation, Mode.FROZEN, timeout=timeout)


def _open_for_reading(file: SQLiteFile, operation: str, mode: Mode, *, timeout: float) -> Opened:
    found = file.look(operation)
    if found is None:
        raise file.missing(operation)
    opened = Opened(_connect(file, _READ_OPTIONS[mode], timeout), mode, found, timeout=timeout)
    try:
        is_there = _check_layout(opened, file, operation)
    except BaseException:
        opened.connection.close()
        raise
    if not is_there:
        opened.connection.close()
        raise file.missing(operation)
    return opened


def _refuse_wal(file: SQLiteFile, operation: str) -> None:
    """Fail where a reader without shared memory would miss something.

    Raises:
        StoreUnavailable: not everything is in the main file.
    """
    if file.has_wal():
        reason = (
            f"the folder of {file.path} is not writable and holds a -wal file that nobody has open:"
            " let this user write there, or start the process that writes the store"
        )
        raise StoreUnavailable(file.label, operation, reason)


def open_writer(file: SQLiteFile, operation: str, *, timeout: float) -> Opened:
    """Open for writing; make the file and the tables where they are not there.

    Errors of the driver come through. What is in the file stays as it is.

    Raises:
        StoreError: it cannot be used; the reason is in it.
    """
    file.refuse_network(operation)
    if file.look(operation) is None:
        file.create(operation)
    found = file.look(operation)
    if found is None:  # deleted again this very moment
        raise file.missing(operation)
    opened = Opened(_connect(file, "mode=rw", timeout), Mode.WRITE, found, timeout=timeout)
    try:
        _prepare(opened, file, operation, timeout=timeout)
    except BaseException:
        opened.connection.close()
        raise
    return opened


def _prepare(opened: Opened, file: SQLiteFile, operation: str, *, timeout: float) -> None:
    is_there = _check_layout(opened, file, operation)
    if not is_there:
        opened.execute(f"PRAGMA page_size = {layout.PAGE_SIZE}")
    _switch_to_wal(opened, file, operation, timeout=timeout)
    opened.execute("PRAGMA synchronous = NORMAL")
    if not is_there:
        with opened.transaction("IMMEDIATE"):
            for statement in layout.CREATE:
                opened.execute(statement)


def _switch_to_wal(opened: Opened, file: SQLiteFile, operation: str, *, timeout: float) -> None:
    """SQLite does not wait for others here, so we do."""
    deadline = monotonic() + timeout
    while True:
        try:
            mode = opened.number("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as exc:
            if primary_code(exc) not in _LOCKED or monotonic() > deadline:
                raise
            sleep(0.005)
    if mode != b"wal":
        reason = f"SQLite cannot use its write-ahead log for {file.path} (it says {mode!r})"
        raise StoreUnavailable(file.label, operation, reason)


def _connect(file: SQLiteFile, options: str, timeout: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        file.uri(options),
        timeout=_wait_ms(timeout) / 1000,
        isolation_level=None,  # transactions begin and end where we say
        check_same_thread=False,  # the session sees to it that one thread at a time is in here
        uri=True,
    )
    connection.text_factory = bytes
    return connection


def _check_layout(opened: Opened, file: SQLiteFile, operation: str) -> bool:
    """Return whether our tables are there; False only for an empty database."""
    check_version(opened.number("PRAGMA user_version"), file, operation)
    tables, ours = opened.execute(layout.HAS_TABLES).fetchone()
    if tables and not ours:
        raise foreign(file, operation)
    return bool(tables)


def check_version(found: int, file: SQLiteFile, operation: str) -> None:
    """Fail if the layout is one of the future.

    Raises:
        StoreLayoutTooNew: it is.
    """
    if found > layout.LAYOUT:
        raise StoreLayoutTooNew(file.label, operation, found=found, known=layout.LAYOUT)
