"""Reading and writing through a migration from an old system to a new one.

A flag says how far the migration has come, and that says which sides are called, and whose answer
counts. What happened is sent as an event. Both sides are foreign code: what one raises is a failure
of that side, and the caller gets it in the result.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

from flagkeep._runtime import threads as runtime
from flagkeep.errors import ConfigError
from flagkeep.evaluation.migrations import READS, WRITES
from flagkeep.events.migration_op import MigrationTracker
from flagkeep.model.context import Context
from flagkeep.model.migration import ExecutionOrder, Operation, Origin, Stage
from flagkeep.model.migration_result import (
    MigrationCompareFn,
    MigrationConfig,
    MigrationFn,
    OperationResult,
    Result,
    WriteResult,
)


class MigrationClient(Protocol):
    """What a migrator needs of a client."""

    def migration(
        self, key: str, context: Context, default_stage: Stage
    ) -> tuple[Stage, MigrationTracker]:
        """Return the stage, and what takes down what happens in it."""
        ...

    def track_migration(self, tracker: MigrationTracker) -> object:
        """Send what was taken down."""
        ...


class Migrator:
    """Reads and writes as the stage of a migration flag says. Safe to use from anywhere.

    Args:
        client: evaluates the flag and sends the events.
        read: how to read from both sides.
        write: how to write to both sides.
        read_execution_order: of the two reads, where there are two; PARALLEL takes a thread for
            one of them, RANDOM flips a coin.
        track_latency: whether it is measured how long each side takes.
        track_errors: whether failures are counted.
        draw: returns a random number in [0, 1).

    Raises:
        ConfigError: the settings cannot work.
    """

    def __init__(
        self,
        client: MigrationClient,
        *,
        read: MigrationConfig,
        write: MigrationConfig,
        read_execution_order: ExecutionOrder = ExecutionOrder.PARALLEL,
        track_latency: bool = True,
        track_errors: bool = True,
        draw: Callable[[], float] = runtime.draw,
    ) -> None:
        self._client = client
        self._readers = _sides("read", read)
        self._writers = _sides("write", write)
        self._comparison = read.comparison
        if not isinstance(read_execution_order, ExecutionOrder):
            raise ConfigError("read_execution_order must be a member of ExecutionOrder")
        self._order = read_execution_order
        self._track_latency = track_latency
        self._track_errors = track_errors
        self._draw = draw

    def read(
        self, key: str, context: Context, default_stage: Stage, payload: Any = None
    ) -> OperationResult:
        """Read, and return what the side says that decides.

        Args:
            key: of the migration flag.
            default_stage: if the flag gives none.
            payload: handed to the functions.
        """
        stage, tracker = self._client.migration(key, context, default_stage)
        tracker.operation(Operation.READ)
        try:
            calls = [
                partial(self._call, origin, self._readers[origin], payload, tracker)
                for origin in READS[stage]
            ]
            if len(calls) == 1:
                return calls[0]()
            decisive, other = self._call_both(*calls)
            self._compare(decisive, other, tracker)
            return decisive
        finally:
            self._client.track_migration(tracker)

    def write(
        self, key: str, context: Context, default_stage: Stage, payload: Any = None
    ) -> WriteResult:
        """Write, to the side that decides first; to the other one only if that worked.

        Args:
            key: of the migration flag.
            default_stage: if the flag gives none.
            payload: handed to the functions.
        """
        stage, tracker = self._client.migration(key, context, default_stage)
        tracker.operation(Operation.WRITE)
        try:
            results: list[OperationResult] = []
            for origin in WRITES[stage]:
                write = self._writers[origin]
                results.append(self._call(origin, write, payload, tracker))
                if not results[-1].is_success():
                    break
            return WriteResult(*results)
        finally:
            self._client.track_migration(tracker)

    def _call_both(
        self, decisive: runtime.Call[OperationResult], other: runtime.Call[OperationResult]
    ) -> tuple[OperationResult, OperationResult]:
        if self._order is ExecutionOrder.PARALLEL:
            return runtime.both(decisive, other)
        if self._order is ExecutionOrder.RANDOM and self._draw() < 0.5:  # noqa: PLR2004  a coin
            second = other()
            return decisive(), second
        return decisive(), other()

    def _call(
        self, origin: Origin, fn: MigrationFn, payload: Any, tracker: MigrationTracker
    ) -> OperationResult:
        tracker.invoked(origin)
        began = runtime.monotonic()
        try:
            result = runtime.call_stage(fn, payload)
        except Exception as exc:  # noqa: BLE001  it is foreign code, and the caller gets it
            result = Result.fail(str(exc) or type(exc).__name__, exc)
        took = runtime.monotonic() - began
        if not isinstance(result, Result):
            returned = type(result).__name__
            result = Result.fail(f"the {origin.value} side must return a Result, not {returned}")
        if self._track_latency:
            tracker.latency(origin, timedelta(seconds=took))
        if self._track_errors and not result.is_success():
            tracker.error(origin)
        return OperationResult(origin, result)

    def _compare(
        self, one: OperationResult, other: OperationResult, tracker: MigrationTracker
    ) -> None:
        if self._comparison is None or not (one.is_success() and other.is_success()):
            return
        values = {result.origin: result.value for result in (one, other)}
        old, new = values[Origin.OLD], values[Origin.NEW]
        tracker.consistent(partial(_agree, self._comparison, old, new))


def _sides(name: str, config: MigrationConfig) -> dict[Origin, MigrationFn]:
    if not isinstance(config, MigrationConfig):
        raise ConfigError(f"{name} must be a MigrationConfig, not {type(config).__name__}")
    if not (callable(config.old) and callable(config.new)):
        raise ConfigError(f"{name} needs two functions that take the payload: old and new")
    if config.comparison is not None and not callable(config.comparison):
        raise ConfigError(f"{name}: the comparison must be a function of the old and new value")
    return {Origin.OLD: config.old, Origin.NEW: config.new}


def _agree(comparison: MigrationCompareFn, old: Any, new: Any) -> bool:
    """Whether both sides agree; what is to be awaited says neither yes nor no."""
    answer: Any = comparison(old, new)
    if hasattr(answer, "__await__"):
        getattr(answer, "close", bool)()
        raise TypeError("a comparison must be a plain function, not a coroutine function")
    return bool(answer)
