"""Where output goes: text made by rich for people, JSON for programs, complaints to stderr."""

import json
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TextIO

import msgspec
from rich.console import Console, RenderableType

from flagkeep.cli.failures import in_one_line

# What is not read on a terminal is not folded to the width of one.
_PIPE_WIDTH: Final = 1000
# Whoever puts a URL in the wrong place finds it in the complaint, but not its password. As the name
# of a file it has lost one of its slashes.
_CREDENTIALS: Final = re.compile(r"(\b\w[\w+.-]+://?)\S*(?=@)|(\bpassword=)[^&\s]*", re.IGNORECASE)


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


def emit_json_text(text: bytes) -> None:
    """Print JSON that is there already, indented; its numbers and strings stay as they are.

    Characters that the stream cannot take, or that a terminal might obey, are escaped.
    """
    with suppress(RecursionError):  # then as it is
        text = msgspec.json.format(text, indent=2)
    is_rich = _takes_everything(sys.stdout)
    lines = text.decode().split("\n")
    _write_lines(sys.stdout, (_escaped(line, is_rich=is_rich) for line in lines))


def emit_text(text: str) -> None:
    """Print one line."""
    _write_lines(sys.stdout, [in_one_line(text)])


def emit_lines(lines: Iterable[str]) -> None:
    """Print lines, which hold nothing that a terminal might obey."""
    _write_lines(sys.stdout, lines)


def emit_json_parts(parts: Iterable[bytes]) -> None:
    """Print JSON in lines, byte for byte; on a terminal what it might obey is escaped."""
    if sys.stdout.isatty():
        parts = (_escaped(part.decode(), is_rich=True).encode() for part in parts)
    sys.stdout.flush()
    sys.stdout.buffer.writelines(parts)
    sys.stdout.buffer.flush()


def complain(problem: str) -> None:
    """Print one line to stderr."""
    line = _CREDENTIALS.sub(r"\1\2***", in_one_line(problem))
    sys.stderr.write(f"flagkeep: {line}\n")


@contextmanager
def warnings_as_complaints() -> Iterator[None]:
    """Print what flagkeep warns of in its log, a line each; nothing else shows a log here."""
    log, handler = logging.getLogger("flagkeep"), _Complaints(logging.WARNING)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


class _Complaints(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        complain(record.getMessage())


def _write_lines(stream: TextIO, lines: Iterable[str]) -> None:
    # Line by line: with PYTHONUNBUFFERED a long text that is written in one piece is cut off where
    # the reader stops, and nobody is told.
    stream.writelines(f"{line}\n" for line in lines)


def _escaped(line: str, *, is_rich: bool) -> str:
    if line.isprintable() and (is_rich or line.isascii()):
        return line
    return "".join(
        one
        if one == "\n" or (one.isprintable() and (is_rich or one.isascii()))
        else json.dumps(one)[1:-1]
        for one in line
    )


def _takes_everything(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")
