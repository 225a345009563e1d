"""Flags and segments fetched whole, again and again (the first protocol).

What was received stays in force while polls fail. Nothing but `stop` ends the source.

Source: data source spec, section 3.
"""

from typing import Final

from flagkeep._sync.interfaces import DataSink
from flagkeep._sync.upstream_news import UpstreamNews
from flagkeep._runtime import threads as runtime
from flagkeep._runtime.http_threads import Http
from flagkeep.config import Polling
from flagkeep.errors import InvalidData, UpstreamUnavailable
from flagkeep.model.status import SourceError, SourceErrorKind, SourceState
from flagkeep.protocol.backoff import Failure, PollBackoff
from flagkeep.protocol.fdv1 import read_poll
from flagkeep.protocol.http import (
    NO_MEMORY,
    NOT_MODIFIED,
    Etags,
    Problem,
    Requester,
    check_poll_response,
    display,
    poll_url,
)

PATIENCE: Final = 300.0  # seconds for one poll altogether, however slowly its answer drips in


class PollingSource:
    """Fetches one environment of an upstream.

    Args:
        filter: key of a payload filter.
        requester: who asks.
        told: gets to know what is not flag data.
        patience: seconds after which a poll counts as failed, even if bytes are coming.
    """

    name: Final = "polling"
    has_versions: Final = True
    keeps_trying_to_start: Final = True

    def __init__(
        self,
        settings: Polling,
        *,
        filter: str | None,  # noqa: A002  what the field calls it
        http: Http,
        requester: Requester,
        told: UpstreamNews,
        patience: float = PATIENCE,
    ) -> None:
        self._patience = patience
        self._url = poll_url(settings.base_uri, filter)
        self._interval = settings.interval
        self._http = http
        self._requester = requester
        self._told = told
        self._etags = Etags()
        self._backoff = PollBackoff(interval=settings.interval, jitter=runtime.draw)
        self._stopped = runtime.Event()

    def run(self, sink: DataSink) -> None:
        """Deliver to `sink` until `stop` is called."""
        while not self._stopped.is_set():
            try:
                problem = self._poll(sink)
            except MemoryError:
                problem = NO_MEMORY
            if self._stopped.is_set():
                return
            wait = self._interval
            if problem is None:
                self._backoff.succeeded(runtime.monotonic())
            else:
                wait = self._backoff.failed(problem.failure, runtime.monotonic())
                message = f"{display(self._url)}: {problem.message}; next try in {wait:.1f} s"
                error = SourceError(problem.kind, message, runtime.wall_time(), problem.status_code)
                sink.report(SourceState.INTERRUPTED, error)
            self._stopped.wait(wait)

    def stop(self) -> None:
        """End `run`. May be called from any thread, more than once; returns at once.

        A poll that is under way ends when its connections are closed, which is for their owner.
        """
        self._stopped.set()

    def _poll(self, sink: DataSink) -> Problem | None:
        """Fetch everything once; returns what went wrong."""
        headers = {**self._requester.poll_headers(), **self._etags.header_for(self._url)}
        try:
            answer = self._http.request("GET", self._url, headers, timeout=self._patience)
            problem = check_poll_response(answer.status)
            if problem is not None:
                return problem
            self._told.answered(answer.headers)
            if answer.status == NOT_MODIFIED:
                sink.report(SourceState.VALID)
                return None
            changes = runtime.beside(len(answer.body), read_poll, answer.body)
        except UpstreamUnavailable as exc:
            return Problem(SourceErrorKind.NETWORK_ERROR, Failure.NORMAL, exc.reason)
        except InvalidData as exc:
            return Problem(SourceErrorKind.INVALID_DATA, Failure.NORMAL, str(exc))
        if not self._stopped.is_set():
            sink.apply(changes)
            self._etags.remember(self._url, answer.headers)
        return None
