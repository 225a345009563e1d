"""The cache where only asyncio can go wrong: cancellation."""

import asyncio
import random
from typing import Any

import pytest

from flagkeep import AsyncClient, Config, Context
from flagkeep._async import store_reader
from flagkeep.config import CachePolicy, StorePolicy
from tests._async.hand_source import environment, flag
from tests._async.slow_store import AsyncSlowStore
from tests._async.waiting import until

USER = Context.create("user-key")
FOR_EVER = CachePolicy.forever()
SHORT = CachePolicy(0.05)
OFF = CachePolicy.off()


@pytest.fixture(autouse=True)
def _quick_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_reader, "RETRY_AFTER", 0.02)
    monkeypatch.setattr(store_reader, "HEARTBEAT", 0.1)


async def filled(*flags: dict[str, Any]) -> AsyncSlowStore:
    store = AsyncSlowStore()
    await store.replace(environment(*flags))
    return store


def reading(store: AsyncSlowStore, cache: CachePolicy, **policy: Any) -> AsyncClient:
    settings = StorePolicy(**{"prefetch": False, **policy})
    return AsyncClient(Config(daemon=True, cache=cache, store_policy=settings), store=store)


@pytest.mark.anyio
async def test_who_waits_for_a_read_that_was_cancelled_reads_itself() -> None:
    store = await filled(flag("f", "a"))
    async with reading(store, FOR_EVER, deadline=5.0) as client:
        store.gate.clear()
        first = asyncio.create_task(client.variation("f", USER, None))
        await until(lambda: len(store.reads) == 1)
        others = [asyncio.create_task(client.variation("f", USER, None)) for _ in range(5)]
        await asyncio.sleep(0)
        first.cancel()
        await until(lambda: len(store.reads) == 2)
        others[0].cancel()
        others[3].cancel()
        store.gate.set()
        seen = await asyncio.gather(first, *others, return_exceptions=True)
        assert [one for one in seen if one == "a"] == ["a"] * 3
        assert client._data._cache is not None
        assert client._data._cache._flights == {}


@pytest.mark.anyio
@pytest.mark.parametrize("cache", [OFF, SHORT, FOR_EVER])
async def test_cancelled_evaluations_leave_nothing_behind(cache: CachePolicy) -> None:
    chance = random.Random(4)
    first = flag("f", "a", prerequisites=[{"key": "p", "variation": 0}])
    store = await filled(first, flag("p"), flag("g", "b"))
    async with reading(store, cache) as client:
        for _ in range(60):
            store.gate.clear() if chance.random() < 0.5 else store.gate.set()
            tasks = [
                asyncio.create_task(client.variation(chance.choice("fgn"), USER, "dflt"))
                for _ in range(6)
            ]
            for _ in range(chance.randrange(5)):
                await asyncio.sleep(0)
            for task in tasks:
                if chance.random() < 0.5:
                    task.cancel()
            if chance.random() < 0.3 and client._data._cache is not None:
                client._data._cache.drop(None)
            store.gate.set()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert client._data._cache is not None
        assert client._data._cache._flights == {}
        assert store.gate._waiting == set()
        assert await client.variation("f", USER, None) == "a"
