"""How a configuration becomes a client of the core.

| feature_store | data source                   | the core gets                            |
|---------------|-------------------------------|------------------------------------------|
| in memory     | any, or none                  | no store; a source of what is in memory  |
| other         | `Files`, `TestData`           | the store, and that source               |
| other         | custom `UpdateProcessor`      | the store, a source with its own memory  |
| other         | none (`use_ldd`, or upstream) | the store, which is only read            |

"Other" is a `FeatureStore` of the application or a store of `flagkeep.stores`.
"""

from typing import Any, Final, TypeGuard

from flagkeep._sync.client import Client
from flagkeep._sync.file_source import FileDataSource
from flagkeep._sync.interfaces import DataSource, FeatureStore
from flagkeep.config import CachePolicy, FileSource, SourceFactory, StorePolicy
from flagkeep.config import Config as CoreConfig
from flagkeep.errors import StoreError
from flagkeep.ldclient import _policy
from flagkeep.ldclient._bridge import CustomSource, StoreSource
from flagkeep.ldclient._foreign_store import ForeignStore
from flagkeep.ldclient._settings import is_core_source
from flagkeep.ldclient._shared_store import forget_parent, share_of
from flagkeep.ldclient._update_sink import UpdateSink
from flagkeep.ldclient.config import Config
from flagkeep.ldclient.feature_store import InMemoryFeatureStore

_OWN_METHODS: Final = ("get", "all", "init", "upsert", "delete", "initialized")


class _CoreClient(Client):
    """The core's client, which leaves it to this face to say what is missing."""

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
        return self.client.is_ready or self._is_store_initialized()

    def leave_to_parent(self) -> None:
        """Forget, in a forked child, everything that works for the parent only."""
        self._memory._after_fork()
        if isinstance(self._source, StoreSource):
            self._source.stop()  # its thread is not here, and nobody may wait for it
        if self.has_store and not isinstance(self._store, ForeignStore):
            forget_parent(self._config.feature_store)

    def _make_source(self) -> FileSource | SourceFactory | None:
        given = self._config.update_processor_class
        is_in_memory = _is_memory(self._config.feature_store)
        if is_core_source(given):
            if not is_in_memory:
                return given
            return StoreSource(self._memory, _live(given), is_complete=self._config.use_ldd)
        if given is not None:
            return CustomSource(self._memory, given)
        if is_in_memory:
            return StoreSource(self._memory, None, is_complete=self._config.use_ldd)
        return None

    def _cache(self) -> CachePolicy:
        """Ask at every evaluation what has a cache of its own, or cannot tell of changes."""
        is_asked = isinstance(self._store, ForeignStore) or not self.policy.prefetch
        return CachePolicy.off() if is_asked else CachePolicy()

    def _wait(self, seconds: float) -> None:
        source = self._source
        if isinstance(source, CustomSource):
            source.ready.wait(seconds)
            source.look()
        elif self._config.update_processor_class is not None or self._is_store_initialized():
            self.client.wait_until_ready(seconds)

    def _is_store_initialized(self) -> bool:
        if self._store is None:
            return False
        try:
            return self._store.is_initialized()
        except StoreError:
            return False


def _store_of(config: Config) -> FeatureStore | None:
    store = config.feature_store
    if config.offline or _is_memory(store):
        return None
    if hasattr(type(store), "get_many"):
        return share_of(store)
    return ForeignStore(store)


def _memory_of(config: Config) -> InMemoryFeatureStore:
    store = config.feature_store
    return store if _is_memory(store) else InMemoryFeatureStore()


def _is_memory(store: object) -> TypeGuard[InMemoryFeatureStore]:
    """Whether it is the store in memory, and not a subclass that does something else."""
    return isinstance(store, InMemoryFeatureStore) and all(
        getattr(type(store), name) is getattr(InMemoryFeatureStore, name) for name in _OWN_METHODS
    )


def _live(source: FileSource | SourceFactory) -> DataSource:
    made: Any = FileDataSource(source) if isinstance(source, FileSource) else source.source()
    return made  # type: ignore[no-any-return]  # what a factory makes is a source
