"""Migrations in asyncio: what is cancelled, and comparisons that would have to be awaited."""

import asyncio
from typing import Any

import pytest

from flagkeep.model.context import Context
from flagkeep.model.migration import ExecutionOrder, Origin, Stage
from flagkeep.model.migration_result import MigrationConfig, Result
from tests._async.test_migrations import AsyncStageClient, Sides, reader

USER = Context.create("user-key")


@pytest.mark.parametrize("order", list(ExecutionOrder))
async def test_a_read_that_is_cancelled_cancels_both_sides_and_is_sent(
    order: ExecutionOrder,
) -> None:
    begun, ended = asyncio.Event(), list[str]()

    async def hang(_: Any) -> Result:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        raise AssertionError

    client = AsyncStageClient(Stage.LIVE)
    migrator = reader(client, MigrationConfig(hang, hang), read_execution_order=order)
    task = asyncio.create_task(migrator.read("mig", USER, Stage.OFF))
    await begun.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    count = 2 if order is ExecutionOrder.PARALLEL else 1
    assert ended == ["cancelled"] * count
    assert len(client.event.invoked) == count


async def test_a_side_whose_own_work_is_cancelled_fails_and_cancels_nobody() -> None:
    async def cancelled(_: Any) -> Result:
        other = asyncio.create_task(asyncio.sleep(100))
        other.cancel()
        await other
        raise AssertionError

    client = AsyncStageClient(Stage.SHADOW)
    config = MigrationConfig(cancelled, Sides().new)
    result = await reader(client, config).read("mig", USER, Stage.OFF)
    assert result.error == "what it waits for was cancelled"
    assert client.event.errors == {Origin.OLD}


async def test_a_comparison_that_must_be_awaited_measures_nothing_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def compare(_: Any, __: Any) -> bool:
        raise AssertionError

    client = AsyncStageClient(Stage.LIVE)
    config = MigrationConfig(Sides().old, Sides().new, compare)  # type: ignore[arg-type]  # wrong
    assert (await reader(client, config).read("mig", USER, Stage.OFF)).is_success()
    assert client.event.consistent is None
    assert "a comparison must be a plain function" in caplog.text
