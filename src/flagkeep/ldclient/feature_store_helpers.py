"""`CachingStoreWrapper`: a whole feature store around five calls to a database."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from threading import Lock
from time import monotonic
from typing import Any, Final

from flagkeep.ldclient._items import as_dict
from flagkeep.ldclient.feature_store import CacheConfig
from flagkeep.ldclient.interfaces import DiagnosticDescription, FeatureStore, FeatureStoreCore
from flagkeep.ldclient.versioned_data_kind import VersionedDataKind

_ABSENT: Final = object()
_INITIALIZED: Final = ("initialized",)


class CachingStoreWrapper(DiagnosticDescription, FeatureStore):
    """A feature store made of a core, which only reads and writes, and a cache.

    Args:
        core: the calls to the database. What they raise reaches the caller.
        cache_config: how long items are kept.
    """

    def __init__(self, core: FeatureStoreCore, cache_config: CacheConfig) -> None:
        self._core = core
        self._cache = _TimedCache(cache_config) if cache_config.enabled else None
        self._has_data = False

    def is_monitoring_enabled(self) -> bool:
        """Whether the core can tell if the database is there: it has `is_available`."""
        return callable(getattr(self._core, "is_available", None))

    def is_available(self) -> bool:
        """Whether the database answers; False if the core cannot tell."""
        ask = getattr(self._core, "is_available", None)
        return bool(ask()) if callable(ask) else False

    def init(self, all_encoded_data: Mapping[VersionedDataKind, Mapping[str, Any]]) -> None:
        """Replace everything, in the order given."""
        data = {
            kind: {key: as_dict(item) for key, item in items.items()}
            for kind, items in all_encoded_data.items()
        }
        self._core.init_internal(data)
        self._has_data = True
        if self._cache is not None:
            self._cache.clear()
            for kind, items in data.items():
                opened = {key: kind.decode(item) for key, item in items.items()}
                for key, item in opened.items():
                    self._cache.put((kind, key), item)
                self._cache.put((kind,), _live(opened))

    def get(
        self,
        kind: VersionedDataKind,
        key: str,
        callback: Callable[[Any], Any] = lambda item: item,
    ) -> Any:
        """Return `callback(item)`; the item is None if it is not there or was deleted."""

        def read() -> Any:
            item = self._core.get_internal(kind, key)
            return None if item is None else kind.decode(item)

        return callback(_unless_deleted(self._cached((kind, key), read)))

    def all(
        self, kind: VersionedDataKind, callback: Callable[[Any], Any] = lambda items: items
    ) -> Any:
        """Return `callback(items)`: all items by key, without the deleted ones."""

        def read() -> dict[str, Any]:
            found = self._core.get_all_internal(kind).items()
            return _live({key: kind.decode(item) for key, item in found})

        return callback(dict(self._cached((kind,), read)))

    def upsert(self, kind: VersionedDataKind, encoded_item: Any) -> None:
        """Add or change an item, if its version is above what is in the database."""
        item = as_dict(encoded_item)
        now_there = self._core.upsert_internal(kind, item)
        if self._cache is not None:
            self._cache.put((kind, item["key"]), kind.decode(now_there))
            self._cache.drop((kind,))

    def delete(self, kind: VersionedDataKind, key: str, version: int) -> None:
        """Delete an item, known or not, if `version` is above what is in the database."""
        self.upsert(kind, {"key": key, "version": version, "deleted": True})

    @property
    def initialized(self) -> bool:
        """Whether the database ever received a full set; asked until it did."""
        if not self._has_data:
            self._has_data = self._cached(_INITIALIZED, self._core.initialized_internal)
        return self._has_data

    def disable_cache(self) -> None:
        """Ask the database every time from now on."""
        self._cache = None

    def close(self) -> None:
        """Close the core, if it can be closed."""
        close = getattr(self._core, "close", None)
        if callable(close):
            close()

    def describe_configuration(self, config: Any) -> str:
        """Return the core's name in diagnostic data."""
        describe = getattr(self._core, "describe_configuration", None)
        return str(describe(config)) if callable(describe) else "custom"

    def _cached(self, name: tuple[Any, ...], read: Callable[[], Any]) -> Any:
        cache = self._cache
        if cache is None:
            return read()
        value = cache.get(name)
        if value is _ABSENT:
            writes = cache.writes
            value = read()
            if cache.writes == writes:  # otherwise what was read may be the older
                cache.put(name, value)
        return value


class _TimedCache:
    """Values that are forgotten after a time, the least recently written ones earlier if full."""

    def __init__(self, config: CacheConfig) -> None:
        self._seconds = config.expiration
        self._capacity = config.capacity
        self.writes = 0
        self._lock = Lock()
        self._values: OrderedDict[tuple[Any, ...], tuple[float, Any]] = OrderedDict()

    def get(self, name: tuple[Any, ...]) -> Any:
        """Return a value, `_ABSENT` if there is none or its time is up."""
        until, value = self._values.get(name, (0.0, _ABSENT))
        return value if monotonic() < until else _ABSENT

    def put(self, name: tuple[Any, ...], value: Any) -> None:
        with self._lock:
            self.writes += 1
            self._values.pop(name, None)
            self._values[name] = (monotonic() + self._seconds, value)
            while len(self._values) > self._capacity:
                self._values.popitem(last=False)

    def drop(self, name: tuple[Any, ...]) -> None:
        with self._lock:
            self.writes += 1
            self._values.pop(name, None)

    def clear(self) -> None:
        with self._lock:
            self.writes += 1
            self._values.clear()


def _live(items: Mapping[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in items.items() if _unless_deleted(item) is not None}


def _unless_deleted(item: Any) -> Any:
    return None if item is None or as_dict(item).get("deleted") else item
