"""A full set that is half written, in stores that cannot be given one all at once."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import pytest

pytest.importorskip("boto3")

from flagkeep._sync import store_reader
from flagkeep._sync.client import Client
from flagkeep._sync.interfaces import FeatureStore
from flagkeep._sync.stores.consul import ConsulStore
from flagkeep._runtime import threads as runtime
from flagkeep.config import CachePolicy, Config, StorePolicy
from flagkeep.errors import StoreError
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.context import Context
from flagkeep.model.status import StoreStatus
from flagkeep.storage import unfinished
from flagkeep.storage.contents import WriterRecord
from tests._sync.dynamodb_stores import store_at
from tests._sync.hand_source import HandSource, environment, flag
from tests._sync.waiting import PATIENCE, pause, until, until_value
from tests.servers.consul_faults import ConsulFaults
from tests.servers.dynamodb_faults import DynamoDBFaults
from tests.servers.http_faults import Ask, HttpFaults, Reply, Request

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("dynamodb_here", "consul_here")]

USER: Final = Context.create("u")
ME: Final = WriterRecord(writer="me", host="here")
COUNT: Final = 200
OLD: Final = {f"f{number:03}": "old" for number in range(COUNT)}
NEW: Final = dict.fromkeys(OLD, "new")


class Place(NamedTuple):
    """A store, and what stands between it and whoever writes.

    Attributes:
        faults: on that way.
        write: the operation that writes a batch.
        is_batch: whether one of these does.
        opened: opens a store with a URL.
    """

    faults: HttpFaults
    write: str
    is_batch: Callable[[Request], bool]
    opened: Callable[[str | None], FeatureStore]

    def reader(self) -> FeatureStore:
        """Open a store that nothing stands in front of."""
        return self.opened(None)

    def writer(self) -> FeatureStore:
        """Open a store behind the faults."""
        return self.opened(self.faults.url)

    @contextmanager
    def held(self) -> Iterator[threading.Event]:
        """Let the second batch and those after it wait; yields what is set once one does."""
        is_held, goes_on = threading.Event(), threading.Event()

        def hold(request: Request, ask: Ask) -> Reply:
            is_held.set()
            assert goes_on.wait(20)
            return ask(request)

        self.faults.on(self.write, hold, after=1, where=self.is_batch)
        try:
            yield is_held
        finally:
            goes_on.set()
            self.faults.pass_on()


@pytest.fixture(params=["dynamodb", "consul"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "dynamodb":
        url: str = request.getfixturevalue("dynamodb_url")
        table: str = request.getfixturevalue("dynamodb_table")
        with DynamoDBFaults(url) as dynamodb:
            yield Place(
                dynamodb, "BatchWriteItem", lambda _: True, lambda at: store_at(at or url, table)
            )
        return
    url = request.getfixturevalue("consul_url")
    prefix: str = request.getfixturevalue("consul_prefix")
    with ConsulFaults(url) as consul:
        # Transactions read, too. It takes long to give up: what is held is meant to be late.
        yield Place(
            consul,
            "PUT txn",
            lambda request: b'"Verb":"set"' in request.body,
            lambda at: ConsulStore(at or url, prefix=prefix, timeout=30.0),
        )


def flags(values: dict[str, str], version: int) -> ChangeSet:
    return environment(*(flag(key, value, version=version) for key, value in values.items()))


def reading(store: FeatureStore, **more: Any) -> Client:
    settings = {"daemon": True, "send_events": False, "cache": CachePolicy(0.1)}
    return Client(Config(**{**settings, **more}), store=store)


def values(client: Client) -> dict[str, Any]:
    return (client.all_flags(USER)).to_values()


def until_mixed(client: Client) -> None:
    """Wait until a part of the new set is served with a part of the old one.

    The status says so a moment before.
    """
    give_up = runtime.monotonic() + PATIENCE
    while (seen := set((values(client)).values())) != {"old", "new"}:
        assert runtime.monotonic() < give_up, f"still {seen}"
        pause()


def stop_in_the_midst(place: Place, store: FeatureStore, changes: ChangeSet) -> None:
    """Write the first two batches of a full set, and never the rest."""
    place.faults.answer(place.write, 400, b"no", after=2, where=place.is_batch)
    with pytest.raises(StoreError):
        store.replace(changes, ME)
    place.faults.pass_on()


def until_whole(store: FeatureStore, expected: ChangeSet) -> None:
    """Wait until a store has these flags, and says that nobody is writing."""
    give_up = runtime.monotonic() + PATIENCE
    while (found := store.get_all()).unfinished is not None or not found.initialized:
        assert runtime.monotonic() < give_up, "it is still half written"
        pause()
    assert found.flags == expected.flags


def status_of(client: Client) -> StoreStatus:
    status = client.status.store
    assert status is not None
    return status


def test_what_is_held_is_served_until_the_new_set_is_whole(place: Place) -> None:
    source = HandSource()
    writing = Client(Config(source=source, send_events=False), store=place.writer())
    with writing, reading(place.reader()) as client:
        source.deliver(flags(OLD, 1))
        while values(client) != OLD:
            pause()
        with place.held() as is_held:
            source.deliver(flags(NEW, 2))
            until(is_held.is_set)
            with reading(place.reader()) as cold:
                assert cold.wait_until_ready(10)
                until(lambda: status_of(cold).partial)
                until_mixed(cold)
                assert values(client) == OLD
                assert not status_of(client).partial
        while (seen := values(client)) != NEW:
            assert seen == OLD
            pause()
        assert not status_of(client).partial


def test_nobody_waits_for_ever_for_a_writer_that_has_died(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(unfinished, "STANDSTILL", 0.5)
    caplog.set_level(logging.WARNING, "flagkeep")
    writer = place.writer()
    writer.replace(flags(OLD, 1), ME)
    with reading(place.reader()) as client:
        assert client.wait_until_ready(10)
        assert values(client) == OLD
        stop_in_the_midst(place, writer, flags(NEW, 2))
        until(lambda: status_of(client).partial)
        until_mixed(client)
        (said,) = [one.getMessage() for one in caplog.records if "part of a full set" in one.msg]
        assert "here" in said
        writer.replace(flags(NEW, 2), ME)
        until(lambda: not status_of(client).partial)
        assert values(client) == NEW
    writer.close()


def test_what_others_change_in_a_half_is_served(place: Place) -> None:
    writer, other = place.writer(), place.reader()
    writer.replace(flags(OLD, 1), ME)
    stop_in_the_midst(place, writer, flags(NEW, 2))
    with reading(place.reader()) as client:
        assert client.wait_until_ready(10)
        assert status_of(client).partial
        change = flags({"f000": "changed"}, 3)
        other.upsert(ChangeSet(full=False, flags=change.flags))
        until_value(client, "f000", USER, "changed")
        assert status_of(client).partial
    for one in (writer, other):
        one.close()


@pytest.mark.parametrize("prefetch", [True, False])
def test_all_flags_of_a_new_process_are_those_that_are_there(
    place: Place, *, prefetch: bool
) -> None:
    writer = place.writer()
    writer.replace(flags(OLD, 1), ME)
    stop_in_the_midst(place, writer, flags(NEW, 2))
    with reading(place.reader(), store_policy=StorePolicy(prefetch=prefetch)) as client:
        state = client.all_flags(USER)
        assert state.valid
        assert state.to_values().keys() == NEW.keys()
        assert set(state.to_values().values()) == {"old", "new"}
        assert status_of(client).partial
        writer.replace(flags(NEW, 2), ME)
        until(lambda: not status_of(client).partial)
        assert values(client) == NEW
    writer.close()


@pytest.mark.parametrize("prefetch", [True, False])
def test_what_memory_held_long_ago_is_no_better_than_a_half(
    place: Place, *, prefetch: bool
) -> None:
    writer, settings = place.writer(), {"cache": CachePolicy.off()}
    writer.replace(flags(OLD, 1), ME)
    policy = StorePolicy(prefetch=prefetch)
    with reading(place.reader(), store_policy=policy, **settings) as client:
        assert values(client) == OLD
        writer.replace(flags(dict.fromkeys(OLD, "later"), 2), ME)
        stop_in_the_midst(place, writer, flags(NEW, 3))
        assert set((values(client)).values()) == {"later", "new"}
        assert status_of(client).partial
    writer.close()


def test_a_connected_client_makes_good_what_another_has_left_half_done(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(unfinished, "STANDSTILL", 0.5)
    monkeypatch.setattr(store_reader, "WRITERS_HEARTBEAT", 0.05)
    caplog.set_level(logging.WARNING, "flagkeep")
    source, other, store = HandSource(), place.writer(), place.reader()
    connected = Client(Config(source=source, send_events=False), store=place.reader())
    with connected:
        source.deliver(flags(NEW, 2))
        until_whole(store, flags(NEW, 2))
        stop_in_the_midst(place, other, flags(OLD, 1))
        until_whole(store, flags(NEW, 2))
    said = [one.getMessage() for one in caplog.records if "stopped in the midst" in one.msg]
    assert len(said) == 1
    assert "here has stopped in the midst of a full set; it is written again" in said[0]
    for one in (other, store):
        one.close()


def test_what_a_source_delivers_is_whole_whatever_the_store_has(place: Place) -> None:
    source, other, told = HandSource(), place.writer(), list[bool]()
    other.replace(flags(OLD, 1), ME)
    stop_in_the_midst(place, other, flags(NEW, 2))
    place.faults.answer(place.write, 400, b"no", where=place.is_batch)
    connected = Client(Config(source=source, send_events=False), store=place.writer())
    connected.on_store_status(lambda status: told.append(status.partial))
    with connected:
        connected.wait_until_ready(0.01)
        until(lambda: status_of(connected).partial)
        source.deliver(flags(NEW, 3))
        until(lambda: status_of(connected).stale)
        until(lambda: not status_of(connected).partial)
        assert status_of(connected).stale
        assert values(connected) == NEW
    assert True in told
    other.close()
