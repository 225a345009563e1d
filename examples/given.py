"""The store that the processes of the story share: STORE and STORE_PREFIX in their environment.

Not an argument, because everybody on a machine can read those, and a URL may hold a password.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from flagkeep import CachePolicy
from flagkeep import stores as shelf  # a store is imported when it is taken from there
from flagkeep.errors import ConfigError

if TYPE_CHECKING:
    AnyStore = shelf.SQLiteStore | shelf.RedisStore | shelf.DynamoDBStore | shelf.ConsulStore

SQLITE = "sqlite:///"
LOOK_EVERY = 0.2  # seconds that a reader of a database takes what it has read for fresh

IN_DYNAMODB = ("region", "endpoint", "profile", "role")
IN_CONSUL = ("dc", "namespace", "partition", "consistency")
CONSUL_TOKENS = ("FLAGKEEP_CONSUL_TOKEN", "CONSUL_HTTP_TOKEN")  # as the command line has them


def given_store() -> "AnyStore":
    """Return the store that this process was given."""
    return store_at(os.environ["STORE"], os.environ.get("STORE_PREFIX", ""))


def store_at(url: str, prefix: str) -> "AnyStore":
    """Return the store that a URL names, with this prefix in it; SQLite needs none.

    Raises:
        ConfigError: the URL cannot be used.
        MissingExtra: the driver is not installed.
    """
    scheme, _, rest = url.partition("://")
    match scheme.lower():
        case "sqlite":
            return shelf.SQLiteStore(rest[1:])
        case "dynamodb":
            table, _, query = rest.partition("?")
            if "@" in table:
                raise ConfigError("dynamodb:// takes no keys: set AWS_ACCESS_KEY_ID and so on")
            return shelf.DynamoDBStore(table, prefix=prefix, **options_in(query, IN_DYNAMODB))
        case "consul" | "consul+https":
            return store_in_consul(url, prefix)
    return shelf.RedisStore(url, prefix=prefix)


def store_in_consul(url: str, prefix: str) -> "shelf.ConsulStore":
    """Return a store in Consul; its token is in the environment."""
    parts = urlsplit(url)
    scheme, port = ("https", 8501) if parts.scheme.lower() == "consul+https" else ("http", 8500)
    place = parts.netloc if has_port(parts.netloc) else f"{parts.netloc}:{port}"
    options = options_in(parts.query, IN_CONSUL)
    return shelf.ConsulStore(
        f"{scheme}://{place}",
        prefix=prefix,
        token=next(filter(None, map(os.environ.get, CONSUL_TOKENS)), None),
        datacenter=options.pop("dc", None),
        **options,
    )


def has_port(netloc: str) -> bool:
    """Whether the place of a server says at which port it is."""
    return netloc.rpartition("]")[2].rpartition(":")[2].isdigit()


def options_in(query: str, known: Sequence[str]) -> dict[str, Any]:
    """Return what stands after the ? of a URL.

    Raises:
        ConfigError: something else stands there, too.
    """
    options = dict(parse_qsl(query))
    options.pop("prefix", None)  # it is in the one that is given
    if not options.keys() <= set(known):
        raise ConfigError(f"after ? it may have {', '.join(known)}")
    return options


def fitting_cache() -> CachePolicy:
    """Return a short time for databases, which do not tell of changes yet; SQLite does."""
    return CachePolicy() if os.environ["STORE"].startswith(SQLITE) else CachePolicy(LOOK_EVERY)
