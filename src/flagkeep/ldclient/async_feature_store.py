"""The feature store in memory for asyncio."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from flagkeep._runtime import fork
from flagkeep.ldclient import _items
from flagkeep.ldclient.feature_store import CacheConfig, InMemoryFeatureStore, Watcher
from flagkeep.ldclient.interfaces import AsyncFeatureStore, DiagnosticDescription
from flagkeep.ldclient.versioned_data_kind import VersionedDataKind
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef

__all__ = ["AsyncInMemoryFeatureStore", "CacheConfig"]


class _Follower(Protocol):
    async def applied(self) -> None:
        """Wait until everything that was written so far is in force."""


class AsyncInMemoryFeatureStore(AsyncFeatureStore, DiagnosticDescription):
    """The default store of an `AsyncLDClient`, which may be used by several of them.

    What is written to it is in force in its clients when the call that wrote it returns.
    """

    def __init__(self) -> None:
        self._memory = InMemoryFeatureStore()
        self._followers: tuple[_Follower, ...] = ()
        fork.watch(self, fork.Rank.LOCK)

    def is_monitoring_enabled(self) -> bool:
        """Whether its availability may change: never."""
        return False

    def is_available(self) -> bool:
        """Whether it can be used: always."""
        return True

    async def get(self, kind: VersionedDataKind, key: str) -> Any:
        """Return an item, None if it is not there or was deleted."""
        return self._memory.get(kind, key)

    async def all(self, kind: VersionedDataKind) -> dict[str, Any]:
        """Return all items by key, without the deleted ones."""
        found: dict[str, Any] = self._memory.all(kind)
        return found

    async def init(self, all_data: Mapping[VersionedDataKind, Mapping[str, Any]]) -> None:
        """Replace everything, whatever the versions.

        Raises:
            ValueError: one of the items cannot be used; the store stays as it was.
        """
        await self._apply(_items.full_set(all_data))

    async def upsert(self, kind: VersionedDataKind, item: Any) -> bool:
        """Add or change an item, if its version is above what is there; return whether it was.

        Raises:
            ValueError: it cannot be used.
        """
        ref = _items.named(_items.core_kind(kind), item)
        return await self._apply(_items.partial_set(ref, _items.serialized(ref, item)))

    async def delete(self, kind: VersionedDataKind, key: str, version: int) -> bool:
        """Delete an item, known or not, if `version` is above what is there; return whether."""
        ref = ItemRef(_items.core_kind(kind), key)
        return await self._apply(_items.partial_set(ref, _items.tombstone(ref, version)))

    @property
    def initialized(self) -> bool:
        """Whether it ever received a full set."""
        return self._memory.initialized

    async def is_initialized(self) -> bool:
        """Return whether it ever received a full set."""
        return self._memory.initialized

    async def close(self) -> None:
        """Do nothing: it stays as it is."""

    def describe_configuration(self, config: Any) -> str:  # noqa: ARG002  the interface
        """Return its name in diagnostic data."""
        return "memory"

    # --- for clients ---------------------------------------------------------------------------

    def _follow(self, follower: _Follower, watcher: Watcher) -> None:
        """Call `watcher` with every change from now on; writers wait for `follower`."""
        self._memory._watch(watcher)
        self._followers += (follower,)

    def _unfollow(self, follower: _Follower, watcher: Watcher) -> None:
        self._memory._unwatch(watcher)
        self._followers = tuple(one for one in self._followers if one is not follower)

    def _repeat(self, watcher: Callable[[ChangeSet], None]) -> None:
        """Call `watcher` with everything that is there, in its turn among the changes."""
        self._memory._repeat(watcher)

    def after_fork(self) -> None:
        """In the child of a fork: forget who follows; clients then begin anew."""
        self._followers = ()

    async def _apply(self, changes: ChangeSet) -> bool:
        """Take a change from wherever it comes, and pass it on; returns whether it made any."""
        is_news = self._memory._apply(changes)
        for follower in self._followers:
            await follower.applied()
        return is_news
