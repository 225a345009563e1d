"""Big Segments without a store: hashes, what is stale, what is trusted, what is remembered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagkeep.model.detail import BigSegmentsStatus
from flagkeep.storage.big_segments import (
    UNAVAILABLE,
    BigSegmentMetadata,
    BigSegmentStoreStatus,
    MembershipCache,
    hash_of,
    reference,
    status_of,
    trust,
)

HEALTHY = BigSegmentStoreStatus(available=True, stale=False)
STALE = BigSegmentStoreStatus(available=True, stale=True)


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        ("userkey", "72cBpXPyn4N6TqqlS8Tti37jEcoNhFzL9ZdG1jXkILE="),
        ("user-key", "CEXjZY7cHJG/ydFy7q4+YEFwVrG3/pkJwA4FAjrbfx0="),
        ("a", "ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs="),
        ("Ünïcode", "ALJL6AyN1unXbtKJIsJ0UlVfn4A4dcVVg9BOIxG0SKw="),
    ],
)
def test_a_context_key_is_hashed_as_other_sdks_do(key: str, hashed: str) -> None:
    assert hash_of(key) == hashed


def test_a_key_without_utf_8_has_a_hash_too() -> None:
    assert hash_of("\ud800") != hash_of("\ud801")


def test_a_segment_is_named_with_its_generation() -> None:
    assert reference("beta", 12) == "beta.g12"


@pytest.mark.parametrize(
    ("up_to_date_ms", "expected"),
    [
        (None, STALE),
        (0, STALE),
        (880_000, STALE),  # exactly as old as may not be
        (880_001, HEALTHY),
        (1_000_000, HEALTHY),
        (9_000_000, HEALTHY),  # written by somebody whose clock is ahead
    ],
)
def test_data_is_stale_after_some_time_or_when_it_was_never_complete(
    up_to_date_ms: int | None, expected: BigSegmentStoreStatus
) -> None:
    metadata = BigSegmentMetadata(up_to_date_ms)
    assert status_of(metadata, wall_now=1000.0, stale_after=120.0) == expected


@pytest.mark.parametrize(
    ("status", "is_known", "expected"),
    [
        (HEALTHY, True, BigSegmentsStatus.HEALTHY),
        (STALE, True, BigSegmentsStatus.STALE),
        (UNAVAILABLE, True, BigSegmentsStatus.STORE_ERROR),
        (None, True, BigSegmentsStatus.STORE_ERROR),
        (HEALTHY, False, BigSegmentsStatus.STORE_ERROR),
        (STALE, False, BigSegmentsStatus.STORE_ERROR),
    ],
)
def test_an_answer_is_trusted_as_far_as_the_store(
    status: BigSegmentStoreStatus | None,
    is_known: bool,  # noqa: FBT001
    expected: BigSegmentsStatus,
) -> None:
    assert trust(status, is_known=is_known) is expected


def test_a_membership_is_an_answer_for_its_time_and_remains_the_last_one_known() -> None:
    cache = MembershipCache(10, 5.0)
    cache.put("amal", {"s.g1": True}, 100.0)
    assert cache.get("amal", 104.9) == {"s.g1": True}
    assert cache.fresh_keys(104.9) == ["amal"]
    assert cache.get("amal", 105.0) is None
    assert cache.fresh_keys(105.0) == []
    assert cache.last_known("amal", 1e9) == {"s.g1": True}
    assert cache.last_known("noor", 100.0) == {}


def test_an_empty_membership_is_an_answer_too() -> None:
    cache = MembershipCache(10, 5.0)
    cache.put("amal", {}, 100.0)
    assert cache.get("amal", 101.0) == {}


def test_the_last_one_known_may_be_too_old_for_anything() -> None:
    cache = MembershipCache(10, 5.0, max_age=60.0)
    cache.put("amal", {"s.g1": True}, 100.0)
    assert cache.last_known("amal", 160.0) == {"s.g1": True}
    assert cache.last_known("amal", 160.1) == {}


def test_those_not_used_for_the_longest_time_make_room() -> None:
    cache = MembershipCache(2, 5.0)
    cache.put("a", {}, 1.0)
    cache.put("b", {}, 1.0)
    assert cache.get("a", 2.0) == {}
    cache.put("c", {}, 2.0)
    assert cache.get("b", 2.0) is None
    assert cache.get("a", 2.0) == {}
    assert cache.get("c", 2.0) == {}


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.booleans(), st.sampled_from("abcdef"), st.integers(0, 2)), max_size=40),
)
def test_the_cache_is_what_an_obvious_one_is(
    capacity: int, steps: list[tuple[bool, str, int]]
) -> None:
    cache = MembershipCache(capacity, 3.0)
    order: list[tuple[str, float]] = []  # used last at the end, with the time of writing
    now = 0.0
    for is_put, key, passed in steps:
        now += passed
        known = dict(order)
        if is_put:
            cache.put(key, {key: True}, now)
            order = [one for one in order if one[0] != key] + [(key, now)]
            order = order[-capacity:]
        elif key in known and now - known[key] < 3.0:
            assert cache.get(key, now) == {key: True}
            order = [one for one in order if one[0] != key] + [(key, known[key])]
        else:
            assert cache.get(key, now) is None
        assert len(cache) == len(order)
