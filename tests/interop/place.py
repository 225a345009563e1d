"""Where in a database an environment is, and a look at what is really there."""

import json
from abc import ABC, abstractmethod
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, ClassVar, Final, Self
from urllib.parse import quote

from flagkeep.model.item import Kind
from flagkeep.stores import (
    AsyncConsulStore,
    AsyncDynamoDBStore,
    AsyncRedisStore,
    ConsulStore,
    DynamoDBBigSegmentStore,
    DynamoDBStore,
    RedisBigSegmentStore,
    RedisStore,
)
from tests.interop.items import LAST, Json
from tests.servers import consul, dynamodb
from tests.servers.big_segments import DynamoDBWriter, RedisWriter, Writer

PREFIX = "größe:interop"

_NAMES: Final = {Kind.FLAG: "features", Kind.SEGMENT: "segments"}


@dataclass(frozen=True)
class Place(ABC):
    """One environment in one database; items are put and read by hand, past every SDK.

    Attributes:
        url: of the database.
        prefix: of the environment.
    """

    database: ClassVar[str]

    url: str
    prefix: str = PREFIX

    def at(self, prefix: str) -> Self:
        """Return another environment in the same database."""
        return replace(self, prefix=prefix)

    def asked(self) -> Json:
        """Return what other SDKs are told of it."""
        return {"database": self.database, "url": self.url, "prefix": self.prefix}

    @abstractmethod
    def store(self) -> Any:
        """Return a store of ours that is here."""

    @abstractmethod
    def async_store(self) -> Any:
        """Return the same for asyncio."""

    @abstractmethod
    def put(self, kind: Kind, rows: Mapping[str, str]) -> None:
        """Write items, as they are."""

    @abstractmethod
    def mark(self, text: str) -> None:
        """Write the marker."""

    @abstractmethod
    def is_marked(self) -> bool:
        """Return whether the marker is there."""

    @abstractmethod
    def text(self, kind: Kind, key: str) -> bytes | None:
        """Return what is stored of one item."""

    @abstractmethod
    def texts(self, kind: Kind) -> dict[str, bytes]:
        """Return everything that is stored of one kind."""

    def big_segment_store(self) -> Any:
        """Return a store of ours for the Big Segments that are here."""
        raise NotImplementedError

    def big_segments(self) -> Writer:
        """Return what writes Big Segments here."""
        raise NotImplementedError

    def is_written(self) -> bool:
        """Return whether the last item of a data set is there."""
        return self.text(Kind.FLAG, LAST) is not None

    def holds(self, flags: Sequence[Json], segments: Sequence[Json]) -> bool:
        """Return whether all of these are there, and the marker."""
        wanted = {Kind.FLAG: flags, Kind.SEGMENT: segments}
        there = (
            self.texts(kind).keys() >= {one["key"] for one in some} for kind, some in wanted.items()
        )
        return self.is_marked() and all(there)

    def items(self, kind: Kind) -> dict[str, Json]:
        """Return everything of one kind, decoded."""
        return {key: json.loads(text) for key, text in self.texts(kind).items()}


@dataclass(frozen=True)
class RedisPlace(Place):
    """An environment in Redis.

    Attributes:
        raw: a plain `redis.Redis`.
    """

    database = "redis"

    raw: Any = None

    def hash(self, kind: Kind) -> str:
        """Return the key of the hash with the items of one kind."""
        return f"{self.prefix}:{_NAMES[kind]}"

    @property
    def marker(self) -> str:
        """The key of the marker."""
        return f"{self.prefix}:$inited"

    def store(self) -> RedisStore:
        return RedisStore(self.url, prefix=self.prefix)

    def async_store(self) -> AsyncRedisStore:
        return AsyncRedisStore(self.url, prefix=self.prefix)

    def big_segment_store(self) -> RedisBigSegmentStore:
        return RedisBigSegmentStore(self.url, prefix=self.prefix)

    def big_segments(self) -> RedisWriter:
        return RedisWriter(self.url, self.prefix)

    def put(self, kind: Kind, rows: Mapping[str, str]) -> None:
        self.raw.hset(self.hash(kind), mapping=dict(rows))

    def mark(self, text: str) -> None:
        self.raw.set(self.marker, text)

    def is_marked(self) -> bool:
        return bool(self.raw.exists(self.marker))

    def text(self, kind: Kind, key: str) -> bytes | None:
        found: bytes | None = self.raw.hget(self.hash(kind), key)
        return found

    def texts(self, kind: Kind) -> dict[str, bytes]:
        return {key.decode(): text for key, text in self.raw.hgetall(self.hash(kind)).items()}


