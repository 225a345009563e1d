"""Tables of DynamoDB as URLs: `dynamodb://TABLE?region=…`."""

import re
from typing import Final

from flagkeep import stores as shelf
from flagkeep.cli.connection import Connection
from flagkeep.cli.stores_opened import (
    CONNECT_TIMEOUT,
    OpenStore,
    decoded,
    one_prefix,
    options_of,
)
from flagkeep.errors import ConfigError

FORMS: Final = "dynamodb://table?region=eu-west-1&prefix=shop"

_OPTIONS: Final = ("prefix", "region", "endpoint", "profile", "role")
_TABLE: Final = re.compile(r"[A-Za-z0-9_.-]{3,255}|arn:[A-Za-z0-9_.:/-]+")
_REGION: Final = re.compile(r"[A-Za-z0-9-]{1,63}")
_SECRET: Final = re.compile(r"key|secret|token|password", re.IGNORECASE)
_CREDENTIALS: Final = (
    "credentials do not belong into the URL: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or"
    " name a profile of AWS's configuration files (?profile=…)"
)


def open_dynamodb(rest: str, connection: Connection) -> OpenStore:
    """Return the table that is named after `dynamodb://`.

    Raises:
        ConfigError: it cannot be used; no message shows more of it than names of options.
        MissingExtra: boto3 is not installed.
    """
    if connection.tls_options():
        option = connection.tls_options()[0]
        raise ConfigError(
            f"{option} goes with rediss:// and consul+https://; for DynamoDB, AWS_CA_BUNDLE names"
            " the authority to trust"
        )
    place, _, query = rest.partition("?")
    names = [part.partition("=")[0] for part in query.split("&")]
    if "@" in place or any(name not in _OPTIONS and _SECRET.search(name) for name in names):
        raise ConfigError(_CREDENTIALS)
    options = options_of(query, _OPTIONS)
    table = decoded(place)
    if not _TABLE.fullmatch(table):
        problem = "the name of a table comes after dynamodb://, and everything else after a ?"
        raise ConfigError(f"{problem}: {FORMS}")
    region = options.get("region")
    if region is not None and not _REGION.fullmatch(region):
        raise ConfigError("region must be a name such as eu-west-1")
    prefix = one_prefix(options.get("prefix"), connection) or ""
    store = shelf.DynamoDBStore(
        table,
        prefix=prefix,
        region=region,
        endpoint=options.get("endpoint"),
        profile=options.get("profile"),
        role=options.get("role"),
        connect_timeout=min(CONNECT_TIMEOUT, connection.timeout),
        timeout=connection.timeout,
    )
    return OpenStore(store, store.label, prefix)
