"""What this process holds in memory: one state at a time, swapped whole.

Everything that changes what evaluations see is in this file. Readers take `catalog` and need no
lock; writers come from several threads and take turns.
"""

from collections.abc import Callable, Collection, Iterable, Mapping

import msgspec

from flagkeep._runtime import aio as runtime
from flagkeep.evaluation.catalog import Catalog
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import BadItem, ItemRef, Kind
from flagkeep.storage.dataset import Change, DataSet, replaced, updated, without
from flagkeep.storage.freshness import Fills, Rollbacks

SwapListener = Callable[[DataSet, DataSet, frozenset[ItemRef]], None]


class AsyncEnvironment:
    """The flags and segments in memory.

    Attributes:
        data: every item, as received.
        catalog: the same, ready for evaluation; complete once a full set was taken.
        fills: which of several reads of a store counts.
        rollbacks: what a store has in older versions than it had.
        is_of_source: whether a source has said all that is true, so that a store no longer does.

    Args:
        swapped: told of each new state: before, after, and the items that differ.
        fetches: whether what is not here may still be in a store.
    """

    def __init__(self, swapped: SwapListener, *, fetches: bool) -> None:
        self._guard = runtime.Guard()
        self._swapped = swapped
        self.data = DataSet()
        self.catalog = Catalog({}, {}, complete=not fetches)
        self.fills = Fills()
        self.rollbacks = Rollbacks()
        self.is_of_source = False

    def replace(self, changes: ChangeSet) -> DataSet:
        """Take a full set of a source as the whole truth; returns the state after it."""
        with self._guard:
            self.is_of_source = True
            return self._swap(replaced(self.data, changes))

    def update(self, changes: ChangeSet) -> DataSet:
        """Take what is newer of a partial set of a source; returns the state after it."""
        with self._guard:
            return self._swap(updated(self.data, changes, newer_wins=True))

    def take_all(self, read: ChangeSet, began: int) -> None:
        """Take everything that a store has, by a read that began at that tick of `fills`."""
        with self._guard:
            if self.is_of_source:
                return
            kept = {}
            for ref in self._filled_since(began):
                known = self.data.item(ref)
                found = read.of(ref.kind).get(ref.key)
                if known is not None and not self.fills.may_fill(ref, began, known, found):
                    kept[ref] = known
            change = replaced(self.data, read.with_items(kept) if kept else read)
            self._note_versions(change)
            self._swap(change)
            self.fills.ended_all(began)

    def _filled_since(self, began: int) -> Iterable[ItemRef]:
        if self.fills.is_overtaken(began):
            return [ItemRef(kind, key) for kind in Kind for key in self.data.of(kind)]
        return self.fills.overlapping(began)

    def take_some(self, read: ChangeSet, began: int, gone: Collection[ItemRef] = ()) -> None:
        """Take what a store has of single items; lower versions are the truth, too.

        Args:
            gone: what it does not have any more.
        """
        with self._guard:
            if self.is_of_source:
                return
            wanted = {
                ref: item
                for ref, item in read.items()
                if self.fills.may_fill(ref, began, self.data.item(ref), item)
            }
            part = msgspec.structs.replace(ChangeSet.partial(wanted), bad=read.bad)
            change = updated(self.data, part, newer_wins=False)
            if gone:
                change = without(
                    change,
                    [r for r in gone if self.fills.may_fill(r, began, self.data.item(r), None)],
                )
            self._note_versions(change)
            self._swap(change)
            self.fills.ended(wanted)

    def note_bad(self, bad: Mapping[ItemRef, BadItem], good: Collection[ItemRef]) -> None:
        """Name items that cannot be used, and forget what was said of those that can."""
        if not bad and self.data.bad.keys().isdisjoint(good):
            return
        with self._guard:
            still = {ref: one for ref, one in self.data.bad.items() if ref not in good}
            self.data = msgspec.structs.replace(self.data, bad={**still, **bad})

    def _note_versions(self, change: Change) -> None:
        for ref in change.refs:
            self.rollbacks.see(ref, self.data.item(ref), change.data.item(ref))

    def _swap(self, change: Change) -> DataSet:
        old, was_complete = self.data, self.catalog.complete
        if change.refs or not was_complete:
            flags, segments = change.data.flags, change.data.segments
            self.catalog = self.catalog.successor(flags, segments, change.refs)
        self.data = change.data
        self._swapped(old, change.data, change.refs)
        return change.data
