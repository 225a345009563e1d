"""Contexts on the command line: a key, JSON, or a file of JSON.

A file holds one context, a list of them, or an object of contexts by name.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flagkeep.cli.failures import CommandFailed, ExitCode, as_failure
from flagkeep.errors import InvalidData
from flagkeep.model.codec import parse_json
from flagkeep.model.context import Context


def read_contexts(given: Iterable[str]) -> list[Context]:
    """Return the contexts of all `--context` options, in their order.

    Raises:
        CommandFailed: one cannot be read, or is no valid context, or there is none.
    """
    found = [context for one in given for context in _read(one)]
    if not found:
        raise _wrong(
            'give at least one, such as --context some-key or \'{"kind":"org","key":"x"}\''
        )
    return found


def _read(given: str) -> list[Context]:
    if given.startswith("@"):
        name, _, wanted = given[1:].partition("#")
        document = _parsed(_file(name), given)
        if not wanted:
            return _from_document(document, given)
        if not isinstance(document, dict) or wanted not in document:
            raise _wrong(f"{name} has no context named {wanted!r}")
        return [_from_object(document[wanted], given)]
    if given.lstrip()[:1] in ("{", "["):
        return _from_document(_parsed(given, "the JSON given"), "the JSON given")
    return [_checked(Context.create(given), "a key")]


def _file(name: str) -> bytes:
    try:
        if name == "-":
            return sys.stdin.buffer.read()
        return Path(name).read_bytes()
    except OSError as exc:
        raise as_failure(exc) from None


def _parsed(text: str | bytes, source: str) -> Any:
    try:
        return parse_json(text)
    except InvalidData as exc:
        raise _wrong(f"{source}: {exc.problem}") from None


def _from_document(document: Any, source: str) -> list[Context]:
    if isinstance(document, list):
        return [_from_object(one, f"{source}[{i}]") for i, one in enumerate(document)]
    is_by_name = isinstance(document, dict) and "kind" not in document and document
    if is_by_name and all(isinstance(one, dict) for one in document.values()):
        return [_from_object(one, f"{source}#{name}") for name, one in document.items()]
    return [_from_object(document, source)]


def _from_object(document: Any, source: str) -> Context:
    return _checked(Context.from_dict(document), source)


def _checked(context: Context, source: str) -> Context:
    if not context.valid:
        raise _wrong(f"{source}: {context.error}")
    return context


def _wrong(problem: str) -> CommandFailed:
    return CommandFailed(ExitCode.USAGE, f"--context: {problem}")
