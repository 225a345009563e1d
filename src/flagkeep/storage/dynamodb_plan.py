"""What a full set costs: which rows of a table have to be written, and in which order.

Rows that are right already stay untouched. The others are put in write order, then what is gone is
deleted; rows of other environments are none of ours.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem
from flagkeep.storage.dynamodb_layout import (
    ITEMS_PER_WRITE,
    ROW_BYTES,
    SURELY_FITS,
    Arguments,
    Known,
    Names,
    Place,
    Row,
    delete_in_batch,
    known_of,
    part_of,
    put_in_batch,
    row_of,
    storable,
)
from flagkeep.storage.dynamodb_parts import can_be_cut, count_of
from flagkeep.storage.ordering import write_order

Large = tuple[ItemRef, SerializedItem]
"""An item that is written in parts."""


class Sorted:
    """A change set by what a table can do with it.

    Attributes:
        changes: what can be stored.
        large: those of them that need parts.
        bad: what cannot be stored, and why.
    """

    __slots__ = ("bad", "changes", "large")

    def __init__(self, names: Names, changes: ChangeSet) -> None:
        kept, bad = storable(changes)
        doubtful = [
            (ItemRef(kind, key), item)
            for kind in Kind
            for key, item in kept.of(kind).items()
            if len(item.data) > SURELY_FITS
        ]
        large = [(ref, item) for ref, item in doubtful if not names.has_room_for(ref, item)]
        hopeless = {ref for ref, item in large if not can_be_cut(names, ref, item)}
        if hopeless:
            rest = {ref: item for ref, item in kept.items() if ref not in hopeless}
            kept = ChangeSet.partial(rest)
            problem = f"it is over {ROW_BYTES} bytes, and its key is too long for keeping parts"
            bad = (*bad, *(BadItem(*ref, "$", problem) for ref in hopeless))
        self.changes = kept
        self.large = {ref: item for ref, item in large if ref not in hopeless}
        self.bad = bad


class Existing:
    """What is in the table before a full set is written, without the texts.

    Attributes:
        rows: those of items, by kind and key.
        parts: the rows of parts, by item and number.
        tombstones: rows that are known to be tombstones.
        odd: rows that may be tombstones, or cannot be read.
    """

    __slots__ = ("odd", "parts", "rows", "tombstones")

    def __init__(self, tombstones: Collection[ItemRef] = ()) -> None:
        self.rows: dict[Kind, dict[str, Known]] = {kind: {} for kind in Kind}
        self.parts: dict[ItemRef, dict[int, Row]] = {}
        self.tombstones = tombstones
        self.odd: set[ItemRef] = set()

    def take_rows(self, kind: Kind, page: Iterable[Row]) -> None:
        """Take note of rows of a kind."""
        self.rows[kind] |= {row["key"]["S"]: known_of(row) for row in page}

    def take_odd(self, kind: Kind, page: Iterable[Row]) -> None:
        """Take note of rows of which their version says too little."""
        self.odd.update(ItemRef(kind, row["key"]["S"]) for row in page)

    def take_own(self, page: Iterable[Row]) -> None:
        """Take note of rows of our own namespace."""
        for row in page:
            place = part_of(row["key"]["S"])
            if place is not None:
                ref, at = place
                self.parts.setdefault(ref, {})[at] = row

    def may_hold_any_of(self, changes: ChangeSet) -> bool:
        """Return whether there are rows with the right version."""
        nothing = Known(None)
        return any(
            self.rows[kind].get(key, nothing).version == item.version
            for kind in Kind
            for key, item in changes.of(kind).items()
        )

    def lacks(self, wanted: Sorted) -> dict[ItemRef, SerializedItem]:
        """Return what is not there as it has to be."""
        lacking = {}
        for kind, rows in self.rows.items():
            for key, item in wanted.changes.of(kind).items():
                if rows.get(key) != (item.version, None) or not self._is_alike(kind, key, item):
                    lacking[ItemRef(kind, key)] = item
        for ref, item in wanted.large.items():
            if self._holds_parts(ref, item):
                lacking.pop(ref, None)
            else:
                lacking[ref] = item
        return lacking

    def _is_alike(self, kind: Kind, key: str, item: SerializedItem) -> bool:
        """Return whether a row of the right version is a tombstone if the item is."""
        if not self.odd and not self.tombstones:
            return not item.deleted
        ref = ItemRef(kind, key)
        return ref not in self.odd and item.deleted == (ref in self.tombstones)

    def _holds_parts(self, ref: ItemRef, item: SerializedItem) -> bool:
        """Return whether an item is there in parts, all of them and no others."""
        parts = self.parts.get(ref)
        if parts is None or count_of(parts, item.version) != len(parts):
            return False
        row = self.rows[ref.kind].get(ref.key)
        if row is None:
            return True
        is_older = row.version is None or row.version < item.version
        return is_older and row.parts == (item.version, len(parts))


class Replacement:
    """The way from what is in the table to a full set.

    Args:
        names: of the environment.
        wanted: the set.
        existing: what is there.

    Attributes:
        puts: the items to write, in order.
        deletes: the rows to remove after that.
    """

    __slots__ = ("_large", "_names", "deletes", "puts")

    def __init__(self, names: Names, wanted: Sorted, existing: Existing) -> None:
        self._names = names
        self._large = wanted.large
        self.puts = write_order(ChangeSet.partial(existing.lacks(wanted)))
        spared = {one.ref for one in wanted.bad}
        self.deletes = [
            names.item(ref)
            for kind in (Kind.FLAG, Kind.SEGMENT)
            for key in existing.rows[kind].keys() - wanted.changes.of(kind).keys()
            if (ref := ItemRef(kind, key)) not in spared
        ]
        self.deletes += [
            names.part(ref, at)
            for ref, parts in existing.parts.items()
            if ref not in wanted.large and ref not in spared
            for at in parts
        ]

    def steps(self) -> Iterator[list[Arguments] | Large]:
        """Yield what to do, in order: rows and deletions in batches, large items one by one."""
        batch: list[Arguments] = []
        for ref, item in self.puts:
            if ref in self._large:
                if batch:
                    yield batch
                    batch = []
                yield ref, item
                continue
            batch.append(put_in_batch(row_of(self._names.item(ref), item)))
            if len(batch) == ITEMS_PER_WRITE:
                yield batch
                batch = []
        if batch:
            yield batch
        yield from deletions(self.deletes)


def deletions(places: Sequence[Place]) -> Iterator[list[Arguments]]:
    """Yield batches that delete rows, in order."""
    for at in range(0, len(places), ITEMS_PER_WRITE):
        yield [delete_in_batch(place) for place in places[at : at + ITEMS_PER_WRITE]]
