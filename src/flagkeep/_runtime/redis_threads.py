"""Connections to a Redis for threads. `redis_aio` has the same names, awaited.

redis-py makes, encrypts and reads the connections; which of them is used when, how long is waited
and what is said is decided here. That costs half of what a command costs through its client, gives
bytes whatever the caller's options say, and never tries anything again by itself.
"""

import math
import select
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

import redis
import redis.connection

from flagkeep._runtime import fork
from flagkeep._runtime.redis_errors import NoConnection, NoRoom, refusals_marked, translated
from flagkeep._runtime.redis_settings import (
    Settings,
    command_names,
    connection_recipe,
    pool_label,
    pool_of,
)
from flagkeep.errors import StoreError
from flagkeep.storage.redis_layout import Command, packed_all

Client = redis.Redis
Pool = redis.ConnectionPool

# The driver lets ValueError through where an answer cannot be read, or a name cannot be looked up.
_ERRORS: Final = (redis.RedisError, OSError, ValueError, NoConnection, NoRoom)
_LOST: Final = (redis.ConnectionError, ConnectionError)

_NOTHING: Final = 0.005  # seconds that a limit may be off

# Seconds after which a connection is not trusted any more: networks forget those that are silent.
_STALE: Final = 60.0

# Connections of a parent process: never used, never closed, never collected.
_abandoned: Final[list[object]] = []


class Wire:
    """A socket on which waiting ends at a given moment, however slowly an answer drips in.

    A socket's own limit is for one piece of an answer, and a large answer has hundreds.

    Attributes:
        ends: when to give up.
        limit: seconds to wait for one piece.
    """

    __slots__ = ("_set", "_sock", "ends", "limit")

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._set: float | None = sock.gettimeout()
        self.ends = math.inf
        self.limit = self._set or 0.0

    def recv(self, size: int) -> bytes:
        """Return what has come, once something has."""
        self._bound()
        data: bytes = self._sock.recv(size)
        return data

    def recv_into(self, buffer: bytearray) -> int:
        """Put what has come into `buffer`, and return how much it was."""
        self._bound()
        size: int = self._sock.recv_into(buffer)
        return size

    def sendall(self, data: bytes) -> None:
        """Send all of it."""
        self._bound()
        self._sock.sendall(data)

    def settimeout(self, seconds: float | None) -> None:
        """Take a limit of the driver's, which is 0 where it only looks."""
        self.ends, self.limit = math.inf, seconds or 0.0
        self._set = seconds
        self._sock.settimeout(seconds)

    def _bound(self) -> None:
        limit = self.limit
        if self.ends != math.inf:
            limit = min(limit, _left(self.ends))
            if self._set is not None and 0 <= self._set - limit < _NOTHING:
                return  # it costs a system call
        if limit != self._set:
            self._set = limit
            self._sock.settimeout(limit)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def _on_wire(kind: Any) -> Any:
    """Return redis-py's class of connections with a `Wire` for a socket."""
    return type(kind.__name__, (kind,), {"_connect": lambda self: Wire(kind._connect(self))})


