"""Items that are too large for a row of DynamoDB, as flagkeep alone keeps them (section 17).

The text is packed by gzip and cut; each part is a row with the version and the number of parts, and
a digest of the text. The row of the item, which other SDKs read, stays as it was: the last version
that fitted. It is told in two attributes that it was overtaken. If there was no row, or a newer one
that is true no more, there is a tombstone instead, so that other SDKs see no flag.

Parts count only if that row names them, and all of them are there. So whoever deletes the row or
puts another in its place, for us too has done just that.

All of it is written in one transaction, unless it is too much for one. Then the part with the
number 0 and the row come last.
"""

import zlib
from binascii import a2b_base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from flagkeep.model.item import BadItem, ItemRef, SerializedItem
from flagkeep.model.tombstone import tombstone
from flagkeep.storage.dynamodb_layout import (
    KEY_BYTES,
    MOST_PARTS,
    Names,
    Row,
    digest_of,
    known_of,
    number,
    row_of,
)
from flagkeep.storage.dynamodb_requests import Arguments, as_seen
from flagkeep.storage.items import item_from_row

PART_BYTES: Final = 380 * 1024
# A transaction takes 4 MB, the row of the item included, as it is and as it will be.
PARTS_PER_TRANSACTION: Final = 8
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


def count_of(parts: Parts, version: int) -> int | None:
    """Return how many parts there are if all of one text of this version are there; else None."""
    said = _said_by(parts.get(0))
    count = said[1]
    if said[0] != version or count is None or not 0 < count <= MOST_PARTS:
        return None
    return count if all(_said_by(parts.get(at)) == said for at in range(count)) else None


def _said_by(part: Row | None) -> tuple[int | None, int | None, str | None]:
    """Return version, number and digest of all parts, as one of them says."""
    if part is None:
        return None, None, None
    return number(part, "version"), number(part, "parts"), known_of(part).digest


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
        self._ref = ref
        self._place = names.item(ref)
        self._version = item.version
        self._named = {
            "partsVersion": {"N": str(item.version)},
            "parts": {"N": str(len(pieces))},
        }
        said = {
            "version": {"N": str(item.version)},
            "parts": {"N": str(len(pieces))},
            "digest": {"S": digest_of(item.data)},
        }
        self._rows = [
            {**names.part(ref, at).as_key(), **said, "item": {"B": piece}}
            for at, piece in enumerate(pieces)
        ]
        self.count = len(pieces)

    def transactions(
        self, table: str, seen: Row | None, *, keep_newer: bool
    ) -> Iterator[Arguments]:
        """Yield what puts the parts, and names them in the item's row if that is what was seen.

        Args:
            table: its name.
            seen: the item's row; None: there was none.
            keep_newer: whether newer parts stay, of somebody who may be about to name them. The
                last transaction, which is nearly always the only one, does not care: all that
                matters there is the item's row.
        """
        unless_newer = _unless_newer(self._version) if keep_newer else {}
        puts = [{"TableName": table, "Item": row} for row in reversed(self._rows)]
        last = max(0, len(puts) - PARTS_PER_TRANSACTION)
        for at in range(0, last, PARTS_PER_TRANSACTION):
            some = puts[at : min(at + PARTS_PER_TRANSACTION, last)]
            yield {"TransactItems": [{"Put": {**put, **unless_newer}} for put in some]}
        yield {"TransactItems": [*({"Put": put} for put in puts[last:]), self._naming(table, seen)]}

    def _naming(self, table: str, seen: Row | None) -> Arguments:
        """Return what says in the item's row that it was overtaken."""
        condition, names, values = as_seen(seen)
        on = {
            "TableName": table,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
            **({"ExpressionAttributeValues": values} if values else {}),
        }
        version = None if seen is None else known_of(seen).version
        if seen is None or (version is not None and version > self._version):
            gone = row_of(self._place, tombstone(*self._ref, self._version))
            return {"Put": {**on, "Item": gone | self._named}}
        on["Key"] = self._place.as_key()
        on["UpdateExpression"] = "SET #w = :version, #p = :parts"
        on["ExpressionAttributeNames"] = {**names, "#w": "partsVersion", "#p": "parts"}
        on["ExpressionAttributeValues"] = {
            **values,
            ":version": self._named["partsVersion"],
            ":parts": self._named["parts"],
        }
        return {"Update": on}


def _unless_newer(version: int) -> Arguments:
    """Return the condition that what is there is not newer; so much may be tried again."""
    return {
        "ConditionExpression": "NOT attribute_type(#v, :n) OR #v <= :v",
        "ExpressionAttributeNames": {"#v": "version"},
        "ExpressionAttributeValues": {":n": {"S": "N"}, ":v": {"N": str(version)}},
    }
