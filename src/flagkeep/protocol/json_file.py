"""JSON environment files: bytes to a document.

A good file is cut by the fast decoder, which costs a few nanoseconds per byte. It would take the
last of two members of one name without a word, so names are decoded as objects that are all
different; then a name that is there twice shows. Everything else (saying where, lone surrogates,
numbers beyond a double, very deep nesting) is the business of the slow half, which never recurses.

Items leave here as compact UTF-8, because they go into a store as they are, and others read it: no
white space, no escape where the character itself will do. Names, values, their order and the
spelling of numbers stay. Source: stores spec, section 16; Go's reader loses a character beyond
U+FFFF that is written as two escapes.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, final

import msgspec

from flagkeep.errors import InvalidFile
from flagkeep.protocol.document import (
    SECTIONS,
    Cursor,
    Document,
    ItemProblem,
    Place,
    Section,
    path_of,
    place_of,
)

NOT_AN_ENVIRONMENT: Final = "it must be an object with flags, flagValues or segments"
NOT_A_SECTION: Final = "it must be an object of items by key"


@final
class _Name(str):
    """The name of a member, equal to no other, so that no two of them fall together."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__


_DECODER: Final = msgspec.json.Decoder(
    dict[_Name, dict[_Name, msgspec.Raw] | list[msgspec.Raw] | str | int | float | bool | None],
    dec_hook=lambda wanted, text: wanted(text),
)
_RAW_DECODER: Final = msgspec.json.Decoder(
    dict[_Name, msgspec.Raw], dec_hook=lambda wanted, text: wanted(text)
)
_NAME: Final = re.compile(rb'[ \t\r\n,]*("(?:[^"\\]|\\.)*")[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
_SPACED: Final = re.compile(rb"[{\[:,][ \t\r\n]|[ \t\r\n][}\]:,]")
_START: Final = 4096  # bytes; a file that is spaced is so from the start, or has lines
_ESCAPES: Final = re.compile(rb"\\(?:u[0-9a-fA-F]{4}(?:\\u[0-9a-fA-F]{4})*|[^u])")
_ITEM_LEVEL: Final = 2


def read_json(name: str, data: bytes) -> Document:
    """Cut a JSON environment into its items.

    Args:
        name: of the file, for messages.
        data: UTF-8 text without a byte order mark.

    Raises:
        InvalidFile: it is not JSON, not an environment, or has a name twice.
    """
    try:
        found = _DECODER.decode(_compact(data))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _read_slowly(name, data)
    items: dict[Section, dict[str, bytes]] = {section: {} for section in SECTIONS}
    _check_distinct(name, data, (), found)
    for member, value in found.items():
        section = _section(str(member))
        if section is None or value is None:
            continue
        if not isinstance(value, dict):
            return _read_slowly(name, data)
        items[section] = {str(key): _unescaped(bytes(text)) for key, text in value.items()}
        if len(items[section]) != len(value):
            _check_distinct(name, data, (section,), value)
    return Document(name, items, lambda: _places(data))


def _compact(data: bytes) -> bytes:
    """Take out white space; of a text that is no JSON, decoding may be left to complain."""
    if b"\n" not in data.rstrip() and not _SPACED.search(data, 0, _START):
        return data
    return msgspec.json.format(data, indent=-1)


def _unescaped(data: bytes) -> bytes:
    r"""Replace escapes by their characters, in good JSON.

    Those of control characters, quotes and backslashes have to stay, and so do lone surrogates,
    which UTF-8 cannot carry.
    """
    return _ESCAPES.sub(_characters, data) if b"\\u" in data else data


def _characters(escapes: re.Match[bytes]) -> bytes:
    found = escapes.group()
    if not found.startswith(b"\\u"):  # so that the second of two backslashes begins nothing
        return found
    text = json.dumps(json.loads(b'"%b"' % found), ensure_ascii=False)
    return text[1:-1].encode(errors="backslashreplace")


def _check_distinct(
    name: str, data: bytes, path: tuple[str, ...], members: Mapping[_Name, object]
) -> None:
    counts = Counter(map(str, members))
    twice = next((member for member, count in counts.items() if count > 1), None)
    if twice is None:
        return
    wanted = (*path, twice)
    offsets = [offset for found, offset in _walk(data) if found == wanted]
    first, second = (Cursor().advance(data[:offset].decode()) for offset in offsets[:2])
    raise _is_there_twice(name, wanted, first, second)


def _is_there_twice(
    name: str, path: tuple[str | int, ...], first: Place, second: Place
) -> InvalidFile:
    problem = f"{path[-1]!r} is there twice, first in line {first.line}"
    line, column = second
    return InvalidFile(name, problem, path=path_of(path), line=line, column=column)


def _places(data: bytes) -> Mapping[tuple[str, str], Place]:
    """Return where the items are in a document that the fast decoder takes."""
    places: dict[tuple[str, str], Place] = {}
    seen, cursor = 0, Cursor()
    for path, offset in _walk(data):
        place = cursor.advance(data[seen:offset].decode())
        seen = offset
        if len(path) == _ITEM_LEVEL:
            places[path[0], path[1]] = place
    return places


def _walk(data: bytes) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield path and offset of each section and item.

    Only names are searched for; the decoder has told how long the values between them are.
    """
    for member, offset, start, value in _named(data, 0):
        yield (member,), offset
        if _section(member) is not None and value.startswith(b"{"):
            for key, at, _, _ in _named(value, start):
                yield (member, key), at


def _named(data: bytes, base: int) -> Iterator[tuple[str, int, int, bytes]]:
    """Yield name, offset of name, offset of value, and value of each member of an object."""
    position = data.index(b"{") + 1
    for name, raw in _RAW_DECODER.decode(data).items():
        found = _NAME.match(data, position)
        if found is None:  # the decoder saw a name there
            return
        value = bytes(raw)
        yield str(name), base + found.start(1), base + found.end(), value
        position = found.end() + len(value)


def find_duplicates(text: str) -> Iterator[tuple[str, Place, Place]]:
    """Yield every name that stands twice in one object, at any depth: path, first, second place.

    Loading looks only at the names of items, because opening all of them would cost more than
    the rest of it; this is for whoever has the time. `text` must be JSON.
    """
    # a stack of what is open: [path part, names seen (None for a list)]
    stack: list[tuple[dict[str, int] | None, list[str | int]]] = []
    path: list[str | int] = []
    for token in _TOKEN.finditer(text):
        mark = token.group()
        if mark in ("{", "["):
            path = [*path, 0] if mark == "[" else [*path, ""]
            stack.append(({} if mark == "{" else None, path))
        elif mark in ("}", "]"):
            stack.pop()
            path = stack[-1][1] if stack else []
        elif not stack:
            continue
        elif mark == ",":
            if isinstance(path[-1], int):
                path[-1] += 1
        elif token.group(1) is not None:  # a string with a colon behind it
            names = stack[-1][0]
            member = json.loads(token.group(1))
            path[-1] = member
            if names is not None and names.setdefault(member, token.start()) != token.start():
                first, second = names[member], token.start()
                yield path_of(tuple(path)), place_of(text, first), place_of(text, second)


# --- the slow half -----------------------------------------------------------------------------

_STRING_PATTERN: Final = r'"(?:[^"\\]|\\.)*"'
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_STRING: Final = re.compile(_STRING_PATTERN, re.DOTALL)
_BRACKET: Final = re.compile(_STRING_PATTERN + r"|[\[\]{}]", re.DOTALL)
_STRING_OR_SPACE: Final = re.compile(rf"({_STRING_PATTERN})|[ \t\r\n]+", re.DOTALL)
_TOKEN: Final = re.compile(
    rf"({_STRING_PATTERN})[ \t\r\n]*:|{_STRING_PATTERN}|[\[\]{{}},]", re.DOTALL
)


class _Member(NamedTuple):
    name: str
    at: int
    start: int
    end: int
    problem: str


def _read_slowly(name: str, data: bytes) -> Document:
    text = data.decode()
    _check_is_json(name, text)
    if not text.lstrip(" \t\r\n").startswith("{"):
        raise InvalidFile(name, NOT_AN_ENVIRONMENT, line=1, column=1)
    items: dict[Section, dict[str, bytes]] = {section: {} for section in SECTIONS}
    problems = []
    seen, cursor = 0, Cursor()
    places: dict[tuple[str, str], Place] = {}
    for member in _distinct(name, text, 0, path=()):
        section = _section(member.name)
        if section is None or text[member.start : member.end] == "null":
            continue
        if text[member.start] != "{":
            line, column = place_of(text, member.start)
            path = f"$.{section}"
            raise InvalidFile(name, NOT_A_SECTION, path=path, line=line, column=column)
        for item in _distinct(name, text, member.start, path=(section,)):
            place = cursor.advance(text[seen : item.at])
            seen = item.at
            places[section, item.name] = place
            if item.problem:
                problems.append(ItemProblem(section, item.name, "$", item.problem, place))
            else:
                compact = _STRING_OR_SPACE.sub(r"\1", text[item.start : item.end])
                items[section][item.name] = _unescaped(compact.encode())
    return Document(name, items, lambda: places, tuple(problems))


def _check_is_json(name: str, text: str) -> None:
    try:
        json.loads(text, parse_int=float)  # for `int` a number may have too many digits
    except RecursionError:
        pass  # cut up all the same; only the item that is too deep will be refused
    except json.JSONDecodeError as exc:
        problem = f"not JSON: {exc.msg}"
        raise InvalidFile(name, problem, line=exc.lineno, column=exc.colno) from None


def _distinct(name: str, text: str, position: int, *, path: tuple[str, ...]) -> list[_Member]:
    members = list(_members(name, text, position))
    first: dict[str, _Member] = {}
    for member in members:
        known = first.setdefault(member.name, member)
        if known is not member:
            places = (place_of(text, one.at) for one in (known, member))
            raise _is_there_twice(name, (*path, member.name), *places)
    return members


def _members(name: str, text: str, position: int) -> Iterator[_Member]:
    """Yield the members of the object that opens at `position`.

    It relies on no earlier check: nobody could check a text that is nested too deeply.
    """
    is_whole_text = position == 0
    position = _skip(text, _skip(text, position) + 1)
    while text[position : position + 1] != "}":
        string = _STRING.match(text, position)
        colon = _skip(text, string.end()) if string else position
        if string is None or text[colon : colon + 1] != ":":
            raise _broken(name, text, colon)
        start = _skip(text, colon + 1)
        end, problem = _end_of_value(name, text, start)
        yield _Member(_unquoted(name, text, string), position, start, end, problem)
        position = _skip(text, end)
        if text[position : position + 1] == ",":
            position = _skip(text, position + 1)
            if text[position : position + 1] == "}":
                raise _broken(name, text, position)
        elif text[position : position + 1] != "}":
            raise _broken(name, text, position)
    if is_whole_text and _skip(text, position + 1) < len(text):
        raise _broken(name, text, _skip(text, position + 1))


def _unquoted(name: str, text: str, string: re.Match[str]) -> str:
    try:
        return str(json.loads(string.group()))
    except json.JSONDecodeError:
        raise _broken(name, text, string.start()) from None


def _end_of_value(name: str, text: str, start: int) -> tuple[int, str]:
    """Return where a value ends, and what is wrong with it although the library lets it in."""
    not_json: list[str] = []
    try:
        decoder = json.JSONDecoder(parse_int=float, parse_constant=not_json.append)
        _, end = decoder.raw_decode(text, start)
    except RecursionError:
        return _end_of_brackets(name, text, start), "it is nested too deeply"
    except json.JSONDecodeError as exc:
        raise _broken(name, text, exc.pos) from None
    return end, f"{not_json[0]} is not JSON" if not_json else ""


def _end_of_brackets(name: str, text: str, start: int) -> int:
    depth = 0
    for token in _BRACKET.finditer(text, start):
        mark = token.group()
        if mark in ("{", "["):
            depth += 1
        elif mark in ("}", "]"):
            depth -= 1
            if depth == 0:
                return token.end()
    raise _broken(name, text, len(text))


def _broken(name: str, text: str, offset: int) -> InvalidFile:
    line, column = place_of(text, offset)
    return InvalidFile(name, "not JSON from here on", line=line, column=column)


def _skip(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return space.end() if space else position


def _section(member: str) -> Any:
    return member if member in SECTIONS else None
