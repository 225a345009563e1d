"""The store in memory, the caching one, and the kinds of item."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from flagkeep.errors import ConfigError
from flagkeep.ldclient.feature_store import CacheConfig, InMemoryFeatureStore
from flagkeep.ldclient.feature_store_helpers import CachingStoreWrapper
from flagkeep.ldclient.interfaces import FeatureStoreCore
from flagkeep.ldclient.versioned_data_kind import FEATURES, SEGMENTS, VersionedDataKind
from flagkeep.model.changeset import ChangeSet
from tests.ldclient.sources import environment, flag

# --- in memory ---------------------------------------------------------------------------------


def test_a_new_store_is_empty_and_not_initialized() -> None:
    store = InMemoryFeatureStore()
    assert not store.initialized
    assert store.get(FEATURES, "f") is None
    assert store.all(SEGMENTS) == {}
    assert (store.is_available(), store.is_monitoring_enabled()) == (True, False)


def test_init_replaces_everything_whatever_the_versions() -> None:
    store = InMemoryFeatureStore()
    store.upsert(FEATURES, flag("f", 1, version=9))
    store.init(environment(f=2, g=3))
    assert store.initialized
    assert store.get(FEATURES, "f")["version"] == 1
    store.init({})
    assert store.all(FEATURES) == {}


def test_the_newer_version_wins() -> None:
    store = InMemoryFeatureStore()
    for version, seen in [(2, 2), (1, 2), (2, 2), (3, 3)]:
        store.upsert(FEATURES, flag("f", version, version))
        assert store.get(FEATURES, "f")["version"] == seen


def test_a_deletion_is_remembered_also_of_what_was_not_there() -> None:
    store = InMemoryFeatureStore()
    store.upsert(FEATURES, flag("f", 1, version=2))
    store.delete(FEATURES, "f", 1)
    assert store.get(FEATURES, "f") is not None
    store.delete(FEATURES, "f", 3)
    store.delete(FEATURES, "g", 5)
    store.upsert(FEATURES, flag("f", 1, version=3))
    store.upsert(FEATURES, flag("g", 1, version=4))
    assert store.all(FEATURES) == {}


def test_flags_and_segments_do_not_meet() -> None:
    store = InMemoryFeatureStore()
    store.upsert(SEGMENTS, {"key": "f", "version": 1})
    assert store.get(FEATURES, "f") is None
    assert store.get(SEGMENTS, "f")["key"] == "f"


def test_what_is_returned_goes_through_the_callback() -> None:
    store = InMemoryFeatureStore()
    store.upsert(FEATURES, flag("f", 1))
    assert store.get(FEATURES, "f", lambda item: item["key"] * 2) == "ff"
    assert store.get(FEATURES, "g", lambda item: [item]) == [None]
    assert store.all(FEATURES, len) == 1


def test_an_item_is_a_dict_that_shares_nothing_with_the_store() -> None:
    store = InMemoryFeatureStore()
    given = flag("f", 1) | {"unknown": {"x": 1}}
    store.upsert(FEATURES, given)
    given["unknown"]["x"] = 2
    item = store.get(FEATURES, "f")
    assert item.to_json_dict()["unknown"] == {"x": 1}
    assert ("on" in item, item.get("nothing", 7)) == (True, 7)
    item["on"] = False
    assert store.get(FEATURES, "f")["on"] is True
    assert str(item).startswith('{"key":"f"')


@pytest.mark.parametrize(
    "bad", [3, None, {"version": 1}, {"key": "q"}, {"key": "q", "version": "1"}, {"key": 3}]
)
def test_an_item_that_cannot_be_used_is_refused_and_nothing_changes(bad: Any) -> None:
    store = InMemoryFeatureStore()
    store.init(environment(f=1))
    with pytest.raises(ValueError):  # noqa: PT011  the official SDK promises no more
        store.upsert(FEATURES, bad)
    with pytest.raises(ValueError):  # noqa: PT011
        store.init({FEATURES: {"q": 3 if bad == {"version": 1} else bad}})
    assert list(store.all(FEATURES)) == ["f"]


def test_there_are_two_kinds_of_item() -> None:
    with pytest.raises(ValueError, match="no items of a kind 'things'"):
        InMemoryFeatureStore().get(VersionedDataKind("things", "/", "/"), "f")


def test_watchers_see_every_change_in_one_order() -> None:
    store = InMemoryFeatureStore()
    seen: list[int] = []

    def watch(changes: ChangeSet) -> None:
        seen.extend(item.version for _, item in changes.items())

    store._watch(watch)
    threads = [
        threading.Thread(target=store.upsert, args=(FEATURES, flag(f"f{n}", n, n)))
        for n in range(1, 9)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(1, 9))
    store._unwatch(watch)
    store.upsert(FEATURES, flag("late", 1, 99))
    assert 99 not in seen


# --- kinds -------------------------------------------------------------------------------------


def test_kinds_know_their_places() -> None:
    assert (FEATURES.namespace, SEGMENTS.namespace) == ("features", "segments")
    assert (FEATURES.stream_api_path, SEGMENTS.stream_api_path) == ("/flags/", "/segments/")
    assert (FEATURES.priority, SEGMENTS.priority) == (1, 0)


def test_flags_need_their_prerequisites_first() -> None:
    assert FEATURES.get_dependency_keys is not None
    assert SEGMENTS.get_dependency_keys is None
    assert list(FEATURES.get_dependency_keys({"prerequisites": [{"key": "p"}]})) == ["p"]
    assert list(FEATURES.get_dependency_keys({"prerequisites": None})) == []


def test_an_item_is_checked_when_it_is_decoded_and_plain_when_it_is_encoded() -> None:
    item = FEATURES.decode(flag("f", 1))
    assert FEATURES.decode(item) is item
    assert FEATURES.encode(item) == flag("f", 1)
    assert type(FEATURES.encode(item)) is dict
    with pytest.raises(ValueError, match="version"):
        FEATURES.decode({"key": "f"})


def test_a_kind_without_a_decoder_leaves_items_as_they_are() -> None:
    kind = VersionedDataKind("things", "/a", "/b")
    thing = {"x": 1}
    assert kind.decode(thing) is thing


# --- caching -----------------------------------------------------------------------------------


class Database(FeatureStoreCore):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.data: dict[VersionedDataKind, dict[str, dict[str, Any]]] = {}
        self.has_data = False
        self.calls: list[str] = []
        self.when_read: Callable[[], None] = lambda: None

    def get_internal(self, kind: VersionedDataKind, key: str) -> dict[str, Any] | None:
        self.calls.append(f"get {key}")
        found = self.data.get(kind, {}).get(key)
        self.when_read()
        return found

    def get_all_internal(self, kind: VersionedDataKind) -> Mapping[str, dict[str, Any]]:
        self.calls.append("all")
        return self.data.get(kind, {})

    def init_internal(
        self, all_data: Mapping[VersionedDataKind, Mapping[str, dict[str, Any]]]
    ) -> None:
        self.data = {kind: dict(items) for kind, items in all_data.items()}
        self.has_data = True

    def upsert_internal(self, kind: VersionedDataKind, item: dict[str, Any]) -> dict[str, Any]:
        known = self.data.setdefault(kind, {}).get(item["key"])
        if known is None or known["version"] < item["version"]:
            self.data[kind][item["key"]] = item
        return self.data[kind][item["key"]]

    def initialized_internal(self) -> bool:
        self.calls.append("initialized")
        return self.has_data


class TalkativeDatabase(Database):
    def __init__(self) -> None:
        super().__init__()
        self.is_closed = False

    def is_available(self) -> bool:
        return True

    def close(self) -> None:
        self.is_closed = True

    def describe_configuration(self, config: object) -> str:
        del config
        return "talkative"


def test_what_was_read_is_not_read_again() -> None:
    database = Database()
    store = CachingStoreWrapper(database, CacheConfig.default())
    database.data[FEATURES] = {"f": flag("f", 1)}
    for _ in range(3):
        assert store.get(FEATURES, "f")["key"] == "f"
        assert store.get(FEATURES, "g") is None
        assert list(store.all(FEATURES)) == ["f"]
    assert database.calls == ["get f", "get g", "all"]


def test_without_a_cache_everything_is_read_every_time() -> None:
    database = Database()
    database.data[FEATURES] = {"f": flag("f", 1)}
    for store in (
        CachingStoreWrapper(database, CacheConfig.disabled()),
        CachingStoreWrapper(database, CacheConfig.default()),
    ):
        store.disable_cache()
        database.calls.clear()
        assert [store.get(FEATURES, "f")["key"], len(store.all(FEATURES))] == ["f", 1]
        assert [store.get(FEATURES, "f")["key"], len(store.all(FEATURES))] == ["f", 1]
        assert database.calls == ["get f", "all"] * 2


def test_what_is_written_is_what_is_read_next() -> None:
    store = CachingStoreWrapper(Database(), CacheConfig.default())
    store.init(environment(f="old", g="x"))
    assert len(store.all(FEATURES)) == 2
    store.upsert(FEATURES, flag("f", "new", 2))
    store.upsert(FEATURES, flag("f", "older", 1))
    assert store.get(FEATURES, "f")["variations"] == ["new"]
    store.delete(FEATURES, "g", 2)
    assert store.get(FEATURES, "g") is None
    assert list(store.all(FEATURES)) == ["f"]


def test_what_the_database_knows_better_is_believed() -> None:
    database = Database()
    database.data[FEATURES] = {"f": flag("f", "theirs", 5)}
    store = CachingStoreWrapper(database, CacheConfig.default())
    store.upsert(FEATURES, flag("f", "ours", 4))
    assert store.get(FEATURES, "f")["variations"] == ["theirs"]


def test_a_write_during_a_read_is_not_covered_up_by_it() -> None:
    database = Database()
    database.data[FEATURES] = {"f": flag("f", "old", 1)}
    store = CachingStoreWrapper(database, CacheConfig.default())

    def write_once() -> None:
        database.when_read = lambda: None
        store.upsert(FEATURES, flag("f", "new", 2))

    database.when_read = write_once
    store.get(FEATURES, "f")
    assert store.get(FEATURES, "f")["variations"] == ["new"]


def test_the_cache_has_a_capacity() -> None:
    database = Database()
    store = CachingStoreWrapper(database, CacheConfig(capacity=2))
    for key in ("a", "b", "c", "c", "b", "a"):
        store.get(FEATURES, key)
    assert database.calls == ["get a", "get b", "get c", "get a"]


def test_the_cache_has_an_end() -> None:
    database = Database()
    store = CachingStoreWrapper(database, CacheConfig(expiration=1e-9))
    store.get(FEATURES, "f")
    store.get(FEATURES, "f")
    assert database.calls == ["get f", "get f"]


def test_initialized_is_asked_until_it_is_true() -> None:
    database = Database()
    store = CachingStoreWrapper(database, CacheConfig.disabled())
    assert not store.initialized
    database.has_data = True
    assert store.initialized
    assert store.initialized
    assert database.calls == ["initialized"] * 2


def test_what_the_database_can_do_besides_is_passed_on() -> None:
    database = TalkativeDatabase()
    store = CachingStoreWrapper(database, CacheConfig.default())
    assert (store.is_available(), store.is_monitoring_enabled()) == (True, True)
    assert store.describe_configuration(None) == "talkative"
    store.close()
    assert database.is_closed


def test_what_it_cannot_do_besides_is_not_missed() -> None:
    store = CachingStoreWrapper(Database(), CacheConfig.default())
    assert (store.is_available(), store.is_monitoring_enabled()) == (False, False)
    assert store.describe_configuration(None) == "custom"
    store.close()


def test_a_cache_is_enabled_by_a_time_above_0() -> None:
    seconds: list[Any] = [15.0, 0, -1, None]
    assert [CacheConfig(one).enabled for one in seconds] == [True, False, False, False]


def test_a_cache_time_must_be_a_number() -> None:
    with pytest.raises(ConfigError, match="expiration must be a number of seconds, not '15'"):
        CacheConfig("15")  # type: ignore[arg-type]  # the test


def test_a_cache_is_described_by_a_cache_config() -> None:
    with pytest.raises(ConfigError, match="a cache is described by a CacheConfig, not int"):
        CachingStoreWrapper(Database(), 30)  # type: ignore[arg-type]  # the test


def test_unusable_items_do_not_hide_the_others_in_a_caching_store() -> None:
    database = Database()
    database.data[FEATURES] = {
        "f": flag("f", 1),
        "bad": {"key": "bad"},
        "gone": {"version": 3, "deleted": True},
        "strange": 3,  # type: ignore[dict-item]  # the test
    }
    store = CachingStoreWrapper(database, CacheConfig.default())
    assert list(store.all(FEATURES)) == ["f"]
    with pytest.raises(ValueError, match="version"):
        store.get(FEATURES, "bad")


def test_the_key_asked_for_is_the_key_of_an_item() -> None:
    database = Database()
    database.data[FEATURES] = {"f": flag("$deleted", 1), "g": flag("f", 1)}
    store = CachingStoreWrapper(database, CacheConfig.default())
    assert store.get(FEATURES, "f")["key"] == "f"
    assert store.all(FEATURES)["g"]["key"] == "g"


def test_after_init_items_that_were_not_in_it_are_still_looked_up() -> None:
    database = Database()
    store = CachingStoreWrapper(database, CacheConfig(float("inf")))
    assert store.get(FEATURES, "late") is None
    store.init(environment(f=1))
    database.data[FEATURES]["late"] = flag("late", 1)
    assert store.get(FEATURES, "late")["key"] == "late"
    assert sorted(store.all(FEATURES)) == ["f", "late"]  # and both ways agree
    assert "all" not in database.calls


def test_an_update_takes_the_place_of_a_miss_at_once() -> None:
    store = CachingStoreWrapper(Database(), CacheConfig(float("inf")))
    assert store.get(FEATURES, "f") is None
    store.upsert(FEATURES, flag("f", 1))
    assert store.get(FEATURES, "f")["key"] == "f"


def test_a_failed_init_leaves_the_cache_as_it_was() -> None:
    class Failing(Database):
        def init_internal(
            self, all_data: Mapping[VersionedDataKind, Mapping[str, dict[str, Any]]]
        ) -> None:
            if self.has_data:
                raise OSError("no database")
            super().init_internal(all_data)

    store = CachingStoreWrapper(Failing(), CacheConfig.default())
    store.init(environment(f=1))
    with pytest.raises(OSError, match="no database"):
        store.init(environment(f=2))
    assert store.get(FEATURES, "f")["variations"] == [1]
