"""Databases that a feature store of the official API may be in, and what is really in them."""

from abc import ABC, abstractmethod
from base64 import b64decode
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from flagkeep.ldclient.async_feature_store_helpers import AsyncCachingStoreWrapper
from flagkeep.ldclient.feature_store import CacheConfig
from flagkeep.ldclient.feature_store_helpers import CachingStoreWrapper
from flagkeep.ldclient.integrations import Consul, DynamoDB, Redis
from tests.servers import consul, dynamodb, redis

_DEFAULT = CacheConfig.default()


class Database(ABC):
    """A place of one test's own.

    Attributes:
        description: what the official SDK calls it in diagnostic data.
        named: how errors begin that are about it.
        url: of the server, or of what is in front of it.
    """

    description: str
    named: str
    url: str

    @abstractmethod
    def feature_store(self, caching: CacheConfig = _DEFAULT) -> CachingStoreWrapper:
        """Return what the official factory makes."""

    @abstractmethod
    def async_feature_store(self, caching: CacheConfig = _DEFAULT) -> AsyncCachingStoreWrapper:
        """Return the same for asyncio."""

    @abstractmethod
    def at(self, url: str) -> "Database":
        """Return the same place, reached by another way."""

    @abstractmethod
    def content(self) -> dict[str, bytes]:
        """Return what is there: `features/key` and so on, `$inited`; without records."""

    @abstractmethod
    def put(self, name: str, text: bytes) -> None:
        """Write `features/key` as another program would."""


class DynamoDBTable(Database):
    """A table of a DynamoDB Local."""

    description = "DynamoDB"
    named = "dynamodb"

    def __init__(self, url: str, table: str, server: str | None = None) -> None:
        self.url = url
        self.table = table
        self.options: dict[str, Any] = {
            "region_name": dynamodb.REGION,
            "endpoint_url": url,
            "aws_access_key_id": dynamodb.ACCESS_KEY_ID,
            "aws_secret_access_key": dynamodb.SECRET_ACCESS_KEY,
        }
        self._server = server or url

    def feature_store(self, caching: CacheConfig = _DEFAULT) -> CachingStoreWrapper:
        return DynamoDB.new_feature_store(self.table, "p", self.options, caching)

    def async_feature_store(self, caching: CacheConfig = _DEFAULT) -> AsyncCachingStoreWrapper:
        return DynamoDB.async_feature_store(self.table, "p", self.options, caching)

    def at(self, url: str) -> "DynamoDBTable":
        return DynamoDBTable(url, self.table, self._server)

    def content(self) -> dict[str, bytes]:
        found = {}
        for row in dynamodb.rows(self._server, self.table):
            namespace, key = row["namespace"]["S"], row["key"]["S"]
            if namespace == "p:$flagkeep":
                continue
            prefix, _, kind = namespace.partition(":")
            assert prefix == "p"
            name = kind if kind == "$inited" else f"{kind}/{key}"
            found[name] = row.get("item", {"S": ""})["S"].encode()
        return found

    def put(self, name: str, text: bytes) -> None:
        kind, _, key = name.partition("/")
        row = {
            "namespace": {"S": f"p:{kind}"},
            "key": {"S": key},
            "version": {"N": "1"},
            "item": {"S": text.decode()},
        }
        dynamodb.call(self._server, "PutItem", TableName=self.table, Item=row)


class ConsulFolder(Database):
    """A prefix in a Consul."""

    description = "Consul"
    named = "consul"

    def __init__(self, url: str, prefix: str, server: str | None = None) -> None:
        self.url = url
        self.prefix = prefix
        host, _, port = url.removeprefix("http://").partition(":")
        self.place: tuple[str, int] = (host, int(port))
        self._server = server or url

    def feature_store(self, caching: CacheConfig = _DEFAULT) -> CachingStoreWrapper:
        return Consul.new_feature_store(*self.place, self.prefix, None, caching)

    def async_feature_store(self, caching: CacheConfig = _DEFAULT) -> AsyncCachingStoreWrapper:
        return Consul.async_feature_store(*self.place, self.prefix, None, caching)

    def at(self, url: str) -> "ConsulFolder":
        return ConsulFolder(url, self.prefix, self._server)

    def content(self) -> dict[str, bytes]:
        path = f"/v1/kv/{self.prefix}/?recurse&consistent"
        answer = consul.call(self._server, "GET", path)
        start = len(f"{self.prefix}/")
        return {
            pair["Key"][start:]: b64decode(pair["Value"] or "")
            for pair in (answer.json() if answer.status == HTTPStatus.OK else [])
        }

    def put(self, name: str, text: bytes) -> None:
        answer = consul.call(self._server, "PUT", f"/v1/kv/{self.prefix}/{quote(name)}", text)
        assert answer.body.strip() == b"true"


class RedisKeys(Database):
    """A prefix in a Redis."""

    description = "Redis"
    named = "redis"
    prefix: Final = "{my}.prefix"

    def __init__(self, url: str, server: str | None = None) -> None:
        self.url = url
        self._server = server or url

    def feature_store(self, caching: CacheConfig = _DEFAULT) -> CachingStoreWrapper:
        return Redis.new_feature_store(self.url, self.prefix, caching=caching)

    def async_feature_store(self, caching: CacheConfig = _DEFAULT) -> AsyncCachingStoreWrapper:
        return Redis.async_feature_store(self.url, self.prefix, caching)

    def at(self, url: str) -> "RedisKeys":
        return RedisKeys(url.replace("http://", "redis://"), self._server)

    def content(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for kind in ("features", "segments"):
            flat = self._ask("HGETALL", kind)
            pairs = zip(flat[::2], flat[1::2], strict=True)
            found |= {f"{kind}/{key.decode()}": text for key, text in pairs}
        marker = self._ask("GET", "$inited")
        return found if marker is None else {**found, "$inited": marker}

    def put(self, name: str, text: bytes) -> None:
        kind, _, key = name.partition("/")
        self._ask("HSET", kind, key, text)

    def _ask(self, command: str, name: str, *more: str | bytes) -> Any:
        with redis.connect(self._server) as connection:
            return connection.command(command, f"{self.prefix}:{name}", *more)
