"""How often, and at what intervals, a write is tried that others got in the way of."""

import random
from typing import Final

from flagkeep._runtime import threads as runtime

MOST: Final = 10
OVERTAKEN: Final = f"others wrote the same at the same time, {MOST} times in a row"
_PAUSE: Final = 0.002  # seconds; grows with every attempt, up to 0.25


def pause(attempt: int) -> None:
    """Wait before any attempt but the first: longer each time, and not as long as the others.

    Args:
        attempt: its number, from 0 on.
    """
    if attempt:
        seconds = min(0.25, _PAUSE * 2**attempt) * random.uniform(0.5, 1.5)  # noqa: S311  no secret
        runtime.Event().wait(seconds)
