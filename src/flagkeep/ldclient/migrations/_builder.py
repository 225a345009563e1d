"""What the builders of both colours have in common."""

from typing import Any, Self

from flagkeep.ldclient.migrations.types import (
    ExecutionOrder,
    MigrationConfig,
    MigratorCompareFn,
    MigratorFn,
)


class BuilderBase:
    """Gathers what a migrator needs; methods can be chained.

    Args:
        client: evaluates the flag and sends the events.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._order = ExecutionOrder.PARALLEL
        self._track_latency = True
        self._track_errors = True
        self._read: MigrationConfig | None = None
        self._write: MigrationConfig | None = None

    def read_execution_order(self, order: ExecutionOrder) -> Self:
        """Say in which order the two reads run; anything else than an order is ignored."""
        if isinstance(order, ExecutionOrder):
            self._order = order
        return self

    def track_latency(self, enabled: bool) -> Self:
        """Say whether it is measured how long each side takes."""
        self._track_latency = bool(enabled)
        return self

    def track_errors(self, enabled: bool) -> Self:
        """Say whether failures are counted."""
        self._track_errors = bool(enabled)
        return self

    def read(
        self, old: MigratorFn, new: MigratorFn, comparison: MigratorCompareFn | None = None
    ) -> Self:
        """Say how to read, and how to compare what both sides returned."""
        self._read = MigrationConfig(old, new, comparison)
        return self

    def write(self, old: MigratorFn, new: MigratorFn) -> Self:
        """Say how to write."""
        self._write = MigrationConfig(old, new)
        return self

    def _settings(self) -> dict[str, Any] | str:
        """Return the arguments of a migrator of the core, or what is missing."""
        if self._read is None:
            return "a migrator needs to know how to read: call read(old, new)"
        if self._write is None:
            return "a migrator needs to know how to write: call write(old, new)"
        return {
            "read": self._read,
            "write": self._write,
            "read_execution_order": self._order,
            "track_latency": self._track_latency,
            "track_errors": self._track_errors,
        }
