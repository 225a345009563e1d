"""Migrations between two systems, steered by a flag: the vocabulary; running one comes later."""

from typing import TYPE_CHECKING

from flagkeep.ldclient._later import later
from flagkeep.ldclient.migrations.types import ExecutionOrder, Operation, Origin, Stage

__all__ = ["ExecutionOrder", "Operation", "Origin", "Stage"]

if not TYPE_CHECKING:  # so that checkers know these names are missing
    __getattr__ = later(
        __name__,
        "AsyncMigrationConfig AsyncMigrator AsyncMigratorBuilder AsyncMigratorFn"
        " MigrationConfig Migrator MigratorBuilder MigratorCompareFn MigratorFn OpTracker"
        " OperationResult",
    )