class Line:
    """One connection. Used by one thread at a time.

    Attributes:
        connection: redis-py's.
        was_used: whether it has been in the pool since it was made.
        idle_since: when it came back to the pool.
    """

    __slots__ = ("_poll", "_timeout", "connection", "idle_since", "was_used")

    def __init__(self, connection: Any, timeout: float) -> None:
        self.connection = connection
        self.was_used = False
        self.idle_since = math.inf
        self._timeout = timeout
        self._poll: Any = None

    def open(self, settings: Settings, ends: float) -> None:
        """Connect, and say who we are."""
        connection = self.connection
        limit = min(settings.connect_timeout, _left(ends))
        connection.socket_connect_timeout = connection.socket_timeout = limit
        try:
            connection.connect()
        except redis.TimeoutError:
            raise NoConnection(limit) from None
        if not settings.is_tls and hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(connection._sock, select.POLLIN)
        if settings.greeting:
            for reply in self.exchange(settings.greeting, ends):
                if isinstance(reply, Exception):
                    raise reply

    def is_quiet(self) -> bool:
        """Return whether the other end has said nothing since, not even goodbye."""
        if time.monotonic() - self.idle_since > _STALE:
            return False
        if self._poll is not None:
            return not self._poll.poll(0)
        try:
            return not self.connection.can_read(0)
        except _ERRORS:
            return False

    def exchange(
        self, commands: Sequence[Command], ends: float, last: float | None = None
    ) -> list[Any]:
        """Send `commands` in one go and return the answers, the server's errors among them.

        Args:
            commands: at least one.
            ends: when to give up.
            last: seconds to wait for the last answer, if that is more than for the others.
        """
        connection = self.connection
        self._wait_no_longer(self._timeout, ends)
        connection.send_packed_command(packed_all(commands), False)
        replies: list[Any] = []
        for number in range(len(commands)):
            if number:
                is_last = last is not None and number == len(commands) - 1
                self._wait_no_longer(last if is_last and last else self._timeout, ends)
            try:
                replies.append(connection.read_response(disable_decoding=True))
            except redis.ResponseError as exc:
                replies.append(exc.with_traceback(None))
        return replies

    def restore(self) -> None:
        """Put back the limit of the connection's owner."""
        if self.connection._sock is not None:
            self.connection._sock.settimeout(self.connection.socket_timeout)

    def close(self) -> None:
        """Close it."""
        self._poll = None
        self.connection.disconnect()

    def _wait_no_longer(self, limit: float, ends: float) -> None:
        sock = self.connection._sock
        if isinstance(sock, Wire):
            sock.limit, sock.ends = limit, ends
        elif sock is not None:  # of a pool that is not ours
            sock.settimeout(limit if ends == math.inf else min(limit, _left(ends)))


def _left(ends: float) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _OwnPool:
    """Connections that this store made. The last one that was used is used first."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        kind, self._arguments = connection_recipe(settings, redis.connection)
        self._make = _on_wire(kind)
        self._timeout = settings.timeout
        self._is_closed = False
        self._forget_all()

    def _forget_all(self) -> None:
        self._free: list[Line] = []
        self._lines: set[Line] = set()
        self._room = threading.Condition()
        self._waiting = 0

    def take(self, ends: float) -> Line:
        while True:
            try:
                line = self._free.pop()
            except IndexError:
                return self.take_new(ends)
            if line.is_quiet():
                return line
            self.drop(line)

    def take_new(self, ends: float) -> Line:
        line = self._place(ends)
        try:
            if not line.was_used:
                line.open(self._settings, ends)
        except BaseException:
            self.drop(line)
            raise
        return line

    def _place(self, ends: float) -> Line:
        """Return a line that is not open yet, or one that came back while there was no room."""
        with self._room:
            self._waiting += 1
            try:
                while len(self._lines) >= self._settings.max_connections:
                    with suppress(IndexError):  # others take without the lock
                        return self._free.pop()
                    if not self._room.wait(min(self._timeout, _left(ends))):
                        raise NoRoom
            finally:
                self._waiting -= 1
            line = Line(self._make(**self._arguments), self._timeout)
            self._lines.add(line)
            return line

    def give(self, line: Line) -> None:
        if line not in self._lines:  # a greenlet of the parent went on in the child
            _abandoned.append(line)
            return
        line.was_used, line.idle_since = True, time.monotonic()
        self._free.append(line)
        if self._waiting:
            with self._room:
                self._room.notify()
        if self._is_closed:
            self.close()

    def drop(self, line: Line) -> None:
        if line not in self._lines:
            _abandoned.append(line)
            return
        with self._room:
            self._lines.discard(line)
            self._room.notify()
        line.close()

    def drop_idle(self) -> None:
        with suppress(IndexError):  # others take from it, too
            while True:
                self.drop(self._free.pop())

    def close(self) -> None:
        self._is_closed = True
        self.drop_idle()

    def leave_parent(self) -> None:
        _abandoned.append((self._lines, self._free, self._room))
        self._forget_all()


class _ForeignPool:
    """Connections of a pool that belongs to the caller: its limits, its checks, never closed."""

    def __init__(self, pool: Any, timeout: float) -> None:
        self._pool = pool
        self._timeout = timeout
        self._names = command_names(pool)

    def take(self, ends: float) -> Line:
        _left(ends)
        return Line(self._pool.get_connection(*self._names), self._timeout)

    take_new = take

    def give(self, line: Line) -> None:
        line.restore()
        self._pool.release(line.connection)

    def drop(self, line: Line) -> None:
        line.close()
        self._pool.release(line.connection)

    def drop_idle(self) -> None:
        """Leave them to their owner."""

    def close(self) -> None:
        """Leave them to their owner."""

    def leave_parent(self) -> None:
        """Do nothing: redis-py's pools notice a fork by themselves."""


