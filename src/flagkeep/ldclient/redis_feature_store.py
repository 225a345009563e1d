"""`RedisFeatureStore`, where version 6 of the official SDK had it."""

import warnings

from flagkeep.ldclient import _redis
from flagkeep.ldclient.feature_store import CacheConfig
from flagkeep.ldclient.feature_store_helpers import CachingStoreWrapper


class RedisFeatureStore(CachingStoreWrapper):
    """A feature store in Redis. Deprecated: use `ldclient.integrations.Redis.new_feature_store`.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        prefix: what all its keys in Redis begin with.
        max_connections: how many connections there may be at a time.
        expiration: seconds for which items are kept in memory; 0 or less: not at all.
        capacity: how many absent items are remembered.

    Raises:
        ConfigError: the URL cannot work.
        NotImplementedError: redis-py is not installed.
    """

    def __init__(
        self,
        url: str = _redis.DEFAULT_URL,
        prefix: str = _redis.DEFAULT_PREFIX,
        max_connections: int = _redis.DEFAULT_MAX_CONNECTIONS,
        expiration: float = CacheConfig.DEFAULT_EXPIRATION,
        capacity: int = CacheConfig.DEFAULT_CAPACITY,
    ) -> None:
        message = "RedisFeatureStore is deprecated: use ldclient.integrations.Redis"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        core = _redis.redis_core(url, prefix, max_connections=max_connections)
        super().__init__(core, CacheConfig(expiration, capacity))
