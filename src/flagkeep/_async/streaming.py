"""Flags and segments over a stream of the first protocol: everything at first, then each change.

A stream that ends, for whatever reason, is opened again after a wait (`protocol.backoff`); what
was received stays in force meanwhile. Nothing but `stop` ends the source.

    open -> head is checked -> events, each put in force as it comes -> failure -> wait -> open

Source: data source spec, section 2.
"""

import logging
from typing import Final

from flagkeep._async.interfaces import AsyncDataSink
from flagkeep._async.upstream_news import UpstreamNews
from flagkeep._runtime import aio as runtime
from flagkeep._runtime.http_aio import AsyncHttp, AsyncHttpStream
from flagkeep.config import Streaming
from flagkeep.errors import InvalidData, UpstreamUnavailable
from flagkeep.model.status import SourceError, SourceErrorKind, SourceState
from flagkeep.protocol.backoff import Failure, StreamBackoff
from flagkeep.protocol.fdv1 import read_event
from flagkeep.protocol.http import Problem, Requester, check_stream_response, display, stream_url
from flagkeep.protocol.sse import Event, EventStreamParser

log = logging.getLogger("flagkeep.source")

SILENCE: Final = 300.0  # seconds without any byte; a server sends comments more often


class AsyncStreamingSource:
    """Follows one environment of an upstream.

    Args:
        filter: key of a payload filter.
        requester: who asks.
        told: gets to know what is not flag data.
    """

    name: Final = "streaming"
    has_versions: Final = True
    keeps_trying_to_start: Final = True

    def __init__(
        self,
        settings: Streaming,
        *,
        filter: str | None,  # noqa: A002  what the field calls it
        http: AsyncHttp,
        requester: Requester,
        told: UpstreamNews,
    ) -> None:
        self._url = stream_url(settings.base_uri, filter)
        self._http = http
        self._requester = requester
        self._told = told
        self._backoff = StreamBackoff(initial=settings.initial_reconnect_delay, jitter=runtime.draw)
        self._last_event_id = ""
        self._stream: AsyncHttpStream | None = None
        self._stopped = runtime.Event()

    async def run(self, sink: AsyncDataSink) -> None:
        """Deliver to `sink` until `stop` is called."""
        while not self._stopped.is_set():
            problem = await self._follow(sink)
            if self._stopped.is_set():
                return
            wait = self._backoff.failed(problem.failure, runtime.monotonic())
            message = f"{display(self._url)}: {problem.message}; next try in {wait:.1f} s"
            error = SourceError(problem.kind, message, runtime.wall_time(), problem.status_code)
            await sink.report(SourceState.INTERRUPTED, error)
            await self._stopped.wait(wait)

    def stop(self) -> None:
        """End `run`, and close the connection. May be called from any thread, more than once."""
        self._stopped.set()
        stream = self._stream
        if stream is not None:
            stream.stop()

    async def _follow(self, sink: AsyncDataSink) -> Problem:
        """Open the stream and follow it to its end; returns why that came."""
        headers = self._requester.stream_headers(self._last_event_id)
        stream = self._stream = self._http.stream(self._url, headers, silence=SILENCE)
        if self._stopped.is_set():  # it may not have seen the stream
            stream.stop()
        attempt = _Attempt(self._told)
        try:
            await stream.open()
            problem = check_stream_response(stream.status, stream.headers)
            if problem is None:
                self._told.answered(stream.headers)
                await self._deliver(stream, sink, attempt)
                problem = _network("the server closed the stream")
        except UpstreamUnavailable as exc:
            problem = _network(exc.reason)
        except InvalidData as exc:
            problem = Problem(SourceErrorKind.INVALID_DATA, Failure.NORMAL, str(exc))
        finally:
            await stream.aclose()
            self._stream = None
        attempt.ended(failed=True)
        return problem

    async def _deliver(
        self, stream: AsyncHttpStream, sink: AsyncDataSink, attempt: "_Attempt"
    ) -> None:
        """Put each event in force until the stream ends.

        Raises:
            InvalidData: an event is broken.
            UpstreamUnavailable: the stream broke off.
        """
        parser = EventStreamParser(self._http.max_response_bytes)
        while chunk := await stream.read():
            for event in parser.feed(chunk):
                await self._handle(event, sink, attempt)
            self._last_event_id = parser.last_event_id or self._last_event_id

    async def _handle(self, event: Event, sink: AsyncDataSink, attempt: "_Attempt") -> None:
        try:
            changes = read_event(event)
        except InvalidData as exc:
            raise InvalidData(f"event {event.name!r}: {exc.problem}", exc.path) from None
        if changes is None or self._stopped.is_set():
            return
        await sink.apply(changes)
        self._backoff.succeeded(runtime.monotonic())
        attempt.ended(failed=False)


class _Attempt:
    """One try to get data over a stream, for the client's statistics."""

    def __init__(self, told: UpstreamNews) -> None:
        self._told = told
        self._started = runtime.wall_time()
        self._has_ended = False

    def ended(self, *, failed: bool) -> None:
        """Take note of how it ended; only the first time counts."""
        if not self._has_ended:
            self._has_ended = True
            self._told.tried(self._started, failed=failed)


def _network(reason: str) -> Problem:
    return Problem(SourceErrorKind.NETWORK_ERROR, Failure.NORMAL, reason)
