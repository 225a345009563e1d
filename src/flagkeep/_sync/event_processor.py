"""Analytics events of one client: what an evaluation, `track` or `identify` leaves behind.

An evaluation that is only to be counted costs a few dictionary look-ups: the calling thread adds to
its own counts (`counts`). Everything else is put into words at once, by the calling thread: the
caller's data may change afterwards, its size is known, and a value that has no JSON form costs its
own event only. Nothing here waits or raises.

Source: events spec, sections 1, 2, 5 and 7.
"""

import logging
from typing import Any

from flagkeep._sync.diagnostics import DiagnosticReports
from flagkeep._sync.event_sender import EventSender
from flagkeep._sync.upstream import Upstream
from flagkeep._sync.work import Work
from flagkeep._runtime import threads as runtime
from flagkeep._runtime.counts import Counts, Entry
from flagkeep.config import Config
from flagkeep.evaluation.evaluator import CompiledFlag, FlagFacts
from flagkeep.evaluation.result import Result
from flagkeep.events import formatting
from flagkeep.events.buffer import EventBuffer
from flagkeep.events.contexts import ContextFormatter, without_anonymous
from flagkeep.events.losses import sum_of
from flagkeep.events.migration_op import MigrationTracker, migration_op_event
from flagkeep.events.sampling import is_debug_due, is_sampled
from flagkeep.events.seen import SeenContexts
from flagkeep.events.summary import Summary
from flagkeep.model.context import Context

log = logging.getLogger("flagkeep.events")


