"""Which connection to a Redis is used when; how one is made is the driver's."""

from collections.abc import Callable
from typing import Final

from flagkeep._runtime import threads as runtime
from flagkeep._runtime.redis_threads import Line, Pool, Room, line_of
from flagkeep._runtime.redis_driver import ABANDONED, left
from flagkeep._runtime.redis_errors import NoRoom
from flagkeep._runtime.redis_settings import Settings, command_names

# Seconds after which a connection is not trusted any more: networks forget those that are silent.
_STALE: Final = 60.0


class OwnPool:
    """Connections that the store makes. The last one that was used is used first.

    Those that are not in use are taken and put back without a lock.

    Args:
        settings: how many there may be, and what they say first.
        make: makes one that is not open yet.

    Attributes:
        lines: all connections, in use or not.
    """

    def __init__(self, settings: Settings, make: Callable[[], Line]) -> None:
        self._settings = settings
        self._make = make
        self._is_retired = False
        self._begin()

    def _begin(self) -> None:
        self.lines: set[Line] = set()
        self._free: list[Line] = []
        self._room = Room()

    def take(self, ends: float) -> Line:
        """Return a connection that nobody else has; one that was lost is replaced."""
        while (line := self._free_one()) is not None:
            if runtime.monotonic() - line.idle_since <= _STALE and line.is_quiet():
                return line
            self.drop(line)
        return self.take_new(ends)

    def take_new(self, ends: float) -> Line:
        """Return a new connection, or one that comes back while there is no room for more."""
        line = self._room.find(self._place, min(self._settings.timeout, left(ends)))
        if line is None:
            raise NoRoom
        if not line.was_used:
            try:
                self._open(line, ends)
            except BaseException:
                self.drop(line)
                raise
        return line

    def give(self, line: Line) -> None:
        """Put a connection back that is as it was."""
        if line not in self.lines:  # a greenlet of the parent went on in the child
            ABANDONED.append(line)
            return
        line.was_used, line.idle_since = True, runtime.monotonic()
        self._free.append(line)
        self._room.wake()
        if self._is_retired:
            for late in self.retire():
                late.finish()

    def drop(self, line: Line) -> None:
        """Close a connection that was taken."""
        if line not in self.lines:
            ABANDONED.append(line)
            return
        self.lines.discard(line)
        self._room.wake()
        line.close()

    def drop_idle(self) -> None:
        """Close what is not in use."""
        while (line := self._free_one()) is not None:
            self.drop(line)

    def retire(self) -> list[Line]:
        """Let nothing come back any more; return what is not in use, to be closed."""
        self._is_retired = True
        idle = []
        while (line := self._free_one()) is not None:
            self.lines.discard(line)
            idle.append(line)
        return idle

    def leave_parent(self) -> None:
        """Leave the parent's connections to the parent."""
        ABANDONED.append((self.lines, self._free, self._room))
        self._begin()

    def _free_one(self) -> Line | None:
        try:
            return self._free.pop()
        except IndexError:  # others take from it, too
            return None

    def _place(self) -> Line | None:
        """Return a connection that is not open yet, or if there are enough, one that is free."""
        if len(self.lines) < self._settings.max_connections:
            line = self._make()
            self.lines.add(line)
            return line
        return self._free_one()

    def _open(self, line: Line, ends: float) -> None:
        """Connect, and say who we are."""
        line.open(min(self._settings.connect_timeout, left(ends)))
        if self._settings.greeting:
            for reply in line.exchange(self._settings.greeting, ends):
                if isinstance(reply, Exception):
                    raise reply


class GivenPool:
    """Connections of a pool that belongs to the caller: its limits, its checks, never closed.

    Args:
        pool: of redis-py.
        timeout: seconds for one answer.
    """

    def __init__(self, pool: Pool, timeout: float) -> None:
        self._pool = pool
        self._timeout = timeout
        self._names = command_names(pool)

    def take(self, ends: float) -> Line:
        """Return a connection that nobody else has."""
        return line_of(self._pool, self._names, ends, self._timeout)

    take_new = take

    def give(self, line: Line) -> None:
        """Put a connection back."""
        line.restore()
        self._pool.release(line.connection)

    def drop(self, line: Line) -> None:
        """Close a connection and put it back; it connects again when it is used."""
        line.close()
        self._pool.release(line.connection)

    def drop_idle(self) -> None:
        """Leave them to their owner."""
