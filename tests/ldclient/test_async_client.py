"""`AsyncLDClient`: the same over asyncio."""

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flagkeep.errors import ConfigError, NotBuiltYet
from flagkeep.ldclient import (
    AsyncLDClient,
    AsyncMigrator,
    AsyncMigratorBuilder,
    Config,
    Context,
    Origin,
    Result,
    Stage,
)
from flagkeep.ldclient.async_config import (
    AsyncBigSegmentsConfig,
    AsyncConfig,
    AsyncDataSystemConfig,
)
from flagkeep.ldclient.async_feature_store import AsyncInMemoryFeatureStore
from flagkeep.ldclient.async_feature_store_helpers import AsyncCachingStoreWrapper
from flagkeep.ldclient.evaluation import EvaluationDetail
from flagkeep.ldclient.feature_store import CacheConfig, InMemoryFeatureStore
from flagkeep.ldclient.hook import AsyncHook, EvaluationSeriesContext, Hook, Metadata
from flagkeep.ldclient.integrations import Files
from flagkeep.ldclient.integrations.test_data import TestData
from flagkeep.ldclient.interfaces import (
    AsyncBigSegmentStore,
    AsyncEventProcessor,
    AsyncFeatureRequester,
    AsyncFeatureStore,
    AsyncUpdateProcessor,
    BigSegmentStoreMetadata,
    BigSegmentStoreStatus,
    DataSourceErrorInfo,
    DataSourceErrorKind,
    DataSourceState,
    DataStoreStatus,
    FlagChange,
)
from flagkeep.ldclient.plugin import AsyncPlugin, EnvironmentMetadata, PluginMetadata
from flagkeep.ldclient.versioned_data_kind import FEATURES, SEGMENTS, VersionedDataKind
from flagkeep.stores import AsyncMemoryStore, MemoryStore
from flagkeep.testing import FakeUpstream, Scripted
from tests.ldclient.sources import USER, DictStore, environment, flag
from tests.ldclient.test_async_stores import Database
from tests.ldclient.test_hooks import Recorder
from tests.ldclient.test_upstream import BIG, IN_SEGMENT

Data = dict[Any, Any]
NOT_READY = {"kind": "ERROR", "errorKind": "CLIENT_NOT_READY"}
PATIENCE = 10.0


def quiet(**settings: Any) -> AsyncConfig:
    """A configuration without events."""
    return AsyncConfig("sdk-key", send_events=False, **settings)


def keyless(**settings: Any) -> AsyncConfig:
    """A configuration without a key, which therefore connects to nobody."""
    return AsyncConfig("", send_events=False, **settings)


async def until(condition: Any) -> None:
    give_up = time.monotonic() + PATIENCE
    while not await condition():
        assert time.monotonic() < give_up, "it never became true"
        await asyncio.sleep(0.005)


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        upstream.put({"f": flag("f", "streamed")})
        yield upstream


@pytest.fixture
async def full() -> AsyncInMemoryFeatureStore:
    store = AsyncInMemoryFeatureStore()
    await store.init(environment(f="held"))
    return store


def to(upstream: FakeUpstream, **settings: Any) -> AsyncConfig:
    uri = upstream.uri
    given = {"flush_interval": 3600, "diagnostic_opt_out": True} | settings
    return AsyncConfig("sdk-key", base_uri=uri, events_uri=uri, stream_uri=uri, **given)


# --- life --------------------------------------------------------------------------------------


async def test_making_a_client_starts_nothing_and_start_does(upstream: FakeUpstream) -> None:
    before = asyncio.all_tasks()
    client = AsyncLDClient(to(upstream))
    await asyncio.sleep(0.05)
    assert not upstream.requests
    assert asyncio.all_tasks() == before
    assert not await client.is_initialized()
    await client.start()
    await client.start()  # does nothing
    assert await client.is_initialized()
    assert await client.variation("f", USER, 0) == "streamed"
    await client.close()
    await client.close()
    assert len(upstream.requests_to("/all")) == 1
    assert await client.variation("f", USER, 0) == "streamed"


