"""HTTP in asyncio. `http_threads` has the same names, not awaited.

The driver takes 50 ms to be imported, so it is when the first `AsyncHttp` is made.
"""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from flagkeep._runtime import fork
from flagkeep._runtime.http_response import HttpResponse
from flagkeep._runtime.http_stop import ABANDONED, Stop
from flagkeep.config import HttpSettings

if TYPE_CHECKING:  # they import the driver
    from flagkeep._runtime.http_exchange import Exchange
    from flagkeep._runtime.http_lines_aio import Answer, Lines
    from flagkeep._runtime.http_tls import Trust


class AsyncHttp:
    """Requests to servers. Usable from several event loops, which share no connection.

    Attributes:
        max_response_bytes: as the settings say.

    Raises:
        ConfigError: the certificates that the settings name cannot be used.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self.max_response_bytes = settings.max_response_bytes
        self._settings = settings
        with fork.unforkable:
            from flagkeep._runtime import (  # noqa: PLC0415  see above
                http_exchange,
                http_lines_aio,
                http_tls,
            )
        self._new_exchange: type[Exchange] = http_exchange.Exchange
        self._new_lines: type[Lines] = http_lines_aio.Lines
        self._trust: Trust = http_tls.Trust(settings)
        self._is_closed = False
        self._lines: dict[asyncio.AbstractEventLoop, Lines] = {}
        fork.watch(self, fork.Rank.STORE)

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        timeout: float | None = None,
    ) -> HttpResponse:
        """Return the answer, whatever its status; redirects of GET are followed three times.

        Args:
            body: of the request.
            timeout: seconds for everything together. Without it an answer may drip in for ever,
                with a limit for each piece.

        Raises:
            UpstreamUnavailable: there is none that can be used.
        """
        exchange = self._new_exchange(method, url, headers, body, self._settings)
        return await self._lines_here().request(exchange, timeout)

    def stream(self, url: str, headers: Mapping[str, str], *, silence: float) -> "AsyncHttpStream":
        """Return a stream that is to be opened.

        Args:
            silence: seconds without a byte after which it counts as broken.
        """
        stop = Stop()
        exchange = self._new_exchange("GET", url, headers, None, self._settings)
        lines = self._new_lines(self._settings, stop, self._trust)
        return AsyncHttpStream(lines, exchange, stop, silence)

    async def aclose(self) -> None:
        """Close all connections but those of streams; what is under way ends at once."""
        self._is_closed = True
        here = self._lines.pop(asyncio.get_running_loop(), None)
        while self._lines:
            loop, lines = self._lines.popitem()
            try:
                loop.call_soon_threadsafe(lines.close_soon)
            except RuntimeError:
                lines.forget()
        if here is not None:
            await here.aclose()

    def after_fork(self) -> None:
        """Leave the parent's connections, and its loops, to the parent."""
        ABANDONED.append(self._lines)
        for lines in self._lines.values():
            lines.leave_parent()
        self._lines = {}

    def _lines_here(self) -> "Lines":
        loop = asyncio.get_running_loop()
        lines = self._lines.get(loop)
        if lines is None:
            for other in list(self._lines):
                gone = self._lines.pop(other, None) if other.is_closed() else None
                if gone is not None:
                    gone.forget()
            lines = self._new_lines(self._settings, Stop(), self._trust)
            if self._is_closed:
                lines.stop.set()
            else:
                self._lines[loop] = lines
        return lines


class AsyncHttpStream:
    """An answer without end. Used by one task, and stopped from any thread.

    Attributes:
        status: of the answer, once it is open; 0 before.
        headers: likewise; names are in lower case.
    """

    def __init__(self, lines: "Lines", exchange: "Exchange", stop: Stop, silence: float) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self._lines = lines
        self._exchange = exchange
        self._stop = stop
        self._silence = silence
        self._answer: Answer | None = None
        fork.watch(self, fork.Rank.STORE)

    async def open(self) -> None:
        """Connect, ask and read the head of the answer; redirects are followed three times.

        Raises:
            UpstreamUnavailable: there is no answer that can be used.
        """
        self._answer = await self._lines.open(self._exchange, self._silence)
        self.status, self.headers = self._answer.head

    async def read(self) -> bytes:
        """Return the next piece as it arrives, `b""` at the end.

        Raises:
            UpstreamUnavailable: the connection broke, or nothing came for too long.
        """
        assert self._answer is not None, "open it first"  # noqa: S101  no state of the network
        return await self._answer.read()

    def stop(self) -> None:
        """End it from any thread at any time: who waits for it gets UpstreamUnavailable."""
        self._stop.set()

    async def aclose(self) -> None:
        """Close its connection. For the task that reads."""
        if self._answer is not None:
            await self._answer.aclose()
        await self._lines.aclose()

    def after_fork(self) -> None:
        """Leave the parent's connection to the parent."""
        self._lines.leave_parent()
        if self._answer is not None:
            self._answer.leave_parent()
