"""Documents that hold a whole environment, cut into unopened items (data model spec, section 1).

The fast way is a typed decoder. A document that it refuses is cut up without parsing the items, so
that a bad one never hides the good ones beside it.
"""

import json
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from flagkeep.errors import InvalidData


class Envelope(msgspec.Struct, frozen=True):
    """A document cut into unopened items: JSON text by key."""

    flags: Mapping[str, bytes]
    segments: Mapping[str, bytes]
    flag_values: Mapping[str, bytes]


class _RawEnvelope(msgspec.Struct, frozen=True, rename="camel"):
    flags: dict[str, msgspec.Raw] | None = None
    segments: dict[str, msgspec.Raw] | None = None
    flag_values: dict[str, msgspec.Raw] | None = None


_ENVELOPE: Final = msgspec.json.Decoder(_RawEnvelope)
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_SCALAR: Final = re.compile(r"[^,\]}\s]+")


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


def open_object(data: bytes) -> dict[str, bytes]:
    """Return the members of a JSON object as unopened text, by key.

    Raises:
        InvalidData: it is not JSON, or not an object.
    """
    members = _open(data, "it must be an object")
    return {name: text.encode("utf-8", "surrogatepass") for name, text in members.items()}


def _open(data: bytes, complaint: str) -> dict[str, str]:
    try:
        text = data.decode(json.detect_encoding(data))
    except UnicodeDecodeError as exc:
        raise InvalidData(f"not UTF-8 text: {exc.reason} at byte {exc.start}") from None
    _check_is_json(text)
    if not text.strip().startswith("{"):
        raise InvalidData(complaint)
    return members_of(text, "$")


def _split_slowly(data: bytes) -> Envelope:
    members = _open(data, "it must be an object with flags, segments or flagValues")
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
