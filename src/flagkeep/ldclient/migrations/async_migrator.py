"""Running migrations in asyncio: `AsyncMigratorBuilder` makes an `AsyncMigrator`."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from flagkeep.ldclient.migrations._builder import BuilderBase
from flagkeep.ldclient.migrations.tracker import OpTracker
from flagkeep.ldclient.migrations.types import (
    MigrationConfig,
    MigratorFn,
    OperationResult,
    Stage,
    WriteResult,
)
from flagkeep.model.context import Context

if TYPE_CHECKING:  # the client's module needs this package
    from flagkeep.ldclient.async_client import AsyncLDClient

AsyncMigratorFn = MigratorFn  # one that returns an awaitable


class AsyncMigrationConfig(MigrationConfig, frozen=True):
    """How a migration reads, or how it writes, in asyncio."""


class AsyncMigrator(ABC):
    """Reads and writes as the stage of a migration flag says."""

    @abstractmethod
    async def read(
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
    async def write(
        self, key: str, context: Context, default_stage: Stage, payload: Any = None
    ) -> WriteResult:
        """Write, to the side that decides first; to the other one only if that worked."""


class AsyncMigratorImpl(AsyncMigrator):
    """What `AsyncMigratorBuilder` makes."""

    def __init__(self, client: "AsyncLDClient", settings: dict[str, Any]) -> None:
        # it needs asyncio, which a program without it need not load
        from flagkeep._async.migrations import AsyncMigrator as CoreMigrator  # noqa: PLC0415

        self._migrator: Any = CoreMigrator(_Client(client), **settings)  # type: ignore[arg-type]  # its tracker is ours

    async def read(
        self, key: str, context: Context, default_stage: Stage, payload: Any = None
    ) -> OperationResult:
        """Read, and return what the side says that decides."""
        found: OperationResult = await self._migrator.read(key, context, default_stage, payload)
        return found

    async def write(
        self, key: str, context: Context, default_stage: Stage, payload: Any = None
    ) -> WriteResult:
        """Write, to the side that decides first."""
        found: WriteResult = await self._migrator.write(key, context, default_stage, payload)
        return found


class AsyncMigratorBuilder(BuilderBase):
    """Builds an `AsyncMigrator`. Both `read` and `write` must be called."""

    def build(self) -> AsyncMigrator | str:
        """Return the migrator, or what is missing, in words."""
        settings = self._settings()
        return settings if isinstance(settings, str) else AsyncMigratorImpl(self._client, settings)


class _Client:
    """A client, or whatever has its methods, as the core's migrator calls it."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def migration(
        self, key: str, context: Context, default_stage: Stage
    ) -> tuple[Stage, OpTracker]:
        found: tuple[Stage, OpTracker] = await self._client.migration_variation(
            key, context, default_stage
        )
        return found

    def track_migration(self, tracker: OpTracker) -> None:
        self._client.track_migration_op(tracker)
