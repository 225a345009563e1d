"""The asyncio client, streaming from the address given and without it."""

# mypy: ignore-errors
# The names are those of the official SDK, which the environment of the type checker does not have.

import asyncio
import sys
from typing import Any

from ldclient import AsyncMigratorBuilder, Context, Result, Stage
from ldclient.async_client import AsyncConfig, AsyncLDClient
from ldclient.async_config import AsyncBigSegmentsConfig
from ldclient.async_feature_store import AsyncInMemoryFeatureStore
from ldclient.hook import AsyncHook, Metadata
from ldclient.interfaces import AsyncUpdateProcessor
from ldclient.plugin import AsyncPlugin, PluginMetadata
from ldclient.versioned_data_kind import FEATURES, SEGMENTS
from recording import detail, finish, record

uri = sys.argv[1]
user = Context.create("u")
notes: list[Any] = []


def flag(key: str, value: Any, version: int = 1) -> dict[str, Any]:
    plain = {"key": key, "version": version, "on": True, "variations": [value, "other"]}
    return {**plain, "fallthrough": {"variation": 0}, "salt": ""}


def noted() -> list[Any]:
    """Return what was noted since the last call."""
    seen = list(notes)
    notes.clear()
    return seen


async def see(name: str, awaitable: Any) -> None:
    """Record what something gives that must be awaited."""
    try:
        found = await awaitable
    except Exception:  # noqa: BLE001  any of them is an observation
        record(name, lambda: "raised")
    else:
        record(name, lambda: found)


async def answers(client: AsyncLDClient) -> Any:
    state = await client.all_flags_state(user)
    return [
        detail(await client.variation_detail("plain", user, 7)),
        detail(await client.variation_detail("unknown", user, 7)),
        await client.variation("plain", user, 7),
        state.to_values_map(),
        await client.is_initialized(),
        client.data_source_status_provider.status.state.value,
    ]


class Noting(AsyncHook):
    """Notes each stage."""

    @property
    def metadata(self) -> Metadata:
        return Metadata("noting")

    async def before_evaluation(self, series_context: Any, data: dict) -> dict:
        notes.append(["before", series_context.key, series_context.method, data])
        return {"x": 1}

    async def after_evaluation(self, series_context: Any, data: dict, detail_: Any) -> dict:
        notes.append(["after", series_context.key, data, detail(detail_)])
        return data


class Plugged(AsyncPlugin):
    """Notes what it is told."""

    @property
    def metadata(self) -> PluginMetadata:
        return PluginMetadata("plugged")

    async def register(self, client: Any, metadata: Any) -> None:
        notes.append([metadata.sdk.name, metadata.sdk_key, client.is_offline()])

    def get_hooks(self, metadata: Any) -> list[Any]:
        notes.append(metadata.sdk.name)
        return [Noting()]


class Source(AsyncUpdateProcessor):
    """Writes what it is told, when it starts."""

    def __init__(self, config: Any, store: Any, ready: Any) -> None:
        self.config, self.store, self.ready = config, store, ready
        self.has_data = False
        self.tasks: list[Any] = []

    def start(self) -> None:
        self.tasks.append(asyncio.ensure_future(self.deliver()))

    async def deliver(self) -> None:
        await self.store.init({FEATURES: {"plain": flag("plain", "sourced")}, SEGMENTS: {}})
        self.has_data = True
        self.ready.set()

    async def stop(self) -> None:
        notes.append("stop")

    def initialized(self) -> bool:
        return self.has_data


async def main() -> None:
    given = {"flush_interval": 3600, "diagnostic_opt_out": True}
    config = AsyncConfig("sdk-key", uri, uri, stream_uri=uri, plugins=[Plugged()], **given)
    client = AsyncLDClient(config)
    record("before the start", lambda: [client.is_offline(), client.get_sdk_key()])
    await see("not initialized", client.is_initialized())
    await client.start()
    await client.start()
    record("plugins", noted)
    await see("streamed", answers(client))
    record("hooks", noted)
    client.track("bought", user, {"x": 1}, 2)
    client.identify(user)

    async def give(payload: Any) -> Any:
        return Result.success(payload)

    builder = AsyncMigratorBuilder(client).read(give, give, lambda a, b: a == b).write(give, give)
    migrator = builder.track_latency(False).build()
    record("read", lambda: None)
    read = await migrator.read("migration", user, Stage.OFF, "p")
    written = await migrator.write("migration", user, Stage.OFF, "p")
    record("migrated", lambda: [read.value, read.origin.value, written.authoritative.value])
    await see("flushed", client.flush_and_wait(5))
    await see("big segments", big(client))
    await client.close()
    await client.close()
    noted()

    async with AsyncLDClient(AsyncConfig("k", offline=True)) as client:
        await see("offline", answers(client))
    quiet = {"send_events": False}
    async with AsyncLDClient(AsyncConfig("k", update_processor_class=Source, **quiet)) as client:
        await see("sourced", answers(client))
    record("stopped", noted)
    store = AsyncInMemoryFeatureStore()
    await see("empty", store.is_initialized())
    await store.init({FEATURES: {"plain": flag("plain", "stored")}, SEGMENTS: {}})
    await see("upserted", store.upsert(FEATURES, flag("plain", "newer", 2)))
    await see("not upserted", store.upsert(FEATURES, flag("plain", "older", 1)))
    await see("deleted", store.delete(FEATURES, "other", 1))
    await see("all", keys(store))
    async with AsyncLDClient(
        AsyncConfig("k", use_ldd=True, feature_store=store, **quiet)
    ) as client:
        await see("daemon", answers(client))
    big_config = AsyncBigSegmentsConfig()
    record("big segments config", lambda: [big_config.store, big_config.context_cache_size])
    shown = AsyncConfig("k")
    record("config", lambda: [shown.events_uri, shown.stream_uri, shown.application, shown.hooks])


async def big(client: AsyncLDClient) -> Any:
    status = await client.big_segment_store_status_provider.get_status()
    return [status.available, status.stale]


async def keys(store: AsyncInMemoryFeatureStore) -> Any:
    return sorted(await store.all(FEATURES))


asyncio.run(main())
finish()
