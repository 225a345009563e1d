"""One environment file, cut into unopened items."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

Section = Literal["flags", "segments", "flagValues"]
SECTIONS: Final[tuple[Section, ...]] = ("flags", "segments", "flagValues")
MAX_DEPTH: Final = 100


class Place(NamedTuple):
    """A position in a file; both numbers start at 1."""

    line: int
    column: int


class ItemProblem(NamedTuple):
    """Why one item of a document cannot be used."""

    section: Section
    key: str
    path: str
    problem: str
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """What one file holds.

    Attributes:
        name: the file as it was configured.
        items: JSON text by section and key.
        problems: items that could not be cut out; they are not in `items`.
        places: makes the table of where each item stands; asked for only when there is something
            to say.
    """

    name: str
    items: Mapping[Section, Mapping[str, bytes]]
    places: Callable[[], Mapping[tuple[str, str], Place]]
    problems: tuple[ItemProblem, ...] = ()


class Cursor:
    """Counts lines and columns on the way through a text, so that many places cost one pass."""

    def __init__(self) -> None:
        self._line = 1
        self._column = 1

    def advance(self, passed: str) -> Place:
        """Go past `passed`; returns the place behind it."""
        lines = passed.count("\n")
        if lines:
            self._line += lines
            self._column = len(passed) - passed.rfind("\n")
        else:
            self._column += len(passed)
        return Place(self._line, self._column)


def place_of(text: str, offset: int) -> Place:
    """Return the place of the character at `offset`."""
    return Place(text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


def path_of(parts: tuple[str | int, ...]) -> str:
    """Return a path as errors write it: `$.flags.pay.rules[0]`."""
    return "$" + "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in parts)
