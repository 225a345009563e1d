"""What a process has to do when it finds that it is the child of a fork.

Python calls `os.register_at_fork`'s hooks where Python forks. Where C code forks, as uWSGI does
with default options, nobody calls anything. So there is also a mark in memory that the kernel
clears in every child: `MARK[0]` is 0 until `settle` has run. Reading it costs 0.02 microseconds, so
that every evaluation can.

Rules: a child inherits locks that a thread of the parent may hold for ever, and connections that
the parent goes on using. It takes none of those locks and uses none of those connections: what is
registered here replaces them, locks first, then stores, then clients.
"""

import logging
import mmap
import os
import sys
import threading
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final
from weakref import ref

log: Final = logging.getLogger("flagkeep.runtime")

_WIPE_ON_FORK: Final = 18  # MADV_WIPEONFORK; Python has no name for it


class Rank(IntEnum):
    """In which order things get over a fork."""

    LOCK = 0
    STORE = 1
    CLIENT = 2


class _ProcessMark:
    """The mark where the kernel clears no pages: it compares process ids."""

    def __init__(self) -> None:
        self._process = os.getpid()

    def __getitem__(self, place: int) -> int:
        return self._process == os.getpid()

    def __setitem__(self, place: int, value: int) -> None:
        self._process = os.getpid() if value else 0


def _new_mark() -> Any:
    if sys.platform == "linux":
        page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        try:
            page.madvise(_WIPE_ON_FORK)
        except OSError:  # before Linux 4.14
            page.close()
        else:
            page[0] = 1
            return page
    return _ProcessMark()


MARK: Final = _new_mark()

# By identity; copied in one step, since other threads add to it.
_watched: Final[dict[Rank, dict[int, ref[Any]]]] = {rank: {} for rank in Rank}
# Held by a thread in the midst of what only it could finish, so that a child would wait for ever:
# an import, and a step of TLS, since OpenSSL has locks of its own. A fork of Python's waits for it.
unforkable = threading.RLock()
_PATIENCE: Final = 5.0  # seconds

_has_waited = False
_expecting = 0  # the process that uWSGI is about to fork
_settling = threading.RLock()
_is_settling = False


def watch(thing: object, rank: Rank) -> None:
    """Call those of these methods that `thing` has, as long as it lives.

    `before_fork` and `after_fork_in_parent` are called around a fork of Python's, `after_fork` in
    the child of any fork.
    """
    known, name = _watched[rank], id(thing)
    known[name] = ref(thing, lambda _: known.pop(name, None))


def is_imminent() -> bool:
    """Return whether C code is going to fork this process: uWSGI, while it loads the application.

    It forks without the interpreter's lock. No thread may run then: what it holds, nobody gives
    back in the child.
    """
    uwsgi: Any = sys.modules.get("uwsgi")
    if uwsgi is None or not hasattr(uwsgi, "worker_id"):
        return False
    return uwsgi.worker_id() == 0 and getattr(uwsgi, "mule_id", int)() == 0


def expect() -> None:
    """Take this process for a child to come: uWSGI's first worker may be this very process."""
    global _expecting  # noqa: PLW0603  set before there are threads
    _expecting = os.getpid()
    MARK[0] = 0


def settle() -> None:
    """Run the duties of a child once; does nothing in a process that is none.

    A duty may use what has got over the fork before it, which calls this again.
    """
    global _is_settling, unforkable  # noqa: PLW0603  read and written under the lock
    if MARK[0] or (_expecting == os.getpid() and is_imminent()):
        return
    with _settling:
        if MARK[0] or _is_settling:
            return
        _is_settling = True
        unforkable = threading.RLock()
        try:
            for rank in Rank:
                _call("after_fork", rank)
            MARK[0] = 1
        finally:
            _is_settling = False


def _call(name: str, rank: Rank) -> None:
    for known in list(_watched[rank].values()):
        thing = known()
        duty: Callable[[], None] | None = getattr(thing, name, None)
        if duty is None:
            continue
        try:
            duty()
        except Exception:
            log.exception("%s of %r failed", name, thing)


def _before() -> None:
    global _has_waited  # noqa: PLW0603  the hooks run one after the other
    settle()  # a child of C code that forks before it has done anything else
    _has_waited = unforkable.acquire(timeout=_PATIENCE)
    for rank in reversed(Rank):
        _call("before_fork", rank)


def _after_in_parent() -> None:
    for rank in Rank:
        _call("after_fork_in_parent", rank)
    if _has_waited:
        unforkable.release()


def _after_in_child() -> None:
    global _settling, _is_settling
    if MARK[0]:  # uWSGI calls this in its first worker too, which is no child
        return
    _settling, _is_settling = threading.RLock(), False
    settle()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )
