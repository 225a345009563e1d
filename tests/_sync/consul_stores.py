"""What the tests of the store in Consul share. A module takes the fixtures that it uses."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flagkeep._sync.stores.consul import ConsulStore
from flagkeep.model.item import SerializedItem
from flagkeep.storage.consul_layout import Names
from flagkeep.storage.contents import WriterRecord
from tests._sync.store_suite import flag, refs
from tests.servers.consul import ConsulServer
from tests.servers.consul_faults import ConsulFaults

ME = WriterRecord(writer="me")


@pytest.fixture
def opened(consul_url: str, consul_prefix: str) -> Callable[..., ConsulStore]:
    """Returns a store for a prefix of this test."""

    def opened(name: str = "", **more: Any) -> ConsulStore:
        return ConsulStore(consul_url, prefix=f"{consul_prefix}{name}", **more)

    return opened


@pytest.fixture
def faults(consul_url: str) -> Iterator[ConsulFaults]:
    """A proxy in front of the shared server."""
    with ConsulFaults(consul_url) as faults:
        yield faults


@pytest.fixture
def beset(faults: ConsulFaults, consul_prefix: str) -> ConsulStore:
    """A store behind that proxy."""
    return ConsulStore(faults.url, prefix=consul_prefix)


@pytest.fixture
def content(consul_server: ConsulServer, consul_prefix: str) -> Callable[[], dict[str, bytes]]:
    """Returns what is stored, by key without the prefix."""

    def content() -> dict[str, bytes]:
        found = consul_server.content(f"{consul_prefix}/")
        return {key.removeprefix(f"{consul_prefix}/"): value for key, value in found.items()}

    return content


def value(store: ConsulStore, key: str = "a", **more: Any) -> int | None:
    """Return the version that a store has of a flag."""
    found = store.get_many(refs(key), **more)
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
