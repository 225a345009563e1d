"""Measuring migrations: what happened in one read or write."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple, Self, cast

from flagkeep._runtime import threads as runtime
from flagkeep.events import migration_op as core
from flagkeep.ldclient.evaluation import EvaluationDetail
from flagkeep.ldclient.migrations.types import Operation, Origin, Stage
from flagkeep.model.context import Context
from flagkeep.model.detail import Detail


class MigrationOpEvent:
    """One read or write of a migration, as an event processor of the application gets it.

    FIX (python-api.md 8): it has a `repr` that does not raise, and says nothing of the context.

    Attributes:
        timestamp: when, in milliseconds since the epoch.
        context: the flag was evaluated for.
        key: of the flag.
        flag: with `key`, `version` and `sampling_ratio`; None if there is none.
        operation: what it was.
        default_stage: the caller's.
        detail: of the flag's evaluation.
        invoked: the sides that were called.
        consistent: whether both gave the same; None if that was not checked.
        consistent_ratio: one in so many reads is checked.
        errors: the sides that failed.
        latencies: how long they took.
        sampling_ratio: one in so many of these events is sent.
    """

    def __init__(
        self,
        timestamp: int,
        context: Context,
        key: str,
        flag: Any,
        operation: Operation,
        default_stage: Stage,
        detail: EvaluationDetail,
        invoked: set[Origin],
        consistent: bool | None,
        consistent_ratio: int | None,
        errors: set[Origin],
        latencies: dict[Origin, timedelta],
    ) -> None:
        self.timestamp = timestamp
        self.context = context
        self.key = key
        self.flag = flag
        self.operation = operation
        self.default_stage = default_stage
        self.detail = detail
        self.invoked = invoked
        self.consistent = consistent
        self.consistent_ratio = consistent_ratio
        self.errors = errors
        self.latencies = latencies
        self.sampling_ratio: int | None = getattr(flag, "sampling_ratio", None)

    @classmethod
    def _of(cls, event: core.MigrationOpEvent, timestamp: int) -> Self:
        detail = event.detail
        flag = None
        if event.version is not None:
            flag = _Flag(event.key, event.version, event.sampling_ratio)
        return cls(
            timestamp,
            event.context,
            event.key,
            flag,
            event.operation,
            event.default,
            EvaluationDetail(detail.value, detail.index, detail.reason.to_dict()),
            set(event.invoked),
            event.consistent,
            event.check_ratio,
            set(event.errors),
            dict(event.latencies),
        )

    def to_debugging_dict(self) -> dict[str, Any]:
        """Return what is known, for messages of a test; without the context."""
        return {
            "timestamp": self.timestamp,
            "key": self.key,
            "operation": self.operation.value,
            "default_stage": self.default_stage.value,
            "value": self.detail.value,
            "invoked": sorted(one.value for one in self.invoked),
            "consistent": self.consistent,
            "errors": sorted(one.value for one in self.errors),
            "latencies": {one.value: took / _MS for one, took in self.latencies.items()},
        }

    def __repr__(self) -> str:
        return f"MigrationOpEvent({self.to_debugging_dict()})"


_MS = timedelta(milliseconds=1)


class _Flag(NamedTuple):
    key: str
    version: int
    sampling_ratio: int


class OpTracker:
    """Takes down what happens in one read or write of a migration; may be used by many threads.

    Methods can be chained. What makes no sense is ignored. FIX (python-api.md 8): the chain goes
    on after a bad argument of `error` or `latency`, too.

    Args:
        key: of the migration flag.
        flag: what is known of it; None if there is none.
        context: it was evaluated for.
        detail: of the evaluation.
        default_stage: the caller's.
    """

    def __init__(
        self,
        key: str,
        flag: Any,
        context: Context,
        detail: EvaluationDetail,
        default_stage: Stage,
    ) -> None:
        reason = cast(Any, _Reason(detail.reason))
        self._core = core.MigrationTracker(
            key,
            context,
            default=default_stage,
            detail=Detail(detail.value, detail.variation_index, reason),
            version=getattr(flag, "version", None),
            sampling_ratio=_ratio(getattr(flag, "sampling_ratio", None)),
            check_ratio=_ratio(getattr(flag, "check_ratio", None)),
            draw=runtime.draw,
        )

    @classmethod
    def _of(cls, tracker: core.MigrationTracker) -> Self:
        own = cls.__new__(cls)
        own._core = tracker
        return own

    def operation(self, op: Operation) -> "OpTracker":
        """Say what it is."""
        self._core.operation(op)
        return self

    def invoked(self, origin: Origin) -> "OpTracker":
        """Take down that one side was called; goes before its `error` and `latency`."""
        self._core.invoked(origin)
        return self

    def consistent(self, is_consistent: Callable[[], bool]) -> "OpTracker":
        """Compare the results of both sides, if this time it is to be checked."""
        self._core.consistent(is_consistent)
        return self

    def error(self, origin: Origin) -> "OpTracker":
        """Take down that one side failed."""
        self._core.error(origin)
        return self

    def latency(self, origin: Origin, duration: timedelta) -> "OpTracker":
        """Take down how long one side took, by a clock that only goes forward."""
        self._core.latency(origin, duration)
        return self

    def build(self) -> MigrationOpEvent | str:
        """Return the event, or what is missing or contradictory, in words."""
        built = self._core.build()
        if isinstance(built, str):
            return built
        return MigrationOpEvent._of(built, int(time.time() * 1000))


class _Reason:
    """A reason that was given in its JSON form."""

    def __init__(self, reason: dict[str, Any]) -> None:
        self._reason = reason

    def to_dict(self) -> dict[str, Any]:
        return self._reason


def _ratio(given: Any) -> int:
    return 1 if given is None else int(given)
