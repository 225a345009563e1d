"""What only happens when things come in an unlucky order: late answers, outages, lost data."""

import logging
from collections.abc import Iterable
from typing import Any

import pytest

from flagkeep._async import store_reader, store_writer
from flagkeep._async.client import AsyncClient
from flagkeep._runtime import aio as runtime
from flagkeep.config import CachePolicy, Config, StorePolicy
from flagkeep.errors import StoreUnavailable
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.context import Context
from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem
from flagkeep.model.status import StoreStatus
from flagkeep.storage import freshness
from flagkeep.storage.contents import StoreChanges, StoreContents, WriterRecord
from tests._async.hand_source import AsyncHandSource, changes, environment, flag
from tests._async.slow_store import AsyncSlowStore
from tests._async.waiting import pause, until, until_value

USER = Context.create("user-key")
FOR_EVER = CachePolicy.forever()
SHORT = CachePolicy(0.05)
OFF = CachePolicy.off()


@pytest.fixture(autouse=True)
def _quick_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_reader, "RETRY_AFTER", 0.02)
    monkeypatch.setattr(store_reader, "HEARTBEAT", 0.1)


class AsyncOddStore(AsyncSlowStore):
    """A store that can tell of changes, and whose single operations fail one by one.

    Attributes:
        news: what the next poll tells; with `poll_interval` set.
        failing: names of operations that fail.
        replaces: how often a full set was to be written.
        bad: rows that cannot be used, told with every read of everything.
        latency: seconds that an answer takes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.news: StoreChanges | None = None
        self.failing: set[str] = set()
        self.replaces = 0
        self.bad: tuple[BadItem, ...] = ()
        self.latency = 0.0

    async def is_initialized(self, *, timeout: float | None = None) -> bool:
        await self._take_time(timeout)
        return await super().is_initialized(timeout=timeout)

    async def get_many(
        self, wanted: Iterable[ItemRef], *, timeout: float | None = None
    ) -> dict[ItemRef, SerializedItem]:
        await self._take_time(timeout)
        return await super().get_many(wanted, timeout=timeout)

    async def _take_time(self, timeout: float | None) -> None:
        if self.latency:
            wait = self.latency if timeout is None else min(timeout, self.latency)
            await runtime.Event().wait(wait)
            if wait < self.latency:
                raise StoreUnavailable(self.name, "read", "too slow")

    async def poll_changes(self) -> StoreChanges | None:
        self._check("poll_changes")
        news, self.news = self.news, None
        return news

    async def get_all(self, *, timeout: float | None = None) -> StoreContents:
        await self._take_time(timeout)
        found = await super().get_all(timeout=timeout)
        return StoreContents(found.initialized, found.flags, found.segments, self.bad)

    async def replace(self, changes: ChangeSet, record: WriterRecord | None = None) -> None:
        self.replaces += 1
        self._check("replace")
        await super().replace(changes, record)

    async def upsert(self, changes: ChangeSet) -> dict[ItemRef, SerializedItem]:
        self._check("upsert")
        return await super().upsert(changes)

    def tell(self, *keys: str) -> None:
        """Let the next poll say that these flags changed."""
        self.news = StoreChanges(tuple(ItemRef(Kind.FLAG, key) for key in keys))

    def lose_flags(self) -> None:
        """Keep the marker and lose every flag, as an eviction of a whole hash does."""
        contents = self._contents
        self._contents = StoreContents(contents.initialized, {}, dict(contents.segments))

    def lose_marker(self) -> None:
        """Be as a store that only ever got single items."""
        contents = self._contents
        self._contents = StoreContents(False, dict(contents.flags), dict(contents.segments))

    def _check(self, operation: str) -> None:
        super()._check(operation)
        if operation in self.failing:
            raise StoreUnavailable(self.name, operation, "not permitted")


async def filled(*flags: dict[str, Any], **more: Any) -> AsyncOddStore:
    store = AsyncOddStore()
    await store.replace(environment(*flags, **more))
    return store


def reading(store: AsyncSlowStore, cache: CachePolicy, **policy: Any) -> AsyncClient:
    """Return a client in daemon mode that reads items one by one."""
    settings = StorePolicy(**{"prefetch": False, **policy})
    return AsyncClient(Config(daemon=True, cache=cache, store_policy=settings), store=store)


def connected(
    store: AsyncSlowStore, source: AsyncHandSource, cache: CachePolicy, **policy: Any
) -> AsyncClient:
    """Return a client with a source that reads items through its store."""
    settings = StorePolicy(**{"prefetch": False, **policy})
    return AsyncClient(Config(source=source, cache=cache, store_policy=settings), store=store)


def status_of(client: AsyncClient) -> StoreStatus:
    status = client.status.store
    assert status is not None
    return status


class Crowd:
    """Several evaluations at once."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self._tasks: list[runtime.Task] = []

    def add(self, client: AsyncClient, key: str) -> None:
        async def evaluate() -> None:
            self.seen.append(await client.variation(key, USER, "dflt"))

        self._tasks.append(runtime.spawn("evaluation", evaluate))

    def add_all_flags(self, client: AsyncClient) -> None:
        async def evaluate() -> None:
            self.seen.append((await client.all_flags(USER)).to_values())

        self._tasks.append(runtime.spawn("evaluation", evaluate))

    async def done(self) -> list[Any]:
        for task in self._tasks:
            assert await task.join(10)
        return self.seen


