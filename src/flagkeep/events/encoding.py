"""Events as JSON, whatever the application put into them.

The fast way writes nearly everything: also dates, UUIDs, sets and dataclasses, in their usual
forms, and NaN and infinity as null, since JSON has neither. What it refuses is written again,
slowly, piece by piece, and only the piece that has no JSON form becomes null. So nothing here
raises, and an event costs nobody but itself.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

import msgspec

from flagkeep.model.values import MAX_DEPTH, MAX_VALUES

NULL: Final = b"null"
encode_fast: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode


def encode(value: object) -> bytes:
    r"""Return compact JSON of anything; never raises.

    Lone surrogates, which UTF-8 cannot carry, are written as `\udxxx` escapes. Null stands for
    what has no JSON form: other types, what is nested over 100 levels deep (values that contain
    themselves included), all of a value with over a million parts.
    """
    try:
        return encode_fast(value)
    except Exception:  # noqa: BLE001  foreign types may raise anything, and the slow way knows
        return encode_slowly(value)


def encode_slowly(value: object) -> bytes:
    """Do what `encode` does, piece by piece."""
    try:
        return b"".join(_pieces(value, 0, [MAX_VALUES]))
    except Exception:  # noqa: BLE001  foreign containers may raise anything while they are read
        return NULL


def _pieces(value: object, depth: int, room: list[int]) -> Iterator[bytes]:
    room[0] -= 1
    if room[0] < 0:
        raise ValueError("it has too many parts")
    if isinstance(value, (Mapping, list, tuple, AbstractSet, msgspec.Struct)):
        if depth >= MAX_DEPTH:
            yield NULL
        elif isinstance(value, (list, tuple, AbstractSet)):
            yield from _array(value, depth, room)
        else:
            members = value.items() if isinstance(value, Mapping) else _fields(value)
            yield from _object(members, depth, room)
    else:
        yield _scalar(value)


def _array(elements: Iterable[object], depth: int, room: list[int]) -> Iterator[bytes]:
    before = b"["
    for element in elements:
        yield before
        yield from _pieces(element, depth + 1, room)
        before = b","
    yield b"]" if before == b"," else b"[]"


def _object(members: Iterable[tuple[Any, Any]], depth: int, room: list[int]) -> Iterator[bytes]:
    before = b"{"
    for name, value in members:
        text = _name(name)
        if text is not None:
            yield before + text + b":"
            yield from _pieces(value, depth + 1, room)
            before = b","
    yield b"}" if before == b"," else b"{}"


def _fields(struct: msgspec.Struct) -> Iterator[tuple[str, Any]]:
    config = struct.__struct_config__
    if config.tag_field is not None:
        yield config.tag_field, config.tag
    for name, wire_name in zip(
        struct.__struct_fields__, struct.__struct_encode_fields__, strict=True
    ):
        value = getattr(struct, name)
        if value is not msgspec.UNSET:
            yield wire_name, value


def _name(name: object) -> bytes | None:
    """Return the name of a member, None if it cannot have one."""
    if isinstance(name, str):
        return _text(name)
    try:
        return encode_fast({name: 0})[1:-3]
    except TypeError:
        return None


def _scalar(value: object) -> bytes:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return b"%d" % value
    if isinstance(value, float):
        value = float(value)
    try:
        return encode_fast(value)
    except Exception:  # noqa: BLE001  see encode
        return NULL


def _text(text: str) -> bytes:
    try:
        return encode_fast(str.__str__(text))
    except UnicodeError:
        return json.dumps(str.__str__(text)).encode()
