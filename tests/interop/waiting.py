"""Waiting for other programs, which take long on a busy machine: longer than tests elsewhere do."""

import time
from collections.abc import Callable
from typing import Final

from tests._sync.waiting import pause

PATIENCE: Final = 60.0


def until(condition: Callable[[], bool]) -> None:
    """Wait until `condition()` is true."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, "it never became true"
        pause()
