"""A lock for a few steps, which a fork cannot leave locked."""

import threading

from flagkeep._runtime import fork


class Guard:
    """Held for a few steps, never while waiting; the same for threads and asyncio.

    In a forked child it is a new lock: a thread that only the parent has may have held the old one.
    The thread that holds it may take it again: a signal handler or a finalizer that uses the client
    can interrupt any step, and whoever it interrupts cannot go on before it has returned.
    """

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        fork.watch(self, fork.Rank.LOCK)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def after_fork(self) -> None:
        """Begin anew in a child."""
        self._lock = threading.RLock()
