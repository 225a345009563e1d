"""How a store in DynamoDB writes: row by row, as there is no way to write everything at once.

A change is written only if what is there is older; a full set goes over whatever versions there
are. From before its first row until after its last, the record says that it is not whole.
"""

import logging
from collections.abc import Iterable
from functools import partial
from typing import Final

from flagkeep._sync.stores.dynamodb_large import DynamoDBLargeItems
from flagkeep._sync.stores.dynamodb_reads import NOTHING_SEEN, DynamoDBReads, Seen
from flagkeep._sync.stores.dynamodb_records import Signing, Written, sign_changes
from flagkeep._sync.stores.dynamodb_table import ATTEMPTS, DynamoDBTable
from flagkeep._runtime.dynamodb_errors import UNCLEAR, ConditionFailed
from flagkeep.errors import StoreError
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, SerializedItem
from flagkeep.storage.contents import Tally, WriterRecord
from flagkeep.storage.dynamodb_layout import (
    Names,
    Place,
    Row,
    item_of,
    known_of,
    overtaken_by,
    row_of,
)
from flagkeep.storage.dynamodb_plan import Existing, Replacement, Sorted, deletions
from flagkeep.storage.dynamodb_requests import Arguments
from flagkeep.storage.items import is_newer
from flagkeep.storage.ordering import write_order
from flagkeep.storage.unstored import Unstored

log: Final = logging.getLogger("flagkeep.stores.dynamodb")

_BATCHES: Final = 40  # are made before any of them is written: 1,000 rows


