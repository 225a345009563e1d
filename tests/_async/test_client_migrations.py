"""Migrations through a client: the stage from the flag, and the event that is sent."""

import logging
from typing import Any

import pytest

from flagkeep._async.client import AsyncClient
from flagkeep._async.migrations import AsyncMigrator
from flagkeep.config import Config, EventSettings, Streaming
from flagkeep.model.context import Context
from flagkeep.model.migration import ExecutionOrder, Stage
from flagkeep.model.migration_result import MigrationConfig, Result
from flagkeep.testing import AsyncFakeUpstream
from tests._async.hand_source import flag

USER = Context.builder("user-key").set("email", "amal@example.com").private("email").build()
STAGES = [stage.value for stage in Stage]


def migration_flag(stage: str, *, key: str = "mig", **more: Any) -> dict[str, Any]:
    """Return a flag with all stages, now at `stage`."""
    fallthrough = {"variation": STAGES.index(stage)}
    return flag(key, *STAGES, version=7, fallthrough=fallthrough, **more)


def migrator_of(client: AsyncClient, **settings: Any) -> AsyncMigrator:
    """Return one whose sides give the same to every payload."""
    config = MigrationConfig(
        Result.success,
        Result.success,
        lambda old, new: bool(old == new),
    )
    return AsyncMigrator(client, read=config, write=config, **settings)


async def client_of(upstream: AsyncFakeUpstream, *flags: dict[str, Any]) -> AsyncClient:
    upstream.put({one["key"]: one for one in flags})
    client = AsyncClient(
        Config(
            sdk_key="sdk-key",
            source=Streaming(base_uri=upstream.uri),
            events=EventSettings(base_uri=upstream.uri, flush_interval=1000.0, diagnostics=False),
        )
    )
    assert await client.wait_until_ready(10)
    return client


async def migration_events(
    upstream: AsyncFakeUpstream, client: AsyncClient
) -> list[dict[str, Any]]:
    assert await client.flush(10)
    return [event for event in upstream.events() if event["kind"] == "migration_op"]


@pytest.mark.parametrize("stage", list(Stage))
async def test_the_stage_is_the_value_of_the_flag(stage: Stage) -> None:
    async with (
        AsyncFakeUpstream() as upstream,
        await client_of(upstream, migration_flag(stage.value)) as client,
    ):
        found, tracker = await client.migration("mig", USER, Stage.OFF)
        assert found is stage
        assert tracker is not None


@pytest.mark.parametrize("key", ["missing", "wrong", "number"])
@pytest.mark.parametrize("default", list(Stage))
async def test_where_the_flag_has_no_stage_it_is_the_default(key: str, default: Stage) -> None:
    async with AsyncFakeUpstream() as upstream:
        flags = flag("wrong", "no stage"), flag("number", 7)
        async with await client_of(upstream, *flags) as client:
            assert (await client.migration(key, USER, default))[0] is default


async def test_a_default_that_is_no_stage_is_off() -> None:
    async with AsyncClient(Config(offline=True)) as client:
        default: Any = "live"
        assert (await client.migration("mig", USER, default))[0] is Stage.OFF


@pytest.mark.parametrize("order", list(ExecutionOrder))
async def test_a_read_of_both_sides_is_sent_with_all_that_was_measured(
    order: ExecutionOrder,
) -> None:
    async with (
        AsyncFakeUpstream() as upstream,
        await client_of(upstream, migration_flag("live")) as client,
    ):
        migrator = migrator_of(client, read_execution_order=order)
        result = await migrator.read("mig", USER, Stage.DUALWRITE, "payload")
        assert result.value == "payload"
        (event,) = await migration_events(upstream, client)
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


async def test_a_write_whose_first_side_fails_is_sent_as_such() -> None:
    def fail(_: Any) -> Result:
        raise ValueError("no")

    async with (
        AsyncFakeUpstream() as upstream,
        await client_of(upstream, migration_flag("shadow")) as client,
    ):
        config = MigrationConfig(fail, fail)
        migrator = AsyncMigrator(client, read=config, write=config, track_latency=False)
        result = await migrator.write("mig", USER, Stage.OFF)
        assert result.nonauthoritative is None
        (event,) = await migration_events(upstream, client)
    assert event["operation"] == "write"
    assert event["measurements"] == [
        {"key": "invoked", "values": {"old": True}},
        {"key": "error", "values": {"old": True}},
    ]


async def test_an_operation_on_a_flag_that_is_missing_is_sent_with_the_default() -> None:
    async with AsyncFakeUpstream() as upstream, await client_of(upstream) as client:
        await migrator_of(client).read("missing", USER, Stage.LIVE)
        (event,) = await migration_events(upstream, client)
    assert event["evaluation"] == {
        "key": "missing",
        "value": "live",
        "default": "live",
        "reason": {"kind": "ERROR", "errorKind": "FLAG_NOT_FOUND"},
    }


async def test_a_flag_that_is_no_migration_is_sent_as_of_the_wrong_type() -> None:
    async with (
        AsyncFakeUpstream() as upstream,
        await client_of(upstream, flag("wrong", "no stage", version=3)) as client,
    ):
        await migrator_of(client).read("wrong", USER, Stage.LIVE)
        (event,) = await migration_events(upstream, client)
    assert event["evaluation"] == {
        "key": "wrong",
        "value": "live",
        "default": "live",
        "version": 3,
        "reason": {"kind": "ERROR", "errorKind": "WRONG_TYPE"},
    }


async def test_ratios_other_than_one_are_named_and_none_sends_nothing() -> None:
    flags = (
        migration_flag("live", key="never", samplingRatio=0),
        migration_flag("live", migration={"checkRatio": 0}, key="unchecked"),
    )
    async with AsyncFakeUpstream() as upstream, await client_of(upstream, *flags) as client:
        migrator = migrator_of(client)
        await migrator.read("never", USER, Stage.OFF)
        await migrator.read("unchecked", USER, Stage.OFF)
        (event,) = await migration_events(upstream, client)
    assert event["evaluation"]["key"] == "unchecked"
    assert [one["key"] for one in event["measurements"]] == ["invoked", "latency_ms"]


async def test_an_operation_with_an_invalid_context_is_not_sent_and_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with (
        AsyncFakeUpstream() as upstream,
        await client_of(upstream, migration_flag("live")) as client,
    ):
        result = await migrator_of(client).read("mig", Context.create(""), Stage.OFF, 1)
        assert result.value == 1
        assert await migration_events(upstream, client) == []
    errors = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "context is invalid" in errors[0]
