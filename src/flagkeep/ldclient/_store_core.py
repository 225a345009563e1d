"""A store of the core as the five calls that a caching wrapper is made around.

Such a wrapper is a feature store by itself. A client that is given one does not use these calls: it
works on the store behind them, so that what the core does for every store holds here too.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeGuard, TypeVar

from flagkeep._async.interfaces import AsyncFeatureStore as AsyncNativeStore
from flagkeep._sync.interfaces import FeatureStore as NativeStore
from flagkeep.errors import InvalidData, StoreError
from flagkeep.ldclient import _items
from flagkeep.ldclient._item_cache import ItemCache
from flagkeep.ldclient._shared_store import Circle, StoreShare, changes_of, circle_of
from flagkeep.ldclient.interfaces import (
    AsyncFeatureStoreCore,
    DiagnosticDescription,
    FeatureStoreCore,
)
from flagkeep.ldclient.versioned_data_kind import VersionedDataKind
from flagkeep.model.changeset import ChangeSet, Items
from flagkeep.model.codec import parse_json
from flagkeep.model.item import ItemRef, SerializedItem

T = TypeVar("T")
AllData = Mapping[VersionedDataKind, Mapping[str, dict[str, Any]]]
_METHODS: Final = ("get_many", "get_all", "replace", "upsert")


def is_native(value: object) -> TypeGuard[NativeStore]:
    """Whether the value is a store of `flagkeep.stores`, or one like them."""
    return _has(value, "close")


def is_async_native(value: object) -> TypeGuard[AsyncNativeStore]:
    """Whether the value is an `Async…` store of `flagkeep.stores`, or one like them."""
    return _has(value, "aclose")


class _Core(DiagnosticDescription, Generic[T]):
    """What both colours have.

    Attributes:
        store: in use now.
        again: makes another one like it, None if nobody can.

    Args:
        store: one of `flagkeep.stores`.
        again: where it can be made again, each client gets a store of its own: one of the core
            ends with its client, one of the official SDK does not.
        description: its name in diagnostic data.
    """

    def __init__(
        self, store: T, again: Callable[[], T] | None = None, description: str = "custom"
    ) -> None:
        self.store = store
        self.again = again
        self._description = description

    def describe_configuration(self, config: Any) -> str:  # noqa: ARG002  the interface
        """Return its name in diagnostic data."""
        return self._description

    def _leave(self) -> T:
        """Return the store in use, which is to be closed; a later call uses a new one."""
        old = self.store
        if self.again is not None:
            self.store = self.again()
        return old


class StoreCore(_Core[NativeStore], FeatureStoreCore):
    """The calls to a store. Clients that use the same store are told of what is written."""

    def __init__(
        self,
        store: NativeStore,
        again: Callable[[], NativeStore] | None = None,
        description: str = "custom",
    ) -> None:
        super().__init__(store, again, description)
        self._circle = circle_of(store) if again is None else Circle(ends=False)
        self._cache: ItemCache | None = None

    def share(self) -> StoreShare:
        """Return what one client works with.

        Raises:
            ConfigError: the store was closed with the last client that used it.
        """
        return self._circle.join(self.store if self.again is None else self.again())

    def fill(self, cache: ItemCache) -> None:
        """Let `cache`, which is filled from here, forget what somebody else writes."""
        self._cache = cache
        self._circle.listen(cache)

    def get_internal(self, kind: VersionedDataKind, key: str) -> dict[str, Any] | None:
        """Return an item or its tombstone, None if it is not there or is no JSON object."""
        ref = _ref(kind, key)
        return _opened(ref, self.store.get_many((ref,)).get(ref))

    def get_all_internal(self, kind: VersionedDataKind) -> dict[str, dict[str, Any]]:
        """Return all items by key, tombstones too."""
        return _opened_all(kind, self.store.get_all().of(_items.core_kind(kind)))

    def init_internal(self, all_data: AllData) -> None:
        """Replace everything; kinds that are not named have no items then."""
        changes = _items.full_set(all_data)
        self.store.replace(changes)
        self._circle.tell(changes_of(changes), but=self._cache)

    def upsert_internal(self, kind: VersionedDataKind, item: dict[str, Any]) -> dict[str, Any]:
        """Write an item if its version is above what is there; return what is there now."""
        ref, changes = _change(kind, item)
        refused = self.store.upsert(changes).get(ref)
        self._circle.tell(changes_of(changes), but=self._cache)
        return _opened(ref, refused) or item

    def initialized_internal(self) -> bool:
        """Whether the store ever received a full set."""
        return self.store.is_initialized()

    def is_available(self) -> bool:
        """Whether the store answers."""
        try:
            self.store.is_initialized()
        except StoreError:
            return False
        return True

    def close(self) -> None:
        """Let go of all connections."""
        self._leave().close()


class AsyncStoreCore(_Core[AsyncNativeStore], AsyncFeatureStoreCore):
    """The calls to an asyncio store."""

    def lent(self) -> AsyncNativeStore:
        """Return what one client works with; where it can be made again, it has its own."""
        return self.store if self.again is None else self.again()

    async def get_internal(self, kind: VersionedDataKind, key: str) -> dict[str, Any] | None:
        """Return an item or its tombstone, None if it is not there or is no JSON object."""
        ref = _ref(kind, key)
        return _opened(ref, (await self.store.get_many((ref,))).get(ref))

    async def get_all_internal(self, kind: VersionedDataKind) -> dict[str, dict[str, Any]]:
        """Return all items by key, tombstones too."""
        return _opened_all(kind, (await self.store.get_all()).of(_items.core_kind(kind)))

    async def init_internal(self, all_data: AllData) -> None:
        """Replace everything; kinds that are not named have no items then."""
        await self.store.replace(_items.full_set(all_data))

    async def upsert_internal(
        self, kind: VersionedDataKind, item: dict[str, Any]
    ) -> dict[str, Any]:
        """Write an item if its version is above what is there; return what is there now."""
        ref, changes = _change(kind, item)
        return _opened(ref, (await self.store.upsert(changes)).get(ref)) or item

    async def initialized_internal(self) -> bool:
        """Whether the store ever received a full set."""
        return await self.store.is_initialized()

    async def is_available(self) -> bool:
        """Whether the store answers."""
        try:
            await self.store.is_initialized()
        except StoreError:
            return False
        return True

    async def close(self) -> None:
        """Let go of all connections."""
        await self._leave().aclose()


def _has(value: object, closing: str) -> bool:
    made = type(value)
    return all(hasattr(made, name) for name in (*_METHODS, closing))


def _ref(kind: VersionedDataKind, key: str) -> ItemRef:
    return ItemRef(_items.core_kind(kind), key)


def _change(kind: VersionedDataKind, item: dict[str, Any]) -> tuple[ItemRef, ChangeSet]:
    ref = _items.named(_items.core_kind(kind), item)
    return ref, _items.partial_set(ref, _items.serialized(ref, item))


def _opened_all(kind: VersionedDataKind, items: Items) -> dict[str, dict[str, Any]]:
    opened = {key: _opened(_ref(kind, key), item) for key, item in items.items()}
    return {key: item for key, item in opened.items() if item is not None}


def _opened(ref: ItemRef, item: SerializedItem | None) -> dict[str, Any] | None:
    """Return an item with the key under which it was found; None for what is no JSON object."""
    if item is None:
        return None
    if item.deleted:
        return dict(_items.opened(_items.tombstone(ref, item.version)))
    try:
        found = parse_json(item.data)
    except InvalidData:
        return None
    return {**found, "key": ref.key} if isinstance(found, dict) else None
