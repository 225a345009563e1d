"""What becomes of payloads: every row of the table of answers, and an outage of an hour."""

from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagkeep.events.delivery import MERGED_BYTES, Delivery, Outcome, Payload, outcome_of
from flagkeep.protocol.backoff import Doubling, ExtendedBackoff

PASSING = [None, 300, 301, 304, 400, 408, 429, 500, 502, 503, 504, 599]
REFUSING = [401, 403]
FINAL = [402, 404, 405, 409, 410, 415, 422, 451, 499]


def new_delivery(max_bytes: int = 1_000_000) -> Delivery:
    """Return one that calls its payloads 1, 2, 3 and whose waits have no random part."""
    numbers = count(1)
    return Delivery(
        max_bytes,
        new_id=lambda: str(next(numbers)),
        normal=Doubling(2.0, 60.0, lambda: 0.0),
        extended=ExtendedBackoff(lambda: 0.0),
    )


def events(*names: str) -> list[bytes]:
    return [name.encode() for name in names]


def sent(delivery: Delivery, now: float) -> Payload:
    payload = delivery.next(now)
    assert payload is not None
    return payload


def fail_for(delivery: Delivery, seconds: float, begin: float = 0.0) -> list[float]:
    """Answer 503 to whatever is sent for a while; returns when that was."""
    times = []
    while (due := delivery.due()) is not None and (now := max(due, begin)) <= begin + seconds:
        sent(delivery, now)
        delivery.answered(503, now)
        times.append(now - begin)
    return times


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_a_success_delivers(status: int) -> None:
    delivery = new_delivery()
    delivery.offer(events("a", "b"), 1)
    assert delivery.due() is not None
    payload = sent(delivery, 0.0)
    assert payload.body() == b"[a,b]"
    assert delivery.answered(status, 0.1) is Outcome.DELIVERED
    assert delivery.events == delivery.size == 0
    assert delivery.due() is None
    assert delivery.next(1e9) is None
    assert delivery.losses.as_dict() == {}


@pytest.mark.parametrize("status", PASSING)
def test_what_passes_is_sent_again_after_a_second_with_the_same_id(status: int | None) -> None:
    delivery = new_delivery()
    delivery.offer(events("a"), 1)
    first = sent(delivery, 10.0)
    assert delivery.answered(status, 10.5) is Outcome.TROUBLE
    assert delivery.due() == 11.5
    assert delivery.next(11.4) is None
    again = sent(delivery, 11.5)
    assert (again.id, again.body()) == (first.id, b"[a]")
    assert delivery.answered(202, 11.6) is Outcome.DELIVERED
    assert delivery.losses.as_dict() == {}


@pytest.mark.parametrize("status", PASSING)
def test_fix_what_failed_twice_waits_and_goes_with_growing_waits(status: int | None) -> None:
    """FIX (events.md 8): not dropped after one retry."""
    delivery = new_delivery()
    delivery.offer(events("a"), 1)
    now, waits = 0.0, []
    for _ in range(9):
        sent(delivery, now)
        delivery.answered(status, now)
        due = delivery.due()
        assert due is not None
        waits.append(due - now)
        now = due
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert sent(delivery, now).id == "1"
    delivery.answered(200, now)
    assert delivery.losses.total == 0


def test_after_a_success_waits_are_short_again() -> None:
    delivery = new_delivery()
    delivery.offer(events("a"), 1)
    assert fail_for(delivery, 100.0) == [0, 1, 3, 7, 15, 31, 63]
    sent(delivery, 200.0)
    delivery.answered(200, 200.0)
    delivery.offer(events("b"), 2)
    assert fail_for(delivery, 10.0, 200.0) == [0, 1, 3, 7]


def test_nothing_else_is_sent_while_the_service_is_in_trouble() -> None:
    delivery = new_delivery()
    delivery.offer(events("a"), 1)
    sent(delivery, 0.0)
    delivery.offer(events("b"), 2)
    assert delivery.next(0.0) is None  # one at a time
    delivery.answered(503, 0.0)
    assert delivery.next(0.9) is None
    assert sent(delivery, 1.0).body() == b"[a]"  # what is to be sent once more goes first
    delivery.answered(503, 1.0)
    assert delivery.next(2.9) is None
    assert sent(delivery, 3.0).body() == b"[b]"  # then what has failed least


def test_a_payload_that_the_service_stumbles_over_does_not_hold_up_the_others() -> None:
    delivery = new_delivery()
    delivery.offer(events("poison"), 1)
    sent(delivery, 0.0)
    delivery.answered(500, 0.0)
    now, tries, delivered = 0.0, 0, 0
    for flush in range(2, 200):
        now += 5.0
        delivery.offer(events("good"), flush)
        while (due := delivery.due()) is not None and due <= now + 4.9:
            now = max(now, due)
            payload = sent(delivery, now)
            is_poison = payload.events == [b"poison"]
            delivery.answered(500 if is_poison else 202, now)
            tries += is_poison
            delivered += 0 if is_poison else len(payload.events)
    assert delivered == 198
    assert tries < 30  # about one a minute
    assert delivery.events == 1


