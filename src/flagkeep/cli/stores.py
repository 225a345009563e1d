"""Store URLs: which store a command works on."""

from typing import Final

from flagkeep.cli.failures import CommandFailed, ExitCode
from flagkeep.stores import SQLiteStore

FORMS: Final = "sqlite:///flags.db (relative) or sqlite:////srv/flags.db (absolute)"


def open_store(url: str, *, prefix: str = "") -> SQLiteStore:
    """Return the store that `url` names; it is opened when it is first used.

    Everything after `sqlite:///` is the path, as it is.

    Raises:
        CommandFailed: the URL names no store of a kind that is known. What it says has no part of
            the URL but its scheme: there may be a password in the rest.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise _wrong(f"a store is given as a URL: {FORMS}")
    if scheme.lower() != "sqlite":
        raise _wrong(f"stores of kind {scheme!r} are not part of this release: use {FORMS}")
    if not rest.startswith("/"):
        raise _wrong(f"three slashes come before a relative path, four before an absolute: {FORMS}")
    if not rest[1:]:
        raise _wrong(f"the path is missing: {FORMS}")
    return SQLiteStore(rest[1:], prefix=prefix)


def _wrong(problem: str) -> CommandFailed:
    return CommandFailed(ExitCode.USAGE, f"--store: {problem}")
