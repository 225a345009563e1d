"""Greenlets of gevent where it has replaced threads.

Unlike a thread, a greenlet goes on in the child of a fork: it would read from the connection that
it has inherited, and what it reads is missing in the parent. So the child ends those of the parent
before they have taken a step.
"""

import sys
import threading
from typing import Any

from flagkeep._runtime import fork


class ThreadOfOneProcess:
    """A block that runs in the thread it is made in, and in no child of a fork."""

    __slots__ = ("__weakref__", "_greenlet", "_is_over")

    def __init__(self) -> None:
        self._greenlet: Any = None  # threads are real: the kernel sees to it
        self._is_over = False

    def __enter__(self) -> None:
        gevent = sys.modules.get("gevent")
        if gevent is not None:
            self._greenlet = _current(gevent)
        if self._greenlet is not None:
            fork.watch(self, fork.Rank.LOCK)

    def __exit__(self, *_: object) -> None:
        self._greenlet = None
        if self._is_over:
            # The child does not know it as a thread; this lets it be one, so that it can end.
            threading.current_thread()

    def after_fork(self) -> None:
        """End it in a child, unless it is the one that has forked."""
        greenlet = self._greenlet
        if greenlet is not None and greenlet is not _current(sys.modules["gevent"]):
            self._is_over = True
            # Threads end so without a word. It comes before anything that the greenlet waits for.
            greenlet.kill(SystemExit, block=False)


def _current(gevent: Any) -> Any:
    """Return the greenlet that runs this if it is one of gevent's."""
    here = gevent.getcurrent() if hasattr(gevent, "getcurrent") else None
    return here if isinstance(here, getattr(gevent, "Greenlet", ())) else None
