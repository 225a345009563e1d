"""A store in Redis, or Valkey, in the layout that all SDKs share."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from flagkeep._async.stores.redis_session import AsyncRedisSession, checked_prefix
from flagkeep._async.stores.redis_writes import AsyncRedisWrites
from flagkeep._runtime.redis_errors import LONG
from flagkeep._runtime.redis_settings import (
    DEFAULT_CONNECT_TIMEOUT,
    DEFAULT_TIMEOUT,
    DEFAULT_URL,
    Settings,
)
from flagkeep.config import RedisTLS
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import BadItem, ItemRef, SerializedItem
from flagkeep.storage import redis_layout as layout
from flagkeep.storage.contents import StoreChanges, StoreContents, WriterRecord
from flagkeep.storage.updates import can_be_stored, found_items

if TYPE_CHECKING:
    from flagkeep._runtime.redis_aio import Client, Pool


class AsyncRedisStore:
    """Flags and segments in a Redis or Valkey server, shared with SDKs in every language.

    Nothing is connected before the first use. Connections are kept, and replaced when they break.

    Args:
        url: `redis://[user[:password]@]host[:port][/database]`, with TLS `rediss://…`, or
            `unix://[user[:password]@]/path/of/socket[?db=number]`.
        prefix: separates environments in one database; `""` is the default too.
        username: outranks the URL's, as do the next two.
        password: of that user.
        database: its number.
        tls: certificates; needs `rediss://`.
        connect_timeout: seconds for making a connection.
        timeout: seconds for one answer; a whole environment may take ten times as long.
        max_connections: how many there may be at a time; 64 if not given.
        client: a client of redis-py to use, whose connections are never closed by the store. Its
            address and its settings count, and none may be given here.
        pool: a connection pool of redis-py to use in the same way.
        options: further arguments of redis-py's connections. How they decode answers and whether
            they try again has no effect.

    Raises:
        ConfigError: an argument cannot work.
        MissingExtra: redis-py is not installed.
    """

    name: str = "redis"
    poll_interval: float | None = None

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        prefix: str = layout.DEFAULT_PREFIX,
        username: str | None = None,
        password: str | None = None,
        database: int | None = None,
        tls: RedisTLS | None = None,
        connect_timeout: float = DEFAULT_CONNECT_TIMEOUT,
        timeout: float = DEFAULT_TIMEOUT,
        max_connections: int | None = None,
        client: "Client | None" = None,
        pool: "Pool | None" = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        settings = Settings(
            url,
            username=username,
            password=password,
            database=database,
            tls=tls,
            connect_timeout=connect_timeout,
            timeout=timeout,
            max_connections=max_connections,
            options=options,
            is_given=client is not None or pool is not None,
        )
        self._names = layout.Names(checked_prefix(prefix))
        self._session = AsyncRedisSession(settings, client, pool, purpose="a store in Redis")
        self._connections = self._session.connections
        self._writes = AsyncRedisWrites(self._connections, self._names)
        self.label = self._session.label
        self._last = layout.NOTHING

    @property
    def unstored(self) -> tuple[BadItem, ...]:
        """What was written through this object and is not in the store, by item."""
        return self._writes.unstored.items

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.label} prefix={self._names.prefix!r}>"

    async def get_many(
        self, wanted: Iterable[ItemRef], *, timeout: float | None = None
    ) -> dict[ItemRef, SerializedItem]:
        """Return those of `wanted` that are there, tombstones included.

        Args:
            wanted: what to read.
            timeout: seconds for all of it, connecting included.
        """
        operation = "get_many"
        self._session.check_open(operation)
        refs = [ref for ref in wanted if can_be_stored(ref.key)]
        if not refs:
            return {}
        if len(refs) == 1:  # nearly always, and cheaper than one of several
            (ref,) = refs
            (text,) = await self._session.ask(operation, (self._names.item(ref),), timeout=timeout)
            return found_items({ref: text})
        commands = self._names.items(refs)
        if len(commands) == 1:
            replies = await self._session.ask(operation, commands, timeout=timeout)
        else:
            replies = await self._session.ask_together(operation, commands, timeout=timeout)
        return found_items(layout.item_texts(refs, replies))

    async def get_all(self, *, timeout: float | None = None) -> StoreContents:
        """Return everything, as of one moment."""
        last = LONG * self._connections.timeout
        commands = self._names.everything()
        replies = await self._session.ask_together("get_all", commands, timeout=timeout, last=last)
        self._last = contents = layout.contents(replies, self._last)
        return contents

    async def is_initialized(self, *, timeout: float | None = None) -> bool:
        """Return whether a full set was ever written."""
        (reply,) = await self._session.ask(
            "is_initialized", [self._names.is_marked()], timeout=timeout
        )
        return bool(reply)

    async def read_record(self) -> WriterRecord | None:
        """Return who wrote last; None if nobody said."""
        (reply,) = await self._session.ask("read_record", [self._names.record()])
        return WriterRecord.decode(reply)

    async def poll_changes(self) -> StoreChanges | None:
        """Return None: there is no cheap way to ask."""
        self._session.check_open("poll_changes")
        return None

    async def replace(self, changes: ChangeSet, record: WriterRecord | None = None) -> None:
        """Put a full set in the place of everything, in one transaction."""
        self._session.check_open("replace")
        await self._writes.replace(changes, record)

    async def upsert(self, changes: ChangeSet) -> dict[ItemRef, SerializedItem]:
        """Write what is newer, at once; return what is there instead of the rest."""
        self._session.check_open("upsert")
        return await self._writes.upsert(changes)

    async def clear(self) -> None:
        """Remove everything under the prefix but Big Segments, at once; for tools and tests."""
        await self._session.ask("clear", [self._names.nothing()])

    async def aclose(self) -> None:
        """Close the connections that the store made; a second call does nothing."""
        await self._session.aclose()
