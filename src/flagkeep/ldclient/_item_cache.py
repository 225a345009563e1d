"""What `CachingStoreWrapper` remembers of a database: items one by one, and nothing twice.

"All items of a kind" is derived from the items, so the two cannot disagree. An item that is not
there is remembered too. Of two reads that overlap the newer version counts; otherwise the one that
began later, whatever its version: a full replace may lower versions.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

from flagkeep._runtime import threads as runtime
from flagkeep.ldclient._items import NAMESPACE_OF
from flagkeep.storage.contents import StoreChanges

ABSENT: Final = object()
"""Nothing is known; not even that there is no such item, which is None."""
FOR_EVER: Final = 1e9
"""Seconds. What the official SDK's users write for "infinite" is any huge number."""


class Times(Protocol):
    """What this module needs to know of a `CacheConfig`."""

    @property
    def enabled(self) -> bool:
        """Whether anything is kept."""

    expiration: float
    capacity: int


class _Entry(NamedTuple):
    until: float
    tick: int
    item: Any


class ItemCache:
    """Items of one database, tombstones included, until their time is up.

    Attributes:
        seconds: how long, `FOR_EVER` at most; 0: nothing is kept.

    Args:
        times: how long. The capacity bounds how many absent items are remembered: an environment
            never drives out itself.
    """

    def __init__(self, times: Times) -> None:
        self.seconds = min(times.expiration, FOR_EVER) if times.enabled else 0.0
        self._capacity = times.capacity
        self._guard = runtime.Guard()
        self._tick = 0
        self._replaced_at = 0
        self._items: dict[str, dict[str, _Entry]] = {}
        self._whole_until: dict[str, float] = {}
        self._missing: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._uninitialized_until = 0.0

    @property
    def is_off(self) -> bool:
        """Whether it keeps nothing."""
        return self.seconds <= 0

    def begin(self) -> int:
        """Return the present moment: to be taken before a read, and handed in with its result."""
        return self._tick

    def item(self, namespace: str, key: str) -> Any:
        """Return an item, None if it is known not to be there, `ABSENT` if nothing is known."""
        entry = self._items.get(namespace, {}).get(key)
        return entry.item if entry and runtime.monotonic() < entry.until else ABSENT

    def all(self, namespace: str) -> dict[str, Any] | None:
        """Return all items of a kind, tombstones too; None if not all are known."""
        if runtime.monotonic() >= self._whole_until.get(namespace, 0.0):
            return None
        with self._guard:
            return self._there(namespace)

    def keep(self, namespace: str, key: str, item: Any, began: int) -> Any:
        """Take an item that was read or written; return the one that counts."""
        if self.is_off:
            return item
        with self._guard:
            if began < self._replaced_at:
                entry = self._items.get(namespace, {}).get(key)
                return item if entry is None else entry.item
            self._tick += 1
            return self._keep(namespace, key, item, began)

    def keep_all(self, namespace: str, items: dict[str, Any], began: int) -> dict[str, Any]:
        """Take all items of a kind that were read; return those that count."""
        if self.is_off:
            return items
        with self._guard:
            if began < self._replaced_at:
                return self._there(namespace) if namespace in self._whole_until else items
            self._tick += 1
            known = self._items.setdefault(namespace, {})
            for key, entry in list(known.items()):
                if key not in items and entry.item is not None and entry.tick <= began:
                    del known[key]
            for key, item in items.items():
                self._keep(namespace, key, item, began)
            self._whole_until[namespace] = runtime.monotonic() + self.seconds
            return self._there(namespace)

    def keep_only(self, data: Mapping[str, Mapping[str, Any]]) -> None:
        """Take a full set that was written: nothing else counts any more."""
        with self._guard:
            self._clear()
            self._tick += 1
            self._replaced_at = self._tick
            if self.is_off:
                return
            until = runtime.monotonic() + self.seconds
            for namespace, items in data.items():
                self._items[namespace] = {
                    key: _Entry(until, self._tick, item) for key, item in items.items()
                }
                self._whole_until[namespace] = until

    def note(self, changes: StoreChanges) -> None:
        """Forget what somebody else has written: it is read again when it is wanted."""
        with self._guard:
            self._tick += 1
            self._replaced_at = self._tick
            if changes.refs is None:
                self._clear()
                return
            for kind, key in changes.refs:
                namespace = NAMESPACE_OF[kind]
                self._items.get(namespace, {}).pop(key, None)
                self._missing.pop((namespace, key), None)
                self._whole_until.pop(namespace, None)

    def forget_whole(self, namespace: str) -> None:
        """Let `all` ask the database again."""
        with self._guard:
            self._whole_until.pop(namespace, None)

    def is_known_uninitialized(self) -> bool:
        """Whether the database said, not long ago, that it never received a full set."""
        return runtime.monotonic() < self._uninitialized_until

    def keep_uninitialized(self) -> None:
        """Take note that it says so now."""
        self._uninitialized_until = runtime.monotonic() + self.seconds

    def disable(self) -> None:
        """Forget everything and keep nothing from now on."""
        with self._guard:
            self.seconds = 0.0
            self._clear()

    def _keep(self, namespace: str, key: str, item: Any, began: int) -> Any:
        known = self._items.setdefault(namespace, {})
        entry = known.get(key)
        if entry is not None and entry.tick > began and _version(entry.item) >= _version(item):
            return entry.item
        known[key] = _Entry(runtime.monotonic() + self.seconds, self._tick, item)
        self._missing.pop((namespace, key), None)
        if item is None:
            self._missing[namespace, key] = None
            while len(self._missing) > self._capacity:
                oldest = self._missing.popitem(last=False)[0]
                self._items[oldest[0]].pop(oldest[1], None)
        return item

    def _there(self, namespace: str) -> dict[str, Any]:
        known = self._items.get(namespace, {})
        return {key: entry.item for key, entry in known.items() if entry.item is not None}

    def _clear(self) -> None:
        self._items.clear()
        self._whole_until.clear()
        self._missing.clear()
        self._uninitialized_until = 0.0


def _version(item: Any) -> float:
    version = item.get("version") if isinstance(item, Mapping) else None
    return version if isinstance(version, int | float) else -1.0
