"""Items as an upstream sends them: checked whole, kept as they came.

What is wrong inside of one item keeps that item out and never hides the others (data model spec,
section 4).
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from flagkeep.errors import InvalidItem
from flagkeep.model.codec import to_item
from flagkeep.model.flag import Clause, Flag, FlagRule
from flagkeep.model.item import BadItem, Kind, SerializedItem
from flagkeep.model.segment import Segment, SegmentRule

Texts = Mapping[str, msgspec.Raw | bytes]
"""JSON text by key."""

# An item whose values have a few levels at most, as nearly all: that it is not nested too deeply
# need not be looked at again.
_Scalar = str | float | int | bool | None
_Flat = _Scalar | list[_Scalar] | dict[str, _Scalar]
_Shallow = _Scalar | list[_Flat] | dict[str, _Flat]


class _FlatClause(Clause, frozen=True):
    values: list[_Scalar] = msgspec.field(default_factory=list)


class _FlatFlagRule(FlagRule, frozen=True):
    clauses: list[_FlatClause] = msgspec.field(default_factory=list)  # type: ignore[assignment]  # frozen: nobody appends


class _FlatSegmentRule(SegmentRule, frozen=True):
    clauses: list[_FlatClause] = msgspec.field(default_factory=list)  # type: ignore[assignment]  # as above


class _FlatFlag(Flag, frozen=True):
    variations: list[_Shallow] = msgspec.field(default_factory=list)
    rules: list[_FlatFlagRule] = msgspec.field(default_factory=list)  # type: ignore[assignment]  # as above


class _FlatSegment(Segment, frozen=True):
    rules: list[_FlatSegmentRule] = msgspec.field(default_factory=list)  # type: ignore[assignment]  # as above


_FLAT: Final[Mapping[Kind, Callable[[bytes], Flag | Segment]]] = {
    Kind.FLAG: msgspec.json.Decoder(_FlatFlag).decode,
    Kind.SEGMENT: msgspec.json.Decoder(_FlatSegment).decode,
}
_REFUSED: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)


def read_items(kind: Kind, texts: Texts, bad: list[BadItem]) -> dict[str, SerializedItem]:
    """Return the items that can be used; the others are added to `bad`."""
    items = {}
    decode = _FLAT[kind]
    for key, raw in texts.items():
        text = bytes(raw)
        try:
            item = decode(text)
        except _REFUSED:
            is_good = False
        else:
            is_good = item.version >= 0
        if is_good:  # as `read_item`, without a call for each of ten thousand
            items[key] = SerializedItem(item.version, item.deleted, text)
            continue
        found = read_item(kind, key, text)
        if isinstance(found, BadItem):
            bad.append(found)
        else:
            items[key] = found
    return items


def read_item(kind: Kind, key: str, text: bytes) -> SerializedItem | BadItem:
    """Return an item, or why it cannot be used. One decoding is enough for nearly all."""
    try:
        item = _FLAT[kind](text)
    except _REFUSED:
        pass
    else:
        if item.version >= 0:
            return SerializedItem(item.version, item.deleted, text)
    try:
        return to_item(kind, key, text)
    except InvalidItem as exc:
        return BadItem(kind, key, exc.path, exc.problem)
