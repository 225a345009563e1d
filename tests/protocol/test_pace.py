"""The pace of a stream: silence between events is fine, an event that never ends is not."""

from flagkeep.protocol.pace import SLOWEST, EventPace

PATIENCE = 300.0


def is_slow(pace: EventPace, now: float, *, size: int = 1, ended: bool = False) -> bool:
    """Take bytes of an event; with `ended` they are exactly its end."""
    return pace.is_too_slow(size, ended=ended, is_between=ended, now=now)


def test_one_byte_a_minute_is_too_slow_in_the_end() -> None:
    pace = EventPace(PATIENCE, 0.0)
    assert [is_slow(pace, 60.0 * minute) for minute in range(1, 7)] == [False] * 5 + [True]


def test_comments_do_not_stand_in_for_the_first_event() -> None:
    pace = EventPace(PATIENCE, 0.0)
    comments = [
        pace.is_too_slow(2, ended=False, is_between=True, now=now) for now in (100.0, 299.0, 301.0)
    ]
    assert comments == [False, False, True]


def test_after_the_first_event_comments_are_enough() -> None:
    pace = EventPace(PATIENCE, 0.0)
    assert not is_slow(pace, 1.0, ended=True)
    for hour in range(1, 10):
        assert not pace.is_too_slow(2, ended=False, is_between=True, now=3600.0 * hour)


def test_the_time_of_a_later_event_begins_with_its_first_byte() -> None:
    pace = EventPace(PATIENCE, 0.0)
    assert not is_slow(pace, 1.0, ended=True)
    assert not is_slow(pace, 5000.0)
    assert not is_slow(pace, 5299.0)
    assert is_slow(pace, 5301.0)


def test_what_follows_an_event_in_the_same_bytes_begins_a_time_of_its_own() -> None:
    pace = EventPace(PATIENCE, 0.0)
    assert not pace.is_too_slow(100, ended=True, is_between=False, now=290.0)
    assert not is_slow(pace, 580.0)
    assert is_slow(pace, 591.0)


def test_a_large_event_over_a_slow_line_has_more_time() -> None:
    pace = EventPace(PATIENCE, 0.0)
    for second in range(1, 2000):
        assert not is_slow(pace, float(second), size=SLOWEST)
    halted = EventPace(PATIENCE, 0.0)
    assert not is_slow(halted, 1.0, size=SLOWEST * 100)
    assert not is_slow(halted, 399.0)
    assert is_slow(halted, 401.0)
