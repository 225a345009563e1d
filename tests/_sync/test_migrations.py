"""Migrations: which sides are called, in which order, whose answer counts, what is taken down."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from flagkeep._sync.migrations import Migrator
from flagkeep._runtime import threads as runtime
from flagkeep.errors import ConfigError
from flagkeep.events.migration_op import MigrationOpEvent, MigrationTracker
from flagkeep.model.context import Context
from flagkeep.model.detail import FALLTHROUGH, Detail
from flagkeep.model.migration import ExecutionOrder, Operation, Origin, Stage
from flagkeep.model.migration_result import MigrationConfig, OperationResult, Result, WriteResult
from tests._sync.waiting import pause

USER = Context.create("user-key")
OLD, NEW = Origin.OLD, Origin.NEW
ORDERS = list(ExecutionOrder)


class StageClient:
    """A client whose migration flag says one stage."""

    def __init__(self, stage: Stage, *, check_ratio: int = 1) -> None:
        self.stage = stage
        self.check_ratio = check_ratio
        self.draw: Callable[[], float] = lambda: 0.0
        self.asked: list[tuple[str, Context, Stage]] = []
        self.trackers: list[MigrationTracker] = []

    def migration(
        self, key: str, context: Context, default_stage: Stage
    ) -> tuple[Stage, MigrationTracker]:
        """Return the stage."""
        self.asked.append((key, context, default_stage))
        detail = Detail(self.stage.value, 0, FALLTHROUGH)
        tracker = MigrationTracker(
            key,
            context,
            default=default_stage,
            detail=detail,
            version=1,
            check_ratio=self.check_ratio,
            draw=self.draw,
        )
        return self.stage, tracker

    def track_migration(self, tracker: MigrationTracker) -> None:
        """Take down what would be sent."""
        self.trackers.append(tracker)

    @property
    def event(self) -> MigrationOpEvent:
        """The one event that would be sent."""
        (tracker,) = self.trackers
        event = tracker.build()
        assert isinstance(event, MigrationOpEvent), event
        return event


class Sides:
    """An old and a new system that take down who called them."""

    def __init__(self, *failing: Origin) -> None:
        self.failing = failing
        self.calls: list[tuple[Origin, Any]] = []

    @property
    def order(self) -> list[Origin]:
        return [origin for origin, _ in self.calls]

    def old(self, payload: Any) -> Result:
        return self._call(OLD, payload)

    def new(self, payload: Any) -> Result:
        return self._call(NEW, payload)

    def _call(self, origin: Origin, payload: Any) -> Result:
        self.calls.append((origin, payload))
        if origin in self.failing:
            return Result.fail(f"{origin.value} is down")
        return Result.success(f"{origin.value} value")

    def config(self, comparison: Callable[[Any, Any], bool] | None = None) -> MigrationConfig:
        return MigrationConfig(self.old, self.new, comparison)


UNUSED = Sides().config()


def reader(client: Any, config: MigrationConfig, **settings: Any) -> Migrator:
    return Migrator(client, read=config, write=UNUSED, **settings)


def writer(client: Any, config: MigrationConfig, **settings: Any) -> Migrator:
    return Migrator(client, read=UNUSED, write=config, **settings)


def described(result: OperationResult | None) -> tuple[Origin, Any] | None:
    return None if result is None else (result.origin, result.value)


# --- reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("stage", "decisive", "called"),
    [
        (Stage.OFF, OLD, [OLD]),
        (Stage.DUALWRITE, OLD, [OLD]),
        (Stage.SHADOW, OLD, [OLD, NEW]),
        (Stage.LIVE, NEW, [OLD, NEW]),
        (Stage.RAMPDOWN, NEW, [NEW]),
        (Stage.COMPLETE, NEW, [NEW]),
    ],
)
def test_a_read_calls_the_sides_of_its_stage(
    stage: Stage, decisive: Origin, called: list[Origin], order: ExecutionOrder
) -> None:
    client, sides = StageClient(stage), Sides()
    migrator = reader(client, sides.config(), read_execution_order=order)
    result = migrator.read("mig", USER, Stage.OFF, "the payload")
    assert described(result) == (decisive, f"{decisive.value} value")
    assert result.is_success()
    assert sorted(sides.order, key=lambda one: one.value, reverse=True) == called
    assert [payload for _, payload in sides.calls] == ["the payload"] * len(called)
    assert client.asked == [("mig", USER, Stage.OFF)]
    assert client.event.operation is Operation.READ
    assert client.event.invoked == frozenset(called)


@pytest.mark.parametrize(
    ("stage", "expected"), [(Stage.SHADOW, [OLD, NEW]), (Stage.LIVE, [NEW, OLD])]
)
def test_serial_reads_begin_with_the_side_that_decides(
    stage: Stage, expected: list[Origin]
) -> None:
    sides = Sides()
    order = ExecutionOrder.SERIAL
    migrator = reader(StageClient(stage), sides.config(), read_execution_order=order)
    migrator.read("mig", USER, Stage.OFF)
    assert sides.order == expected


@pytest.mark.parametrize(
    ("stage", "coin", "expected"),
    [
        (Stage.SHADOW, 0.0, [NEW, OLD]),
        (Stage.SHADOW, 0.5, [OLD, NEW]),
        (Stage.LIVE, 0.49, [OLD, NEW]),
        (Stage.LIVE, 0.99, [NEW, OLD]),
    ],
)
def test_random_order_is_the_flip_of_a_coin(
    stage: Stage, coin: float, expected: list[Origin]
) -> None:
    client, sides = StageClient(stage), Sides()
    migrator = reader(
        client,
        sides.config(),
        read_execution_order=ExecutionOrder.RANDOM,
        draw=lambda: coin,
    )
    result = migrator.read("mig", USER, Stage.OFF)
    assert sides.order == expected
    assert result.origin is (OLD if stage is Stage.SHADOW else NEW)


def test_random_order_comes_out_both_ways() -> None:
    sides = Sides()
    migrator = reader(
        StageClient(Stage.LIVE), sides.config(), read_execution_order=ExecutionOrder.RANDOM
    )
    for _ in range(200):
        migrator.read("mig", USER, Stage.OFF)
    assert 20 < sum(first is OLD for first in sides.order[::2]) < 180


def test_parallel_reads_wait_for_each_other() -> None:
    met = {OLD: runtime.Event(), NEW: runtime.Event()}

    def meet(mine: Origin, other: Origin) -> Result:
        met[mine].set()
        return Result.success(met[other].wait(10))

    def old(_: Any) -> Result:
        return meet(OLD, NEW)

    def new(_: Any) -> Result:
        return meet(NEW, OLD)

    migrator = reader(StageClient(Stage.SHADOW), MigrationConfig(old, new))
    assert (migrator.read("mig", USER, Stage.OFF)).value is True


def test_a_read_of_which_the_decisive_side_fails_is_a_failure() -> None:
    for order in ORDERS:
        client = StageClient(Stage.LIVE)
        migrator = reader(client, Sides(NEW).config(), read_execution_order=order)
        result = migrator.read("mig", USER, Stage.OFF)
        assert not result.is_success()
        assert (result.origin, result.error) == (NEW, "new is down")
        assert client.event.errors == {NEW}


def test_a_read_of_which_only_the_other_side_fails_is_a_success() -> None:
    client = StageClient(Stage.SHADOW)
    assert (reader(client, Sides(NEW).config()).read("mig", USER, Stage.OFF)).is_success()
    assert client.event.errors == {NEW}


# --- writing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "called"),
    [
        (Stage.OFF, [OLD]),
        (Stage.DUALWRITE, [OLD, NEW]),
        (Stage.SHADOW, [OLD, NEW]),
        (Stage.LIVE, [NEW, OLD]),
        (Stage.RAMPDOWN, [NEW, OLD]),
        (Stage.COMPLETE, [NEW]),
    ],
)
def test_a_write_calls_the_side_that_decides_first(
    stage: Stage, called: list[Origin]
) -> None:
    client, sides = StageClient(stage), Sides()
    result = writer(client, sides.config()).write("mig", USER, Stage.OFF, "payload")
    assert sides.calls == [(origin, "payload") for origin in called]
    expected = [(origin, f"{origin.value} value") for origin in called]
    found = [described(result.authoritative), described(result.nonauthoritative)]
    assert [one for one in found if one is not None] == expected
    assert client.event.operation is Operation.WRITE
    assert client.event.invoked == frozenset(called)


@pytest.mark.parametrize("stage", [Stage.DUALWRITE, Stage.SHADOW, Stage.LIVE, Stage.RAMPDOWN])
def test_the_second_write_is_left_out_if_the_first_fails(stage: Stage) -> None:
    first = OLD if stage in {Stage.DUALWRITE, Stage.SHADOW} else NEW
    client, sides = StageClient(stage), Sides(first)
    result = writer(client, sides.config()).write("mig", USER, Stage.OFF)
    assert sides.order == [first]
    assert not result.authoritative.is_success()
    assert result.nonauthoritative is None
    assert client.event.invoked == {first}
    assert client.event.errors == {first}
    assert frozenset(client.event.latencies) == {first}


def test_a_second_write_that_fails_leaves_the_first_one_a_success() -> None:
    client = StageClient(Stage.LIVE)
    result = writer(client, Sides(OLD).config()).write("mig", USER, Stage.OFF)
    assert result.authoritative.is_success()
    assert result.nonauthoritative is not None
    assert result.nonauthoritative.error == "old is down"
    assert client.event.errors == {OLD}


def test_writes_are_never_compared() -> None:
    client = StageClient(Stage.LIVE)
    writer(client, Sides().config(lambda _, __: True)).write("mig", USER, Stage.OFF)
    assert client.event.consistent is None


# --- what functions do --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "text"), [(ValueError("no such row"), "no such row"), (KeyError(), "KeyError")]
)
def test_what_a_side_raises_is_its_failure_and_is_kept(error: Exception, text: str) -> None:
    def fail(_: Any) -> Result:
        raise error

    client = StageClient(Stage.OFF)
    result = reader(client, MigrationConfig(fail, fail)).read("mig", USER, Stage.OFF)
    assert result.error == text
    assert result.exception is error
    assert client.event.errors == {OLD}


@pytest.mark.parametrize("order", [ExecutionOrder.SERIAL, ExecutionOrder.RANDOM])
def test_an_interrupt_comes_through_and_what_was_called_is_sent(
    order: ExecutionOrder,
) -> None:
    def stop(_: Any) -> Result:
        raise KeyboardInterrupt

    client = StageClient(Stage.LIVE)
    config = MigrationConfig(stop, stop)
    with pytest.raises(KeyboardInterrupt):
        reader(client, config, read_execution_order=order).read("mig", USER, Stage.OFF)
    assert len(client.event.invoked) == 1


@pytest.mark.parametrize("returned", [None, 7, "value"])
def test_what_is_no_result_is_a_failure_that_says_so(returned: Any) -> None:
    client = StageClient(Stage.COMPLETE)
    config = MigrationConfig(lambda _: returned, lambda _: returned)
    result = reader(client, config).read("mig", USER, Stage.OFF)
    name = type(returned).__name__
    assert result.error == f"the new side must return a Result, not {name}"


# --- what is taken down -------------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
def test_it_is_taken_down_how_long_each_side_took(order: ExecutionOrder) -> None:
    def slow(_: Any) -> Result:
        runtime.Event().wait(0.02)
        return Result.success(1)

    def quick(_: Any) -> Result:
        return Result.fail("no")

    client = StageClient(Stage.SHADOW)
    migrator = reader(client, MigrationConfig(slow, quick), read_execution_order=order)
    migrator.read("mig", USER, Stage.OFF)
    latencies = client.event.latencies
    assert timedelta(milliseconds=19) <= latencies[OLD] < timedelta(seconds=10)
    assert timedelta(0) <= latencies[NEW] < latencies[OLD]


def test_neither_latencies_nor_errors_are_taken_down_if_not_wanted() -> None:
    client = StageClient(Stage.SHADOW)
    config = Sides(OLD).config()
    migrator = reader(client, config, track_latency=False, track_errors=False)
    migrator.read("mig", USER, Stage.OFF)
    assert client.event.latencies == {}
    assert client.event.errors == frozenset()
    assert client.event.invoked == {OLD, NEW}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("stage", [Stage.SHADOW, Stage.LIVE])
def test_results_are_compared_the_old_one_first(order: ExecutionOrder, stage: Stage) -> None:
    compared: list[tuple[Any, Any]] = []

    def compare(old: Any, new: Any) -> bool:
        compared.append((old, new))
        return False

    client = StageClient(stage)
    migrator = reader(client, Sides().config(compare), read_execution_order=order)
    migrator.read("mig", USER, Stage.OFF)
    assert compared == [("old value", "new value")]
    assert client.event.consistent is False


@pytest.mark.parametrize("stage", [Stage.OFF, Stage.DUALWRITE, Stage.RAMPDOWN, Stage.COMPLETE])
def test_one_result_is_compared_to_nothing(stage: Stage) -> None:
    client = StageClient(stage)
    reader(client, Sides().config(lambda _, __: True)).read("mig", USER, Stage.OFF)
    assert client.event.consistent is None


@pytest.mark.parametrize("failing", [(OLD,), (NEW,), (OLD, NEW)])
def test_failures_are_not_compared(failing: tuple[Origin, ...]) -> None:
    def compare(_: Any, __: Any) -> bool:
        raise AssertionError

    client = StageClient(Stage.LIVE)
    reader(client, Sides(*failing).config(compare)).read("mig", USER, Stage.OFF)
    assert client.event.consistent is None


@pytest.mark.parametrize(("drawn", "expected"), [(0.0, True), (0.9, None)])
def test_only_a_sample_is_compared(drawn: float, expected: bool | None) -> None:  # noqa: FBT001
    client = StageClient(Stage.LIVE, check_ratio=5)
    client.draw = lambda: drawn
    reader(client, Sides().config(lambda _, __: True)).read("mig", USER, Stage.OFF)
    assert client.event.consistent is expected


def test_a_comparison_that_must_be_awaited_measures_nothing_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Later:
        def __await__(self) -> Any:
            raise AssertionError

    client = StageClient(Stage.LIVE)
    config: Any = Sides().config(lambda _, __: Later())  # type: ignore[arg-type,return-value]
    assert (reader(client, config).read("mig", USER, Stage.OFF)).is_success()
    assert client.event.consistent is None
    assert "a comparison must be a plain function" in caplog.text


def test_a_comparison_that_raises_measures_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def compare(_: Any, __: Any) -> bool:
        raise ValueError("cannot compare")

    client = StageClient(Stage.LIVE)
    result = reader(client, Sides().config(compare)).read("mig", USER, Stage.OFF)
    assert result.is_success()
    assert client.event.consistent is None
    assert "cannot compare" in caplog.text


def test_an_event_is_sent_for_each_operation() -> None:
    client, sides = StageClient(Stage.LIVE), Sides()
    migrator = Migrator(client, read=sides.config(), write=sides.config())
    migrator.read("mig", USER, Stage.OFF)
    migrator.write("mig", USER, Stage.OFF)
    events = [tracker.build() for tracker in client.trackers]
    assert [event.operation for event in events if isinstance(event, MigrationOpEvent)] == [
        Operation.READ,
        Operation.WRITE,
    ]


def test_many_may_use_one_migrator_at_once() -> None:
    def echo(payload: Any) -> Result:
        pause()
        return Result.success(payload)

    client = StageClient(Stage.SHADOW)
    config = MigrationConfig(echo, echo, lambda old, new: bool(old == new))
    migrator = reader(client, config)
    results: dict[int, Any] = {}

    def reading(number: int) -> runtime.Job:
        def read() -> None:
            results[number] = (migrator.read("mig", USER, Stage.OFF, number)).value

        return read

    tasks = [runtime.spawn("test", reading(number)) for number in range(10)]
    assert all([task.join(10) for task in tasks])
    assert results == {number: number for number in range(10)}
    events = [tracker.build() for tracker in client.trackers]
    assert [getattr(event, "consistent", None) for event in events] == [True] * 10


# --- settings, and values -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"read": None},
        {"write": (1, 2)},
        {"read": MigrationConfig(1, 2)},  # type: ignore[arg-type]  # that is what is refused
        {"write": MigrationConfig(print, None)},  # type: ignore[arg-type]  # likewise
        {"read": MigrationConfig(print, print, "equal")},  # type: ignore[arg-type]  # likewise
        {"read_execution_order": "serial"},
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(settings: dict[str, Any]) -> None:
    given: dict[str, Any] = {"read": UNUSED, "write": UNUSED, **settings}
    with pytest.raises(ConfigError):
        Migrator(StageClient(Stage.OFF), **given)


def test_a_result_shows_no_data_of_anybody() -> None:
    assert repr(Result.success("amal@example.com")) == "Result(success)"
    assert repr(Result.fail("no row")) == "Result('no row')"
    result = OperationResult(OLD, Result.fail("no row", ValueError("x")))
    assert repr(result) == "OperationResult('no row')"
    assert isinstance(result.exception, ValueError)


def test_a_failure_without_words_is_none_the_less_a_failure() -> None:
    assert not Result.fail("").is_success()
    assert not Result.fail(None).is_success()  # type: ignore[arg-type]  # that is what is tested


def test_whose_result_it_is_has_to_be_said() -> None:
    with pytest.raises(TypeError, match="origin"):
        OperationResult.success(1)
    with pytest.raises(TypeError, match="origin"):
        OperationResult.fail("no")


def test_a_write_without_a_second_side_has_no_second_result() -> None:
    result = OperationResult(NEW, Result.success(None))
    assert result.is_success()
    assert WriteResult(result).nonauthoritative is None