@pytest.mark.parametrize("status", REFUSING)
def test_fix_a_refused_key_disables_nothing(status: int) -> None:
    """FIX (events.md 8): kept, and sent again in 5 minutes, doubling to an hour."""
    delivery = new_delivery()
    delivery.offer(events("a"), 1)
    now, waits = 0.0, []
    for _ in range(6):
        sent(delivery, now)
        assert delivery.answered(status, now) is Outcome.REFUSED
        due = delivery.due()
        assert due is not None
        waits.append(due - now)
        now = due
    assert waits == [300, 600, 1200, 2400, 3600, 3600]
    assert sent(delivery, now).id == "1"
    assert delivery.answered(202, now) is Outcome.DELIVERED
    delivery.offer(events("b"), 2)
    assert fail_for(delivery, 5.0, now) == [0, 1, 3]


def test_trouble_does_not_end_a_refusal() -> None:
    delivery = new_delivery()
    delivery.offer(events("a"), 1)
    sent(delivery, 0.0)
    delivery.answered(401, 0.0)
    sent(delivery, 300.0)
    assert delivery.answered(503, 300.0) is Outcome.TROUBLE
    assert delivery.due() == 900.0


def test_of_what_is_refused_the_newest_is_kept() -> None:
    delivery = new_delivery(max_bytes=1000)
    delivery.offer(events("x" * 100), 1)
    sent(delivery, 0.0)
    delivery.answered(401, 0.0)
    for flush in range(2, 50):
        delivery.offer(events(f"{flush:0400}"), flush)
        assert delivery.size <= 1000
    payloads = []
    delivery.hurry(in_spite_of_refusal=True)
    while (payload := delivery.next(1.0)) is not None:
        payloads.append(payload.body())
        delivery.answered(200, 1.0)
    assert payloads[-1].endswith(b"49]")
    assert delivery.losses.as_dict()["bytes"] + sum(b.count(b",") + 1 for b in payloads) == 49


@pytest.mark.parametrize("status", FINAL)
def test_what_is_rejected_is_dropped_and_counted_and_the_next_goes_on(status: int) -> None:
    delivery = new_delivery()
    delivery.offer(events("a", "b"), 1)
    sent(delivery, 0.0)
    assert delivery.answered(status, 0.0) is Outcome.REJECTED
    assert delivery.losses.as_dict() == {"rejected": 2}
    delivery.offer(events("c"), 2)
    assert sent(delivery, 0.0).body() == b"[c]"


def test_fix_what_is_too_large_is_split_until_it_is_not() -> None:
    """FIX (events.md 8): 413 disables nothing, and costs the single event that is too large."""
    delivery = new_delivery()
    small = [f"small{number}" for number in range(9)]
    delivery.offer(events(*small[:5], "too large" * 10, *small[5:]), 1)
    ids: set[str] = set()
    delivered: list[bytes] = []
    while (payload := delivery.next(0.0)) is not None:
        assert payload.id not in ids
        ids.add(payload.id)
        if len(payload.body()) > 50:
            assert delivery.answered(413, 0.0) is Outcome.TOO_LARGE
        else:
            delivered += payload.events
            delivery.answered(202, 0.0)
    assert delivered == events(*small)
    assert delivery.losses.as_dict() == {"too_large": 1}
    assert not delivery.holds(1)


def test_halves_are_still_of_their_flush() -> None:
    delivery = new_delivery()
    delivery.offer(events("a", "b"), 7)
    sent(delivery, 0.0)
    delivery.answered(413, 0.0)
    assert delivery.holds(7)
    assert not delivery.holds(6)
    sent(delivery, 0.0)
    delivery.answered(200, 0.0)
    assert delivery.holds(7)
    sent(delivery, 0.0)
    delivery.answered(200, 0.0)
    assert not delivery.holds(7)


def test_what_was_never_sent_takes_in_what_comes_later() -> None:
    delivery = new_delivery()
    delivery.offer(events("a"), 1)
    delivery.offer(events("b"), 2)
    assert delivery.holds(1)
    assert sent(delivery, 0.0).body() == b"[a,b]"
    delivery.answered(503, 0.0)
    delivery.offer(events("c"), 3)  # its id stands for a and b
    assert sent(delivery, 1.0).body() == b"[a,b]"
    delivery.answered(200, 1.0)
    assert delivery.holds(3)
    assert sent(delivery, 1.0).body() == b"[c]"


