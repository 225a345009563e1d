"""`CachingStoreWrapper`: a whole feature store around five calls to a database."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from flagkeep._sync.interfaces import FeatureStore as NativeStore
from flagkeep.ldclient._caching import CachingBase, live, unless_deleted
from flagkeep.ldclient._item_cache import ABSENT
from flagkeep.ldclient._items import as_dict
from flagkeep.ldclient._store_core import StoreCore, is_native
from flagkeep.ldclient.feature_store import CacheConfig
from flagkeep.ldclient.interfaces import DiagnosticDescription, FeatureStore, FeatureStoreCore
from flagkeep.ldclient.versioned_data_kind import VersionedDataKind


class CachingStoreWrapper(CachingBase, DiagnosticDescription, FeatureStore):
    """A feature store made of a core, which only reads and writes, and a cache.

    Args:
        core: the calls to the database, or a store of `flagkeep.stores`. What it raises reaches
            the caller.
        cache_config: how long items are kept. Its capacity bounds how many absent items are
            remembered; items that are there are never driven out by their number.
    """

    _core: FeatureStoreCore

    def __init__(self, core: FeatureStoreCore | NativeStore, cache_config: CacheConfig) -> None:
        self._core = StoreCore(core) if is_native(core) else cast(FeatureStoreCore, core)
        super().__init__(cache_config)
        if isinstance(self._core, StoreCore):
            self._core.fill(self._cache)

    def is_available(self) -> bool:
        """Whether the database answers; False if the core cannot tell."""
        ask = getattr(self._core, "is_available", None)
        return bool(ask()) if callable(ask) else False

    def init(self, all_encoded_data: Mapping[VersionedDataKind, Mapping[str, Any]]) -> None:
        """Replace everything, in the order given."""
        data, opened = self._opened_set(all_encoded_data)
        self._core.init_internal(data)
        self._has_data = True
        self._cache.keep_only(opened)

    def get(
        self,
        kind: VersionedDataKind,
        key: str,
        callback: Callable[[Any], Any] = lambda item: item,
    ) -> Any:
        """Return `callback(item)`; the item is None if it is not there or was deleted."""
        item = self._cache.item(kind.namespace, key)
        if item is ABSENT:
            began = self._cache.begin()
            item = self._keep(kind, key, self._core.get_internal(kind, key), began)
        return callback(unless_deleted(item))

    def all(
        self, kind: VersionedDataKind, callback: Callable[[Any], Any] = lambda items: items
    ) -> Any:
        """Return `callback(items)`: all items by key, without deleted ones and unusable ones."""
        items = self._cache.all(kind.namespace)
        if items is None:
            began = self._cache.begin()
            items = self._keep_all(kind, self._core.get_all_internal(kind), began)
        return callback(live(items))

    def upsert(self, kind: VersionedDataKind, encoded_item: Any) -> None:
        """Add or change an item, if its version is above what is in the database."""
        item = as_dict(encoded_item)
        began = self._cache.begin()
        self._keep_written(kind, item["key"], self._core.upsert_internal(kind, item), began)

    def delete(self, kind: VersionedDataKind, key: str, version: int) -> None:
        """Delete an item, known or not, if `version` is above what is in the database."""
        self.upsert(kind, {"key": key, "version": version, "deleted": True})

    @property
    def initialized(self) -> bool:
        """Whether the database ever received a full set; asked until it did."""
        if not self._has_data and not self._cache.is_known_uninitialized():
            self._note_initialized(self._core.initialized_internal())
        return self._has_data

    def close(self) -> None:
        """Forget what is cached, and close the core if it can be closed."""
        self.disable_cache()
        close = getattr(self._core, "close", None)
        if callable(close):
            close()
