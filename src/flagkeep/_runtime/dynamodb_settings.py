"""Which table of DynamoDB is meant, and how to get there; opens nothing and imports no driver.

No message of this module shows what could be a secret, and no object of it shows one when printed.
"""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Final
from urllib.parse import urlsplit

from flagkeep.config.checks import check_count, check_seconds, is_http_url
from flagkeep.errors import ConfigError, MissingExtra

DEFAULT_CONNECT_TIMEOUT: Final = 1.0
DEFAULT_TIMEOUT: Final = 2.0
DEFAULT_CONNECTIONS: Final = 64
_THEIR_CONNECTIONS: Final = 10  # botocore's default

_TABLE: Final = re.compile(r"[A-Za-z0-9_.-]{3,255}")
_TABLE_ARN: Final = re.compile(
    r"arn:[\w-]+:dynamodb:(?P<region>[\w-]+):\d{12}:table/(?P<name>[A-Za-z0-9_.-]{3,255})"
)
_ROLE_ARN: Final = re.compile(r"arn:[\w-]+:iam::\d{12}:role/[\w+=,.@/-]+")
_REGION: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")

# Arguments of the store, by the names that boto3 has for them.
_OWN_NAMES: Final = {
    "region_name": "region",
    "endpoint_url": "endpoint",
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
}
_OPTIONS: Final = frozenset(
    (*_OWN_NAMES, "api_version", "aws_account_id", "config", "use_ssl", "verify")
)


class Settings:
    """Everything that is needed to reach a table.

    Attributes:
        label: what errors call the store, without secrets.
        table: its name or ARN.
        region: None: boto3 looks for it.
        endpoint: None: that of the region.
        keys: access key, secret key and session token; None: boto3 looks for credentials.
        profile: in AWS's configuration files.
        role: to assume.
        connect_timeout: seconds for making a connection.
        timeout: seconds for one answer.
        max_connections: how many are kept.
        connections: how many there may be at a time, so that none is made for one request only.
        session: of boto3, or None.
        client: of boto3, or None.
        options: further arguments of boto3's client.
    """

    __slots__ = (
        "client",
        "connect_timeout",
        "connections",
        "endpoint",
        "keys",
        "label",
        "max_connections",
        "options",
        "profile",
        "region",
        "role",
        "session",
        "table",
        "timeout",
    )

    def __init__(
        self,
        table: str,
        *,
        region: str | None = None,
        endpoint: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        session_token: str | None = None,
        profile: str | None = None,
        role: str | None = None,
        connect_timeout: float = DEFAULT_CONNECT_TIMEOUT,
        timeout: float = DEFAULT_TIMEOUT,
        max_connections: int | None = None,
        session: Any = None,
        client: Any = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.table = _checked_table(table)
        own = {
            "region": region,
            "endpoint": endpoint,
            "access_key_id": access_key_id,
            "secret_access_key": secret_access_key,
            "session_token": session_token,
            "profile": profile,
            "role": role,
        }
        if client is not None:
            _check_client(client, {**own, "session": session, "options": options}, max_connections)
        self.options = _checked_options(options, own)
        _check_texts(own)
        self.region, self.endpoint = own["region"], own["endpoint"]
        self.profile, self.role = own["profile"], own["role"]
        self.keys = _keys(own)
        _check_places(self.region, self.endpoint, self.role)
        if session is not None:
            _check_session(session, self.profile)
        for name, seconds in (("connect_timeout", connect_timeout), ("timeout", timeout)):
            check_seconds(name, seconds)
        if max_connections is not None:
            check_count("max_connections", max_connections)
        self.connect_timeout, self.timeout = float(connect_timeout), float(timeout)
        self.max_connections = max_connections or DEFAULT_CONNECTIONS
        self.session, self.client = session, client
        self.connections = self._connections()
        self.label = f"dynamodb {self.table}"
        if self.endpoint is not None:
            self.label += f" at {_shown(self.endpoint)}"
        if client is None and find_spec("boto3") is None:
            raise MissingExtra("dynamodb", "a store in DynamoDB")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.label}>"

    def _connections(self) -> int:
        """Return how many connections the client will keep, or one that is given keeps."""
        if self.client is not None:
            kept = getattr(getattr(self.client.meta, "config", None), "max_pool_connections", None)
            return kept if isinstance(kept, int) and kept > 0 else _THEIR_CONNECTIONS
        kept = getattr(self.options.get("config"), "max_pool_connections", None)
        return min(self.max_connections, kept) if isinstance(kept, int) else self.max_connections

    def creation(self, region: str | None = None) -> str:
        """Return the command that makes the table.

        Args:
            region: where the client is; nothing but text if not known.
        """
        arn = _TABLE_ARN.fullmatch(self.table)
        name = arn["name"] if arn else self.table
        region = (arn["region"] if arn else None) or region or self.region
        place = f" --region {region}" if region else ""
        if self.endpoint is not None:
            place += f" --endpoint-url {_shown(self.endpoint)}"
        return (
            f"aws dynamodb create-table --table-name {name} --attribute-definitions"
            " AttributeName=namespace,AttributeType=S AttributeName=key,AttributeType=S"
            " --key-schema AttributeName=namespace,KeyType=HASH AttributeName=key,KeyType=RANGE"
            f" --billing-mode PAY_PER_REQUEST{place}"
        )


