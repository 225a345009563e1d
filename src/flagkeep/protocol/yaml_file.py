"""YAML environment files: text to a document. Needs PyYAML (`flagkeep[files]`).

The tree is built from the parser's events on a stack of our own, because the library's way would
recurse, keep only the last of two equal keys, and lose where things stand. What differs from
plain YAML 1.1, on purpose:

- A key is the text that is written there: `on:` and `2024:` are the names "on" and "2024".
- What is a number in JSON is a number, `1e3` included. Otherwise words keep their YAML 1.1
  meaning (`yes`, `off` are booleans), as every SDK that reads YAML files has it.
- Dates, sets, binary data and other tags have no JSON form and are a problem of their item.
- Aliases and merge keys work, up to a limit: a few lines can stand for gigabytes.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from flagkeep.errors import InvalidFile
from flagkeep.model.codec import encode_json
from flagkeep.protocol.document import (
    MAX_DEPTH,
    SECTIONS,
    Document,
    ItemProblem,
    Place,
    Section,
    path_of,
    place_of,
)
from flagkeep.protocol.json_file import NOT_A_SECTION, NOT_AN_ENVIRONMENT

HOPELESS_DEPTH: Final = 10_000
_ITEM_LEVEL: Final = 2
_TAG: Final = "tag:yaml.org,2002:"
_JSON_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # without libyaml: ten times slower
_RESOLVER: Final[Any] = yaml.resolver.Resolver()
_SCALARS: Final = {_TAG + name for name in ("null", "bool", "int", "float")}
_TEXTS: Final = {_TAG + name for name in ("str", "merge", "value")}


def read_yaml(name: str, text: str) -> Document:
    """Cut a YAML environment into its items.

    Raises:
        InvalidFile: it is not YAML, not an environment, has a key twice, or its aliases stand for
            far more text than it has.
    """
    builder = _Builder(name, len(text))
    for event in _events(name, text):
        builder.take(event)
    return builder.document()


def _events(name: str, text: str) -> Iterator[Any]:
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
        problem = f"not YAML: {exc.problem or exc.context}"
        raise InvalidFile(name, problem, line=line, column=column) from None
    except yaml.reader.ReaderError as exc:
        line, column = place_of(text, exc.position)
        problem = f"not YAML: {exc.reason}"
        raise InvalidFile(name, problem, line=line, column=column) from None


@dataclass(slots=True)
class _Frame:
    """A list or an object that is still open. `size` is in characters, aliases expanded."""

    into: list[Any] | dict[str, Any]
    anchor: str | None
    key: str | None = None
    merging: bool = False
    merged: list[Any] = field(default_factory=list)
    places: dict[str, Place] = field(default_factory=dict)
    size: int = 2

    @property
    def step(self) -> str | int:
        """Where in it the next value goes."""
        if isinstance(self.into, list):
            return len(self.into)
        return "<<" if self.merging else self.key or ""


@dataclass(slots=True)
class _Anchored:
    value: Any
    size: int
    complete: bool


class _Builder:
    """Turns events into JSON values, and notes what is wrong with which item."""

    def __init__(self, name: str, length: int) -> None:
        self._name = name
        self._limit = 1_000_000 + 20 * length
        self._stack: list[_Frame] = []
        self._anchors: dict[str, _Anchored] = {}
        self._documents: list[Any] = []
        self._places: dict[tuple[str, str], Place] = {}
        self._problems: dict[tuple[str, str], ItemProblem] = {}

    def take(self, event: Any) -> None:
        """Take the next event in."""
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.SequenceStartEvent():
                self._open([], event, allowed=_TAG + "seq")
            case yaml.MappingStartEvent():
                self._open({}, event, allowed=_TAG + "map")
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._close(_place(event))
            case yaml.DocumentStartEvent() if self._documents:
                raise self._invalid("it holds more than one YAML document", _place(event))

    def document(self) -> Document:
        """Return what was built."""
        root = self._documents[0] if self._documents else None
        if root is None:
            raise InvalidFile(self._name, "it is empty", line=1, column=1)
        if not isinstance(root, dict):
            raise InvalidFile(self._name, NOT_AN_ENVIRONMENT, line=1, column=1)
        items: dict[Section, dict[str, bytes]] = {}
        for section in SECTIONS:
            found = root.get(section)
            if not isinstance(found, dict | None):
                raise InvalidFile(self._name, NOT_A_SECTION, path=f"$.{section}")
            items[section] = {
                key: encode_json(value)
                for key, value in (found or {}).items()
                if (section, key) not in self._problems
            }
        return Document(self._name, items, lambda: self._places, tuple(self._problems.values()))

    # --- events ---

    def _scalar(self, event: Any) -> None:
        place = _place(event)
        if self._wants_key():
            plain_merge = event.value == "<<" and event.implicit[0]
            self._key(event.value, place, merging=plain_merge)
            return
        value, problem = _scalar_value(event)
        if problem:
            self._problem(problem, place)
        size = len(event.value) + 1
        if event.anchor:
            self._anchors[event.anchor] = _Anchored(value, size, complete=True)
        self._add(value, size, place)

    def _alias(self, event: Any) -> None:
        place = _place(event)
        known = self._anchors.get(event.anchor)
        if known is None:
            raise self._invalid(f"there is no &{event.anchor} before *{event.anchor}", place)
        if not known.complete:
            raise self._invalid(f"*{event.anchor} stands inside of what it refers to", place)
        if self._wants_key():
            if not isinstance(known.value, str):
                raise self._invalid("a key must be text", place)
            self._key(known.value, place, merging=False)
            return
        self._add(known.value, known.size, place)

    def _open(self, into: list[Any] | dict[str, Any], event: Any, *, allowed: str) -> None:
        place = _place(event)
        if self._wants_key():
            raise self._invalid("a key must be text, not a list or an object", place)
        if len(self._stack) == HOPELESS_DEPTH:
            raise self._invalid(f"it is nested deeper than {HOPELESS_DEPTH} levels", place)
        if len(self._stack) == MAX_DEPTH + 1:  # what is deeper still is inside of this
            self._problem(f"it is nested deeper than {MAX_DEPTH} levels", place, of_item=True)
        if event.tag not in (None, "!", allowed):
            self._problem(f"{_short(event.tag)} is not JSON", place)
        if event.anchor:
            self._anchors[event.anchor] = _Anchored(into, 0, complete=False)
        self._stack.append(_Frame(into, event.anchor))

    def _close(self, place: Place) -> None:
        frame = self._stack.pop()
        if isinstance(frame.into, dict):
            for merged in frame.merged:
                for key, value in merged.items():
                    frame.into.setdefault(key, value)
        if frame.anchor:
            self._anchors[frame.anchor] = _Anchored(frame.into, frame.size, complete=True)
        self._add(frame.into, frame.size, place)

    # --- values ---

    def _wants_key(self) -> bool:
        if not self._stack:
            return False
        frame = self._stack[-1]
        return isinstance(frame.into, dict) and frame.key is None and not frame.merging

    def _key(self, key: str, place: Place, *, merging: bool) -> None:
        frame = self._stack[-1]
        if merging:
            frame.merging = True
            return
        frame.key = key
        frame.size += len(key) + 1
        first = frame.places.setdefault(key, place)
        if first is not place:
            self._key_twice(key, first, place)
        if len(self._stack) == _ITEM_LEVEL:
            self._places[str(self._stack[0].key), key] = place

    def _key_twice(self, key: str, first: Place, place: Place) -> None:
        problem = f"{key!r} is there twice, first in line {first.line}"
        if len(self._stack) <= _ITEM_LEVEL:  # the document or a section: ambiguous as a whole
            raise self._invalid(problem, place, path_of(self._path()))
        self._problem(problem, place)

    def _add(self, value: Any, size: int, place: Place) -> None:
        if not self._stack:
            self._documents.append(value)
            return
        frame = self._stack[-1]
        frame.size += size
        if frame.size > self._limit:
            raise self._invalid(f"its aliases stand for over {self._limit:,} characters", place)
        if isinstance(frame.into, list):
            frame.into.append(value)
        elif frame.merging:
            frame.merging = False
            self._merge(frame, value, place)
        else:
            frame.into[frame.key or ""] = value
            frame.key = None

    def _merge(self, frame: _Frame, value: Any, place: Place) -> None:
        sources = value if isinstance(value, list) else [value]
        if all(isinstance(one, dict) for one in sources):
            frame.merged += sources
        else:
            self._problem("<< takes an object, or a list of objects", place)

    # --- problems ---

    def _path(self) -> tuple[str | int, ...]:
        return tuple(frame.step for frame in self._stack)

    def _problem(self, problem: str, place: Place, *, of_item: bool = False) -> None:
        """Note what is wrong at the current place; it is the item's problem if it is inside one."""
        match self._path()[: _ITEM_LEVEL if of_item else None]:
            case (("flags" | "flagValues" | "segments") as section, str(key), *rest):
                found = ItemProblem(section, key, path_of(tuple(rest)), problem, place)
                self._problems.setdefault((section, key), found)
            case (section, *_) as path if section in SECTIONS or section == "<<":
                raise self._invalid(problem, place, path_of(path))

    def _invalid(self, problem: str, place: Place, path: str = "$") -> InvalidFile:
        line, column = place
        return InvalidFile(self._name, problem, path=path, line=line, column=column)


