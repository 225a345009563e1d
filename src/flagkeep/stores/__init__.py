"""The shelf users take stores from; hides which colour lives in which package."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from flagkeep._async.stores.consul import AsyncConsulStore
    from flagkeep._async.stores.dynamodb import AsyncDynamoDBStore
    from flagkeep._async.stores.dynamodb_big_segments import AsyncDynamoDBBigSegmentStore
    from flagkeep._async.stores.memory import AsyncMemoryStore
    from flagkeep._async.stores.redis import AsyncRedisStore
    from flagkeep._async.stores.redis_big_segments import AsyncRedisBigSegmentStore
    from flagkeep._async.stores.sqlite import AsyncSQLiteStore
    from flagkeep._async.stores.sqlite_big_segments import AsyncSQLiteBigSegmentStore
    from flagkeep._sync.stores.consul import ConsulStore
    from flagkeep._sync.stores.dynamodb import DynamoDBStore
    from flagkeep._sync.stores.dynamodb_big_segments import DynamoDBBigSegmentStore
    from flagkeep._sync.stores.memory import MemoryStore
    from flagkeep._sync.stores.redis import RedisStore
    from flagkeep._sync.stores.redis_big_segments import RedisBigSegmentStore
    from flagkeep._sync.stores.sqlite import SQLiteStore
    from flagkeep._sync.stores.sqlite_big_segments import SQLiteBigSegmentStore

__all__ = [
    "AsyncConsulStore",
    "AsyncDynamoDBBigSegmentStore",
    "AsyncDynamoDBStore",
    "AsyncMemoryStore",
    "AsyncRedisBigSegmentStore",
    "AsyncRedisStore",
    "AsyncSQLiteBigSegmentStore",
    "AsyncSQLiteStore",
    "ConsulStore",
    "DynamoDBBigSegmentStore",
    "DynamoDBStore",
    "MemoryStore",
    "RedisBigSegmentStore",
    "RedisStore",
    "SQLiteBigSegmentStore",
    "SQLiteStore",
]

_PLACES: Final = {
    "ConsulStore": "consul",
    "DynamoDBBigSegmentStore": "dynamodb_big_segments",
    "DynamoDBStore": "dynamodb",
    "MemoryStore": "memory",
    "RedisBigSegmentStore": "redis_big_segments",
    "RedisStore": "redis",
    "SQLiteBigSegmentStore": "sqlite_big_segments",
    "SQLiteStore": "sqlite",
}
_MODULES: Final = {
    f"{colour}{name}": f"flagkeep.{package}.stores.{place}"
    for colour, package in (("", "_sync"), ("Async", "_async"))
    for name, place in _PLACES.items()
}


def __getattr__(name: str) -> Any:
    """Import a store when it is asked for: asyncio alone costs half of a process's start."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
