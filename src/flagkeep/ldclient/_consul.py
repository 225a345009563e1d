"""How the official names for a feature store in Consul become a `ConsulStore`.

The official SDK hands its options to the constructor of python-consul, which lets four variables of
the environment outrank its arguments; so they do here.
"""

import logging
import os
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from flagkeep.config import HttpSettings
from flagkeep.errors import ConfigError
from flagkeep.ldclient._store_core import AsyncStoreCore, StoreCore

log = logging.getLogger("ldclient.util")

DEFAULT_PREFIX: Final = "launchdarkly"
DESCRIPTION: Final = "Consul"
ADDRESS_VARIABLE: Final = "CONSUL_HTTP_ADDR"
TOKEN_VARIABLE: Final = "CONSUL_HTTP_TOKEN"  # noqa: S105  the variable's name
TLS_VARIABLE: Final = "CONSUL_HTTP_SSL"
VERIFY_VARIABLE: Final = "CONSUL_HTTP_SSL_VERIFY"

_DEFAULT_HOST: Final = "127.0.0.1"
_DEFAULT_PORT: Final = 8500
_OPTIONS: Final = ("host", "port", "token", "scheme", "consistency", "dc", "verify", "cert")
_HOST: Final = re.compile(r"[\w.-]+|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%\w+)?\]?")
_ADDRESS: Final = re.compile(r"(?:(?P<scheme>https?)://)?(?P<host>.+):(?P<port>\d{1,5})/?")
_PAIR: Final = 2

_Options = Mapping[str, Any] | None


class _Server(NamedTuple):
    """Where Consul is.

    Attributes:
        scheme: `http` or `https`.
    """

    scheme: str
    host: str
    port: int

    @property
    def url(self) -> str:
        """The same for our store."""
        host = f"[{self.host.strip('[]')}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def consul_core(
    host: str | None, port: int | None, prefix: str | None, consul_opts: _Options
) -> StoreCore:
    """Return the calls to a Consul; nothing connects yet.

    Args:
        host: outranks the one in `consul_opts`.
        port: the same.
        prefix: None or empty takes the default.
        consul_opts: arguments of python-consul's constructor.

    Raises:
        ConfigError: an argument or a variable of the environment cannot work.
    """
    from flagkeep.stores import ConsulStore  # noqa: PLC0415  not every program has one

    given = _arguments(host, port, prefix, consul_opts)

    def make() -> ConsulStore:
        return ConsulStore(**given)

    return StoreCore(make(), make, DESCRIPTION)


def async_consul_core(
    host: str | None, port: int | None, prefix: str | None, consul_opts: _Options
) -> AsyncStoreCore:
    """Return the calls to a Consul for asyncio; arguments and errors as for `consul_core`."""
    from flagkeep.stores import AsyncConsulStore  # noqa: PLC0415  it needs asyncio

    given = _arguments(host, port, prefix, consul_opts)

    def make() -> AsyncConsulStore:
        return AsyncConsulStore(**given)

    return AsyncStoreCore(make(), make, DESCRIPTION)


def _arguments(
    host: str | None, port: int | None, prefix: str | None, consul_opts: _Options
) -> dict[str, Any]:
    """Return the arguments of our store."""
    options = dict(consul_opts or {})
    unknown = [name for name in options if name not in _OPTIONS]
    if unknown:
        known = ", ".join(_OPTIONS)
        raise ConfigError(f"consul_opts: {unknown[0]!r} is not known; it takes {known}")
    outranking = {"host": host, "port": port}
    options |= {name: value for name, value in outranking.items() if value is not None}
    server = _server(options)
    return {
        "url": server.url,
        "prefix": prefix or DEFAULT_PREFIX,
        "token": os.environ.get(TOKEN_VARIABLE, options.get("token")) or None,
        "datacenter": options.get("dc"),
        "consistency": options.get("consistency") or "default",
        "http": _http(options, server),
    }


def _server(options: Mapping[str, Any]) -> _Server:
    scheme = options.get("scheme") or "http"
    if scheme not in {"http", "https"}:
        raise ConfigError(f"consul_opts: scheme must be 'http' or 'https', not {scheme!r}")
    server = _Server(scheme, _host(options.get("host")), _port(options.get("port")))
    address = os.environ.get(ADDRESS_VARIABLE)
    if address:
        server = _outranked(server, address, is_given="host" in options or "port" in options)
    has_tls = os.environ.get(TLS_VARIABLE)
    if has_tls is not None:
        server = server._replace(scheme="https" if has_tls.lower() == "true" else "http")
    return server


def _outranked(server: _Server, address: str, *, is_given: bool) -> _Server:
    found = _ADDRESS.fullmatch(address)
    if found is None or not _HOST.fullmatch(found["host"]):
        raise ConfigError(f"{ADDRESS_VARIABLE} must be host:port")
    outranking = _Server(found["scheme"] or server.scheme, found["host"], _port(found["port"]))
    if is_given and outranking[1:] != server[1:]:
        log.warning(
            "%s outranks host and port: Consul is asked at %s, not at %s",
            ADDRESS_VARIABLE,
            outranking.url,
            server.url,
        )
    return outranking


def _host(host: Any) -> str:
    if host is None:
        return _DEFAULT_HOST
    if not isinstance(host, str) or not _HOST.fullmatch(host):
        raise ConfigError(
            "host must be a name or an address such as my-consul, without http:// and port; for"
            " TLS write consul_opts={'scheme': 'https'}"
        )
    return host


def _port(port: Any) -> int:
    if port is None:
        return _DEFAULT_PORT
    try:
        number = int(port)
    except (TypeError, ValueError):
        number = 0
    if isinstance(port, bool | float) or not 0 < number < 1 << 16:
        raise ConfigError(f"port must be a number from 1 to 65535, not {port!r}")
    return number


def _http(options: Mapping[str, Any], server: _Server) -> HttpSettings:
    """Return how Consul is reached: `verify` and `cert` are arguments of requests."""
    verify = options.get("verify")
    variable = os.environ.get(VERIFY_VARIABLE)
    if variable is not None:
        verify = variable.lower() == "true"
    if verify is not None and not isinstance(verify, bool | str | os.PathLike):
        raise ConfigError("consul_opts: verify must be True, False or the path of a CA file")
    cert_file, key_file = _certificate(options.get("cert"))
    ca_file = None if isinstance(verify, bool) else verify
    if server.scheme == "http" and (ca_file or cert_file):
        raise ConfigError("consul_opts: verify and cert need 'scheme': 'https'")
    return HttpSettings(
        ca_file=ca_file, cert_file=cert_file, key_file=key_file, verify=verify is not False
    )


def _certificate(cert: Any) -> tuple[Any, Any]:
    if isinstance(cert, tuple | list) and len(cert) == _PAIR:
        certificate, key = cert
        return certificate, key
    if cert is not None and not isinstance(cert, str | os.PathLike):
        raise ConfigError("consul_opts: cert must be a path, or those of certificate and key")
    return cert or None, None
