"""A full set that is half written, in stores that cannot be given one all at once."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import pytest

pytest.importorskip("boto3")

from flagkeep._async import store_reader
from flagkeep._async.client import AsyncClient
from flagkeep._async.interfaces import AsyncFeatureStore
from flagkeep._async.stores.consul import AsyncConsulStore
from flagkeep._runtime import aio as runtime
from flagkeep.config import CachePolicy, Config, StorePolicy
from flagkeep.errors import StoreError
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.context import Context
from flagkeep.model.status import StoreStatus
from flagkeep.storage import unfinished
from flagkeep.storage.contents import WriterRecord
from tests._async.dynamodb_stores import store_at
from tests._async.hand_source import AsyncHandSource, environment, flag
from tests._async.waiting import PATIENCE, pause, until, until_value
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
    opened: Callable[[str | None], AsyncFeatureStore]

    def reader(self) -> AsyncFeatureStore:
        """Open a store that nothing stands in front of."""
        return self.opened(None)

    def writer(self) -> AsyncFeatureStore:
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
            lambda at: AsyncConsulStore(at or url, prefix=prefix, timeout=30.0),
        )


def flags(values: dict[str, str], version: int) -> ChangeSet:
    return environment(*(flag(key, value, version=version) for key, value in values.items()))


def reading(store: AsyncFeatureStore, **more: Any) -> AsyncClient:
    settings = {"daemon": True, "send_events": False, "cache": CachePolicy(0.1)}
    return AsyncClient(Config(**{**settings, **more}), store=store)


async def values(client: AsyncClient) -> dict[str, Any]:
    return (await client.all_flags(USER)).to_values()


async def until_mixed(client: AsyncClient) -> None:
    """Wait until a part of the new set is served with a part of the old one.

    The status says so a moment before.
    """
    give_up = runtime.monotonic() + PATIENCE
    while (seen := set((await values(client)).values())) != {"old", "new"}:
        assert runtime.monotonic() < give_up, f"still {seen}"
        await pause()


async def stop_in_the_midst(place: Place, store: AsyncFeatureStore, changes: ChangeSet) -> None:
    """Write the first two batches of a full set, and never the rest."""
    place.faults.answer(place.write, 400, b"no", after=2, where=place.is_batch)
    with pytest.raises(StoreError):
        await store.replace(changes, ME)
    place.faults.pass_on()


async def until_whole(store: AsyncFeatureStore, expected: ChangeSet) -> None:
    """Wait until a store has these flags, and says that nobody is writing."""
    give_up = runtime.monotonic() + PATIENCE
    while (found := await store.get_all()).unfinished is not None or not found.initialized:
        assert runtime.monotonic() < give_up, "it is still half written"
        await pause()
    assert found.flags == expected.flags


def status_of(client: AsyncClient) -> StoreStatus:
    status = client.status.store
    assert status is not None
    return status


async def test_what_is_held_is_served_until_the_new_set_is_whole(place: Place) -> None:
    source = AsyncHandSource()
    writing = AsyncClient(Config(source=source, send_events=False), store=place.writer())
    async with writing, reading(place.reader()) as client:
        await source.deliver(flags(OLD, 1))
        while await values(client) != OLD:
            await pause()
        with place.held() as is_held:
            await source.deliver(flags(NEW, 2))
            await until(is_held.is_set)
            async with reading(place.reader()) as cold:
                assert await cold.wait_until_ready(10)
                await until(lambda: status_of(cold).partial)
                await until_mixed(cold)
                assert await values(client) == OLD
                assert not status_of(client).partial
        while (seen := await values(client)) != NEW:
            assert seen == OLD
            await pause()
        assert not status_of(client).partial


async def test_nobody_waits_for_ever_for_a_writer_that_has_died(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(unfinished, "STANDSTILL", 0.5)
    caplog.set_level(logging.WARNING, "flagkeep")
    writer = place.writer()
    await writer.replace(flags(OLD, 1), ME)
    async with reading(place.reader()) as client:
        assert await client.wait_until_ready(10)
        assert await values(client) == OLD
        await stop_in_the_midst(place, writer, flags(NEW, 2))
        await until(lambda: status_of(client).partial)
        await until_mixed(client)
        (said,) = [one.getMessage() for one in caplog.records if "part of a full set" in one.msg]
        assert "here" in said
        await writer.replace(flags(NEW, 2), ME)
        await until(lambda: not status_of(client).partial)
        assert await values(client) == NEW
    await writer.aclose()


async def test_what_others_change_in_a_half_is_served(place: Place) -> None:
    writer, other = place.writer(), place.reader()
    await writer.replace(flags(OLD, 1), ME)
    await stop_in_the_midst(place, writer, flags(NEW, 2))
    async with reading(place.reader()) as client:
        assert await client.wait_until_ready(10)
        assert status_of(client).partial
        change = flags({"f000": "changed"}, 3)
        await other.upsert(ChangeSet(full=False, flags=change.flags))
        await until_value(client, "f000", USER, "changed")
        assert status_of(client).partial
    for one in (writer, other):
        await one.aclose()


@pytest.mark.parametrize("prefetch", [True, False])
async def test_all_flags_of_a_new_process_are_those_that_are_there(
    place: Place, *, prefetch: bool
) -> None:
    writer = place.writer()
    await writer.replace(flags(OLD, 1), ME)
    await stop_in_the_midst(place, writer, flags(NEW, 2))
    async with reading(place.reader(), store_policy=StorePolicy(prefetch=prefetch)) as client:
        state = await client.all_flags(USER)
        assert state.valid
        assert state.to_values().keys() == NEW.keys()
        assert set(state.to_values().values()) == {"old", "new"}
        assert status_of(client).partial
        await writer.replace(flags(NEW, 2), ME)
        await until(lambda: not status_of(client).partial)
        assert await values(client) == NEW
    await writer.aclose()


@pytest.mark.parametrize("prefetch", [True, False])
async def test_what_memory_held_long_ago_is_no_better_than_a_half(
    place: Place, *, prefetch: bool
) -> None:
    writer, settings = place.writer(), {"cache": CachePolicy.off()}
    await writer.replace(flags(OLD, 1), ME)
    policy = StorePolicy(prefetch=prefetch)
    async with reading(place.reader(), store_policy=policy, **settings) as client:
        assert await values(client) == OLD
        await writer.replace(flags(dict.fromkeys(OLD, "later"), 2), ME)
        await stop_in_the_midst(place, writer, flags(NEW, 3))
        assert set((await values(client)).values()) == {"later", "new"}
        assert status_of(client).partial
    await writer.aclose()


async def test_a_connected_client_makes_good_what_another_has_left_half_done(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(unfinished, "STANDSTILL", 0.5)
    monkeypatch.setattr(store_reader, "WRITERS_HEARTBEAT", 0.05)
    caplog.set_level(logging.WARNING, "flagkeep")
    source, other, store = AsyncHandSource(), place.writer(), place.reader()
    connected = AsyncClient(Config(source=source, send_events=False), store=place.reader())
    async with connected:
        await source.deliver(flags(NEW, 2))
        await until_whole(store, flags(NEW, 2))
        await stop_in_the_midst(place, other, flags(OLD, 1))
        await until_whole(store, flags(NEW, 2))
    said = [one.getMessage() for one in caplog.records if "stopped in the midst" in one.msg]
    assert len(said) == 1
    assert "here has stopped in the midst of a full set; it is written again" in said[0]
    for one in (other, store):
        await one.aclose()


async def test_what_a_source_delivers_is_whole_whatever_the_store_has(place: Place) -> None:
    source, other, told = AsyncHandSource(), place.writer(), list[bool]()
    await other.replace(flags(OLD, 1), ME)
    await stop_in_the_midst(place, other, flags(NEW, 2))
    place.faults.answer(place.write, 400, b"no", where=place.is_batch)
    connected = AsyncClient(Config(source=source, send_events=False), store=place.writer())
    connected.on_store_status(lambda status: told.append(status.partial))
    async with connected:
        await connected.wait_until_ready(0.01)
        await until(lambda: status_of(connected).partial)
        await source.deliver(flags(NEW, 3))
        await until(lambda: status_of(connected).stale)
        await until(lambda: not status_of(connected).partial)
        assert status_of(connected).stale
        assert await values(connected) == NEW
    assert True in told
    await other.aclose()