def test_merged_payloads_stay_small() -> None:
    delivery = new_delivery(max_bytes=10 * MERGED_BYTES)
    for flush in range(1, 5):
        delivery.offer([b"x" * (MERGED_BYTES // 2)], flush)
    assert len(sent(delivery, 0.0).events) == 2


def test_an_empty_flush_is_no_payload() -> None:
    delivery = new_delivery()
    assert delivery.offer([], 1) == 0
    assert delivery.due() is None


def test_the_oldest_gives_way_but_never_the_newest() -> None:
    delivery = new_delivery(max_bytes=100)
    delivery.offer(events("a" * 60, "b" * 30), 1)
    sent(delivery, 0.0)
    delivery.answered(503, 0.0)
    assert delivery.offer(events("c" * 500), 2) == 2
    assert sent(delivery, 1.0).body() == b"[%s]" % (b"c" * 500)
    assert delivery.losses.as_dict() == {"bytes": 2}


def test_what_comes_back_in_vain_gives_way_to_what_is_newer() -> None:
    delivery = new_delivery(max_bytes=100)
    delivery.offer(events("a" * 90), 1)
    sent(delivery, 0.0)
    delivery.offer(events("b" * 90), 2)
    delivery.answered(503, 0.0)
    assert sent(delivery, 1.0).body() == b"[%s]" % (b"b" * 90)
    assert delivery.losses.as_dict() == {"bytes": 1}


def test_who_asks_for_a_flush_does_not_wait_for_trouble_to_pass() -> None:
    delivery = new_delivery()
    delivery.offer(events("a"), 1)
    fail_for(delivery, 100.0)
    assert delivery.next(101.0) is None
    delivery.hurry()
    sent(delivery, 101.0)
    delivery.answered(503, 101.0)
    assert delivery.next(102.0) is None


def test_only_the_end_does_not_wait_for_a_key_to_be_repaired() -> None:
    delivery = new_delivery()
    delivery.offer(events("a"), 1)
    sent(delivery, 0.0)
    delivery.answered(401, 0.0)
    delivery.hurry()
    assert delivery.next(1.0) is None
    delivery.hurry(in_spite_of_refusal=True)
    assert sent(delivery, 1.0).id == "1"


def test_what_is_in_flight_can_be_taken_back_and_keeps_its_id() -> None:
    delivery = new_delivery()
    delivery.take_back()
    delivery.offer(events("a"), 1)
    assert sent(delivery, 0.0).id == "1"
    delivery.take_back()
    delivery.offer(events("b"), 2)
    assert sent(delivery, 0.0).body() == b"[a]"
    delivery.answered(200, 0.0)
    assert sent(delivery, 0.0).body() == b"[b]"


def test_giving_up_counts_what_waits_and_what_is_in_flight() -> None:
    delivery = new_delivery()
    delivery.offer(events("a", "b"), 1)
    sent(delivery, 0.0)
    delivery.offer(events("c"), 2)
    delivery.give_up()
    assert delivery.losses.as_dict() == {"undelivered": 3}
    assert delivery.answered(200, 0.0) is Outcome.DELIVERED  # too late
    delivery.give_up()
    assert delivery.losses.total == 3


def test_an_hour_of_outage_is_bounded_and_counted() -> None:
    """Events of two minutes fit; the others are counted, and everything else arrives."""
    bound = 240_000
    delivery = new_delivery(max_bytes=bound)
    made = posts = 0
    for flush in range(1, 721):  # one in 5 s
        now = flush * 5.0
        delivery.offer([b"%0100d" % (made + number) for number in range(100)], flush)
        made += 100
        while (due := delivery.due()) is not None and due <= now:
            sent(delivery, now)
            assert delivery.answered(None, now) is Outcome.TROUBLE
            posts += 1
        assert delivery.size <= bound
    assert posts < 75
    delivered: list[bytes] = []
    while (due := delivery.due()) is not None:
        delivered += sent(delivery, due).events
        delivery.answered(202, due)
    assert len(set(delivered)) == len(delivered)
    assert b"%0100d" % (made - 1) in delivered  # the newest
    assert len(delivered) + delivery.losses.as_dict()["bytes"] == made
    assert len(delivered) > 1000


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([None, *PASSING], Outcome.TROUBLE),
        (REFUSING, Outcome.REFUSED),
        ([413], Outcome.TOO_LARGE),
        (FINAL, Outcome.REJECTED),
        ([200, 202, 204], Outcome.DELIVERED),
    ],
)
def test_every_status_means_one_thing(statuses: list[int | None], expected: Outcome) -> None:
    assert {outcome_of(status) for status in statuses} == {expected}


Step = Callable[[Delivery, float], None]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 6),
            st.sampled_from([None, 200, 202, 401, 404, 413, 503]),
            st.sampled_from(["answer", "take_back", "hurry", "wait"]),
        ),
        max_size=60,
    )
)
def test_every_event_is_delivered_or_counted_exactly_once(
    steps: list[tuple[int, int | None, str]],
) -> None:
    delivery = new_delivery(max_bytes=60)
    delivered: list[bytes] = []
    bodies: dict[str, bytes] = {}
    made, now = 0, 0.0
    for flush, (new, status, what) in enumerate(steps, 1):
        delivery.offer([b"%d" % (made + number) for number in range(new)], flush)
        made += new
        now += 400.0
        payload = delivery.next(now)
        if what == "hurry":
            delivery.hurry()
        if payload is None:
            continue
        assert bodies.setdefault(payload.id, payload.body()) == payload.body()
        if what == "take_back":
            delivery.take_back()
        elif delivery.answered(status, now) is Outcome.DELIVERED:
            delivered += payload.events
        assert delivery.losses.total + len(delivered) + delivery.events == made
    delivery.give_up()
    assert len(set(delivered)) == len(delivered)
    assert delivery.losses.total + len(delivered) == made
