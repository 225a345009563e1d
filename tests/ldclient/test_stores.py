"""Stores of an application and of flagkeep, given as `feature_store`."""

import logging
from pathlib import Path
from typing import Any

import pytest

import flagkeep
from flagkeep.errors import ConfigError, StoreUnavailable
from flagkeep.ldclient import LDClient
from flagkeep.ldclient._foreign_store import ForeignStore
from flagkeep.ldclient._shared_store import StoreShare, share_of
from flagkeep.ldclient.feature_store import CacheConfig, InMemoryFeatureStore
from flagkeep.ldclient.feature_store_helpers import CachingStoreWrapper
from flagkeep.ldclient.integrations.test_data import TestData
from flagkeep.ldclient.interfaces import DataStoreStatus
from flagkeep.ldclient.versioned_data_kind import FEATURES, SEGMENTS, VersionedDataKind
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import encode_json, to_item
from flagkeep.model.item import ItemRef, Kind
from flagkeep.stores import MemoryStore, SQLiteStore
from tests.ldclient.sources import (
    USER,
    DictStore,
    Making,
    environment,
    flag,
    keyless,
    nobody,
    quiet,
    until,
)
from tests.ldclient.test_feature_store import Database

NOT_FOUND = "FLAG_NOT_FOUND"


@pytest.fixture
def store() -> DictStore:
    return DictStore()


@pytest.fixture
def sqlite(tmp_path: Path) -> SQLiteStore:
    return SQLiteStore(tmp_path / "flags.db")


# --- an application's own ----------------------------------------------------------------------


def test_in_daemon_mode_the_store_is_asked_at_every_evaluation(store: DictStore) -> None:
    with LDClient(quiet(use_ldd=True, feature_store=store)) as client:
        assert client.variation_detail("f", USER, 0).reason["errorKind"] == NOT_FOUND
        store.init(environment(f=1))
        assert client.variation("f", USER, 0) == 1
        store.upsert(FEATURES, flag("f", 2, 2))
        assert client.variation("f", USER, 0) == 2
        assert client.all_flags_state(USER).to_values_map() == {"f": 2}
        store.delete(FEATURES, "f", 3)
        assert client.variation_detail("f", USER, 0).reason["errorKind"] == NOT_FOUND


def test_items_may_be_models(store: DictStore) -> None:
    store.init({FEATURES: {"f": FEATURES.decode(flag("f", 1))}, SEGMENTS: {}})
    with LDClient(quiet(use_ldd=True, feature_store=store)) as client:
        assert client.variation("f", USER, 0) == 1


def test_a_broken_store_leaves_what_was_read_last(store: DictStore) -> None:
    store.init(environment(f=1))
    heard: list[DataStoreStatus] = []
    with LDClient(quiet(use_ldd=True, feature_store=store)) as client:
        client.data_store_status_provider.add_listener(heard.append)
        assert client.variation("f", USER, 0) == 1
        store.broken = OSError("no database")
        assert client.variation("f", USER, 0) == 1
        until(lambda: heard == [DataStoreStatus(False, False)])
        assert not client.data_store_status_provider.status.available
        client.data_store_status_provider.remove_listener(heard.append)


