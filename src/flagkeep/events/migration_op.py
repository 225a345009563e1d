"""What happened in one read or write of a migration (events spec, section 3.1)."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, Self, final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from flagkeep.events.encoding import Shape, encode
from flagkeep.events.sampling import is_sampled
from flagkeep.model.context import Context
from flagkeep.model.detail import Detail
from flagkeep.model.migration import Operation, Origin, Stage

log = logging.getLogger("flagkeep.events")

_MILLISECOND: Final = timedelta(milliseconds=1)


class MigrationOpEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One read or write of a migration, as measured.

    Attributes:
        key: of the migration flag.
        default: the stage that the caller gave as default.
        detail: of the flag's evaluation.
        version: of the flag, None if there is none.
        sampling_ratio: one in so many of these events is sent; 0: none.
        invoked: the sides that were called.
        consistent: whether both gave the same; None if that was not checked.
        check_ratio: one in so many reads is checked.
        errors: the sides that failed.
        latencies: how long they took.
    """

    key: str
    context: Context
    operation: Operation
    default: Stage
    detail: Detail[Any]
    version: int | None
    sampling_ratio: int
    invoked: frozenset[Origin]
    consistent: bool | None
    check_ratio: int
    errors: frozenset[Origin]
    latencies: dict[Origin, timedelta]

    def __repr__(self) -> str:
        # without the context, whose attributes belong into no log
        return f"MigrationOpEvent({self.key!r}, {self.operation.value}, {self.detail.value!r})"


@final
class MigrationTracker:
    """Takes down what happens in one read or write of a migration.

    Methods can be chained, and called from several threads. What makes no sense (another type,
    a negative latency) is ignored. `client.track_migration` sends what was taken down.
    """

    def __init__(
        self,
        key: str,
        context: Context,
        *,
        default: Stage,
        detail: Detail[Any],
        version: int | None,
        sampling_ratio: int = 1,
        check_ratio: int = 1,
        draw: Callable[[], float],
    ) -> None:
        """Begin with the evaluation of the migration flag.

        Args:
            default: the stage that the caller gave as default.
            detail: its value is the name of a stage.
            version: of the flag, None if there is none.
            sampling_ratio: of the flag.
            check_ratio: of the flag's migration settings.
            draw: returns a random number in [0, 1).
        """
        self._key = key
        self._context = context
        self._default = default
        self._detail = detail
        self._version = version
        self._sampling_ratio = sampling_ratio
        self._check_ratio = check_ratio
        self._draw = draw
        self._operation: Operation | None = None
        self._consistent: bool | None = None
        # A dict's item is set, and a dict copied, in one step: threads need no lock.
        self._invoked: dict[Origin, bool] = {}
        self._errors: dict[Origin, bool] = {}
        self._latencies: dict[Origin, timedelta] = {}

    def operation(self, operation: Operation) -> Self:
        """Say what it is."""
        if isinstance(operation, Operation):
            self._operation = operation
        return self

    def invoked(self, origin: Origin) -> Self:
        """Take down that one side was called; goes before its `error` and `latency`."""
        if isinstance(origin, Origin):
            self._invoked[origin] = True
        return self

    def error(self, origin: Origin) -> Self:
        """Take down that one side failed."""
        if isinstance(origin, Origin):
            self._errors[origin] = True
        return self

    def latency(self, origin: Origin, duration: timedelta) -> Self:
        """Take down how long one side took, by a clock that only goes forward."""
        is_duration = isinstance(duration, timedelta) and duration >= timedelta()
        if isinstance(origin, Origin) and is_duration:
            self._latencies[origin] = duration
        return self

    def consistent(self, is_consistent: Callable[[], bool]) -> Self:
        """Compare the results of both sides, if this time it is to be checked.

        Args:
            is_consistent: compares; called once or not at all. What it raises is logged, and
                nothing is taken down.
        """
        if callable(is_consistent) and is_sampled(self._check_ratio, self._draw):
            try:
                self._consistent = bool(is_consistent())
            except Exception:
                log.exception("flag %r: the results could not be compared", self._key)
        return self

    def build(self) -> MigrationOpEvent | str:
        """Return the event, or what is missing or contradictory, in words."""
        # In this order, since a side is first taken down as invoked, and then the rest of it.
        errors = frozenset(self._errors.copy())
        latencies = self._latencies.copy()
        consistent = self._consistent
        invoked = frozenset(self._invoked.copy())
        if self._operation is None:
            return "it was not said which operation it is"
        if not isinstance(self._key, str) or not self._key:
            return "the key of the flag is empty"
        if not invoked:
            return "neither origin was invoked"
        if not self._context.valid:
            return f"the context is invalid: {self._context.error}"
        for origin in Origin:
            if origin not in invoked and origin in latencies:
                return f"the origin {origin.value!r} has a latency but was not invoked"
            if origin not in invoked and origin in errors:
                return f"the origin {origin.value!r} has an error but was not invoked"
        if consistent is not None and len(invoked) < len(Origin):
            return "consistency was checked, but only one origin was invoked"
        return MigrationOpEvent(
            key=self._key,
            context=self._context,
            operation=self._operation,
            default=self._default,
            detail=self._detail,
            version=self._version,
            sampling_ratio=self._sampling_ratio,
            invoked=invoked,
            consistent=consistent,
            check_ratio=self._check_ratio,
            errors=errors,
            latencies=latencies,
        )


class _Evaluation(Shape, frozen=True):
    key: str
    value: Any
    default: str
    version: int | UnsetType
    variation: int | UnsetType
    reason: dict[str, Any]


class _MigrationOp(Shape, frozen=True, tag_field="kind", tag="migration_op"):
    creation_date: int
    operation: str
    context: Raw
    evaluation: _Evaluation
    sampling_ratio: int | UnsetType
    measurements: list[dict[str, Any]]


def migration_op_event(now_ms: int, op: MigrationOpEvent, context_json: bytes) -> bytes:
    """Return the event as JSON.

    Args:
        context_json: with anonymous contexts redacted.
    """
    detail = op.detail
    evaluation = _Evaluation(
        op.key,
        detail.value,
        op.default.value,
        UNSET if op.version is None else op.version,
        UNSET if detail.index is None else detail.index,
        detail.reason.to_dict(),
    )
    ratio = UNSET if op.sampling_ratio == 1 else op.sampling_ratio
    return encode(
        _MigrationOp(
            now_ms, op.operation.value, Raw(context_json), evaluation, ratio, _measurements(op)
        )
    )


def _measurements(op: MigrationOpEvent) -> list[dict[str, Any]]:
    def by_origin(values: dict[Origin, Any]) -> dict[str, Any]:
        return {origin.value: values[origin] for origin in Origin if origin in values}

    measurements: list[dict[str, Any]] = [
        {"key": "invoked", "values": by_origin(dict.fromkeys(op.invoked, True))}
    ]
    if op.consistent is not None:
        consistent = {"key": "consistent", "value": op.consistent}
        if op.check_ratio != 1:
            consistent["samplingRatio"] = op.check_ratio
        measurements.append(consistent)
    if op.latencies:
        milliseconds = {one: took / _MILLISECOND for one, took in op.latencies.items()}
        measurements.append({"key": "latency_ms", "values": by_origin(milliseconds)})
    if op.errors:
        measurements.append({"key": "error", "values": by_origin(dict.fromkeys(op.errors, True))})
    return measurements
