"""Items that are too large for a row of DynamoDB, as flagkeep alone keeps them (section 17).

The text is packed by gzip and cut; each part is a row with the version and the number of parts. The
row of the item, which other SDKs read, stays as it was: the last version that fitted. It is told in
two attributes that it was overtaken. Parts count only if all of them are there with one version,
and the row either names that version as newer than its own, or is not there at all.

All of it is written in one transaction, unless it is too much for one. Then the part with the
number 0 and the row come last.
"""

import zlib
from binascii import a2b_base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from flagkeep.model.item import BadItem, ItemRef, SerializedItem
from flagkeep.storage.dynamodb_layout import (
    KEY_BYTES,
    MOST_PARTS,
    Arguments,
    Names,
    Place,
    Row,
    as_seen,
    number,
)
from flagkeep.storage.items import item_from_row

PART_BYTES: Final = 380 * 1024
# A transaction takes 4 MiB, the row of the item included, as it is and as it will be.
PARTS_PER_TRANSACTION: Final = 9
_LARGEST_TEXT: Final = 256 * 1024 * 1024  # bytes; more is a mistake, or an attack
_GZIP: Final = 31  # what zlib calls it

Parts = Mapping[int, Row]
"""Rows of parts by their numbers."""


def cut(data: bytes) -> list[bytes]:
    """Return a text as parts."""
    packed = zlib.compress(data, wbits=_GZIP)
    return [packed[at : at + PART_BYTES] for at in range(0, len(packed), PART_BYTES)]


def joined(parts: Sequence[bytes]) -> bytes | None:
    """Return the text that was cut; None if that cannot be."""
    unpacking = zlib.decompressobj(wbits=_GZIP)
    try:
        found = unpacking.decompress(b"".join(parts), _LARGEST_TEXT)
    except zlib.error:
        return None
    return found if unpacking.eof else None


def can_be_cut(names: Names, ref: ItemRef, item: SerializedItem) -> bool:
    """Return whether an item can be kept in parts: they have longer names than rows."""
    longest = names.part(ref, MOST_PARTS).key
    return len(longest.encode()) <= KEY_BYTES and len(item.data) <= _LARGEST_TEXT


def number_said_by(row: Row | None) -> int:
    """Return how many parts there may be, as a row says that is one or was overtaken by them."""
    count = None if row is None else number(row, "parts")
    return count if count is not None and 0 < count <= MOST_PARTS else 0


def count_of(parts: Parts, version: int) -> int | None:
    """Return how many parts there are if all of this version are there, and None if not."""
    first = parts.get(0)
    said = None if first is None else said_by(first)
    if said is None or said[0] != version:
        return None
    rows = map(parts.get, range(said[1]))
    return said[1] if all(row is not None and said_by(row) == said for row in rows) else None


def said_by(first: Row) -> tuple[int, int] | None:
    """Return version and number of all parts, as the first one says."""
    version, count = number(first, "version"), number_said_by(first)
    return None if version is None or not count else (version, count)


def item_of(ref: ItemRef, parts: Parts, version: int) -> SerializedItem | BadItem | None:
    """Return the item that these are the parts of; None unless all of this version are there."""
    count = count_of(parts, version)
    if count is None:
        return None
    pieces = [_bytes(parts[place]) for place in range(count)]
    data = joined([piece for piece in pieces if piece is not None])
    if data is None:
        return BadItem(*ref, "$", "its parts cannot be unpacked")
    return item_from_row(*ref, version, data)


def _bytes(row: Row) -> bytes | None:
    """Return what is in a part; it may still be as it travels."""
    attribute = row.get("item")
    found = None if attribute is None else attribute.get("B")
    if isinstance(found, str):
        try:
            return a2b_base64(found, strict_mode=True)
        except ValueError:
            return None
    return found if isinstance(found, bytes) else None


# --- writing --------------------------------------------------------------------------------------


class Cut:
    """A text cut into parts, and what puts them into a table.

    Args:
        names: of the environment.
        ref: of the item.
        item: what is too large for a row.
    """

    def __init__(self, names: Names, ref: ItemRef, item: SerializedItem) -> None:
        pieces = cut(item.data)
        self._place = names.item(ref)
        self._version = {"N": str(item.version)}
        self._count = {"N": str(len(pieces))}
        self._rows = [self._row(names.part(ref, at), piece) for at, piece in enumerate(pieces)]
        self.count = len(pieces)

    def _row(self, place: Place, piece: bytes) -> Row:
        return {
            **place.as_key(),
            "version": self._version,
            "parts": self._count,
            "item": {"B": piece},
        }

    def transactions(
        self, table: str, then: Sequence[Arguments], condition: Arguments | None = None
    ) -> Iterator[Arguments]:
        """Yield what puts the parts, and does the rest.

        Args:
            table: its name.
            then: what to do in the last transaction, which is nearly always the only one.
            condition: for every part.
        """
        puts = [
            {"Put": {"TableName": table, "Item": row, **(condition or {})}}
            for row in reversed(self._rows)
        ]
        last = max(0, len(puts) - PARTS_PER_TRANSACTION)
        for at in range(0, last, PARTS_PER_TRANSACTION):
            yield {"TransactItems": puts[at : min(at + PARTS_PER_TRANSACTION, last)]}
        yield {"TransactItems": [*puts[last:], *then]}

    def unless_newer(self) -> Arguments:
        """Return the condition that what is there is not newer; so much may be tried again."""
        return {
            "ConditionExpression": "NOT attribute_type(#v, :n) OR #v <= :v",
            "ExpressionAttributeNames": {"#v": "version"},
            "ExpressionAttributeValues": {":n": {"S": "N"}, ":v": self._version},
        }

    def mark(self, table: str, seen: Row | None) -> Arguments:
        """Return what says in the item's row that it was overtaken, if it is what was seen."""
        condition, names, values = as_seen(seen)
        target = {"TableName": table, "Key": self._place.as_key()}
        if seen is None:
            check = {**target, "ConditionExpression": condition, "ExpressionAttributeNames": names}
            return {"ConditionCheck": check}
        return {
            "Update": {
                **target,
                "ConditionExpression": condition,
                "UpdateExpression": "SET #w = :version, #p = :parts",
                "ExpressionAttributeNames": {**names, "#w": "partsVersion", "#p": "parts"},
                "ExpressionAttributeValues": {
                    **values,
                    ":version": self._version,
                    ":parts": self._count,
                },
            }
        }

    def removal(self, table: str) -> Arguments:
        """Return what deletes the item's row, where it is no older than the parts."""
        return {"Delete": {"TableName": table, "Key": self._place.as_key()}}
