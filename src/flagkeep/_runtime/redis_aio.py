"""Connections to a Redis for asyncio. `redis_threads` has the same names, not awaited.

Whatever is said there is so here too, but for one thing: a connection belongs to the event loop
that it was made in. A store may be used in several, one after the other or in several threads, and
has connections for each.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

import redis
import redis.asyncio
import redis.asyncio.connection

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

Client = redis.asyncio.Redis
Pool = redis.asyncio.ConnectionPool

# The driver lets ValueError through where an answer cannot be read, or a name cannot be looked up.
_ERRORS: Final = (redis.RedisError, OSError, ValueError, NoConnection, NoRoom)
_LOST: Final = (redis.ConnectionError, ConnectionError)

# Seconds after which a connection is not trusted any more: networks forget those that are silent.
_STALE: Final = 60.0

# Connections of a parent process: never used, never closed, never collected.
_abandoned: Final[list[object]] = []


class Line:
    """One connection. Used by one task at a time.

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

    async def open(self, settings: Settings, ends: float) -> None:
        """Connect, and say who we are."""
        connection = self.connection
        limit = min(settings.connect_timeout, _left(ends))
        try:
            async with asyncio.timeout(limit):
                await connection.connect()
        except (redis.TimeoutError, TimeoutError):
            raise NoConnection(limit) from None
        if settings.greeting:
            for reply in await self.exchange(settings.greeting, ends):
                if isinstance(reply, Exception):
                    raise reply

    def is_quiet(self) -> bool:
        """Return whether the other end has said nothing since, as far as the loop knows."""
        if time.monotonic() - self.idle_since > _STALE:
            return False
        reader, writer = self.connection._reader, self.connection._writer
        if reader is None or writer is None:
            return False
        return not (reader.at_eof() or reader._buffer or writer.is_closing() or reader.exception())

    async def exchange(
        self, commands: Sequence[Command], ends: float, last: float | None = None
    ) -> list[Any]:
        """Send `commands` in one go and return the answers, the server's errors among them.

        Args:
            commands: at least one.
            ends: when to give up.
            last: seconds to wait for the last answer, if that is more than for the others.
        """
        connection = self.connection
        replies: list[Any] = []
        async with asyncio.timeout_at(_when(last or self._timeout, ends)) as clock:
            await connection.send_packed_command(packed_all(commands), False)
            if last is not None:
                clock.reschedule(_when(self._timeout, ends))
            for number in range(len(commands)):
                if last is not None and number == len(commands) - 1:
                    clock.reschedule(_when(last, ends))
                try:
                    replies.append(await connection.read_response(disable_decoding=True))
                except redis.ResponseError as exc:
                    replies.append(exc.with_traceback(None))
        return replies

    async def close(self) -> None:
        """Close it, without waiting for the other end."""
        await self.connection.disconnect(nowait=True)

    def close_soon(self) -> None:
        """Close it, as soon as the loop comes to it."""
        connection = self.connection
        writer, connection._writer, connection._reader = connection._writer, None, None
        if writer is not None:
            writer.close()

    async def finish(self) -> None:
        """Close it, and wait a moment until that is done."""
        writer = self.connection._writer
        await self.connection.disconnect(nowait=True)
        if writer is not None:
            with suppress(OSError):
                async with asyncio.timeout(self._timeout):
                    await writer.wait_closed()

    def forget(self) -> None:
        """Close it, where its loop is closed: asyncio knows no way to do so."""
        connection = self.connection
        writer, connection._writer, connection._reader = connection._writer, None, None
        transport = getattr(writer, "transport", None)
        encrypted = getattr(transport, "_ssl_protocol", None)
        for one in (transport, getattr(encrypted, "_transport", None)):
            if one is None:
                continue
            with suppress(AttributeError):
                one._closing = one._closed = True
            sock = getattr(one, "_sock", None)
            if sock is not None:
                sock.close()
                one._sock = None


def _left(ends: float) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _when(limit: float, ends: float) -> float:
    """Return the loop's time at which `limit` seconds are over, or `ends` has come."""
    if ends != math.inf:
        limit = min(limit, _left(ends))
    return asyncio.get_running_loop().time() + limit


