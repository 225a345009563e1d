"""Statistics of the client itself: one report when it starts, and one every quarter of an hour.

Source: events spec, section 10.
"""

from collections.abc import Callable

from flagkeep._sync.event_sender import EventSender
from flagkeep._sync.upstream_news import UpstreamNews
from flagkeep._sync.work import Work
from flagkeep._runtime import threads as runtime
from flagkeep._runtime import process
from flagkeep.config import Config
from flagkeep.events.diagnostics import Diagnostics, data_store_type


class DiagnosticReports:
    """Reports on one client.

    Args:
        store: name of the persistent store; None: there is none.
        deduplicated: returns how many contexts were not described again, since the last call.
        dropped: returns how many events were lost, ever.
        in_last_batch: returns how many events the last payload had, 0 if there was none since the
            last call.
    """

    def __init__(
        self,
        config: Config,
        sender: EventSender,
        news: UpstreamNews,
        work: Work,
        *,
        store: str | None,
        deduplicated: Callable[[], int],
        dropped: Callable[[], int],
        in_last_batch: Callable[[], int],
    ) -> None:
        self._config = config
        self._sender = sender
        self._news = news
        self._work = work
        self._store = store
        self._deduplicated = deduplicated
        self._dropped = dropped
        self._in_last_batch = in_last_batch
        self._reported_as_dropped = 0
        self._counted = self._new_count()

    def _new_count(self) -> Diagnostics:
        now_ms = int(runtime.wall_time() * 1000)
        return Diagnostics(process.new_uuid(), self._config.sdk_key, now_ms)

    def start(self) -> None:
        """Report the start, and go on reporting."""
        self._work.soon(self._report_start)
        self._work.later(self._config.events.diagnostic_interval, self._report)

    def forget_parent(self) -> None:
        """In the child of a fork: count for itself. Events are what is left of the parent's."""
        self._counted = self._new_count()
        self._news.take_inits()
        self._reported_as_dropped = self._dropped()

    def _report_start(self) -> None:
        event = self._counted.init_event(
            int(runtime.wall_time() * 1000),
            config=self._config,
            data_store_type=data_store_type(self._store),
            platform=process.platform(),
        )
        self._sender.post_diagnostic(event)

    def _report(self) -> None:
        self._work.later(self._config.events.diagnostic_interval, self._report)
        for started_ms, duration_ms, failed in self._news.take_inits():
            self._counted.record_stream_init(started_ms, duration_ms, failed=failed)
        dropped = self._dropped()
        since, self._reported_as_dropped = dropped - self._reported_as_dropped, dropped
        self._counted.record_batch(self._in_last_batch())
        event = self._counted.periodic_event(
            int(runtime.wall_time() * 1000),
            dropped=since,
            deduplicated=self._deduplicated(),
        )
        self._sender.post_diagnostic(event)
