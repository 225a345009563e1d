"""Big Segment stores between the official SDK and the core.

A `BigSegmentStore` of the application is wrapped for the core; one of the core's is left as it is.
The application may use its store in several clients, one after the other or at once: it is stopped
with the last of them. What the factories of `ldclient.integrations` return lends each client a
store of the core of its own.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar
from weakref import WeakValueDictionary

from flagkeep._async.interfaces import AsyncBigSegmentStore as AsyncNativeStore
from flagkeep._runtime.guard import Guard
from flagkeep._sync.interfaces import BigSegmentStore as NativeStore
from flagkeep.errors import ConfigError
from flagkeep.ldclient.interfaces import (
    AsyncBigSegmentStore,
    BigSegmentStore,
    BigSegmentStoreMetadata,
)
from flagkeep.storage.big_segments import BigSegmentMetadata

T = TypeVar("T")

_NEEDS: Final = "big_segments of this client needs"


class _Lending(Generic[T]):
    """What both colours of what a factory returns have.

    Args:
        make: makes a store of the core; whatever it refuses, it refuses here.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._store = make()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._store!r}>"

    def lent(self) -> T:
        """Return a store for one client, which closes it."""
        return self._make()

    def _leave(self) -> T:
        """Return the store in use, which is to be closed; a later call uses a new one."""
        old, self._store = self._store, self._make()
        return old


class BigSegments(_Lending[NativeStore], BigSegmentStore):
    """A store of the core as the official SDK has it."""

    def get_metadata(self) -> BigSegmentStoreMetadata:
        """Return when the data was last known to be current."""
        return BigSegmentStoreMetadata(self._store.get_metadata().last_up_to_date_ms)

    def get_membership(self, context_hash: str) -> dict[str, bool] | None:
        """Return in which segments a context is included or excluded; None if in none."""
        return dict(self._store.get_membership(context_hash) or {}) or None

    def stop(self) -> None:
        """Give up connections. A later call makes new ones."""
        self._leave().close()


class AsyncBigSegments(_Lending[AsyncNativeStore], AsyncBigSegmentStore):
    """A store of the core for asyncio as the official SDK has it."""

    async def get_metadata(self) -> BigSegmentStoreMetadata:
        """Return when the data was last known to be current."""
        return BigSegmentStoreMetadata((await self._store.get_metadata()).last_up_to_date_ms)

    async def get_membership(self, context_hash: str) -> dict[str, bool] | None:
        """Return in which segments a context is included or excluded; None if in none."""
        return dict(await self._store.get_membership(context_hash) or {}) or None

    async def stop(self) -> None:
        """Give up connections. A later call makes new ones."""
        await self._leave().aclose()


class _Users:
    """The clients that use one store; it lives as long as any of them."""

    def __init__(self, store: object) -> None:
        self._store = store  # so that nothing else gets its identity meanwhile
        self._guard = Guard()
        self._count = 0

    def join(self) -> None:
        with self._guard:
            self._count += 1

    def leave(self) -> bool:
        """Return whether that was the last one."""
        with self._guard:
            self._count -= 1
            return not self._count


_users_of: Final[WeakValueDictionary[int, _Users]] = WeakValueDictionary()  # by identity


class ForeignBigSegmentsBase:
    """What both colours have.

    Attributes:
        name: what messages call it.
    """

    def __init__(self, store: Any) -> None:
        self.name = type(store).__name__
        self._store = store
        self._users = _users_of.setdefault(id(store), _Users(store))
        self._users.join()
        self._is_used = True

    def _leave(self) -> bool:
        """Return whether the store is to be stopped."""
        was_used, self._is_used = self._is_used, False
        return was_used and self._users.leave()


class ForeignBigSegments(ForeignBigSegmentsBase):
    """A Big Segment store of the core around a `BigSegmentStore`."""

    def get_metadata(self) -> BigSegmentMetadata:
        """Return how old the data is."""
        return metadata(self._store.get_metadata())

    def get_membership(self, context_hash: str) -> Mapping[str, bool] | None:
        """Return the segments of one context."""
        found: Mapping[str, bool] | None = self._store.get_membership(context_hash)
        return found

    def close(self) -> None:
        """Stop the store, if no other client uses it."""
        if self._leave():
            self._store.stop()


class AsyncForeignBigSegments(ForeignBigSegmentsBase):
    """A Big Segment store of the core around an `AsyncBigSegmentStore`."""

    async def get_metadata(self) -> BigSegmentMetadata:
        """Return how old the data is."""
        return metadata(await self._store.get_metadata())

    async def get_membership(self, context_hash: str) -> Mapping[str, bool] | None:
        """Return the segments of one context."""
        found: Mapping[str, bool] | None = await self._store.get_membership(context_hash)
        return found

    async def aclose(self) -> None:
        """Stop the store, if no other client uses it."""
        if self._leave():
            await self._store.stop()


def asked(store: Any) -> Any:
    """Return what the core of an `LDClient` asks; None if there is no store.

    Raises:
        ConfigError: the store is one for asyncio.
    """
    if isinstance(store, AsyncBigSegmentStore):
        raise ConfigError(f"{_NEEDS} a BigSegmentStore, not {type(store).__name__}")
    if isinstance(store, BigSegments):
        return store.lent()
    return store if store is None or _is_of_core(store, "close") else ForeignBigSegments(store)


def async_asked(store: Any) -> Any:
    """Return what the core of an `AsyncLDClient` asks; None if there is no store.

    Raises:
        ConfigError: the store of a factory is not one for asyncio.
    """
    if isinstance(store, BigSegments):
        raise ConfigError(f"{_NEEDS} an AsyncBigSegmentStore, not {type(store).__name__}")
    if isinstance(store, AsyncBigSegments):
        return store.lent()
    is_ready = store is None or _is_of_core(store, "aclose")
    return store if is_ready else AsyncForeignBigSegments(store)


def _is_of_core(store: object, closing: str) -> bool:
    made = type(store)
    return hasattr(made, closing) and not hasattr(made, "stop")


def metadata(official: Any) -> BigSegmentMetadata:
    """Return what a store says of itself; one that says nothing was never up to date."""
    return BigSegmentMetadata(None if official is None else official.last_up_to_date)
