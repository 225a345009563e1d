"""Migrations between two systems, steered by a flag."""

from flagkeep.ldclient.migrations.async_migrator import (
    AsyncMigrationConfig,
    AsyncMigrator,
    AsyncMigratorBuilder,
    AsyncMigratorFn,
)
from flagkeep.ldclient.migrations.migrator import Migrator, MigratorBuilder
from flagkeep.ldclient.migrations.tracker import OpTracker
from flagkeep.ldclient.migrations.types import (
    ExecutionOrder,
    MigrationConfig,
    MigratorCompareFn,
    MigratorFn,
    Operation,
    OperationResult,
    Origin,
    Stage,
)

__all__ = [
    "AsyncMigrationConfig",
    "AsyncMigrator",
    "AsyncMigratorBuilder",
    "AsyncMigratorFn",
    "ExecutionOrder",
    "MigrationConfig",
    "Migrator",
    "MigratorBuilder",
    "MigratorCompareFn",
    "MigratorFn",
    "OpTracker",
    "Operation",
    "OperationResult",
    "Origin",
    "Stage",
]
