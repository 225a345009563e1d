"""How the story speaks: plain lines, with a little style on a terminal only."""

import json
import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH = 96


def say(text: str = "", *, style: str = "") -> None:
    """Print one line; the style is for terminals only."""
    codes = {"bold": "1", "dim": "2", "good": "32", "bad": "31"}
    if style and sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        text = f"\x1b[{codes[style]}m{text}\x1b[0m"
    print(text, flush=True)


def title(text: str) -> None:
    """Print the heading of a step."""
    say()
    say(text, style="bold")


def tell_of(text: str) -> None:
    """Print a paragraph."""
    for line in textwrap.wrap(text, WIDTH - 7, break_long_words=False, break_on_hyphens=False):
        say(f"   {line}")


def table(names: Sequence[str], rows: Mapping[str, Sequence[dict[str, Any]]]) -> None:
    """Print flags by contexts: the value, and the reason in words below it."""
    lines = [("", list(names), True)]
    for flag, cells in rows.items():
        lines.append((flag, [json.dumps(cell["value"]) for cell in cells], False))
        lines.append(("", [in_words(cell["reason"]) for cell in cells], True))
    first = max(len(flag) for flag, _, _ in lines) + 2
    widths = [
        max(map(len, column)) + 2 for column in zip(*(row for _, row, _ in lines), strict=True)
    ]
    for flag, row, is_dim in lines:
        cells_of_line = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        line = "   " + flag.ljust(first) + "".join(cells_of_line)
        say(line.rstrip(), style="dim" if is_dim else "")


def quote(text: str) -> None:
    """Print what somebody else said."""
    for line in textwrap.wrap(text, WIDTH - 7, break_long_words=False, break_on_hyphens=False):
        say(f"     | {line}", style="dim")


def in_words(reason: dict[str, Any]) -> str:
    """Say why a flag has its value."""
    match reason["kind"]:
        case "OFF":
            return "is off"
        case "FALLTHROUGH":
            return "no rule applies"
        case "TARGET_MATCH":
            return "named as a target"
        case "RULE_MATCH":
            return f"rule {reason['ruleId'] or reason['ruleIndex'] + 1}"
        case "PREREQUISITE_FAILED":
            return f"needs {reason['prerequisiteKey']}"
    return f"error: {reason['errorKind']}"


def milliseconds(seconds: float) -> str:
    """Return seconds for people."""
    return f"{seconds * 1000:.0f} ms"
