"""Big Segments in Redis, or Valkey, in the layout that LaunchDarkly's relay writes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flagkeep._async.stores.redis_session import AsyncRedisSession, checked_prefix
from flagkeep._runtime.redis_settings import (
    DEFAULT_CONNECT_TIMEOUT,
    DEFAULT_TIMEOUT,
    DEFAULT_URL,
    Settings,
)
from flagkeep.config import RedisTLS
from flagkeep.storage import big_segment_layout as layout
from flagkeep.storage.big_segments import BigSegmentMetadata
from flagkeep.storage.redis_layout import DEFAULT_PREFIX
from flagkeep.storage.updates import can_be_stored

if TYPE_CHECKING:
    from flagkeep._runtime.redis_aio import Client, Pool


class AsyncRedisBigSegmentStore:
    """Who is in which Big Segments, in a Redis or Valkey server that another program fills.

    Nothing is connected before the first use, and nothing is ever written. The arguments are those
    of `AsyncRedisStore`.

    Args:
        url: `redis://[user[:password]@]host[:port][/database]`, with TLS `rediss://…`, or
            `unix://[user[:password]@]/path/of/socket[?db=number]`.
        prefix: separates environments in one database; `""` is the default too.
        username: outranks the URL's, as do the next two.
        password: of that user.
        database: its number.
        tls: certificates; needs `rediss://`.
        connect_timeout: seconds for making a connection.
        timeout: seconds for one answer.
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
    takes_timeout: bool = True

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        prefix: str = DEFAULT_PREFIX,
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
        self._names = layout.RedisNames(checked_prefix(prefix))
        self._session = AsyncRedisSession(settings, client, pool, purpose="Big Segments in Redis")
        self.label = self._session.label

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.label} prefix={self._names.prefix!r}>"

    async def get_metadata(self, *, timeout: float | None = None) -> BigSegmentMetadata:
        """Return how old the data is; `timeout` as for `get_membership`."""
        (text,) = await self._session.ask("get_metadata", [self._names.time()], timeout=timeout)
        return layout.metadata(text)

    async def get_membership(
        self, context_hash: str, *, timeout: float | None = None
    ) -> Mapping[str, bool]:
        """Return the segments of one context, as of one moment.

        Args:
            context_hash: base64 of SHA-256 of the context key.
            timeout: seconds for all of it, connecting included.
        """
        operation = "get_membership"
        self._session.check_open(operation)
        if not can_be_stored(context_hash):
            return {}
        commands = self._names.members(context_hash)
        included, excluded = await self._session.ask_together(operation, commands, timeout=timeout)
        return layout.membership(included, excluded)

    async def aclose(self) -> None:
        """Close the connections that the store made; a second call does nothing."""
        await self._session.aclose()
