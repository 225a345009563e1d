"""Requests over connections of the driver, in asyncio. `http_lines_threads` has the same names.

What waits is a task of its own, which `Stop` cancels from any thread. Nothing but the end of a
connection would do where only the reading of its answer can be under way.
"""

import asyncio
import socket
import ssl
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import httpcore2

from flagkeep._runtime.http_errors import STALE, failures
from flagkeep._runtime.http_exchange import (
    KEPT,
    KEPT_FOR,
    Body,
    Exchange,
    Head,
    Route,
    head_of,
    inflater_for,
    proxy_address,
)
from flagkeep._runtime.http_network_aio import Network, Pool, ProxyPool
from flagkeep._runtime.http_response import HttpResponse
from flagkeep._runtime.http_stop import ABANDONED, ATTEMPT, Attempt, Stop, Stopped, TooSlow
from flagkeep._runtime.http_tls import Trust
from flagkeep.config import HttpSettings

T = TypeVar("T")


class Lines:
    """Connections that belong to one event loop.

    Attributes:
        stop: ends them.
    """

    def __init__(self, settings: HttpSettings, stop: Stop, trust: Trust) -> None:
        self._settings = settings
        self.stop = stop
        self._trust = trust
        self._network = Network(stop)
        self._pools: dict[Route, Pool] = {}
        self._busy = 0
        self._closing: asyncio.Task[None] | None = None

    async def request(self, exchange: Exchange, seconds: float | None) -> HttpResponse:
        """Return the whole answer, in so many seconds."""
        with failures(exchange, self.stop):
            try:
                async with asyncio.timeout(seconds):
                    return await self._stoppable(self._request(exchange))
            except TimeoutError:
                raise TooSlow(f"no complete answer within {seconds:g} s") from None

    async def open(self, exchange: Exchange, silence: float) -> "Answer":
        """Return an answer whose body is still to come; its head is there within `silence`."""
        with failures(exchange, self.stop):
            try:
                async with asyncio.timeout(silence + self._settings.connect_timeout):
                    response, head = await self._stoppable(self._send(exchange, silence))
            except TimeoutError:
                raise TooSlow(f"no complete answer within {silence:g} s") from None
            return Answer(exchange, self.stop, response, head)

    async def aclose(self) -> None:
        """Close all."""
        self.stop.set()
        if not self._busy:
            await self._close_pools()

    def close_soon(self) -> None:
        """Close all, as soon as the loop comes to it. For the loop's thread."""
        self._closing = asyncio.get_running_loop().create_task(self.aclose())

    def leave_parent(self) -> None:
        """Leave the parent's connections to the parent."""
        ABANDONED.append(self._pools)
        self._pools = {}

    def forget(self) -> None:
        """Close what is left, where the event loop is closed."""
        for thing in self.stop.take_all():
            if isinstance(thing, socket.socket):
                thing.close()

    async def _stoppable(self, work: Coroutine[Any, Any, T]) -> T:
        loop = asyncio.get_running_loop()
        task = loop.create_task(work)
        self._busy += 1
        try:
            self.stop.add(task, partial(loop.call_soon_threadsafe, task.cancel))
            return await task
        except Stopped:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            raise
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if caller is None or caller.cancelling() or not self.stop.is_set:
                raise
            raise Stopped from None
        finally:
            self.stop.remove(task)
            self._busy -= 1
            if self.stop.is_set and not self._busy:
                await self._close_pools()

    async def _request(self, exchange: Exchange) -> HttpResponse:
        response, head = await self._send(exchange, self._settings.read_timeout)
        try:
            body = Body(head, self._settings.max_response_bytes)
            async for piece in response.aiter_stream():
                body.add(piece)
            return HttpResponse(head.status, head.headers, body.whole())
        finally:
            await response.aclose()

    async def _send(
        self, exchange: Exchange, read_timeout: float
    ) -> tuple[httpcore2.Response, Head]:
        while True:
            response = await self._send_once(exchange, read_timeout)
            head = head_of(response.status, response.headers)
            if not exchange.is_moved(head):
                return response, head
            await response.aclose()

    async def _send_once(self, exchange: Exchange, read_timeout: float) -> httpcore2.Response:
        attempt = Attempt(None)
        pool = await self._pool(exchange.route)
        with _attempt(attempt):
            try:
                return await pool.handle_async_request(exchange.request(read_timeout))
            except STALE:
                if attempt.has_connected:
                    raise
            # The server had closed an idle connection, just as the request was under way to it.
            return await pool.handle_async_request(exchange.request(read_timeout))

    async def _pool(self, route: Route) -> Pool:
        if route.needs_tls and not self._trust.is_read:
            with suppress(RuntimeError):  # no more threads: then here
                await asyncio.to_thread(self._trust.context)  # it reads many certificates
        pool = self._pools.get(route)
        if pool is None:
            pool = self._pools[route] = self._new_pool(route)
        return pool

    def _new_pool(self, route: Route) -> Pool:
        context: ssl.SSLContext | None = self._trust.context() if route.needs_tls else None
        if route.proxy is None:
            return Pool(
                ssl_context=context,
                max_connections=None,
                max_keepalive_connections=KEPT,
                keepalive_expiry=KEPT_FOR,
                network_backend=self._network,
            )
        proxy = proxy_address(route.proxy)
        return ProxyPool(
            proxy.url,
            proxy_auth=proxy.auth,
            ssl_context=context,
            proxy_ssl_context=context if proxy.is_tls else None,
            max_connections=None,
            max_keepalive_connections=KEPT,
            keepalive_expiry=KEPT_FOR,
            network_backend=self._network,
        )

    async def _close_pools(self) -> None:
        if self.stop.is_ours:
            for pool in list(self._pools.values()):
                await pool.aclose()


class Answer:
    """An answer whose body comes in as it is read.

    Attributes:
        head: of it.
    """

    def __init__(
        self, exchange: Exchange, stop: Stop, response: httpcore2.Response, head: Head
    ) -> None:
        self.head = head
        self._exchange = exchange
        self._stop = stop
        self._response = response
        self._pieces = response.aiter_stream()
        self._inflater = inflater_for(head)

    async def read(self) -> bytes:
        """Return the next piece as it arrives, `b""` at the end."""
        with failures(self._exchange, self._stop):
            if self._inflater is None:
                return await anext(self._pieces, b"")
            while not (piece := self._inflater.take()):
                if not (compressed := await anext(self._pieces, b"")):
                    return b""
                self._inflater.feed(compressed)
            return piece

    async def aclose(self) -> None:
        """Close its connection."""
        if self._stop.is_ours:
            await self._response.aclose()

    def leave_parent(self) -> None:
        """Leave it to the parent."""
        ABANDONED.append((self._response, self._pieces))


@contextmanager
def _attempt(attempt: Attempt) -> Iterator[None]:
    token = ATTEMPT.set(attempt)
    try:
        yield
    finally:
        ATTEMPT.reset(token)
