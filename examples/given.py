"""The store that the processes of the story share: STORE and STORE_PREFIX in their environment.

Not an argument, because everybody on a machine can read those, and a URL may hold a password.
"""

import os

from flagkeep import CachePolicy
from flagkeep.stores import RedisStore, SQLiteStore

SQLITE = "sqlite:///"
LOOK_EVERY = 0.2  # seconds that a reader of Redis takes what it has read for fresh


def given_store() -> SQLiteStore | RedisStore:
    """Return the store that this process was given."""
    url = os.environ["STORE"]
    if url.startswith(SQLITE):
        return SQLiteStore(url.removeprefix(SQLITE))
    return RedisStore(url, prefix=os.environ["STORE_PREFIX"])


def fitting_cache() -> CachePolicy:
    """Return a short time for Redis, which does not tell of changes yet; SQLite does."""
    return CachePolicy() if os.environ["STORE"].startswith(SQLITE) else CachePolicy(LOOK_EVERY)
