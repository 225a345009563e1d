"""What a store may do wrong in part: single operations that fail, items that nobody can read."""

from typing import Any

import pytest

from flagkeep._async import store_reader
from flagkeep._async.client import AsyncClient
from flagkeep._runtime import aio as runtime
from flagkeep.config import CachePolicy, Config, StorePolicy
from flagkeep.errors import StoreUnavailable
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.context import Context
from flagkeep.model.item import SerializedItem
from flagkeep.storage.contents import StoreContents
from tests._async.hand_source import environment, flag
from tests._async.slow_store import AsyncSlowStore
from tests._async.waiting import pause

USER = Context.create("user-key")


@pytest.fixture(autouse=True)
def _quick_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_reader, "RETRY_AFTER", 0.02)
    monkeypatch.setattr(store_reader, "HEARTBEAT", 0.1)


class AsyncHalfStore(AsyncSlowStore):
    """A store that answers single reads, and fails to read everything when told to."""

    is_half_down = False

    async def get_all(self, *, timeout: float | None = None) -> StoreContents:
        if self.is_half_down:
            raise StoreUnavailable(self.name, "get_all", "not permitted")
        return await super().get_all(timeout=timeout)


async def filled(*flags: dict[str, Any]) -> AsyncHalfStore:
    store = AsyncHalfStore()
    await store.replace(environment(*flags))
    return store


def reading(store: AsyncSlowStore, cache: CachePolicy, *, prefetch: bool) -> AsyncClient:
    settings = StorePolicy(prefetch=prefetch)
    return AsyncClient(Config(daemon=True, cache=cache, store_policy=settings), store=store)


@pytest.mark.slow
@pytest.mark.parametrize("prefetch", [False, True])
@pytest.mark.parametrize("cache", [CachePolicy.off(), CachePolicy(0.05)])
async def test_a_store_that_cannot_read_everything_is_logged_once(
    caplog: pytest.LogCaptureFixture, cache: CachePolicy, *, prefetch: bool
) -> None:
    store = await filled(flag("f", "a"))
    async with reading(store, cache, prefetch=prefetch) as client:
        assert await client.variation("f", USER, None) == "a"
        store.is_half_down = True
        give_up = runtime.monotonic() + 0.5
        while runtime.monotonic() < give_up:
            assert await client.variation("f", USER, "dflt") == "a"
            await pause()
        lines = [one.getMessage() for one in caplog.records if one.name == "flagkeep.store"]
        store.is_half_down = False
    assert len(lines) <= 1, lines


async def test_a_deeply_nested_item_is_a_bad_item() -> None:
    store = await filled(flag("f", "a"))
    deep = b'{"key":"g","version":1,"variations":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}"
    await store.upsert(
        ChangeSet(full=False, flags={"g": SerializedItem(1, deleted=False, data=deep)})
    )
    async with reading(store, CachePolicy.off(), prefetch=True) as client:
        assert await client.wait_until_ready()
        assert await client.variation("f", USER, None) == "a"
        assert await client.variation("g", USER, "dflt") == "dflt"
        assert [bad.key for bad in client.status.bad_items] == ["g"]
