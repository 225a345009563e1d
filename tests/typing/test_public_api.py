"""The public API as programs with a strict type checker use it.

What mypy says of this file counts as much as that it runs.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, assert_type

import pytest

from flagkeep import (
    Application,
    AsyncClient,
    AsyncMigrator,
    BigSegmentSettings,
    BigSegmentsStatus,
    BigSegmentStoreStatus,
    CachePolicy,
    Client,
    ClientStatus,
    CloseReport,
    Config,
    Context,
    ContextBuilder,
    ContextMultiBuilder,
    Detail,
    ErrorKind,
    EvaluationSeries,
    EventSettings,
    ExecutionOrder,
    FileSource,
    FlagChange,
    FlagsState,
    FlagValueChange,
    Hook,
    HttpSettings,
    MigrationConfig,
    MigrationTracker,
    Migrator,
    Operation,
    OperationResult,
    Origin,
    Plugin,
    Polling,
    Reason,
    ReasonKind,
    Result,
    SourceStatus,
    Stage,
    StorePolicy,
    StoreStatus,
    Streaming,
    TrackSeries,
    Wrapper,
    WriteResult,
)
from flagkeep.hooks import EnvironmentMetadata, HookMetadata, PluginMetadata
from flagkeep.storage.big_segments import BigSegmentMetadata, hash_of
from flagkeep.stores import AsyncMemoryStore, MemoryStore
from flagkeep.testing import (
    AsyncFakeUpstream,
    BigSegmentData,
    FakeUpstream,
    Request,
    Scripted,
    TestData,
    UpstreamTimeout,
)

ANN: Context = Context.builder("ann").set("plan", "gold").private("email").build()


class Timing(Hook):
    """A hook with every stage, in plain functions."""

    @property
    def metadata(self) -> HookMetadata:
        return HookMetadata("timing")

    def before_evaluation(
        self, series: EvaluationSeries, data: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        return {**data, "key": series.key}

    def after_evaluation(
        self, series: EvaluationSeries, data: Mapping[str, Any], detail: Detail[Any]
    ) -> Mapping[str, Any]:
        assert data["key"] == series.key
        assert_type(detail.reason, Reason)
        return data

    def after_track(self, series: TrackSeries) -> None:
        assert_type(series.metric_value, float | None)


class AsyncTiming(Hook):
    """A hook with stages that are coroutine functions."""

    async def before_evaluation(
        self, series: EvaluationSeries, data: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        return {**data, "key": series.key}

    async def after_track(self, series: TrackSeries) -> None:
        assert_type(series.environment_id, str | None)


class Watch(Plugin):
    """A plugin that brings a hook and listens."""

    @property
    def metadata(self) -> PluginMetadata:
        return PluginMetadata("watch")

    def get_hooks(self, environment: EnvironmentMetadata) -> list[Hook]:
        assert_type(environment.sdk.name, str)
        return [Timing()]

    def register(self, client: Client | AsyncClient, environment: EnvironmentMetadata) -> None:
        assert_type(environment.sdk_key, str)
        client.on_change(None, changed)


class AsyncWatch(Plugin):
    """A plugin whose `register` is a coroutine function."""

    async def register(self, client: AsyncClient, environment: EnvironmentMetadata) -> None:
        assert_type(await client.variation("f", ANN, environment.sdk.name), Any)


class Table:
    """A Big Segment store of one's own."""

    name = "table"

    def get_metadata(self) -> BigSegmentMetadata:
        return BigSegmentMetadata(last_up_to_date_ms=1)

    def get_membership(self, context_hash: str) -> Mapping[str, bool] | None:
        return {"segment.g1": True} if context_hash == hash_of("ann") else None

    def close(self) -> None:
        pass


def changed(change: FlagChange) -> None:
    assert_type(change.key, str)


async def changed_later(change: FlagChange) -> None:
    assert_type(change.key, str)


def value_changed(change: FlagValueChange) -> None:
    assert_type(change.key, str)


def served(payload: Any) -> Result:
    return Result.success(payload)


async def served_later(payload: Any) -> Result:
    return Result.success(payload)


def alike(one: Any, other: Any) -> bool:
    return bool(one == other)


def settings(uri: str, hooks: list[Hook], plugins: list[Plugin]) -> Config:
    return Config(
        sdk_key="sdk-key",
        source=Streaming(base_uri=uri),
        events=EventSettings(base_uri=uri, private_attributes=["email"], diagnostics=False),
        http=HttpSettings(connect_timeout=3),
        big_segments=BigSegmentSettings(stale_after=60),
        cache=CachePolicy.off(),
        store_policy=StorePolicy(max_age=3600),
        application=Application(id="shop"),
        wrapper=Wrapper(name="our-flags"),
        defaults={"g": 1},
        payload_filter="mobile",
        hooks=hooks,
        plugins=plugins,
    )


