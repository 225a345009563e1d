"""How a command ends: the exit codes, and errors as one line on stderr."""

from enum import IntEnum

from flagkeep.cli.text import printable
from flagkeep.errors import (
    ConfigError,
    FlagkeepError,
    InvalidData,
    InvalidItem,
    MissingExtra,
    StoreError,
)


class ExitCode(IntEnum):
    """What the command's exit code means. Documented in docs/cli.md and in `flagkeep --help`."""

    FINE = 0
    FINDINGS = 1
    USAGE = 2
    NO_SUCH_FLAG = 3
    UNUSABLE = 4
    EXTRA_MISSING = 5
    INTERRUPTED = 130
    PIPE_CLOSED = 141


class CommandFailed(Exception):
    """A command cannot go on.

    Attributes:
        code: to exit with.
        problem: one line that says what is wrong and what to do.
    """

    def __init__(self, code: ExitCode, problem: str) -> None:
        super().__init__(problem)
        self.code = code
        self.problem = problem


def as_failure(error: FlagkeepError | OSError) -> CommandFailed:
    """Return an error of the library or the system as the end of a command."""
    match error:
        case StoreError():
            return CommandFailed(ExitCode.UNUSABLE, f"{error.store}: {error.reason}")
        case MissingExtra():
            return CommandFailed(ExitCode.EXTRA_MISSING, str(error))
        case InvalidData() | InvalidItem():
            return CommandFailed(ExitCode.UNUSABLE, str(error))
        case ConfigError():
            return CommandFailed(ExitCode.USAGE, str(error))
        case OSError():
            name = f"{error.filename}: " if error.filename else ""
            return CommandFailed(ExitCode.UNUSABLE, f"{name}{error.strerror or error}")
        case _:
            return CommandFailed(ExitCode.UNUSABLE, str(error))


def in_one_line(problem: str) -> str:
    """Return a message without line breaks and control characters."""
    return printable(" ".join(problem.split()))
