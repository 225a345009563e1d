"""What a store does not take is in the status of the client that writes, until it is gone."""

from pathlib import Path
from typing import Final

import msgspec
import pytest

from flagkeep._sync import store_reader, store_writer
from flagkeep._sync.client import Client
from flagkeep._sync.interfaces import FeatureStore
from flagkeep._sync.stores.consul import ConsulStore
from flagkeep._sync.stores.redis import RedisStore
from flagkeep._sync.stores.sqlite import SQLiteStore
from flagkeep.config import Config
from flagkeep.errors import StoreUnavailable
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem
from flagkeep.model.status import StoreStatus
from flagkeep.model.tombstone import tombstone
from flagkeep.storage.contents import WriterRecord
from tests._sync.consul_stores import sized
from tests._sync.hand_source import HandSource
from tests._sync.slow_store import SlowStore
from tests._sync.store_suite import flag, flags, full, part
from tests._sync.waiting import pause, until

NO_NAME: Final = BadItem(
    Kind.FLAG, "\ud800", "$.key", "not stored: a key with a lone surrogate cannot be stored"
)
HUGE: Final = BadItem(
    Kind.FLAG, "huge", "$.version", "not stored: a version over 63 bits cannot be stored"
)
ODD: Final = {"\ud800": flag("k"), "huge": flag("huge", 2**63)}
REFUSED: Final = BadItem(Kind.FLAG, "no", "$", "not stored: no")


class PickyStore(SlowStore):
    """Takes no flag `no`, and says so.

    Attributes:
        writes: how often somebody tried to write.
        unstored: as every store may have it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.unstored: tuple[BadItem, ...] = ()

    def replace(self, changes: ChangeSet, record: WriterRecord | None = None) -> None:
        self.writes += 1
        self._check("replace")
        taken = {key: item for key, item in changes.flags.items() if key != "no"}
        self.unstored = () if len(taken) == len(changes.flags) else (REFUSED,)
        super().replace(full(taken), record)

    def upsert(self, changes: ChangeSet) -> dict[ItemRef, SerializedItem]:
        self.writes += 1
        self._check("upsert")
        return super().upsert(changes)

    def be_signed_by_another(self) -> None:
        """Have the record of a writer whose clock is behind."""
        assert self._record is not None
        self._record = msgspec.structs.replace(self._record, last_change=1.0)


class RestlessStore(PickyStore):
    """Fails when it is asked what it did not take: it may be somebody else's."""

    def __getattribute__(self, name: str) -> object:
        if name == "unstored":
            raise StoreUnavailable("restless", "unstored", "it cannot tell")
        return super().__getattribute__(name)


def writing(source: HandSource, store: FeatureStore) -> Client:
    return Client(Config(source=source, send_events=False), store=store)


def status_of(client: Client) -> StoreStatus:
    status = client.status.store
    assert status is not None
    return status


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FeatureStore:
    if request.param == "sqlite":
        return SQLiteStore(tmp_path / "flags.db")
    return RedisStore(request.getfixturevalue("redis_url"), prefix="unstored")


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_reader, "WRITERS_HEARTBEAT", 0.02)
    monkeypatch.setattr(store_reader, "RETRY_AFTER", 0.02)
    monkeypatch.setattr(store_writer, "RETRY_AFTER", 0.02)


def test_the_status_names_it_until_it_is_gone(
    store: FeatureStore, caplog: pytest.LogCaptureFixture
) -> None:
    source, told = HandSource(), list[StoreStatus]()
    with writing(source, store) as client:
        client.on_store_status(told.append)
        source.deliver(full(flags(a=1)))
        source.deliver(full({**flags(a=1), **ODD}))
        until(lambda: status_of(client).unstored == (HUGE, NO_NAME))
        assert len([one for one in caplog.records if "not stored" in one.getMessage()]) == 2
        source.deliver(part(flags(a=2, b=1)))
        source.deliver(part({"\ud800": tombstone(Kind.FLAG, "k", 2)}))
        until(lambda: status_of(client).unstored == (HUGE,))
        source.deliver(full(flags(a=3, huge=1)))
        until(lambda: status_of(client).unstored == ())
        assert status_of(client).available
        assert not status_of(client).stale
        until(lambda: len(told) >= 3)
    assert [one.unstored for one in told] == [(HUGE, NO_NAME), (HUGE,), ()]