def _scalar_value(event: Any) -> tuple[Any, str]:
    """Return the value and `""`, or None and what is wrong with it."""
    text: str = event.value
    plain, quoted = event.implicit
    if quoted and not plain:
        return text, ""
    if plain and _JSON_NUMBER.fullmatch(text):
        number = _JSON_NUMBER.fullmatch(text)
        is_whole = number is not None and number.group(1) is None and number.group(2) is None
        return _finite(text, int if is_whole else float)
    tag = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False)) if plain else event.tag
    if tag in _TEXTS or tag == "!":
        return text, ""
    if tag not in _SCALARS:
        advice = ": put it in quotes" if plain else ""
        return None, f"{text!r} is a YAML {_short(tag)} and not JSON{advice}"
    try:
        value = yaml.SafeLoader("").construct_object(yaml.ScalarNode(tag, text))
    except (ValueError, KeyError, IndexError, yaml.YAMLError):
        return None, f"{text!r} is not a YAML {_short(tag)}"
    if isinstance(value, float) and not math.isfinite(value):
        return None, f"{text} is not a JSON number"
    return value, ""


def _finite(text: str, make: type[int] | type[float]) -> tuple[Any, str]:
    try:
        value = make(text)
    except ValueError:  # thousands of digits
        return None, "the number has too many digits"
    if isinstance(value, float) and math.isinf(value):
        return None, f"{text} is beyond the range of a double"
    return value, ""


def _short(tag: str) -> str:
    return tag.removeprefix(_TAG)


def _place(event: Any) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)