@dataclass(frozen=True)
class DynamoDBPlace(Place):
    """An environment in a table of DynamoDB."""

    database = "dynamodb"

    table: str = ""

    def asked(self) -> Json:
        access = {
            "region": dynamodb.REGION,
            "accessKeyId": dynamodb.ACCESS_KEY_ID,
            "secretAccessKey": dynamodb.SECRET_ACCESS_KEY,
        }
        return {**super().asked(), "table": self.table, **access}

    def arguments(self) -> dict[str, Any]:
        """Return how our stores are made, Big Segments' too."""
        return {
            "prefix": self.prefix,
            "endpoint": self.url,
            "region": dynamodb.REGION,
            "access_key_id": dynamodb.ACCESS_KEY_ID,
            "secret_access_key": dynamodb.SECRET_ACCESS_KEY,
        }

    def store(self) -> DynamoDBStore:
        return DynamoDBStore(self.table, **self.arguments())

    def async_store(self) -> AsyncDynamoDBStore:
        return AsyncDynamoDBStore(self.table, **self.arguments())

    def big_segment_store(self) -> DynamoDBBigSegmentStore:
        return DynamoDBBigSegmentStore(self.table, **self.arguments())

    def big_segments(self) -> DynamoDBWriter:
        return DynamoDBWriter(self.url, self.table, self.prefix)

    def put(self, kind: Kind, rows: Mapping[str, str]) -> None:
        for key, text in rows.items():
            self.put_row(kind, key, version={"N": _version(text)}, item={"S": text})

    def put_row(self, kind: Kind, key: str, **attributes: Mapping[str, Any]) -> None:
        """Write one row with these attributes."""
        row = {"namespace": {"S": self.namespace(kind)}, "key": {"S": key}, **attributes}
        dynamodb.call(self.url, "PutItem", TableName=self.table, Item=row)

    def mark(self, text: str) -> None:  # noqa: ARG002  it says all by being there
        name = {"S": self._name("$inited")}
        row = {"namespace": name, "key": name}
        dynamodb.call(self.url, "PutItem", TableName=self.table, Item=row)

    def is_marked(self) -> bool:
        name = self._name("$inited")
        return self._row(name, name) is not None

    def text(self, kind: Kind, key: str) -> bytes | None:
        row = self.row(kind, key)
        return None if row is None else _item(row)

    def texts(self, kind: Kind) -> dict[str, bytes]:
        return {row["key"]["S"]: _item(row) for row in self.rows(self.namespace(kind))}

    def row(self, kind: Kind, key: str) -> Mapping[str, Any] | None:
        """Return the row of one item."""
        return self._row(self.namespace(kind), key)

    def rows(self, namespace: str) -> Iterator[Mapping[str, Any]]:
        """Yield every row of a namespace."""
        for row in dynamodb.rows(self.url, self.table):
            if row["namespace"]["S"] == namespace:
                yield row

    def namespace(self, kind: Kind) -> str:
        """Return the namespace of the items of one kind."""
        return self._name(_NAMES[kind])

    def _name(self, name: str) -> str:
        return f"{self.prefix}:{name}" if self.prefix else name

    def _row(self, namespace: str, key: str) -> Mapping[str, Any] | None:
        place = {"namespace": {"S": namespace}, "key": {"S": key}}
        answer = dynamodb.call(
            self.url, "GetItem", TableName=self.table, Key=place, ConsistentRead=True
        )
        found: Mapping[str, Any] | None = answer.get("Item")
        return found


@dataclass(frozen=True)
class ConsulPlace(Place):
    """An environment in Consul."""

    database = "consul"

    def store(self) -> ConsulStore:
        return ConsulStore(self.url, prefix=self.prefix)

    def async_store(self) -> AsyncConsulStore:
        return AsyncConsulStore(self.url, prefix=self.prefix)

    def put(self, kind: Kind, rows: Mapping[str, str]) -> None:
        for key, text in rows.items():
            self._put(f"{self.tree(kind)}{key}", text)

    def mark(self, text: str) -> None:
        self._put(f"{self.prefix}/$inited", text)

    def is_marked(self) -> bool:
        return self._get(f"{self.prefix}/$inited") is not None

    def text(self, kind: Kind, key: str) -> bytes | None:
        return self._get(f"{self.tree(kind)}{key}")

    def texts(self, kind: Kind) -> dict[str, bytes]:
        start = self.tree(kind)
        answer = consul.call(self.url, "GET", f"/v1/kv/{quote(start)}?recurse&consistent")
        found = [] if answer.status == HTTPStatus.NOT_FOUND else answer.json()
        return {one["Key"].removeprefix(start): b64decode(one["Value"] or "") for one in found}

    def tree(self, kind: Kind) -> str:
        """Return what the keys of the items of one kind begin with."""
        return f"{self.prefix}/{_NAMES[kind]}/"

    def _put(self, key: str, text: str) -> None:
        answer = consul.call(self.url, "PUT", f"/v1/kv/{quote(key)}", text)
        assert answer.body.strip() == b"true", answer

    def _get(self, key: str) -> bytes | None:
        answer = consul.call(self.url, "GET", f"/v1/kv/{quote(key)}?raw&consistent")
        return None if answer.status == HTTPStatus.NOT_FOUND else answer.body


def _item(row: Mapping[str, Any]) -> bytes:
    text: str = row["item"]["S"]
    return text.encode()


def _version(text: str) -> str:
    return str(int(json.loads(text)["version"]))
