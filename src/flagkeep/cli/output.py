"""Where output goes: text made by rich for people, JSON for programs, complaints to stderr."""

import json
import os
import sys
from collections.abc import Iterable
from typing import Any, Final, TextIO

from rich.console import Console, RenderableType

from flagkeep.cli.failures import in_one_line

# What is not read on a terminal is not folded to the width of one.
_PIPE_WIDTH: Final = 1000


def emit(*parts: RenderableType) -> None:
    """Print tables, trees and texts."""
    stream = sys.stdout
    is_narrow = stream.isatty() or "COLUMNS" in os.environ
    console = Console(
        file=stream,
        width=None if is_narrow else _PIPE_WIDTH,
        markup=False,
        highlight=False,
        emoji=False,
    )
    # Written by ourselves, because rich ends the process when a pipe is closed.
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    _write_lines(stream, (line.rstrip() for line in captured.get().removesuffix("\n").split("\n")))


def emit_json(document: Any) -> None:
    """Print JSON; characters that the stream cannot take are escaped."""
    text = json.dumps(document, indent=2, ensure_ascii=not _takes_everything(sys.stdout))
    try:
        text.encode()
    except UnicodeEncodeError:  # lone surrogates
        text = json.dumps(document, indent=2)
    _write_lines(sys.stdout, text.split("\n"))


def complain(problem: str) -> None:
    """Print one line to stderr."""
    sys.stderr.write(f"flagkeep: {in_one_line(problem)}\n")


def _write_lines(stream: TextIO, lines: Iterable[str]) -> None:
    # Line by line: with PYTHONUNBUFFERED a long text that is written in one piece is cut off where
    # the reader stops, and nobody is told.
    stream.writelines(f"{line}\n" for line in lines)


def _takes_everything(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")
