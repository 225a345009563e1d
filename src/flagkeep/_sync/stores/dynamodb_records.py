"""How a store in DynamoDB says who wrote last: one row, changed only by who has seen it.

It is written in a request of its own. So it may tell for a moment of another state than the rows
have, and it goes on doing so if its writer is killed between the two.
"""

import logging
from collections.abc import Collection
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple

from flagkeep._sync.stores.dynamodb_table import DynamoDBTable
from flagkeep._runtime import threads as runtime
from flagkeep.errors import StoreError
from flagkeep.model.item import BadItem, ItemRef, SerializedItem
from flagkeep.storage.contents import Tally, WriterRecord
from flagkeep.storage.dynamodb_layout import Place, Row, record_in, record_row

log: Final = logging.getLogger("flagkeep.stores.dynamodb")

_SIGNED_AFTER: Final = 15.0  # seconds: whoever says nothing for a minute is taken for dead


class Written(NamedTuple):
    """One item that was written, and what it took the place of."""

    ref: ItemRef
    old: SerializedItem | BadItem | None
    new: SerializedItem


class Signing:
    """The record of one full replace.

    Args:
        table: where it is.
        place: of the record's row.
        record: who writes; None: nobody says.
        row: the record's row as it is.
    """

    def __init__(
        self, table: DynamoDBTable, place: Place, record: WriterRecord | None, row: Row | None
    ) -> None:
        self._table = table
        self._place = place
        self._record = record
        self._previous = record_in(row)
        self._row = row
        self._signed_at = runtime.monotonic()

    def begin(self, operation: str) -> None:
        """Say that what is in the table is not whole any more."""
        if self._record is None:
            self.forget(operation)
            return
        begun = self._record.before_replace(self._previous)
        self._row = record_row(self._place, begun, self._row)
        self._table.put(operation, self._row)

    def go_on(self, operation: str) -> None:
        """Say now and then that it is still going on; it does so even where that cannot be said."""
        now = runtime.monotonic()
        if self._record is None or now - self._signed_at < _SIGNED_AFTER:
            return
        self._signed_at = now
        with suppress(StoreError):
            put = self._table.amend(operation, self._place, self._row, self._signed_again)
            self._row = put or self._row

    def _signed_again(self, row: Row | None) -> Row | None:
        there = record_in(row)
        if self._record is None or there is None:
            return None
        is_ours = there.replacing and there.writer == self._record.writer
        return record_row(self._place, there.amid_replace(), row) if is_ours else None

    def end(self, operation: str, tally: Tally) -> None:
        """Say what is there now, unless somebody else has begun to write everything."""
        if self._record is not None:
            done = self._record.after_replace(self._previous, tally, runtime.wall_time())
            sign = partial(self._signed, done)
            self._table.amend(operation, self._place, self._row, sign)

    def _signed(self, done: WriterRecord, row: Row | None) -> Row | None:
        other = None if row is self._row else record_in(row)
        is_taken = other is not None and other.replacing and other.writer != done.writer
        return None if is_taken else record_row(self._place, done, row)

    def forget(self, operation: str) -> None:
        """Remove the record."""
        if self._row is not None:
            self._row = None
            self._table.delete(operation, self._place)


def sign_changes(
    table: DynamoDBTable, place: Place, row: Row | None, written: Collection[Written]
) -> None:
    """Count changes into the record, if there is one.

    They are there already. So it is no error if the record cannot be written, or if others write it
    all the time: it says until the next full set that it does not count everything.

    Args:
        table: where it is.
        place: of the record's row.
        row: that row, as it was.
        written: the changes.
    """

    def signed(row: Row | None) -> Row | None:
        record = record_in(row)
        if record is None:
            return None
        tally = Tally.of_record(record)
        for ref, old, new in written:
            if isinstance(old, SerializedItem):
                tally.remove(ref, old)
            tally.add(ref, new)
        return record_row(place, record.after_change(tally, now), row)

    now = runtime.wall_time()
    if not written:
        return
    try:
        table.amend("upsert", place, row, signed)
    except StoreError as exc:
        log.info("%s: the record does not count the last change: %s", table.label, exc.reason)
