"""Feature flags that keep working when everything around them is down."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from flagkeep._sync.client import Client
from flagkeep.config import (
    Application,
    BigSegmentSettings,
    CachePolicy,
    Config,
    EventSettings,
    FileSource,
    HttpSettings,
    Polling,
    StorePolicy,
    Streaming,
    Wrapper,
)
from flagkeep.errors import FlagkeepError
from flagkeep.evaluation.flags_state import FlagsState
from flagkeep.hooks import (
    EvaluationSeries,
    FlagChange,
    FlagValueChange,
    Hook,
    Plugin,
    TrackSeries,
)
from flagkeep.model.context import Context, ContextBuilder, ContextMultiBuilder
from flagkeep.model.detail import BigSegmentsStatus, Detail, ErrorKind, Reason, ReasonKind
from flagkeep.model.migration import ExecutionOrder, Operation, Origin, Stage
from flagkeep.model.status import ClientStatus, CloseReport, SourceStatus, StoreStatus
from flagkeep.storage.big_segments import BigSegmentStoreStatus
from flagkeep.version import VERSION

if TYPE_CHECKING:
    from flagkeep._async.client import AsyncClient
    from flagkeep._async.migrations import AsyncMigrator
    from flagkeep._sync.migrations import Migrator
    from flagkeep.events.migration_op import MigrationTracker
    from flagkeep.model.migration_result import (
        MigrationConfig,
        OperationResult,
        Result,
        WriteResult,
    )

__version__ = VERSION

__all__ = [
    "Application",
    "AsyncClient",
    "AsyncMigrator",
    "BigSegmentSettings",
    "BigSegmentStoreStatus",
    "BigSegmentsStatus",
    "CachePolicy",
    "Client",
    "ClientStatus",
    "CloseReport",
    "Config",
    "Context",
    "ContextBuilder",
    "ContextMultiBuilder",
    "Detail",
    "ErrorKind",
    "EvaluationSeries",
    "EventSettings",
    "ExecutionOrder",
    "FileSource",
    "FlagChange",
    "FlagValueChange",
    "FlagkeepError",
    "FlagsState",
    "Hook",
    "HttpSettings",
    "MigrationConfig",
    "MigrationTracker",
    "Migrator",
    "Operation",
    "OperationResult",
    "Origin",
    "Plugin",
    "Polling",
    "Reason",
    "ReasonKind",
    "Result",
    "SourceStatus",
    "Stage",
    "StorePolicy",
    "StoreStatus",
    "Streaming",
    "TrackSeries",
    "Wrapper",
    "WriteResult",
]

_LATER: Final = {
    "AsyncClient": "flagkeep._async.client",
    "AsyncMigrator": "flagkeep._async.migrations",
    "MigrationConfig": "flagkeep.model.migration_result",
    "MigrationTracker": "flagkeep.events.migration_op",
    "Migrator": "flagkeep._sync.migrations",
    "OperationResult": "flagkeep.model.migration_result",
    "Result": "flagkeep.model.migration_result",
    "WriteResult": "flagkeep.model.migration_result",
}


def __getattr__(name: str) -> Any:
    """Import what few need when it is asked for: asyncio alone costs half of a process's start."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
