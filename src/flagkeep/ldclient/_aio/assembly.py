"""The parts of an `AsyncLDClient`; how they fit together is in `_assembly_base`."""

from functools import partial
from typing import Any, Final, TypeGuard
from weakref import WeakSet

from flagkeep._async.client import AsyncClient
from flagkeep._async.file_source import AsyncFileDataSource
from flagkeep._async.interfaces import AsyncBigSegmentStore, AsyncDataSource, AsyncFeatureStore
from flagkeep._runtime import aio as runtime
from flagkeep.config import Config as CoreConfig
from flagkeep.config import FileSource
from flagkeep.errors import ConfigError, StoreError
from flagkeep.ldclient._aio.bridge import AsyncCustomSource, AsyncStoreSource
from flagkeep.ldclient._aio.foreign_store import AsyncForeignStore
from flagkeep.ldclient._aio.requester import AsyncRequesterSource
from flagkeep.ldclient._aio.update_sink import AsyncUpdateSink
from flagkeep.ldclient._assembly_base import AssemblyBase, is_plain
from flagkeep.ldclient._big_segments import async_asked
from flagkeep.ldclient._events import AsyncForeignEvents
from flagkeep.ldclient._store_core import AsyncStoreCore, is_async_native
from flagkeep.ldclient.async_feature_store import AsyncInMemoryFeatureStore
from flagkeep.ldclient.async_feature_store_helpers import AsyncCachingStoreWrapper

_in_use: Final[WeakSet[AsyncFeatureStore]] = WeakSet()


class _Lending(AsyncCachingStoreWrapper):
    """A wrapper that is known to be around a store of the core."""

    _core: AsyncStoreCore


class AsyncCoreClient(AsyncClient):
    """The core's client, whose parts this face may wrap; it begins when it is told to.

    Args:
        memory: where what comes from upstream goes through; None: it does not.
        foreign_events: takes the place of the core's events, if there is one.
    """

    def __init__(
        self,
        config: CoreConfig,
        *,
        store: AsyncFeatureStore | None,
        big_segment_store: AsyncBigSegmentStore | None,
        memory: AsyncInMemoryFeatureStore | None,
        foreign_events: AsyncForeignEvents | None,
    ) -> None:
        self._memory = memory
        self._foreign_events = foreign_events
        self._is_held = True
        super().__init__(config, store=store, big_segment_store=big_segment_store)

    def release(self) -> None:
        """Begin."""
        self._is_held = False
        self._start()

    def _start(self) -> None:
        if not self._is_held:
            super()._start()

    def _source_maker(self) -> Any:
        make = super()._source_maker()
        if make is None or self._memory is None:
            return make
        return AsyncStoreSource(self._memory, make, is_complete=False).async_source

    def _new_events(self, store: str | None) -> Any:
        return self._foreign_events or super()._new_events(store)


class AsyncAssembly(AssemblyBase[AsyncCoreClient]):
    """One client of the core for an `AsyncLDClient`."""

    @property
    def is_store_monitored(self) -> bool:
        """Whether the status of the store can change."""
        if not isinstance(self._store, AsyncForeignStore):
            return self.has_store
        ask = getattr(self._config.feature_store, "is_monitoring_enabled", None)
        return bool(ask()) if callable(ask) else False

    async def start(self, seconds: float) -> None:
        """Begin, and wait for data where any may come.

        Raises:
            Exception: whatever the application's `update_processor_class` raises.
        """
        self.client.release()
        source = self._custom
        if isinstance(source, AsyncCustomSource):
            sink = AsyncUpdateSink(self._memory, source)
            await source.start_processor(self._config._serving(sink))
        elif isinstance(source, AsyncStoreSource):
            await source.wait_until_attached()
        if self._waits:
            await self._wait(max(0.0, seconds))

    async def has_data(self) -> bool:
        """Whether evaluations use real data."""
        if isinstance(self._custom, AsyncCustomSource):
            self._custom.look()
        is_ready = self.client.is_ready and not self._only_reads
        return is_ready or await self._is_store_initialized(self.policy.deadline)

    async def _wait(self, seconds: float) -> None:
        source = self._custom
        if isinstance(source, AsyncCustomSource):
            await source.ready.wait(seconds)
            source.look()
            await source.applied()
        elif self.has_source or (seconds > 0 and await self._is_store_initialized(seconds)):
            await self.client.wait_until_ready(seconds)

    async def _is_store_initialized(self, timeout: float) -> bool:
        status = self.client.status.store
        if self._store is None or status is None or not status.available:
            return False
        try:
            return bool(await self._store.is_initialized(timeout=timeout))
        except StoreError:
            return False

    # --- what this colour has ------------------------------------------------------------------

    def _is_memory(self, store: Any) -> bool:
        return is_plain(store, AsyncInMemoryFeatureStore)

    def _new_memory(self) -> AsyncInMemoryFeatureStore:
        return AsyncInMemoryFeatureStore()

    def _store_of(self, store: Any) -> AsyncFeatureStore:
        if is_async_native(store):
            return _taken(store)
        return store._core.lent() if _lends_its_store(store) else AsyncForeignStore(store)

    def _is_foreign(self) -> bool:
        return isinstance(self._store, AsyncForeignStore)

    def _lent_cache(self, store: Any) -> float | None:
        return store._cache.seconds if _lends_its_store(store) else None

    def _source_of_memory(self, inner: Any) -> AsyncStoreSource:
        make = None if inner is None else partial(_live, inner)
        return AsyncStoreSource(self._memory, make, is_complete=self._config.use_ldd)

    def _source_of_processor(self, make: Any) -> AsyncCustomSource:
        return AsyncCustomSource(self._memory, make)

    def _requester_source(self) -> AsyncRequesterSource:
        return AsyncRequesterSource(self._config)

    def _new_client(self, settings: CoreConfig, memory: Any) -> AsyncCoreClient:
        store = self._config.big_segments.store if self.has_big_segments else None
        processor = self._new_event_processor()
        return AsyncCoreClient(
            settings,
            store=self._store,
            big_segment_store=async_asked(store),
            memory=memory,
            foreign_events=AsyncForeignEvents(processor, runtime.draw) if processor else None,
        )


def _taken(store: AsyncFeatureStore) -> AsyncFeatureStore:
    """Return a store of `flagkeep.stores`, which ends with the client that is given it.

    Raises:
        ConfigError: another client was given it.
    """
    if store in _in_use:
        raise ConfigError(
            f"the {store.name} store in feature_store serves one AsyncLDClient only:"
            " make a new store for a new client"
        )
    _in_use.add(store)
    return store


def _lends_its_store(store: object) -> TypeGuard[_Lending]:
    """Whether it is a caching wrapper around a store of the core that does nothing else."""
    return is_plain(store, AsyncCachingStoreWrapper) and isinstance(store._core, AsyncStoreCore)


def _live(source: Any) -> AsyncDataSource:
    if isinstance(source, FileSource):
        return AsyncFileDataSource(source)
    make = getattr(source, "async_source", None)
    if make is None:
        raise ConfigError("this source is for an LDClient only: it lacks async_source()")
    made: AsyncDataSource = make()
    return made
