"""How a configuration becomes a client of the core.

| feature_store | data source                   | the core gets                            |
|---------------|-------------------------------|------------------------------------------|
| in memory     | any, or none                  | no store; a source of what is in memory  |
| other         | `Files`, `TestData`           | the store, and that source               |
| other         | custom `UpdateProcessor`      | the store, a source with its own memory  |
| other         | none (`use_ldd`, or upstream) | the store, which is only read            |

"Other" is a `FeatureStore` of the application or a store of `flagkeep.stores`. A caching wrapper
around such a store, which is what `Redis.new_feature_store` returns, lends the client the store
behind it and its cache time: last known good, refreshing, status and forks are the core's business.
"""

from functools import partial
from typing import Any, Final, TypeGuard, TypeVar

from flagkeep._sync.client import Client
from flagkeep._sync.file_source import FileDataSource
from flagkeep._sync.interfaces import DataSource, FeatureStore
from flagkeep.config import CachePolicy, FileSource, SourceFactory, StorePolicy
from flagkeep.config import Config as CoreConfig
from flagkeep.errors import StoreError
from flagkeep.ldclient import _policy
from flagkeep.ldclient._bridge import CustomSource, StoreSource
from flagkeep.ldclient._foreign_store import ForeignStore
from flagkeep.ldclient._item_cache import FOR_EVER
from flagkeep.ldclient._settings import is_core_source
from flagkeep.ldclient._shared_store import StoreShare, share_of
from flagkeep.ldclient._store_core import StoreCore, is_native
from flagkeep.ldclient._update_sink import UpdateSink
from flagkeep.ldclient.config import Config
from flagkeep.ldclient.feature_store import InMemoryFeatureStore
from flagkeep.ldclient.feature_store_helpers import CachingStoreWrapper
from flagkeep.model.item import ItemRef

T = TypeVar("T")

_OWN_METHODS: Final = ("get", "all", "init", "upsert", "delete", "initialized")


class _Lending(CachingStoreWrapper):
    """A wrapper that is known to be around a store of the core."""

    _core: StoreCore


class _CoreClient(Client):
    """The core's client, which leaves it to this face to say what is missing."""

    def store_changed(self, refs: tuple[ItemRef, ...] | None) -> None:
        """Read again, on the caller's time, what somebody has written to the store."""
        self._data.store_changed(refs)

    def _announce_no_upstream(self) -> None:
        """Say nothing: `_unbuilt.announce` does, in the words of this configuration."""


class Assembly:
    """One client of the core, with what this face puts before and behind it.

    Attributes:
        client: the core's client. It has begun its work.
        has_store: whether it has a persistent store.
        policy: in force for that store.

    Args:
        config: the settings.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._store = _store_of(config)
        self._memory = _memory_of(config)
        self._source = None if config.offline else self._make_source()
        self.has_store = self._store is not None
        self.policy = _policy.current() or StorePolicy.from_environment()
        self.client = _CoreClient(
            CoreConfig(
                sdk_key=config.sdk_key,
                source=self._source,
                daemon=config.use_ldd and self._source is None and self.has_store,
                offline=config.offline,
                defaults=config._defaults,
                cache=self._cache(),
                store_policy=self.policy,
            ),
            store=self._store,
        )
        if isinstance(self._store, StoreShare):
            self._store.changed = self.client.store_changed

    @property
    def is_store_monitored(self) -> bool:
        """Whether the status of the store can change."""
        if not isinstance(self._store, ForeignStore):
            return self.has_store
        ask = getattr(self._config.feature_store, "is_monitoring_enabled", None)
        return bool(ask()) if callable(ask) else False

    def start(self, seconds: float) -> None:
        """Start a custom source, and wait for data where any may come.

        Raises:
            Exception: whatever the application's `update_processor_class` raises.
        """
        source = self._source
        if isinstance(source, CustomSource):
            try:
                source.start_processor(self._config._serving(UpdateSink(self._memory, source)))
            except BaseException:
                self.client.close()
                raise
        elif isinstance(source, StoreSource):
            source.wait_until_attached()
        if not (self._config.offline or self._config.use_ldd):
            self._wait(max(0.0, seconds))

    def has_data(self) -> bool:
        """Whether evaluations use real data."""
        if isinstance(self._source, CustomSource):
            self._source.look()
        return self.client.is_ready or self._is_store_initialized(self.policy.deadline)

    def _make_source(self) -> FileSource | SourceFactory | None:
        given = self._config.update_processor_class
        is_in_memory = _is_memory(self._config.feature_store)
        if is_core_source(given):
            if not is_in_memory:
                return given
            inner = partial(_live, given)
            return StoreSource(self._memory, inner, is_complete=self._config.use_ldd)
        if given is not None:
            return CustomSource(self._memory, given)
        if is_in_memory:
            return StoreSource(self._memory, None, is_complete=self._config.use_ldd)
        return None

    def _cache(self) -> CachePolicy:
        """Ask at every evaluation what has a cache of its own."""
        if isinstance(self._store, ForeignStore):
            return CachePolicy.off()
        store = self._config.feature_store
        return _cache_of(store) if _lends_its_store(store) else CachePolicy()

    def _wait(self, seconds: float) -> None:
        source = self._source
        if isinstance(source, CustomSource):
            source.ready.wait(seconds)
            source.look()
        elif self._config.update_processor_class is not None or (
            seconds > 0 and self._is_store_initialized(seconds)
        ):
            self.client.wait_until_ready(seconds)

    def _is_store_initialized(self, timeout: float) -> bool:
        status = self.client.status.store
        if self._store is None or status is None or not status.available:
            return False
        try:
            return self._store.is_initialized(timeout=timeout)
        except StoreError:
            return False


def _store_of(config: Config) -> FeatureStore | None:
    store = config.feature_store
    if config.offline or _is_memory(store):
        return None
    if is_native(store):
        return share_of(store)
    return store._core.share() if _lends_its_store(store) else ForeignStore(store)


def _memory_of(config: Config) -> InMemoryFeatureStore:
    store = config.feature_store
    return store if _is_memory(store) else InMemoryFeatureStore()


def _is_memory(store: object) -> TypeGuard[InMemoryFeatureStore]:
    """Whether it is the store in memory, and not a subclass that does something else."""
    return _is_plain(store, InMemoryFeatureStore)


def _lends_its_store(store: object) -> TypeGuard[_Lending]:
    """Whether it is a caching wrapper around a store of the core that does nothing else."""
    return _is_plain(store, CachingStoreWrapper) and isinstance(store._core, StoreCore)


def _is_plain(store: object, kind: type[T]) -> TypeGuard[T]:
    return isinstance(store, kind) and all(
        getattr(type(store), name) is getattr(kind, name) for name in _OWN_METHODS
    )


def _cache_of(store: CachingStoreWrapper) -> CachePolicy:
    seconds = store._cache.seconds
    if seconds <= 0:
        return CachePolicy.off()
    return CachePolicy.forever() if seconds >= FOR_EVER else CachePolicy(seconds)


def _live(source: FileSource | SourceFactory) -> DataSource:
    made: Any = FileDataSource(source) if isinstance(source, FileSource) else source.source()
    return made  # type: ignore[no-any-return]  # what a factory makes is a source