# --- late answers ------------------------------------------------------------------------------


async def test_an_answer_from_before_a_change_does_not_count_as_fresh() -> None:
    store = await filled(flag("f", "old"))
    store.poll_interval = 0.005
    async with reading(store, FOR_EVER) as client:
        await until(lambda: store.probes > 0)
        store.gate.clear()
        crowd = Crowd()
        crowd.add(client, "f")
        await until(lambda: len(store.reads) == 1)
        await store.upsert(changes(flag("f", "new", version=2)))
        store.tell("f")
        await until(lambda: store.news is None)
        await pause()
        store.gate.set()
        await crowd.done()
        await until_value(client, "f", USER, "new")


async def test_all_flags_have_a_new_flag_that_the_store_tells_of() -> None:
    store = await filled(flag("f", "a"))
    store.poll_interval = 0.005
    async with reading(store, FOR_EVER) as client:
        assert (await client.all_flags(USER)).to_values() == {"f": "a"}
        await store.upsert(changes(flag("g", "b")))
        store.tell("g")
        give_up = runtime.monotonic() + 3
        while (await client.all_flags(USER)).to_values() != {"f": "a", "g": "b"}:
            assert runtime.monotonic() < give_up
            await pause()


async def test_reads_of_everything_are_merged() -> None:
    store = await filled(flag("f", "a"))
    async with reading(store, FOR_EVER) as client:
        await until(lambda: store.probes > 0)
        store.gate.clear()
        crowd = Crowd()
        for _ in range(8):
            crowd.add_all_flags(client)
        await until(lambda: store.full_reads > 0)
        await pause()
        store.gate.set()
        assert await crowd.done() == [{"f": "a"}] * 8
        assert store.full_reads == 1


# --- what is kept ------------------------------------------------------------------------------


@pytest.mark.parametrize("cache", [OFF, SHORT, FOR_EVER])
async def test_keys_that_do_not_exist_do_not_pile_up(
    monkeypatch: pytest.MonkeyPatch, cache: CachePolicy
) -> None:
    monkeypatch.setattr(freshness, "MOST_MISSES", 10)
    store = await filled(flag("f", "a"))
    async with reading(store, cache) as client:
        for number in range(500):
            await client.variation(f"none{number}", USER, None)
            if number % 50 == 0:
                await runtime.Event().wait(0.02)
        items = client._data._cache
        assert items is not None
        assert len(items.known.absent) < 100
        assert len(items._environment.fills._items) < 100


async def test_an_item_that_is_gone_does_not_come_back_in_an_outage() -> None:
    store = await filled(flag("f", "a"), flag("g", "a"))
    async with reading(store, OFF, keep_when_wiped=False) as client:
        assert await client.variation("f", USER, None) == "a"
        store.forget("f")
        assert await client.variation("f", USER, "dflt") == "dflt"
        store.is_down = True
        assert await client.variation("f", USER, "dflt") == "dflt"


