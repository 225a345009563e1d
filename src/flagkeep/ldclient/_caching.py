"""The part of `CachingStoreWrapper` and `AsyncCachingStoreWrapper` that asks no database."""

import logging
from collections.abc import Mapping
from typing import Any

from flagkeep.errors import ConfigError
from flagkeep.ldclient._item_cache import ItemCache
from flagkeep.ldclient._items import as_dict
from flagkeep.ldclient.feature_store import CacheConfig
from flagkeep.ldclient.versioned_data_kind import VersionedDataKind

log = logging.getLogger("ldclient.util")


class CachingBase:
    """The cache, and how what a core returns becomes what a feature store returns.

    The key under which an item was asked for is its key, whatever the item itself says: other SDKs
    write tombstones without a key, or all with the same.
    """

    _core: Any

    def __init__(self, cache_config: CacheConfig) -> None:
        if not isinstance(cache_config, CacheConfig):
            given = type(cache_config).__name__
            raise ConfigError(f"a cache is described by a CacheConfig, not {given}")
        self._cache = ItemCache(cache_config)
        self._has_data = False

    def is_monitoring_enabled(self) -> bool:
        """Whether the core can tell if the database is there: it has `is_available`."""
        return callable(getattr(self._core, "is_available", None))

    def disable_cache(self) -> None:
        """Ask the database every time from now on."""
        self._cache.disable()

    def describe_configuration(self, config: Any) -> str:
        """Return the core's name in diagnostic data."""
        describe = getattr(self._core, "describe_configuration", None)
        return str(describe(config)) if callable(describe) else "custom"

    def _opened_set(
        self, given: Mapping[VersionedDataKind, Mapping[str, Any]]
    ) -> tuple[dict[VersionedDataKind, dict[str, Any]], dict[str, dict[str, Any]]]:
        """Return a full set as the core wants it and as the cache does.

        Raises:
            ValueError: one of the items cannot be used.
        """
        data = {
            kind: {key: as_dict(item) for key, item in items.items()}
            for kind, items in given.items()
        }
        if self._cache.is_off:
            return data, {}
        return data, {
            kind.namespace: {key: _opened(kind, key, item) for key, item in items.items()}
            for kind, items in data.items()
        }

    def _keep(self, kind: VersionedDataKind, key: str, found: Any, began: int) -> Any:
        item = None if found is None else _opened(kind, key, found)
        return self._cache.keep(kind.namespace, key, item, began)

    def _keep_all(self, kind: VersionedDataKind, found: Any, began: int) -> dict[str, Any]:
        items = {}
        for key, item in (found or {}).items():
            try:
                items[key] = _opened(kind, key, item)
            except ValueError as exc:
                log.warning("%s is left out of all %s: %s", key, kind.namespace, exc)
        return self._cache.keep_all(kind.namespace, items, began)

    def _keep_written(self, kind: VersionedDataKind, key: str, now_there: Any, began: int) -> None:
        self._keep(kind, key, now_there, began)
        self._cache.forget_whole(kind.namespace)

    def _note_initialized(self, answer: Any) -> None:
        self._has_data = bool(answer)
        if not answer:
            self._cache.keep_uninitialized()


def live(items: Mapping[str, Any]) -> dict[str, Any]:
    """Return the items that are not deleted."""
    return {key: item for key, item in items.items() if unless_deleted(item) is not None}


def unless_deleted(item: Any) -> Any:
    """Return an item, None if it is a tombstone."""
    return None if item is None or as_dict(item).get("deleted") else item


def _opened(kind: VersionedDataKind, key: str, found: Any) -> Any:
    if isinstance(found, Mapping) and found.get("key") != key:
        found = {**found, "key": key}
    return kind.decode(found)
