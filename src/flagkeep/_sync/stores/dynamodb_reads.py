"""How a store in DynamoDB reads: rows, and for what is too large for one, parts."""

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Final, NamedTuple

from flagkeep._sync.stores.dynamodb_table import UNLIMITED, DynamoDBTable, Limit
from flagkeep.errors import StoreError
from flagkeep.model.item import BadItem, ItemRef, SerializedItem
from flagkeep.storage import dynamodb_parts as parts
from flagkeep.storage.contents import StoreContents, WriterRecord
from flagkeep.storage.dynamodb_contents import NOTHING, Gathering
from flagkeep.storage.dynamodb_layout import (
    Names,
    Place,
    Row,
    can_be_stored,
    item_as_it_is,
    item_of,
    known_of,
    overtaken_by,
    record_in,
)

_TRIES: Final = 3  # to put parts together that somebody is writing at the same time


class Seen(NamedTuple):
    """What is there under one name.

    Attributes:
        row: the row; None if there is none.
        item: what counts: what the row holds, or its parts; None if there is nothing.
        parts: the number of parts that the row names.
    """

    row: Row | None
    item: SerializedItem | BadItem | None
    parts: int = 0


NOTHING_SEEN: Final = Seen(None, None)


class DynamoDBReads:
    """What reads one environment. Any number of calls may run at a time.

    Args:
        table: where it is.
        names: of its rows.
    """

    def __init__(self, table: DynamoDBTable, names: Names) -> None:
        self._table = table
        self._names = names
        self._last = NOTHING

    def get_many(
        self, operation: str, wanted: Iterable[ItemRef], limit: Limit = UNLIMITED
    ) -> dict[ItemRef, SerializedItem]:
        """Return those of `wanted` that are there, tombstones included."""
        seen = self.look(operation, wanted, limit)
        if self._table.has_keys is False:  # single rows can be read all the same
            self.is_initialized(operation, limit)
        found = {}
        for ref, one in seen.items():
            if isinstance(one.item, SerializedItem):
                found[ref] = one.item
            elif one.row is not None:
                found[ref] = item_as_it_is(ref, one.row)
        return found

    def look(
        self, operation: str, wanted: Iterable[ItemRef], limit: Limit = UNLIMITED
    ) -> dict[ItemRef, Seen]:
        """Return what is there of `wanted`, usable or not."""
        places = {
            ref: self._names.item(ref) for ref in dict.fromkeys(wanted) if can_be_stored(ref.key)
        }
        rows = self.rows(operation, list(places.values()), limit)
        return {
            ref: self._put_together(operation, ref, rows[place], limit)
            for ref, place in places.items()
            if place in rows
        }

    def after_doubt(
        self, operation: str, ref: ItemRef, item: SerializedItem, doubt: StoreError
    ) -> Seen:
        """Return what is there after it has become unclear whether `item` was written.

        Raises:
            StoreError: the doubt, if the item is there: what it took the place of is unknown, so
                that it cannot be counted. Everything has to be written again.
        """
        seen = (self.look(operation, [ref])).get(ref, NOTHING_SEEN)
        if seen.item == item:
            raise doubt from None
        return seen

    def rows(
        self, operation: str, places: Sequence[Place], limit: Limit = UNLIMITED
    ) -> dict[Place, Row]:
        """Return those rows that are there."""
        if len(places) != 1:
            return self._table.get_many(operation, places, limit)
        row = self._table.get(operation, places[0], limit)
        return {} if row is None else {places[0]: row}

    def get_all(self, operation: str, limit: Limit = UNLIMITED) -> StoreContents:
        """Return everything. The marker is read first: what it promises is there after it.

        So is the record, which comes once more after the items: together they tell whether somebody
        was replacing everything meanwhile.
        """
        table, gathering, names = self._table, Gathering(self._last), self._names
        first = table.get_many(operation, (names.marker, names.record), limit)
        for kind, namespace in names.namespaces.items():
            take = partial(gathering.take, kind)
            table.pages(operation, table.requests.query, namespace, take, limit)
        table.pages(operation, table.requests.query, names.own, gathering.take_own, limit)
        unsettled = table.work(gathering.settle)
        for ref, one in (self.look(operation, unsettled, limit)).items():
            if one.item is not None:
                gathering.put(ref, one.item)
        self._last = contents = gathering.contents(
            initialized=names.marker in first, record=record_in(first.get(names.record))
        )
        return contents

    def is_initialized(self, operation: str, limit: Limit = UNLIMITED) -> bool:
        """Return whether the marker is there.

        The first time it is asked for so that the keys of the table are seen to be right.
        """
        marker, table = self._names.marker, self._table
        if table.has_keys:
            return table.get(operation, marker, limit) is not None
        rows: list[Row] = []
        query = table.requests.query_one
        table.pages(operation, query, marker.namespace, rows.extend, limit)
        table.has_keys = True
        return bool(rows)

    def record(self, operation: str) -> WriterRecord | None:
        """Return who wrote last."""
        return record_in(self._table.get(operation, self._names.record))

    # --- parts --------------------------------------------------------------------------------

    def _put_together(self, operation: str, ref: ItemRef, row: Row, limit: Limit) -> Seen:
        """Return what a row leads to."""
        seen: Row | None = row
        for _ in range(_TRIES):
            if seen is None:
                return NOTHING_SEEN
            item = item_of(ref.kind, seen)
            overtaken = overtaken_by(seen, item)
            if overtaken is None:
                break
            version, count = overtaken
            whole = self._parts(operation, ref, range(count), limit)
            found = self._table.work(partial(parts.item_of, ref, whole, version))
            if isinstance(found, SerializedItem):
                return Seen(seen, found, count)
            seen = self._table.get(operation, self._names.item(ref), limit)
        if seen is None:
            return NOTHING_SEEN
        named = known_of(seen).parts
        return Seen(seen, item_of(ref.kind, seen), 0 if named is None else named[1])

    def _parts(
        self, operation: str, ref: ItemRef, numbers: Collection[int], limit: Limit
    ) -> dict[int, Row]:
        places = {at: self._names.part(ref, at) for at in numbers}
        rows = self.rows(operation, list(places.values()), limit)
        return {at: rows[place] for at, place in places.items() if place in rows}
