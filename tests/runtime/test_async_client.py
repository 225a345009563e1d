"""What only asyncio can get wrong: loops that come later, cancellation, being held up."""

import asyncio
import gc
import logging
import sqlite3
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trustme

from flagkeep import (
    AsyncClient,
    BigSegmentSettings,
    Config,
    Context,
    EventSettings,
    FileSource,
    HttpSettings,
    StorePolicy,
    Streaming,
)
from flagkeep.stores import AsyncSQLiteStore
from flagkeep.testing import BigSegmentData, FakeUpstream, Scripted
from tests._async.hand_source import AsyncHandSource, changes, environment, flag
from tests._async.waiting import until

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, object]], object]
USER = Context.create("user-key")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep everybody else from even reading a SQLite file."""
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("PRAGMA journal_mode = DELETE")
    holder.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        holder.execute("COMMIT")
        holder.close()


async def filled(path: Path, *flags: dict[str, Any]) -> None:
    store = AsyncSQLiteStore(path)
    await store.replace(environment(*flags))
    await store.aclose()


def test_a_client_may_be_made_before_there_is_a_loop(tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    file.write_text('{"flagValues": {"f": 1}}')
    client = AsyncClient(Config(source=FileSource(file)))

    async def main() -> None:
        async with client:
            assert await client.wait_until_ready()
            assert await client.variation("f", USER, None) == 1

    asyncio.run(main())


def test_a_client_made_before_there_is_a_loop_starts_at_its_first_evaluation(
    tmp_path: Path,
) -> None:
    path = tmp_path / "flags.db"
    asyncio.run(filled(path, flag("f", "x")))
    client = AsyncClient(Config(daemon=True), store=AsyncSQLiteStore(path))

    async def main() -> None:
        assert await client.variation("f", USER, None) == "x"
        await client.aclose()

    asyncio.run(main())


async def test_listeners_may_be_coroutines() -> None:
    source = AsyncHandSource()
    heard: list[str] = []

    async def listen(change: Any) -> None:
        await asyncio.sleep(0)
        heard.append(change.key)

    async with AsyncClient(Config(source=source)) as client:
        client.on_change(None, listen)
        client.on_value_change("f", USER, listen)
        await source.deliver(environment(flag("f", "a")))
        await source.deliver(changes(flag("f", "b", version=2)))
        await until(lambda: len(heard) == 4)


async def test_the_loop_goes_on_while_the_store_does_not_answer(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    await filled(path, flag("f", "x"))
    policy = StorePolicy(deadline=0.2)
    store = AsyncSQLiteStore(path)
    with locked(path):
        async with AsyncClient(Config(daemon=True, store_policy=policy), store=store) as client:
            turns = 0

            async def count() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0.01)

            counting = asyncio.create_task(count())
            detail = await client.variation_detail("f", USER, "dflt")
            counting.cancel()
            assert (detail.value, detail.reason.error_kind) == ("dflt", "EXCEPTION")
            assert turns > 5


async def test_a_cancelled_evaluation_leaves_a_client_that_works(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    await filled(path, flag("f", "x"))
    async with AsyncClient(Config(daemon=True), store=AsyncSQLiteStore(path)) as client:
        with locked(path):
            asking = asyncio.create_task(client.variation("f", USER, "dflt"))
            await asyncio.sleep(0)
            asking.cancel()
            results = await asyncio.gather(asking, return_exceptions=True)
            assert isinstance(results[0], asyncio.CancelledError)
        await until(lambda: client.status.store is not None and client.status.store.available)
        assert await client.wait_until_ready()
        assert await client.variation("f", USER, "dflt") == "x"


async def test_a_client_has_no_thread_but_one_per_driver(tmp_path: Path) -> None:
    before = set(threading.enumerate())  # other tests may have left some

    def own() -> list[str]:
        new = (thread.name for thread in threading.enumerate() if thread not in before)
        return sorted(name.rsplit("_", 1)[0] for name in new)

    file = tmp_path / "flags.json"
    file.write_text('{"flagValues": {"f": 1}}')
    store = AsyncSQLiteStore(tmp_path / "flags.db")
    async with AsyncClient(Config(source=FileSource(file)), store=store) as client:
        assert await client.wait_until_ready()
        await until(lambda: own() == ["flagkeep-files", "flagkeep-sqlite"])
    await until(lambda: own() == [])


# --- one loop after another -----------------------------------------------------------------------


# A loop that is closed under its tasks leaves their sockets to be collected.
abandoning = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def connected(upstream: FakeUpstream, **more: Any) -> Config:
    return Config(
        sdk_key="key",
        source=Streaming(base_uri=upstream.uri),
        events=EventSettings(base_uri=upstream.uri, flush_interval=60, diagnostics=False),
        **more,
    )


def run_and_abandon(main: Coroutine[Any, Any, T]) -> T:
    """Run it in a loop that is closed under the tasks it has left."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


