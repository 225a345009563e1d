"""Big Segment data that a test changes while clients are running."""

import threading
import time
from collections.abc import Mapping
from typing import Final, Self

from flagkeep._runtime import fork
from flagkeep.errors import StoreUnavailable
from flagkeep.storage.big_segments import BigSegmentMetadata, hash_of, reference


class BigSegmentData:
    """Who belongs to which Big Segments, in memory, for any number of clients at once.

    ```python
    data = BigSegmentData().include("beta", "amal", "noor")
    client = Client(config, big_segment_store=data.store())
    ```

    It counts as up to date until `updated` says otherwise. Clients remember memberships for some
    seconds: `BigSegmentSettings(context_cache_time=…)`. All methods are safe to call from any
    thread.

    Attributes:
        is_down: set it to make every question fail.
        asked: the context hashes that were asked for, in order.
        times_asked_for_age: how often clients asked how old the data is.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._members: dict[str, dict[str, bool]] = {}
        self._seconds_ago: float | None = 0.0
        self.is_down = False
        self.asked: list[str] = []
        self.times_asked_for_age = 0
        fork.watch(self, fork.Rank.LOCK)

    def after_fork(self) -> None:
        """In the child of a fork; called by itself."""
        self._lock = threading.Lock()

    # --- what a test changes ---

    def include(self, segment: str, *context_keys: str, generation: int = 1) -> Self:
        """Put contexts into a segment.

        Args:
            segment: its key.
            context_keys: of the kind that the segment is for.
            generation: of the segment, as in the flag data.
        """
        return self._put(segment, context_keys, generation, is_in=True)

    def exclude(self, segment: str, *context_keys: str, generation: int = 1) -> Self:
        """Keep contexts out of a segment, whatever its rules say."""
        return self._put(segment, context_keys, generation, is_in=False)

    def forget(self, segment: str, *context_keys: str, generation: int = 1) -> Self:
        """Let the rules of a segment decide on contexts again."""
        return self._put(segment, context_keys, generation, is_in=None)

    def updated(self, seconds_ago: float | None = 0.0) -> Self:
        """Say how old the data is, whenever it is asked; None: it was never complete."""
        self._seconds_ago = seconds_ago
        return self

    def _put(
        self, segment: str, context_keys: tuple[str, ...], generation: int, *, is_in: bool | None
    ) -> Self:
        name = reference(segment, generation)
        with self._lock:
            for key in context_keys:
                members = self._members.setdefault(hash_of(key), {})
                members.pop(name, None)
                if is_in is not None:
                    members[name] = is_in
        return self

    # --- what a client asks ---

    def store(self) -> "_Store":
        """Return a store for a `Client`."""
        return _Store(self)

    def async_store(self) -> "_AsyncStore":
        """Return a store for an `AsyncClient`."""
        return _AsyncStore(self)

    def _metadata(self) -> BigSegmentMetadata:
        self.times_asked_for_age += 1
        self._check("get_metadata")
        if self._seconds_ago is None:
            return BigSegmentMetadata(None)
        return BigSegmentMetadata(int((time.time() - self._seconds_ago) * 1000))

    def _membership(self, context_hash: str) -> Mapping[str, bool] | None:
        with self._lock:
            self.asked.append(context_hash)
            self._check("get_membership")
            return dict(self._members.get(context_hash, {}))

    def _check(self, operation: str) -> None:
        if self.is_down:
            raise StoreUnavailable(_NAME, operation, "the test says that it is down")


_NAME: Final = "Big Segment data of a test"


class _Store:
    """Hands out what its data says."""

    def __init__(self, data: BigSegmentData) -> None:
        self.name = _NAME
        self._data = data

    def get_metadata(self) -> BigSegmentMetadata:
        """Return how old the data is."""
        return self._data._metadata()

    def get_membership(self, context_hash: str) -> Mapping[str, bool] | None:
        """Return the segments of one context."""
        return self._data._membership(context_hash)

    def close(self) -> None:
        """Do nothing: the data is the test's."""


class _AsyncStore:
    """Hands out what its data says."""

    def __init__(self, data: BigSegmentData) -> None:
        self.name = _NAME
        self._data = data

    async def get_metadata(self) -> BigSegmentMetadata:
        """Return how old the data is."""
        return self._data._metadata()

    async def get_membership(self, context_hash: str) -> Mapping[str, bool] | None:
        """Return the segments of one context."""
        return self._data._membership(context_hash)

    async def aclose(self) -> None:
        """Do nothing: the data is the test's."""
