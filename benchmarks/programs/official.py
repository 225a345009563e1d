"""The official SDK as a reader of a store; imported by name, as it is in another environment."""

from importlib import import_module
from typing import Any

CAPACITY = 100_000  # the default holds 1,000 items


def store(url: str, *, seconds: float) -> Any:
    """Return its Redis store, with a cache of so many seconds; 0 for none."""
    return integrations().Redis.new_feature_store(url, caching=caching(seconds))


def integrations() -> Any:
    """Return the module that makes stores."""
    return import_module("ldclient.integrations")


def caching(seconds: float) -> Any:
    """Return a cache of so many seconds; 0 for none."""
    return import_module("ldclient.feature_store").CacheConfig(seconds, CAPACITY)


def reader(feature_store: Any) -> Any:
    """Return a client that only reads that store."""
    ldclient = import_module("ldclient")
    config = ldclient.Config(
        "sdk-key", feature_store=feature_store, use_ldd=True, send_events=False
    )
    return ldclient.LDClient(config)


def context(key: str) -> Any:
    """Return a user."""
    return import_module("ldclient").Context.create(key)