def test_a_store_that_cannot_say_so_is_as_good_as_before() -> None:
    source, store = HandSource(), SlowStore()
    assert not hasattr(store, "unstored")
    with writing(source, store) as client:
        source.deliver(full({**flags(a=1), **ODD}))
        until(lambda: store.has_data and not status_of(client).stale)
        assert status_of(client).available
        assert status_of(client).unstored == ()


@pytest.mark.usefixtures("_quick")
def test_a_store_that_fails_to_say_so_ends_nothing() -> None:
    source, store = HandSource(), RestlessStore()
    with writing(source, store) as client:
        source.deliver(full(flags(a=1)))
        until(lambda: store.writes >= 2)
        assert status_of(client).reason == "it cannot tell"


@pytest.mark.usefixtures("_quick")
def test_it_is_named_all_through_an_outage() -> None:
    source, store, told = HandSource(), PickyStore(), list[StoreStatus]()
    with writing(source, store) as client:
        client.on_store_status(told.append)
        source.deliver(full(flags(a=1, no=1)))
        until(lambda: status_of(client).unstored == (REFUSED,))
        store.is_down = True
        source.deliver(part(flags(a=2)))
        until(lambda: not status_of(client).available)
        assert status_of(client).unstored == (REFUSED,)
        store.is_down = False
        until(lambda: status_of(client).available and not status_of(client).stale)
        assert status_of(client).unstored == (REFUSED,)
        store.is_down = True
        source.deliver(full(flags(a=3)))
        until(lambda: not status_of(client).available)
        store.is_down = False
        until(lambda: status_of(client).unstored == ())
        until(lambda: not told[-1].unstored)
    assert [one.unstored for one in told].count(()) <= 2  # the last, and what is told after it


@pytest.mark.usefixtures("_quick")
def test_what_a_store_did_not_take_is_no_sign_of_an_older_copy() -> None:
    source, store = HandSource(), PickyStore()
    with writing(source, store) as client:
        source.deliver(full(flags(a=1, b=1, no=1)))
        until(lambda: status_of(client).unstored == (REFUSED,))
        writes, looks = store.writes, store.full_reads
        until(lambda: store.probes >= 3)
        store.be_signed_by_another()
        until(lambda: store.full_reads > looks)
        probes = store.probes
        until(lambda: store.probes >= probes + 3)
        pause()
        assert store.writes == writes
        source.deliver(part(flags(a=2)))
        until(lambda: store.writes == writes + 1 and not status_of(client).stale)
        store.forget("b")  # and this is one
        store.be_signed_by_another()
        until(lambda: "b" in store._contents.flags)


def test_consul_takes_no_more_than_512_kb(consul_url: str, consul_prefix: str) -> None:
    def opened() -> ConsulStore:
        return ConsulStore(consul_url, prefix=consul_prefix)

    source, store = HandSource(), opened()
    large, odd = sized("big", 2, 512 * 1024 + 1), sized("a//b", 1, 450_000)
    with writing(source, store) as client:
        source.deliver(full({**flags(a=1), "big": large}))
        until(lambda: len(status_of(client).unstored) == 1)
        (bad,) = status_of(client).unstored
        assert bad.ref == ItemRef(Kind.FLAG, "big")
        assert bad.problem.startswith("not stored: a text of 524289 bytes is too large")
        source.deliver(part({"a//b": odd}))
        until(lambda: [one.key for one in status_of(client).unstored] == ["a//b", "big"])
        assert "txn_max_req_len" in status_of(client).unstored[0].problem
        source.deliver(part({"big": sized("big", 3, 512 * 1024)}))
        until(lambda: [one.key for one in status_of(client).unstored] == ["a//b"])
        source.deliver(part({"a//b": tombstone(Kind.FLAG, "a//b", 2)}))
        until(lambda: status_of(client).unstored == ())
        other = opened()
        assert (other.get_all()).flags["big"].version == 3
        other.replace(full({"big": large}))
        assert [one.key for one in other.unstored] == ["big"]
        same = sized("big", 3, 512 * 1024 + 1)  # no newer than what has stayed there
        assert other.upsert(part({"big": same})) != {}
        assert other.unstored == ()
        other.close()