def _checked_table(table: object) -> str:
    is_name = isinstance(table, str) and (_TABLE.fullmatch(table) or _TABLE_ARN.fullmatch(table))
    if not is_name:
        raise ConfigError(
            "table must be the name of a table (3 to 255 letters, digits, _ - .) or its ARN,"
            f" not {table!r}"
        )
    return str(table)


def _check_client(client: Any, own: Mapping[str, Any], max_connections: object) -> None:
    """Check a client that is given: its settings count, and none may be given beside it."""
    if max_connections is not None or any(value is not None for value in own.values()):
        raise ConfigError(
            "a client that is given has its own settings: drop region, endpoint, keys, profile,"
            " role, session, max_connections and options"
        )
    found = f"{type(client).__module__}.{type(client).__qualname__}"
    model = getattr(getattr(client, "meta", None), "service_model", None)
    if getattr(model, "service_name", None) == "dynamodb" and not found.startswith("aiobotocore."):
        return
    hint = ""
    if found.startswith("boto3.resources."):
        hint = "; of a resource or Table take .meta.client"
    elif found.startswith(("aiobotocore.", "aioboto3.")):
        hint = "; AsyncDynamoDBStore takes boto3's clients, too"
    raise ConfigError(f'client must be a boto3.client("dynamodb"), not a {found}{hint}')


def _check_session(session: Any, profile: str | None) -> None:
    found = f"{type(session).__module__}.{type(session).__qualname__}"
    if not callable(getattr(session, "client", None)) or found.startswith("aio"):
        raise ConfigError(f"session must be a boto3.Session, not a {found}")
    if profile is not None:
        raise ConfigError("a session that is given has its own profile: drop profile")


def _checked_options(
    options: Mapping[str, Any] | None, own: dict[str, str | None]
) -> dict[str, Any]:
    """Return what is left of the options when those that have an argument have filled it."""
    left = dict(options or {})
    unknown = sorted(str(name) for name in left if name not in _OPTIONS)
    if unknown:
        known = ", ".join(sorted(_OPTIONS))
        raise ConfigError(f"options: boto3's client has no {unknown[0]!r}; it takes {known}")
    for name, ours in _OWN_NAMES.items():
        value = left.pop(name, None)
        if own[ours] is None:
            own[ours] = value
    config = left.get("config")
    if config is not None and not callable(getattr(config, "merge", None)):
        raise ConfigError(
            f"options: config must be a botocore.config.Config, not a {type(config).__name__}"
        )
    return {name: value for name, value in left.items() if value is not None}


def _check_texts(own: Mapping[str, object]) -> None:
    for name, value in own.items():
        if value is None:
            continue
        if not isinstance(value, str):
            raise ConfigError(f"{name} must be text, not {type(value).__name__}")
        if not value:
            raise ConfigError(f"{name} must not be empty: leave it out")


def _keys(own: Mapping[str, str | None]) -> tuple[str, str, str | None] | None:
    access, secret = own["access_key_id"], own["secret_access_key"]
    if access is None and secret is None:
        if own["session_token"] is not None:
            raise ConfigError("session_token needs access_key_id and secret_access_key")
        return None
    if access is None or secret is None:
        raise ConfigError("access_key_id and secret_access_key belong together: give both")
    if own["profile"] is not None:
        raise ConfigError("keys and a profile were given: one of the two is enough")
    return access, secret, own["session_token"]


def _check_places(region: str | None, endpoint: str | None, role: str | None) -> None:
    if region is not None and not _REGION.fullmatch(region):
        raise ConfigError(f"region must be a name such as eu-west-1, not {region!r}")
    if endpoint is not None and not is_http_url(endpoint):
        raise ConfigError(
            "endpoint must be a URL that begins with http:// or https:// and has a host, such as"
            " http://localhost:8000"
        )
    if role is not None and not _ROLE_ARN.fullmatch(role):
        raise ConfigError("role must be an ARN such as arn:aws:iam::123456789012:role/flags")


def _shown(endpoint: str) -> str:
    """Return an endpoint without what could be a secret."""
    parts = urlsplit(endpoint)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"
