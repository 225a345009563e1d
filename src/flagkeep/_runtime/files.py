"""Environment files on disk: reading them, and waiting until they change. Blocking, colourless.

The operating system says when something happens in the directories that lead to the files, so
that editors that replace a file and ConfigMaps that swap a link are seen. A look at the files'
times every `poll_interval` catches what it does not say (network drives, a directory made anew),
and is all there is without watchfiles. Whatever wakes us, only different content counts.
"""

import hashlib
import logging
import stat
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from os import stat_result
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flagkeep._runtime import fork
from flagkeep.errors import InvalidFile
from flagkeep.model.changeset import ChangeSet
from flagkeep.protocol.files import read_files

if TYPE_CHECKING:
    from watchfiles._rust_notify import RustNotify

log: Final = logging.getLogger("flagkeep.files")

_DEBOUNCE_MS: Final = 20
_UNSETTLED_NS: Final = 1_000_000_000  # a file this young may change without its time changing
_MAX_LINKS: Final = 40


class FileWatch:
    """Reads some files again and again, when they have changed.

    `load` and `wait` belong to one thread; `stop` may be called from any.

    Args:
        paths: as configured; messages name them so.
        poll_interval: seconds between two looks.
        force_polling: do without the system's notification.
    """

    def __init__(
        self, paths: tuple[str, ...], *, poll_interval: float = 1.0, force_polling: bool = False
    ) -> None:
        self._files = tuple((name, Path(name).absolute()) for name in paths)
        self._interval = poll_interval
        self._stopped = threading.Event()
        self._digest = b""
        self._seen: tuple[object, ...] = ()
        self._is_settled = True
        self._notices: _Notices | None = None
        if not force_polling:
            self._notices = _Notices(self._stopped)

    def load(self) -> ChangeSet | None:
        """Read the files; None if they are as they were at the last call, good or bad.

        Raises:
            InvalidFile: a file cannot be read or used.
            MissingExtra: a file is YAML and PyYAML is not installed.
        """
        self._seen, youngest = _look(path for _, path in self._files)
        self._is_settled = abs(time.time_ns() - youngest) > _UNSETTLED_NS
        contents = [(name, _read(name, path)) for name, path in self._files]
        digest = _digest(contents)
        if digest == self._digest:
            return None
        self._digest = digest
        with fork.unforkable:  # what reads YAML
            return read_files([(name, _good(content)) for name, content in contents])

    def wait(self) -> bool:
        """Block until `load` may have something new, or for good if nothing changes.

        Returns:
            False once `stop` was called.
        """
        while not self._stopped.is_set():
            if self._notices is not None and self._notices.renew(path for _, path in self._files):
                return True  # what happened before it was in place went unnoticed
            if self._has_news():
                return not self._stopped.is_set()
        if self._notices is not None:
            self._notices.close()
        return False

    def wait_for_stop(self) -> None:
        """Block until `stop` was called."""
        self._stopped.wait()

    def stop(self) -> None:
        """End `wait` within 50 ms."""
        self._stopped.set()

    def _has_news(self) -> bool:
        if self._notices is not None and self._notices.are_on:
            if self._notices.wait(self._interval):
                return True
        else:
            self._stopped.wait(self._interval)
        return not self._is_settled or _look(path for _, path in self._files)[0] != self._seen


