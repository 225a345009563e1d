"""What a store and a source must be able to do; users may bring their own.

A store fails with `StoreError` and its subclasses only, and one unreadable item never fails the
others. Any method may be called from any thread or task, at the same time as any other.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, SerializedItem
from flagkeep.model.status import SourceError, SourceState
from flagkeep.storage.big_segments import BigSegmentMetadata
from flagkeep.storage.contents import StoreChanges, StoreContents, WriterRecord


class AsyncFeatureStore(Protocol):
    """Where flags and segments are kept.

    Attributes:
        name: what messages and status call it, such as `sqlite`.
        poll_interval: seconds between calls of `poll_changes` that are worth their cost; None if
            the store cannot tell of changes.

    A store may also have `label`, what messages call this very one, such as its address without
    a password; `after_fork`, called in a child whose parent used it; and `unstored`, a tuple of
    `BadItem`: what was written through this object and is not in the store, or is there in a form
    that not everybody reads. Looking at it must not wait.
    """

    name: str
    poll_interval: float | None

    async def get_many(
        self, wanted: Iterable[ItemRef], *, timeout: float | None = None
    ) -> dict[ItemRef, SerializedItem]:
        """Return those of `wanted` that are there, tombstones included, as of one moment.

        An item whose text cannot be read is handed on as it is: whoever opens it names it.

        Args:
            wanted: what to read.
            timeout: seconds that the answer is worth waiting for, on top of the store's own limits.
        """
        ...

    async def get_all(self, *, timeout: float | None = None) -> StoreContents:
        """Return everything, as of one moment; `timeout` as for `get_many`."""
        ...

    async def is_initialized(self, *, timeout: float | None = None) -> bool:
        """Return whether a full set was ever written; `timeout` as for `get_many`."""
        ...

    async def replace(self, changes: ChangeSet, record: WriterRecord | None = None) -> None:
        """Put a full set in the place of everything, whatever the versions, and set the marker.

        No reader sees a part of it. A store that cannot promise this writes in `write_order`.

        Args:
            changes: the set.
            record: who writes; without it the store forgets who wrote last.
        """
        ...

    async def upsert(self, changes: ChangeSet) -> dict[ItemRef, SerializedItem]:
        """Write those of `changes` that are newer than what is there, at once.

        Returns:
            What the store holds in the place of those that were not newer.
        """
        ...

    async def poll_changes(self) -> StoreChanges | None:
        """Return what others changed since the last call, or since the first read; None: nothing.

        What was written through this very object need not be named.
        """
        ...

    async def read_record(self) -> WriterRecord | None:
        """Return who wrote last; None if nobody said."""
        ...

    async def aclose(self) -> None:
        """Let go of everything; a second call does nothing. Other calls then raise StoreClosed."""
        ...


class AsyncBigSegmentStore(Protocol):
    """Where it is kept which contexts belong to which Big Segments; something else fills it.

    Attributes:
        name: what messages and status call it, such as `redis`.
    """

    name: str

    async def get_metadata(self) -> BigSegmentMetadata:
        """Return how old the data is."""
        ...

    async def get_membership(self, context_hash: str) -> Mapping[str, bool] | None:
        """Return the segments of one context.

        Args:
            context_hash: base64 of SHA-256 of the context key.

        Returns:
            By segment reference (`key.g1`): True in, False out; None or empty: in none.
        """
        ...

    async def aclose(self) -> None:
        """Let go of everything; a second call does nothing."""
        ...


class AsyncDataSink(Protocol):
    """Where a source delivers to."""

    async def apply(self, changes: ChangeSet) -> None:
        """Take a full set or changes; returns when they are in force."""
        ...

    async def report(self, state: SourceState, error: SourceError | None = None) -> None:
        """Take note of how the source is doing."""
        ...


class AsyncDataSource(Protocol):
    """Where flags and segments come from.

    Attributes:
        name: what messages and the store's record call it, such as `file`.
        has_versions: whether its items carry versions that grow; if not, the client makes them.
        keeps_trying_to_start: whether it is worth waiting for after a first failure.
    """

    @property
    def name(self) -> str:
        """What to call it."""
        ...

    @property
    def has_versions(self) -> bool:
        """Whether its items carry versions."""
        ...

    @property
    def keeps_trying_to_start(self) -> bool:
        """Whether to wait on after a failure."""
        ...

    async def run(self, sink: AsyncDataSink) -> None:
        """Deliver to `sink` until `stop` is called; a source that was stopped first returns."""
        ...

    def stop(self) -> None:
        """End `run` soon. May be called from any thread, more than once; returns at once."""
        ...