class EventProcessor:
    """Makes the events of one client and hands them to its sender.

    Attributes:
        sender: delivers them.
    """

    def __init__(
        self, config: Config, upstream: Upstream, work: Work, *, store: str | None
    ) -> None:
        settings = config.events
        self._settings = settings
        self._upstream = upstream
        self._work = work
        self._guard = runtime.Guard()
        self._counts = Counts()
        self._seen = self._nobody_seen()
        self._contexts = ContextFormatter(
            all_private=settings.all_attributes_private, private=settings.private_attributes
        )
        self._buffer = self._new_buffer()
        self.sender = EventSender(settings, upstream.http, upstream.requester, work, self.take)
        self._described = self._evaluated = self._in_last_batch = 0
        self._diagnostics: DiagnosticReports | None = None
        if settings.diagnostics:
            self._diagnostics = DiagnosticReports(
                config,
                self.sender,
                upstream.news,
                work,
                store=store,
                deduplicated=self._take_deduplicated,
                dropped=lambda: sum(self._dropped().values()),
                in_last_batch=self._take_in_last_batch,
            )

    def _new_buffer(self) -> EventBuffer:
        return EventBuffer(self._settings.capacity, self._settings.max_bytes // 2)

    def _nobody_seen(self) -> SeenContexts:
        settings = self._settings
        return SeenContexts(settings.context_keys_capacity, settings.context_keys_flush_interval)

    def start(self) -> None:
        """Begin to deliver."""
        with self._guard:
            self._seen.forget_all_if_due(runtime.monotonic())  # from now on the time counts
        self._work.later(self._settings.context_keys_flush_interval, self._forget_contexts)
        self.sender.start()
        if self._diagnostics is not None:
            self._diagnostics.start()

    def stop(self, timeout: float) -> dict[str, int]:
        """Deliver the rest within `timeout` seconds; returns what was lost ever, by reason."""
        lost = self.sender.stop(timeout)
        return sum_of(lost, self._buffer.dropped)

    def _dropped(self) -> dict[str, int]:
        return sum_of(self.sender.dropped, self._buffer.dropped)

    def _take_deduplicated(self) -> int:
        """Return how often a context was known already, as far as it was counted by now."""
        with self._guard:
            known = self._evaluated - self._described
            self._evaluated, self._described = 0, max(0, -known)  # not all was counted yet
        return max(0, known)

    def _take_in_last_batch(self) -> int:
        """Return how many events went together last; 0 if none did since the last call."""
        size, self._in_last_batch = self._in_last_batch, 0
        return size

    def forget_parent(self) -> None:
        """In the child of a fork: what waits is the parent's to send, if there is one that can."""
        self.sender.requester = self._upstream.requester
        if not self.sender.forget_parent():
            self._counts.forget()
            self._buffer = self._new_buffer()
            self._seen = self._nobody_seen()
            self._described = self._evaluated = self._in_last_batch = 0
        if self._diagnostics is not None:
            self._diagnostics.forget_parent()

    def _forget_contexts(self) -> None:
        self._work.later(self._settings.context_keys_flush_interval, self._forget_contexts)
        with self._guard:
            self._seen.forget_all_if_due(runtime.monotonic())

    # --- what happens --------------------------------------------------------------------------

    def count(self, flag: CompiledFlag, result: Result, context: Context, default: Any) -> None:
        """Record an evaluation that gave a variation; the short way of nearly all of them."""
        try:
            kind = context.kind
            entry = self._counts.mine.shelf.tally.kinds[kind][result]
            if self._seen.keys[context.key if kind == "user" else context.fully_qualified_key]:
                entry.count += 1
                entry.last = runtime.wall_time()
                return
        except (AttributeError, KeyError):
            pass
        self.evaluated(
            flag.facts.key,
            flag,
            result,
            context,
            default=default,
            value=result.value,
            with_reason=False,
        )

    def evaluated(
        self,
        key: str,
        flag: CompiledFlag | None,
        result: Result,
        context: Context,
        *,
        default: Any,
        value: Any,
        with_reason: bool,
    ) -> None:
        """Record any evaluation.

        Args:
            key: of the flag, which may not exist.
            flag: None if it does not.
            result: with its prerequisites, which are recorded first.
            context: a valid one.
            default: of the caller.
            value: what the caller got.
            with_reason: whether the caller asked for the reason.
        """
        try:
            now = runtime.wall_time()
            self._describe(context, _ms(now))
            for one in result.prerequisites:
                self._record(
                    one.flag.facts.key,
                    one.flag.facts,
                    one.result,
                    context,
                    default=None,
                    value=one.result.value,
                    now=now,
                    with_reason=with_reason,
                    required_by=one.prerequisite_of,
                )
            self._record(
                key,
                None if flag is None else flag.facts,
                result,
                context,
                default=default,
                value=value,
                now=now,
                with_reason=with_reason,
            )
        except Exception:
            log.exception("an evaluation of flag %r could not be recorded", key)

    def identify(self, context: Context) -> None:
        """Record who a context is."""
        self._is_new(context)
        shown = self._shown(context)
        if shown is not None:
            self._add(formatting.identify_event(_ms(runtime.wall_time()), self._format(shown)))

    def track(self, name: str, context: Context, data: Any, metric_value: float | None) -> None:
        """Record an event of the application."""
        now_ms = _ms(runtime.wall_time())
        with self._guard:
            self._evaluated += 1
        self._describe(context, now_ms)
        described = self._format(context, redact=True)
        self._add(formatting.custom_event(now_ms, name, described, data, metric_value))

    def track_migration(self, tracker: MigrationTracker) -> None:
        """Record what a migration has measured."""
        built = tracker.build()
        if isinstance(built, str):
            log.error("a migration was not recorded: %s", built)
        elif is_sampled(built.sampling_ratio, runtime.draw):
            described = self._format(built.context, redact=True)
            now_ms = _ms(runtime.wall_time())
            self._add(migration_op_event(now_ms, built, described))

    def take(self) -> list[bytes]:
        """Return what waits, and a summary of what was only counted; forget both."""
        summary = Summary()
        self._counts.drain(summary)
        with self._guard:
            events = self._buffer.take()
        if not summary.is_empty:
            with self._guard:
                self._evaluated += summary.total
            events.append(summary.encode())
        self._in_last_batch = len(events) or self._in_last_batch
        return events

    # --- inside --------------------------------------------------------------------------------

    def _describe(self, context: Context, now_ms: int) -> None:
        """Make an index event for a context that was not seen lately."""
        if self._is_new(context, is_described=True):
            shown = self._shown(context)
            if shown is not None:
                self._add(formatting.index_event(now_ms, self._format(shown)))

    def _is_new(self, context: Context, *, is_described: bool = False) -> bool:
        with self._guard:
            is_new = self._seen.is_new(context.fully_qualified_key, runtime.monotonic())
            self._described += is_new and is_described
        return is_new

    def _shown(self, context: Context) -> Context | None:
        """Return who may be described at all."""
        return without_anonymous(context) if self._settings.omit_anonymous_contexts else context

    def _format(self, context: Context, *, redact: bool = False) -> bytes:
        return self._contexts.format(context, redact_anonymous=redact)

    def _record(
        self,
        key: str,
        facts: FlagFacts | None,
        result: Result,
        context: Context,
        *,
        default: Any,
        value: Any,
        now: float,
        with_reason: bool,
        required_by: str | None = None,
    ) -> None:
        """Record one flag: in full, for debugging, and in the summary, as the flag says."""
        if facts is not None:
            is_tracked = facts.track_events or result.experiment
            until, server_ms = facts.debug_events_until_date, self.sender.server_time_ms
            is_debugged = is_debug_due(until, now * 1000, server_ms)
            if is_tracked or is_debugged:
                self._record_in_full(
                    facts,
                    result,
                    context,
                    default=default,
                    value=value,
                    now=now,
                    with_reason=with_reason or result.experiment,
                    required_by=required_by,
                    kinds=(is_tracked, is_debugged),
                )
            if facts.exclude_from_summaries:
                return
        self._count(key, facts, result, context, default=default, value=value, now=now)

    def _record_in_full(
        self,
        facts: FlagFacts,
        result: Result,
        context: Context,
        *,
        default: Any,
        value: Any,
        now: float,
        with_reason: bool,
        required_by: str | None,
        kinds: tuple[bool, bool],
    ) -> None:
        ratio = facts.sampling_ratio
        words: dict[str, Any] = {
            "key": facts.key,
            "version": facts.version,
            "variation": result.index,
            "value": value,
            "default": default,
            "reason": result.reason.to_dict() if with_reason else None,
            "prereq_of": required_by,
            "sampling_ratio": ratio,
        }
        now_ms, (is_tracked, is_debugged) = _ms(now), kinds
        if is_tracked and is_sampled(ratio, runtime.draw):
            described = self._format(context, redact=True)
            self._add(formatting.feature_event(now_ms, context_json=described, **words))
        if is_debugged and is_sampled(ratio, runtime.draw):
            described = self._format(context)
            self._add(formatting.debug_event(now_ms, context_json=described, **words))

    def _count(
        self,
        key: str,
        facts: FlagFacts | None,
        result: Result,
        context: Context,
        *,
        default: Any,
        value: Any,
        now: float,
    ) -> None:
        tally = self._counts.tally()
        kinds = tuple(one.kind for one in context.members) or (context.kind,)
        version = None if facts is None else facts.version
        slot = (key, kinds, result.index, version)
        entry = tally.others.get(slot)
        if entry is not None:
            entry.count += 1
            entry.last = now
            return
        by_result = tally.kinds.get(context.kind)
        if by_result is not None and (entry := by_result.get(result)) is not None:
            entry.count += 1
            entry.last = now
            return
        entry = Entry(
            key,
            kinds,
            variation=result.index,
            version=version,
            value=value,
            default=default,
            now=now,
        )
        if facts is not None and not context.members and _is_lasting(facts, result, value):
            tally.kinds.setdefault(context.kind, {})[result] = entry
        else:
            tally.others[slot] = entry

    def _add(self, event: bytes) -> None:
        with self._guard:
            is_overflowing = self._buffer.add(event)
        if is_overflowing:
            log.warning(
                "events are dropped until the next delivery: more than %d, or %d bytes, wait;"
                " EventSettings has capacity, max_bytes and flush_interval",
                self._settings.capacity,
                self._settings.max_bytes // 2,
            )


def _is_lasting(facts: FlagFacts, result: Result, value: Any) -> bool:
    """Whether an outcome is a very object that others get, too, and needs nothing but counting."""
    return (
        result.index is not None
        and value is result.value
        and not isinstance(value, list | dict)
        and not (result.prerequisites or result.direct_prerequisites or result.experiment)
        and not facts.track_events
        and facts.debug_events_until_date is None
        and result.reason.big_segments_status is None
    )


def _ms(now: float) -> int:
    return int(now * 1000)