async def test_an_item_that_is_gone_does_not_come_back_from_memory() -> None:
    store = await filled(flag("f", "a"), flag("g", "a"))
    async with reading(store, OFF, prefetch=True, keep_when_wiped=False) as client:
        assert await client.wait_until_ready()
        assert await client.variation("f", USER, None) == "a"
        store.forget("f")
        assert await client.variation("f", USER, "dflt") == "dflt"
        store.is_down = True
        assert await client.variation("f", USER, "dflt") == "dflt"


@pytest.mark.parametrize("cache", [OFF, SHORT])
async def test_during_an_outage_what_the_source_said_last_is_served(cache: CachePolicy) -> None:
    store, source = AsyncOddStore(), AsyncHandSource()
    async with connected(store, source, cache) as client:
        await source.deliver(environment(flag("f", "old")))
        await until(lambda: store.has_data)
        await until_value(client, "f", USER, "old")
        store.is_down = True
        await source.deliver(changes(flag("f", "new", version=2)))
        await until(lambda: not status_of(client).available)
        await until_value(client, "f", USER, "new")


async def test_what_was_written_is_the_last_known_good() -> None:
    store, source = AsyncOddStore(), AsyncHandSource()
    async with connected(store, source, OFF) as client:
        await source.deliver(environment(flag("f", "old")))
        await until(lambda: store.has_data)
        await until_value(client, "f", USER, "old")
        await source.deliver(changes(flag("f", "new", version=2)))
        ref = ItemRef(Kind.FLAG, "f")
        give_up = runtime.monotonic() + 5
        while (await AsyncSlowStore.get_many(store, (ref,)))[ref].version < 2:
            assert runtime.monotonic() < give_up
            await pause()
        store.is_down = True
        assert await client.variation("f", USER, "dflt") == "new"


# --- lost data ---------------------------------------------------------------------------------


@pytest.mark.parametrize("cache", [OFF, SHORT])
@pytest.mark.parametrize("prefetch", [False, True])
async def test_flags_that_vanish_beside_the_marker_are_still_served(
    cache: CachePolicy,
    prefetch: bool,  # noqa: FBT001
) -> None:
    store = await filled(flag("f", "a"), flag("g", "a"))
    store._record = None
    async with reading(store, cache, prefetch=prefetch) as client:
        assert await client.variation("f", USER, None) == "a"
        assert await client.wait_until_ready()
        store.lose_flags()
        give_up = runtime.monotonic() + 0.3
        while runtime.monotonic() < give_up:
            assert await client.variation("f", USER, "dflt") == "a"
            await pause()


@pytest.mark.parametrize("cache", [OFF, SHORT])
@pytest.mark.parametrize("prefetch", [False, True])
async def test_a_store_that_has_its_data_again_is_not_called_wiped_any_more(
    cache: CachePolicy,
    prefetch: bool,  # noqa: FBT001
) -> None:
    store = await filled(flag("f", "a"))
    async with reading(store, cache, prefetch=prefetch) as client:
        assert await client.variation("f", USER, None) == "a"
        assert await client.wait_until_ready()
        store.lose_everything()
        await until(lambda: status_of(client).wiped)
        await store.replace(environment(flag("f", "b", version=2)))
        await until_value(client, "f", USER, "b")
        give_up = runtime.monotonic() + 2
        while status_of(client).wiped:  # whoever goes on asking does not hide it
            assert await client.variation("f", USER, None) == "b"
            await pause()
            assert runtime.monotonic() < give_up, "still called wiped"


async def test_when_the_last_segment_is_removed_flags_still_change() -> None:
    segment = {"key": "s", "version": 1, "included": [], "excluded": [], "salt": "", "rules": []}
    store = await filled(flag("f", "a"), segments=(segment,))
    async with reading(store, SHORT, prefetch=True) as client:
        assert await client.wait_until_ready()
        await until_value(client, "f", USER, "a")
        await store.replace(environment(flag("f", "b", version=2)))  # by somebody without a record
        store._record = None
        await until_value(client, "f", USER, "b")


