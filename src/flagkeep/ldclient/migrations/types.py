"""The vocabulary of migrations: stages, origins, operations, orders.

Running a migration is not part of this release.
"""

from enum import Enum
from typing import TYPE_CHECKING

from flagkeep.ldclient._later import later

if not TYPE_CHECKING:  # so that checkers know these names are missing
    __getattr__ = later(
        __name__,
        "MigrationConfig MigratorCompareFn MigratorFn OperationResult WriteResult",
    )


class ExecutionOrder(Enum):
    """In which order the two reads of a migration run."""

    SERIAL = "serial"
    RANDOM = "random"
    PARALLEL = "parallel"

    @staticmethod
    def from_str(order: str) -> "ExecutionOrder | None":
        """Return the order of that name, None if there is none."""
        return next((one for one in ExecutionOrder if one.value == order), None)


class Operation(Enum):
    """What a migration does."""

    READ = "read"
    WRITE = "write"


class Origin(Enum):
    """Which side of a migration did it."""

    OLD = "old"
    NEW = "new"


class Stage(Enum):
    """How far a migration has come."""

    OFF = "off"
    DUALWRITE = "dualwrite"
    SHADOW = "shadow"
    LIVE = "live"
    RAMPDOWN = "rampdown"
    COMPLETE = "complete"

    @staticmethod
    def from_str(stage: str) -> "Stage | None":
        """Return the stage of that name, None if there is none."""
        return next((one for one in Stage if one.value == stage), None)
