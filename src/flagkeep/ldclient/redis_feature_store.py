"""`RedisFeatureStore`, where version 6 of the official SDK had it."""

from typing import Never

from flagkeep.errors import NotBuiltYet


def RedisFeatureStore(  # noqa: N802  it was a class
    url: str = "redis://localhost:6379/0",  # noqa: ARG001  the signature is what there is
    prefix: str = "launchdarkly",  # noqa: ARG001
    max_connections: int = 16,  # noqa: ARG001
    expiration: float = 15,  # noqa: ARG001
    capacity: int = 1000,  # noqa: ARG001
) -> Never:
    """Make a feature store in Redis: not part of this release."""
    raise NotBuiltYet("ldclient.redis_feature_store.RedisFeatureStore")
