"""Where a Redis is and how to get there; knows neither colour, and opens nothing.

No message of this module shows a part of a URL in which a password could be, and no object of it
shows one when it is printed.
"""

import inspect
import math
import re
from collections.abc import Mapping
from typing import Any, Final, Never
from urllib.parse import parse_qsl, unquote, urlsplit

from flagkeep.config import RedisTLS
from flagkeep.errors import ConfigError

DEFAULT_URL: Final = "redis://localhost:6379/0"
FORMS: Final = "redis://host:6379/0, rediss://host:6379/0 (TLS) or unix:///path/of/socket?db=0"
DEFAULT_CONNECT_TIMEOUT: Final = 1.0
DEFAULT_TIMEOUT: Final = 2.0
DEFAULT_CONNECTIONS: Final = 64

_SCHEMES: Final = frozenset(("redis", "rediss", "unix"))
_NAME: Final = re.compile(r"[a-z_]{2,40}")
# How replies are decoded and whether something is tried again is decided here, not by options.
_WITHOUT_EFFECT: Final = frozenset(
    (
        "decode_responses",
        "encoding",
        "encoding_errors",
        "health_check_interval",
        "host",
        "legacy_responses",
        "path",
        "port",
        "protocol",
        "retry",
        "retry_on_error",
        "retry_on_timeout",
        "single_connection_client",
    )
)


class Settings:
    """Everything that is needed to open a connection.

    Attributes:
        label: what errors call the server, without user and password.
        is_tls: whether connections are encrypted.
        path: of a Unix socket, `""` if there is none.
        arguments: of redis-py's connections, without user, password and database.
        greeting: what a new connection says first: user and password, database.
        connect_timeout: seconds for making a connection.
        timeout: seconds for one answer.
        max_connections: how many there may be at a time.
    """

    __slots__ = (
        "arguments",
        "connect_timeout",
        "greeting",
        "is_tls",
        "label",
        "max_connections",
        "path",
        "timeout",
    )

    def __init__(
        self,
        url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        database: int | None = None,
        tls: RedisTLS | None = None,
        connect_timeout: float = DEFAULT_CONNECT_TIMEOUT,
        timeout: float = DEFAULT_TIMEOUT,
        max_connections: int | None = None,
        options: Mapping[str, Any] | None = None,
        is_given: bool = False,
    ) -> None:
        if is_given:
            own = (username, password, database, tls, max_connections, options)
            if url != DEFAULT_URL or any(value is not None for value in own):
                raise ConfigError(
                    "a client or pool that is given has its own address and settings: drop url,"
                    " username, password, database, tls, max_connections and options"
                )
        place = _Place(url)
        given = dict(options or {})
        for name in _WITHOUT_EFFECT:
            given.pop(name, None)
        username = _first(username, place.username, given.pop("username", None))
        password = _first(password, place.password, given.pop("password", None))
        database = _first(database, place.database, given.pop("db", None), 0)
        self.connect_timeout = _seconds(
            "connect_timeout", _first(given.pop("socket_connect_timeout", None), connect_timeout)
        )
        self.timeout = _seconds("timeout", _first(given.pop("socket_timeout", None), timeout))
        self.max_connections = _count(
            _first(max_connections, given.pop("max_connections", None), DEFAULT_CONNECTIONS)
        )
        self.is_tls = place.scheme == "rediss"
        self.path = place.path
        where: dict[str, Any] = (
            {"path": place.path} if place.path else {"host": place.host, "port": place.port}
        )
        self.arguments = {**where, **_tls_arguments(tls, given, is_tls=self.is_tls), **given}
        self.greeting = _greeting(username, password, _database(database))
        self.label = f"redis {place.path or place.address}/{database}"


