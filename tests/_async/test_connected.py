"""A client that streams and fills a store: what either of them does never harms the other."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest

from flagkeep import stores
from flagkeep._async.client import AsyncClient
from flagkeep._async.interfaces import AsyncFeatureStore
from flagkeep._async.stores.memory import AsyncMemoryStore
from flagkeep._runtime import aio as runtime
from flagkeep.config import CachePolicy, Config, StorePolicy, Streaming
from flagkeep.evaluation.catalog import Catalog
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.model.status import SourceErrorKind, SourceState, StoreStatus
from flagkeep.storage.contents import WriterRecord
from flagkeep.testing import AsyncFakeUpstream, Scripted
from tests._async.connecting import (
    USER,
    client_of,
    config,
    data,
    error_of,
    lines_of,
    polling,
    status_of,
    streaming,
    until_error,
    until_state,
)
from tests._async.hand_source import AsyncHandSource, changes, environment, flag
from tests._async.slow_store import AsyncSlowStore
from tests._async.waiting import pause, until, until_value
from tests.limits import check_within
from tests.outages import redis_place as redis
from tests.outages import sqlite_place as sqlite
from tests.outages.environment import all_values, document, value
from tests.outages.place import Place
from tests.outages.redis_place import RedisPlace
from tests.outages.sqlite_place import SQLitePlace

STREAM: Final = "/all"
AT_ONCE: Final = 0.25  # a wait for a store is longer, a busy machine's pauses are not
REPAIRED_WITHIN: Final = 5.0  # the promise
MACHINE: Final = 1.0  # seconds that a busy machine may take longer

PLACES: Final = pytest.mark.parametrize("make", [SQLitePlace, RedisPlace])


def store_of(place: Place) -> AsyncFeatureStore:
    if isinstance(place, RedisPlace):
        return stores.AsyncRedisStore(**place.settings)
    return stores.AsyncSQLiteStore(**place.settings)


def store_status(client: AsyncClient) -> StoreStatus:
    status = client.status.store
    assert status is not None
    return status


class AsyncFragileStore(AsyncSlowStore):
    """Takes no writes either while it is down."""

    async def replace(self, changes: ChangeSet, record: WriterRecord | None = None) -> None:
        self._check("replace")
        await super().replace(changes, record)

    async def upsert(self, changes: ChangeSet) -> dict[ItemRef, SerializedItem]:
        self._check("upsert")
        return await super().upsert(changes)


def show(upstream: AsyncFakeUpstream, generation: int) -> None:
    items = document(generation)
    upstream.put(items["flags"], items["segments"])


async def ask(client: AsyncClient, generation: int) -> None:
    """Ask for one value and for all, neither of which may wait for a store."""
    begun = runtime.monotonic()
    assert await client.variation("main", USER, "default") == value(generation)
    assert (await client.all_flags(USER)).to_values() == all_values(generation)
    assert await client.variation("no such flag", USER, "default") == "default"
    check_within(3 * AT_ONCE, since=begun)


# --- filling -------------------------------------------------------------------------------------


@pytest.mark.slow
@PLACES
async def test_the_store_is_filled_from_the_stream(make: Callable[[], Place]) -> None:
    with make() as place:
        async with AsyncFakeUpstream(document(1)) as upstream:
            async with client_of(streaming(upstream), store=store_of(place)) as client:
                assert await client.wait_until_ready()
                await until(lambda: place.generation() == 1)
                upstream.patch("flags", document(2)["flags"]["main"])
                await until(lambda: place.generation() == 2)
                upstream.delete("flags", "main", 3)
                await until_value(client, "main", USER, None)
                assert (await client.aclose()).complete
            assert len(upstream.requests) == 1
        store = store_of(place)
        main = (await store.get_many([ItemRef(Kind.FLAG, "main")]))[ItemRef(Kind.FLAG, "main")]
        await store.aclose()
        assert (main.version, main.deleted) == (3, True)


@pytest.mark.slow
@PLACES
async def test_a_reader_has_what_the_stream_brought(make: Callable[[], Place]) -> None:
    with make() as place:
        async with (
            AsyncFakeUpstream(document(1)) as upstream,
            client_of(streaming(upstream), store=store_of(place)) as client,
        ):
            assert await client.wait_until_ready()
            assert (await client.aclose()).complete
        async with AsyncClient(Config(daemon=True), store=store_of(place)) as reader:
            await until_value(reader, "main", USER, value(1))


@pytest.mark.slow
async def test_the_store_is_filled_from_polls_and_not_again_without_news() -> None:
    store = AsyncSlowStore()
    async with (
        AsyncFakeUpstream(data("a")) as upstream,
        client_of(polling(upstream), store=store) as client,
    ):
        assert await client.wait_until_ready()
        await upstream.wait_for_request("/sdk/latest-all", 5)
        record = await store.read_record()
        assert record is not None
        assert (record.source, record.replaces) == ("polling", 1)


async def test_an_older_version_is_not_written() -> None:
    store = AsyncSlowStore()
    async with (
        AsyncFakeUpstream(data("a", version=5)) as upstream,
        client_of(streaming(upstream), store=store) as client,
    ):
        assert await client.wait_until_ready()
        upstream.patch("flags", flag("f", "stale", version=4))
        upstream.delete("flags", "f", 5)
        upstream.patch("flags", flag("last", "here"))
        await until(lambda: "last" in store._contents.flags)
        f = store._contents.flags["f"]
        assert (f.version, f.deleted) == (5, False)


async def test_what_comes_before_everything_else_makes_no_full_store() -> None:
    patch = b'event: patch\ndata: {"path":"/flags/g","data":{"key":"g","version":1}}\n\n'
    store = AsyncFragileStore()
    store.is_down = True
    async with AsyncFakeUpstream(data("a")) as upstream:
        upstream.respond(STREAM, Scripted.stream(patch))
        async with client_of(streaming(upstream), store=store) as client:
            await until(lambda: not store_status(client).available)
            store.is_down = False
            await until(lambda: store_status(client).available)
            for _ in range(20):
                await pause()
            assert not store.has_data
            upstream.put(data("a")["flags"])
            await until(lambda: store.has_data)


# --- outages of the store ------------------------------------------------------------------------


@dataclass(frozen=True)
class Outage:
    """What happens to a store, and what it has when it is back."""

    name: str
    place: Callable[[], Place]
    begin: Callable[[Any], None]
    end: Callable[[Any], None]


OUTAGES: Final = (
    Outage("redis-killed", RedisPlace, redis.kill, redis.start),
    Outage("redis-back-empty", RedisPlace, redis.kill_without_a_copy, redis.start_empty),
    Outage("redis-back-old", RedisPlace, redis.kill_without_a_copy, redis.start),
    Outage("sqlite-missing", SQLitePlace, sqlite.take_away, sqlite.bring_back),
    Outage("sqlite-back-empty", SQLitePlace, sqlite.take_away, sqlite.bring_empty),
    Outage("sqlite-back-old", SQLitePlace, sqlite.take_away, sqlite.bring_old),
)


def name_of(outage: Outage) -> str:
    return outage.name


@pytest.mark.slow
@pytest.mark.parametrize("outage", OUTAGES, ids=name_of)
async def test_a_store_that_fails_in_the_middle_stops_neither_stream_nor_evaluation(
    outage: Outage,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "flagkeep")
    with outage.place() as place:
        async with AsyncFakeUpstream(document(1)) as upstream:
            async with client_of(streaming(upstream), store=store_of(place)) as client:
                await until(lambda: place.generation() == 1)
                place.keep_a_copy()
                show(upstream, 2)
                await until(lambda: place.generation() == 2)
                outage.begin(place)
                show(upstream, 3)
                await until_value(client, "main", USER, value(3))
                await until(lambda: store_status(client).stale)
                assert not store_status(client).available
                assert status_of(client).error is None
                for _ in range(10):
                    await ask(client, 3)
                outage.end(place)
                ended = runtime.monotonic()
                await until(lambda: place.generation() == 3)
                check_within(REPAIRED_WITHIN, since=ended)
                await until(lambda: store_status(client).available)
                await until(lambda: not store_status(client).stale)
                upstream.patch("flags", document(4)["flags"]["main"])
                await until(lambda: place.generation() == 4)
            assert len(upstream.requests) == 1
    lines = [line for line in lines_of(caplog, "flagkeep.store") if "lost its data" not in line[1]]
    assert [level for level, _ in lines] == ["ERROR", "WARNING"]
    assert lines_of(caplog) == []


@pytest.mark.slow
@pytest.mark.parametrize("outage", [one for one in OUTAGES if "back" in one.name], ids=name_of)
async def test_a_store_that_lost_data_is_refilled_though_nobody_noticed_it_being_down(
    outage: Outage,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "flagkeep")
    with outage.place() as place:
        async with AsyncFakeUpstream(document(1)) as upstream:
            async with client_of(streaming(upstream), store=store_of(place)) as client:
                await until(lambda: place.generation() == 1)
                place.keep_a_copy()
                upstream.patch("flags", document(2)["flags"]["main"])
                await until(lambda: place.generation() == 2)
                outage.begin(place)
                outage.end(place)
                ended = runtime.monotonic()
                await until(lambda: place.generation() == 2)
                check_within(REPAIRED_WITHIN + MACHINE, since=ended)
                await ask(client, 2)
                await until(lambda: store_status(client).available)
                await until(lambda: not store_status(client).stale)
            assert len(upstream.requests) == 1
    assert lines_of(caplog, "flagkeep.store")
    assert lines_of(caplog) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "begin", "end"),
    [
        (RedisPlace, redis.refuse, redis.pass_on),
        (SQLitePlace, sqlite.take_away, sqlite.bring_back),
    ],
)
async def test_a_store_that_is_down_at_the_start_is_filled_when_it_is_there(
    make: Callable[[], Place],
    begin: Callable[[Any], None],
    end: Callable[[Any], None],
) -> None:
    with make() as place:
        begin(place)
        async with (
            AsyncFakeUpstream(document(1)) as upstream,
            client_of(streaming(upstream), store=store_of(place)) as client,
        ):
            assert await client.wait_until_ready()
            await ask(client, 1)
            await until(lambda: not store_status(client).available)
            upstream.patch("flags", document(2)["flags"]["main"])
            await until_value(client, "main", USER, value(2))
            end(place)
            ended = runtime.monotonic()
            await until(lambda: place.generation() == 2)
            check_within(REPAIRED_WITHIN, since=ended)
            assert status_of(client).error is None


@pytest.mark.slow
async def test_without_repair_a_store_that_lost_its_data_is_left_alone() -> None:
    store = AsyncSlowStore()
    async with AsyncFakeUpstream(data("a")) as upstream:
        policy = StorePolicy(repair=False)
        async with client_of(streaming(upstream), store=store, store_policy=policy) as client:
            await until(lambda: store.has_data)
            probes = store.probes
            store.lose_everything()
            await until(lambda: store.probes >= probes + 2)
            for _ in range(20):
                await pause()
            assert not store.has_data
            assert await client.variation("f", USER, None) == "a"
            assert store_status(client).wiped


@pytest.mark.slow
async def test_a_writer_that_writes_all_the_time_notices_a_loss_too() -> None:
    store = AsyncSlowStore()
    async with (
        AsyncFakeUpstream(data("a")) as upstream,
        client_of(streaming(upstream), store=store) as client,
    ):
        await until(lambda: store.has_data)
        store.lose_everything()
        begun, version = runtime.monotonic(), 1
        while not store.has_data:
            check_within(REPAIRED_WITHIN + MACHINE, since=begun)
            version += 1
            upstream.patch("flags", flag("busy", version, version=version))
            await until_value(client, "busy", USER, version)
        assert "f" in store._contents.flags


@pytest.mark.slow
async def test_what_another_writer_put_there_later_is_left_alone() -> None:
    store = AsyncSlowStore()
    async with (
        AsyncFakeUpstream(data("a")) as upstream,
        client_of(streaming(upstream), store=store) as client,
    ):
        await until(lambda: store.has_data)
        await store.replace(environment(flag("f", "theirs", version=9)))
        probes = store.probes
        await until(lambda: store.probes >= probes + 2)
        assert store._contents.flags["f"].version == 9
        assert await client.variation("f", USER, None) == "a"


# --- outages of the upstream ---------------------------------------------------------------------


@pytest.mark.slow
@PLACES
async def test_a_client_that_cannot_reach_its_upstream_serves_the_store_and_says_so(
    make: Callable[[], Place],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with make() as place:
        place.write(1)
        async with AsyncFakeUpstream(document(2)) as upstream:
            upstream.stop_listening()
            async with client_of(streaming(upstream), store=store_of(place)) as client:
                error = await until_error(client)
                assert error.kind is SourceErrorKind.NETWORK_ERROR
                await ask(client, 1)
                assert client.is_ready
                assert status_of(client).state is SourceState.INITIALIZING
                assert client.status.data_age is not None
                detail = await client.variation_detail("main", USER, "default")
                assert detail.data_age is not None
                assert place.generation() == 1
                upstream.start_listening()
                await until_value(client, "main", USER, value(2))
                await until_state(client, SourceState.VALID)
                assert client.status.data_age is None
                await until(lambda: place.generation() == 2)
    (level, line), _ = lines_of(caplog)
    assert level == "ERROR"
    assert "what the store holds is served" in line


async def test_an_upstream_that_is_silent_makes_no_data_current() -> None:
    store = AsyncMemoryStore()
    await store.replace(environment(flag("f", "old")))
    async with AsyncFakeUpstream(data("new")) as upstream:
        upstream.hold_streams()
        policy = StorePolicy(max_age=0.3)
        async with client_of(streaming(upstream), store=store, store_policy=policy) as client:
            await until_value(client, "f", USER, "old")
            assert client.status.data_age is not None
            await until_value(client, "f", USER, None)  # too old by now
            assert not client.is_ready
            upstream.release_streams()
            await until_value(client, "f", USER, "new")
            await until_state(client, SourceState.VALID)
            assert client.status.data_age is None


async def test_who_waits_in_vain_is_told_once_that_the_store_is_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = AsyncMemoryStore()
    await store.replace(environment(flag("f", "old")))
    async with AsyncFakeUpstream(data("new")) as upstream:
        upstream.hold_streams()
        async with client_of(streaming(upstream), store=store) as client:
            await until_value(client, "f", USER, "old")
            for _ in range(3):
                assert await client.wait_until_ready(0.01)
    line = "nothing has come from the source in 0.0 s: what the store holds is served"
    assert lines_of(caplog) == [("WARNING", line)]


async def test_a_wait_for_a_client_does_not_end_with_what_the_store_holds() -> None:
    store = AsyncMemoryStore()
    await store.replace(environment(flag("f", "old")))
    async with AsyncFakeUpstream(data("new")) as upstream:
        upstream.hold_streams()
        async with client_of(streaming(upstream), store=store) as client:
            begun = runtime.monotonic()
            assert await client.wait_until_ready(0.2)
            assert runtime.monotonic() - begun >= 0.2
            assert await client.variation("f", USER, None) == "old"
            upstream.release_streams()
            assert await client.wait_until_ready()
            assert await client.variation("f", USER, None) == "new"


async def test_without_a_marker_a_store_is_not_believed() -> None:
    store = AsyncMemoryStore()
    await store.upsert(changes(flag("f", "x")))
    async with AsyncFakeUpstream() as upstream:
        upstream.always(STREAM, Scripted(503))
        async with client_of(streaming(upstream), store=store) as client:
            assert not await client.wait_until_ready(0.1)
            detail = await client.variation_detail("f", USER, "default")
            assert detail.reason.error_kind == "CLIENT_NOT_READY"


@pytest.mark.slow
async def test_a_store_that_is_filled_by_others_is_served_while_there_is_no_upstream() -> None:
    store = AsyncSlowStore()
    async with AsyncFakeUpstream() as upstream:
        upstream.always(STREAM, Scripted(503))
        cache = CachePolicy(0.2)
        async with client_of(streaming(upstream), store=store, cache=cache) as client:
            await until_error(client)
            assert not client.is_ready
            await store.replace(environment(flag("f", "theirs")))
            await until_value(client, "f", USER, "theirs")
            assert client.is_ready
            await store.replace(environment(flag("f", "newer", version=2)))
            await until_value(client, "f", USER, "newer")
            upstream.put(data("own", version=1)["flags"])
            upstream.always(STREAM, None)
            await until_state(client, SourceState.VALID)
            await until_value(client, "f", USER, "own")


@pytest.mark.slow
async def test_a_store_that_comes_back_is_served_while_there_is_no_upstream() -> None:
    store = AsyncFragileStore()
    await store.replace(environment(flag("f", "theirs")))
    store.is_down = True
    async with AsyncFakeUpstream() as upstream:
        upstream.always(STREAM, Scripted(503))
        async with client_of(streaming(upstream), store=store) as client:
            await until(lambda: not store_status(client).available)
            assert await client.variation("f", USER, "default") == "default"
            store.is_down = False
            await until_value(client, "f", USER, "theirs")
            await until(lambda: status_of(client).error is not None)
            assert error_of(client).status_code == 503


async def test_a_store_that_hangs_does_not_hold_up_the_stream() -> None:
    store = AsyncSlowStore()
    await store.replace(environment(flag("f", "old")))
    store.gate.clear()
    async with AsyncFakeUpstream(data("new")) as upstream:
        policy = StorePolicy(deadline=0.1)
        begun = runtime.monotonic()
        async with client_of(streaming(upstream), store=store, store_policy=policy) as client:
            assert await client.wait_until_ready()
            check_within(0.1 + MACHINE, since=begun)
            assert await client.variation("f", USER, None) == "new"
            store.gate.set()


# --- prefetch off: read through the store --------------------------------------------------------


@pytest.mark.slow
async def test_with_prefetch_off_items_are_read_through_the_store() -> None:
    store = AsyncSlowStore()
    async with AsyncFakeUpstream(data("a")) as upstream:
        policy = StorePolicy(prefetch=False)
        async with client_of(streaming(upstream), store=store, store_policy=policy) as client:
            assert await client.wait_until_ready()
            await until(lambda: store.has_data)
            assert await client.variation("f", USER, None) == "a"
            upstream.patch("flags", flag("f", "b", version=2))
            await until_value(client, "f", USER, "b")
            await store.upsert(changes(flag("only there", "x")))
            await until_value(client, "only there", USER, "x")
            assert store.count("only there") >= 1
            assert store.full_reads == 0


@pytest.mark.slow
async def test_with_prefetch_off_an_upstream_that_is_away_leaves_the_store() -> None:
    store = AsyncSlowStore()
    await store.replace(environment(flag("f", "old")))
    async with AsyncFakeUpstream() as upstream:
        upstream.stop_listening()
        policy = StorePolicy(prefetch=False)
        async with client_of(streaming(upstream), store=store, store_policy=policy) as client:
            await until_error(client)
            assert await client.variation("f", USER, None) == "old"
            assert client.is_ready
            assert store.full_reads == 0


# --- two clients, and the end --------------------------------------------------------------------


async def test_closing_waits_for_the_store() -> None:
    with SQLitePlace() as place:
        async with AsyncFakeUpstream(document(1)) as upstream:
            client = client_of(streaming(upstream), store=store_of(place))
            assert await client.wait_until_ready()
            assert (await client.aclose()).complete
            assert place.generation() == 1


async def test_closing_does_not_wait_for_a_store_that_is_down_and_says_so() -> None:
    store = AsyncFragileStore()
    store.is_down = True
    async with AsyncFakeUpstream(data("a")) as upstream:
        client = client_of(streaming(upstream), store=store)
        assert await client.wait_until_ready()
        await until(lambda: store_status(client).stale)
        begun = runtime.monotonic()
        assert not (await client.aclose()).complete
        check_within(MACHINE, since=begun)


@pytest.mark.slow
async def test_two_clients_that_fill_one_store_leave_each_other_alone() -> None:
    store = AsyncSlowStore()
    async with AsyncFakeUpstream(data("a")) as upstream:
        shared = config(streaming(upstream))
        async with (
            AsyncClient(shared, store=store) as first,
            AsyncClient(shared, store=store) as second,
        ):
            assert await first.wait_until_ready()
            assert await second.wait_until_ready()
            upstream.patch("flags", flag("f", "b", version=2))
            await until_value(first, "f", USER, "b")
            await until_value(second, "f", USER, "b")
            for client in (first, second):
                writer = client._data._writer
                assert writer is not None
                assert await writer.idle.wait(10)
            record = await store.read_record()
            probes = store.probes
            await until(lambda: store.probes >= probes + 4)
            assert record is not None
            assert await store.read_record() == record
            ref = ItemRef(Kind.FLAG, "f")
            assert json.loads((await store.get_many([ref]))[ref].data)["version"] == 2


async def test_before_the_upstream_answers_an_evaluation_reads_the_store_itself() -> None:
    store = AsyncMemoryStore()
    await store.replace(environment(flag("f", "stored")))
    nowhere = Streaming(base_uri="http://127.0.0.1:9")
    settings = Config(sdk_key="sdk-key", source=nowhere, send_events=False)
    async with AsyncClient(settings, store=store) as client:
        assert await client.variation("f", USER, "default") == "stored"


async def test_what_is_in_memory_and_not_in_the_store_is_waited_for_at_the_end() -> None:
    """Whoever sees a change may close the client at once, before the source has come further."""
    source = AsyncHandSource()
    client = AsyncClient(Config(source=source), store=AsyncMemoryStore())
    await source.deliver(environment(flag("f", "a")))
    writer = client._data._writer
    assert writer is not None
    assert await writer.idle.wait(10)
    publish, idle = client._data._publish, list[bool]()

    def see(catalog: Catalog) -> None:
        idle.append(writer.idle.is_set())
        publish(catalog)

    client._data._publish = see
    await source.deliver(changes(flag("f", "b", version=2)))
    assert idle[0] is False
    assert await writer.idle.wait(10)
    await client.aclose()
