"""Environments in Consul as URLs: `consul://HOST:PORT/PREFIX`, with TLS `consul+https://…`."""

import os
from typing import Final, cast
from urllib.parse import urlsplit

from flagkeep import stores as shelf
from flagkeep._runtime.consul_settings import Consistency
from flagkeep.cli.connection import (
    CONSUL_KEY_PASSWORD_VARIABLE,
    CONSUL_TOKEN_FILE_VARIABLE,
    CONSUL_TOKEN_VARIABLES,
    Connection,
)
from flagkeep.cli.stores_opened import (
    CONNECT_TIMEOUT,
    OpenStore,
    decoded,
    one_prefix,
    options_of,
)
from flagkeep.config import HttpSettings
from flagkeep.errors import ConfigError
from flagkeep.storage.consul_layout import DEFAULT_PREFIX

FORMS: Final = "consul://host:8500/prefix (with TLS consul+https://host:8501/prefix)"

_PORTS: Final = {"consul": 8500, "consul+https": 8501}
_OPTIONS: Final = ("dc", "namespace", "partition", "consistency")
_TOKEN: Final = (
    f"a token does not belong into the URL: set {' or '.join(CONSUL_TOKEN_VARIABLES)}; an @ in a"
    " prefix is written as %40"
)


def open_consul(url: str, connection: Connection) -> OpenStore:
    """Return the environment that a URL names.

    Raises:
        ConfigError: it cannot be used. No message shows more of it than names of options and a
            prefix.
    """
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    if "@" in rest.partition("?")[0] or "token=" in rest:
        raise ConfigError(_TOKEN)
    try:
        parts = urlsplit(f"http://{rest}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigError(f"its host or port cannot be read: {FORMS}") from None
    if not host or port == 0 or parts.fragment:
        raise ConfigError(f"the host is missing, or something else cannot be read: {FORMS}")
    options = options_of(parts.query, _OPTIONS)
    in_path = decoded(parts.path[1:].removesuffix("/"))
    prefix = one_prefix(in_path, connection) or DEFAULT_PREFIX
    shown = f"[{host}]" if ":" in host else host
    base = "https" if scheme == "consul+https" else "http"
    token = _token()
    store = shelf.ConsulStore(
        f"{base}://{shown}:{port or _PORTS[scheme]}",
        prefix=prefix,
        token=token,
        token_file=None if token else os.environ.get(CONSUL_TOKEN_FILE_VARIABLE) or None,
        datacenter=options.get("dc"),
        namespace=options.get("namespace"),
        partition=options.get("partition"),
        consistency=cast("Consistency", options.get("consistency", "default")),  # it is checked
        http=_http(scheme, connection),
        connect_timeout=min(CONNECT_TIMEOUT, connection.timeout),
        timeout=connection.timeout,
    )
    return OpenStore(store, store.label, prefix)


def _token() -> str | None:
    """Return the token of the environment, None if it has none."""
    for variable in CONSUL_TOKEN_VARIABLES:
        token = os.environ.get(variable)
        if token:
            if not token.isascii() or not token.isprintable() or " " in token:
                raise ConfigError(f"{variable} must be text in ASCII without blanks")
            return token
    return None


def _http(scheme: str, connection: Connection) -> HttpSettings | None:
    given = connection.tls_options()
    if not given:
        return None
    if scheme != "consul+https":
        raise ConfigError(f"{given[0]} goes with consul+https://, not with consul://")
    return HttpSettings(
        ca_file=connection.tls_ca,
        cert_file=connection.tls_cert,
        key_file=connection.tls_key,
        key_password=os.environ.get(CONSUL_KEY_PASSWORD_VARIABLE),
        verify=not connection.tls_insecure,
    )
