"""Migrations as the official SDK spells them."""

import threading
from datetime import timedelta
from typing import Any

import pytest

from flagkeep.ldclient import (
    Context,
    ExecutionOrder,
    LDClient,
    Migrator,
    MigratorBuilder,
    Operation,
    OpTracker,
    Origin,
    Result,
    Stage,
)
from flagkeep.ldclient.evaluation import EvaluationDetail
from flagkeep.ldclient.integrations.test_data import TestData
from flagkeep.ldclient.migrations.tracker import MigrationOpEvent
from flagkeep.ldclient.migrations.types import OperationResult, WriteResult
from tests.ldclient.sources import USER, flag, quiet

STAGES = [one.value for one in Stage]


@pytest.fixture
def data() -> TestData:
    return TestData.data_source()


def succeed(value: Any) -> Any:
    return lambda _payload: Result.success(value)


def migrator(client: Any, **settings: Any) -> Migrator:
    builder = MigratorBuilder(client)
    for name, value in settings.items():
        getattr(builder, name)(value)
    made = builder.read(succeed("old"), succeed("new")).write(succeed("o"), succeed("n")).build()
    assert isinstance(made, Migrator)
    return made


def at(data: TestData, stage: str) -> TestData:
    data.use_preconfigured_flag(flag("m", stage))
    return data


@pytest.mark.parametrize("stage", Stage)
def test_the_stage_of_the_flag_comes_with_a_tracker(data: TestData, stage: Stage) -> None:
    with LDClient(quiet(update_processor_class=at(data, stage.value))) as client:
        found, tracker = client.migration_variation("m", USER, Stage.OFF)
    assert found is stage
    assert isinstance(tracker, OpTracker)


@pytest.mark.parametrize("default", [Stage.LIVE, "live", None])
def test_what_is_no_stage_gives_the_default_or_off(data: TestData, default: Any) -> None:
    with LDClient(quiet(update_processor_class=at(data, "no stage"))) as client:
        found, tracker = client.migration_variation("m", USER, default)
    assert found is (Stage.LIVE if default is Stage.LIVE else Stage.OFF)
    event = tracker.operation(Operation.READ).invoked(Origin.OLD).build()
    assert isinstance(event, MigrationOpEvent)
    assert event.detail.reason == {"kind": "ERROR", "errorKind": "WRONG_TYPE"}
    assert event.detail.value == found.value


@pytest.mark.parametrize(
    ("stage", "read", "written"),
    [
        ("off", Origin.OLD, (Origin.OLD, None)),
        ("dualwrite", Origin.OLD, (Origin.OLD, Origin.NEW)),
        ("shadow", Origin.OLD, (Origin.OLD, Origin.NEW)),
        ("live", Origin.NEW, (Origin.NEW, Origin.OLD)),
        ("rampdown", Origin.NEW, (Origin.NEW, Origin.OLD)),
        ("complete", Origin.NEW, (Origin.NEW, None)),
    ],
)
@pytest.mark.parametrize("order", ExecutionOrder)
def test_a_migrator_reads_and_writes_as_the_stage_says(
    data: TestData,
    order: ExecutionOrder,
    stage: str,
    read: Origin,
    written: tuple[Origin, Origin | None],
) -> None:
    with LDClient(quiet(update_processor_class=at(data, stage))) as client:
        made = migrator(client, read_execution_order=order)
        result = made.read("m", USER, Stage.OFF)
        assert isinstance(result, OperationResult)
        assert (result.origin, result.value, result.is_success()) == (read, read.value, True)
        both = made.write("m", USER, Stage.OFF, "payload")
    assert isinstance(both, WriteResult)
    second = both.nonauthoritative
    assert (both.authoritative.origin, None if second is None else second.origin) == written


def test_functions_get_the_payload_and_a_failure_keeps_what_was_raised(data: TestData) -> None:
    error = OSError("no disk")

    def raise_it(_payload: Any) -> Result:
        raise error

    with LDClient(quiet(update_processor_class=at(data, "dualwrite"))) as client:
        builder = MigratorBuilder(client)
        builder.read(Result.success, Result.success).write(raise_it, succeed(1))
        made = builder.build()
        assert isinstance(made, Migrator)
        assert made.read("m", USER, Stage.OFF, "payload").value == "payload"
        written = made.write("m", USER, Stage.OFF)
    assert not written.authoritative.is_success()
    assert written.authoritative.exception is error
    assert written.nonauthoritative is None


def test_a_builder_says_what_is_missing() -> None:
    builder = MigratorBuilder(None)
    assert "call read" in str(builder.build())
    assert "call write" in str(builder.read(succeed(1), succeed(2)).build())
    assert isinstance(builder.write(succeed(1), succeed(2)).build(), Migrator)


