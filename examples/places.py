"""Where the story keeps its flags, and what can be done to that place while it is used."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from given import SQLITE

from flagkeep.errors import StoreMissing
from flagkeep.stores import SQLiteStore

if TYPE_CHECKING:
    from given import AnyStore


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

    def open(self) -> "AnyStore":
        """Return the store, for the story itself."""

    def is_filled(self, store: "AnyStore") -> bool:
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

    def is_filled(self, store: "AnyStore") -> bool:
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
