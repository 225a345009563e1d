"""How the official names for a feature store in Redis become a `RedisStore`."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from flagkeep.errors import MissingExtra
from flagkeep.ldclient._store_core import AsyncStoreCore, StoreCore

if TYPE_CHECKING:  # each is imported when one is made
    from flagkeep.stores import AsyncRedisStore, RedisStore

log = logging.getLogger("ldclient.util")

DEFAULT_URL: Final = "redis://localhost:6379/0"
DEFAULT_PREFIX: Final = "launchdarkly"
DEFAULT_MAX_CONNECTIONS: Final = 16
DESCRIPTION: Final = "Redis"


class RedisNotInstalled(MissingExtra, NotImplementedError):
    """redis-py is not installed. The official SDK raises `NotImplementedError`; so this is one."""


def redis_core(
    url: str,
    prefix: str | None,
    redis_opts: Mapping[str, Any] | None = None,
    *,
    max_connections: int | None = None,
) -> StoreCore:
    """Return the calls to a Redis; nothing connects yet.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        prefix: None or empty takes the default.
        redis_opts: further arguments of redis-py's connections.
        max_connections: outranks the one in `redis_opts`.

    Raises:
        ConfigError: the URL or an option cannot work.
        RedisNotInstalled: redis-py is not there.
    """
    from flagkeep.stores import RedisStore  # noqa: PLC0415  not every program has one

    options = dict(redis_opts or {})

    def make() -> "RedisStore":
        try:
            return RedisStore(
                url,
                prefix=prefix or DEFAULT_PREFIX,
                max_connections=max_connections,
                options=options,
            )
        except MissingExtra as exc:
            raise _not_installed(exc) from None

    return StoreCore(make(), make, DESCRIPTION)


def async_redis_core(
    url: str, prefix: str | None, redis_opts: Mapping[str, Any] | None = None
) -> AsyncStoreCore:
    """Return the calls to a Redis for asyncio; arguments and errors as for `redis_core`."""
    from flagkeep.stores import AsyncRedisStore  # noqa: PLC0415  it needs asyncio

    options = dict(redis_opts or {})

    def make() -> "AsyncRedisStore":
        try:
            return AsyncRedisStore(url, prefix=prefix or DEFAULT_PREFIX, options=options)
        except MissingExtra as exc:
            raise _not_installed(exc) from None

    return AsyncStoreCore(make(), make, DESCRIPTION)


def warn_of_max_connections(max_connections: int) -> None:
    """Say that the argument `max_connections` has no effect, if it was given."""
    if max_connections != DEFAULT_MAX_CONNECTIONS:
        log.warning(
            "max_connections has no effect: write redis_opts={'max_connections': %d}",
            max_connections,
        )


def _not_installed(error: MissingExtra) -> RedisNotInstalled:
    return RedisNotInstalled(error.extra, "a feature store in Redis")
