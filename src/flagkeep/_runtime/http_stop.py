"""How what waits for the network is ended: by its limit, by another thread, by a fork.

Rules: whoever is going to wait says first what ends its waiting. A socket is shut down by anybody,
but closed only by the one that uses it, after it has been taken out of here: its number may belong
to another one a moment later. A child of a fork ends nothing that its parent goes on using.
"""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Final

from flagkeep._runtime import fork

# Connections of a parent process: never used, never closed, never collected.
ABANDONED: Final[list[object]] = []

_NOTHING: Final = 0.0005  # seconds that a wait may end too early
_SHUT_RDWR: Final = 2  # of the socket module, which is imported with the driver only


class Stopped(Exception):
    """This side has ended it."""


class TooSlow(Exception):
    """There was no answer in time; the text says what was waited for."""


class Stop:
    """Ends everything that was begun with it, at once and for good. Usable from any thread.

    Attributes:
        is_set: whether it has happened.
    """

    __slots__ = ("__weakref__", "_ends", "_lock", "_process", "is_set")

    def __init__(self) -> None:
        self.is_set = False
        self._process = os.getpid()
        # Again by the same thread: what is collected meanwhile may close a connection.
        self._lock = threading.RLock()
        self._ends: dict[object, Callable[[], object]] = {}
        fork.watch(self, fork.Rank.STORE)

    @property
    def is_ours(self) -> bool:
        """Whether this process made it; the connections of another one are left alone."""
        return self._process == os.getpid()

    def add(self, thing: object, end: Callable[[], object]) -> None:
        """Have `end` called when it comes to that.

        Raises:
            Stopped: it has come to that.
        """
        with self._lock:
            if not self.is_set:
                self._ends[thing] = end
                return
        raise Stopped

    def remove(self, thing: object) -> None:
        """Forget a thing that has ended by itself."""
        with self._lock:
            self._ends.pop(thing, None)

    def check(self) -> None:
        """Raise `Stopped` if it has come to that."""
        if self.is_set:
            raise Stopped

    def set(self) -> None:
        """End everything."""
        if not self.is_ours:
            return
        with self._lock:
            self.is_set = True
            for end in list(self._ends.values()):
                with suppress(OSError, RuntimeError):  # not connected, or its loop is closed
                    end()

    def take_all(self) -> list[object]:
        """Return all that were added and not removed, and forget them."""
        with self._lock:
            things, self._ends = list(self._ends), {}
        return things

    def after_fork(self) -> None:
        """Leave the parent's connections to the parent."""
        self._lock = threading.RLock()
        ABANDONED.append(self._ends)
        self._ends = {}
        self.is_set = True


def shut_down(sock: Any) -> None:
    """End a connection, whoever waits for it; the socket stays open."""
    sock.shutdown(_SHUT_RDWR)


class Attempt:
    """One request until its answer is there.

    Attributes:
        has_connected: whether a new connection was made for it.
    """

    __slots__ = ("_ends", "_seconds", "has_connected")

    def __init__(self, seconds: float | None) -> None:
        self.has_connected = False
        self._seconds = seconds
        self._ends = None if seconds is None else time.monotonic() + seconds

    def limit(self, seconds: float | None) -> float | None:
        """Return how long to wait, where otherwise it would be `seconds`.

        Raises:
            TooSlow: no longer.
        """
        if self._ends is None:
            return seconds
        left = self._ends - time.monotonic()
        if left <= _NOTHING:
            raise TooSlow(f"no complete answer within {self._seconds:g} s")
        return left if seconds is None else min(left, seconds)


# What a connection of a pool is used for: the driver does not tell it.
ATTEMPT: Final[ContextVar[Attempt]] = ContextVar("flagkeep_attempt")


def limit_now(seconds: float | None) -> float | None:
    """Return how long to wait here, where otherwise it would be `seconds`."""
    attempt = ATTEMPT.get(None)
    return seconds if attempt is None else attempt.limit(seconds)