def test_a_client_that_lost_its_event_loop_begins_anew_in_the_next() -> None:
    client = AsyncLDClient(quiet(update_processor_class=Source))

    async def use(value: str) -> None:
        await client.start()

        async def is_there() -> bool:
            return bool(await client.variation("f", USER, 0) == value)

        await until(is_there)
        await Source.made[-1].store.upsert(FEATURES, flag("f", f"{value} more", 99))

    asyncio.run(use("sourced"))
    made = len(Source.made)

    async def use_again() -> None:
        assert await client.variation("f", USER, 0) == "sourced more"

        async def is_made() -> bool:
            return len(Source.made) > made

        await until(is_made)
        await client.close()

    asyncio.run(use_again())


def test_a_client_may_be_made_where_no_event_loop_runs() -> None:
    client = AsyncLDClient(AsyncConfig("k", offline=True))

    async def use() -> None:
        async with client:
            assert (await client.variation_detail("f", USER, 7)).reason == NOT_READY

    asyncio.run(use())


async def test_tasks_and_threads_end_with_their_client(upstream: FakeUpstream) -> None:
    before = asyncio.all_tasks()
    async with AsyncLDClient(to(upstream)) as client:
        await client.variation("f", USER, 0)
        client.track("bought", USER)
        names = [one.name for one in threading.enumerate()]
        assert not [name for name in names if name.startswith(("flagkeep-feed", "flagkeep-work"))]
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_a_start_that_fails_closes_the_client() -> None:
    def fail(*_: Any) -> Any:
        raise OSError("no source")

    before = asyncio.all_tasks()
    client = AsyncLDClient(quiet(update_processor_class=fail))
    with pytest.raises(OSError, match="no source"):
        await client.start()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    assert client._assembly.client._report is not None


async def test_a_start_that_is_cancelled_closes_the_client(upstream: FakeUpstream) -> None:
    upstream.hold_streams()
    client = AsyncLDClient(to(upstream))
    starting = asyncio.ensure_future(client.start(60))
    await asyncio.sleep(0.1)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert client._assembly.client._report is not None


@pytest.mark.parametrize("config", ["sdk-key", None, Config("k", offline=True)])
def test_a_client_takes_an_async_config(config: Any) -> None:
    with pytest.raises(ConfigError, match="AsyncLDClient takes an AsyncConfig, such as"):
        AsyncLDClient(config)


async def test_start_wait_is_a_number(caplog: pytest.LogCaptureFixture) -> None:
    client = AsyncLDClient(AsyncConfig("k", offline=True))
    with pytest.raises(ConfigError, match="start_wait must be a number of seconds, not None"):
        await client.start(None)  # type: ignore[arg-type]  # the test
    await client.start(61)
    assert "the program may wait that long" in caplog.text
    await client.close()


async def test_a_missing_key_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async with AsyncLDClient(AsyncConfig("")) as client:
        assert not await client.is_initialized()
        assert client.get_sdk_key() == ""
    (warning,) = [one for one in caplog.records if one.name == "ldclient.util"]
    assert warning.getMessage().startswith("Missing or blank SDK key: LaunchDarkly is not asked")


async def test_an_offline_client_answers_defaults() -> None:
    async with AsyncLDClient(AsyncConfig("k", offline=True, defaults={"g": "mine"})) as client:
        assert (client.is_offline(), await client.is_initialized()) == (True, True)
        assert (await client.variation_detail("f", USER, 7)).reason == NOT_READY
        assert await client.variation("g", USER, 7) == "mine"
        assert not (await client.all_flags_state(USER)).valid
        assert client.data_source_status_provider.status.state is DataSourceState.VALID


# --- evaluation, events ------------------------------------------------------------------------


