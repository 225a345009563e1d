"""How long a source waits: both regimes, what ends them, and the random part."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagkeep.protocol.backoff import (
    Doubling,
    ExtendedBackoff,
    Failure,
    PollBackoff,
    StreamBackoff,
    failure_of,
)

NORMAL, UNEXPECTED = Failure.NORMAL, Failure.UNEXPECTED


def whole() -> float:
    """Return a random number that takes nothing off a wait."""
    return 0.0


def stream(initial: float = 1.0) -> StreamBackoff:
    return StreamBackoff(initial=initial, jitter=whole)


def poll(interval: float = 30.0) -> PollBackoff:
    return PollBackoff(interval=interval, jitter=whole)


def waits(backoff: StreamBackoff | PollBackoff, *failures: Failure) -> list[float]:
    return [backoff.failed(failure, 0.0) for failure in failures]


# --- classes of failure --------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0, 204, 301, 304, 399, 400, 408, 429, 500, 503, 599, 600])
def test_what_passes_by_itself_is_normal(status: int) -> None:
    assert failure_of(status) is NORMAL


@pytest.mark.parametrize("status", [401, 402, 403, 404, 405, 407, 410, 413, 418, 499])
def test_what_somebody_must_repair_is_unexpected(status: int) -> None:
    assert failure_of(status) is UNEXPECTED


# --- streaming -----------------------------------------------------------------------------------


def test_a_stream_waits_twice_as_long_each_time_up_to_half_a_minute() -> None:
    assert waits(stream(), *[NORMAL] * 7) == [1, 2, 4, 8, 16, 30, 30]


def test_a_stream_never_waits_less_than_configured() -> None:
    assert waits(stream(45), *[NORMAL] * 3) == [45, 45, 45]
    assert waits(stream(0.001), *[NORMAL] * 3) == [0.001, 0.002, 0.004]


def test_an_unexpected_failure_waits_from_five_minutes_to_an_hour() -> None:
    assert waits(stream(), *[UNEXPECTED] * 6) == [300, 600, 1200, 2400, 3600, 3600]


def test_a_longer_configured_delay_outranks_five_minutes() -> None:
    assert waits(stream(1000), *[UNEXPECTED] * 3) == [1000, 2000, 3600]
    assert waits(stream(5000), NORMAL, UNEXPECTED, UNEXPECTED) == [5000, 5000, 5000]


def test_the_first_unexpected_failure_begins_to_count_anew() -> None:
    assert waits(stream(), NORMAL, NORMAL, NORMAL, UNEXPECTED, UNEXPECTED) == [1, 2, 4, 300, 600]


def test_a_normal_failure_does_not_end_the_extended_regime() -> None:
    backoff = stream()
    assert waits(backoff, UNEXPECTED, NORMAL, NORMAL, UNEXPECTED) == [300, 600, 1200, 2400]
    assert backoff.is_extended


@pytest.mark.parametrize(("good_for", "wait"), [(59.9, 4), (60.0, 1), (3600.0, 1)])
def test_a_stream_has_recovered_after_a_minute(good_for: float, wait: float) -> None:
    backoff = stream()
    waits(backoff, NORMAL, NORMAL)
    backoff.succeeded(100.0)
    backoff.succeeded(100.0 + good_for)  # the first one counts
    assert backoff.failed(NORMAL, 100.0 + good_for) == wait


def test_the_minute_begins_anew_with_each_failure() -> None:
    backoff = stream()
    backoff.succeeded(0.0)
    assert backoff.failed(NORMAL, 30.0) == 1
    backoff.succeeded(31.0)
    assert backoff.failed(NORMAL, 61.0) == 2
    assert backoff.failed(NORMAL, 1000.0) == 4  # nothing good in between


def test_a_stream_that_recovered_is_in_the_normal_regime_again() -> None:
    backoff = stream()
    waits(backoff, UNEXPECTED, UNEXPECTED)
    backoff.succeeded(0.0)
    assert backoff.failed(NORMAL, 75.0) == 1
    assert not backoff.is_extended
    assert backoff.failed(UNEXPECTED, 76.0) == 300


# --- polling -------------------------------------------------------------------------------------


def test_a_poll_that_failed_is_repeated_after_the_interval() -> None:
    assert waits(poll(), *[NORMAL] * 3) == [30, 30, 30]


def test_an_unexpected_failure_of_a_poll_waits_longer() -> None:
    assert waits(poll(), UNEXPECTED, NORMAL, UNEXPECTED) == [300, 600, 1200]
    assert waits(poll(1000), UNEXPECTED, UNEXPECTED, UNEXPECTED) == [1000, 2000, 3600]
    assert waits(poll(7200), UNEXPECTED) == [7200]


def test_two_good_polls_in_a_row_end_the_extended_regime() -> None:
    backoff = poll()
    waits(backoff, UNEXPECTED, UNEXPECTED)
    backoff.succeeded(0.0)
    assert waits(backoff, NORMAL) == [1200]
    backoff.succeeded(0.0)
    backoff.succeeded(0.0)
    assert not backoff.is_extended
    assert waits(backoff, NORMAL, UNEXPECTED) == [30, 300]


def test_any_number_of_good_polls_is_fine() -> None:
    backoff = poll()
    for _ in range(5):
        backoff.succeeded(0.0)
    assert waits(backoff, UNEXPECTED) == [300]


@given(st.integers(0, 2**32), st.lists(st.sampled_from(Failure), max_size=20))
def test_no_poll_comes_sooner_than_the_interval(seed: int, failures: list[Failure]) -> None:
    backoff = PollBackoff(interval=30, jitter=random.Random(seed).random)
    assert all(wait >= 30 for wait in waits(backoff, *failures))


# --- the random part -----------------------------------------------------------------------------


@pytest.mark.parametrize(("drawn", "wait"), [(0.0, 8.0), (0.5, 6.0), (1.0, 4.0)])
def test_at_most_a_half_is_taken_off(drawn: float, wait: float) -> None:
    backoff = Doubling(8.0, 8.0, lambda: drawn)
    assert backoff.next_wait() == wait


def test_the_random_part_does_not_change_the_waits_to_come() -> None:
    backoff = Doubling(1.0, 30.0, lambda: 1.0)
    assert [backoff.next_wait() for _ in range(7)] == [0.5, 1, 2, 4, 8, 15, 15]
    backoff.restart()
    assert backoff.next_wait() == 0.5


def test_any_number_of_failures_does_no_harm() -> None:
    backoff = ExtendedBackoff(whole)
    for _ in range(2_000):  # 2 ** 2000 is beyond a double
        backoff.next_wait()
    assert backoff.next_wait() == 3600


@given(st.floats(0.001, 1e5), st.integers(0, 2**32), st.lists(st.sampled_from(Failure), min_size=1))
def test_every_wait_is_within_the_regime(
    initial: float, seed: int, failures: list[Failure]
) -> None:
    backoff = StreamBackoff(initial=initial, jitter=random.Random(seed).random)
    for failure in failures:
        wait = backoff.failed(failure, 0.0)
        least, most = (300, 3600) if backoff.is_extended else (initial, 30)
        assert max(least, initial) / 2 <= wait <= max(most, initial)
