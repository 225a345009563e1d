"""What the SQLite tests run in processes of their own: `python sqlite_processes.py ROLE PATH …`.

Each says a line on standard output when it is where the test wants it.
"""

import os
import resource
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence

from flagkeep.errors import StoreError
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import SerializedItem
from flagkeep.stores import SQLiteStore

NOBODY = 65534
ITEMS = 200


def say(*words: object) -> None:
    print(*words, flush=True)


def generation(number: int, *, items: int = ITEMS, size: int = 500) -> ChangeSet:
    """A full set in which every item names the same generation."""
    text = f'{{"key":"k","version":{number},"salt":"{"x" * size}"}}'.encode()
    item = SerializedItem(number, deleted=False, data=text)
    return ChangeSet(
        full=True,
        flags={f"f{index}": item for index in range(items)},
        segments={f"s{index}": item for index in range(items // 10)},
    )


def hold_the_lock(path: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    say("locked")
    sys.stdin.readline()


def write_generations(path: str, first: str, count: str) -> None:
    """Replace everything again and again, every second number; two writers do not share any."""
    with_timeout = SQLiteStore(path, busy_timeout=30)
    for step in range(int(count)):
        with_timeout.replace(generation(int(first) + 2 * step))
        if step == 0:
            say("writing")
    with_timeout.close()


def upsert_when_told(path: str) -> None:
    store = SQLiteStore(path)
    say("ready")
    for line in sys.stdin:
        version = int(line)
        item = SerializedItem(version, deleted=False, data=b'{"key":"a","version":%d}' % version)
        begun = time.monotonic()
        store.upsert(ChangeSet(full=False, flags={"a": item}))
        say(begun)


def fill_a_limited_file(path: str) -> None:
    """Files of this process cannot grow over 300 KB, as if the disk were full."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    store = SQLiteStore(path)
    try_to(lambda: store.replace(generation(2, size=20_000)))
    say(len(store.get_all().flags), store.get_all().flags["f0"].version)
    store.close()


def read_as_nobody(path: str) -> None:
    become_nobody()
    store = SQLiteStore(path)
    try_to(lambda: say(len(store.get_all().flags)))
    for _ in sys.stdin:
        try_to(lambda: say(store.poll_changes() is not None, store.get_all().flags["f0"].version))
    store.close()


def write_as_nobody(path: str) -> None:
    become_nobody()
    store = SQLiteStore(path)
    try_to(lambda: store.replace(generation(2)))
    store.close()


def become_nobody() -> None:
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def try_to(do: Callable[[], object]) -> None:
    try:
        do()
    except StoreError as exc:
        say(type(exc).__name__, exc)


ROLES: dict[str, Callable[..., None]] = {
    role.__name__: role
    for role in (
        hold_the_lock,
        write_generations,
        upsert_when_told,
        fill_a_limited_file,
        read_as_nobody,
        write_as_nobody,
    )
}


def main(arguments: Sequence[str]) -> None:
    ROLES[arguments[0]](*arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