async def test_evaluations_say_what_the_other_client_says(upstream: FakeUpstream) -> None:
    user: Any = {"key": "legacy"}
    async with AsyncLDClient(to(upstream, send_events=False)) as client:
        detail = await client.variation_detail("f", USER, 0)
        assert isinstance(detail, EvaluationDetail)
        assert (detail.value, detail.variation_index) == ("streamed", 0)
        state = await client.all_flags_state(USER, with_reasons=True, unknown=3)
        assert state.get_flag_value("f") == "streamed"
        assert state.get_flag_reason("f") == {"kind": "FALLTHROUGH"}
        with pytest.warns(DeprecationWarning, match="a dict as context") as warned:
            assert await client.variation("f", user, 0) == "streamed"
        assert warned[0].filename == __file__
        assert len(client.secure_mode_hash(USER)) == 64


async def test_events_are_delivered(upstream: FakeUpstream) -> None:
    async with AsyncLDClient(to(upstream)) as client:
        await client.variation("f", USER, 0)
        client.track("bought", USER, {"x": 1}, 2.5)
        client.identify(Context.create("other"))
        client.track("nobody", Context.create(""))
        assert await client.flush_and_wait(PATIENCE)
        assert sorted(event["kind"] for event in upstream.events()) == [
            "custom",
            "identify",
            "index",
            "summary",
        ]
        client.track("second", USER)
        await client.flush()
        await until(lambda: asyncio.to_thread(lambda: len(upstream.events("custom")) == 2))
        client.track("last", USER)
    assert [event["key"] for event in upstream.events("custom")] == ["bought", "second", "last"]
    assert upstream.requests_to("/all")[0].headers["user-agent"].startswith("PythonAsyncClient/")


