"""Migrations through a client: the stage from the flag, and the event that is sent."""

import logging
from typing import Any

import pytest

from flagkeep._sync.client import Client
from flagkeep._sync.migrations import Migrator
from flagkeep.config import Config, EventSettings, Streaming
from flagkeep.model.context import Context
from flagkeep.model.migration import ExecutionOrder, Stage
from flagkeep.model.migration_result import MigrationConfig, Result
from flagkeep.testing import FakeUpstream
from tests._sync.hand_source import flag

USER = Context.builder("user-key").set("email", "amal@example.com").private("email").build()
STAGES = [stage.value for stage in Stage]


def migration_flag(stage: str, *, key: str = "mig", **more: Any) -> dict[str, Any]:
    """Return a flag with all stages, now at `stage`."""
    fallthrough = {"variation": STAGES.index(stage)}
    return flag(key, *STAGES, version=7, fallthrough=fallthrough, **more)


def migrator_of(client: Client, **settings: Any) -> Migrator:
    """Return one whose sides give the same to every payload."""
    config = MigrationConfig(
        Result.success,
        Result.success,
        lambda old, new: bool(old == new),
    )
    return Migrator(client, read=config, write=config, **settings)


def client_of(upstream: FakeUpstream, *flags: dict[str, Any]) -> Client:
    upstream.put({one["key"]: one for one in flags})
    client = Client(
        Config(
            sdk_key="sdk-key",
            source=Streaming(base_uri=upstream.uri),
            events=EventSettings(base_uri=upstream.uri, flush_interval=1000.0, diagnostics=False),
        )
    )
    assert client.wait_until_ready(10)
    return client


def migration_events(
    upstream: FakeUpstream, client: Client
) -> list[dict[str, Any]]:
    assert client.flush(10)
    return [event for event in upstream.events() if event["kind"] == "migration_op"]


@pytest.mark.parametrize("stage", list(Stage))
def test_the_stage_is_the_value_of_the_flag(stage: Stage) -> None:
    with (
        FakeUpstream() as upstream,
        client_of(upstream, migration_flag(stage.value)) as client,
    ):
        found, tracker = client.migration("mig", USER, Stage.OFF)
        assert found is stage
        assert tracker is not None


@pytest.mark.parametrize("key", ["missing", "wrong", "number"])
@pytest.mark.parametrize("default", list(Stage))
def test_where_the_flag_has_no_stage_it_is_the_default(key: str, default: Stage) -> None:
    with FakeUpstream() as upstream:
        flags = flag("wrong", "no stage"), flag("number", 7)
        with client_of(upstream, *flags) as client:
            assert (client.migration(key, USER, default))[0] is default


def test_a_default_that_is_no_stage_is_off() -> None:
    with Client(Config(offline=True)) as client:
        default: Any = "live"
        assert (client.migration("mig", USER, default))[0] is Stage.OFF


@pytest.mark.parametrize("order", list(ExecutionOrder))
def test_a_read_of_both_sides_is_sent_with_all_that_was_measured(
    order: ExecutionOrder,
) -> None:
    with (
        FakeUpstream() as upstream,
        client_of(upstream, migration_flag("live")) as client,
    ):
        migrator = migrator_of(client, read_execution_order=order)
        result = migrator.read("mig", USER, Stage.DUALWRITE, "payload")
        assert result.value == "payload"
        (event,) = migration_events(upstream, client)
    latencies = event["measurements"].pop(2)
    assert latencies["key"] == "latency_ms"
    assert sorted(latencies["values"]) == ["new", "old"]
    assert all(0 <= took < 10_000 for took in latencies["values"].values())
    assert event.pop("creationDate") > 1_600_000_000_000
    assert event == {
        "kind": "migration_op",
        "operation": "read",
        "context": {
            "kind": "user",
            "key": "user-key",
            "_meta": {"redactedAttributes": ["email"]},
        },
        "evaluation": {
            "key": "mig",
            "value": "live",
            "default": "dualwrite",
            "version": 7,
            "variation": 3,
            "reason": {"kind": "FALLTHROUGH"},
        },
        "measurements": [
            {"key": "invoked", "values": {"old": True, "new": True}},
            {"key": "consistent", "value": True},
        ],
    }


def test_a_write_whose_first_side_fails_is_sent_as_such() -> None:
    def fail(_: Any) -> Result:
        raise ValueError("no")

    with (
        FakeUpstream() as upstream,
        client_of(upstream, migration_flag("shadow")) as client,
    ):
        config = MigrationConfig(fail, fail)
        migrator = Migrator(client, read=config, write=config, track_latency=False)
        result = migrator.write("mig", USER, Stage.OFF)
        assert result.nonauthoritative is None
        (event,) = migration_events(upstream, client)
    assert event["operation"] == "write"
    assert event["measurements"] == [
        {"key": "invoked", "values": {"old": True}},
        {"key": "error", "values": {"old": True}},
    ]


def test_an_operation_on_a_flag_that_is_missing_is_sent_with_the_default() -> None:
    with FakeUpstream() as upstream, client_of(upstream) as client:
        migrator_of(client).read("missing", USER, Stage.LIVE)
        (event,) = migration_events(upstream, client)
    assert event["evaluation"] == {
        "key": "missing",
        "value": "live",
        "default": "live",
        "reason": {"kind": "ERROR", "errorKind": "FLAG_NOT_FOUND"},
    }


def test_a_flag_that_is_no_migration_is_sent_as_of_the_wrong_type() -> None:
    with (
        FakeUpstream() as upstream,
        client_of(upstream, flag("wrong", "no stage", version=3)) as client,
    ):
        migrator_of(client).read("wrong", USER, Stage.LIVE)
        (event,) = migration_events(upstream, client)
    assert event["evaluation"] == {
        "key": "wrong",
        "value": "live",
        "default": "live",
        "version": 3,
        "reason": {"kind": "ERROR", "errorKind": "WRONG_TYPE"},
    }


def test_ratios_other_than_one_are_named_and_none_sends_nothing() -> None:
    flags = (
        migration_flag("live", key="never", samplingRatio=0),
        migration_flag("live", migration={"checkRatio": 0}, key="unchecked"),
    )
    with FakeUpstream() as upstream, client_of(upstream, *flags) as client:
        migrator = migrator_of(client)
        migrator.read("never", USER, Stage.OFF)
        migrator.read("unchecked", USER, Stage.OFF)
        (event,) = migration_events(upstream, client)
    assert event["evaluation"]["key"] == "unchecked"
    assert [one["key"] for one in event["measurements"]] == ["invoked", "latency_ms"]


def test_an_operation_with_an_invalid_context_is_not_sent_and_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        FakeUpstream() as upstream,
        client_of(upstream, migration_flag("live")) as client,
    ):
        result = migrator_of(client).read("mig", Context.create(""), Stage.OFF, 1)
        assert result.value == 1
        assert migration_events(upstream, client) == []
    errors = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "context is invalid" in errors[0]
