"""Requests over connections of the driver, in threads. `http_lines_aio` has the same names."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import httpcore2

from flagkeep._runtime.guard import Guard
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
from flagkeep._runtime.http_network_threads import Network, Pool, ProxyPool
from flagkeep._runtime.http_response import HttpResponse
from flagkeep._runtime.http_stop import ABANDONED, ATTEMPT, Attempt, Stop
from flagkeep._runtime.http_tls import Trust
from flagkeep.config import HttpSettings


class Lines:
    """Connections that end when `Stop` is set."""

    def __init__(self, settings: HttpSettings, stop: Stop, trust: Trust | None = None) -> None:
        self._settings = settings
        self._stop = stop
        self._trust = trust or Trust(settings)
        self._network = Network(stop)
        self._pools: dict[Route, Pool] = {}
        self._guard = Guard()
        self._busy = 0

    def beside(self, stop: Stop) -> "Lines":
        """Return others that are made in the same way."""
        return Lines(self._settings, stop, self._trust)

    def request(self, exchange: Exchange, seconds: float | None) -> HttpResponse:
        """Return the whole answer, in so many seconds."""
        with self._use(), failures(exchange, self._stop), _attempt(seconds):
            response, head = self._send(exchange, self._settings.read_timeout)
            try:
                body = Body(head, self._settings.max_response_bytes)
                for piece in response.iter_stream():
                    body.add(piece)
                return HttpResponse(head.status, head.headers, body.whole())
            finally:
                response.close()

    def open(self, exchange: Exchange, silence: float) -> "Answer":
        """Return an answer whose body is still to come; its head is there within `silence`."""
        with self._use(), failures(exchange, self._stop):
            with _attempt(silence + self._settings.connect_timeout):
                response, head = self._send(exchange, silence)
            return Answer(exchange, self._stop, response, head)

    def close(self) -> None:
        """Close all; whoever uses one now closes it, a moment later."""
        self._stop.set()
        with self._use():
            pass

    def leave_parent(self) -> None:
        """Leave the parent's connections to the parent."""
        ABANDONED.append(self._pools)
        self._pools = {}

    def _send(self, exchange: Exchange, read_timeout: float) -> tuple[httpcore2.Response, Head]:
        while True:
            response = self._send_once(exchange, read_timeout)
            head = head_of(response.status, response.headers)
            if not exchange.is_moved(head):
                return response, head
            response.close()

    def _send_once(self, exchange: Exchange, read_timeout: float) -> httpcore2.Response:
        self._stop.check()
        attempt = ATTEMPT.get()
        attempt.has_connected = False
        pool = self._pool(exchange.route)
        try:
            return pool.handle_request(exchange.request(read_timeout))
        except STALE:
            if attempt.has_connected:
                raise
        # The server had closed an idle connection, just as the request was under way to it.
        return pool.handle_request(exchange.request(read_timeout))

    def _pool(self, route: Route) -> Pool:
        with self._guard:
            pool = self._pools.get(route)
        if pool is not None:
            return pool
        pool = self._new_pool(route)
        with self._guard:
            return self._pools.setdefault(route, pool)

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

    @contextmanager
    def _use(self) -> Iterator[None]:
        """Close what is not in use any more, once it has come to that."""
        with self._guard:
            self._busy += 1
        try:
            yield
        finally:
            with self._guard:
                self._busy -= 1
                is_last = self._stop.is_set and not self._busy
            if is_last and self._stop.is_ours:
                for pool in list(self._pools.values()):
                    pool.close()


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
        self._pieces = response.iter_stream()
        self._inflater = inflater_for(head)

    def read(self) -> bytes:
        """Return the next piece as it arrives, `b""` at the end."""
        with failures(self._exchange, self._stop):
            if self._inflater is None:
                return next(self._pieces, b"")
            while not (piece := self._inflater.take()):
                if not (compressed := next(self._pieces, b"")):
                    return b""
                self._inflater.feed(compressed)
            return piece

    def close(self) -> None:
        """Close its connection."""
        if self._stop.is_ours:
            self._response.close()

    def leave_parent(self) -> None:
        """Leave it to the parent."""
        ABANDONED.append((self._response, self._pieces))


@contextmanager
def _attempt(seconds: float | None) -> Iterator[None]:
    token = ATTEMPT.set(Attempt(seconds))
    try:
        yield
    finally:
        ATTEMPT.reset(token)
