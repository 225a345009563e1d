"""What one writing transaction does to the tables of a SQLite store; begun and ended elsewhere."""

from collections.abc import Collection
from typing import Final

from flagkeep._runtime.sqlite_connection import Opened
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, SerializedItem
from flagkeep.storage import big_segment_layout
from flagkeep.storage import sqlite_layout as layout
from flagkeep.storage.contents import Tally, WriterRecord
from flagkeep.storage.items import is_newer, item_from_row

_GONE: Final = None  # in the journal: the row of that item is not there any more


class Writing:
    """Collects what changes, for the journal and the record. Made inside the transaction.

    Attributes:
        number_before: of the last change in the journal when the transaction began.
        number_after: the same when it ends.
    """

    def __init__(self, opened: Opened, names: layout.Names, now: float) -> None:
        self._opened = opened
        self._names = names
        self._now = now
        self._changed: list[tuple[ItemRef, int | None]] = []
        self._must_sign = False
        self._epoch = 0
        self.number_before = layout.change_number(opened.number(layout.SELECT_LAST_CHANGE))
        self.number_after = self.number_before

    def replace(self, changes: ChangeSet, record: WriterRecord | None) -> None:
        """Make the tables hold exactly `changes`; rows that are right already are not written."""
        for kind, namespace in self._names.namespaces.items():
            rows = self._opened.execute(layout.SELECT_KIND, (namespace,))
            existing = {key: (version, data) for key, version, data in rows}
            for key, item in changes.of(kind).items():
                if existing.pop(key.encode(), None) != (item.version, item.data):
                    self._put(ItemRef(kind, key), item)
            for name in existing:
                self._opened.execute(layout.DELETE_ITEM, (namespace, name))
                key = name.decode(errors="backslashreplace")
                self._changed.append((ItemRef(kind, key), _GONE))
        marked = self._opened.execute(layout.PUT_MARKER, self._names.marker_row).rowcount
        self._must_sign = bool(marked) or record is not None
        self._sign_replace(changes, record)

    def upsert(self, changes: ChangeSet) -> dict[ItemRef, SerializedItem]:
        """Write what is newer; return what is there in the place of the rest."""
        record = self._record()
        tally = Tally.of_record(record) if record else Tally()
        refused = {}
        for ref, item in changes.items():
            existing = self._existing(ref)
            if not is_newer(existing, item):
                refused[ref] = existing
                continue
            if existing is not None:
                tally.remove(ref, existing)
            tally.add(ref, item)
            self._put(ref, item)
        if record is not None and self._changed:
            self._put_record(record.after_change(tally, self._now))
        return {ref: item for ref, item in refused.items() if item is not None}

    def clear(self) -> None:
        """Make the tables hold nothing of this environment, not even the marker."""
        self.replace(ChangeSet(full=True), None)
        self._opened.execute(layout.DELETE_ITEM, self._names.marker_row)
        self._must_sign = True

    def put_membership(
        self, context_hash: str, included: Collection[str], excluded: Collection[str]
    ) -> None:
        """Make the tables say of one context exactly this."""
        whose = (self._names.prefix, context_hash)
        self._opened.execute(big_segment_layout.DELETE_MEMBERSHIP, whose)
        for names, is_in in ((excluded, 0), (included, 1)):
            for name in names:
                self._opened.execute(big_segment_layout.PUT_MEMBER, (*whose, name, is_in))
        self._must_sign = True  # a commit without a journal row lets readers check every flag

    def set_synchronized_on(self, ms: int | None) -> None:
        """Make the tables say that Big Segments were complete then; None: never."""
        prefix = self._names.prefix
        if ms is None:
            self._opened.execute(big_segment_layout.DELETE_TIME, (prefix,))
        else:
            self._opened.execute(big_segment_layout.PUT_TIME, (prefix, str(ms)))
        self._must_sign = True

    def finish(self) -> None:
        """Add the journal row, if anything was written."""
        if not self._changed and not self._must_sign:
            return
        self.number_after, entry = layout.journal_row(
            self.number_before, self._names.prefix, self._changed, epoch=self._epoch
        )
        self._opened.execute(layout.PUT_CHANGE, (layout.change_key(self.number_after), entry))
        oldest = self.number_after - layout.JOURNAL_LENGTH
        if oldest > 0:
            self._opened.execute(layout.FORGET_CHANGES, (layout.change_key(oldest),))

    def _put(self, ref: ItemRef, item: SerializedItem) -> None:
        values = (self._names.namespaces[ref.kind], ref.key, item.version, item.data)
        self._opened.execute(layout.PUT_ITEM, values)
        self._changed.append((ref, item.version))

    def _existing(self, ref: ItemRef) -> SerializedItem | None:
        """A row that cannot be read protects nothing: anything may take its place."""
        values = (self._names.namespaces[ref.kind], ref.key)
        row = self._opened.execute(layout.SELECT_ITEM, values).fetchone()
        item = item_from_row(ref.kind, ref.key, *row) if row else None
        return item if isinstance(item, SerializedItem) else None

    def _record(self) -> WriterRecord | None:
        row = self._opened.execute(layout.SELECT_RECORD, (self._names.prefix,)).fetchone()
        record = WriterRecord.decode(row[0]) if row else None
        self._epoch = record.epoch if record else 0
        return record

    def _put_record(self, record: WriterRecord) -> None:
        self._opened.execute(layout.PUT_RECORD, (self._names.prefix, record.encode()))

    def _sign_replace(self, changes: ChangeSet, record: WriterRecord | None) -> None:
        previous = self._record()
        if record is None:
            self._must_sign |= previous is not None
            self._opened.execute(layout.DELETE_RECORD, (self._names.prefix,))
            return
        self._epoch = record.epoch
        tally = Tally()
        for ref, item in changes.items():
            tally.add(ref, item)
        self._put_record(record.after_replace(previous, tally, self._now))
