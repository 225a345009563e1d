"""An `event_processor_class` of the application in the place of the core's events.

It is handed objects with the attributes of those that the official SDK makes (which are private
there, and known all the same to whoever writes such a class).
"""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from flagkeep.evaluation.evaluator import CompiledFlag, FlagFacts
from flagkeep.evaluation.result import Result
from flagkeep.events.migration_op import MigrationTracker
from flagkeep.events.sampling import is_sampled
from flagkeep.ldclient.migrations.tracker import MigrationOpEvent
from flagkeep.model.context import Context

log = logging.getLogger("ldclient.util")


class EventInput:
    """Something that happened.

    Attributes:
        timestamp: when, in milliseconds since the epoch.
        context: whom it concerns.
        sampling_ratio: one in so many of these events is to be sent; None: all.
    """

    def __init__(self, timestamp: int, context: Context, sampling_ratio: int | None) -> None:
        self.timestamp = timestamp
        self.context = context
        self.sampling_ratio = sampling_ratio

    def __repr__(self) -> str:
        return f"{type(self).__name__}({getattr(self, 'key', '')!r})"  # and nothing of the context


class EventInputEvaluation(EventInput):
    """A flag was evaluated.

    Attributes:
        key: of the flag.
        flag: its facts, such as `version`; None if there is none.
        variation: index of the value, None for the default.
        value: that the caller got.
        reason: where it is to be sent, else None.
        default_value: the caller's.
        prereq_of: facts of the flag that has this one as a prerequisite.
        track_events: whether the event is to be sent in full.
        exclude_from_summaries: whether it counts in no summary.
    """

    def __init__(
        self,
        timestamp: int,
        context: Context,
        *,
        key: str,
        flag: FlagFacts | None,
        variation: int | None,
        value: Any,
        reason: dict[str, Any] | None,
        default_value: Any,
        prereq_of: FlagFacts | None,
        track_events: bool,
    ) -> None:
        super().__init__(timestamp, context, None if flag is None else flag.sampling_ratio)
        self.key = key
        self.flag = flag
        self.variation = variation
        self.value = value
        self.reason = reason
        self.default_value = default_value
        self.prereq_of = prereq_of
        self.track_events = track_events
        self.exclude_from_summaries = flag is not None and flag.exclude_from_summaries


class EventInputIdentify(EventInput):
    """Somebody is somebody."""


class EventInputCustom(EventInput):
    """The application said that something happened.

    Attributes:
        key: of the event.
        data: the caller's.
        metric_value: the caller's.
    """

    def __init__(
        self, timestamp: int, context: Context, key: str, data: Any, metric_value: float | None
    ) -> None:
        super().__init__(timestamp, context, None)
        self.key = key
        self.data = data
        self.metric_value = metric_value


class ForeignEvents:
    """Takes the place of the core's events, and is their sender, too.

    Args:
        processor: what `event_processor_class` made.
        draw: returns a random number in [0, 1).
    """

    def __init__(self, processor: Any, draw: Callable[[], float]) -> None:
        self._processor = processor
        self._draw = draw
        self.sender = self

    # --- what happens --------------------------------------------------------------------------

    def count(self, flag: CompiledFlag, result: Result, context: Context, default: Any) -> None:
        """Record an evaluation that gave a variation, for a caller who wants no reason."""
        self.evaluated(
            flag.facts.key, flag, result, context, default, result.value, with_reason=False
        )

    def evaluated(
        self,
        key: str,
        flag: CompiledFlag | None,
        result: Result,
        context: Context,
        default: Any,
        value: Any,
        *,
        with_reason: bool,
    ) -> None:
        """Record any evaluation, its prerequisites first."""
        known: dict[str, FlagFacts] = {}
        if flag is not None:
            known[flag.facts.key] = flag.facts
        for one in result.prerequisites:
            known[one.flag.facts.key] = one.flag.facts
        for one in result.prerequisites:
            facts, above = one.flag.facts, known.get(one.prerequisite_of)
            self._evaluated(
                facts.key, facts, one.result, context, None, one.result.value, with_reason, above
            )
        facts_or_none = None if flag is None else flag.facts
        self._evaluated(key, facts_or_none, result, context, default, value, with_reason, None)

    def identify(self, context: Context) -> None:
        """Record who a context is."""
        self._send(EventInputIdentify(_now(), context, None))

    def track(self, name: str, context: Context, data: Any, metric_value: float | None) -> None:
        """Record an event of the application."""
        self._send(EventInputCustom(_now(), context, name, data, metric_value))

    def track_migration(self, tracker: MigrationTracker) -> None:
        """Record what a migration has measured."""
        built = tracker.build()
        if isinstance(built, str):
            log.error("a migration was not recorded: %s", built)
        elif is_sampled(built.sampling_ratio, self._draw):
            self._send(MigrationOpEvent._of(built, _now()))

    # --- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Do nothing: it began when it was made."""

    def forget_parent(self) -> None:
        """Do nothing: what an application's class does about forks is its own affair."""

    def flush_soon(self) -> None:
        """Deliver what waits, soon."""
        try:
            self._processor.flush()
        except Exception:
            log.exception("the event processor could not flush")

    def flush(self, timeout: float) -> Any:  # noqa: ARG002  the official interface has none
        """Deliver what waits, soon; there is no way to wait for it."""
        self.flush_soon()
        return True

    def stop(self, timeout: float) -> Any:  # noqa: ARG002  it has its own limits
        """End, after what waits is delivered; what is lost, only the processor knows."""
        try:
            self._processor.stop()
        except Exception:
            log.exception("the event processor could not be stopped")
        return {}

    # --- inside --------------------------------------------------------------------------------

    def _evaluated(
        self,
        key: str,
        facts: FlagFacts | None,
        result: Result,
        context: Context,
        default: Any,
        value: Any,
        with_reason: bool,
        required_by: FlagFacts | None,
    ) -> None:
        is_full = facts is not None and (facts.track_events or result.experiment)
        self._send(
            EventInputEvaluation(
                _now(),
                context,
                key=key,
                flag=facts,
                variation=result.index,
                value=value,
                reason=result.reason.to_dict() if with_reason or result.experiment else None,
                default_value=default,
                prereq_of=required_by,
                track_events=is_full,
            )
        )

    def _send(self, event: Any) -> None:
        try:
            self._processor.send_event(event)
        except Exception:
            log.exception("the event processor did not take %r", event)


class AsyncForeignEvents(ForeignEvents):
    """As `ForeignEvents`, around an `AsyncEventProcessor`."""

    async def flush(self, timeout: float) -> bool:
        """Deliver what waits; returns whether that was done in time."""
        try:
            return bool(await self._processor.flush_and_wait(timeout))
        except Exception:
            log.exception("the event processor could not flush")
            return False

    async def stop(self, timeout: float) -> dict[str, int]:  # noqa: ARG002  its own limits
        """End, after what waits is delivered."""
        try:
            stopping: Awaitable[None] = self._processor.stop()
            await stopping
        except Exception:
            log.exception("the event processor could not be stopped")
        return {}


def _now() -> int:
    return int(time.time() * 1000)
