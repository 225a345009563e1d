"""Where output goes: text made by rich for people, JSON for programs, complaints to stderr."""

import json
import os
import sys
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
    lines = captured.get().splitlines()
    stream.write("".join(f"{line.rstrip()}\n" for line in lines))


def emit_json(document: Any) -> None:
    """Print JSON; characters that the stream cannot take are escaped."""
    text = json.dumps(document, indent=2, ensure_ascii=not _takes_everything(sys.stdout))
    try:
        text.encode()
    except UnicodeEncodeError:  # lone surrogates
        text = json.dumps(document, indent=2)
    sys.stdout.write(f"{text}\n")


def complain(problem: str) -> None:
    """Print one line to stderr."""
    sys.stderr.write(f"flagkeep: {in_one_line(problem)}\n")


def _takes_everything(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")
