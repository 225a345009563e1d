"""A `BigSegmentStore` of the application as the core asks it; one of the core's is left as it is.

The application made it, and may use it in several clients, one after the other or at once: it is
stopped with the last of them.
"""

from collections.abc import Mapping
from threading import Lock
from typing import Any, Final

from flagkeep._runtime import fork
from flagkeep.storage.big_segments import BigSegmentMetadata


class _Users:
    """How many clients use each store."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: dict[int, int] = {}  # by identity: who uses a store keeps it alive
        fork.watch(self, fork.Rank.LOCK)

    def after_fork(self) -> None:
        """In the child of a fork: forget a lock that the parent may hold."""
        self._lock = Lock()

    def join(self, store: object) -> None:
        with self._lock:
            self._counts[id(store)] = self._counts.get(id(store), 0) + 1

    def leave(self, store: object) -> bool:
        """Return whether that was the last one."""
        with self._lock:
            left = self._counts.pop(id(store), 1) - 1
            if left:
                self._counts[id(store)] = left
        return not left


_users: Final = _Users()


class ForeignBigSegmentsBase:
    """What both colours have.

    Attributes:
        name: what messages call it.
    """

    def __init__(self, store: Any) -> None:
        self.name = type(store).__name__
        self._store = store
        self._is_used = True
        _users.join(store)

    def _leave(self) -> bool:
        """Return whether the store is to be stopped."""
        was_used, self._is_used = self._is_used, False
        return was_used and _users.leave(self._store)


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
