"""What this process holds in memory: one state at a time, swapped whole.

Everything that changes what evaluations see is in this file. Readers take `catalog` and need no
lock; writers come from several threads and take turns.
"""

from collections.abc import Callable, Iterable, Mapping

from flagkeep._runtime import aio as runtime
from flagkeep.evaluation.catalog import Catalog
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.storage.dataset import Change, DataSet, replaced, updated

SwapListener = Callable[[DataSet, DataSet, frozenset[ItemRef]], None]


class AsyncEnvironment:
    """The flags and segments in memory.

    Attributes:
        data: every item, as received.
        catalog: the same, ready for evaluation.

    Args:
        swapped: told of each new state: before, after, and the items that differ.
        fetches: whether an evaluation may ask a store for what is not here yet.
    """

    def __init__(self, swapped: SwapListener, *, fetches: bool) -> None:
        self._guard = runtime.Guard()
        self._swapped = swapped
        self.data = DataSet()
        self.catalog = Catalog({}, {}, complete=not fetches)

    def replace(self, changes: ChangeSet) -> DataSet:
        """Take a full set as the whole truth; returns the state after it."""
        with self._guard:
            return self._swap(replaced(self.data, changes))

    def update(self, changes: ChangeSet, *, newer_wins: bool) -> DataSet:
        """Take a partial set; `newer_wins` False takes lower versions too."""
        with self._guard:
            return self._swap(updated(self.data, changes, newer_wins=newer_wins))

    def learn(self, found: ChangeSet, asked: Iterable[ItemRef]) -> None:
        """Take single items as the store has them; what was `asked` and not found is absent."""
        with self._guard:
            old = self.catalog
            if old.complete:
                self._swap(updated(self.data, found, newer_wins=False))
                return
            self.data = updated(self.data, found, newer_wins=False).data
            items: Mapping[ItemRef, SerializedItem] = dict(found.items())
            absent = old.absent | {ref for ref in asked if ref not in items}
            self.catalog = self._partial(absent - items.keys())
            self.catalog.flags.update(old.flags)
            self.catalog.segments.update(old.segments)
            for kind, key in items:
                (self.catalog.flags if kind is Kind.FLAG else self.catalog.segments).pop(key, None)
        self._swapped(self.data, self.data, frozenset())

    def _partial(self, absent: frozenset[ItemRef]) -> Catalog:
        return Catalog(self.data.flags, self.data.segments, complete=False, absent=absent)

    def _swap(self, change: Change) -> DataSet:
        old, was_complete = self.data, self.catalog.complete
        if change.refs or not was_complete:
            flags, segments = change.data.flags, change.data.segments
            self.catalog = self.catalog.successor(flags, segments, change.refs)
        self.data = change.data
        self._swapped(old, change.data, change.refs)
        return change.data
