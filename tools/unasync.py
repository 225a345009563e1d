"""Write the sync twin of every async source file, or check that the twins are in step.

`src/flagkeep/_async/` and `tests/_async/` are written by hand; `src/flagkeep/_sync/` and
`tests/_sync/` are written here, token for token, so that line numbers agree:

- `async` and `await` go;
- names in `RENAMES` are replaced;
- `Async` in front of a capital goes: `AsyncClient` becomes `Client`.

Names are replaced in comments and strings too (docstrings, `__all__`, quoted annotations); the
words "async" and "await" stay there. F-strings are refused if they hold anything to replace: Python
3.11 sees one string where 3.12 sees tokens.

    python tools/unasync.py            write the twins, remove orphans
    python tools/unasync.py --check    say what is stale, orphaned or never used; exit code 1
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import token as token_types
import tokenize
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

# Whole names. Each must be used somewhere: what nobody needs any more is to be deleted here.
RENAMES: Final[Mapping[str, str]] = {
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "_async": "_sync",  # packages: flagkeep._async, tests._async
    "aclose": "close",
    "aio": "threads",  # flagkeep._runtime.aio
    "async_source": "source",
    "async_store": "store",  # of flagkeep.testing.BigSegmentData
    "http_aio": "http_threads",  # flagkeep._runtime.http_aio
    "redis_aio": "redis_threads",  # flagkeep._runtime.redis_aio
}

# What has no twin, with what to do about it.
REFUSED: Final[Mapping[str, str]] = {
    "Awaitable": "name the type in both _runtime modules",
    "Coroutine": "name the type in both _runtime modules",
    "asyncio": "add what you need to both _runtime modules",
}

TWINS: Final = (("src/flagkeep/_async", "src/flagkeep/_sync"), ("tests/_async", "tests/_sync"))

_KEYWORDS: Final = frozenset({"async", "await"})
_WORD: Final = re.compile(r"[^\W\d]\w*")
_PREFIX: Final = re.compile(r"^(_*)Async(?=[A-Z])")
# "an AsyncClient" must not become "an Client".
_ARTICLE: Final = re.compile(r"\b([Aa])n(\s+`?)(?=Async[B-DF-HJ-NP-TV-Z])")
_REPLACED: Final = frozenset({token_types.NAME, token_types.COMMENT, token_types.STRING})
_F_STRING_START: Final = getattr(token_types, "FSTRING_START", -1)  # Python 3.12 and later
_F_STRING_END: Final = getattr(token_types, "FSTRING_END", -1)


class Refusal(Exception):
    """The source holds something that cannot be turned into its twin."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line
        self.problem = problem