class Connections:
    """Where a store talks to its server. Any thread may call anything at any time.

    Attributes:
        label: what errors call the server.
        timeout: seconds that one answer may take.
    """

    def __init__(self, settings: Settings, client: object, pool: object) -> None:
        given = pool_of(client, pool, redis, colour="redis", other="redis.asyncio")
        self._pool: _OwnPool | _ForeignPool
        if given is None:
            self._pool = _OwnPool(settings)
        else:
            self._pool = _ForeignPool(given, settings.timeout)
        self.label = settings.label if given is None else pool_label(given)
        self.timeout = settings.timeout
        fork.watch(self, fork.Rank.STORE)

    def lease(self, operation: str, *, timeout: float | None = None) -> "Lease":
        """Return one connection for several questions; to be entered."""
        if not fork.MARK[0]:
            fork.settle()
        waited = self.timeout if timeout is None else timeout
        ends = math.inf if timeout is None else time.monotonic() + timeout
        return Lease(self._pool, ends, label=self.label, operation=operation, waited=waited)

    def close(self) -> None:
        """Close what is not in use, and the rest when it comes back."""
        self._pool.close()

    def after_fork(self) -> None:
        """Leave the parent's connections to the parent."""
        self._pool.leave_parent()


class Lease:
    """One connection for as long as it is needed. It is closed after every error but a refusal."""

    __slots__ = ("_asked", "_ends", "_label", "_line", "_operation", "_pool", "_waited")

    def __init__(
        self,
        pool: _OwnPool | _ForeignPool,
        ends: float,
        *,
        label: str,
        operation: str,
        waited: float,
    ) -> None:
        self._pool = pool
        self._ends = ends
        self._label = label
        self._operation = operation
        self._waited = waited
        self._line: Line | None = None
        self._asked = False

    def __enter__(self) -> Self:
        try:
            self._line = self._pool.take(self._ends)
        except _ERRORS as exc:
            raise self._translated(exc) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        line, self._line = self._line, None
        if line is None:
            return
        if kind is None:
            self._pool.give(line)
        else:
            self._pool.drop(line)

    def ask(self, commands: Sequence[Command], *, last: float | None = None) -> list[Any]:
        """Send commands in one go and return the answers; refusals of single ones are among them.

        Raises:
            StoreError: there is no complete answer.
        """
        try:
            replies = self._exchange(commands, last)
        except _ERRORS as exc:
            raise self._translated(exc) from None
        return refusals_marked(replies, commands, self._label, self._operation)

    def _exchange(self, commands: Sequence[Command], last: float | None) -> list[Any]:
        """Talk. A connection that was lost while nobody used it is replaced, once."""
        line = self._line
        if line is None:
            raise RuntimeError("this connection was given back")
        may_be_stale, self._asked = line.was_used and not self._asked, True
        try:
            return line.exchange(commands, self._ends, last)
        except _LOST:
            if not may_be_stale:
                raise
        self._line = None
        self._pool.drop(line)
        self._pool.drop_idle()
        self._line = self._pool.take_new(self._ends)
        return self._line.exchange(commands, self._ends, last)

    def _translated(self, exc: Exception) -> StoreError:
        return translated(exc, self._label, self._operation, timeout=self._waited)
