"""Which events are chosen, and how long a flag is debugged (events spec, sections 6 and 7)."""

import random

import pytest

from flagkeep.events.sampling import is_debug_due, is_sampled

HOUR = 3_600_000
NOW = 1_700_000_000_000


def never() -> float:
    raise AssertionError("there is nothing to choose")


def test_a_ratio_of_one_is_always_without_a_draw() -> None:
    assert is_sampled(1, never)


@pytest.mark.parametrize("ratio", [0, -1, -7, True, False, None, 1.0, 2.0, "2", [1]])
def test_a_ratio_that_is_no_positive_whole_number_is_never(ratio: object) -> None:
    assert not is_sampled(ratio, never)


@pytest.mark.parametrize(
    ("drawn", "chosen"), [(0.0, True), (0.2499, True), (0.25, False), (0.999, False)]
)
def test_one_in_four_is_below_a_quarter(drawn: float, *, chosen: bool) -> None:
    assert is_sampled(4, lambda: drawn) is chosen


def test_about_one_in_ten_is_chosen() -> None:
    draw = random.Random(1).random
    assert 900 < sum(is_sampled(10, draw) for _ in range(10_000)) < 1100


def test_a_huge_ratio_is_a_number_like_another() -> None:
    assert not is_sampled(10**400, lambda: 0.0)
    assert not is_sampled(2**64, lambda: 0.5)


@pytest.mark.parametrize(
    ("until", "server", "due"),
    [
        (NOW + HOUR, 0, True),
        (NOW + HOUR, NOW + HOUR - 60_000, True),
        (NOW + HOUR, NOW + HOUR + 60_000, False),
        (NOW + HOUR, NOW + HOUR, False),
        (NOW - HOUR, 0, False),
        (NOW - HOUR, NOW - HOUR - 60_000, False),
        (NOW - HOUR, NOW - HOUR + 60_000, False),
        (NOW, 0, False),
        (NOW + 0.5, 0, True),
        (0, 0, False),
        (None, 0, False),
    ],
)
def test_a_flag_is_debugged_until_both_clocks_say_no(
    until: float | None, server: float, *, due: bool
) -> None:
    assert is_debug_due(until, NOW, server) is due
