"""The cache of a caching wrapper: what counts when reads and writes overlap, and for how long."""

import math
from typing import Any

import pytest

from flagkeep.ldclient._item_cache import ABSENT, ItemCache
from flagkeep.ldclient.feature_store import CacheConfig
from flagkeep.model.item import ItemRef, Kind
from flagkeep.storage.contents import StoreChanges

F = "features"


@pytest.fixture
def cache() -> ItemCache:
    return ItemCache(CacheConfig(math.inf))


def item(version: int) -> dict[str, Any]:
    return {"key": "f", "version": version}


def test_nothing_is_known_at_first(cache: ItemCache) -> None:
    assert cache.item(F, "f") is ABSENT
    assert cache.all(F) is None


def test_an_item_that_is_not_there_is_remembered_too(cache: ItemCache) -> None:
    assert cache.keep(F, "f", None, cache.begin()) is None
    assert cache.item(F, "f") is None
    assert cache.item("segments", "f") is ABSENT


def test_all_and_single_items_cannot_disagree(cache: ItemCache) -> None:
    cache.keep_all(F, {"a": item(1)}, cache.begin())
    cache.keep(F, "b", item(1), cache.begin())
    cache.keep(F, "a", item(2), cache.begin())
    assert cache.all(F) == {"a": item(2), "b": item(1)}
    cache.keep(F, "c", None, cache.begin())
    cache.keep_all(F, {"a": item(3)}, cache.begin())
    assert cache.item(F, "a") == item(3)
    assert cache.item(F, "b") is ABSENT  # gone, or not seen: it is asked for again
    assert cache.item(F, "c") is None


@pytest.mark.parametrize(("known", "read"), [(5, 4), (5, 5)])
def test_of_overlapping_reads_the_newer_version_counts(
    cache: ItemCache, known: int, read: int
) -> None:
    slow = cache.begin()
    cache.keep(F, "f", item(known), cache.begin())
    assert cache.keep(F, "f", item(read), slow) == item(known)
    assert cache.keep(F, "f", None, slow) == item(known)
    assert cache.keep_all(F, {"f": item(read)}, slow) == {"f": item(known)}
    assert cache.keep(F, "f", item(known + 1), slow) == item(known + 1)


def test_a_read_that_begins_later_counts_whatever_its_version(cache: ItemCache) -> None:
    cache.keep(F, "f", item(5), cache.begin())
    assert cache.keep(F, "f", item(4), cache.begin()) == item(4)
    assert cache.keep(F, "f", None, cache.begin()) is None


def test_an_item_written_during_a_read_of_all_stays(cache: ItemCache) -> None:
    slow = cache.begin()
    cache.keep(F, "new", item(1), cache.begin())
    assert cache.keep_all(F, {"f": item(1)}, slow) == {"f": item(1), "new": item(1)}


def test_a_full_set_outranks_reads_that_began_before(cache: ItemCache) -> None:
    slow = cache.begin()
    cache.keep_only({F: {"f": item(1)}})
    assert cache.keep(F, "f", item(9), slow) == item(1)
    assert cache.keep(F, "g", item(9), slow) == item(9)
    assert cache.keep_all(F, {"f": item(9)}, slow) == {"f": item(1)}
    assert cache.keep_all("segments", {"s": item(9)}, slow) == {"s": item(9)}
    assert cache.item(F, "g") is ABSENT
    assert cache.all("segments") is None


def test_after_a_full_set_absent_items_are_still_looked_up(cache: ItemCache) -> None:
    cache.keep(F, "g", None, cache.begin())
    cache.keep_only({F: {"f": item(1)}})
    assert cache.all(F) == {"f": item(1)}
    assert cache.item(F, "g") is ABSENT


def test_what_somebody_else_wrote_is_read_again(cache: ItemCache) -> None:
    slow = cache.begin()
    cache.keep_only({F: {"f": item(1), "g": item(1)}, "segments": {"s": item(1)}})
    cache.note(StoreChanges((ItemRef(Kind.FLAG, "f"),)))
    assert cache.item(F, "f") is ABSENT
    assert cache.item(F, "g") == item(1)
    assert cache.all(F) is None
    assert cache.all("segments") == {"s": item(1)}
    assert cache.keep(F, "f", item(1), slow) == item(1)
    assert cache.item(F, "f") is ABSENT  # that was read before
    cache.note(StoreChanges(None))
    assert cache.all("segments") is None


def test_only_absent_items_are_bounded_by_the_capacity() -> None:
    cache = ItemCache(CacheConfig(math.inf, capacity=2))
    cache.keep_all(F, {str(n): item(1) for n in range(10)}, cache.begin())
    for key in ("a", "b", "c"):
        cache.keep(F, key, None, cache.begin())
    assert [cache.item(F, key) for key in ("a", "b", "c")] == [ABSENT, None, None]
    cache.keep(F, "b", item(1), cache.begin())  # there now
    cache.keep(F, "d", None, cache.begin())
    cache.keep(F, "e", None, cache.begin())
    assert [cache.item(F, key) for key in ("b", "c", "d", "e")] == [item(1), ABSENT, None, None]
    assert len(cache.all(F) or ()) == 11


def test_its_time_is_up_some_day() -> None:
    cache = ItemCache(CacheConfig(1e-9))
    cache.keep_all(F, {"f": item(1)}, cache.begin())
    cache.keep_uninitialized()
    assert cache.item(F, "f") is ABSENT
    assert cache.all(F) is None
    assert not cache.is_known_uninitialized()


@pytest.mark.parametrize("seconds", [0, -1, None])
def test_a_cache_that_is_off_keeps_nothing(seconds: Any) -> None:
    cache = ItemCache(CacheConfig(seconds))
    assert cache.is_off
    assert cache.keep(F, "f", item(1), cache.begin()) == item(1)
    assert cache.keep_all(F, {"f": item(1)}, cache.begin()) == {"f": item(1)}
    cache.keep_only({F: {"f": item(1)}})
    assert cache.item(F, "f") is ABSENT
    assert cache.all(F) is None