async def test_an_only_segment_that_turns_bad_is_no_loss_of_data() -> None:
    segment = {"key": "s", "version": 1, "included": [], "excluded": [], "salt": "", "rules": []}
    store = await filled(flag("f", "a"), segments=(segment,))
    async with reading(store, SHORT, prefetch=True) as client:
        assert await client.wait_until_ready()
        await until_value(client, "f", USER, "a")
        store.bad = (BadItem(Kind.SEGMENT, "s", "$", "it is no JSON"),)
        await store.replace(environment(flag("f", "b", version=2)))
        store._record = None
        await until_value(client, "f", USER, "b")
        assert not status_of(client).wiped


async def test_a_store_without_a_marker_is_not_read_again_and_again() -> None:
    store = await filled(flag("f", "a"))
    store.lose_marker()
    async with reading(store, FOR_EVER) as client:
        for _ in range(5):
            assert await client.variation("f", USER, None) == "a"
            probes = store.probes
            await until(lambda: store.probes > probes)  # noqa: B023
        assert store.full_reads <= 1
        assert store.count("f") == 1


async def test_older_versions_found_by_a_read_of_everything_are_reported() -> None:
    store = await filled(flag("f", "new", version=5))
    async with reading(store, OFF) as client:
        assert await client.variation("f", USER, None) == "new"
        await store.replace(environment(flag("f", "old", version=3)))
        assert (await client.all_flags(USER)).to_values() == {"f": "old"}
        assert status_of(client).rolled_back


@pytest.mark.parametrize("prefetch", [False, True])
async def test_an_item_that_is_good_again_as_it_was_is_not_called_bad(prefetch: bool) -> None:  # noqa: FBT001
    good = environment(flag("f", "a"))
    store = await filled(flag("f", "a"))
    async with reading(store, OFF, prefetch=prefetch) as client:
        assert await client.variation("f", USER, None) == "a"
        broken = SerializedItem(2, deleted=False, data=b'{"key":"f","version":2,"rules":3}')
        await store.upsert(ChangeSet(full=False, flags={"f": broken}))
        assert await client.variation("f", USER, None) == "a"
        assert client.status.bad_items
        await store.replace(good)
        assert await client.variation("f", USER, None) == "a"
        assert client.status.bad_items == ()


# --- outages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("prefetch", [False, True])
@pytest.mark.parametrize("cache", [OFF, SHORT])
@pytest.mark.parametrize("failing", ["get_many", "get_all"])
async def test_a_store_that_fails_in_part_is_logged_once(
    caplog: pytest.LogCaptureFixture,
    cache: CachePolicy,
    prefetch: bool,  # noqa: FBT001
    failing: str,
) -> None:
    store = await filled(flag("f", "a"))
    async with reading(store, cache, prefetch=prefetch) as client:
        assert await client.variation("f", USER, None) == "a"
        store.failing.add(failing)
        give_up = runtime.monotonic() + 0.5
        while runtime.monotonic() < give_up:
            assert await client.variation("f", USER, "dflt") == "a"
            await pause()
        store.failing.clear()
    lines = [one.getMessage() for one in caplog.records if one.name == "flagkeep.store"]
    assert len(lines) <= 2, lines


@pytest.mark.parametrize("prefetch", [False, True])
async def test_answers_that_come_after_the_deadline_are_one_outage(
    caplog: pytest.LogCaptureFixture,
    prefetch: bool,  # noqa: FBT001
) -> None:
    store = await filled(flag("f", "a"))
    async with reading(store, OFF, prefetch=prefetch, deadline=0.03) as client:
        assert await client.variation("f", USER, None) == "a"
        await until(lambda: store.probes > 0)
        store.latency = 0.06
        give_up = runtime.monotonic() + 1.0
        while runtime.monotonic() < give_up:
            assert await client.variation("f", USER, "dflt") == "a"
            await pause()
        lines = [one.getMessage() for one in caplog.records if one.name == "flagkeep.store"]
        store.latency = 0.0
        assert len(lines) == 1, lines


