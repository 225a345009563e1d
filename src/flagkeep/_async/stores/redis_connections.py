"""How a store talks to its Redis, whatever it has to say.

redis-py makes, encrypts and reads the connections; which of them is used when, how long is waited
and what is tried again is decided here. That costs half of what a command costs through its
client, gives bytes whatever the caller's options say, and nothing is tried twice unseen.
"""

import math
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self

from flagkeep._async.stores.redis_pools import AsyncGivenPool, AsyncOwnPool
from flagkeep._runtime import aio as runtime
from flagkeep._runtime import fork
from flagkeep._runtime.redis_aio import Line, Pools, given_pool, line_maker
from flagkeep._runtime.redis_driver import ERRORS, LOST
from flagkeep._runtime.redis_errors import refusals_marked, translated
from flagkeep._runtime.redis_settings import Settings, pool_label
from flagkeep.errors import StoreError
from flagkeep.storage.redis_commands import Command


class AsyncConnections:
    """Where a store talks to its server. Any thread or task may call anything at any time.

    Args:
        settings: where to connect, unless something is given.
        client: of redis-py, or None.
        pool: of redis-py, or None.

    Attributes:
        label: what errors call the server.
        timeout: seconds that one answer may take.
    """

    def __init__(self, settings: Settings, client: object, pool: object) -> None:
        given = given_pool(client, pool)
        self._given = None if given is None else AsyncGivenPool(given, settings.timeout)
        self._pools = Pools(partial(AsyncOwnPool, settings, line_maker(settings)))
        self.label = settings.label if given is None else pool_label(given)
        self.timeout = settings.timeout
        fork.watch(self, fork.Rank.STORE)

    def lease(self, operation: str, *, timeout: float | None = None) -> "AsyncLease":
        """Return one connection for several questions; to be entered."""
        if not fork.MARK[0]:
            fork.settle()
        waited = self.timeout if timeout is None else timeout
        ends = math.inf if timeout is None else runtime.monotonic() + timeout
        pool = self._given or self._pools.here()
        return AsyncLease(pool, ends, label=self.label, operation=operation, waited=waited)

    async def aclose(self) -> None:
        """Close what is not in use, and the rest when it comes back."""
        await self._pools.aclose()

    def after_fork(self) -> None:
        """Leave the parent's connections to the parent."""
        self._pools.leave_parent()


class AsyncLease:
    """One connection for as long as it is needed. It is closed after every error but a refusal."""

    __slots__ = ("_asked", "_ends", "_label", "_line", "_operation", "_pool", "_waited")

    def __init__(
        self,
        pool: AsyncOwnPool | AsyncGivenPool,
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
        except ERRORS as exc:
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
        except ERRORS as exc:
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
        except LOST:
            if not may_be_stale:
                raise
        self._line = None
        await self._pool.drop(line)
        await self._pool.drop_idle()
        self._line = await self._pool.take_new(self._ends)
        return await self._line.exchange(commands, self._ends, last)

    def _translated(self, exc: Exception) -> StoreError:
        return translated(exc, self._label, self._operation, timeout=self._waited)
