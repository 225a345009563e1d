"""Running migrations: `MigratorBuilder` makes a `Migrator`."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from flagkeep._sync.migrations import Migrator as CoreMigrator
from flagkeep.ldclient.migrations._builder import BuilderBase
from flagkeep.ldclient.migrations.tracker import OpTracker
from flagkeep.ldclient.migrations.types import (
    MigrationConfig,
    MigratorCompareFn,
    MigratorFn,
    OperationResult,
    Stage,
    WriteResult,
)
from flagkeep.model.context import Context

if TYPE_CHECKING:  # the client's module needs this package
    from flagkeep.ldclient.client import LDClient

__all__ = [
    "MigrationConfig",
    "Migrator",
    "MigratorBuilder",
    "MigratorCompareFn",
    "MigratorFn",
    "MigratorImpl",
    "OpTracker",
]


class Migrator(ABC):
    """Reads and writes as the stage of a migration flag says."""

    @abstractmethod
    def read(
        self, key: str, context: Context, default_stage: Stage, payload: Any = None
    ) -> OperationResult:
        """Read, and return what the side says that decides.

        Args:
            key: of the migration flag.
            context: it is evaluated for.
            default_stage: if the flag gives none.
            payload: handed to the functions.
        """

    @abstractmethod
    def write(
        self, key: str, context: Context, default_stage: Stage, payload: Any = None
    ) -> WriteResult:
        """Write, to the side that decides first; to the other one only if that worked."""


class MigratorImpl(Migrator):
    """What `MigratorBuilder` makes: the core's migrator, with the official client's methods."""

    def __init__(self, client: "LDClient", settings: dict[str, Any]) -> None:
        self._migrator = CoreMigrator(_Client(client), **settings)  # type: ignore[arg-type]  # its tracker is ours

    def read(
        self, key: str, context: Context, default_stage: Stage, payload: Any = None
    ) -> OperationResult:
        """Read, and return what the side says that decides."""
        return self._migrator.read(key, context, default_stage, payload)

    def write(
        self, key: str, context: Context, default_stage: Stage, payload: Any = None
    ) -> WriteResult:
        """Write, to the side that decides first."""
        return self._migrator.write(key, context, default_stage, payload)


class MigratorBuilder(BuilderBase):
    """Builds a `Migrator`. Both `read` and `write` must be called."""

    def build(self) -> Migrator | str:
        """Return the migrator, or what is missing, in words."""
        settings = self._settings()
        return settings if isinstance(settings, str) else MigratorImpl(self._client, settings)


class _Client:
    """A client, or whatever has its methods, as the core's migrator calls it."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def migration(
        self, key: str, context: Context, default_stage: Stage
    ) -> tuple[Stage, OpTracker]:
        found: tuple[Stage, OpTracker] = self._client.migration_variation(
            key, context, default_stage
        )
        return found

    def track_migration(self, tracker: OpTracker) -> None:
        self._client.track_migration_op(tracker)
