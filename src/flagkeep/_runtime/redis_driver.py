"""What both colours of the driver share: its errors, how long to wait, what a pool is."""

import math
import time
from collections.abc import Collection
from typing import Any, Final, Protocol, TypeVar

import redis

from flagkeep._runtime.redis_errors import NoConnection, NoRoom

# The driver lets ValueError through where an answer cannot be read, or a name cannot be looked up.
ERRORS: Final = (redis.RedisError, OSError, ValueError, NoConnection, NoRoom)
LOST: Final = (redis.ConnectionError, ConnectionError)

# Connections of a parent process: never used, never closed, never collected.
ABANDONED: Final[list[object]] = []


def left(ends: float) -> float:
    """Return the seconds until `ends`.

    Raises:
        TimeoutError: there are none.
    """
    seconds = ends - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


class Connected:
    """A connection as its pool sees it.

    Attributes:
        connection: redis-py's.
        was_used: whether it has been in the pool since it was made.
        idle_since: when it came back to the pool.
    """

    __slots__ = ("_timeout", "connection", "idle_since", "was_used")

    def __init__(self, connection: Any, timeout: float) -> None:
        self.connection = connection
        self.was_used = False
        self.idle_since = math.inf
        self._timeout = timeout


L_co = TypeVar("L_co", covariant=True)


class Owner(Protocol[L_co]):
    """A pool as far as it has no colour."""

    @property
    def lines(self) -> Collection[L_co]:
        """All that are open, in use or not."""
        ...

    def retire(self) -> Collection[L_co]:
        """Take nothing back any more; return what is not in use, to be closed."""
        ...

    def leave_parent(self) -> None:
        """Leave the parent's connections to the parent."""
        ...
