"""JSON text to flags and segments, and back (data model spec, section 4).

The fast way is a typed decoder. What it refuses is looked at again, slowly: null for an absent
field and whole numbers written as `3.0` are repaired, lone surrogates and numbers beyond the
range of a double are let in.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from types import UnionType
from typing import Any, Final, TypeVar, get_args, get_origin

import msgspec

from flagkeep.errors import InvalidData, InvalidItem
from flagkeep.model.flag import Flag, FlagRule
from flagkeep.model.item import Kind, SerializedItem
from flagkeep.model.segment import Segment, SegmentRule
from flagkeep.model.values import is_too_deep

S = TypeVar("S", bound=msgspec.Struct)
TOO_DEEP: Final = "it is nested too deeply"


class _Head(msgspec.Struct, frozen=True):
    version: int
    deleted: bool = False


_FLAG: Final = msgspec.json.Decoder(Flag)
_SEGMENT: Final = msgspec.json.Decoder(Segment)
_HEAD: Final = msgspec.json.Decoder(_Head)


def decode_flag(data: bytes | str, key: str = "") -> Flag:
    """Read a flag.

    Args:
        data: its JSON text.
        key: where it was found; it outranks the key inside. `""`: only the key inside counts.

    Raises:
        InvalidItem: the text is not a flag; the error names the field.
    """
    return _decode(_FLAG, Kind.FLAG, data, key)


def decode_segment(data: bytes | str, key: str = "") -> Segment:
    """Read a segment; arguments and errors as for `decode_flag`."""
    return _decode(_SEGMENT, Kind.SEGMENT, data, key)


def decode(kind: Kind, data: bytes | str, key: str = "") -> Flag | Segment:
    """Read an item of either kind; arguments and errors as for `decode_flag`."""
    return decode_flag(data, key) if kind is Kind.FLAG else decode_segment(data, key)


def to_item(kind: Kind, key: str, data: bytes) -> SerializedItem:
    """Check an item whole and wrap its text, which is kept as it is.

    Tombstones need a version only.

    Raises:
        InvalidItem: the text is no such item.
    """
    version, deleted = decode_head(kind, key, data)
    if not deleted:
        version = decode(kind, data, key).version
    return SerializedItem(version, deleted, data)


def decode_head(kind: Kind, key: str, data: bytes) -> tuple[int, bool]:
    """Return version and whether it is a tombstone, without reading the rest.

    Raises:
        InvalidItem: it is not an object with a version.
    """
    try:
        head = _HEAD.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        head = _repaired(_Head, kind, data, key)
    if head.version < 0:
        raise InvalidItem(kind, key, "$.version", "it must not be negative")
    return head.version, head.deleted


def encode_json(value: object) -> bytes:
    r"""Return compact JSON, UTF-8 unescaped.

    Lone surrogates, which UTF-8 cannot carry, are written as `\udxxx` escapes.

    Raises:
        TypeError: `value` is not JSON.
    """
    try:
        return msgspec.json.encode(value)
    except UnicodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def parse_json(data: bytes | str) -> Any:
    """Return any JSON value; lone surrogates and numbers beyond a double (as ±inf) are let in.

    Raises:
        InvalidData: the text is not JSON; line and column are in the message.
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass
    try:
        return json.loads(data)
    except RecursionError:
        raise InvalidData(TOO_DEEP) from None
    except json.JSONDecodeError as exc:
        problem = f"not JSON: {exc.msg}, line {exc.lineno}, column {exc.colno}"
        raise InvalidData(problem) from None
    except UnicodeDecodeError as exc:
        raise InvalidData(f"not UTF-8 text: {exc.reason} at byte {exc.start}") from None
    except ValueError:  # the only other one: Python converts no number of so many digits
        raise InvalidData("it has a whole number of too many digits") from None


def _decode(decoder: msgspec.json.Decoder[S], kind: Kind, data: bytes | str, key: str) -> S:
    try:
        item: Any = decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        item = _repaired(decoder.type, kind, data, key)
    if item.version < 0:
        raise InvalidItem(kind, key or item.key, "$.version", "it must not be negative")
    too_deep = _path_of_too_deep(item)
    if too_deep is not None:
        raise InvalidItem(kind, key or item.key, too_deep, TOO_DEEP)
    if key and item.key != key:
        item = msgspec.structs.replace(item, key=key)
    return item  # type: ignore[no-any-return]  # replace() keeps the type


def _path_of_too_deep(item: Flag | Segment) -> str | None:
    """Return where a free-form value has more levels than evaluation can follow."""
    if isinstance(item, Flag):
        for index, value in enumerate(item.variations):
            if isinstance(value, (list, dict)) and is_too_deep(value):
                return f"$.variations[{index}]"
    rules: Sequence[FlagRule | SegmentRule] = item.rules
    for rule_index, rule in enumerate(rules):
        for index, clause in enumerate(rule.clauses):
            for place, value in enumerate(clause.values):
                if isinstance(value, (list, dict)) and is_too_deep(value):
                    return f"$.rules[{rule_index}].clauses[{index}].values[{place}]"
    return None


def _repaired(wanted: type[S], kind: Kind, data: bytes | str, key: str) -> S:
    try:
        tree = parse_json(data)
    except InvalidData as exc:
        raise InvalidItem(kind, key, "$", exc.problem) from None
    if not isinstance(tree, dict):
        raise InvalidItem(kind, key, "$", "it must be an object")
    tree = _repair_object(wanted, tree)
    if key and wanted is not _Head:
        tree.setdefault("key", key)
    inner = tree.get("key")
    try:
        return msgspec.convert(tree, wanted)
    except msgspec.ValidationError as exc:
        problem, _, path = str(exc).partition(" - at `")
        named = key or (inner if isinstance(inner, str) else "")
        raise InvalidItem(kind, named, path.rstrip("`") or "$", problem) from None


def _repair_object(wanted: type[msgspec.Struct], tree: Mapping[str, Any]) -> dict[str, Any]:
    types = _field_types(wanted)
    return {
        name: _repair(types[name], value) if name in types else value
        for name, value in tree.items()
        if value is not None or name not in types
    }


def _repair(wanted: Any, value: Any) -> Any:
    if isinstance(value, float) and wanted is int and value.is_integer():
        return int(value)
    if isinstance(value, dict) and isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        return _repair_object(wanted, value)
    if isinstance(value, list) and get_origin(wanted) is list:
        (element,) = get_args(wanted)
        return [_repair(element, one) for one in value]
    return value


@cache
def _field_types(wanted: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the type of each field by its wire name, `X | None` as `X`."""
    types = {}
    for field in msgspec.structs.fields(wanted):
        declared: Any = field.type
        if isinstance(declared, UnionType):
            declared = next(one for one in get_args(declared) if one is not type(None))
        types[field.encode_name] = declared
    return types