async def test_what_is_lost_is_said_once(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.always("/bulk", Scripted(413))
    async with AsyncLDClient(to(upstream)) as client:
        client.track("bought", USER)
        await client.close()
    (line,) = [one.getMessage() for one in caplog.records if one.name == "ldclient.util"]
    assert line.startswith("the client is closed, and events are lost (")


async def test_an_event_processor_of_the_application(upstream: FakeUpstream) -> None:
    class Processor(AsyncEventProcessor):
        made: list["Processor"] = []  # noqa: RUF012  the test's

        def __init__(self, config: AsyncConfig) -> None:
            self.config = config
            self.events: list[Any] = []
            self.calls: list[str] = []
            self.made.append(self)

        def send_event(self, event: Any) -> None:
            self.events.append(event)

        def flush(self) -> None:
            self.calls.append("flush")

        async def flush_and_wait(self, timeout: float) -> bool:
            self.calls.append(f"flush {timeout}")
            return timeout > 1

        async def stop(self) -> None:
            self.calls.append("stop")

    async with AsyncLDClient(to(upstream, event_processor_class=Processor)) as client:
        await client.variation("f", USER, 0)
        client.identify(USER)
        await client.flush()
        assert not await client.flush_and_wait(1)
        assert await client.flush_and_wait(2)
    (processor,) = Processor.made
    assert [event.key for event in processor.events[:1]] == ["f"]
    assert processor.events[1].context is USER
    assert processor.calls == ["flush", "flush 1", "flush 2", "stop"]
    assert not upstream.requests_to("/bulk")


async def test_an_event_processor_that_fails_is_logged(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(AsyncEventProcessor):
        def __init__(self, config: AsyncConfig) -> None:
            self.config = config

        def send_event(self, event: Any) -> None:
            raise OSError(event)

        def flush(self) -> None:
            raise OSError

        async def flush_and_wait(self, timeout: float) -> bool:
            raise OSError(timeout)

        async def stop(self) -> None:
            raise OSError

    async with AsyncLDClient(to(upstream, event_processor_class=Failing)) as client:
        assert await client.variation("f", USER, 0) == "streamed"
        await client.flush()
        assert not await client.flush_and_wait(1)
    for problem in ("did not take", "could not flush", "could not be stopped"):
        assert f"the event processor {problem}" in caplog.text


@pytest.mark.parametrize("stage", Stage)
async def test_migrations(upstream: FakeUpstream, stage: Stage) -> None:
    async def give(payload: Any) -> Result:
        await asyncio.sleep(0)
        return Result.success(payload)

    async def fail(_payload: Any) -> Result:
        raise OSError("full")

    upstream.put({"m": flag("m", stage.value)})
    async with AsyncLDClient(to(upstream)) as client:
        found, tracker = await client.migration_variation("m", USER, Stage.OFF)
        assert found is stage
        builder = AsyncMigratorBuilder(client)
        assert "call read" in str(builder.build())
        made = builder.read(give, give, lambda a, b: bool(a == b)).write(fail, give).build()
        assert isinstance(made, AsyncMigrator)
        read = await made.read("m", USER, Stage.OFF, "payload")
        written = await made.write("m", USER, Stage.OFF, "payload")
        client.track_migration_op(tracker)  # incomplete: no event
    old_first = stage in {Stage.OFF, Stage.DUALWRITE, Stage.SHADOW}
    assert read.value == "payload"
    assert read.origin is (Origin.OLD if old_first else Origin.NEW)
    assert written.authoritative.is_success() is not old_first
    assert [event["operation"] for event in upstream.events("migration_op")] == ["read", "write"]


# --- hooks and plugins -------------------------------------------------------------------------


class Awaited(AsyncHook):
    """A hook of the older kind."""

    def __init__(self, notes: list[Any]) -> None:
        self.notes = notes

    @property
    def metadata(self) -> Metadata:
        return Metadata("awaited")

    async def before_evaluation(self, series_context: EvaluationSeriesContext, data: Data) -> Data:
        await asyncio.sleep(0)
        self.notes.append(("awaited before", data))
        return await super().before_evaluation(series_context, {"from": "awaited"})

    async def after_evaluation(
        self, series_context: EvaluationSeriesContext, data: Data, detail: EvaluationDetail
    ) -> Data:
        self.notes.append(("awaited after", data))
        return await super().after_evaluation(series_context, data, detail)


class Plugged(AsyncPlugin):
    """Brings hooks, and gets to know a client."""

    def __init__(self, hooks: list[AsyncHook | Hook]) -> None:
        self.hooks = hooks
        self.told: list[Any] = []

    @property
    def metadata(self) -> PluginMetadata:
        return PluginMetadata("plugged")

    async def register(self, client: AsyncLDClient, metadata: EnvironmentMetadata) -> None:
        await asyncio.sleep(0)
        self.told += [client, metadata.sdk.name, await client.is_initialized()]

    def get_hooks(self, metadata: EnvironmentMetadata) -> list[AsyncHook | Hook]:
        return [*super().get_hooks(metadata), *self.hooks]


async def test_hooks_of_both_kinds_run(upstream: FakeUpstream) -> None:
    notes: list[Any] = []
    plugin = Plugged([Recorder("plain", notes)])
    config = to(upstream, send_events=False, hooks=[Awaited(notes), 3], plugins=[plugin, 3])
    async with AsyncLDClient(config) as client:
        assert await client.variation("f", USER, 0) == "streamed"
        client.add_hook(Recorder("added", notes))
        client.add_hook(3)  # type: ignore[arg-type]  # ignored
        assert notes == [
            ("awaited before", {}),
            ("plain before", {}),
            ("plain after", {"from": "plain"}),
            ("awaited after", {"from": "awaited"}),
        ]
        await client.variation("f", USER, 0)
        assert len(notes) == 10
    assert plugin.told == [client, "python-server-sdk-async", False]


async def test_fix_hooks_are_told_the_environment(upstream: FakeUpstream) -> None:
    """FIX (python-api.md 12): official has no `environment_id` here."""
    upstream.headers = {"X-LD-EnvID": "env-1"}
    hook = Recorder("h", [])
    async with AsyncLDClient(to(upstream, send_events=False, hooks=[hook])) as client:
        await client.variation("f", USER, 0)
    assert hook.series[0].environment_id == "env-1"


async def test_a_plugin_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Plugged):
        async def register(self, client: AsyncLDClient, metadata: EnvironmentMetadata) -> None:
            raise OSError((client, metadata))

        def get_hooks(self, metadata: EnvironmentMetadata) -> list[AsyncHook | Hook]:
            raise OSError(metadata)

    async with AsyncLDClient(AsyncConfig("k", offline=True, plugins=[Broken([])])):
        pass
    assert "get_hooks of plugin 'plugged' failed" in caplog.text
    assert "register of plugin 'plugged' failed" in caplog.text


# --- where the data comes from -----------------------------------------------------------------


async def test_test_data_and_files(tmp_path: Path) -> None:
    data = TestData.data_source()
    data.update(data.flag("f").value_for_all(1))
    async with AsyncLDClient(quiet(update_processor_class=data)) as client:
        assert await client.variation("f", USER, 0) == 1
        data.update(data.flag("f").value_for_all(2))
        await data.applied()
        assert await client.variation("f", USER, 0) == 2
    path = tmp_path / "flags.json"
    path.write_text('{"flagValues": {"f": "filed"}}', encoding="utf-8")
    files = Files.new_data_source(paths=[str(path)])
    async with AsyncLDClient(quiet(update_processor_class=files)) as client:
        assert await client.variation("f", USER, 0) == "filed"


async def test_the_store_in_memory_shows_what_is_streamed_and_takes_more(
    upstream: FakeUpstream,
) -> None:
    config = to(upstream, send_events=False)
    store = config.feature_store
    only_reading = quiet(use_ldd=True, feature_store=store)
    async with AsyncLDClient(config) as client, AsyncLDClient(only_reading) as other:
        item = await store.get(FEATURES, "f")
        assert item["variations"] == ["streamed"]
        assert await store.upsert(FEATURES, flag("g", "written"))
        assert not await store.upsert(FEATURES, flag("g", "older", 0))
        assert await client.variation("g", USER, 0) == "written"
        assert await other.variation("g", USER, 0) == "written"
        assert await store.delete(FEATURES, "g", 2)
        assert await client.variation("g", USER, 0) == 0


async def test_what_is_in_the_store_in_daemon_mode_and_without_a_key(
    full: AsyncInMemoryFeatureStore,
) -> None:
    for config in (quiet(use_ldd=True, feature_store=full), keyless(feature_store=full)):
        async with AsyncLDClient(config) as client:
            assert await client.is_initialized()
            assert await client.variation("f", USER, 0) == "held"
            await full.upsert(FEATURES, flag("g", 1, 1))
            assert await client.variation("g", USER, 0) == 1
            assert client.data_store_status_provider.status == DataStoreStatus(True, False)
    assert full._followers == ()


async def test_a_store_in_memory_is_one() -> None:
    store = AsyncInMemoryFeatureStore()
    assert not store.initialized
    assert not await store.is_initialized()
    await store.init(environment(f=1))
    assert await store.is_initialized()
    assert set(await store.all(FEATURES)) == {"f"}
    with pytest.raises(ValueError, match="version"):
        await store.upsert(FEATURES, {"key": "bad", "version": "x"})
    assert (store.is_available(), store.is_monitoring_enabled()) == (True, False)
    assert store.describe_configuration(None) == "memory"
    await store.close()


class Store(AsyncFeatureStore):
    """A store as an application might write it."""

    def __init__(self) -> None:
        self.inner = DictStore()

    async def get(self, kind: VersionedDataKind, key: str) -> Any:
        return self.inner.get(kind, key)

    async def all(self, kind: VersionedDataKind) -> dict[str, Any]:
        found: dict[str, Any] = self.inner.all(kind)
        return found

    async def init(self, all_data: Any) -> None:
        self.inner.init(all_data)

    async def upsert(self, kind: VersionedDataKind, item: Any) -> bool:
        self.inner.upsert(kind, item)
        return True

    async def delete(self, kind: VersionedDataKind, key: str, version: int) -> bool:
        self.inner.delete(kind, key, version)
        return True

    @property
    def initialized(self) -> bool:
        return self.inner.has_data

    async def is_initialized(self) -> bool:
        return self.inner.has_data


async def test_a_store_of_the_application_is_read_and_serves_when_it_fails() -> None:
    store = Store()
    async with AsyncLDClient(quiet(use_ldd=True, feature_store=store)) as client:
        assert await client.variation("f", USER, 0) == 0
        await store.init(environment(f=1))
        assert await client.variation("f", USER, 0) == 1
        assert (await client.all_flags_state(USER)).to_values_map() == {"f": 1}
        await store.upsert(FEATURES, flag("f", 2, 2))
        assert await client.variation("f", USER, 0) == 2
        heard: list[DataStoreStatus] = []
        provider = client.data_store_status_provider
        provider.add_listener(heard.append)
        assert not provider.is_monitoring_enabled()
        store.inner.broken = OSError("no database")
        assert await client.variation("f", USER, 0) == 2
        assert await client.is_initialized()
        assert not provider.status.available
        store.inner.broken = None

        async def is_up() -> bool:
            return provider.status.available

        await until(is_up)
        provider.remove_listener(heard.append)
    assert heard[0] == DataStoreStatus(False, False)


async def test_a_store_of_the_application_is_filled_from_the_stream(
    upstream: FakeUpstream,
) -> None:
    store = Store()
    async with AsyncLDClient(to(upstream, feature_store=store, send_events=False)) as client:
        upstream.patch("flags", flag("g", 1))
        upstream.delete("flags", "f", 9)

        async def is_gone() -> bool:
            return bool(await client.variation("f", USER, 0) == 0)

        await until(is_gone)

        async def is_written() -> bool:
            return any(call.startswith("delete f 9") for call in store.inner.calls)

        await until(is_written)
    assert store.inner.data[FEATURES]["g"]["variations"] == [1]
    assert store.inner.data[SEGMENTS] == {}


async def test_a_wrapper_around_a_store_of_flagkeep_lends_it() -> None:
    native = AsyncMemoryStore()
    wrapper = AsyncCachingStoreWrapper(native, CacheConfig(7))
    await wrapper.init(environment(f=1))
    async with AsyncLDClient(quiet(use_ldd=True, feature_store=wrapper)) as client:
        assert await client.variation("f", USER, 0) == 1
        assert client._assembly.client._config.cache.seconds == 7
    mine = AsyncCachingStoreWrapper(Database(), CacheConfig.disabled())
    await mine.init(environment(f=2))
    async with AsyncLDClient(quiet(use_ldd=True, feature_store=mine)) as client:
        assert await client.variation("f", USER, 0) == 2


async def test_a_store_of_flagkeep_serves_one_client() -> None:
    native = AsyncMemoryStore()
    config = quiet(use_ldd=True, feature_store=native)
    async with AsyncLDClient(config):
        with pytest.raises(ConfigError, match="serves one AsyncLDClient only"):
            AsyncLDClient(config)


@pytest.mark.parametrize("store", [InMemoryFeatureStore(), MemoryStore(), DictStore(), 3])
def test_a_store_that_cannot_be_awaited_is_refused(store: Any) -> None:
    with pytest.raises(ConfigError, match="feature_store must be an AsyncFeatureStore or a store"):
        AsyncConfig("k", feature_store=store)


def test_the_second_data_system_is_refused_by_name() -> None:
    with pytest.raises(NotBuiltYet, match=r"AsyncConfig\(datasystem_config=…\)"):
        AsyncConfig("k", datasystem_config=AsyncDataSystemConfig())


def test_settings_are_those_of_the_other_configuration() -> None:
    config = AsyncConfig("k", "http://a/", "http://b/", application={"id": "shop"}, hooks=[3])  # type: ignore[list-item]  # the test
    assert (config.base_uri, config.events_uri) == ("http://a", "http://b/bulk")
    assert (config.application, config.hooks) == ({"id": "shop", "version": ""}, [])
    assert isinstance(config.feature_store, AsyncInMemoryFeatureStore)
    assert isinstance(config.big_segments, AsyncBigSegmentsConfig)
    assert not hasattr(config, "copy_with_new_sdk_key")
    with pytest.raises(AttributeError, match="make a new AsyncConfig"):
        config.offline = True


# --- sources of the application ----------------------------------------------------------------


class Source(AsyncUpdateProcessor):
    """A custom source under the control of a test."""

    made: list["Source"] = []  # noqa: RUF012  the test's

    def __init__(self, config: Any, store: Any, ready: Any) -> None:
        self.config, self.store, self.ready = config, store, ready
        self.events: list[str] = []
        self.has_data = False
        self.task: asyncio.Task[None] | None = None
        Source.made.append(self)

    def start(self) -> None:
        self.events.append("start")
        self.task = asyncio.ensure_future(self.deliver())

    async def deliver(self) -> None:
        await self.store.init(environment(f="sourced"))
        self.has_data = True
        self.ready.set()

    async def stop(self) -> None:
        self.events.append("stop")

    def initialized(self) -> bool:
        return self.has_data


class SinkSource(Source):
    """Uses the sink of the configuration."""

    async def deliver(self) -> None:
        sink = self.config.data_source_update_sink
        await sink.init(environment(f="sunk"))
        sink.update_status(DataSourceState.VALID, None)
        self.has_data = True
        self.ready.set()


class LateSource(Source):
    """Has data, and says so when it is asked."""

    async def deliver(self) -> None:
        await self.store.upsert(FEATURES, flag("f", "late"))
        assert not self.ready.is_set()
        self.has_data = True


@pytest.mark.parametrize(
    ("kind", "value"), [(Source, "sourced"), (SinkSource, "sunk"), (LateSource, "late")]
)
async def test_a_source_of_the_application(kind: type[Source], value: str) -> None:
    config = quiet(update_processor_class=kind)
    client = AsyncLDClient(config)
    await client.start(0.3)
    async with client:
        source = Source.made[-1]
        assert await client.is_initialized()
        assert await client.variation("f", USER, 0) == value
        await source.store.upsert(FEATURES, flag("f", "second", 2))
        assert await client.variation("f", USER, 0) == "second"
    assert source.events == ["start", "stop"]
    assert config.data_source_update_sink is None


async def test_a_source_of_the_application_says_how_it_is_doing() -> None:
    async with AsyncLDClient(quiet(update_processor_class=SinkSource)) as client:
        sink = Source.made[-1].config.data_source_update_sink
        provider = client.data_source_status_provider
        error = DataSourceErrorInfo(DataSourceErrorKind.NETWORK_ERROR, 0, 1.0, "no net")
        sink.update_status(DataSourceState.INTERRUPTED, error)

        async def is_interrupted() -> bool:
            return provider.status.state is DataSourceState.INTERRUPTED

        await until(is_interrupted)
        with pytest.raises(ValueError, match="version"):
            await sink.upsert(FEATURES, {"key": "f", "version": "x"})
        with pytest.raises(ValueError, match="no items of a kind"):
            await sink.init({VersionedDataKind("x", "/x", "/x"): {}})
        found = provider.status.error
        assert found is not None
        assert found.kind is DataSourceErrorKind.INVALID_DATA
        await sink.delete(FEATURES, "f", 9)
        assert await client.variation("f", USER, 0) == 0


async def test_a_source_that_cannot_be_used_is_refused() -> None:
    client = AsyncLDClient(quiet(update_processor_class=lambda *_: None))
    with pytest.raises(ConfigError, match="returned None, not an AsyncUpdateProcessor"):
        await client.start()


async def test_a_requester_of_the_application(caplog: pytest.LogCaptureFixture) -> None:
    closed: list[bool] = []

    class Requester(AsyncFeatureRequester):
        def __init__(self, config: AsyncConfig) -> None:
            self.config = config

        async def get_all_data(self) -> Any:
            return environment(f="asked for")

        async def close(self) -> None:
            closed.append(True)
            raise OSError("cannot close")

    class Failing(Requester):
        async def get_all_data(self) -> Any:
            raise OSError("no service")

    config = quiet(stream=False, feature_requester_class=Requester)
    with caplog.at_level(logging.ERROR):
        async with AsyncLDClient(config) as client:
            assert await client.variation("f", USER, 0) == "asked for"
    assert closed == [True]
    assert "the feature requester could not be closed" in caplog.text
    failing = AsyncLDClient(quiet(stream=False, feature_requester_class=Failing))
    await failing.start(0.1)
    error = failing.data_source_status_provider.status.error
    assert error is not None
    assert "no service" in str(error.message)
    await failing.close()


# --- listeners, Big Segments -------------------------------------------------------------------


async def test_listeners_may_be_coroutine_functions(upstream: FakeUpstream) -> None:
    heard: list[Any] = []
    done = asyncio.Event()

    async def hear(change: FlagChange) -> None:
        await asyncio.sleep(0)
        heard.append(change.key)
        done.set()

    values: list[Any] = []
    async with AsyncLDClient(to(upstream, send_events=False)) as client:
        tracker = client.flag_tracker
        tracker.add_listener(hear)
        handle = await tracker.add_flag_value_change_listener(
            "f", USER, lambda change: values.append((change.old_value, change.new_value))
        )
        states: list[Any] = []
        client.data_source_status_provider.add_listener(states.append)
        upstream.patch("flags", flag("f", "next", 2))
        await asyncio.wait_for(done.wait(), PATIENCE)

        async def is_told() -> bool:
            return bool(values)

        await until(is_told)
        tracker.remove_listener(handle)
        tracker.remove_listener(hear)
        client.data_source_status_provider.remove_listener(states.append)
    assert heard == ["f"]
    assert values == [("streamed", "next")]


class Memberships(AsyncBigSegmentStore):
    """Everybody is in."""

    def __init__(self) -> None:
        self.stopped = 0

    async def get_metadata(self) -> BigSegmentStoreMetadata:
        return BigSegmentStoreMetadata(int(time.time() * 1000))

    async def get_membership(self, context_hash: str) -> dict[str, bool] | None:
        del context_hash
        return {"big.g2": True}

    async def stop(self) -> None:
        self.stopped += 1


async def test_big_segments(upstream: FakeUpstream) -> None:
    store = Memberships()
    upstream.put({"f": flag("f", 0) | IN_SEGMENT}, {"big": BIG})
    settings = AsyncBigSegmentsConfig(store)
    async with AsyncLDClient(to(upstream, send_events=False, big_segments=settings)) as client:
        detail = await client.variation_detail("f", USER, None)
        assert (detail.value, detail.reason["bigSegmentsStatus"]) == ("in", "HEALTHY")
        provider = client.big_segment_store_status_provider
        assert await provider.get_status() == BigSegmentStoreStatus(True, False)
        provider.add_listener(print)
        provider.remove_listener(print)
    assert store.stopped == 1
    async with AsyncLDClient(AsyncConfig("k", offline=True)) as client:
        provider = client.big_segment_store_status_provider
        assert await provider.get_status() == BigSegmentStoreStatus(False, False)
