"""A store that keeps everything in this object: for tests, and for programs without a database."""

from collections.abc import Iterable
from typing import Final

from flagkeep._runtime import aio as runtime
from flagkeep.errors import StoreClosed
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.storage.contents import StoreChanges, StoreContents, Tally, WriterRecord
from flagkeep.storage.items import is_newer

_EMPTY: Final = StoreContents(initialized=False, flags={}, segments={})


class AsyncMemoryStore:
    """Flags and segments in memory, gone with the process.

    Nobody else can write to it, so there is nothing to poll for.
    """

    name: str = "memory"
    poll_interval: float | None = None

    def __init__(self) -> None:
        self._contents = _EMPTY  # never changed, always replaced: readers need no lock
        self._record: WriterRecord | None = None
        self._is_closed = False
        self._guard = runtime.Guard()

    async def get_many(
        self,
        wanted: Iterable[ItemRef],
        *,
        timeout: float | None = None,  # noqa: ARG002  memory answers at once
    ) -> dict[ItemRef, SerializedItem]:
        """Return those of `wanted` that are there, tombstones included."""
        contents = self._opened("get_many")
        found = {ref: contents.of(ref.kind).get(ref.key) for ref in wanted}
        return {ref: item for ref, item in found.items() if item is not None}

    async def get_all(self, *, timeout: float | None = None) -> StoreContents:  # noqa: ARG002
        """Return everything, as of one moment."""
        contents = self._opened("get_all")
        return StoreContents(
            contents.initialized, contents.flags.copy(), contents.segments.copy(), ()
        )

    async def is_initialized(self, *, timeout: float | None = None) -> bool:  # noqa: ARG002
        """Return whether a full set was ever written."""
        return self._opened("is_initialized").initialized

    async def replace(self, changes: ChangeSet, record: WriterRecord | None = None) -> None:
        """Put a full set in the place of everything, whatever the versions."""
        tally = Tally()
        for ref, item in changes.items():
            tally.add(ref, item)
        contents = StoreContents(True, dict(changes.flags), dict(changes.segments))
        with self._guard:
            self._opened("replace")
            self._contents = contents
            if record is not None:
                record = record.after_replace(self._record, tally, runtime.wall_time())
            self._record = record

    async def upsert(self, changes: ChangeSet) -> dict[ItemRef, SerializedItem]:
        """Write what is newer; return what the store holds in the place of the rest."""
        with self._guard:
            contents = self._opened("upsert")
            items = {kind: contents.of(kind).copy() for kind in Kind}
            tally = Tally.of_record(self._record) if self._record else Tally()
            refused = {}
            for ref, item in changes.items():
                existing = items[ref.kind].get(ref.key)
                if existing is not None and not is_newer(existing, item):
                    refused[ref] = existing
                    continue
                if existing is not None:
                    tally.remove(ref, existing)
                tally.add(ref, item)
                items[ref.kind][ref.key] = item
            self._contents = StoreContents(
                contents.initialized, items[Kind.FLAG], items[Kind.SEGMENT]
            )
            if self._record is not None:
                self._record = self._record.after_change(tally, runtime.wall_time())
            return refused

    async def poll_changes(self) -> StoreChanges | None:
        """Return None: nobody else can have changed anything."""
        self._opened("poll_changes")
        return None

    async def read_record(self) -> WriterRecord | None:
        """Return who wrote last; None if nobody said."""
        self._opened("read_record")
        return self._record

    async def clear(self) -> None:
        """Remove everything; for tools and tests."""
        with self._guard:
            self._opened("clear")
            self._contents, self._record = _EMPTY, None

    async def aclose(self) -> None:
        """Forget everything; a second call does nothing."""
        with self._guard:
            self._is_closed = True
            self._contents = _EMPTY

    def _opened(self, operation: str) -> StoreContents:
        if self._is_closed:
            raise StoreClosed(self.name, operation)
        return self._contents