class _Place:
    """What a URL says."""

    __slots__ = ("address", "database", "host", "password", "path", "port", "scheme", "username")

    def __init__(self, url: object) -> None:
        if not isinstance(url, str):
            raise ConfigError(f"url must be text such as {DEFAULT_URL}, not {type(url).__name__}")
        scheme, separator, _ = url.partition("://")
        if not separator or scheme.lower() not in _SCHEMES:
            _refuse("its beginning is unknown" if separator else "it has no ://")
        self.scheme = scheme.lower()
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            _refuse("its host or port cannot be read")
        self.username = unquote(parts.username) if parts.username else None
        self.password = unquote(parts.password) if parts.password else None
        self.path, self.host, self.port = "", host or "", 6379 if port is None else port
        self.address = ""
        self.database: object = None
        if self.scheme == "unix":
            if host or parts.path in {"", "/"}:
                _refuse("the path of the socket begins with a third slash")
            self.path = unquote(parts.path)
        else:
            if not host:
                _refuse("the host is missing")
            if not self.port:
                _refuse("a port is a number from 1 to 65535")
            shown = f"[{host}]" if ":" in host else host
            self.address = f"{shown}:{self.port}"
            self.database = _number(parts.path.removeprefix("/"))
        if parts.fragment:
            _refuse("it has a part after #")
        self._take_options(parts.query)

    def _take_options(self, query: str) -> None:
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name != "db":
                shown = repr(name) if _NAME.fullmatch(name) else "an option"
                _refuse(f"it has {shown} after ?, which belongs into the argument options or tls")
            self.database = _number(value)


def _refuse(problem: str) -> Never:
    raise ConfigError(
        f"url cannot be used: {problem}. Write {FORMS}; in a user name or password, : / ? # @ and %"
        " are written as %3A %2F %3F %23 %40 and %25"
    ) from None


