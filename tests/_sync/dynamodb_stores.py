"""What the tests of the store in DynamoDB share."""

import random
from typing import Any

from flagkeep._sync.stores.dynamodb import DynamoDBStore
from flagkeep.model.item import SerializedItem
from flagkeep.storage.contents import WriterRecord
from tests._sync.store_suite import flag, refs
from tests.servers.dynamodb import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, call, rows

ME = WriterRecord(writer="me")
PATIENT = 20.0  # seconds for one answer of a server on a busy machine


def store_at(url: str | None, table: str, **more: Any) -> DynamoDBStore:
    settings = {
        "endpoint": url,
        "region": REGION,
        "access_key_id": ACCESS_KEY_ID,
        "secret_access_key": SECRET_ACCESS_KEY,
        "timeout": PATIENT,
    }
    return DynamoDBStore(table, **{**settings, **more})


def value(store: DynamoDBStore, key: str = "a", **more: Any) -> int | None:
    """Return the version that a store has of a flag."""
    found = store.get_many(refs(key), **more)
    return found[refs(key)[0]].version if found else None


def many(count: int, version: int = 1, size: int = 100) -> dict[str, SerializedItem]:
    pad = f'"{"x" * size}"'
    return {f"f{number:05}": flag(f"f{number:05}", version, pad=pad) for number in range(count)}


def large(key: str, version: int, packed: int = 300_000) -> SerializedItem:
    """Return a flag that is too large for a row, and has about so many bytes when it is packed."""
    noise = random.Random(version).randbytes(max(packed, 300_000)).hex()
    item = flag(key, version, pad=f'"{noise}"')
    assert len(item.data) > 409_600
    return item


class Table:
    """A table by hand.

    Attributes:
        url: of the server.
        name: of the table.
    """

    def __init__(self, url: str, name: str) -> None:
        self.url = url
        self.name = name

    def content(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return every row by namespace and key, without these two."""
        found = {}
        for row in rows(self.url, self.name):
            rest = {name: at for name, at in row.items() if name not in {"namespace", "key"}}
            found[row["namespace"]["S"], row["key"]["S"]] = rest
        return found

    def keys(self) -> set[tuple[str, str]]:
        return set(self.content())

    def put(self, namespace: str, key: str, **attributes: Any) -> None:
        item = {"namespace": {"S": namespace}, "key": {"S": key}, **attributes}
        call(self.url, "PutItem", TableName=self.name, Item=item)

    def put_item(self, key: str, version: int, text: str, namespace: str = "p:features") -> None:
        """Put a row as other SDKs do."""
        self.put(namespace, key, version={"N": str(version)}, item={"S": text})

    def delete(self, namespace: str, key: str) -> None:
        place = {"namespace": {"S": namespace}, "key": {"S": key}}
        call(self.url, "DeleteItem", TableName=self.name, Key=place)
