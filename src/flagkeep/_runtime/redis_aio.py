"""What connections to a Redis do in asyncio. `redis_threads` has the same names, not awaited.

A connection belongs to the event loop that it was made in. A store may be used in several, one
after the other or in several threads, and has connections for each.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

import redis
import redis.asyncio
import redis.asyncio.connection

from flagkeep._runtime.redis_driver import ABANDONED, Connected, Owner, left
from flagkeep._runtime.redis_errors import NoConnection
from flagkeep._runtime.redis_settings import Settings, connection_recipe, pool_of
from flagkeep.storage.redis_commands import Command, packed_all

Client = redis.asyncio.Redis
Pool = redis.asyncio.ConnectionPool

T = TypeVar("T")
P = TypeVar("P", bound=Owner["Line"])


class Line(Connected):
    """One connection. Used by one task at a time."""

    __slots__ = ()

    async def open(self, limit: float) -> None:
        """Connect, within so many seconds."""
        connection = self.connection
        try:
            async with asyncio.timeout(limit):
                await connection.connect()
        except (redis.TimeoutError, TimeoutError):
            raise NoConnection(limit) from None

    def is_quiet(self) -> bool:
        """Return whether the other end has said nothing since, as far as the loop knows."""
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

    def restore(self) -> None:
        """Do nothing: the limits are of the tasks here, not of the owner's connection."""

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


def _when(limit: float, ends: float) -> float:
    """Return the loop's time at which `limit` seconds are over, or `ends` has come."""
    if ends != math.inf:
        limit = min(limit, left(ends))
    return asyncio.get_running_loop().time() + limit


class Room:
    """Where tasks wait until there may be one more connection, or one is free."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def find(self, look: Callable[[], T | None], seconds: float) -> T | None:
        """Return what `look` finds, in so many seconds at most; it looks again at every `wake`."""
        found = look()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while found is None:
                    await self._next_turn()
                    found = look()
        return found

    def wake(self) -> None:
        """Let one who waits look again."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    async def _next_turn(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.wake()  # it was our turn: somebody else's now
            raise


class Pools(Generic[P]):
    """One pool for each event loop, made when it is first needed there."""

    def __init__(self, make: Callable[[], P]) -> None:
        self._make = make
        self._pools: dict[asyncio.AbstractEventLoop, P] = {}

    def here(self) -> P:
        """Return the pool of the running loop."""
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            for other in list(self._pools):
                gone = self._pools.pop(other, None) if other.is_closed() else None
                if gone is not None:
                    _forget(gone)
            pool = self._pools[loop] = self._make()
        return pool

    async def aclose(self) -> None:
        """Close what is not in use, each connection in its loop."""
        here = self._pools.pop(asyncio.get_running_loop(), None)
        while self._pools:
            loop, pool = self._pools.popitem()
            try:
                loop.call_soon_threadsafe(_close_soon, pool)
            except RuntimeError:
                _forget(pool)
        if here is not None:
            for line in here.retire():
                await line.finish()

    def leave_parent(self) -> None:
        """Leave the parent's connections, and its loops, to the parent."""
        ABANDONED.append(self._pools)
        for pool in self._pools.values():
            pool.leave_parent()
        self._pools = {}


def _close_soon(pool: Owner[Line]) -> None:
    for line in pool.retire():
        line.close_soon()


def _forget(pool: Owner[Line]) -> None:
    for line in pool.lines:
        line.forget()


def line_maker(settings: Settings) -> Callable[[], Line]:
    """Return what makes connections that are not open yet."""
    kind, arguments = connection_recipe(settings, redis.asyncio.connection)
    arguments["socket_timeout"] = None  # ours is around it, and the driver's costs a task
    return lambda: Line(kind(**arguments), settings.timeout)


def given_pool(client: object, pool: object) -> Any:
    """Return the pool to take connections from, out of what the caller gave."""
    return pool_of(client, pool, redis.asyncio, colour="redis.asyncio", other="redis")


async def line_of(pool: Any, names: Sequence[str], ends: float, timeout: float) -> Line:
    """Return a connection of a pool that is not ours."""
    async with asyncio.timeout(None if ends == math.inf else left(ends)):
        return Line(await pool.get_connection(*names), timeout)