@pytest.mark.slow
def test_a_store_is_up_again_when_the_read_that_failed_works(
    store: DictStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.init(environment(f=1))
    heard: list[DataStoreStatus] = []
    with LDClient(quiet(use_ldd=True, feature_store=store)) as client:
        client.data_store_status_provider.add_listener(heard.append)
        assert client.variation("f", USER, 0) == 1
        store.broken = OSError("no database")
        assert client.variation("f", USER, 0) == 1
        store.calls.clear()
        until(lambda: len(store.calls) > 1)  # it is tried again and again, and still down
        store.broken = None
        until(lambda: heard == [DataStoreStatus(False, False), DataStoreStatus(True, False)])
    failed, back = [one.levelname for one in caplog.records if one.name == "flagkeep.store"]
    assert (failed, back) == ("ERROR", "WARNING")


def test_an_unusable_item_below_a_caching_wrapper_is_no_outage() -> None:
    database = Database()
    database.data = {FEATURES: {"f": flag("f", 1), "bad": {"key": "bad"}}, SEGMENTS: {}}
    store = CachingStoreWrapper(database, CacheConfig.default())
    with LDClient(quiet(use_ldd=True, feature_store=store)) as client:
        assert client.variation("bad", USER, 0) == 0
        assert client.data_store_status_provider.status.available
        assert client.variation("f", USER, 0) == 1


def test_one_bad_item_does_not_hide_the_others(store: DictStore) -> None:
    bad: list[Any] = [3, {"key": "bad"}, {"key": "bad", "version": 1, "on": "yes"}, object()]
    for item in bad:
        store.init(environment(f=1))
        store.data[FEATURES]["bad"] = item
        with LDClient(quiet(use_ldd=True, feature_store=store)) as client:
            assert client.all_flags_state(USER).get_flag_value("f") == 1
            assert client.variation("bad", USER, 0) == 0


def test_a_source_fills_the_store_prerequisites_first(store: DictStore) -> None:
    needs = flag("a", 1) | {"prerequisites": [{"key": "z", "variation": 0}]}
    segment = {"key": "s", "version": 1, "salt": ""}
    flags = {"a": needs, "z": flag("z", 1)}
    making = Making(with_data={FEATURES: flags, SEGMENTS: {"s": segment}})
    with LDClient(quiet(update_processor_class=making, feature_store=store)) as client:
        assert client.variation("a", USER, 0) == 1
        making.made[0].store.upsert(FEATURES, flag("z", 2, 2))
        making.made[0].store.delete(FEATURES, "a", 2)
        assert client.variation("z", USER, 0) == 2
    writes = [call for call in store.calls if call.split()[0] in {"init", "upsert", "delete"}]
    assert writes == ["init s z a", "upsert z 2", "delete a 2"]
    assert type(store.data[FEATURES]["z"]) is dict


def test_test_data_fills_the_store_too(store: DictStore) -> None:
    data = TestData.data_source()
    data.update(data.flag("f").value_for_all(1))
    with LDClient(quiet(update_processor_class=data, feature_store=store)) as client:
        assert client.variation("f", USER, 0) == 1
    assert store.data[FEATURES]["f"]["variations"] == [1]


def test_without_a_source_the_client_serves_what_the_store_holds(store: DictStore) -> None:
    store.init(environment(f=1))
    with LDClient(keyless(feature_store=store)) as client:
        assert client.is_initialized()
        assert client.variation("f", USER, 0) == 1


def test_without_upstream_an_empty_store_is_no_data(store: DictStore) -> None:
    with LDClient(nobody(feature_store=store), 0) as client:
        assert not client.is_initialized()
        assert client.variation_detail("f", USER, 0).reason["errorKind"] == "CLIENT_NOT_READY"
        store.broken = OSError("no database")
        assert not client.is_initialized()


def test_without_a_key_the_store_is_only_read(store: DictStore) -> None:
    with LDClient(keyless(feature_store=store), 3600) as client:
        assert not client.is_initialized()
        assert client.variation_detail("f", USER, 0).reason["errorKind"] == "FLAG_NOT_FOUND"
        store.init(environment(f="from elsewhere"))
        assert client.is_initialized()
        assert client.variation("f", USER, 0) == "from elsewhere"


def test_a_store_may_say_whether_its_status_changes(store: DictStore) -> None:
    class Monitored(DictStore):
        def is_monitoring_enabled(self) -> bool:
            return True

    for one, expected in [(store, False), (Monitored(), True)]:
        with LDClient(quiet(use_ldd=True, feature_store=one)) as client:
            assert client.data_store_status_provider.is_monitoring_enabled() is expected


def test_a_store_of_the_application_is_not_closed_with_the_client() -> None:
    class Closing(DictStore):
        def close(self) -> None:
            raise AssertionError("another client may use it")

    config = quiet(use_ldd=True, feature_store=Closing())
    LDClient(config).close()
    LDClient(config).close()


def test_a_caching_store_is_as_good_as_any() -> None:
    database = Database()
    store = CachingStoreWrapper(database, CacheConfig.default())
    store.init(environment(f=1))
    with LDClient(quiet(use_ldd=True, feature_store=store)) as client:
        assert client.variation("f", USER, 0) == 1
        database.data[FEATURES]["f"] = flag("f", 2, 2)
        assert client.variation("f", USER, 0) == 1  # its own cache, as configured
        store.upsert(FEATURES, flag("f", 3, 3))
        assert client.variation("f", USER, 0) == 3


def test_a_store_in_memory_that_does_things_differently_is_asked() -> None:
    class Upper(InMemoryFeatureStore):
        def get(self, kind: VersionedDataKind, key: str, callback: Any = lambda item: item) -> Any:
            return super().get(kind, key.lower(), callback)

    store = Upper()
    store.init(environment(f=1))
    with LDClient(quiet(use_ldd=True, feature_store=store)) as client:
        assert client.variation("F", USER, 0) == 1


def test_what_a_store_raises_becomes_an_error_of_ours(store: DictStore) -> None:
    foreign = ForeignStore(store)
    store.broken = OSError("no database")
    ref = ItemRef(Kind.FLAG, "f")
    with pytest.raises(StoreUnavailable, match="DictStore: get failed: OSError: no database"):
        foreign.get_many([ref])
    with pytest.raises(StoreUnavailable, match="DictStore: all failed"):
        foreign.get_all()
    with pytest.raises(StoreUnavailable, match="DictStore: init failed"):
        foreign.replace(ChangeSet(full=True))
    with pytest.raises(StoreUnavailable, match="DictStore: upsert failed"):
        foreign.upsert(ChangeSet(full=False, flags={"f": item("f", 1)}))


def test_an_older_item_is_not_written_and_the_newer_one_is_returned(store: DictStore) -> None:
    foreign = ForeignStore(store)
    store.init({FEATURES: {"f": flag("f", "newer", 5)}, SEGMENTS: {}})
    refused = foreign.upsert(ChangeSet(full=False, flags={"f": item("f", 4), "g": item("g", 1)}))
    assert [(ref.key, one.version) for ref, one in refused.items()] == [("f", 5)]
    assert foreign.get_many([ItemRef(Kind.FLAG, "g")]).keys() == {ItemRef(Kind.FLAG, "g")}


def test_a_foreign_store_has_no_place_for_records_and_news(store: DictStore) -> None:
    foreign = ForeignStore(store)
    record = foreign.read_record()
    assert record is not None
    assert record.counts == {}
    assert foreign.poll_changes() is None
    assert foreign.is_initialized() is False


# --- of flagkeep -------------------------------------------------------------------------------


def test_one_client_fills_sqlite_and_another_reads_it_as_it_changes(tmp_path: Path) -> None:
    data = TestData.data_source()
    data.update(data.flag("f").value_for_all(1))
    path = tmp_path / "flags.db"
    with LDClient(quiet(update_processor_class=data, feature_store=SQLiteStore(path))) as writer:
        assert writer.variation("f", USER, 0) == 1
        with LDClient(quiet(use_ldd=True, feature_store=SQLiteStore(path))) as reader:
            # all of them: what is read for the first time is news, too
            until(lambda: reader.all_flags_state(USER).get_flag_value("f") == 1)
            assert reader.variation("f", USER, 0) == 1
            heard: list[str] = []
            reader.flag_tracker.add_listener(lambda change: heard.append(change.key))
            data.update(data.flag("f").value_for_all(2))
            until(lambda: heard == ["f"])
            assert reader.variation("f", USER, 0) == 2
            assert reader.data_store_status_provider.is_monitoring_enabled()
            assert reader.data_store_status_provider.status == DataStoreStatus(True, False)
    with LDClient(quiet(feature_store=SQLiteStore(path))) as later:
        assert later.is_initialized()
        assert later.variation("f", USER, 0) == 2


def test_the_native_client_reads_what_ldclient_wrote(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    making = Making(with_data=environment(f="ldclient"))
    LDClient(quiet(update_processor_class=making, feature_store=SQLiteStore(path))).close()
    with flagkeep.Client(flagkeep.Config(daemon=True), store=SQLiteStore(path)) as native:
        assert native.str_variation("f", USER, "") == "ldclient"


def test_one_store_serves_two_clients_at_once() -> None:
    data = TestData.data_source()
    data.update(data.flag("f").value_for_all(1))
    store = MemoryStore()
    writer = LDClient(quiet(update_processor_class=data, feature_store=store))
    until(store.is_initialized)
    reader = LDClient(quiet(use_ldd=True, feature_store=store))
    assert reader.variation("f", USER, 0) == 1
    writer.close()
    assert store.is_initialized()
    reader.close()
    with pytest.raises(ConfigError, match="was closed together with its last client"):
        LDClient(quiet(use_ldd=True, feature_store=store))


def test_every_share_of_a_store_is_told_of_every_change_once(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    store, other = SQLiteStore(path), SQLiteStore(path)
    store.replace(ChangeSet(full=True, flags={"f": item("f", 1)}))
    one, two = share_of(store), share_of(store)
    one.get_all()
    other.upsert(ChangeSet(full=False, flags={"f": item("f", 2)}))
    until(lambda: refs_of(one) == [ItemRef(Kind.FLAG, "f")])
    assert refs_of(two) == [ItemRef(Kind.FLAG, "f")]
    assert one.poll_changes() is None
    assert two.poll_changes() is None
    two.upsert(ChangeSet(full=False, flags={"g": item("g", 1)}))
    two.upsert(ChangeSet(full=False, segments={"s": segment("s", 1)}))
    assert refs_of(one) == [ItemRef(Kind.FLAG, "g"), ItemRef(Kind.SEGMENT, "s")]
    one.upsert(ChangeSet(full=False, flags={"g": item("g", 2)}))
    one.replace(ChangeSet(full=True))
    missed = two.poll_changes()
    assert missed is not None
    assert missed.refs is None  # everything has to be compared
    assert two.read_record() is None
    assert two.get_many([ItemRef(Kind.FLAG, "g")]) == {}
    for share in (one, two, two):
        share.close()
    other.close()


def test_postfork_keeps_the_store(sqlite: SQLiteStore) -> None:
    making = Making(with_data=environment(f=1))
    with LDClient(quiet(update_processor_class=making, feature_store=sqlite)) as client:
        first = client._assembly.client
        client.postfork()
        first.close()
        assert client.variation("f", USER, 0) == 1
        until(sqlite.is_initialized)


def test_a_store_that_is_not_there_yet_is_no_data(
    sqlite: SQLiteStore, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.CRITICAL), LDClient(keyless(feature_store=sqlite)) as client:
        assert not client.is_initialized()
        assert client.variation("f", USER, 0) == 0


def test_prefetch_may_be_turned_off(
    sqlite: SQLiteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite.replace(ChangeSet(full=True, flags={"f": item("f", 1), "g": item("g", 1)}))
    monkeypatch.setenv("FLAGKEEP_PREFETCH", "0")
    with LDClient(quiet(use_ldd=True, feature_store=sqlite)) as client:
        assert client.variation("f", USER, 0) == "value"
        assert not client._assembly.client._data.catalog.complete
        other = SQLiteStore(tmp_path / "flags.db")
        other.upsert(ChangeSet(full=False, flags={"f": item("f", 2, "newer")}))
        until(lambda: bool(client.variation("f", USER, 0) == "newer"))
        other.close()


def test_what_a_shared_store_did_not_take_is_known_to_each_client(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "flags.db")
    share = share_of(store)
    share.replace(ChangeSet(full=True, flags={"f": item("f", 2**63), "g": item("g", 1)}))
    assert [one.key for one in share.unstored] == ["f"]
    share.close()


def item(key: str, version: int, value: str = "value") -> Any:
    text = encode_json(flag(key, value, version))
    return to_item(Kind.FLAG, key, text)


def segment(key: str, version: int) -> Any:
    text = encode_json({"key": key, "version": version, "salt": ""})
    return to_item(Kind.SEGMENT, key, text)


def refs_of(share: StoreShare) -> list[ItemRef]:
    changes = share.poll_changes()
    return [] if changes is None or changes.refs is None else list(changes.refs)
