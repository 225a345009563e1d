"""Values and names as text that fits a line and cannot play tricks on a terminal."""

import json
from typing import Any, Final

ROOM: Final = 60


def printable(text: str) -> str:
    """Return `text` with everything that is not a visible character escaped."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escape(one) for one in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode()


def as_json(value: Any) -> str:
    """Return a value as JSON in one line; infinity, which is not JSON, as Python writes it."""
    return printable(json.dumps(value, ensure_ascii=False))


def shortened(text: str, room: int = ROOM) -> str:
    """Return `text`, cut off where it does not fit."""
    return text if len(text) <= room else f"{text[: room - 3]}..."


def values_as_text(values: list[Any], *, room: int = ROOM) -> str:
    """Return a list of values, and how many there are beyond those that fit."""
    shown: list[str] = []
    for value in values:
        one = shortened(as_json(value), room)
        if shown and sum(map(len, shown)) + len(one) > room:
            return f"{', '.join(shown)}, and {len(values) - len(shown)} more"
        shown.append(one)
    return ", ".join(shown) or "(no values)"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
