"""Waiting in tests: for a condition, never for a time."""

from collections.abc import Callable
from typing import Any

from flagkeep._sync.client import Client
from flagkeep._runtime import threads as runtime
from flagkeep.model.context import Context

PATIENCE = 10.0


def pause() -> None:
    """Let others run for a moment."""
    runtime.Event().wait(0.005)


def until(condition: Callable[[], bool]) -> None:
    """Wait until `condition()` is true."""
    give_up = runtime.monotonic() + PATIENCE
    while not condition():
        assert runtime.monotonic() < give_up, "it never became true"
        pause()


def until_value(client: Client, key: str, context: Context, expected: Any) -> None:
    """Wait until a flag has the value `expected`."""
    give_up = runtime.monotonic() + PATIENCE
    while (seen := client.variation(key, context, None)) != expected:
        assert runtime.monotonic() < give_up, f"still {seen!r}"
        pause()
