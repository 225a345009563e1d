"""Events between two deliveries: what is kept, what is dropped, and when that is news."""

from hypothesis import given
from hypothesis import strategies as st

from flagkeep.events.buffer import EventBuffer
from flagkeep.events.losses import Loss, Losses, sum_of


def test_events_come_out_in_the_order_they_came_in() -> None:
    buffer = EventBuffer(10, 1000)
    assert [buffer.add(b"%d" % number) for number in range(3)] == [False] * 3
    assert len(buffer) == 3
    assert buffer.take() == [b"0", b"1", b"2"]
    assert buffer.take() == []
    assert buffer.dropped == {}


def test_the_first_event_over_the_capacity_is_news_and_the_others_are_counted() -> None:
    buffer = EventBuffer(2, 1000)
    assert [buffer.add(b"x") for _ in range(5)] == [False, False, True, False, False]
    assert buffer.take() == [b"x", b"x"]
    assert buffer.dropped == {"capacity": 3}


def test_the_first_event_over_the_bytes_is_news_and_the_others_are_counted() -> None:
    buffer = EventBuffer(100, 10)
    assert [buffer.add(b"123456") for _ in range(3)] == [False, True, False]
    assert not buffer.add(b"1234")  # there is room for a smaller one
    assert buffer.take() == [b"123456", b"1234"]
    assert buffer.dropped == {"bytes": 2}


def test_bytes_are_free_again_once_taken() -> None:
    buffer = EventBuffer(100, 10)
    for _ in range(5):
        assert not buffer.add(b"1234567890")
        assert buffer.take() == [b"1234567890"]
    assert buffer.dropped == {}


def test_an_overflow_in_every_interval_is_one_episode() -> None:
    buffer = EventBuffer(1, 1000)
    assert [buffer.add(b"x"), buffer.add(b"x")] == [False, True]
    buffer.take()
    assert [buffer.add(b"x"), buffer.add(b"x")] == [False, False]
    buffer.take()
    buffer.take()  # an interval without an overflow
    assert [buffer.add(b"x"), buffer.add(b"x")] == [False, True]
    assert buffer.dropped == {"capacity": 3}


def test_an_overflow_of_bytes_in_every_interval_is_one_episode() -> None:
    buffer = EventBuffer(100, 4)
    assert [buffer.add(b"123"), buffer.add(b"123")] == [False, True]
    buffer.take()
    assert [buffer.add(b"123"), buffer.add(b"123")] == [False, False]
    buffer.take()
    buffer.add(b"123")
    buffer.take()
    assert [buffer.add(b"123"), buffer.add(b"123")] == [False, True]


@given(
    st.integers(1, 8),
    st.integers(1, 40),
    st.lists(st.one_of(st.none(), st.binary(min_size=1, max_size=12)), max_size=40),
)
def test_nothing_vanishes_without_being_counted(
    capacity: int, max_bytes: int, steps: list[bytes | None]
) -> None:
    buffer = EventBuffer(capacity, max_bytes)
    taken = 0
    for step in steps:
        if step is None:
            events = buffer.take()
            assert len(events) <= capacity
            assert sum(map(len, events)) <= max_bytes
            taken += len(events)
        else:
            buffer.add(step)
    taken += len(buffer.take())
    offered = sum(step is not None for step in steps)
    assert taken + sum(buffer.dropped.values()) == offered


def test_losses_are_counted_by_reason_and_added_up() -> None:
    losses = Losses()
    losses.add(Loss.REJECTED, 3)
    losses.add(Loss.REJECTED)
    losses.add(Loss.TOO_LARGE)
    losses.add(Loss.BYTES, 0)
    assert losses.total == 5
    assert losses.as_dict() == {"rejected": 4, "too_large": 1}
    assert sum_of(losses.as_dict(), {"bytes": 1, "rejected": 1}, {}) == {
        "rejected": 5,
        "too_large": 1,
        "bytes": 1,
    }
