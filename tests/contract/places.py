"""The databases that tests hand to the service, and what is in them, without a store of ours."""

import json
from abc import ABC, abstractmethod
from typing import Any

from tests.contract.driver import Json
from tests.contract.settings import DYNAMODB_TABLE
from tests.servers import consul, dynamodb
from tests.servers.redis import connect


class Place(ABC):
    """A database without flags.

    Attributes:
        section: what the harness says about it, without a prefix.
        default: the prefix if none is given.
    """

    section: Json
    default: str

    @abstractmethod
    def put(self, prefix: str, item: Json) -> None:
        """Write a flag."""

    @abstractmethod
    def get(self, key: str) -> Any:
        """Return a flag under the default prefix; None if it is not there."""

    @abstractmethod
    def is_initialized(self) -> bool:
        """Return whether a full set was written under the default prefix."""


class RedisPlace(Place):
    """A Redis."""

    default = "launchdarkly"

    def __init__(self, url: str) -> None:
        self._url = url
        self.section = {"type": "redis", "dsn": url}

    def put(self, prefix: str, item: Json) -> None:
        """Write a flag."""
        self._command("HSET", f"{prefix}:features", item["key"], json.dumps(item))

    def get(self, key: str) -> Any:
        """Return a flag under the default prefix."""
        text = self._command("HGET", f"{self.default}:features", key)
        return None if text is None else json.loads(text)

    def is_initialized(self) -> bool:
        """Return whether a full set was written under the default prefix."""
        return bool(self._command("EXISTS", f"{self.default}:$inited"))

    def _command(self, *words: str) -> Any:
        with connect(self._url) as connection:
            return connection.command(*words)


class DynamoDBPlace(Place):
    """A DynamoDB Local with the table of the harness."""

    default = ""

    def __init__(self, url: str) -> None:
        self._url = url
        self.section = {"type": "dynamodb", "dsn": url}

    def put(self, prefix: str, item: Json) -> None:
        """Write a flag."""
        row = {
            "namespace": {"S": f"{prefix}:features" if prefix else "features"},
            "key": {"S": item["key"]},
            "version": {"N": str(item["version"])},
            "item": {"S": json.dumps(item)},
        }
        dynamodb.call(self._url, "PutItem", TableName=DYNAMODB_TABLE, Item=row)

    def get(self, key: str) -> Any:
        """Return a flag under the default prefix."""
        row = self._row("features", key)
        return None if row is None else json.loads(row["item"]["S"])

    def is_initialized(self) -> bool:
        """Return whether a full set was written under the default prefix."""
        return self._row("$inited", "$inited") is not None

    def _row(self, namespace: str, key: str) -> Any:
        at = {"namespace": {"S": namespace}, "key": {"S": key}}
        found = dynamodb.call(
            self._url, "GetItem", TableName=DYNAMODB_TABLE, Key=at, ConsistentRead=True
        )
        return found.get("Item")


class ConsulPlace(Place):
    """A Consul."""

    default = "launchdarkly"

    def __init__(self, server: str) -> None:
        self._url = server
        self.section = {"type": "consul", "dsn": server.removeprefix("http://")}

    def put(self, prefix: str, item: Json) -> None:
        """Write a flag."""
        path = f"/v1/kv/{prefix}/features/{item['key']}"
        assert consul.call(self._url, "PUT", path, item).status == 200

    def get(self, key: str) -> Any:
        """Return a flag under the default prefix."""
        answer = self._read(f"features/{key}")
        return answer.json() if answer.status == 200 else None

    def is_initialized(self) -> bool:
        """Return whether a full set was written under the default prefix."""
        return self._read("$inited").status == 200

    def _read(self, key: str) -> consul.Answer:
        return consul.call(self._url, "GET", f"/v1/kv/{self.default}/{key}?raw&consistent")