class DynamoDBWrites:
    """What changes the rows of one environment. Any number of calls may run at a time.

    Args:
        table: where it is.
        reads: of the same environment.
        names: of its rows.

    Attributes:
        unstored: what has no row, or none that others could read.
    """

    def __init__(self, table: DynamoDBTable, reads: DynamoDBReads, names: Names) -> None:
        self._table = table
        self._reads = reads
        self._names = names
        self.unstored = Unstored()
        self._large = DynamoDBLargeItems(table, reads, names, self.unstored)

    # --- a full set ---------------------------------------------------------------------------

    def replace(self, changes: ChangeSet, record: WriterRecord | None) -> None:
        """Put a full set in the place of everything.

        The rows of items that cannot be stored stay as they are.
        """
        operation = "replace"
        table, names = self._table, self._names
        wanted = self._sorted(changes)
        rows = table.get_many(operation, (names.marker, names.record))
        signing = Signing(table, names.record, record, rows.get(names.record))
        existing = self._existing(operation, wanted)
        plan = table.work(partial(Replacement, names, wanted, existing))
        unwritten = [one.ref for one in wanted.bad]
        is_marked = names.marker in rows
        if plan.puts or plan.deletes or not is_marked:
            signing.begin(operation)
            unwritten += self._carry_out(operation, plan, existing, signing)
            if not is_marked:
                table.put(operation, names.marker.as_key())
        self.unstored.keep_in_parts(wanted.large.keys() - unwritten)
        if record is None:
            signing.forget(operation)
        else:
            signing.end(operation, self._tally(operation, wanted.changes, unwritten))

    def _existing(self, operation: str, wanted: Sorted) -> Existing:
        """Look at what is there, without reading the texts."""
        table, names, existing = self._table, self._names, Existing(wanted)
        for kind, namespace in names.namespaces.items():
            take = partial(existing.take_rows, kind)
            table.pages_from_both_ends(operation, namespace, take)
        table.pages(operation, table.requests.query_known, names.own, existing.take_own)
        return existing

    def _carry_out(
        self, operation: str, plan: Replacement, existing: Existing, signing: Signing
    ) -> list[ItemRef]:
        """Write what is to be written; return what the table has refused."""
        refused = []
        batches: list[list[Arguments]] = []
        for step in plan.steps():
            if isinstance(step, list):
                batches.append(step)
                if len(batches) < _BATCHES:
                    continue
            self._table.write(operation, batches, signing)
            batches = []
            if isinstance(step, list):
                continue
            ref, item = step
            if not self._large.put(operation, ref, item, existing.parts.get(ref, ())):
                refused.append(ref)
            signing.go_on(operation)
        self._table.write(operation, batches, signing)
        return refused

    def _tally(
        self, operation: str, changes: ChangeSet, unwritten: Iterable[ItemRef]
    ) -> Tally:
        """Count what is in the table now."""
        tally = self._table.work(partial(Tally.of_set, changes))
        refs = list(unwritten)
        there = self._reads.look(operation, refs)
        for ref in refs:
            meant = changes.of(ref.kind).get(ref.key)
            if meant is not None:
                tally.remove(ref, meant)
            seen = there.get(ref)
            if seen is not None and isinstance(seen.item, SerializedItem):
                tally.add(ref, seen.item)
        return tally

    # --- single items -------------------------------------------------------------------------

    def upsert(self, changes: ChangeSet) -> dict[ItemRef, SerializedItem]:
        """Write what is newer; return what is there instead of the rest."""
        operation = "upsert"
        wanted = self._sorted(changes)
        items = write_order(wanted.changes)
        if not items:
            return {}
        record = self._table.get(operation, self._names.record)
        refused: dict[ItemRef, SerializedItem] = {}
        written: list[Written] = []
        try:
            for ref, item in items:
                if ref in wanted.large:
                    seen, is_written = self._large.upsert(operation, ref, item)
                    if is_written or seen.parts:
                        self.unstored.keep_in_parts([ref])
                else:
                    seen, is_written = self._put(operation, ref, item)
                if is_written:
                    written.append(Written(ref, seen.item, item))
                elif isinstance(seen.item, SerializedItem):
                    refused[ref] = seen.item
        except StoreError:
            sign_changes(self._table, self._names.record, record, written)
            raise
        sign_changes(self._table, self._names.record, record, written)
        return refused

    def _put(self, operation: str, ref: ItemRef, item: SerializedItem) -> tuple[Seen, bool]:
        """Put a row if what is there is older; return what was there, and whether it was put."""
        row = row_of(self._names.item(ref), item)
        requests = self._table.requests
        seen: Seen | None = None
        for attempt in range(ATTEMPTS):
            if seen is None:
                request = requests.put_if_newer(row)
            elif isinstance(seen.item, SerializedItem) and not is_newer(seen.item, item):
                return seen, False
            else:
                request = requests.put_over(row, seen.row)
            try:
                old = self._table.put_if(operation, request)
            except ConditionFailed as exc:
                row_seen = exc.row
                if attempt:  # what it was before a pause is nothing to go by
                    self._table.pause_after(operation, attempt)
                    row_seen = None
                seen = self._look(operation, ref, row_seen)
                continue
            except UNCLEAR as exc:
                self._table.pause_after(operation, attempt)
                seen = self._reads.after_doubt(operation, ref, item, exc)
                continue
            if seen is None:
                seen = NOTHING_SEEN if old is None else _outranked(ref, old)
            self._large.remove(operation, ref, item.version, range(seen.parts))
            return seen, True
        raise self._table.outpaced(operation)

    def _look(self, operation: str, ref: ItemRef, row: Row | None = None) -> Seen:
        """Return what is there, which a row that is known may say already."""
        if row is not None and known_of(row).parts is None:
            return Seen(row, item_of(ref.kind, row))
        return (self._reads.look(operation, [ref])).get(ref, NOTHING_SEEN)

    # --- everything ---------------------------------------------------------------------------

    def clear(self) -> None:
        """Remove everything."""
        operation = "clear"
        table, names = self._table, self._names
        keys: dict[str, list[str]] = {}
        table.get(operation, names.marker)  # a table with other keys refuses
        for namespace in (*names.namespaces.values(), names.own):
            take = partial(_take_keys, keys.setdefault(namespace, []))
            table.pages(operation, table.requests.query_known, namespace, take)
        places = [Place(namespace, key) for namespace, found in keys.items() for key in found]
        table.write(operation, deletions([names.marker, *places]))

    def _sorted(self, changes: ChangeSet) -> Sorted:
        """Return a change set by what can be done with it, and complain of what cannot."""
        wanted = self._table.work(partial(Sorted, self._names, changes))
        self.unstored.note(changes, wanted.bad)
        for complaint in wanted.bad:
            log.warning("%s: not stored: %s", self._table.label, complaint)
        return wanted


def _take_keys(keys: list[str], page: Iterable[Row]) -> None:
    keys.extend(row["key"]["S"] for row in page)


def _outranked(ref: ItemRef, row: Row) -> Seen:
    """Return what a row held, or of the parts that had overtaken it what counts of them."""
    item = item_of(ref.kind, row)
    overtaken = overtaken_by(row, item)
    if overtaken is None:
        return Seen(row, item)
    version, count = overtaken
    return Seen(row, SerializedItem(version, deleted=False, data=b""), count)
