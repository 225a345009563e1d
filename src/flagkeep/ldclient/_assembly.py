"""The parts of an `LDClient`; how they fit together is in `_assembly_base`."""

from functools import partial
from typing import Any, TypeGuard

from flagkeep._runtime import threads as runtime
from flagkeep._sync.client import Client
from flagkeep._sync.file_source import FileDataSource
from flagkeep._sync.interfaces import BigSegmentStore, DataSource, FeatureStore
from flagkeep.config import Config as CoreConfig
from flagkeep.config import FileSource
from flagkeep.errors import StoreError
from flagkeep.ldclient._assembly_base import AssemblyBase, is_plain
from flagkeep.ldclient._big_segments import asked
from flagkeep.ldclient._bridge import CustomSource, StoreSource
from flagkeep.ldclient._events import ForeignEvents
from flagkeep.ldclient._foreign_store import ForeignStore
from flagkeep.ldclient._requester import RequesterSource
from flagkeep.ldclient._shared_store import StoreShare, share_of
from flagkeep.ldclient._store_core import StoreCore, is_native
from flagkeep.ldclient._update_sink import UpdateSink
from flagkeep.ldclient.feature_store import InMemoryFeatureStore
from flagkeep.ldclient.feature_store_helpers import CachingStoreWrapper
from flagkeep.model.item import ItemRef


class _Lending(CachingStoreWrapper):
    """A wrapper that is known to be around a store of the core."""

    _core: StoreCore


class CoreClient(Client):
    """The core's client, whose parts this face may wrap; it begins when it is told to.

    Args:
        memory: where what comes from upstream goes through; None: it does not.
        foreign_events: takes the place of the core's events, if there is one.
    """

    def __init__(
        self,
        config: CoreConfig,
        *,
        store: FeatureStore | None,
        big_segment_store: BigSegmentStore | None,
        memory: InMemoryFeatureStore | None,
        foreign_events: ForeignEvents | None,
    ) -> None:
        self._memory = memory
        self._foreign_events = foreign_events
        self._is_held = True
        super().__init__(config, store=store, big_segment_store=big_segment_store)

    def release(self) -> None:
        """Begin."""
        self._is_held = False
        if runtime.can_spawn():
            self._start()

    def store_changed(self, refs: tuple[ItemRef, ...] | None) -> None:
        """Read again, on the caller's time, what somebody has written to the store."""
        self._data.store_changed(refs)

    def _start(self) -> None:
        if not self._is_held:
            super()._start()

    def _source_maker(self) -> Any:
        make = super()._source_maker()
        if make is None or self._memory is None:
            return make
        return StoreSource(self._memory, make, is_complete=False).source

    def _new_events(self, store: str | None) -> Any:
        return self._foreign_events or super()._new_events(store)


class Assembly(AssemblyBase[CoreClient]):
    """One client of the core for an `LDClient`."""

    @property
    def is_store_monitored(self) -> bool:
        """Whether the status of the store can change."""
        if not isinstance(self._store, ForeignStore):
            return self.has_store
        ask = getattr(self._config.feature_store, "is_monitoring_enabled", None)
        return bool(ask()) if callable(ask) else False

    def start(self, seconds: float) -> None:
        """Begin, and wait for data where any may come.

        Raises:
            Exception: whatever the application's `update_processor_class` raises.
        """
        self.client.release()
        source = self._custom
        if isinstance(source, CustomSource):
            try:
                source.start_processor(self._config._serving(UpdateSink(self._memory, source)))
            except BaseException:
                self.client.close()
                raise
        elif isinstance(source, StoreSource):
            source.wait_until_attached()
        if self._waits:
            self._wait(max(0.0, seconds))

    def has_data(self) -> bool:
        """Whether evaluations use real data."""
        if isinstance(self._custom, CustomSource):
            self._custom.look()
        is_ready = self.client.is_ready and not self._only_reads
        return is_ready or self._is_store_initialized(self.policy.deadline)

    def _wait(self, seconds: float) -> None:
        source = self._custom
        if isinstance(source, CustomSource):
            source.ready.wait(seconds)
            source.look()
        elif self.has_source or (seconds > 0 and self._is_store_initialized(seconds)):
            self.client.wait_until_ready(seconds)

    def _is_store_initialized(self, timeout: float) -> bool:
        status = self.client.status.store
        if self._store is None or status is None or not status.available:
            return False
        try:
            return bool(self._store.is_initialized(timeout=timeout))
        except StoreError:
            return False

    # --- what this colour has ------------------------------------------------------------------

    def _is_memory(self, store: Any) -> bool:
        return is_plain(store, InMemoryFeatureStore)

    def _new_memory(self) -> InMemoryFeatureStore:
        return InMemoryFeatureStore()

    def _store_of(self, store: Any) -> FeatureStore:
        if is_native(store):
            return share_of(store)
        return store._core.share() if _lends_its_store(store) else ForeignStore(store)

    def _is_foreign(self) -> bool:
        return isinstance(self._store, ForeignStore)

    def _lent_cache(self, store: Any) -> float | None:
        return store._cache.seconds if _lends_its_store(store) else None

    def _source_of_memory(self, inner: Any) -> StoreSource:
        make = None if inner is None else partial(_live, inner)
        return StoreSource(self._memory, make, is_complete=self._config.use_ldd)

    def _source_of_processor(self, make: Any) -> CustomSource:
        return CustomSource(self._memory, make)

    def _requester_source(self) -> RequesterSource:
        return RequesterSource(self._config)

    def _new_client(self, settings: CoreConfig, memory: Any) -> CoreClient:
        store = self._config.big_segments.store if self.has_big_segments else None
        processor = self._new_event_processor()
        client = CoreClient(
            settings,
            store=self._store,
            big_segment_store=asked(store),
            memory=memory,
            foreign_events=ForeignEvents(processor, runtime.draw) if processor else None,
        )
        if isinstance(self._store, StoreShare):
            self._store.changed = client.store_changed
        return client


def _lends_its_store(store: object) -> TypeGuard[_Lending]:
    """Whether it is a caching wrapper around a store of the core that does nothing else."""
    return is_plain(store, CachingStoreWrapper) and isinstance(store._core, StoreCore)


def _live(source: Any) -> DataSource:
    made: Any = FileDataSource(source) if isinstance(source, FileSource) else source.source()
    return made  # type: ignore[no-any-return]  # what a factory makes is a source