class _OwnPool:
    """Connections that this store made in one event loop. The last one used is used first."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._make, self._arguments = connection_recipe(settings, redis.asyncio.connection)
        self._arguments["socket_timeout"] = None  # ours is around it, and the driver's costs a task
        self._is_closed = False
        self._free: list[Line] = []
        self._lines: set[Line] = set()
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self, ends: float) -> Line:
        while self._free:
            line = self._free.pop()
            if line.is_quiet():
                return line
            await self.drop(line)
        return await self.take_new(ends)

    async def take_new(self, ends: float) -> Line:
        await self._wait_for_room(ends)
        if self._free:
            return self._free.pop()
        line = Line(self._make(**self._arguments), self._settings.timeout)
        self._lines.add(line)
        try:
            await line.open(self._settings, ends)
        except BaseException:
            await self.drop(line)
            raise
        return line

    async def _wait_for_room(self, ends: float) -> None:
        """Wait until a connection may be made, or one has come back."""
        until = _when(self._settings.timeout, ends)
        while len(self._lines) >= self._settings.max_connections and not self._free:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                async with asyncio.timeout_at(until):
                    await turn
            except BaseException as exc:
                if turn.done() and not turn.cancelled():
                    self._wake()  # it was our turn: somebody else's now
                if isinstance(exc, TimeoutError):
                    raise NoRoom from None
                raise

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    async def give(self, line: Line) -> None:
        line.was_used, line.idle_since = True, time.monotonic()
        self._free.append(line)
        self._wake()
        if self._is_closed:
            await self.close()

    async def drop(self, line: Line) -> None:
        self._lines.discard(line)
        self._wake()
        await line.close()

    async def drop_idle(self) -> None:
        while self._free:
            await self.drop(self._free.pop())

    async def close(self) -> None:
        self._is_closed = True
        while self._free:
            line = self._free.pop()
            self._lines.discard(line)
            await line.finish()

    def close_soon(self) -> None:
        """Close what is not in use; called in the loop of the connections."""
        self._is_closed = True
        while self._free:
            line = self._free.pop()
            self._lines.discard(line)
            line.close_soon()

    def forget(self) -> None:
        """Close all, where the loop is closed."""
        for line in self._lines:
            line.forget()


class _ForeignPool:
    """Connections of a pool that belongs to the caller: its limits, its checks, never closed."""

    def __init__(self, pool: Any, timeout: float) -> None:
        self._pool = pool
        self._timeout = timeout
        self._names = command_names(pool)

    async def take(self, ends: float) -> Line:
        if ends == math.inf:
            return Line(await self._pool.get_connection(*self._names), self._timeout)
        async with asyncio.timeout(_left(ends)):
            return Line(await self._pool.get_connection(*self._names), self._timeout)

    take_new = take

    async def give(self, line: Line) -> None:
        await self._pool.release(line.connection)

    async def drop(self, line: Line) -> None:
        await line.close()
        await self._pool.release(line.connection)

    async def drop_idle(self) -> None:
        """Leave them to their owner."""


class Connections:
    """Where a store talks to its server. Any thread or task may call anything at any time.

    Attributes:
        label: what errors call the server.
        timeout: seconds that one answer may take.
    """

    def __init__(self, settings: Settings, client: object, pool: object) -> None:
        given = pool_of(client, pool, redis.asyncio, colour="redis.asyncio", other="redis")
        connection_recipe(settings, redis.asyncio.connection)
        self._settings = settings
        self._given = None if given is None else _ForeignPool(given, settings.timeout)
        self._pools: dict[asyncio.AbstractEventLoop, _OwnPool] = {}
        self.label = settings.label if given is None else pool_label(given)
        self.timeout = settings.timeout
        fork.watch(self, fork.Rank.STORE)

    def lease(self, operation: str, *, timeout: float | None = None) -> "Lease":
        """Return one connection for several questions; to be entered."""
        if not fork.MARK[0]:
            fork.settle()
        waited = self.timeout if timeout is None else timeout
        ends = math.inf if timeout is None else time.monotonic() + timeout
        pool = self._given or self._pool_here()
        return Lease(pool, ends, label=self.label, operation=operation, waited=waited)

    async def aclose(self) -> None:
        """Close what is not in use, and the rest when it comes back."""
        here = self._pools.pop(asyncio.get_running_loop(), None)
        while self._pools:
            loop, pool = self._pools.popitem()
            try:
                loop.call_soon_threadsafe(pool.close_soon)
            except RuntimeError:
                pool.forget()
        if here is not None:
            await here.close()

    def after_fork(self) -> None:
        """Leave the parent's connections to the parent."""
        if self._pools:
            _abandoned.append(self._pools)
            self._pools = {}

    def _pool_here(self) -> _OwnPool:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            for other in list(self._pools):
                gone = self._pools.pop(other, None) if other.is_closed() else None
                if gone is not None:
                    gone.forget()
            pool = self._pools[loop] = _OwnPool(self._settings)
        return pool


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

    async def __aenter__(self) -> Self:
        try:
            self._line = await self._pool.take(self._ends)
        except _ERRORS as exc:
            raise self._translated(exc) from None
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        line, self._line = self._line, None
        if line is None:
            return
        if kind is None:
            await self._pool.give(line)
        else:
            await self._pool.drop(line)

    async def ask(self, commands: Sequence[Command], *, last: float | None = None) -> list[Any]:
        """Send commands in one go and return the answers; refusals of single ones are among them.

        Raises:
            StoreError: there is no complete answer.
        """
        try:
            replies = await self._exchange(commands, last)
        except _ERRORS as exc:
            raise self._translated(exc) from None
        return refusals_marked(replies, commands, self._label, self._operation)

    async def _exchange(self, commands: Sequence[Command], last: float | None) -> list[Any]:
        """Talk. A connection that was lost while nobody used it is replaced, once."""
        line = self._line
        if line is None:
            raise RuntimeError("this connection was given back")
        may_be_stale, self._asked = line.was_used and not self._asked, True
        try:
            return await line.exchange(commands, self._ends, last)
        except _LOST:
            if not may_be_stale:
                raise
        self._line = None
        await self._pool.drop(line)
        await self._pool.drop_idle()
        self._line = await self._pool.take_new(self._ends)
        return await self._line.exchange(commands, self._ends, last)

    def _translated(self, exc: Exception) -> StoreError:
        return translated(exc, self._label, self._operation, timeout=self._waited)
