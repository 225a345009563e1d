"""How many examples the property tests of this folder try."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

THOROUGH = os.environ.get("FLAGKEEP_THOROUGH") == "1"


def examples(number: int) -> Callable[[Any], Any]:
    """Try `number` examples, the same ones every time; fifty times as many, random, if thorough."""
    chosen = settings(
        max_examples=number * 50 if THOROUGH else number,
        derandomize=not THOROUGH,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    marks = [pytest.mark.slow, *([pytest.mark.timeout(3600)] if THOROUGH else [])]

    def configure(test: Any) -> Any:
        for mark in marks:
            test = mark(test)
        return chosen(test)

    return configure
