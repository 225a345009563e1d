"""How long single items are fresh, which of two reads counts, and what came back older."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.storage import freshness
from flagkeep.storage.freshness import Fills, Freshness, Rollbacks

A, B, C = (ItemRef(Kind.FLAG, key) for key in "abc")


def item(version: int) -> SerializedItem:
    return SerializedItem(version, deleted=False, data=b"%d" % version)


def test_items_are_fresh_for_their_time() -> None:
    fresh = Freshness(10)
    assert fresh.next_expiry() is None
    assert fresh.note([A], [B], now=100) == []
    assert A in fresh
    assert B in fresh
    assert C not in fresh
    assert fresh.next_expiry() == 110
    assert fresh.expire(109.9) == []
    assert fresh.expire(110) == [A, B]
    assert A not in fresh


def test_what_was_read_again_stays_longer() -> None:
    fresh = Freshness(10)
    fresh.note([A, B], [], now=100)
    fresh.note([A], [], now=105)
    assert fresh.expire(112) == [B]
    assert fresh.next_expiry() == 115


def test_for_ever_nothing_expires() -> None:
    fresh = Freshness(math.inf)
    fresh.note([A], [B], now=100)
    assert fresh.next_expiry() is None
    assert fresh.expire(1e18) == []


def test_everything_is_fresh_until_one_thing_is_not() -> None:
    fresh = Freshness(10)
    fresh.note([A, B], [], now=100)
    fresh.has_all = True
    assert fresh.expire(now=100) == []
    assert fresh.has_all
    assert fresh.drop([A]) == [A]
    assert not fresh.has_all
    fresh.has_all = True
    assert fresh.drop([C]) == []  # it is new, perhaps
    assert not fresh.has_all
    fresh.has_all = True
    assert fresh.drop(None) == [B]
    assert not fresh.has_all


def test_the_oldest_misses_make_room_and_what_exists_never_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(freshness, "MOST_MISSES", 2)
    fresh = Freshness(10)
    fresh.note([A], [], now=1)
    misses = [ItemRef(Kind.FLAG, f"none{number}") for number in range(4)]
    assert fresh.note([], misses[:2], now=2) == []
    assert fresh.note([], misses[:1], now=3) == []  # asked again: the youngest now
    assert fresh.note([], misses[2:3], now=4) == [misses[1]]
    assert fresh.note([misses[0]], [], now=5) == []  # it exists by now
    assert fresh.note([], misses[3:], now=6) == []
    assert A in fresh


def test_a_read_that_began_later_counts_whatever_its_version() -> None:
    fills = Fills()
    assert fills.may_fill(A, fills.begin(), None, item(5))
    fills.ended([A])
    assert fills.may_fill(A, fills.begin(), item(5), item(3))
    assert fills.may_fill(A, fills.begin(), item(5), None)


def test_of_overlapping_reads_the_newer_version_counts() -> None:
    fills = Fills()
    slow = fills.begin()
    fills.ended([A])
    assert not fills.may_fill(A, slow, item(5), item(4))
    assert not fills.may_fill(A, slow, item(5), item(5))
    assert not fills.may_fill(A, slow, item(5), None)
    assert fills.may_fill(A, slow, item(5), item(6))
    assert fills.may_fill(A, slow, None, item(1))
    assert fills.may_fill(B, slow, item(5), item(4))
    assert fills.overlapping(slow) == [A]


def test_a_read_of_everything_overlaps_with_every_item() -> None:
    fills = Fills()
    slow = fills.begin()
    fills.ended_all(fills.begin())
    assert not fills.may_fill(A, slow, item(5), item(4))
    assert fills.overlapping(slow) == []
    assert fills.may_fill(A, fills.begin(), item(5), item(4))


def test_single_reads_that_overlap_with_a_read_of_everything_are_still_known_after_it() -> None:
    fills = Fills()
    everything = fills.begin()
    single = fills.begin()
    fills.ended([A])
    fills.ended_all(everything)
    assert fills.overlapping(everything) == [A]
    assert not fills.may_fill(A, single, item(2), item(1))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8))
def test_an_item_is_rolled_back_until_it_reaches_its_highest_version(versions: list[int]) -> None:
    rollbacks = Rollbacks()
    known = None
    for version in versions:
        rollbacks.see(A, known, item(version))
        known = item(version)
    highest = 0
    for version in versions:
        highest = max(highest, version)
    assert bool(rollbacks) is (versions[-1] < highest)


def test_what_is_gone_is_not_rolled_back() -> None:
    rollbacks = Rollbacks()
    rollbacks.see(A, item(5), item(3))
    assert rollbacks
    rollbacks.see(A, item(3), None)
    assert not rollbacks
