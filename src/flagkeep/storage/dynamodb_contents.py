"""Everything a table holds of one environment, gathered from pages."""

from collections.abc import Iterable
from typing import Final

from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem
from flagkeep.storage import dynamodb_parts as parts
from flagkeep.storage.contents import StoreContents, WriterRecord, half_done
from flagkeep.storage.dynamodb_layout import (
    RECORD,
    Row,
    item_of,
    number,
    overtaken_by,
    part_of,
    record_in,
    text,
)

NOTHING: Final = StoreContents(initialized=False, flags={}, segments={})


class Gathering:
    """Takes pages in any order, and says what there is when all have come.

    Args:
        last: what was there at the last call. Items that are as they were are the very same, which
            saves looking into their texts, here and wherever they go.
    """

    __slots__ = ("_bad", "_found", "_last", "_overtaken", "_parts", "_record")

    def __init__(self, last: StoreContents = NOTHING) -> None:
        self._last = last
        self._found: dict[Kind, dict[str, SerializedItem]] = {kind: {} for kind in Kind}
        self._bad: dict[ItemRef, BadItem] = {}
        self._overtaken: dict[ItemRef, int] = {}
        self._parts: dict[ItemRef, dict[int, Row]] = {}
        self._record: WriterRecord | None = None

    def take(self, kind: Kind, page: Iterable[Row]) -> None:
        """Take rows of a kind."""
        items, last = self._found[kind], self._last.of(kind)
        for row in page:
            key = row["key"]["S"]
            item = _as_before(last.get(key), row) or item_of(kind, row)
            over = overtaken_by(row, item)
            if over is not None:
                self._overtaken[ItemRef(kind, key)] = over[0]
            if isinstance(item, SerializedItem):
                items[key] = item
            else:
                self._bad[item.ref] = item

    def take_own(self, page: Iterable[Row]) -> None:
        """Take rows of our own namespace."""
        for row in page:
            place = part_of(row["key"]["S"])
            if place is not None:
                ref, at = place
                self._parts.setdefault(ref, {})[at] = row
            elif row["key"]["S"] == RECORD:
                self._record = record_in(row)

    def settle(self) -> list[ItemRef]:
        """Put items together out of their parts.

        Returns:
            Those whose parts and rows do not belong together: they were being written, and have to
            be read again.
        """
        unsettled = []
        for ref, version in self._overtaken.items():
            item = parts.item_of(ref, self._parts.get(ref, {}), version)
            if item is None:
                unsettled.append(ref)
            else:
                self.put(ref, item)
        return unsettled

    def put(self, ref: ItemRef, item: SerializedItem | BadItem) -> None:
        """Put what was made of parts in the place of a row; what is broken takes no good place."""
        if isinstance(item, SerializedItem):
            self._found[ref.kind][ref.key] = item
            self._bad.pop(ref, None)
        else:
            self._bad[ref] = item

    def contents(self, *, initialized: bool, record: WriterRecord | None) -> StoreContents:
        """Return what there is.

        Args:
            initialized: whether the marker is there.
            record: who had written last before the pages were read.
        """
        flags, segments = (self._found[kind] for kind in (Kind.FLAG, Kind.SEGMENT))
        unfinished = half_done(record, self._record)
        return StoreContents(initialized, flags, segments, tuple(self._bad.values()), unfinished)


def _as_before(known: SerializedItem | None, row: Row) -> SerializedItem | None:
    """Return what is known of an item if its row says the same."""
    if known is None or known.version != number(row, "version") or known.data != text(row):
        return None
    return known
