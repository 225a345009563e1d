"""What a full set costs: which rows of a table have to be written, and in which order.

Rows that are right already, as their versions and digests tell, stay untouched. The others are put
in write order, then what is gone is deleted; rows of other environments are none of ours.
"""

from collections.abc import Iterable, Iterator, Sequence

from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem
from flagkeep.storage.dynamodb_layout import (
    ROW_BYTES,
    SURELY_FITS,
    Known,
    Names,
    Place,
    Row,
    digest_of,
    known_of,
    part_of,
    row_of,
    storable,
)
from flagkeep.storage.dynamodb_parts import can_be_cut, count_of
from flagkeep.storage.dynamodb_requests import (
    ITEMS_PER_WRITE,
    Arguments,
    delete_in_batch,
    put_in_batch,
)
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

    Rows may come in any order, and more than once: the last time counts.

    Args:
        wanted: what will be there; each row is compared with it at once, while the next ones are
            on their way.

    Attributes:
        rows: those of items, by kind and key.
        parts: the rows of parts, by item and number.
    """

    __slots__ = ("_right", "_wanted", "parts", "rows")

    def __init__(self, wanted: Sorted) -> None:
        self._wanted = wanted
        self._right: dict[Kind, set[str]] = {kind: set() for kind in Kind}
        self.rows: dict[Kind, dict[str, Known]] = {kind: {} for kind in Kind}
        self.parts: dict[ItemRef, dict[int, Row]] = {}

    def take_rows(self, kind: Kind, page: Iterable[Row]) -> None:
        """Take note of rows of a kind."""
        rows, right, wanted = self.rows[kind], self._right[kind], self._wanted.changes.of(kind)
        for row in page:
            key = row["key"]["S"]
            rows[key] = known = known_of(row)
            item = wanted.get(key)
            if item is not None and known == (item.version, digest_of(item.data), None):
                right.add(key)
            else:
                right.discard(key)

    def take_own(self, page: Iterable[Row]) -> None:
        """Take note of rows of our own namespace."""
        for row in page:
            place = part_of(row["key"]["S"])
            if place is not None:
                ref, at = place
                self.parts.setdefault(ref, {})[at] = row

    def lacks(self) -> dict[ItemRef, SerializedItem]:
        """Return what is not there as it has to be."""
        lacking = {
            ItemRef(kind, key): item
            for kind, right in self._right.items()
            for key, item in self._wanted.changes.of(kind).items()
            if key not in right
        }
        for ref, item in self._wanted.large.items():
            if self._holds_parts(ref, item):
                lacking.pop(ref, None)
            else:
                lacking[ref] = item
        return lacking

    def _holds_parts(self, ref: ItemRef, item: SerializedItem) -> bool:
        """Return whether an item is there in parts, all of them and no others."""
        row, parts = self.rows[ref.kind].get(ref.key), self.parts.get(ref)
        if row is None or parts is None or row.parts != (item.version, len(parts)):
            return False
        is_newer = row.version is not None and row.version > item.version
        is_whole = count_of(parts, item.version) == len(parts)
        return is_whole and not is_newer and known_of(parts[0]).digest == digest_of(item.data)


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
        self.puts = write_order(ChangeSet.partial(existing.lacks()))
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
