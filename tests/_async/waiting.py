"""Waiting in tests: for a condition, never for a time."""

from collections.abc import Callable
from typing import Any

from flagkeep._async.client import AsyncClient
from flagkeep._runtime import aio as runtime
from flagkeep.model.context import Context

PATIENCE = 10.0


async def pause() -> None:
    """Let others run for a moment."""
    await runtime.Event().wait(0.005)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until `condition()` is true."""
    give_up = runtime.monotonic() + PATIENCE
    while not condition():
        assert runtime.monotonic() < give_up, "it never became true"
        await pause()


async def until_value(client: AsyncClient, key: str, context: Context, expected: Any) -> None:
    """Wait until a flag has the value `expected`."""
    give_up = runtime.monotonic() + PATIENCE
    while (seen := await client.variation(key, context, None)) != expected:
        assert runtime.monotonic() < give_up, f"still {seen!r}"
        await pause()
