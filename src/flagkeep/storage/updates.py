"""Texts of items in stores that keep an item as one text: what is found, and what is to be written.

Versions are in the texts only there, as in Redis and Consul.
"""

from collections.abc import Collection, Mapping

from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, SerializedItem
from flagkeep.storage.contents import Tally, WriterRecord
from flagkeep.storage.items import is_newer, item_from_row, row_as_it_is

Texts = Mapping[ItemRef, bytes | None]


def can_be_stored(text: str) -> bool:
    """Return whether a text has a UTF-8 form: one with a lone surrogate has none."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def found_items(texts: Texts) -> dict[ItemRef, SerializedItem]:
    """Return what is there; an unreadable text is handed on as it is."""
    return {
        ref: row_as_it_is(ref.kind, ref.key, None, text)
        for ref, text in texts.items()
        if text is not None
    }


def without(changes: ChangeSet, refs: Collection[ItemRef]) -> ChangeSet:
    """Return `changes` without these items."""
    kept = {ref: item for ref, item in changes.items() if ref not in refs}
    return ChangeSet.partial(kept)


class Update:
    """What remains of a partial change set, given what the store holds.

    Attributes:
        items: what is to be written, each with the text that it takes the place of.
        refused: what the store holds in the place of the others.
        old_record: the text of the record that was read; None if there is none.
        record: the text of the record to write; None if there is none to keep.
    """

    __slots__ = ("items", "old_record", "record", "refused")

    def __init__(
        self, changes: ChangeSet, texts: Texts, old_record: bytes | None, now: float
    ) -> None:
        record = WriterRecord.decode(old_record)
        tally = Tally.of_record(record) if record else Tally()
        self.items: dict[ItemRef, tuple[bytes | None, SerializedItem]] = {}
        self.refused: dict[ItemRef, SerializedItem] = {}
        for ref, item in changes.items():
            text = texts.get(ref)
            existing = _usable(ref, text)
            if existing is not None and not is_newer(existing, item):
                self.refused[ref] = existing
                continue
            if existing is not None:
                tally.remove(ref, existing)
            tally.add(ref, item)
            self.items[ref] = (text, item)
        self.old_record = old_record
        self.record = record.after_change(tally, now).encode() if record else None


def _usable(ref: ItemRef, text: bytes | None) -> SerializedItem | None:
    """Return what a row holds; one that cannot be read protects nothing."""
    if text is None:
        return None
    item = item_from_row(ref.kind, ref.key, None, text)
    return item if isinstance(item, SerializedItem) else None