class _Notices:
    """The operating system's notices about what happens in some directories."""

    def __init__(self, stopped: threading.Event) -> None:
        self._stopped = stopped
        self._native: RustNotify | None = None
        self._directories: dict[str, tuple[int, int]] = {}
        self._watched: set[str] = set()
        self._is_refused = False

    @property
    def are_on(self) -> bool:
        """Whether there are any; if not, look for yourself."""
        return self._native is not None

    def renew(self, paths: Iterator[Path]) -> bool:
        """Follow the files to where they are now; returns whether that changed anything."""
        watched = {str(step) for path in paths for step in _steps(path)}
        directories = {}
        for directory in sorted({str(Path(path).parent) for path in watched}):
            status = _status(Path(directory))
            if status is not None:
                directories[directory] = (status.st_dev, status.st_ino)
        self._watched = watched
        if directories == self._directories:
            return False
        self.close()
        self._directories = directories
        self._native = self._open(list(directories))
        return self._native is not None

    def wait(self, seconds: float) -> bool:
        """Block for at most so long; returns whether something happened to one of the files."""
        if self._native is None:
            return False
        timeout_ms = max(1, int(seconds * 1000))
        found = self._native.watch(_DEBOUNCE_MS, _DEBOUNCE_MS, timeout_ms, self._stopped)
        return isinstance(found, set) and any(path in self._watched for _, path in found)

    def close(self) -> None:
        """Let go of the system's resources."""
        if self._native is not None:
            self._native.close()
            self._native = None
        self._directories = {}

    def _open(self, directories: list[str]) -> "RustNotify | None":
        if self._is_refused or not directories or _is_threading_patched():
            return None
        try:
            with fork.unforkable:
                from watchfiles._rust_notify import RustNotify  # noqa: PLC0415  an extra, 70 ms
        except ImportError:
            self._refuse("watchfiles is not installed (pip install 'flagkeep[files]')")
            return None
        try:
            return RustNotify(directories, False, False, 0, False, True)
        except (OSError, RuntimeError) as exc:
            if all(Path(one).is_dir() for one in directories):
                self._refuse(str(exc))
            return None

    def _refuse(self, reason: str) -> None:
        self._is_refused = True
        log.info("files are looked at instead of waiting for notices: %s", reason)


def _is_threading_patched() -> bool:
    """Whether gevent has replaced threads: a native wait would then block the whole process."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def _steps(path: Path) -> Iterator[Path]:
    """Yield every link on the way to `path`, and at last the file: what, replaced, changes it."""
    current, links = Path(path.anchor), 0
    rest = deque(path.parts[1:])
    while rest and links < _MAX_LINKS:
        part = rest.popleft()
        if part == "..":
            current = current.parent
            continue
        current /= part
        try:
            target = current.readlink()
        except (OSError, ValueError):  # no link, or nothing at all
            continue
        links += 1
        yield current
        current = Path(target.anchor) if target.anchor else current.parent
        rest.extendleft(reversed(target.parts[1:] if target.anchor else target.parts))
    yield current


def _look(paths: Iterator[Path]) -> tuple[tuple[object, ...], int]:
    """Return what tells one state of the files from another, and when they last changed."""
    seen: list[object] = []
    youngest = 0
    for path in paths:
        status = _status(path)
        if status is None:
            seen.append(None)
            continue
        seen.append((status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev))
        youngest = max(youngest, status.st_mtime_ns)
    return tuple(seen), youngest


def _status(path: Path) -> stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):  # a NUL in the name is a ValueError
        return None


def _read(name: str, path: Path) -> bytes | InvalidFile:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return InvalidFile(name, "it is a directory: name the files in it")
        if not stat.S_ISREG(mode):
            return InvalidFile(name, "it is not a regular file")
        return path.read_bytes()
    except FileNotFoundError:
        return InvalidFile(name, "there is no such file")
    except PermissionError:
        return InvalidFile(name, "no permission to read it")
    except OSError as exc:
        return InvalidFile(name, f"it cannot be read: {exc.strerror or exc}")
    except ValueError as exc:  # a NUL in the name
        return InvalidFile(name, f"it cannot be read: {exc}")


def _good(content: bytes | InvalidFile) -> bytes:
    if isinstance(content, InvalidFile):
        raise content
    return content


def _digest(contents: list[tuple[str, bytes | InvalidFile]]) -> bytes:
    total = hashlib.sha256()
    for _, content in contents:
        if isinstance(content, InvalidFile):
            total.update(b"!" + content.problem.encode())
        else:
            total.update(b"%d:" % len(content))
            total.update(content)
    return total.digest()
