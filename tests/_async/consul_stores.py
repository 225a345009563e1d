"""What the tests of the store in Consul share."""

import json
from typing import Any

from flagkeep._async.stores.consul import AsyncConsulStore
from flagkeep.model.item import SerializedItem
from flagkeep.storage.consul_layout import Names
from flagkeep.storage.contents import WriterRecord
from tests._async.store_suite import flag, refs
from tests.servers.consul import ConsulServer

ME = WriterRecord(writer="me")


async def value(store: AsyncConsulStore, key: str = "a", **more: Any) -> int | None:
    """Return the version that a store has of a flag."""
    found = await store.get_many(refs(key), **more)
    return found[refs(key)[0]].version if found else None


def many(count: int, version: int = 1, size: int = 100) -> dict[str, SerializedItem]:
    pad = f'"{"x" * size}"'
    return {f"f{number}": flag(f"f{number}", version, pad=pad) for number in range(count)}


def sized(key: str, version: int, size: int) -> SerializedItem:
    """Return a flag whose text has exactly this size."""
    room = size - len(flag(key, version, pad='""').data)
    item = flag(key, version, pad=f'"{"x" * room}"')
    assert len(item.data) == size
    return item


def record_at(server: ConsulServer, prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(server.get(Names(prefix).record) or b"{}")
    return found
