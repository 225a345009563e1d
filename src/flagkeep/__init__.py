"""Feature flags that keep working when everything around them is down."""

from typing import TYPE_CHECKING, Any

from flagkeep._sync.client import Client, CloseReport
from flagkeep.config import CachePolicy, Config, FileSource, StorePolicy
from flagkeep.errors import FlagkeepError
from flagkeep.evaluation.flags_state import FlagsState
from flagkeep.hooks import FlagChange, FlagValueChange
from flagkeep.model.context import Context, ContextBuilder, ContextMultiBuilder
from flagkeep.model.detail import BigSegmentsStatus, Detail, ErrorKind, Reason, ReasonKind
from flagkeep.model.status import ClientStatus, SourceStatus, StoreStatus
from flagkeep.version import VERSION

if TYPE_CHECKING:
    from flagkeep._async.client import AsyncClient

__version__ = VERSION

__all__ = [
    "AsyncClient",
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
    "FileSource",
    "FlagChange",
    "FlagValueChange",
    "FlagkeepError",
    "FlagsState",
    "Reason",
    "ReasonKind",
    "SourceStatus",
    "StorePolicy",
    "StoreStatus",
]


def __getattr__(name: str) -> Any:
    """Import `AsyncClient` when it is asked for: it brings asyncio with it."""
    if name == "AsyncClient":
        from flagkeep._async.client import AsyncClient  # noqa: PLC0415

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
