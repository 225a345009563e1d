"""A client that streams and fills a store: what either of them does never harms the other."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest

from flagkeep import stores
from flagkeep._sync.client import Client
from flagkeep._sync.interfaces import FeatureStore
from flagkeep._sync.stores.memory import MemoryStore
from flagkeep._runtime import threads as runtime
from flagkeep.config import CachePolicy, Config, StorePolicy, Streaming
from flagkeep.evaluation.catalog import Catalog
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.model.status import SourceErrorKind, SourceState, StoreStatus
from flagkeep.storage.contents import WriterRecord
from flagkeep.testing import FakeUpstream, Scripted
from tests._sync.connecting import (
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
from tests._sync.hand_source import HandSource, changes, environment, flag
from tests._sync.slow_store import SlowStore
from tests._sync.waiting import pause, until, until_value
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


def store_of(place: Place) -> FeatureStore:
    if isinstance(place, RedisPlace):
        return stores.RedisStore(**place.settings)
    return stores.SQLiteStore(**place.settings)


def store_status(client: Client) -> StoreStatus:
    status = client.status.store
    assert status is not None
    return status


class FragileStore(SlowStore):
    """Takes no writes either while it is down."""

    def replace(self, changes: ChangeSet, record: WriterRecord | None = None) -> None:
        self._check("replace")
        super().replace(changes, record)

    def upsert(self, changes: ChangeSet) -> dict[ItemRef, SerializedItem]:
        self._check("upsert")
        return super().upsert(changes)


def show(upstream: FakeUpstream, generation: int) -> None:
    items = document(generation)
    upstream.put(items["flags"], items["segments"])


def ask(client: Client, generation: int) -> None:
    """Ask for one value and for all, neither of which may wait for a store."""
    begun = runtime.monotonic()
    assert client.variation("main", USER, "default") == value(generation)
    assert (client.all_flags(USER)).to_values() == all_values(generation)
    assert client.variation("no such flag", USER, "default") == "default"
    check_within(3 * AT_ONCE, since=begun)


# --- filling -------------------------------------------------------------------------------------


@pytest.mark.slow
@PLACES
def test_the_store_is_filled_from_the_stream(make: Callable[[], Place]) -> None:
    with make() as place:
        with FakeUpstream(document(1)) as upstream:
            with client_of(streaming(upstream), store=store_of(place)) as client:
                assert client.wait_until_ready()
                until(lambda: place.generation() == 1)
                upstream.patch("flags", document(2)["flags"]["main"])
                until(lambda: place.generation() == 2)
                upstream.delete("flags", "main", 3)
                until_value(client, "main", USER, None)
                assert (client.close()).complete
            assert len(upstream.requests) == 1
        store = store_of(place)
        main = (store.get_many([ItemRef(Kind.FLAG, "main")]))[ItemRef(Kind.FLAG, "main")]
        store.close()
        assert (main.version, main.deleted) == (3, True)


@pytest.mark.slow
@PLACES
def test_a_reader_has_what_the_stream_brought(make: Callable[[], Place]) -> None:
    with make() as place:
        with (
            FakeUpstream(document(1)) as upstream,
            client_of(streaming(upstream), store=store_of(place)) as client,
        ):
            assert client.wait_until_ready()
            assert (client.close()).complete
        with Client(Config(daemon=True), store=store_of(place)) as reader:
            until_value(reader, "main", USER, value(1))


@pytest.mark.slow
def test_the_store_is_filled_from_polls_and_not_again_without_news() -> None:
    store = SlowStore()
    with (
        FakeUpstream(data("a")) as upstream,
        client_of(polling(upstream), store=store) as client,
    ):
        assert client.wait_until_ready()
        upstream.wait_for_request("/sdk/latest-all", 5)
        record = store.read_record()
        assert record is not None
        assert (record.source, record.replaces) == ("polling", 1)


def test_an_older_version_is_not_written() -> None:
    store = SlowStore()
    with (
        FakeUpstream(data("a", version=5)) as upstream,
        client_of(streaming(upstream), store=store) as client,
    ):
        assert client.wait_until_ready()
        upstream.patch("flags", flag("f", "stale", version=4))
        upstream.delete("flags", "f", 5)
        upstream.patch("flags", flag("last", "here"))
        until(lambda: "last" in store._contents.flags)
        f = store._contents.flags["f"]
        assert (f.version, f.deleted) == (5, False)


def test_what_comes_before_everything_else_makes_no_full_store() -> None:
    patch = b'event: patch\ndata: {"path":"/flags/g","data":{"key":"g","version":1}}\n\n'
    store = FragileStore()
    store.is_down = True
    with FakeUpstream(data("a")) as upstream:
        upstream.respond(STREAM, Scripted.stream(patch))
        with client_of(streaming(upstream), store=store) as client:
            until(lambda: not store_status(client).available)
            store.is_down = False
            until(lambda: store_status(client).available)
            for _ in range(20):
                pause()
            assert not store.has_data
            upstream.put(data("a")["flags"])
            until(lambda: store.has_data)


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
def test_a_store_that_fails_in_the_middle_stops_neither_stream_nor_evaluation(
    outage: Outage,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "flagkeep")
    with outage.place() as place:
        with FakeUpstream(document(1)) as upstream:
            with client_of(streaming(upstream), store=store_of(place)) as client:
                until(lambda: place.generation() == 1)
                place.keep_a_copy()
                show(upstream, 2)
                until(lambda: place.generation() == 2)
                outage.begin(place)
                show(upstream, 3)
                until_value(client, "main", USER, value(3))
                until(lambda: store_status(client).stale)
                assert not store_status(client).available
                assert status_of(client).error is None
                for _ in range(10):
                    ask(client, 3)
                outage.end(place)
                ended = runtime.monotonic()
                until(lambda: place.generation() == 3)
                check_within(REPAIRED_WITHIN, since=ended)
                until(lambda: store_status(client).available)
                until(lambda: not store_status(client).stale)
                upstream.patch("flags", document(4)["flags"]["main"])
                until(lambda: place.generation() == 4)
            assert len(upstream.requests) == 1
    lines = [line for line in lines_of(caplog, "flagkeep.store") if "lost its data" not in line[1]]
    assert [level for level, _ in lines] == ["ERROR", "WARNING"]
    assert lines_of(caplog) == []


@pytest.mark.slow
@pytest.mark.parametrize("outage", [one for one in OUTAGES if "back" in one.name], ids=name_of)
def test_a_store_that_lost_data_is_refilled_though_nobody_noticed_it_being_down(
    outage: Outage,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "flagkeep")
    with outage.place() as place:
        with FakeUpstream(document(1)) as upstream:
            with client_of(streaming(upstream), store=store_of(place)) as client:
                until(lambda: place.generation() == 1)
                place.keep_a_copy()
                upstream.patch("flags", document(2)["flags"]["main"])
                until(lambda: place.generation() == 2)
                outage.begin(place)
                outage.end(place)
                ended = runtime.monotonic()
                until(lambda: place.generation() == 2)
                check_within(REPAIRED_WITHIN + MACHINE, since=ended)
                ask(client, 2)
                until(lambda: store_status(client).available)
                until(lambda: not store_status(client).stale)
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
def test_a_store_that_is_down_at_the_start_is_filled_when_it_is_there(
    make: Callable[[], Place],
    begin: Callable[[Any], None],
    end: Callable[[Any], None],
) -> None:
    with make() as place:
        begin(place)
        with (
            FakeUpstream(document(1)) as upstream,
            client_of(streaming(upstream), store=store_of(place)) as client,
        ):
            assert client.wait_until_ready()
            ask(client, 1)
            until(lambda: not store_status(client).available)
            upstream.patch("flags", document(2)["flags"]["main"])
            until_value(client, "main", USER, value(2))
            end(place)
            ended = runtime.monotonic()
            until(lambda: place.generation() == 2)
            check_within(REPAIRED_WITHIN, since=ended)
            assert status_of(client).error is None


@pytest.mark.slow
def test_without_repair_a_store_that_lost_its_data_is_left_alone() -> None:
    store = SlowStore()
    with FakeUpstream(data("a")) as upstream:
        policy = StorePolicy(repair=False)
        with client_of(streaming(upstream), store=store, store_policy=policy) as client:
            until(lambda: store.has_data)
            probes = store.probes
            store.lose_everything()
            until(lambda: store.probes >= probes + 2)
            for _ in range(20):
                pause()
            assert not store.has_data
            assert client.variation("f", USER, None) == "a"
            assert store_status(client).wiped


@pytest.mark.slow
def test_a_writer_that_writes_all_the_time_notices_a_loss_too() -> None:
    store = SlowStore()
    with (
        FakeUpstream(data("a")) as upstream,
        client_of(streaming(upstream), store=store) as client,
    ):
        until(lambda: store.has_data)
        store.lose_everything()
        begun, version = runtime.monotonic(), 1
        while not store.has_data:
            check_within(REPAIRED_WITHIN + MACHINE, since=begun)
            version += 1
            upstream.patch("flags", flag("busy", version, version=version))
            until_value(client, "busy", USER, version)
        assert "f" in store._contents.flags


@pytest.mark.slow
def test_what_another_writer_put_there_later_is_left_alone() -> None:
    store = SlowStore()
    with (
        FakeUpstream(data("a")) as upstream,
        client_of(streaming(upstream), store=store) as client,
    ):
        until(lambda: store.has_data)
        store.replace(environment(flag("f", "theirs", version=9)))
        probes = store.probes
        until(lambda: store.probes >= probes + 2)
        assert store._contents.flags["f"].version == 9
        assert client.variation("f", USER, None) == "a"


# --- outages of the upstream ---------------------------------------------------------------------


@pytest.mark.slow
@PLACES
def test_a_client_that_cannot_reach_its_upstream_serves_the_store_and_says_so(
    make: Callable[[], Place],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with make() as place:
        place.write(1)
        with FakeUpstream(document(2)) as upstream:
            upstream.stop_listening()
            with client_of(streaming(upstream), store=store_of(place)) as client:
                error = until_error(client)
                assert error.kind is SourceErrorKind.NETWORK_ERROR
                ask(client, 1)
                assert client.is_ready
                assert status_of(client).state is SourceState.INITIALIZING
                assert client.status.data_age is not None
                detail = client.variation_detail("main", USER, "default")
                assert detail.data_age is not None
                assert place.generation() == 1
                upstream.start_listening()
                until_value(client, "main", USER, value(2))
                until_state(client, SourceState.VALID)
                assert client.status.data_age is None
                until(lambda: place.generation() == 2)
    (level, line), _ = lines_of(caplog)
    assert level == "ERROR"
    assert "what the store holds is served" in line


def test_an_upstream_that_is_silent_makes_no_data_current() -> None:
    store = MemoryStore()
    store.replace(environment(flag("f", "old")))
    with FakeUpstream(data("new")) as upstream:
        upstream.hold_streams()
        policy = StorePolicy(max_age=0.3)
        with client_of(streaming(upstream), store=store, store_policy=policy) as client:
            until_value(client, "f", USER, "old")
            assert client.status.data_age is not None
            until_value(client, "f", USER, None)  # too old by now
            assert not client.is_ready
            upstream.release_streams()
            until_value(client, "f", USER, "new")
            until_state(client, SourceState.VALID)
            assert client.status.data_age is None


def test_who_waits_in_vain_is_told_once_that_the_store_is_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = MemoryStore()
    store.replace(environment(flag("f", "old")))
    with FakeUpstream(data("new")) as upstream:
        upstream.hold_streams()
        with client_of(streaming(upstream), store=store) as client:
            until_value(client, "f", USER, "old")
            for _ in range(3):
                assert client.wait_until_ready(0.01)
    line = "nothing has come from the source in 0.0 s: what the store holds is served"
    assert lines_of(caplog) == [("WARNING", line)]


def test_a_wait_for_a_client_does_not_end_with_what_the_store_holds() -> None:
    store = MemoryStore()
    store.replace(environment(flag("f", "old")))
    with FakeUpstream(data("new")) as upstream:
        upstream.hold_streams()
        with client_of(streaming(upstream), store=store) as client:
            begun = runtime.monotonic()
            assert client.wait_until_ready(0.2)
            assert runtime.monotonic() - begun >= 0.2
            assert client.variation("f", USER, None) == "old"
            upstream.release_streams()
            assert client.wait_until_ready()
            assert client.variation("f", USER, None) == "new"


def test_without_a_marker_a_store_is_not_believed() -> None:
    store = MemoryStore()
    store.upsert(changes(flag("f", "x")))
    with FakeUpstream() as upstream:
        upstream.always(STREAM, Scripted(503))
        with client_of(streaming(upstream), store=store) as client:
            assert not client.wait_until_ready(0.1)
            detail = client.variation_detail("f", USER, "default")
            assert detail.reason.error_kind == "CLIENT_NOT_READY"


@pytest.mark.slow
def test_a_store_that_is_filled_by_others_is_served_while_there_is_no_upstream() -> None:
    store = SlowStore()
    with FakeUpstream() as upstream:
        upstream.always(STREAM, Scripted(503))
        cache = CachePolicy(0.2)
        with client_of(streaming(upstream), store=store, cache=cache) as client:
            until_error(client)
            assert not client.is_ready
            store.replace(environment(flag("f", "theirs")))
            until_value(client, "f", USER, "theirs")
            assert client.is_ready
            store.replace(environment(flag("f", "newer", version=2)))
            until_value(client, "f", USER, "newer")
            upstream.put(data("own", version=1)["flags"])
            upstream.always(STREAM, None)
            until_state(client, SourceState.VALID)
            until_value(client, "f", USER, "own")


@pytest.mark.slow
def test_a_store_that_comes_back_is_served_while_there_is_no_upstream() -> None:
    store = FragileStore()
    store.replace(environment(flag("f", "theirs")))
    store.is_down = True
    with FakeUpstream() as upstream:
        upstream.always(STREAM, Scripted(503))
        with client_of(streaming(upstream), store=store) as client:
            until(lambda: not store_status(client).available)
            assert client.variation("f", USER, "default") == "default"
            store.is_down = False
            until_value(client, "f", USER, "theirs")
            until(lambda: status_of(client).error is not None)
            assert error_of(client).status_code == 503


def test_a_store_that_hangs_does_not_hold_up_the_stream() -> None:
    store = SlowStore()
    store.replace(environment(flag("f", "old")))
    store.gate.clear()
    with FakeUpstream(data("new")) as upstream:
        policy = StorePolicy(deadline=0.1)
        begun = runtime.monotonic()
        with client_of(streaming(upstream), store=store, store_policy=policy) as client:
            assert client.wait_until_ready()
            check_within(0.1 + MACHINE, since=begun)
            assert client.variation("f", USER, None) == "new"
            store.gate.set()


# --- prefetch off: read through the store --------------------------------------------------------


@pytest.mark.slow
def test_with_prefetch_off_items_are_read_through_the_store() -> None:
    store = SlowStore()
    with FakeUpstream(data("a")) as upstream:
        policy = StorePolicy(prefetch=False)
        with client_of(streaming(upstream), store=store, store_policy=policy) as client:
            assert client.wait_until_ready()
            until(lambda: store.has_data)
            assert client.variation("f", USER, None) == "a"
            upstream.patch("flags", flag("f", "b", version=2))
            until_value(client, "f", USER, "b")
            store.upsert(changes(flag("only there", "x")))
            until_value(client, "only there", USER, "x")
            assert store.count("only there") >= 1
            assert store.full_reads == 0


@pytest.mark.slow
def test_with_prefetch_off_an_upstream_that_is_away_leaves_the_store() -> None:
    store = SlowStore()
    store.replace(environment(flag("f", "old")))
    with FakeUpstream() as upstream:
        upstream.stop_listening()
        policy = StorePolicy(prefetch=False)
        with client_of(streaming(upstream), store=store, store_policy=policy) as client:
            until_error(client)
            assert client.variation("f", USER, None) == "old"
            assert client.is_ready
            assert store.full_reads == 0


# --- two clients, and the end --------------------------------------------------------------------


def test_closing_waits_for_the_store() -> None:
    with SQLitePlace() as place:
        with FakeUpstream(document(1)) as upstream:
            client = client_of(streaming(upstream), store=store_of(place))
            assert client.wait_until_ready()
            assert (client.close()).complete
            assert place.generation() == 1


def test_closing_does_not_wait_for_a_store_that_is_down_and_says_so() -> None:
    store = FragileStore()
    store.is_down = True
    with FakeUpstream(data("a")) as upstream:
        client = client_of(streaming(upstream), store=store)
        assert client.wait_until_ready()
        until(lambda: store_status(client).stale)
        begun = runtime.monotonic()
        assert not (client.close()).complete
        check_within(MACHINE, since=begun)


@pytest.mark.slow
def test_two_clients_that_fill_one_store_leave_each_other_alone() -> None:
    store = SlowStore()
    with FakeUpstream(data("a")) as upstream:
        shared = config(streaming(upstream))
        with (
            Client(shared, store=store) as first,
            Client(shared, store=store) as second,
        ):
            assert first.wait_until_ready()
            assert second.wait_until_ready()
            upstream.patch("flags", flag("f", "b", version=2))
            until_value(first, "f", USER, "b")
            until_value(second, "f", USER, "b")
            for client in (first, second):
                writer = client._data._writer
                assert writer is not None
                assert writer.idle.wait(10)
            record = store.read_record()
            probes = store.probes
            until(lambda: store.probes >= probes + 4)
            assert record is not None
            assert store.read_record() == record
            ref = ItemRef(Kind.FLAG, "f")
            assert json.loads((store.get_many([ref]))[ref].data)["version"] == 2


def test_before_the_upstream_answers_an_evaluation_reads_the_store_itself() -> None:
    store = MemoryStore()
    store.replace(environment(flag("f", "stored")))
    nowhere = Streaming(base_uri="http://127.0.0.1:9")
    settings = Config(sdk_key="sdk-key", source=nowhere, send_events=False)
    with Client(settings, store=store) as client:
        assert client.variation("f", USER, "default") == "stored"


def test_what_is_in_memory_and_not_in_the_store_is_waited_for_at_the_end() -> None:
    """Whoever sees a change may close the client at once, before the source has come further."""
    source = HandSource()
    client = Client(Config(source=source), store=MemoryStore())
    source.deliver(environment(flag("f", "a")))
    writer = client._data._writer
    assert writer is not None
    assert writer.idle.wait(10)
    publish, idle = client._data._publish, list[bool]()

    def see(catalog: Catalog) -> None:
        idle.append(writer.idle.is_set())
        publish(catalog)

    client._data._publish = see
    source.deliver(changes(flag("f", "b", version=2)))
    assert idle[0] is False
    assert writer.idle.wait(10)
    client.close()
