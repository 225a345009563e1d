"""What a store may do wrong in part: single operations that fail, items that nobody can read."""

from typing import Any

import pytest

from flagkeep._sync import store_reader
from flagkeep._sync.client import Client
from flagkeep._runtime import threads as runtime
from flagkeep.config import CachePolicy, Config, StorePolicy
from flagkeep.errors import StoreUnavailable
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.context import Context
from flagkeep.model.item import SerializedItem
from flagkeep.storage.contents import StoreContents
from tests._sync.hand_source import environment, flag
from tests._sync.slow_store import SlowStore
from tests._sync.waiting import pause

USER = Context.create("user-key")


@pytest.fixture(autouse=True)
def _quick_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_reader, "RETRY_AFTER", 0.02)
    monkeypatch.setattr(store_reader, "HEARTBEAT", 0.1)


class HalfStore(SlowStore):
    """A store that answers single reads, and fails to read everything when told to."""

    is_half_down = False

    def get_all(self, *, timeout: float | None = None) -> StoreContents:
        if self.is_half_down:
            raise StoreUnavailable(self.name, "get_all", "not permitted")
        return super().get_all(timeout=timeout)


def filled(*flags: dict[str, Any]) -> HalfStore:
    store = HalfStore()
    store.replace(environment(*flags))
    return store


def reading(store: SlowStore, cache: CachePolicy, *, prefetch: bool) -> Client:
    settings = StorePolicy(prefetch=prefetch)
    return Client(Config(daemon=True, cache=cache, store_policy=settings), store=store)


@pytest.mark.slow
@pytest.mark.parametrize("prefetch", [False, True])
@pytest.mark.parametrize("cache", [CachePolicy.off(), CachePolicy(0.05)])
def test_a_store_that_cannot_read_everything_is_logged_once(
    caplog: pytest.LogCaptureFixture, cache: CachePolicy, *, prefetch: bool
) -> None:
    store = filled(flag("f", "a"))
    with reading(store, cache, prefetch=prefetch) as client:
        assert client.variation("f", USER, None) == "a"
        store.is_half_down = True
        give_up = runtime.monotonic() + 0.5
        while runtime.monotonic() < give_up:
            assert client.variation("f", USER, "dflt") == "a"
            pause()
        lines = [one.getMessage() for one in caplog.records if one.name == "flagkeep.store"]
        store.is_half_down = False
    assert len(lines) <= 1, lines


def test_a_deeply_nested_item_is_a_bad_item() -> None:
    store = filled(flag("f", "a"))
    deep = b'{"key":"g","version":1,"variations":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}"
    store.upsert(
        ChangeSet(full=False, flags={"g": SerializedItem(1, deleted=False, data=deep)})
    )
    with reading(store, CachePolicy.off(), prefetch=True) as client:
        assert client.wait_until_ready()
        assert client.variation("f", USER, None) == "a"
        assert client.variation("g", USER, "dflt") == "dflt"
        assert [bad.key for bad in client.status.bad_items] == ["g"]
