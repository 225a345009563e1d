"""The file below a SQLite store: whether it is there, is still the same one, may be used.

It is never opened here while a connection may have it open: closing any descriptor of a file drops
all locks that the process holds on it. No pathlib: it would be a tenth of the import of the store.
"""

import os
import stat
from typing import Final

from flagkeep.errors import ConfigError, StoreMissing, StoreUnavailable
from flagkeep.storage.sqlite_layout import network_file_system

_MOUNTS: Final = "/proc/mounts"


class SQLiteFile:
    """A path, and what can be said of it without opening it.

    Attributes:
        path: absolute.
        label: what errors call the store.
    """

    __slots__ = ("label", "path")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        given: object = os.fspath(path)
        if not isinstance(given, str) or not given or "\0" in given:
            raise ConfigError(f"path must name a file, not {given!r}")
        if given.startswith((":memory:", "file:")):
            raise ConfigError(f"path must be a plain path, not {given!r}; in memory: MemoryStore")
        self.label = f"sqlite {given}"
        self.path = os.path.abspath(given)  # noqa: PTH100  the working directory may change

    def look(self, operation: str) -> os.stat_result | None:
        """Return the state of the file, None if there is none.

        Raises:
            StoreUnavailable: it cannot even be looked at, or is no file.
        """
        try:
            found = os.stat(self.path)  # noqa: PTH116  called for every read
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as exc:
            raise StoreUnavailable(self.label, operation, f"{self.path}: {exc.strerror}") from exc
        if not stat.S_ISREG(found.st_mode):
            raise StoreUnavailable(self.label, operation, f"{self.path} is not a file")
        return found

    def missing(self, operation: str) -> StoreMissing:
        """Return the error for a file that is not there, or has nothing in it."""
        reason = f"{self.path} holds no store yet: check the path, or start what writes it"
        return StoreMissing(self.label, operation, reason)

    def has_wal(self) -> bool:
        """Return whether there are changes that are not in the main file yet."""
        try:
            return os.stat(self.path + "-wal").st_size > 0  # noqa: PTH116  as above
        except OSError:
            return False

    def refuse_network(self, operation: str) -> None:
        """Fail where the file system is recognised as one that WAL is not safe on.

        Raises:
            StoreUnavailable: it is on a network.
        """
        try:
            with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
                mounts = file.read()
        except OSError:
            return  # not Linux: the documentation says what is allowed
        kind = network_file_system(mounts, os.path.realpath(self.path))
        if kind is not None:
            reason = (
                f"{self.path} is on a network file system ({kind}), where processes cannot share"
                " it safely: use a local disk"
            )
            raise StoreUnavailable(self.label, operation, reason)

    def create(self, operation: str) -> None:
        """Make an empty file that only its owner may read; one that is there stays.

        Raises:
            StoreUnavailable: it cannot be made.
        """
        try:
            if hasattr(os, "mknod") and os.uname().sysname == "Linux":
                # Makes the file without opening it, for the reason at the top of this module.
                os.mknod(self.path, stat.S_IFREG | 0o600)
            else:
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return
        except OSError as exc:
            folder = os.path.dirname(self.path)  # noqa: PTH120  a string, like the path
            reason = f"{self.path} cannot be created: {exc.strerror}; is {folder} writable?"
            raise StoreUnavailable(self.label, operation, reason) from exc

    def uri(self, options: str) -> str:
        """Return the name by which SQLite opens it with `options`."""
        path = self.path.replace(os.sep, "/")
        for character in "%?#":  # the percent sign first
            path = path.replace(character, f"%{ord(character):02X}")
        return f"file:{path if path.startswith('/') else '/' + path}?{options}"
