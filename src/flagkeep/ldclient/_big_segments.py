"""A `BigSegmentStore` of the application as the core asks it; one of the core's is left as it is.

The application made it, and may use it in several clients, one after the other or at once: it is
stopped with the last of them.
"""

from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakValueDictionary

from flagkeep._runtime.guard import Guard
from flagkeep.storage.big_segments import BigSegmentMetadata


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
    """Return what the core of an `LDClient` asks; None if there is no store."""
    return store if store is None or _is_of_core(store, "close") else ForeignBigSegments(store)


def async_asked(store: Any) -> Any:
    """Return what the core of an `AsyncLDClient` asks; None if there is no store."""
    is_ready = store is None or _is_of_core(store, "aclose")
    return store if is_ready else AsyncForeignBigSegments(store)


def _is_of_core(store: object, closing: str) -> bool:
    made = type(store)
    return hasattr(made, closing) and not hasattr(made, "stop")


def metadata(official: Any) -> BigSegmentMetadata:
    """Return what a store says of itself; one that says nothing was never up to date."""
    return BigSegmentMetadata(None if official is None else official.last_up_to_date)
