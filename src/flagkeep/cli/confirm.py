"""Asking before something is destroyed."""

import sys

import typer

from flagkeep.cli.failures import CommandFailed, ExitCode
from flagkeep.cli.text import printable


def confirm(what: str, *, is_agreed: bool) -> None:
    """Go on only if somebody agrees: by an option beforehand, or now, on a terminal.

    Args:
        what: will be lost.
        is_agreed: whether the option was given.

    Raises:
        CommandFailed: nobody agrees.
    """
    if is_agreed:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        problem = f"{what}: say --yes to go on; there is no terminal to ask on"
        raise CommandFailed(ExitCode.USAGE, problem)
    if not typer.confirm(f"{printable(what)}. Go on?", err=True):
        raise CommandFailed(ExitCode.FINDINGS, "nothing was changed")
