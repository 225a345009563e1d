"""Events as JSON, whatever the application put into them.

The fast way writes nearly everything: also dates, UUIDs, sets and dataclasses, in their usual
forms, and NaN and infinity as null, since JSON has neither. What it refuses is written again,
slowly, piece by piece, and only the piece that has no JSON form becomes null. So nothing here
raises, and no value costs more than itself. What became null is said in the log, at debug level.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

import msgspec

log = logging.getLogger("flagkeep.events")

NULL: Final = b"null"
DEEPEST: Final = 128
"""Levels of nesting that are written; contexts and flag values have fewer."""
MOST_PARTS: Final = 100_000
"""Parts of one field that are written piece by piece."""

_encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode


class Shape(msgspec.Struct, frozen=True, rename="camel"):
    """An event, or a part of one that has fields of its own."""


def encode(value: object) -> bytes:
    r"""Return compact JSON of anything; never raises.

    Null stands for what has no JSON form: other types, what is nested too deeply (values that
    contain themselves included), and a field of an event that has such things among more than
    100,000 parts. Members whose name is neither text nor number are left out. Lone surrogates,
    which UTF-8 cannot carry, are written as `\udxxx` escapes.
    """
    try:
        return _encode(value)
    except Exception:  # noqa: BLE001  foreign types may raise anything, and the slow way knows
        return _field(value)


def _field(value: object) -> bytes:
    if isinstance(value, Shape):
        return _object((name, _field(one)) for name, one in _members(value))
    try:
        return _written(value, 0, [MOST_PARTS])
    except Exception as exc:  # noqa: BLE001  foreign containers may raise anything when read
        return _null(value, type(exc).__name__)


def _written(value: Any, depth: int, room: list[int]) -> bytes:
    room[0] -= 1
    if room[0] < 0:
        raise ValueError("it has too many parts")
    if isinstance(value, Shape):
        return _field(value)
    if not isinstance(value, (Mapping, list, tuple, AbstractSet, msgspec.Struct)):
        return _scalar(value)
    if depth >= DEEPEST:
        return _null(value, "nested too deeply")
    if isinstance(value, (list, tuple, AbstractSet)):
        return b"[%b]" % b",".join([_written(one, depth + 1, room) for one in value])
    members = value.items() if isinstance(value, Mapping) else _members(value)
    return _object((name, _written(one, depth + 1, room)) for name, one in members)


def _members(struct: msgspec.Struct) -> Iterator[tuple[str, Any]]:
    config = struct.__struct_config__
    if config.tag_field is not None:
        yield config.tag_field, config.tag
    for name, wire_name in zip(
        struct.__struct_fields__, struct.__struct_encode_fields__, strict=True
    ):
        value = getattr(struct, name)
        if value is not msgspec.UNSET:
            yield wire_name, value


def _object(members: Iterable[tuple[Any, bytes]]) -> bytes:
    named = [(_name(name), text) for name, text in members]
    return b"{%b}" % b",".join([b"%b:%b" % pair for pair in named if pair[0]])


def _name(name: object) -> bytes:
    """Return the name of a member as JSON, empty if it can have none."""
    if isinstance(name, str):
        return _text(name)
    try:
        return _encode({name: 0})[1:-3]
    except TypeError:
        return b""


def _scalar(value: object) -> bytes:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return b"%d" % value
    try:
        return _encode(float(value) if isinstance(value, float) else value)
    except Exception as exc:  # noqa: BLE001  see encode
        return _null(value, type(exc).__name__)


def _null(value: object, why: str) -> bytes:
    log.debug("an event has null for a value of type %s: %s", type(value).__name__, why)
    return NULL


def _text(text: str) -> bytes:
    text = str.__str__(text)
    try:
        return _encode(text)
    except UnicodeError:
        return json.dumps(text).encode()
