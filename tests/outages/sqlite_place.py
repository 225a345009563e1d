"""A SQLite file in a folder of its own, and what can happen to both."""

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Self

from flagkeep.errors import StoreMissing
from flagkeep.stores import SQLiteStore
from tests.outages.environment import change_set, generation_of
from tests.outages.fault import DAEMON, FED, Back, Fault
from tests.outages.place import Place

NOBODY: Final = 65534
LOCK: Final = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    connection.execute(statement)
print("there", flush=True)
sys.stdin.read()
"""


class SQLitePlace(Place):
    """A file `flags.db`; other processes hold its locks."""

    kind = "sqlite"
    pushes = True

    def __init__(self) -> None:
        # Not pytest's own: that one is closed to other users.
        self._root = Path(tempfile.mkdtemp(prefix="flagkeep-"))
        self._root.chmod(0o755)
        self.folder = self._root / "store"
        self.away = self._root / "away"
        self.copy = self._root / "copy.db"
        self.path = self.folder / "flags.db"
        self.settings: dict[str, Any] = {"path": self.path, "busy_timeout": 0.1}
        self._other: subprocess.Popen[str] | None = None
        self._file_size: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        self.end_other()
        self.be_ourselves()
        self.let_files_grow()
        shutil.rmtree(self._root)

    def write(self, generation: int) -> None:
        """Put a generation in the place of everything."""
        with closing(SQLiteStore(self.path)) as store:
            store.replace(change_set(generation))

    def generation(self) -> int | None:
        """Return which one is there."""
        with closing(SQLiteStore(self.path)) as store:
            try:
                found = store.get_all()
            except StoreMissing:
                return None
        if not found.initialized:
            return None
        flags = {key: item.data for key, item in found.flags.items()}
        segments = {key: item.data for key, item in found.segments.items()}
        return generation_of(flags, segments)

    def keep_a_copy(self) -> None:
        """Remember what is there now, for `bring_old`."""
        self.copy_to(self.copy)

    def copy_to(self, target: Path) -> None:
        """Copy by SQLite: closing a file of ours in any other way gives up this process's locks."""
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("VACUUM INTO ?", (str(target),))

    def in_another_process(self, path: Path, *statements: str) -> None:
        """Run SQL elsewhere, and stay as it is then."""
        self._other = subprocess.Popen(
            [sys.executable, "-S", "-c", LOCK, str(path), *statements],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._other.stdout is not None
        assert self._other.stdout.readline() == "there\n"

    def end_other(self) -> None:
        """Kill the other process, in the middle of what it does."""
        if self._other is not None:
            self._other.send_signal(signal.SIGKILL)
            self._other.communicate()
            self._other = None

    def be_nobody(self) -> None:
        """Let root, who may do everything, do without that."""
        if os.getuid() == 0:
            os.seteuid(NOBODY)

    def be_ourselves(self) -> None:
        os.seteuid(os.getuid())

    def limit_files(self) -> None:
        """No file of this process can grow, as if every disk were full."""
        self._file_size = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, self._file_size[1]))

    def let_files_grow(self) -> None:
        if self._file_size is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, self._file_size)
            self._file_size = None


# --- faults: begin and end -----------------------------------------------------------------------


def take_away(place: SQLitePlace) -> None:
    """The folder is not there, as when its disk is not mounted."""
    place.folder.rename(place.away)


def bring_back(place: SQLitePlace) -> None:
    place.away.rename(place.folder)


def bring_empty(place: SQLitePlace) -> None:
    """A file with our tables and nothing in them."""
    place.folder.mkdir()
    place.write(1)
    with closing(sqlite3.connect(place.path)) as connection, connection:
        connection.execute("DELETE FROM items")
        connection.execute("DELETE FROM meta")


def bring_old(place: SQLitePlace) -> None:
    place.folder.mkdir()
    place.copy.rename(place.path)


def lock(place: SQLitePlace) -> None:
    """Another process holds the writers' lock."""
    place.in_another_process(place.path, "BEGIN EXCLUSIVE")


def unlock(place: SQLitePlace) -> None:
    place.end_other()


def kill_a_writer(place: SQLitePlace) -> None:
    """Another process dies between two writes of one transaction."""
    place.in_another_process(place.path, "BEGIN IMMEDIATE", "DELETE FROM items")
    place.end_other()


def nothing(place: SQLitePlace) -> None:
    """There is nothing to be ended."""


def become_read_only(place: SQLitePlace) -> None:
    """This user may not write to folder and file any more; the file is another one."""
    other = place.folder / "other.db"
    place.copy_to(other)
    other.replace(place.path)
    for left in ("flags.db-wal", "flags.db-shm"):
        (place.folder / left).unlink(missing_ok=True)
    place.path.chmod(0o444)
    place.folder.chmod(0o555)
    place.be_nobody()


def become_writable(place: SQLitePlace) -> None:
    place.be_ourselves()
    place.folder.chmod(0o755)
    place.path.chmod(0o644)


def fill_the_disk(place: SQLitePlace) -> None:
    """Files cannot grow."""
    place.limit_files()


def make_room(place: SQLitePlace) -> None:
    place.let_files_grow()


def become_slow(place: SQLitePlace) -> None:
    """Another process holds the only lock there is, and whoever wants to read waits for it."""
    other = place.folder / "other.db"
    place.copy_to(other)
    place.in_another_process(other, "PRAGMA journal_mode = DELETE", "BEGIN EXCLUSIVE")
    other.replace(place.path)
    for left in ("flags.db-wal", "flags.db-shm"):
        (place.folder / left).unlink(missing_ok=True)


FAULTS: Final = (
    Fault(
        "sqlite-missing",
        SQLitePlace,
        take_away,
        bring_back,
        (DAEMON, "forever"),
        cold=True,
    ),
    Fault("sqlite-locked", SQLitePlace, lock, unlock, (FED, "ttl"), stops_reads=False),
    Fault(
        "sqlite-killed-writer",
        SQLitePlace,
        kill_a_writer,
        nothing,
        (DAEMON, "ttl"),
        stops_reads=False,
        stops_writes=False,
    ),
    Fault(
        "sqlite-back-empty",
        SQLitePlace,
        take_away,
        bring_empty,
        (DAEMON, "off"),
        back=Back.EMPTY,
    ),
    Fault(
        "sqlite-back-old",
        SQLitePlace,
        take_away,
        bring_old,
        (DAEMON, "forever"),
        back=Back.OLD,
    ),
    Fault(
        "sqlite-read-only",
        SQLitePlace,
        become_read_only,
        become_writable,
        (FED, "off"),
        stops_reads=False,
    ),
    Fault(
        "sqlite-disk-full",
        SQLitePlace,
        fill_the_disk,
        make_room,
        (FED, "forever"),
        stops_reads=False,
    ),
    Fault(
        "sqlite-slow",
        SQLitePlace,
        become_slow,
        unlock,
        (DAEMON, "off"),
        cold=True,
        deadline=1.0,
        settings={"busy_timeout": 3.0},
    ),
)
