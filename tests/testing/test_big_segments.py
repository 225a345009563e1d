"""Big Segment data for tests of programs: what clients of both colours get from it."""

import time

import pytest

from flagkeep.errors import StoreUnavailable
from flagkeep.storage.big_segments import BigSegmentMetadata, hash_of
from flagkeep.testing import BigSegmentData


def test_contexts_are_put_in_kept_out_and_forgotten() -> None:
    data = BigSegmentData().include("beta", "amal", "noor").exclude("beta", "zoe", generation=2)
    store = data.store()
    assert store.get_membership(hash_of("amal")) == {"beta.g1": True}
    assert store.get_membership(hash_of("zoe")) == {"beta.g2": False}
    assert not store.get_membership(hash_of("somebody"))
    data.exclude("beta", "amal").forget("beta", "noor")
    assert store.get_membership(hash_of("amal")) == {"beta.g1": False}
    assert store.get_membership(hash_of("noor")) == {}
    assert data.asked == [hash_of(key) for key in ("amal", "zoe", "somebody", "amal", "noor")]
    store.close()


async def test_both_colours_get_the_same() -> None:
    data = BigSegmentData().include("beta", "amal")
    store = data.async_store()
    assert await store.get_membership(hash_of("amal")) == {"beta.g1": True}
    data.updated(None)
    assert await store.get_metadata() == BigSegmentMetadata(None)
    await store.aclose()


def test_data_is_as_old_as_it_is_said_to_be() -> None:
    data = BigSegmentData()
    store = data.store()
    for seconds_ago in (0.0, 200.0):
        data.updated(seconds_ago)
        told = store.get_metadata().last_up_to_date_ms
        assert told is not None
        assert abs(time.time() - seconds_ago - told / 1000) < 10
    assert data.updated(None).store().get_metadata().last_up_to_date_ms is None
    assert data.times_asked_for_age == 3


async def test_every_question_fails_while_it_is_down() -> None:
    data = BigSegmentData().include("beta", "amal")
    data.is_down = True
    with pytest.raises(StoreUnavailable):
        data.store().get_membership(hash_of("amal"))
    with pytest.raises(StoreUnavailable):
        await data.async_store().get_metadata()
    data.is_down = False
    assert data.store().get_membership(hash_of("amal")) == {"beta.g1": True}


def test_the_data_goes_on_in_the_child_of_a_fork() -> None:
    data = BigSegmentData().include("beta", "amal")
    data._lock.acquire()  # as a thread of the parent may have
    data.after_fork()
    assert data.store().get_membership(hash_of("amal")) == {"beta.g1": True}
