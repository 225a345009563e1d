"""The vocabulary of migrations: stages, origins, operations, orders (evaluation spec, section 5).

Plain enums, as in the official SDK, whose face hands out these very classes.
"""

from enum import Enum
from typing import Self


class _Named(Enum):
    @classmethod
    def from_str(cls, text: str) -> Self | None:
        """Return the member of that name, None if there is none."""
        return next((one for one in cls if one.value == text), None)


class Stage(_Named):
    """How far a migration has come."""

    OFF = "off"
    DUALWRITE = "dualwrite"
    SHADOW = "shadow"
    LIVE = "live"
    RAMPDOWN = "rampdown"
    COMPLETE = "complete"


class Origin(Enum):
    """Which side of a migration did it."""

    OLD = "old"
    NEW = "new"


class Operation(Enum):
    """What a migration does."""

    READ = "read"
    WRITE = "write"


class ExecutionOrder(_Named):
    """In which order the two reads of a migration run."""

    SERIAL = "serial"
    RANDOM = "random"
    PARALLEL = "parallel"
