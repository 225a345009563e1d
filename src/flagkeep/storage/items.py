"""Stored items: reading any row, which of two states is newer.

Rows are written by SDKs in many languages, and by hand. A row is never trusted to be well formed,
and one that is not never hides the others (stores spec, sections 2.2, 2.3 and 16).
"""

import re
from typing import Final

from flagkeep.errors import InvalidItem
from flagkeep.model.changeset import ChangeSet, Items
from flagkeep.model.codec import decode_head
from flagkeep.model.item import BadItem, Kind, SerializedItem

MAX_VERSION: Final = 2**63 - 1

_DELETED: Final = b'"deleted"'
_FALSE: Final = re.compile(rb"\s*:\s*false")
_NULL: Final = b"null"


def is_newer(existing: SerializedItem | None, candidate: SerializedItem) -> bool:
    """Return whether `candidate` may take the place of `existing`.

    Strictly greater wins; a tombstone counts with its own version (stores spec, section 1).
    """
    return existing is None or candidate.version > existing.version


def item_from_row(kind: Kind, key: str, version: object, data: object) -> SerializedItem | BadItem:
    """Return what a row holds, or why it cannot be used.

    The text is not parsed as long as nothing in it speaks of deletion, so a broken inside of an
    otherwise whole object is found when somebody opens the item.

    Args:
        kind: by the row's namespace.
        key: of the row; the one in the text does not count.
        version: the row's column; the text is asked only where this is no number.
        data: the row's text. `null` is how Java and .NET write a tombstone.
    """
    if not isinstance(data, bytes):
        return BadItem(kind, key, "$", "the row holds no text")
    if isinstance(version, int) and _is_plainly_live(data):
        return SerializedItem(version, deleted=False, data=data)
    text = data.strip()
    if text == _NULL and isinstance(version, int):
        return SerializedItem(version, deleted=True, data=data)
    if not text.startswith(b"{"):
        return BadItem(kind, key, "$", "it is empty" if not text else "it is not a JSON object")
    try:
        head = decode_head(kind, key, data)
    except InvalidItem as exc:
        return BadItem(kind, key, exc.path, exc.problem)
    return SerializedItem(version if isinstance(version, int) else head[0], head[1], data)


def row_as_it_is(kind: Kind, key: str, version: object, data: object) -> SerializedItem:
    """Return what a row holds even if it cannot be used: whoever opens it finds out and names it.

    For reads of single items. To leave the item out would say that it was deleted, and its last
    good version would be dropped.
    """
    item = item_from_row(kind, key, version, data)
    if isinstance(item, SerializedItem):
        return item
    number = version if isinstance(version, int) else 0
    return SerializedItem(number, deleted=False, data=data if isinstance(data, bytes) else b"")


def _is_plainly_live(data: bytes) -> bool:
    """Return whether the outside is that of an object and `deleted` occurs once at most, as false.

    Five times cheaper than parsing the head, which matters for 10,000 rows.
    """
    if data[:1] != b"{" or data[-1:] != b"}":
        return False
    place = data.find(_DELETED)
    if place < 0:
        return True
    after = place + len(_DELETED)
    if data[after : after + 6] != b":false" and not _FALSE.match(data, after):
        return False
    return data.find(_DELETED, after) < 0


def without_unstorable(changes: ChangeSet) -> tuple[ChangeSet, tuple[BadItem, ...]]:
    """Return `changes` without what no database can take, and a complaint for each such item.

    Keys with lone surrogates have no UTF-8 form, and versions over 63 bits no column.
    """
    bad = tuple(
        BadItem(kind, key, path, problem)
        for kind in Kind
        for key, item in changes.of(kind).items()
        for path, problem in _obstacles(key, item)
    )
    if not bad:
        return changes, ()
    refused = {complaint.ref for complaint in bad}

    def rest(kind: Kind) -> Items:
        return {key: one for key, one in changes.of(kind).items() if (kind, key) not in refused}

    flags, segments = rest(Kind.FLAG), rest(Kind.SEGMENT)
    kept = ChangeSet(
        full=changes.full,
        flags=flags,
        segments=segments,
        selector=changes.selector,
        bad=(*changes.bad, *bad),
    )
    return kept, bad


def _obstacles(key: str, item: SerializedItem) -> list[tuple[str, str]]:
    found = []
    if not key.isascii():
        try:
            key.encode()
        except UnicodeEncodeError:
            found.append(("$.key", "a key with a lone surrogate cannot be stored"))
    if not -MAX_VERSION <= item.version <= MAX_VERSION:
        found.append(("$.version", "a version over 63 bits cannot be stored"))
    return found
