"""The cache where only asyncio can go wrong: cancellation, and one event loop after the other."""

import asyncio
import random
from collections.abc import Iterable
from typing import Any

import pytest

from flagkeep import AsyncClient, Config, Context
from flagkeep._async import store_reader
from flagkeep.config import CachePolicy, StorePolicy
from flagkeep.model.item import ItemRef, SerializedItem
from flagkeep.storage.contents import StoreContents, WriterRecord
from tests._async.hand_source import changes, environment, flag
from tests._async.slow_store import AsyncSlowStore
from tests._async.waiting import until, until_value
from tests.limits import check_took

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


def test_a_client_works_on_in_a_second_event_loop() -> None:
    async def first() -> tuple[AsyncSlowStore, AsyncClient]:
        store = await filled(flag("f", "a"))
        client = reading(store, SHORT, prefetch=True)
        assert await client.wait_until_ready()
        assert await client.variation("f", USER, None) == "a"
        return store, client

    async def second(store: AsyncSlowStore, client: AsyncClient) -> None:
        assert await client.variation("f", USER, None) == "a"
        await store.upsert(changes(flag("f", "b", version=2)))
        await until_value(client, "f", USER, "b")
        assert (await client.aclose()).complete

    store, client = asyncio.run(first())
    asyncio.run(second(store, client))


@pytest.mark.anyio
async def test_a_driver_that_raises_cancelled_ends_nothing() -> None:
    class Cancelling(AsyncSlowStore):
        is_cancelling = False

        async def get_all(self, *, timeout: float | None = None) -> StoreContents:
            if self.is_cancelling:
                raise asyncio.CancelledError
            return await super().get_all(timeout=timeout)

    store = Cancelling()
    await store.replace(environment(flag("f", "a")))
    async with reading(store, SHORT, prefetch=True) as client:
        assert await client.wait_until_ready()
        store.is_cancelling = True
        await asyncio.sleep(0.2)
        store.is_cancelling = False
        await store.upsert(changes(flag("f", "b", version=2)))
        await until_value(client, "f", USER, "b")


@pytest.mark.anyio
async def test_a_driver_that_raises_cancelled_fails_an_evaluation_only() -> None:
    class Cancelling(AsyncSlowStore):
        is_cancelling = False

        async def get_many(
            self, wanted: Iterable[ItemRef], *, timeout: float | None = None
        ) -> dict[ItemRef, SerializedItem]:
            if self.is_cancelling:
                raise asyncio.CancelledError
            return await super().get_many(wanted, timeout=timeout)

    store = Cancelling()
    await store.replace(environment(flag("f", "a")))
    async with reading(store, OFF) as client:
        assert await client.variation("f", USER, None) == "a"
        store.is_cancelling = True
        assert await client.variation("f", USER, "dflt") == "a"


@pytest.mark.anyio
async def test_a_close_that_was_cancelled_can_be_made_again() -> None:
    class Slow(AsyncSlowStore):
        is_closed = False

        async def get_all(self, *, timeout: float | None = None) -> StoreContents:
            await self.gate.wait(None)
            return await super().get_all(timeout=timeout)

        async def aclose(self) -> None:
            self.is_closed = True
            await super().aclose()

    store = Slow()
    store.gate.clear()
    client = reading(store, FOR_EVER, prefetch=True)
    await client.variation("f", USER, None)
    await until(lambda: bool(store.reads))
    await asyncio.sleep(0.1)
    closing = asyncio.create_task(client.aclose())
    await asyncio.sleep(0.05)
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
    store.gate.set()
    await client.aclose()
    assert store.is_closed


@pytest.mark.anyio
async def test_the_deadline_covers_finding_out_what_became_of_an_item() -> None:
    segment = {"key": "s", "version": 1, "included": [], "excluded": [], "salt": "", "rules": []}

    class Hanging(AsyncSlowStore):
        async def read_record(self) -> WriterRecord | None:
            await self.gate.wait(20)
            return None

    store = Hanging()
    await store.replace(environment(flag("f", "a"), flag("g", "b"), segments=(segment,)))
    async with reading(store, OFF, prefetch=True, deadline=0.2) as client:
        assert await client.wait_until_ready()
        assert await client.variation("f", USER, None) == "a"
        await store.replace(environment(flag("g", "b")))
        read_all = store.get_all

        async def get_all(*, timeout: float | None = None) -> StoreContents:
            found = await read_all(timeout=timeout)
            store.gate.clear()
            return found

        store.get_all = get_all  # type: ignore[method-assign]
        began = asyncio.get_running_loop().time()
        await client.variation("f", USER, "dflt")
        took = asyncio.get_running_loop().time() - began
        store.gate.set()
        check_took(took, 2)
