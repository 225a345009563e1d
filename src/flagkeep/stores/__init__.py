"""The shelf users take stores from; hides which colour lives in which package."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from flagkeep._async.stores.memory import AsyncMemoryStore
    from flagkeep._async.stores.redis import AsyncRedisStore
    from flagkeep._async.stores.sqlite import AsyncSQLiteStore
    from flagkeep._sync.stores.memory import MemoryStore
    from flagkeep._sync.stores.redis import RedisStore
    from flagkeep._sync.stores.sqlite import SQLiteStore

__all__ = [
    "AsyncMemoryStore",
    "AsyncRedisStore",
    "AsyncSQLiteStore",
    "MemoryStore",
    "RedisStore",
    "SQLiteStore",
]

_MODULES: Final = {
    f"{colour}{name}": f"flagkeep.{package}.stores.{name.removesuffix('Store').lower()}"
    for colour, package in (("", "_sync"), ("Async", "_async"))
    for name in ("MemoryStore", "RedisStore", "SQLiteStore")
}


def __getattr__(name: str) -> Any:
    """Import a store when it is asked for: asyncio alone costs half of a process's start."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
