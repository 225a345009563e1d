"""Where the story keeps its flags, and what can be done to that place while it is used."""

import os
import secrets
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, urlsplit, urlunsplit

from door import LOOPBACK, Door
from given import LOOK_EVERY, SQLITE
from telling import say

from flagkeep.errors import StoreError, StoreMissing
from flagkeep.stores import RedisStore, SQLiteStore


class Place(Protocol):
    """A store.

    Attributes:
        kind: what it is called within a sentence.
        where: the same, exactly; without user and password.
        news: how a reader learns of changes, in sentences.
        must_push: whether a reader has to be told of changes.
        why_not: why it cannot be taken away from a running reader; "" if it can.
        taken: how it was taken away.
        stays: what of it is there after the story; "" for nothing.
    """

    kind: str
    where: str
    news: tuple[str, ...]
    must_push: bool
    why_not: str
    taken: tuple[str, ...]
    stays: str

    def surroundings(self, *, of_reader: bool) -> dict[str, str]:
        """Return the environment variables of a process that is given this store."""

    def open(self) -> SQLiteStore | RedisStore:
        """Return the store, for the story itself."""

    def is_filled(self, store: SQLiteStore | RedisStore) -> bool:
        """Whether somebody has written a full set."""

    def take_away(self) -> None:
        """Take the store away from its reader."""

    def put_back(self) -> None:
        """Undo that."""

    def clean_up(self) -> None:
        """Leave behind what was there before."""


class SQLitePlace:
    """A SQLite file."""

    kind = "the database"
    must_push = True
    news = ("nobody tells the reader anything but the database.",)
    taken = ("Its folder was renamed under the running reader, which says so once:",)

    def __init__(self, path: Path, *, is_ours: bool) -> None:
        self.where = str(path)
        self.stays = "" if is_ours else self.where
        self.why_not = "" if is_ours else "it is yours"
        if os.name == "nt" and is_ours:
            self.why_not = "Windows does not move what is in use"
        self._path = path

    def surroundings(self, *, of_reader: bool) -> dict[str, str]:  # noqa: ARG002  one way for all
        return {"STORE": f"{SQLITE}{self._path}"}

    def open(self) -> SQLiteStore:
        return SQLiteStore(self._path)

    def is_filled(self, store: SQLiteStore | RedisStore) -> bool:
        try:
            return store.is_initialized()
        except StoreMissing:
            return False

    def take_away(self) -> None:
        self._path.parent.rename(self._path.parent.with_name("elsewhere"))

    def put_back(self) -> None:
        self._path.parent.with_name("elsewhere").rename(self._path.parent)

    def clean_up(self) -> None:
        """The folder of the story goes as a whole, and a file of the user stays."""


class RedisPlace:
    """A prefix of its own in a Redis of the user's, who may have other things there."""

    kind = "Redis"
    must_push = False
    stays = ""
    news = (
        "nobody tells the reader anything.",
        f"It looks at Redis again when its cache's time is up, here every {LOOK_EVERY} s (15 s is",
        "the default); that Redis tells of changes by itself is not part of this release.",
    )
    taken = (
        "Not the server, which may be others' too: the reader's way to it. Its connections",
        "were cut and new ones refused. It says so once:",
    )

    def __init__(self, url: str) -> None:
        self._url = url
        self._prefix = f"flagkeep-story-{secrets.token_hex(4)}"
        self._door: Door | None = None
        parts = urlsplit(url)
        if parts.scheme.lower() == "redis" and parts.hostname:
            self._door = Door(parts.hostname, parts.port or 6379)
        self.why_not = "" if self._door else "only a way by plain TCP (redis://) can be cut here"
        self.where = f"Redis, under the prefix {self._prefix}"

    def surroundings(self, *, of_reader: bool) -> dict[str, str]:
        url = self._url
        if of_reader and self._door is not None:
            url = through(urlsplit(url), self._door)
        return {"STORE": url, "STORE_PREFIX": self._prefix}

    def open(self) -> RedisStore:
        return RedisStore(self._url, prefix=self._prefix)

    def is_filled(self, store: SQLiteStore | RedisStore) -> bool:
        return store.is_initialized()

    def take_away(self) -> None:
        if self._door is not None:
            self._door.shut()

    def put_back(self) -> None:
        if self._door is not None:
            self._door.open()

    def clean_up(self) -> None:
        """Remove exactly what the story has written."""
        if self._door is not None:
            self._door.shut()
        store = self.open()
        try:
            store.clear()
        except StoreError as exc:
            say(f"   The prefix {self._prefix} could not be cleared: {exc.reason}", style="bad")
        finally:
            store.close()


def through(parts: SplitResult, door: Door) -> str:
    """Return a URL that leads to the same database through a door."""
    credentials, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{credentials}{at}{LOOPBACK}:{door.port}"))
