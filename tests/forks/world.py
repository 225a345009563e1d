"""A store that somebody else changes, and what processes do with it, seen from outside."""

import re
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Final, TypeVar

from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import SerializedItem
from flagkeep.stores import SQLiteStore
from tests.forks.proc import HAS_PROC, has_locked, open_files, paused, socket_of
from tests.servers.redis import RedisServer
from tests.servers.resp import RedisConnection

T = TypeVar("T")

PATIENCE: Final = 20.0


class World(ABC):
    """One store, filled with the flags `flag` and `other`, both "one".

    Attributes:
        url: of the store.
        heard_file: where listeners write.
    """

    url: str

    def __init__(self, folder: Path) -> None:
        self.heard_file = folder / "heard"
        self.heard_file.touch()
        self._version = 0

    def write(self, value: str) -> None:
        """Let both flags have a new value."""
        self._version += 1
        self._write({key: _flag(key, self._version, value) for key in ("flag", "other")})

    def heard(self) -> set[tuple[int, str, str]]:
        """What listeners heard: process, flag, value."""
        lines = self.heard_file.read_text(encoding="utf-8").splitlines()
        return {(int(pid), key, value) for pid, key, value in (line.split() for line in lines)}

    def until_heard(self, process: int, value: str) -> None:
        """Wait until a listener has been told of a value of `flag` in that process."""
        until(lambda: (process, "flag", value) in self.heard())

    @abstractmethod
    def _write(self, flags: dict[str, SerializedItem]) -> None: ...

    @abstractmethod
    def check_apart(self, parent: int, child: int, ask: Callable[[], object]) -> None:
        """Check that what `ask` lets the child do goes by no connection of its parent's."""

    def let_readers_wait(self) -> None:  # noqa: B027  most stores have nothing to prepare
        """Prepare for `standing_still`, before anybody reads."""

    @abstractmethod
    def standing_still(self) -> AbstractContextManager[None]:
        """Let every read wait."""

    @abstractmethod
    def close(self) -> None: ...


class SQLiteWorld(World):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._path = folder / "flags.db"
        self.url = f"sqlite:///{self._path}"
        self._store = SQLiteStore(self._path)
        self.write("one")

    def let_readers_wait(self) -> None:
        """Without a write-ahead log they wait for a writer."""
        self._store.close()
        with closing(sqlite3.connect(self._path)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
        self._store = SQLiteStore(self._path, busy_timeout=PATIENCE)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield

    def close(self) -> None:
        self._store.close()

    def _write(self, flags: dict[str, SerializedItem]) -> None:
        if self._version == 1:
            self._store.replace(ChangeSet(full=True, flags=flags))
        else:
            assert not self._store.upsert(ChangeSet(full=False, flags=flags))

    def check_apart(self, parent: int, child: int, ask: Callable[[], object]) -> None:
        """An inherited connection has no lock, and would be open beside one of the child's own."""
        with paused(parent):
            ask()
            if HAS_PROC:
                assert has_locked(child, self._path)
                assert open_files(child).count(str(self._path)) == 1


class RedisWorld(World):
    def __init__(self, folder: Path, server: RedisServer) -> None:
        super().__init__(folder)
        self.url = server.url
        self.server = server
        server.cli("FLUSHALL")
        self.write("one")
        server.cli("SET", "launchdarkly:$inited", "")

    def _write(self, flags: dict[str, SerializedItem]) -> None:
        fields = [part for key, item in flags.items() for part in (key, item.data)]
        self.server.cli("HSET", "launchdarkly:features", *fields)

    def check_apart(self, parent: int, child: int, ask: Callable[[], object]) -> None:
        """While the parent stands still, commands come by sockets that it does not have."""
        with paused(parent), RedisConnection(("127.0.0.1", self.server.port)) as monitor:
            for _ in range(2):
                self.server.cli("PING")  # after that, what the parent had sent has been run
            monitor.command("MONITOR")
            ask()
            ports = self._ports(monitor)
            assert ports
            if HAS_PROC:
                sockets = {socket_of(port, self.server.port) for port in ports}
                assert sockets & set(open_files(child))
                assert not sockets & set(open_files(parent))

    def _ports(self, monitor: RedisConnection) -> set[int]:
        """From which ports commands for our database have come until now."""
        self.server.cli("ECHO", "that is all")
        ports = set()
        while "that is all" not in (line := monitor._reply().decode()):
            if client := re.search(r"\[0 [\d.]+:(\d+)\]", line):
                ports.add(int(client[1]))
        return ports

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        self.server.pause()
        try:
            yield
        finally:
            self.server.resume()

    def close(self) -> None:
        pass


def _flag(key: str, version: int, value: str) -> SerializedItem:
    text = (
        f'{{"key":"{key}","version":{version},"on":false,"offVariation":0,'
        f'"variations":["{value}"],"salt":""}}'
    )
    return SerializedItem(version, deleted=False, data=text.encode())


def until(
    condition: Callable[[], T], what: Callable[[], str] = lambda: "it never became true"
) -> T:
    """Wait until `condition()` is true, and return it; else say what went wrong."""
    give_up = time.monotonic() + PATIENCE
    while not (answer := condition()):
        assert time.monotonic() < give_up, what()
        time.sleep(0.01)
    return answer
