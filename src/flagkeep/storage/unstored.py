"""What a store could not take, or took in a form that not everybody reads, by item.

The log says so once, when it happens. This says so for as long as it is so.
"""

from collections.abc import Iterable
from typing import Final

from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import BadItem, ItemRef

_KEY: Final = "$.key"
_NOT_STORED: Final = "not stored: "
_IN_PARTS: Final = "kept in parts, which only flagkeep reads"


class Unstored:
    """The list of one store. Everything that changes it is in this class.

    A write is noted when it begins, and what is found on its way when it is found, so that nothing
    has to be handed back through everything that writes. Several may write different items at the
    same time: each step changes single entries of one dictionary.
    """

    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: dict[ItemRef, tuple[BadItem, ...]] = {}

    @property
    def items(self) -> tuple[BadItem, ...]:
        """What is not stored as it should be, sorted by kind and key."""
        found = self._items.copy()
        return tuple(one for ref in sorted(found) for one in found[ref])

    def note(self, changes: ChangeSet, complaints: Iterable[BadItem] = ()) -> None:
        """Begin to write a change set: what was said of its items, or of all, is of the past.

        A tombstone of what can never have been there, for its key, loses nothing.

        Args:
            changes: what is to be written, what cannot be stored included.
            complaints: why some of it cannot be stored.
        """
        for ref in self._items.copy():
            if changes.full or ref.key in changes.of(ref.kind):
                self._items.pop(ref, None)
        by_item: dict[ItemRef, list[BadItem]] = {}
        for one in complaints:
            by_item.setdefault(one.ref, []).append(_refused(one))
        for ref, found in by_item.items():
            is_gone = changes.of(ref.kind)[ref.key].deleted
            if not (is_gone and any(one.path == _KEY for one in found)):
                self._items[ref] = tuple(found)

    def refuse(self, complaint: BadItem) -> None:
        """Add an item that the database does not take."""
        self._items[complaint.ref] = (_refused(complaint),)

    def keep_in_parts(self, refs: Iterable[ItemRef]) -> None:
        """Add items that are there in parts."""
        for ref in refs:
            self._items[ref] = (BadItem(*ref, "$", _IN_PARTS),)


def without_place(items: Iterable[BadItem]) -> frozenset[ItemRef]:
    """Return which of a store's unstored items are not there at all."""
    return frozenset(one.ref for one in items if one.problem != _IN_PARTS)


def _refused(complaint: BadItem) -> BadItem:
    return BadItem(*complaint.ref, complaint.path, _NOT_STORED + complaint.problem)
