"""The vocabulary of migrations, and what running one gives: the core's own classes."""

from flagkeep.model.migration import ExecutionOrder, Operation, Origin, Stage
from flagkeep.model.migration_result import (
    MigrationCompareFn,
    MigrationConfig,
    MigrationFn,
    OperationResult,
    Result,
    WriteResult,
)

__all__ = [
    "ExecutionOrder",
    "MigrationConfig",
    "MigratorCompareFn",
    "MigratorFn",
    "Operation",
    "OperationResult",
    "Origin",
    "Result",
    "Stage",
    "WriteResult",
]

MigratorFn = MigrationFn
MigratorCompareFn = MigrationCompareFn