def test_settings_take_what_one_writes(tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    assert Config(source=FileSource(file, "others.json")).source is not None
    assert Config(sdk_key="sdk-key", source=Polling(interval=60)).source == Polling(interval=60.0)
    assert list(EventSettings(private_attributes={"a"}).private_attributes) == ["a"]
    file.write_text("")
    assert HttpSettings(ca_file=file).ca_file == str(file)


def test_contexts_have_builders() -> None:
    builder: ContextBuilder = Context.builder("acme").kind("org")
    multi: ContextMultiBuilder = Context.multi_builder().add(ANN).add(builder.build())
    assert multi.build() == Context.create_multi(ANN, Context.create("acme", "org"))


def test_a_client_for_threads() -> None:
    data = TestData().update(TestData().flag("f"))
    with FakeUpstream(data) as upstream:
        client = Client(
            settings(upstream.uri, [Timing()], [Watch()]),
            store=MemoryStore(),
            big_segment_store=Table(),
        )
        assert_type(client.wait_until_ready(5), bool)
        evaluate(client)
        report(client)
        migrate(client)
        ended: CloseReport = client.close(timeout=5)
        assert_type(ended.events_lost, dict[str, int])
        assert ended == CloseReport(complete=True)


def evaluate(client: Client) -> None:
    assert_type(client.bool_variation("f", ANN, False), bool)
    assert_type(client.bool_variation_detail("f", ANN, False), Detail[bool])
    assert_type(client.int_variation("f", ANN, 1), int)
    assert_type(client.float_variation("f", ANN, 1.0), float)
    assert_type(client.str_variation("f", ANN, "a"), str)
    assert_type(client.json_variation("f", ANN, {}), Any)
    assert_type(client.variation("f", ANN, None), Any)
    detail = client.variation_detail("f", ANN, None)
    assert_type(detail, Detail[Any])
    assert_type(detail.data_age, float | None)
    assert_type(detail.reason.kind, ReasonKind)
    assert_type(detail.reason.error_kind, ErrorKind | None)
    assert_type(detail.reason.big_segments_status, BigSegmentsStatus | None)
    assert_type(client.all_flags(ANN, client_side_only=True), FlagsState)
    client.add_hook(Timing())


def report(client: Client) -> None:
    client.track("bought", ANN, {"items": 3}, metric_value=59.9)
    client.identify(ANN)
    assert_type(client.flush(timeout=3), bool)
    client.flush_soon()
    assert_type(client.status, ClientStatus)
    assert_type(client.status.source, SourceStatus | None)
    assert_type(client.status.store, StoreStatus | None)
    client.on_change("f", changed)()
    client.on_value_change("f", ANN, value_changed)()
    client.on_source_status(print)()
    client.on_store_status(print)()
    client.on_big_segment_status(print)()
    assert_type(client.big_segment_status(), BigSegmentStoreStatus)
    assert_type(client.environment_id, str | None)
    assert_type(client.instance_id, str)
    assert_type(client.secure_mode_hash(ANN), str)


def migrate(client: Client) -> None:
    stage, tracker = client.migration("m", ANN, Stage.OFF)
    assert_type(stage, Stage)
    assert_type(tracker, MigrationTracker)
    tracker.operation(Operation.READ).invoked(Origin.OLD).latency(Origin.OLD, timedelta(1))
    client.track_migration(tracker.error(Origin.OLD).consistent(lambda: True))
    sides = MigrationConfig(served, served, comparison=alike)
    migrator = Migrator(client, read=sides, write=sides, read_execution_order=ExecutionOrder.SERIAL)
    answer: OperationResult = migrator.read("m", ANN, Stage.OFF, payload=1)
    assert_type(answer.origin, Origin)
    written: WriteResult = migrator.write("m", ANN, Stage.OFF, payload=1)
    assert_type(written.nonauthoritative, OperationResult | None)


@pytest.mark.anyio
async def test_a_client_for_asyncio() -> None:
    async with AsyncFakeUpstream(TestData()) as upstream:
        client = AsyncClient(
            settings(upstream.uri, [AsyncTiming()], [AsyncWatch()]),
            store=AsyncMemoryStore(),
            big_segment_store=BigSegmentData().async_store(),
        )
        request: Request = await upstream.wait_for_request("/all")
        assert request.query == {"filter": "mobile"}
        assert_type(await client.wait_until_ready(5), bool)
        assert_type(await client.bool_variation("f", ANN, False), bool)
        assert_type(await client.int_variation_detail("f", ANN, 1), Detail[int])
        assert_type(await client.all_flags(ANN), FlagsState)
        assert_type(await client.migration("m", ANN, Stage.OFF), tuple[Stage, MigrationTracker])
        assert_type(await client.big_segment_status(), BigSegmentStoreStatus)
        client.on_change(None, changed_later)()
        client.track("bought", ANN)
        assert_type(await client.flush(), bool)
        sides = MigrationConfig(served_later, served)
        migrator = AsyncMigrator(client, read=sides, write=sides)
        assert_type(await migrator.read("m", ANN, Stage.OFF, payload=1), OperationResult)
        ended = await client.aclose()
        assert_type(ended, CloseReport)  # one class for both clients
        assert isinstance(ended, CloseReport)


def test_a_fake_upstream_is_told_what_to_answer() -> None:
    with FakeUpstream(TestData(), sdk_key="other") as upstream:
        upstream.respond("/all", Scripted(503))
        with pytest.raises(UpstreamTimeout):
            upstream.wait_for_request("/all", timeout=0.01)