def test_what_a_migrator_did_is_tracked_through_the_client_it_was_given(data: TestData) -> None:
    class Client:
        """A client of somebody's own, such as one that decorates another."""

        def __init__(self, inner: LDClient) -> None:
            self.inner = inner
            self.events: list[Any] = []

        def migration_variation(self, *given: Any) -> Any:
            return self.inner.migration_variation(*given)

        def track_migration_op(self, tracker: OpTracker) -> None:
            self.events.append(tracker.build())

    with LDClient(quiet(update_processor_class=at(data, "live"))) as inner:
        client = Client(inner)
        made = (
            MigratorBuilder(client)
            .read(succeed(1), succeed(2), lambda old, new: bool(old == new))
            .write(succeed(1), lambda _: Result.fail("full"))
            .build()
        )
        assert isinstance(made, Migrator)
        made.read("m", USER, Stage.OFF)
        made.write("m", USER, Stage.OFF)
    read, write = client.events
    assert (read.operation, read.invoked, read.consistent) == (
        Operation.READ,
        {Origin.OLD, Origin.NEW},
        False,
    )
    assert set(read.latencies) == {Origin.OLD, Origin.NEW}
    assert (write.invoked, write.errors, write.default_stage) == (
        {Origin.NEW},
        {Origin.NEW},
        Stage.OFF,
    )
    assert (write.key, write.flag.version, write.context) == ("m", 1, USER)


def new_tracker(**changed: Any) -> OpTracker:
    given: dict[str, Any] = {
        "key": "m",
        "flag": None,
        "context": USER,
        "detail": EvaluationDetail("live", 1, {"kind": "FALLTHROUGH"}),
        "default_stage": Stage.OFF,
    }
    return OpTracker(**(given | changed))


def test_fix_bad_arguments_are_ignored_and_the_chain_goes_on() -> None:
    """FIX (python-api.md 8): official `error` and `latency` return None then."""
    bad: Any = "neither"
    event = (
        new_tracker()
        .operation(bad)
        .operation(Operation.WRITE)
        .invoked(bad)
        .invoked(Origin.OLD)
        .error(bad)
        .latency(bad, timedelta(seconds=1))
        .latency(Origin.OLD, bad)
        .latency(Origin.OLD, timedelta(seconds=2))
        .consistent(bad)
        .build()
    )
    assert isinstance(event, MigrationOpEvent)
    assert event.operation is Operation.WRITE
    assert event.invoked == {Origin.OLD}
    assert event.errors == set()
    assert event.latencies == {Origin.OLD: timedelta(seconds=2)}


def test_fix_an_event_can_be_shown() -> None:
    """FIX (python-api.md 8): the official one's `repr` raises TypeError."""
    context = Context.builder("u").set("email", "secret").build()
    event = new_tracker(context=context).operation(Operation.READ).invoked(Origin.NEW).build()
    assert isinstance(event, MigrationOpEvent)
    assert "'operation': 'read'" in repr(event)
    assert "secret" not in repr(event)
    assert event.to_debugging_dict()["invoked"] == ["new"]


@pytest.mark.parametrize(
    ("tracker", "problem"),
    [
        (new_tracker(), "operation"),
        (new_tracker().operation(Operation.READ), "invoked"),
        (new_tracker(key="").operation(Operation.READ).invoked(Origin.OLD), "key"),
        (
            new_tracker(context=Context.create("")).operation(Operation.READ).invoked(Origin.OLD),
            "context",
        ),
        (
            new_tracker().operation(Operation.READ).invoked(Origin.OLD).error(Origin.NEW),
            "not invoked",
        ),
    ],
)
def test_what_makes_no_event_says_why(tracker: OpTracker, problem: str) -> None:
    built = tracker.build()
    assert isinstance(built, str)
    assert problem in built


def test_a_tracker_may_be_used_by_many_threads() -> None:
    tracker = new_tracker().operation(Operation.READ)
    threads = [threading.Thread(target=tracker.invoked, args=(one,)) for one in Origin]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    event = tracker.build()
    assert isinstance(event, MigrationOpEvent)
    assert event.invoked == {Origin.OLD, Origin.NEW}


def test_names_of_stages_and_orders_are_read() -> None:
    assert [Stage.from_str(name) for name in STAGES] == list(Stage)
    assert Stage.from_str("nope") is None
    assert ExecutionOrder.from_str("random") is ExecutionOrder.RANDOM
    assert ExecutionOrder.from_str("nope") is None
