"""`flagkeep lint`: what is wrong with environment files."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer
from rich.text import Text

from flagkeep.cli.failures import ExitCode
from flagkeep.cli.lint_files import FileFinding, Linted, lint_files
from flagkeep.cli.options import AsJson
from flagkeep.cli.output import emit, emit_json
from flagkeep.cli.text import counted, printable
from flagkeep.evaluation.lint import Severity

_STYLES = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "dim"}


def lint(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="Together they are one environment."),
    ],
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    json: AsJson = False,
) -> None:
    """Find what is wrong with environment files, JSON or YAML."""
    linted = lint_files(files)
    counts = Counter(one.severity for one in linted.findings)
    if json:
        emit_json(_as_object(linted, counts))
    else:
        emit(*map(line_of, linted.findings), _summary(linted, counts, len(files)))
    if counts[Severity.ERROR] or (strict and counts[Severity.WARNING]):
        raise typer.Exit(ExitCode.FINDINGS)


def line_of(finding: FileFinding) -> Text:
    """Return a finding as a line."""
    place = finding.file if finding.line is None else f"{finding.file}:{finding.line}"
    line = Text(printable(f"{place}: "), overflow="ignore", no_wrap=True)
    line.append(finding.severity.value, _STYLES[finding.severity])
    name = f"{finding.kind} {finding.key!r} " if finding.kind else ""
    where = f"{name}{finding.path}".strip() if finding.path != "$" else name.strip()
    line.append(printable(f": {where}: {finding.message}" if where else f": {finding.message}"))
    return line


def _summary(linted: Linted, counts: Counter[Severity], files: int) -> Text:
    found = [
        counted(counts[severity], noun)
        for severity, noun in (
            (Severity.ERROR, "error"),
            (Severity.WARNING, "warning"),
            (Severity.INFO, "note"),
        )
        if counts[severity]
    ]
    amount = f"{counted(linted.flags, 'flag')}, {counted(linted.segments, 'segment')}"
    text = f"{', '.join(found) or 'nothing found'} in {counted(files, 'file')} ({amount})"
    if not linted.is_whole:
        text += "; what items say of each other was not looked at, because a file cannot be read"
    return Text(text, "bold")


def _as_object(linted: Linted, counts: Counter[Severity]) -> dict[str, object]:
    findings: Sequence[FileFinding] = linted.findings
    return {
        "findings": msgspec.to_builtins(findings),
        "errors": counts[Severity.ERROR],
        "warnings": counts[Severity.WARNING],
        "infos": counts[Severity.INFO],
        "flags": linted.flags,
        "segments": linted.segments,
    }
