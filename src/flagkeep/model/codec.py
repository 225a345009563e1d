"""JSON text to flags, segments and environments, and back (data model spec, sections 1 and 4).

The fast way is a typed decoder. What it refuses is looked at again, slowly: null for an absent
field and whole numbers written as `3.0` are repaired, lone surrogates and numbers beyond the
range of a double are let in, and a document with one such item is cut up without parsing the
items, so that a bad one never hides the good ones beside it.
"""

import json
import re
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


class Envelope(msgspec.Struct, frozen=True):
    """A document cut into unopened items: JSON text by key."""

    flags: Mapping[str, bytes]
    segments: Mapping[str, bytes]
    flag_values: Mapping[str, bytes]


class _Head(msgspec.Struct, frozen=True):
    version: int
    deleted: bool = False


class _RawEnvelope(msgspec.Struct, frozen=True, rename="camel"):
    flags: dict[str, msgspec.Raw] | None = None
    segments: dict[str, msgspec.Raw] | None = None
    flag_values: dict[str, msgspec.Raw] | None = None


_FLAG: Final = msgspec.json.Decoder(Flag)
_SEGMENT: Final = msgspec.json.Decoder(Segment)
_HEAD: Final = msgspec.json.Decoder(_Head)
_ENVELOPE: Final = msgspec.json.Decoder(_RawEnvelope)


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


def split_envelope(data: bytes) -> Envelope:
    """Cut an environment document into its items, without opening them.

    Raises:
        InvalidData: it is not JSON, or not an object with objects `flags`, `segments`,
            `flagValues` (each may be absent or null).
    """
    try:
        raw = _ENVELOPE.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _split_slowly(data)
    return Envelope(
        {key: bytes(text) for key, text in (raw.flags or {}).items()},
        {key: bytes(text) for key, text in (raw.segments or {}).items()},
        {key: bytes(text) for key, text in (raw.flag_values or {}).items()},
    )


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


# --- a document that the typed decoder refused -------------------------------------------------

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_SCALAR: Final = re.compile(r"[^,\]}\s]+")


def _split_slowly(data: bytes) -> Envelope:
    try:
        text = data.decode(json.detect_encoding(data))
    except UnicodeDecodeError as exc:
        raise InvalidData(f"not UTF-8 text: {exc.reason} at byte {exc.start}") from None
    _check_is_json(text)
    if not text.strip().startswith("{"):
        raise InvalidData("it must be an object with flags, segments or flagValues")
    members = members_of(text, "$")
    parts = []
    for name in ("flags", "segments", "flagValues"):
        part = members.get(name, "null")
        if part != "null" and not part.startswith("{"):
            raise InvalidData("it must be an object of items by key", f"$.{name}")
        found = {} if part == "null" else members_of(part, f"$.{name}")
        parts.append({key: one.encode("utf-8", "surrogatepass") for key, one in found.items()})
    return Envelope(*parts)


def _check_is_json(text: str) -> None:
    try:
        json.loads(text)
    except RecursionError:
        pass  # cut up below; only the item that is too deep will be refused
    except json.JSONDecodeError as exc:
        problem = f"not JSON: {exc.msg}, line {exc.lineno}, column {exc.colno}"
        raise InvalidData(problem) from None
    except ValueError:
        pass  # a number of too many digits; only its item will be refused


def members_of(text: str, path: str) -> dict[str, str]:
    """Return the members of the object `text` as unopened text, by key."""
    members: dict[str, str] = {}
    position = _skip(text, _skip(text, 0) + 1)
    while text[position : position + 1] not in ("}", ""):
        name = _STRING.match(text, position)
        if name is None:
            raise InvalidData("not JSON: a member has no name", path)
        start = _skip(text, _skip(text, name.end()) + 1)
        end = _end_of_value(text, start, path)
        members[json.loads(name.group())] = text[start:end]
        position = _skip(text, end)
        if text[position : position + 1] == ",":
            position = _skip(text, position + 1)
    return members


def _skip(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return space.end() if space else position


def _end_of_value(text: str, start: int, path: str) -> int:
    if text[start : start + 1] not in ("{", "["):
        scalar = _STRING.match(text, start) or _SCALAR.match(text, start)
        if scalar is None:
            raise InvalidData("not JSON: a member has no value", path)
        return scalar.end()
    depth = 0
    for token in _BRACKET.finditer(text, start):
        mark = token.group()
        if mark in ("{", "["):
            depth += 1
        elif mark in ("}", "]"):
            depth -= 1
            if depth == 0:
                return token.end()
    raise InvalidData("not JSON: it ends too early", path)
