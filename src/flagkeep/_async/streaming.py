"""Flags and segments over a stream of the first protocol: everything at first, then each change.

A stream that ends, for whatever reason, is opened again after a wait (`protocol.backoff`); what
was received stays in force meanwhile. Nothing but `stop` ends the source.

    open -> head is checked -> events, each put in force as it comes -> failure -> wait -> open

A failure is also a stream on which nothing comes, or an event so slowly that it never ends
(`protocol.pace`).

Source: data source spec, section 2.
"""

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
from flagkeep.protocol.http import (
    NO_MEMORY,
    Problem,
    Requester,
    check_stream_response,
    display,
    stream_url,
)
from flagkeep.protocol.pace import EventPace
from flagkeep.protocol.sse import Event, EventStreamParser

SILENCE: Final = 300.0  # seconds without any byte; a server sends comments more often


class AsyncStreamingSource:
    """Follows one environment of an upstream.

    Args:
        filter: key of a payload filter.
        requester: who asks.
        told: gets to know what is not flag data.
        silence: seconds without any byte after which the stream counts as broken; an event that
            has begun may take as long, and longer if it is large.
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
        silence: float = SILENCE,
    ) -> None:
        self._silence = silence
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
            try:
                problem = await self._follow(sink)
            except MemoryError:
                problem = NO_MEMORY
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
        stream = self._stream = self._http.stream(self._url, headers, silence=self._silence)
        if self._stopped.is_set():  # it may not have seen the stream
            stream.stop()
        attempt = _Attempt(self._told)
        try:
            await stream.open()
            problem = check_stream_response(stream.status, stream.headers)
            if problem is None:
                self._told.answered(stream.headers)
                problem = await self._deliver(stream, sink, attempt)
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
    ) -> Problem:
        """Put each event in force until the stream ends; returns why that came.

        Raises:
            InvalidData: an event is broken.
            UpstreamUnavailable: the stream broke off.
        """
        parser = EventStreamParser(self._http.max_response_bytes)
        parser.last_event_id = self._last_event_id
        pace = EventPace(self._silence, runtime.monotonic())
        while chunk := await stream.read():
            ended = await self._take_in(parser, chunk, sink, attempt)
            self._last_event_id = parser.last_event_id
            if pace.is_too_slow(
                len(chunk),
                ended=ended,
                is_between=parser.is_between_events,
                now=runtime.monotonic(),
            ):
                return _network("the server sends so slowly that no event is completed")
        return _network("the server closed the stream")

    async def _take_in(
        self, parser: EventStreamParser, chunk: bytes, sink: AsyncDataSink, attempt: "_Attempt"
    ) -> bool:
        """Put what ends in these bytes in force; returns whether anything did.

        No event, which may be large, outlives this: the next piece may be hours away.
        """
        events = parser.feed(chunk)
        for event in events:
            await self._handle(event, sink, attempt)
        return bool(events)

    async def _handle(self, event: Event, sink: AsyncDataSink, attempt: "_Attempt") -> None:
        try:
            changes = await runtime.beside(len(event.data), read_event, event)
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
        self._began = runtime.monotonic()
        self._has_ended = False

    def ended(self, *, failed: bool) -> None:
        """Take note of how it ended; only the first time counts."""
        if not self._has_ended:
            self._has_ended = True
            seconds = runtime.monotonic() - self._began
            self._told.tried(self._started, seconds, failed=failed)


def _network(reason: str) -> Problem:
    return Problem(SourceErrorKind.NETWORK_ERROR, Failure.NORMAL, reason)
