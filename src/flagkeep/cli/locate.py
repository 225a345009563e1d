"""Which line of a file a path within an item is in, as near as can be told."""

import json
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Final

from flagkeep.protocol.document import Document, Place, Section
from flagkeep.protocol.json_file import find_duplicates

_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_STRING: Final = r'"(?:[^"\\]|\\.)*"'
_TOKEN: Final = re.compile(
    rf"({_STRING})[ \t\r\n]*:|{_STRING}|[\[\]{{}},]|[^\s\[\]{{}},:\"]+", re.DOTALL
)


class Locator:
    """Lines of one file. For YAML, and where a path leads nowhere, the line is the item's own.

    Attributes:
        name: of the file.
    """

    def __init__(self, document: Document, data: bytes) -> None:
        self.name = document.name
        self._document = document
        self._data = data

    def line(self, section: Section, key: str, path: str) -> int | None:
        """Return the line of `path` in an item; None if even the item cannot be found."""
        place = self._places.get((section, key))
        if place is None or not self._is_json:
            return None if place is None else place.line
        text = self._text
        start = self._line_starts[place.line - 1] + place.column - 1
        return place.line + text.count("\n", start, _offset(text, start, _steps(path)))

    def duplicates(self) -> Iterator[tuple[str, Place, Place]]:
        """Yield every name that an object has twice: path, first and second place."""
        if self._is_json:
            yield from find_duplicates(self._text)

    @cached_property
    def _places(self) -> dict[tuple[str, str], Place]:
        return dict(self._document.places())

    @cached_property
    def _text(self) -> str:
        return self._data.decode(json.detect_encoding(self._data))

    @cached_property
    def _is_json(self) -> bool:
        try:
            json.loads(self._text)
        except RecursionError:
            return False
        except ValueError:
            return False
        return True

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(found.end() for found in re.finditer("\n", self._text))]


def _steps(path: str) -> tuple[str | int, ...]:
    found = (match.groups() for match in _STEP.finditer(path))
    return tuple(name if name is not None else int(number) for name, number in found)


def _offset(text: str, start: int, wanted: tuple[str | int, ...]) -> int:
    """Return where `wanted` is in the member that starts at `start`: as far as it leads."""
    best, best_depth = start, 0
    path: list[str | int] = []  # the way to the value that comes next
    tokens = _TOKEN.finditer(text, start)
    next(tokens, None)  # the name of the item itself
    for token in tokens:
        mark = token.group()
        if token.group(1) is not None:
            path[-1] = json.loads(token.group(1))
        depth = len(path)
        is_on_the_way = mark not in ("]", "}", ",") and tuple(path) == wanted[:depth]
        if is_on_the_way and depth > best_depth:
            best, best_depth = token.start(), depth
            if depth == len(wanted):
                return best
        if token.group(1) is not None:
            continue
        if mark in ("{", "["):
            path.append(0 if mark == "[" else "")
        elif mark in ("}", "]"):
            path.pop()
        elif mark == "," and isinstance(path[-1], int):
            path[-1] += 1
        if not path:
            break
    return best
