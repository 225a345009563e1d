"""HTTP in threads. `http_aio` has the same names, awaited.

The driver takes 50 ms to be imported, so it is when the first `Http` is made.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from flagkeep._runtime import fork
from flagkeep._runtime.http_response import HttpResponse
from flagkeep._runtime.http_stop import Stop
from flagkeep.config import HttpSettings

if TYPE_CHECKING:  # they import the driver
    from flagkeep._runtime.http_exchange import Exchange
    from flagkeep._runtime.http_lines_threads import Answer, Lines


class Http:
    """Requests to servers. Usable from any thread.

    Attributes:
        max_response_bytes: as the settings say.

    Raises:
        ConfigError: the certificates that the settings name cannot be used.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self.max_response_bytes = settings.max_response_bytes
        self._settings = settings
        with fork.unforkable:
            from flagkeep._runtime import http_exchange, http_lines_threads  # noqa: PLC0415
        self._new_exchange: type[Exchange] = http_exchange.Exchange
        self._lines: Lines = http_lines_threads.Lines(settings, Stop())
        self._is_closed = False
        fork.watch(self, fork.Rank.STORE)

    def request(
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
        return self._lines.request(exchange, timeout)

    def stream(self, url: str, headers: Mapping[str, str], *, silence: float) -> "HttpStream":
        """Return a stream that is to be opened.

        Args:
            silence: seconds without a byte after which it counts as broken.
        """
        stop = Stop()
        exchange = self._new_exchange("GET", url, headers, None, self._settings)
        return HttpStream(self._lines.beside(stop), exchange, stop, silence)

    def close(self) -> None:
        """Close all connections but those of streams; what is under way ends at once."""
        self._is_closed = True
        self._lines.close()

    def after_fork(self) -> None:
        """Leave the parent's connections to the parent."""
        self._lines.leave_parent()
        if not self._is_closed:
            self._lines = self._lines.beside(Stop())


class HttpStream:
    """An answer without end. Used by one thread, and stopped by any.

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

    def open(self) -> None:
        """Connect, ask and read the head of the answer; redirects are followed three times.

        Raises:
            UpstreamUnavailable: there is no answer that can be used.
        """
        self._answer = self._lines.open(self._exchange, self._silence)
        self.status, self.headers = self._answer.head

    def read(self) -> bytes:
        """Return the next piece as it arrives, `b""` at the end.

        Raises:
            UpstreamUnavailable: the connection broke, or nothing came for too long.
        """
        assert self._answer is not None, "open it first"  # noqa: S101  no state of the network
        return self._answer.read()

    def stop(self) -> None:
        """End it from any thread at any time: who waits for it gets UpstreamUnavailable."""
        self._stop.set()

    def close(self) -> None:
        """Close its connection. For the thread that reads."""
        if self._answer is not None:
            self._answer.close()
        self._lines.close()

    def after_fork(self) -> None:
        """Leave the parent's connection to the parent."""
        self._lines.leave_parent()
        if self._answer is not None:
            self._answer.leave_parent()
