"""What connections to a Redis do in threads. `redis_aio` has the same names, awaited."""

import math
import select
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

import redis
import redis.connection

from flagkeep._runtime.redis_driver import ERRORS, Connected, Owner, left
from flagkeep._runtime.redis_errors import NoConnection
from flagkeep._runtime.redis_settings import Settings, connection_recipe, pool_of
from flagkeep.storage.redis_commands import Command, packed_all

Client = redis.Redis
Pool = redis.ConnectionPool

T = TypeVar("T")
P = TypeVar("P", bound=Owner["Line"])

_NOTHING: Final = 0.005  # seconds that a limit may be off


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
            limit = min(limit, left(self.ends))
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


class Line(Connected):
    """One connection. Used by one thread at a time."""

    __slots__ = ("_poll",)

    def __init__(self, connection: Any, timeout: float) -> None:
        super().__init__(connection, timeout)
        self._poll: Any = None

    def open(self, limit: float) -> None:
        """Connect, within so many seconds."""
        connection = self.connection
        connection.socket_connect_timeout = connection.socket_timeout = limit
        try:
            connection.connect()
        except redis.TimeoutError:
            raise NoConnection(limit) from None
        may_read_ahead = hasattr(connection._sock, "pending")  # as TLS does
        if not may_read_ahead and hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(connection._sock, select.POLLIN)

    def is_quiet(self) -> bool:
        """Return whether the other end has said nothing since, not even goodbye."""
        if self._poll is not None:
            return not self._poll.poll(0)
        try:
            return not self.connection.can_read(0)
        except ERRORS:
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

    finish = close

    def _wait_no_longer(self, limit: float, ends: float) -> None:
        sock = self.connection._sock
        if isinstance(sock, Wire):
            sock.limit, sock.ends = limit, ends
        elif sock is not None:  # of a pool that is not ours
            sock.settimeout(limit if ends == math.inf else min(limit, left(ends)))


class Room:
    """Where threads wait until there may be one more connection, or one is free."""

    __slots__ = ("_changed", "_waiting")

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting = 0

    def find(self, look: Callable[[], T | None], seconds: float) -> T | None:
        """Return what `look` finds, in so many seconds at most; it looks again at every `wake`.

        One looks at a time.
        """
        with self._changed:
            self._waiting += 1
            try:
                return self._changed.wait_for(look, seconds)
            finally:
                self._waiting -= 1

    def wake(self) -> None:
        """Let one who waits look again."""
        if self._waiting:
            with self._changed:
                self._changed.notify()


class Pools(Generic[P]):
    """One pool for all threads."""

    def __init__(self, make: Callable[[], P]) -> None:
        self._pool = make()

    def here(self) -> P:
        """Return it."""
        return self._pool

    def close(self) -> None:
        """Close what is not in use."""
        for line in self._pool.retire():
            line.finish()

    def leave_parent(self) -> None:
        """Leave the parent's connections to the parent."""
        self._pool.leave_parent()


def line_maker(settings: Settings) -> Callable[[], Line]:
    """Return what makes connections that are not open yet."""
    kind, arguments = connection_recipe(settings, redis.connection)
    on_wire = _on_wire(kind)
    return lambda: Line(on_wire(**arguments), settings.timeout)


def given_pool(client: object, pool: object) -> Any:
    """Return the pool to take connections from, out of what the caller gave."""
    return pool_of(client, pool, redis, colour="redis", other="redis.asyncio")


def line_of(pool: Any, names: Sequence[str], ends: float, timeout: float) -> Line:
    """Return a connection of a pool that is not ours."""
    left(ends)
    return Line(pool.get_connection(*names), timeout)
