"""Store URLs: which store a command works on."""

import os
from typing import Final
from urllib.parse import urlsplit

from flagkeep._runtime.redis_settings import FORMS as REDIS_FORMS
from flagkeep._runtime.redis_settings import Settings
from flagkeep.cli.connection import KEY_PASSWORD_VARIABLE, PASSWORD_VARIABLE, Connection
from flagkeep.cli.failures import CommandFailed, ExitCode
from flagkeep.cli.output import complain
from flagkeep.cli.stores_consul import FORMS as CONSUL_FORMS
from flagkeep.cli.stores_consul import open_consul
from flagkeep.cli.stores_dynamodb import FORMS as DYNAMODB_FORMS
from flagkeep.cli.stores_dynamodb import open_dynamodb
from flagkeep.cli.stores_opened import CONNECT_TIMEOUT, OpenStore
from flagkeep.config import RedisTLS
from flagkeep.errors import ConfigError
from flagkeep.storage.redis_layout import DEFAULT_PREFIX
from flagkeep.stores import RedisStore, SQLiteStore

SQLITE_FORMS: Final = "sqlite:///flags.db (relative) or sqlite:////srv/flags.db (absolute)"
HALF_DONE: Final = (
    "it is being written, or its writer has stopped in the midst of it; if this stays so, it must"
    " be written again"
)
FORMS: Final = f"{SQLITE_FORMS}, {REDIS_FORMS}, {DYNAMODB_FORMS}, {CONSUL_FORMS}"


def open_store(url: str, connection: Connection, *, argument: str = "--store") -> OpenStore:
    """Return the store that `url` names; it connects when it is first used.

    Args:
        url: everything after `sqlite:///` is the path, as it is.
        connection: how to reach it.
        argument: what complaints call the URL.

    Raises:
        CommandFailed: the URL names no store of a kind that is known. What it says has no part of
            the URL but its scheme: there may be a password in the rest.
        MissingExtra: the kind needs an extra.
    """
    try:
        return _opened(url, connection)
    except ConfigError as exc:
        raise CommandFailed(ExitCode.USAGE, f"{argument}: {exc}") from None


def _opened(url: str, connection: Connection) -> OpenStore:
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ConfigError(f"a store is given as a URL: {FORMS}")
    match scheme.lower():
        case "sqlite":
            return _sqlite(rest, connection)
        case "redis" | "rediss" | "unix":
            return _redis(url, connection)
        case "dynamodb":
            return open_dynamodb(rest, connection)
        case "consul" | "consul+https":
            return open_consul(url, connection)
    raise ConfigError(f"stores of kind {scheme!r} are not known: use {FORMS}")


def check_is_whole(
    opened: OpenStore, *, is_empty: bool, is_initialized: bool, is_half_done: bool
) -> None:
    """Say it if what a store holds may be half of a set.

    Args:
        opened: the store.
        is_empty: whether it holds no item at all, not even a bad one.
        is_initialized: whether a full set was ever written.
        is_half_done: whether its record says that a full set is being written.

    Raises:
        CommandFailed: it holds nothing at all.
    """
    if is_half_done:
        complain(f"{opened} has a part of a full set: {HALF_DONE}")
        return
    if is_initialized:
        return
    if is_empty:
        problem = f"nothing was ever written to {opened}: check --prefix, or start what writes it"
        raise CommandFailed(ExitCode.UNUSABLE, problem)
    complain(f"{opened} has no complete set yet: what is there may be half of it")


def _sqlite(rest: str, connection: Connection) -> OpenStore:
    if not rest.startswith("/"):
        problem = "three slashes come before a relative path, four before an absolute"
        raise ConfigError(f"{problem}: {SQLITE_FORMS}")
    if not rest[1:]:
        raise ConfigError(f"the path is missing: {SQLITE_FORMS}")
    if connection.tls_options():
        option = connection.tls_options()[0]
        raise ConfigError(f"{option} goes with rediss:// and consul+https://, not with sqlite")
    prefix = connection.prefix or ""
    store = SQLiteStore(rest[1:], prefix=prefix, busy_timeout=connection.timeout)
    return OpenStore(store, f"sqlite {rest[1:]}", prefix)


def _redis(url: str, connection: Connection) -> OpenStore:
    name = Settings(url).label
    tls = None
    if connection.tls_options():
        tls = RedisTLS(
            ca_file=connection.tls_ca,
            cert_file=connection.tls_cert,
            key_file=connection.tls_key,
            key_password=os.environ.get(KEY_PASSWORD_VARIABLE),
            verify=not connection.tls_insecure,
        )
    has_password = bool(urlsplit(url).password)
    prefix = connection.prefix or DEFAULT_PREFIX
    store = RedisStore(
        url,
        prefix=prefix,
        password=None if has_password else os.environ.get(PASSWORD_VARIABLE),
        tls=tls,
        connect_timeout=min(CONNECT_TIMEOUT, connection.timeout),
        timeout=connection.timeout,
    )
    return OpenStore(store, name, prefix)