async def ready(client: AsyncClient) -> None:
    assert await client.wait_until_ready()
    assert await client.variation("f", USER, None) == "x"


@pytest.fixture(params=[asyncio.run, run_and_abandon])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Run something in a loop, which is closed then."""
    yield request.param
    gc.collect()  # what the loop has left: here it may warn


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream({"flags": {"f": flag("f", "x")}, "segments": {}}) as running:
        yield running


@abandoning
def test_a_client_may_be_closed_in_another_loop(upstream: FakeUpstream, run: Run) -> None:
    client = AsyncClient(connected(upstream))
    run(ready(client))
    report = asyncio.run(client.aclose())
    assert (report.complete, report.events_lost) == (True, {})
    assert [event["kind"] for event in upstream.events()] == ["index", "summary"]
    upstream.wait_until(lambda: upstream.open_streams == 0)


@abandoning
def test_a_client_goes_on_in_another_loop(upstream: FakeUpstream, run: Run) -> None:
    client = AsyncClient(connected(upstream))
    run(ready(client))

    async def go_on() -> None:
        client.track("bought", USER)
        assert await client.flush()
        assert len(upstream.events("custom")) == 1
        changed = asyncio.Event()
        client.on_change("f", lambda _: changed.set())
        upstream.patch("flags", flag("f", "y", version=2))
        await asyncio.wait_for(changed.wait(), 5)
        assert await client.variation("f", USER, None) == "y"
        gc.collect()  # what the other loop has left
        assert client.status.data_age is None
        upstream.wait_until(lambda: upstream.open_streams == 1)
        assert (await client.aclose()).complete

    asyncio.run(go_on())


@abandoning
def test_a_big_segment_store_is_asked_in_another_loop_too(upstream: FakeUpstream, run: Run) -> None:
    data = BigSegmentData()
    data.updated(0)
    settings = BigSegmentSettings(status_poll_interval=0.01)
    client = AsyncClient(
        connected(upstream, big_segments=settings), big_segment_store=data.async_store()
    )
    run(ready(client))

    async def go_on() -> None:
        await client.variation_detail("f", USER, None)
        before = data.times_asked_for_age
        await until(lambda: data.times_asked_for_age > before + 3)
        await client.aclose()

    asyncio.run(go_on())


def test_events_of_a_client_that_evaluates_nothing_are_delivered(upstream: FakeUpstream) -> None:
    client = AsyncClient(connected(upstream))

    async def main() -> None:
        client.track("bought", USER)
        client.flush_soon()
        await until(lambda: len(upstream.events("custom")) == 1)
        await client.aclose()

    asyncio.run(main())


async def test_who_closes_takes_over_from_one_that_is_cancelled(upstream: FakeUpstream) -> None:
    upstream.always("/bulk", Scripted(202, delay=0.1))
    client = AsyncClient(connected(upstream))
    await ready(client)
    first, second = (asyncio.create_task(client.aclose()) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    assert (await second).complete
    assert first.cancelled()
    posts = upstream.requests_to("/bulk")
    assert len({post.headers["x-launchdarkly-payload-id"] for post in posts}) == 1


async def test_a_large_environment_arrives_where_no_thread_can_begin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    large = {key: flag(key, "x" * 1000) for key in map(str, range(500))}
    with FakeUpstream({"flags": large}, tls=context) as upstream:
        config = Config(
            sdk_key="key",
            source=Streaming(base_uri=upstream.uri),
            http=HttpSettings(verify=False),
            send_events=False,
        )
        usual = threading.stack_size(1 << 46)  # more than there is: what a full machine says
        try:
            async with AsyncClient(config) as client:
                assert await client.wait_until_ready()
                assert client.status.source is not None
                assert client.status.source.error is None
        finally:
            threading.stack_size(usual)


async def test_a_listener_that_waits_in_vain_leaves_the_others_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = AsyncHandSource()
    heard: list[str] = []

    async def vain(_: object) -> None:
        forever: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        forever.cancel()
        await forever

    async with AsyncClient(Config(source=source)) as client:
        client.on_change(None, vain)
        client.on_change(None, lambda change: heard.append(change.key))
        with caplog.at_level(logging.ERROR):
            await source.deliver(environment(flag("f", "x")))
            await until(lambda: heard == ["f"])
    assert "a listener failed" in caplog.text
