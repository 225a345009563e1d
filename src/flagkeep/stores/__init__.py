"""The shelf users take stores from; hides which colour lives in which package."""

from typing import TYPE_CHECKING, Any

from flagkeep._sync.stores.memory import MemoryStore
from flagkeep._sync.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from flagkeep._async.stores.memory import AsyncMemoryStore
    from flagkeep._async.stores.redis import AsyncRedisStore
    from flagkeep._async.stores.sqlite import AsyncSQLiteStore
    from flagkeep._sync.stores.redis import RedisStore

__all__ = [
    "AsyncMemoryStore",
    "AsyncRedisStore",
    "AsyncSQLiteStore",
    "MemoryStore",
    "RedisStore",
    "SQLiteStore",
]


def __getattr__(name: str) -> Any:
    """Import what only some programs need: asyncio costs half of a process's start."""
    if name == "AsyncMemoryStore":
        from flagkeep._async.stores.memory import AsyncMemoryStore  # noqa: PLC0415

        return AsyncMemoryStore
    if name == "AsyncRedisStore":
        from flagkeep._async.stores.redis import AsyncRedisStore  # noqa: PLC0415

        return AsyncRedisStore
    if name == "AsyncSQLiteStore":
        from flagkeep._async.stores.sqlite import AsyncSQLiteStore  # noqa: PLC0415

        return AsyncSQLiteStore
    if name == "RedisStore":
        from flagkeep._sync.stores.redis import RedisStore  # noqa: PLC0415

        return RedisStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
