"""The feature store in memory, and how stores with a database cache what they read."""

from collections.abc import Callable, Mapping
from threading import RLock
from typing import Any, Final

from flagkeep._runtime import fork
from flagkeep.errors import ConfigError
from flagkeep.ldclient import _items
from flagkeep.ldclient.interfaces import DiagnosticDescription, FeatureStore
from flagkeep.ldclient.versioned_data_kind import VersionedDataKind
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef
from flagkeep.storage.dataset import DataSet, replaced, updated

Watcher = Callable[[ChangeSet], None]


class CacheConfig:
    """How long, and how many, items of a store with a database are kept in memory.

    Attributes:
        expiration: seconds; 0 or less: nothing is kept.
        capacity: items.
    """

    DEFAULT_EXPIRATION: Final = 15.0
    DEFAULT_CAPACITY: Final = 1000

    def __init__(
        self, expiration: float = DEFAULT_EXPIRATION, capacity: int = DEFAULT_CAPACITY
    ) -> None:
        if not isinstance(expiration, int | float | None):
            raise ConfigError(f"expiration must be a number of seconds, not {expiration!r}")
        self.expiration = expiration
        self.capacity = capacity

    @staticmethod
    def default() -> "CacheConfig":
        """Return the default: 15 seconds, 1,000 items."""
        return CacheConfig()

    @staticmethod
    def disabled() -> "CacheConfig":
        """Return a configuration that keeps nothing."""
        return CacheConfig(expiration=0)

    @property
    def enabled(self) -> bool:
        """Whether anything is kept."""
        return self.expiration is not None and self.expiration > 0


class InMemoryFeatureStore(FeatureStore, DiagnosticDescription):
    """The default store. Safe to use from any thread, by an application and by several clients.

    A client that uses it sees what is written to it at once, whoever wrote.
    """

    def __init__(self) -> None:
        # Held while the watchers are told, so that all of them see the changes in one order;
        # a watcher may read the store.
        self._lock = RLock()
        self._data = DataSet()
        self._initialized = False
        self._watchers: tuple[Watcher, ...] = ()
        fork.watch(self, fork.Rank.LOCK)

    def is_monitoring_enabled(self) -> bool:
        """Whether its availability may change: never."""
        return False

    def is_available(self) -> bool:
        """Whether it can be used: always."""
        return True

    def get(
        self,
        kind: VersionedDataKind,
        key: str,
        callback: Callable[[Any], Any] = lambda item: item,
    ) -> Any:
        """Return `callback(item)`; the item is None if it is not there or was deleted."""
        item = self._data.item(ItemRef(_items.core_kind(kind), key))
        return callback(None if item is None or item.deleted else _items.opened(item))

    def all(
        self, kind: VersionedDataKind, callback: Callable[[Any], Any] = lambda items: items
    ) -> Any:
        """Return `callback(items)`: all items by key, without the deleted ones."""
        items = self._data.of(_items.core_kind(kind)).items()
        return callback({key: _items.opened(item) for key, item in items if not item.deleted})

    def init(self, all_data: Mapping[VersionedDataKind, Mapping[str, Any]]) -> None:
        """Replace everything, whatever the versions.

        Raises:
            ValueError: one of the items cannot be used; the store stays as it was.
        """
        self._apply(_items.full_set(all_data))

    def upsert(self, kind: VersionedDataKind, item: Any) -> None:
        """Add or change an item, if its version is above what is there.

        Raises:
            ValueError: it cannot be used.
        """
        ref = _items.named(_items.core_kind(kind), item)
        self._apply(_items.partial_set(ref, _items.serialized(ref, item)))

    def delete(self, kind: VersionedDataKind, key: str, version: int) -> None:
        """Delete an item, known or not, if `version` is above what is there."""
        ref = ItemRef(_items.core_kind(kind), key)
        self._apply(_items.partial_set(ref, _items.tombstone(ref, version)))

    @property
    def initialized(self) -> bool:
        """Whether it ever received a full set."""
        return self._initialized

    def describe_configuration(self, config: Any) -> str:  # noqa: ARG002  the interface
        """Return its name in diagnostic data."""
        return "memory"

    # --- for clients ---------------------------------------------------------------------------

    def _watch(self, watcher: Watcher) -> None:
        """Call `watcher` with every change from now on."""
        with self._lock:
            self._watchers += (watcher,)

    def _unwatch(self, watcher: Watcher) -> None:
        with self._lock:
            self._watchers = tuple(one for one in self._watchers if one != watcher)

    def _repeat(self, watcher: Watcher) -> None:
        """Call `watcher` with everything that is there, in its turn among the changes."""
        with self._lock:
            data = self._data
            watcher(ChangeSet(full=True, flags=data.flags, segments=data.segments))

    def after_fork(self) -> None:
        """In the child of a fork: forget who watches, and a lock that the parent may hold.

        Called by itself; clients then begin to watch anew.
        """
        self._lock = RLock()
        self._watchers = ()

    def _apply(self, changes: ChangeSet) -> bool:
        """Take a change from wherever it comes, and pass it on; returns whether it made any."""
        fork.settle()
        with self._lock:
            change = (replaced if changes.full else updated)(self._data, changes)
            self._data = change.data
            self._initialized = self._initialized or changes.full
            for watcher in self._watchers:
                watcher(changes)
        return bool(change.refs)
