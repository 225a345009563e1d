"""The shelf users take stores from; hides which colour lives in which package."""

from typing import TYPE_CHECKING, Any

from flagkeep._sync.stores.memory import MemoryStore
from flagkeep._sync.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from flagkeep._async.stores.memory import AsyncMemoryStore
    from flagkeep._async.stores.sqlite import AsyncSQLiteStore

__all__ = ["AsyncMemoryStore", "AsyncSQLiteStore", "MemoryStore", "SQLiteStore"]


def __getattr__(name: str) -> Any:
    """Import the async stores when one is asked for: asyncio costs half of a process's start."""
    if name == "AsyncMemoryStore":
        from flagkeep._async.stores.memory import AsyncMemoryStore  # noqa: PLC0415

        return AsyncMemoryStore
    if name == "AsyncSQLiteStore":
        from flagkeep._async.stores.sqlite import AsyncSQLiteStore  # noqa: PLC0415

        return AsyncSQLiteStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