def _number(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        _refuse("the database is a number, such as /0")
    return int(text)


def _database(database: object) -> int:
    if not isinstance(database, int) or isinstance(database, bool) or database < 0:
        raise ConfigError(f"database must be a number from 0, not {database!r}")
    return database


def _seconds(name: str, seconds: object) -> float:
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not 0 < seconds < math.inf:  # type: ignore[operator]  # is_number says so
        raise ConfigError(f"{name} must be a number of seconds above 0, not {seconds!r}")
    return float(seconds)  # type: ignore[arg-type]  # likewise


def _count(number: object) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ConfigError(f"max_connections must be a number from 1, not {number!r}")
    return number


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _greeting(username: object, password: object, database: int) -> list[tuple[bytes, ...]]:
    """Return the commands that a new connection begins with."""
    commands: list[tuple[bytes, ...]] = []
    for name, value in (("username", username), ("password", password)):
        if value is not None and not isinstance(value, str):
            raise ConfigError(f"{name} must be text, not {type(value).__name__}")
    if username:
        commands.append((b"AUTH", str(username).encode(), str(password or "").encode()))
    elif password:
        commands.append((b"AUTH", str(password).encode()))
    if database:
        commands.append((b"SELECT", b"%d" % database))
    return commands


def _tls_arguments(
    tls: RedisTLS | None, options: Mapping[str, Any], *, is_tls: bool
) -> dict[str, Any]:
    if tls is None:
        # redis-py's own default has changed; and a name cannot be checked without a certificate.
        verifies = options.get("ssl_cert_reqs", "required") not in {"none", None, 0}
        return {"ssl_check_hostname": verifies} if is_tls else {}
    if not is_tls:
        raise ConfigError("tls needs a url that begins with rediss://")
    _check_certificates(tls)
    arguments = {
        "ssl_ca_certs": tls.ca_file,
        "ssl_certfile": tls.cert_file,
        "ssl_keyfile": tls.key_file,
        "ssl_password": tls.key_password,
    }
    given: dict[str, Any] = {name: value for name, value in arguments.items() if value is not None}
    given["ssl_check_hostname"] = tls.verify
    given["ssl_cert_reqs"] = "required" if tls.verify else "none"
    return given


def _check_certificates(tls: RedisTLS) -> None:
    """Fail where the files do not hold what they should, or the key's password is wrong."""
    import ssl  # noqa: PLC0415  only those need it who use it

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if tls.ca_file is not None:
            context.load_verify_locations(tls.ca_file)
    except OSError:
        raise ConfigError(f"ca_file: {tls.ca_file} holds no certificates in PEM form") from None
    try:
        if tls.cert_file is not None:
            # Without a password OpenSSL would ask for one at the terminal.
            context.load_cert_chain(tls.cert_file, tls.key_file, tls.key_password or "")
    except OSError:
        raise ConfigError(
            f"cert_file and key_file: {tls.cert_file} and {tls.key_file or 'the key in it'} do not"
            " belong together, are not in PEM form, or the key needs another key_password"
        ) from None


def connection_recipe(settings: Settings, driver: Any) -> tuple[Any, dict[str, Any]]:
    """Return the class of connections to make, and its arguments.

    Args:
        settings: where to connect.
        driver: redis-py's module `connection`, of either colour.

    Raises:
        ConfigError: the driver does not take the arguments.
    """
    arguments = dict(settings.arguments)
    kind = driver.SSLConnection if settings.is_tls else driver.Connection
    if settings.path:
        kind = driver.UnixDomainSocketConnection
    kind = arguments.pop("connection_class", kind)
    known = inspect.signature(driver.AbstractConnection.__init__).parameters
    silent = ("driver_info",) if "driver_info" in known else ("lib_name", "lib_version")
    # Nobody needs to know the library: asking for it would cost two more round trips, and rights.
    arguments = {**dict.fromkeys(silent), "socket_keepalive": True, **arguments, "protocol": 2}
    if settings.path:
        del arguments["socket_keepalive"]
    try:
        kind(**arguments)
    except Exception as exc:  # noqa: BLE001  whatever the driver thinks of its arguments
        raise ConfigError(f"options or tls do not suit this redis-py: {exc}") from None
    return kind, arguments


def pool_of(client: object, pool: object, package: Any, *, colour: str, other: str) -> Any:
    """Return the pool to take connections from, out of what the caller gave.

    Args:
        client: of redis-py, or None.
        pool: of redis-py, or None.
        package: `redis` or `redis.asyncio`.
        colour: what the store needs, such as `redis.asyncio`.
        other: where what was given may come from instead.

    Raises:
        ConfigError: it is none, or of the other colour.
    """
    for name, given, kind in (("client", client, "Redis"), ("pool", pool, "ConnectionPool")):
        if given is None or isinstance(given, getattr(package, kind)):
            continue
        found = f"{type(given).__module__}.{type(given).__qualname__}"
        hint = ""
        if type(given).__name__.endswith("Cluster"):
            hint = "; Redis Cluster is not part of this release"
        elif found.startswith("redis."):
            hint = f"; for one of {other} take the other store, RedisStore or AsyncRedisStore"
        raise ConfigError(f"{name} must be a {colour}.{kind}, not a {found}{hint}")
    if client is not None and pool is not None:
        raise ConfigError("client and pool were given: one of the two is enough")
    return pool if client is None else client.connection_pool  # type: ignore[attr-defined]  # seen


def pool_label(pool: Any) -> str:
    """Return what errors call the server of a pool, without user and password."""
    known = pool.connection_kwargs
    service = getattr(pool, "service_name", None)
    place = service or known.get("path")
    if place is None:
        place = f"{known.get('host', 'localhost')}:{known.get('port', 6379)}"
    return f"redis {place}/{known.get('db') or 0}"


def command_names(pool: Any) -> tuple[str, ...]:
    """Return the arguments of the pool's `get_connection`: redis-py before 5.3 wants a name."""
    parameters = inspect.signature(pool.get_connection).parameters.values()
    positional = [one for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    return ("_",) if any(one.default is one.empty for one in positional) else ()
