"""`AsyncCachingStoreWrapper`: a whole asyncio feature store around five calls to a database."""

import inspect
from collections.abc import Mapping
from typing import Any, cast

from flagkeep._async.interfaces import AsyncFeatureStore as AsyncNativeStore
from flagkeep.ldclient._caching import CachingBase, live, unless_deleted
from flagkeep.ldclient._item_cache import ABSENT
from flagkeep.ldclient._items import as_dict
from flagkeep.ldclient._store_core import AsyncStoreCore, is_async_native
from flagkeep.ldclient.feature_store import CacheConfig
from flagkeep.ldclient.interfaces import (
    AsyncFeatureStore,
    AsyncFeatureStoreCore,
    DiagnosticDescription,
)
from flagkeep.ldclient.versioned_data_kind import VersionedDataKind


class AsyncCachingStoreWrapper(CachingBase, DiagnosticDescription, AsyncFeatureStore):
    """A feature store made of a core, which only reads and writes, and a cache.

    Args:
        core: the calls to the database, or an `Async…` store of `flagkeep.stores`. What it raises
            reaches the caller.
        cache_config: how long items are kept, as for `CachingStoreWrapper`.
    """

    _core: AsyncFeatureStoreCore

    def __init__(
        self, core: AsyncFeatureStoreCore | AsyncNativeStore, cache_config: CacheConfig
    ) -> None:
        self._core = (
            AsyncStoreCore(core) if is_async_native(core) else cast(AsyncFeatureStoreCore, core)
        )
        super().__init__(cache_config)

    async def is_available(self) -> bool:
        """Whether the database answers; False if the core cannot tell."""
        ask = getattr(self._core, "is_available", None)
        return bool(await ask()) if callable(ask) else False

    async def init(self, all_data: Mapping[VersionedDataKind, Mapping[str, Any]]) -> None:
        """Replace everything, in the order given."""
        data, opened = self._opened_set(all_data)
        await self._core.init_internal(data)
        self._has_data = True
        self._cache.keep_only(opened)

    async def get(self, kind: VersionedDataKind, key: str) -> Any:
        """Return an item, None if it is not there or was deleted."""
        item = self._cache.item(kind.namespace, key)
        if item is ABSENT:
            began = self._cache.begin()
            item = self._keep(kind, key, await self._core.get_internal(kind, key), began)
        return unless_deleted(item)

    async def all(self, kind: VersionedDataKind) -> dict[str, Any]:
        """Return all items by key, without deleted ones and unusable ones."""
        items = self._cache.all(kind.namespace)
        if items is None:
            began = self._cache.begin()
            items = self._keep_all(kind, await self._core.get_all_internal(kind), began)
        return live(items)

    async def upsert(self, kind: VersionedDataKind, item: Any) -> bool:
        """Add or change an item, if its version is above what is there; return whether it was."""
        given = as_dict(item)
        began = self._cache.begin()
        now_there = await self._core.upsert_internal(kind, given)
        self._keep_written(kind, given["key"], now_there, began)
        return now_there is given  # a core returns what it was given, or what refused it

    async def delete(self, kind: VersionedDataKind, key: str, version: int) -> bool:
        """Delete an item, known or not, if `version` is above what is there; return whether."""
        return await self.upsert(kind, {"key": key, "version": version, "deleted": True})

    @property
    def initialized(self) -> bool:
        """What `is_initialized` or `init` saw last; asks nobody."""
        return self._has_data

    async def is_initialized(self) -> bool:
        """Return whether the database ever received a full set; asked until it did."""
        if not self._has_data and not self._cache.is_known_uninitialized():
            self._note_initialized(await self._core.initialized_internal())
        return self._has_data

    async def close(self) -> None:
        """Forget what is cached, and close the core if it can be closed."""
        self.disable_cache()
        close = getattr(self._core, "close", None)
        closing = close() if callable(close) else None
        if inspect.isawaitable(closing):
            await closing