@dataclass(slots=True)
class Renamer:
    """Replaces names and remembers which entries of the table were of use."""

    renames: Mapping[str, str] = field(default_factory=lambda: RENAMES)
    used: set[str] = field(default_factory=set)

    def name(self, name: str) -> str:
        """The name in the twin."""
        if name in self.renames:
            self.used.add(name)
            return self.renames[name]
        return _PREFIX.sub(r"\1", name)

    def prose(self, text: str) -> str:
        """A comment or a string with every name in it replaced."""
        text = _ARTICLE.sub(r"\1\2", text)
        return _WORD.sub(lambda match: self.name(match.group()), text)

    def changes(self, name: str) -> bool:
        """Whether the twin has another name."""
        return name in self.renames or _PREFIX.match(name) is not None


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace source[start:end] with `text`."""

    start: int
    end: int
    text: str


def twin_of(source: str, renamer: Renamer) -> str:
    """The sync twin of `source`; it has the same number of lines.

    Raises:
        Refusal: `source` holds something that has no twin.
    """
    parts = []
    done = 0
    for edit in _edits(source, renamer):
        parts += [source[done : edit.start], edit.text]
        done = edit.end
    return "".join([*parts, source[done:]])


def _edits(source: str, renamer: Renamer) -> Iterator[Edit]:
    starts = _line_starts(source)
    open_f_strings: list[int] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        start = starts[token.start[0] - 1] + token.start[1]
        end = starts[token.end[0] - 1] + token.end[1]
        if token.type == _F_STRING_START:
            open_f_strings.append(start)
        elif token.type == _F_STRING_END:
            _check_f_string(source[open_f_strings.pop() : end], token.start[0], renamer)
        elif open_f_strings:
            continue  # looked at as a whole when it ends
        elif token.type == token_types.NAME and token.string in _KEYWORDS:
            yield Edit(start, _skip_blanks(source, end), "")
        elif token.type in _REPLACED:
            yield Edit(start, end, _replacement(token, renamer))


def _replacement(token: tokenize.TokenInfo, renamer: Renamer) -> str:
    text, line = token.string, token.start[0]
    if token.type == token_types.NAME:
        if text in REFUSED:
            raise Refusal(line, f"{text}: {REFUSED[text]}")
        return renamer.name(text)
    if token.type == token_types.STRING and "f" in _string_prefix(text):
        _check_f_string(text, line, renamer)
        return text
    return renamer.prose(text)


def _line_starts(source: str) -> list[int]:
    starts = [0]
    for line in io.StringIO(source):
        starts.append(starts[-1] + len(line))
    return starts


def _skip_blanks(source: str, position: int) -> int:
    while source[position : position + 1] in {" ", "\t"}:
        position += 1
    return position


def _string_prefix(text: str) -> str:
    return text[: len(text) - len(text.lstrip("bBfFrRtTuU"))].lower()


def _check_f_string(text: str, line: int, renamer: Renamer) -> None:
    """Refuse names to replace anywhere in it, and `await` where code stands."""
    for word in _WORD.findall(text):
        if renamer.changes(word):
            raise Refusal(line, f"{word!r} in an f-string: put its value into a variable first")
    if _KEYWORDS.intersection(_WORD.findall(_code_in(text))):
        raise Refusal(line, "'await' in an f-string: put its value into a variable first")


def _code_in(text: str) -> str:
    """What stands between the braces of an f-string, nested ones included."""
    code = []
    depth = 0
    for piece in re.findall(r"\{\{|\}\}|[{}]|[^{}]+", text):
        if piece == "{" or (piece == "{{" and depth):
            depth += len(piece)
        elif piece[0] == "}" and depth:
            depth -= len(piece)
        elif depth:
            code.append(piece)
    return " ".join(code)


@dataclass(slots=True)
class Report:
    """What the twins should be, and what is wrong with the sources."""

    twins: dict[Path, str] = field(default_factory=dict)
    orphans: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def survey(root: Path, renamer: Renamer) -> Report:
    """Work out every twin below `root` without writing anything."""
    report = Report()
    for async_name, sync_name in TWINS:
        async_folder, sync_folder = root / async_name, root / sync_name
        expected = {sync_folder / p.relative_to(async_folder): p for p in _python_in(async_folder)}
        report.orphans += [path for path in _python_in(sync_folder) if path not in expected]
        for twin, origin in expected.items():
            try:
                report.twins[twin] = twin_of(_read(origin), renamer)
            except Refusal as refusal:
                place = origin.relative_to(root).as_posix()
                report.problems.append(f"{place}:{refusal.line}: {refusal.problem}")
            except (SyntaxError, tokenize.TokenError) as exc:
                report.problems.append(f"{origin.relative_to(root).as_posix()}: {exc}")
    return report


def _python_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def _read(path: Path) -> str:
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()


def unused(renames: Collection[str], used: Collection[str]) -> list[str]:
    """One line for each rename that no source needed."""
    return [
        f"tools/unasync.py: rename {name!r} is never used: delete it"
        for name in sorted(set(renames) - set(used))
    ]


def check(root: Path, report: Report) -> list[str]:
    """One line for each twin that is not what it should be."""
    lines = list(report.problems)
    for twin, text in report.twins.items():
        if not twin.exists() or _read(twin) != text:
            lines.append(f"{twin.relative_to(root).as_posix()}: stale: run `make unasync`")
    for orphan in report.orphans:
        name = orphan.relative_to(root).as_posix()
        lines.append(f"{name}: orphaned: its async source is gone; run `make unasync`")
    return lines


def write(root: Path, report: Report) -> list[str]:
    """Bring the twins in step; one line for each file that changed and each problem."""
    lines = []
    for twin, text in report.twins.items():
        if not twin.exists() or _read(twin) != text:
            twin.parent.mkdir(parents=True, exist_ok=True)
            twin.write_text(text, encoding="utf-8", newline="")
            lines.append(f"{twin.relative_to(root).as_posix()}: written")
    for orphan in report.orphans:
        orphan.unlink()
        lines.append(f"{orphan.relative_to(root).as_posix()}: removed")
    return lines + report.problems


def main(arguments: list[str] | None = None, renames: Mapping[str, str] = RENAMES) -> int:
    """Run the command line; the exit code is 1 if something has to be done by hand."""
    parser = argparse.ArgumentParser(description="Write or check the sync twins.")
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    options = parser.parse_args(arguments)
    renamer = Renamer(renames)
    report = survey(options.root, renamer)
    if not options.check:
        print("\n".join(write(options.root, report)) or "unasync: nothing to do")
        return 1 if report.problems else 0
    lines = check(options.root, report)
    if not report.problems:  # a refused source may be the one that uses it
        lines += unused(renames, renamer.used)
    print("\n".join(lines) or f"unasync: {len(report.twins)} twins in step")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
