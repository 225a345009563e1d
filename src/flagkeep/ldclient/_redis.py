"""How the official names for stores in Redis become stores of flagkeep."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from flagkeep.ldclient._big_segments import AsyncBigSegments, BigSegments
from flagkeep.ldclient._drivers import BIG_SEGMENTS, FLAGS, with_driver
from flagkeep.ldclient._store_core import AsyncStoreCore, StoreCore

log = logging.getLogger("ldclient.util")

DEFAULT_URL: Final = "redis://localhost:6379/0"
DEFAULT_PREFIX: Final = "launchdarkly"
DEFAULT_MAX_CONNECTIONS: Final = 16
DESCRIPTION: Final = "Redis"
_IN_REDIS: Final = "in Redis"


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
        DriverNotInstalled: redis-py is not there.
    """
    from flagkeep.stores import RedisStore  # noqa: PLC0415  not every program has one

    given = _arguments(prefix, redis_opts)
    make = with_driver(
        lambda: RedisStore(url, max_connections=max_connections, **given), f"{FLAGS} {_IN_REDIS}"
    )
    return StoreCore(make(), make, DESCRIPTION)


def async_redis_core(
    url: str, prefix: str | None, redis_opts: Mapping[str, Any] | None = None
) -> AsyncStoreCore:
    """Return the calls to a Redis for asyncio; arguments and errors as for `redis_core`."""
    from flagkeep.stores import AsyncRedisStore  # noqa: PLC0415  it needs asyncio

    given = _arguments(prefix, redis_opts)
    make = with_driver(lambda: AsyncRedisStore(url, **given), f"{FLAGS} {_IN_REDIS}")
    return AsyncStoreCore(make(), make, DESCRIPTION)


def redis_big_segments(
    url: str, prefix: str | None, redis_opts: Mapping[str, Any] | None = None
) -> BigSegments:
    """Return Big Segments in a Redis; arguments and errors as for `redis_core`."""
    from flagkeep.stores import RedisBigSegmentStore  # noqa: PLC0415  not every program has one

    given = _arguments(prefix, redis_opts)
    make = with_driver(lambda: RedisBigSegmentStore(url, **given), f"{BIG_SEGMENTS} {_IN_REDIS}")
    return BigSegments(make)


def async_redis_big_segments(
    url: str, prefix: str | None, redis_opts: Mapping[str, Any] | None = None
) -> AsyncBigSegments:
    """Return Big Segments in a Redis for asyncio; the same arguments and errors."""
    from flagkeep.stores import AsyncRedisBigSegmentStore  # noqa: PLC0415  it needs asyncio

    given = _arguments(prefix, redis_opts)
    make = with_driver(
        lambda: AsyncRedisBigSegmentStore(url, **given), f"{BIG_SEGMENTS} {_IN_REDIS}"
    )
    return AsyncBigSegments(make)


def warn_of_max_connections(max_connections: int) -> None:
    """Say that the argument `max_connections` has no effect, if it was given."""
    if max_connections != DEFAULT_MAX_CONNECTIONS:
        log.warning(
            "max_connections has no effect: write redis_opts={'max_connections': %d}",
            max_connections,
        )


def _arguments(prefix: str | None, redis_opts: Mapping[str, Any] | None) -> dict[str, Any]:
    # A copy: what the caller does to its options later is its own business.
    return {"prefix": prefix or DEFAULT_PREFIX, "options": dict(redis_opts or {})}
