"""How an environment lies in a table of DynamoDB (stores spec, sections 4 and 17): names and rows.

A namespace per kind, whose rows are the items; a marker row that says by being there that a full
set was written. The namespace `$flagkeep` is ours alone: its row `record` says who wrote last, and
items that are too large for a row lie there in parts (see `dynamodb_parts`).

Rows of items have attributes that no other SDK reads, and that anybody else drops who puts another
row in their place:

- `digest`, of the text: a full set is compared with what is there without reading the texts.
- `partsVersion` and `parts`, their number, if the row has been overtaken by parts. What was written
  last counts, so a row without them says that nothing has; one read of it is enough to know.

Rows are as boto3's client takes and returns them: `{"version": {"N": "1"}}`.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

from flagkeep.errors import ConfigError
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem
from flagkeep.storage.contents import WriterRecord
from flagkeep.storage.items import item_from_row, row_as_it_is, without_unstorable

Row = Mapping[str, Mapping[str, Any]]
Key = dict[str, dict[str, str]]

KEY_BYTES: Final = 1024
MOST_PARTS: Final = 1000  # of one item; more is nonsense that somebody else wrote
_NAMESPACE_BYTES: Final = 2048
# The service takes 409,600 bytes. What is estimated is more than it counts, and a row must still
# have room for the attributes that are ours alone.
ROW_BYTES: Final = 409_000
# Whatever its names are, a text of this size fits.
SURELY_FITS: Final = ROW_BYTES // 2
_ROW_OVERHEAD: Final = 100 + len("namespace" + "key" + "version" + "item")

_NAMES: Final = {Kind.FLAG: "features", Kind.SEGMENT: "segments"}
_KINDS: Final = {name: kind for kind, name in _NAMES.items()}
RECORD: Final = "record"  # its key among what is ours alone


class Place(NamedTuple):
    """One row of the table."""

    namespace: str
    key: str

    def as_key(self) -> Key:
        """Return the primary key."""
        return {"namespace": {"S": self.namespace}, "key": {"S": self.key}}


class Known(NamedTuple):
    """What is known of a row without its text.

    Attributes:
        version: None if it has none, or one that is no number.
        digest: of the text; None if somebody else has written it.
        parts: version and number of the parts that have overtaken it; None if there are none.
    """

    version: int | None
    digest: str | None = None
    parts: tuple[int, int] | None = None


class Names:
    """What the rows of one environment are called.

    Raises:
        ConfigError: the prefix cannot be a part of a name.
    """

    __slots__ = ("marker", "namespaces", "own", "prefix", "record")

    def __init__(self, prefix: str) -> None:
        check_prefix(prefix)
        start = f"{prefix}:" if prefix else ""
        self.prefix = prefix
        self.namespaces = {kind: start + name for kind, name in _NAMES.items()}
        self.marker = Place(f"{start}$inited", f"{start}$inited")
        self.own = f"{start}$flagkeep"
        self.record = Place(self.own, RECORD)

    def item(self, ref: ItemRef) -> Place:
        """Return where an item lies."""
        return Place(self.namespaces[ref.kind], ref.key)

    def part(self, ref: ItemRef, at: int) -> Place:
        """Return where a part of an item lies that is too large for a row."""
        return Place(self.own, f"{_NAMES[ref.kind]}/{ref.key}#{at}")

    def has_room_for(self, ref: ItemRef, item: SerializedItem) -> bool:
        """Return whether an item fits into a row."""
        place = self.item(ref)
        names = len(place.namespace.encode()) + len(place.key.encode())
        size = _ROW_OVERHEAD + names + len(str(item.version)) + len(item.data)
        return size <= ROW_BYTES


def part_of(key: str) -> tuple[ItemRef, int] | None:
    """Return which item a row of our own namespace is a part of, and which; None for others."""
    name, slash, rest = key.partition("/")
    item_key, _, number = rest.rpartition("#")
    if not slash or name not in _KINDS or not (number.isascii() and number.isdigit()):
        return None
    return ItemRef(_KINDS[name], item_key), int(number)


# --- what can be stored ---------------------------------------------------------------------------


def check_prefix(prefix: object) -> None:
    """Check a prefix.

    Raises:
        ConfigError: it is no text, has a lone surrogate, or is too long.
    """
    if not isinstance(prefix, str) or not _is_utf8(prefix):
        raise ConfigError(f"prefix must be text without lone surrogates, not {prefix!r}")
    longest = _NAMESPACE_BYTES - len(":big_segments_metadata")
    if len(prefix.encode()) > longest:
        raise ConfigError(f"prefix must have at most {longest} bytes in UTF-8")


def can_be_stored(key: str) -> bool:
    """Return whether there can be an item of this name: if not, it need not be looked for."""
    return _key_problem(key) is None


def _key_problem(key: str) -> str | None:
    if key and len(key) <= KEY_BYTES // 4 and key.isascii():
        return None
    if not key:
        return "DynamoDB takes no empty key"
    if not _is_utf8(key):
        return "a key with a lone surrogate cannot be stored"
    if len(key.encode()) > KEY_BYTES:
        return f"DynamoDB takes keys of up to {KEY_BYTES} bytes"
    return None


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def storable(changes: ChangeSet) -> tuple[ChangeSet, tuple[BadItem, ...]]:
    """Return `changes` without what no row can take, and a complaint for each such item."""
    kept, bad = without_unstorable(changes)
    ours = [
        BadItem(kind, key, *problem)
        for kind in Kind
        for key, item in kept.of(kind).items()
        if (problem := _problem(key, item)) is not None
    ]
    if not ours:
        return kept, bad
    refused = {one.ref for one in ours}
    rest = {ref: item for ref, item in kept.items() if ref not in refused}
    whole = ChangeSet.partial(rest)
    return ChangeSet(full=changes.full, flags=whole.flags, segments=whole.segments), (*bad, *ours)


def _problem(key: str, item: SerializedItem) -> tuple[str, str] | None:
    problem = _key_problem(key)
    if problem is not None:
        return "$.key", problem
    if not item.data.isascii():
        try:
            item.data.decode()
        except UnicodeDecodeError:
            return "$", "DynamoDB takes UTF-8 only, and the text is something else"
    return None


# --- rows -----------------------------------------------------------------------------------------


def row_of(place: Place, item: SerializedItem) -> dict[str, dict[str, Any]]:
    """Return the row of an item."""
    return {
        **_row(place, item.version, item.data),
        "digest": {"S": digest_of(item.data)},
    }


def record_row(place: Place, record: WriterRecord, last: Row | None) -> dict[str, dict[str, Any]]:
    """Return the row of a record that takes the place of another; its versions count the writes."""
    written = 0 if last is None else number(last, "version") or 0
    return _row(place, written + 1, record.encode())


def _row(place: Place, version: int, data: bytes) -> dict[str, dict[str, Any]]:
    return {**place.as_key(), "version": {"N": str(version)}, "item": {"S": data.decode()}}


def digest_of(data: bytes) -> str:
    """Return 16 hexadecimal digits that another text does not have."""
    from hashlib import blake2b  # noqa: PLC0415  only writers need it, and it costs 2 ms

    return blake2b(data, digest_size=8).hexdigest()


def record_in(row: Row | None) -> WriterRecord | None:
    """Return the record in its row; None if there is none."""
    return None if row is None else WriterRecord.decode(text(row))


def item_of(kind: Kind, row: Row) -> SerializedItem | BadItem:
    """Return what a row of a kind holds, or why it cannot be used."""
    return item_from_row(kind, row["key"]["S"], number(row, "version"), text(row))


def item_as_it_is(ref: ItemRef, row: Row) -> SerializedItem:
    """Return what a row holds even if it cannot be used."""
    return row_as_it_is(*ref, number(row, "version"), text(row))


def number(row: Row, name: str) -> int | None:
    """Return a whole number in a row; None if there is none."""
    attribute = row.get(name)
    digits = None if attribute is None else attribute.get("N")
    if digits is None:
        return None
    try:
        return int(digits)
    except ValueError:
        return _from_decimal(digits)


def _from_decimal(digits: str) -> int | None:
    """Return what `1.0` and `1E+3` stand for; other clients may write numbers so."""
    try:
        value = Decimal(digits)
        return int(value) if value == value.to_integral_value() else None
    except (InvalidOperation, OverflowError):  # a NaN, infinity, or no number at all
        return None


def text(row: Row) -> bytes | None:
    """Return the text in a row; None if there is none."""
    attribute = row.get("item")
    found = None if attribute is None else attribute.get("S")
    return None if found is None else found.encode("utf-8", "surrogatepass")


def known_of(row: Row) -> Known:
    """Return what a row says of itself beside its text."""
    digest, parts = row.get("digest", {}).get("S"), None
    if "partsVersion" in row:
        version, count = number(row, "partsVersion"), number(row, "parts")
        if version is not None and count is not None and 0 < count <= MOST_PARTS:
            parts = (version, count)
    return Known(number(row, "version"), digest, parts)


def overtaken_by(row: Row, item: SerializedItem | BadItem) -> tuple[int, int] | None:
    """Return version and number of the parts that outrank a row; None if it speaks for itself.

    A version that only its text has does not count: whoever named the parts has not seen it.
    """
    known = known_of(row)
    if known.parts is None or not isinstance(item, SerializedItem) or known.version is None:
        return known.parts
    return None if known.parts[0] < known.version else known.parts