async def test_a_writer_tries_again_once_at_a_time_however_much_the_source_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store_writer, "RETRY_AFTER", 0.05)
    store, source = AsyncOddStore(), AsyncHandSource()
    config = Config(source=source)
    async with AsyncClient(config, store=store) as client:
        await source.deliver(environment(flag("f", 0)))
        await until(lambda: store.has_data)
        store.is_down = True
        for version in range(2, 42):
            await source.deliver(changes(flag("f", version, version=version)))
        await until(lambda: not status_of(client).available)
        await runtime.Event().wait(0.1)
        before = store.replaces
        await runtime.Event().wait(0.5)
        tries = store.replaces - before
        store.is_down = False
        assert tries <= 15, tries


# --- stores of somebody else -------------------------------------------------------------------


class AsyncForeignStore(AsyncOddStore):
    """A store that does what no store should.

    Attributes:
        answer: what it returns in the place of items, if not None.
        is_nothing: whether a read of everything returns None.
    """

    def __init__(self) -> None:
        super().__init__()
        self.answer: Any = ()
        self.is_nothing = False

    async def get_many(self, wanted: Any, *, timeout: float | None = None) -> Any:
        found = await super().get_many(wanted, timeout=timeout)
        return found if self.answer == () else self.answer

    async def get_all(self, *, timeout: float | None = None) -> Any:
        found = await super().get_all(timeout=timeout)
        return None if self.is_nothing else found


@pytest.mark.parametrize("cache", [OFF, SHORT])
@pytest.mark.parametrize(
    "answer", [None, {ItemRef(Kind.FLAG, "f"): "text"}, {ItemRef(Kind.FLAG, "f"): None}]
)
async def test_an_answer_that_is_none_leaves_the_last_known_good(
    caplog: pytest.LogCaptureFixture, cache: CachePolicy, answer: Any
) -> None:
    caplog.set_level(logging.INFO)
    store = AsyncForeignStore()
    await store.replace(environment(flag("f", "a")))
    async with reading(store, cache) as client:
        assert await client.variation("f", USER, None) == "a"
        store.answer = answer
        give_up = runtime.monotonic() + 0.2
        while runtime.monotonic() < give_up:
            assert await client.variation("f", USER, "dflt") == "a"
            await pause()


async def test_background_jobs_go_on_after_a_read_that_made_no_sense() -> None:
    store = AsyncForeignStore()
    await store.replace(environment(flag("f", "a")))
    async with reading(store, FOR_EVER, prefetch=True) as client:
        assert await client.wait_until_ready()
        store.is_down = True
        await until(lambda: not status_of(client).available)
        store.is_nothing = True
        store.is_down = False
        full_reads = store.full_reads
        await until(lambda: store.full_reads > full_reads)
        await pause()
        await store.upsert(changes(flag("f", "b", version=2)))
        store.is_nothing = False
        await until_value(client, "f", USER, "b")


async def test_the_heartbeat_goes_on_after_a_read_that_made_no_sense() -> None:
    store = AsyncForeignStore()
    await store.upsert(changes(flag("f", "a")))  # no marker: each heartbeat reads everything
    store.is_nothing = True
    async with reading(store, FOR_EVER, prefetch=True) as client:
        await until(lambda: store.full_reads > 0)
        for _ in range(3):
            await pause()
        store.is_nothing = False
        await store.replace(environment(flag("f", "b", version=2)))
        probes = store.probes
        await until(lambda: store.probes > probes)
        await until_value(client, "f", USER, "b")


async def test_a_store_that_cannot_be_closed_does_not_raise() -> None:
    class Stubborn(AsyncSlowStore):
        async def aclose(self) -> None:
            raise OSError("it is stuck")

    client = reading(Stubborn(), OFF)
    await client.wait_until_ready()
    assert not (await client.aclose()).complete


async def test_a_deeply_nested_item_is_a_bad_item() -> None:
    store = await filled(flag("f", "a"))
    deep = b'{"key":"g","version":1,"variations":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}"
    await store.upsert(ChangeSet(full=False, flags={"g": SerializedItem(1, False, deep)}))
    async with reading(store, OFF, prefetch=True) as client:
        assert await client.wait_until_ready()
        assert await client.variation("f", USER, None) == "a"
        assert await client.variation("g", USER, "dflt") == "dflt"
        assert [bad.key for bad in client.status.bad_items] == ["g"]
