"""Feature stores of the official API for asyncio: the caching wrapper, and Redis below it."""

import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

from flagkeep.errors import StoreError
from flagkeep.ldclient.async_feature_store_helpers import AsyncCachingStoreWrapper
from flagkeep.ldclient.feature_store import CacheConfig
from flagkeep.ldclient.integrations import Redis
from flagkeep.ldclient.interfaces import AsyncFeatureStore, AsyncFeatureStoreCore
from flagkeep.ldclient.versioned_data_kind import FEATURES, SEGMENTS, VersionedDataKind
from flagkeep.stores import AsyncMemoryStore
from tests.ldclient.sources import environment, flag
from tests.servers.server import free_port


class Database(AsyncFeatureStoreCore):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.data: dict[VersionedDataKind, dict[str, dict[str, Any]]] = {}
        self.has_data = False
        self.calls: list[str] = []
        self.when_read: Callable[[], Any] = lambda: None

    async def get_internal(self, kind: VersionedDataKind, key: str) -> dict[str, Any] | None:
        self.calls.append(f"get {key}")
        found = self.data.get(kind, {}).get(key)
        doing = self.when_read()
        if inspect.isawaitable(doing):
            await doing
        return found

    async def get_all_internal(self, kind: VersionedDataKind) -> Mapping[str, dict[str, Any]]:
        self.calls.append("all")
        return self.data.get(kind, {})

    async def init_internal(
        self, all_data: Mapping[VersionedDataKind, Mapping[str, dict[str, Any]]]
    ) -> None:
        self.data = {kind: dict(items) for kind, items in all_data.items()}
        self.has_data = True

    async def upsert_internal(
        self, kind: VersionedDataKind, item: dict[str, Any]
    ) -> dict[str, Any]:
        known = self.data.setdefault(kind, {}).get(item["key"])
        if known is None or known["version"] < item["version"]:
            self.data[kind][item["key"]] = item
        return self.data[kind][item["key"]]

    async def initialized_internal(self) -> bool:
        self.calls.append("initialized")
        return self.has_data


class TalkativeDatabase(Database):
    is_closed = False

    async def is_available(self) -> bool:
        return True

    async def close(self) -> None:
        self.is_closed = True

    def describe_configuration(self, config: object) -> str:
        del config
        return "talkative"


class BluntDatabase(Database):
    """Its `close` is no coroutine."""

    is_closed = False

    def close(self) -> None:
        self.is_closed = True


async def test_what_was_read_is_not_read_again() -> None:
    database = Database()
    store = AsyncCachingStoreWrapper(database, CacheConfig.default())
    database.data[FEATURES] = {"f": flag("f", 1)}
    for _ in range(3):
        assert (await store.get(FEATURES, "f"))["key"] == "f"
        assert await store.get(FEATURES, "g") is None
        assert list(await store.all(FEATURES)) == ["f"]
    assert database.calls == ["get f", "get g", "all"]


async def test_without_a_cache_everything_is_read_every_time() -> None:
    database = Database()
    database.data[FEATURES] = {"f": flag("f", 1)}
    store = AsyncCachingStoreWrapper(database, CacheConfig.disabled())
    for _ in range(2):
        assert (await store.get(FEATURES, "f"))["key"] == "f"
        assert len(await store.all(FEATURES)) == 1
    assert database.calls == ["get f", "all"] * 2


async def test_writes_say_whether_they_were_new() -> None:
    store = AsyncCachingStoreWrapper(Database(), CacheConfig.default())
    assert await store.get(FEATURES, "f") is None  # remembered, until it is written
    assert await store.upsert(FEATURES, flag("f", "new", 2)) is True
    assert await store.upsert(FEATURES, flag("f", "older", 1)) is False
    assert (await store.get(FEATURES, "f"))["variations"] == ["new"]
    assert await store.delete(FEATURES, "f", 2) is False
    assert await store.delete(FEATURES, "f", 3) is True
    assert await store.get(FEATURES, "f") is None
    assert await store.all(FEATURES) == {}


async def test_a_write_during_a_read_is_not_covered_up_by_it() -> None:
    database = Database()
    database.data[FEATURES] = {"f": flag("f", "old", 1)}
    store = AsyncCachingStoreWrapper(database, CacheConfig.default())

    async def write_once() -> None:
        database.when_read = lambda: None
        await store.upsert(FEATURES, flag("f", "new", 2))

    database.when_read = write_once
    assert (await store.get(FEATURES, "f"))["variations"] == ["new"]
    assert (await store.get(FEATURES, "f"))["variations"] == ["new"]


async def test_initialized_is_what_was_seen_last() -> None:
    database = Database()
    store = AsyncCachingStoreWrapper(database, CacheConfig.disabled())
    assert not await store.is_initialized()
    database.has_data = True
    assert not store.initialized
    assert await store.is_initialized()
    assert store.initialized
    assert await store.is_initialized()
    assert database.calls == ["initialized"] * 2


async def test_not_initialized_is_remembered_for_a_while() -> None:
    database = Database()
    store = AsyncCachingStoreWrapper(database, CacheConfig.default())
    assert [await store.is_initialized(), await store.is_initialized()] == [False, False]
    assert database.calls == ["initialized"]
    await store.init(environment(f=1))
    assert store.initialized


async def test_what_the_database_can_do_besides_is_passed_on() -> None:
    database = TalkativeDatabase()
    store = AsyncCachingStoreWrapper(database, CacheConfig.default())
    assert (await store.is_available(), store.is_monitoring_enabled()) == (True, True)
    assert store.describe_configuration(None) == "talkative"
    await store.close()
    assert database.is_closed


async def test_what_it_cannot_do_besides_is_not_missed() -> None:
    store = AsyncCachingStoreWrapper(Database(), CacheConfig.default())
    assert (await store.is_available(), store.is_monitoring_enabled()) == (False, False)
    assert store.describe_configuration(None) == "custom"
    await store.close()
    blunt = BluntDatabase()
    await AsyncCachingStoreWrapper(blunt, CacheConfig.default()).close()
    assert blunt.is_closed


async def test_a_store_of_flagkeep_may_be_below() -> None:
    store = AsyncCachingStoreWrapper(AsyncMemoryStore(), CacheConfig.disabled())
    await store.init(environment(f=1))
    assert (await store.get(FEATURES, "f"))["variations"] == [1]
    assert await store.is_available()
    await store.close()
    with pytest.raises(StoreError):
        await store.get(FEATURES, "f")
    assert not await store.is_available()


# --- Redis -------------------------------------------------------------------------------------


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[AsyncCachingStoreWrapper]:
    made = Redis.async_feature_store(redis_url, "p", redis_opts={"decode_responses": True})
    yield made
    await made.close()


@pytest.mark.extras
async def test_a_redis_may_be_below(redis: AsyncCachingStoreWrapper) -> None:
    assert isinstance(redis, AsyncFeatureStore)
    assert not await redis.is_initialized()
    await redis.init(environment(f="old", g="x"))
    assert await redis.upsert(FEATURES, flag("f", "new", 2))
    assert not await redis.upsert(FEATURES, flag("f", "older", 1))
    assert await redis.delete(FEATURES, "g", 2)
    assert list(await redis.all(FEATURES)) == ["f"]
    assert (await redis.get(FEATURES, "f"))["variations"] == ["new"]
    assert await redis.all(SEGMENTS) == {}
    assert await redis.is_available()
    assert redis.describe_configuration(None) == "Redis"
    await redis.close()
    assert (await redis.get(FEATURES, "f"))["variations"] == ["new"]  # it connects again


@pytest.mark.extras
async def test_both_colours_share_one_redis(
    redis: AsyncCachingStoreWrapper, redis_url: str
) -> None:
    store = Redis.new_feature_store(redis_url, "p")
    store.init(environment(f=1))
    assert (await redis.get(FEATURES, "f"))["variations"] == [1]
    await redis.delete(FEATURES, "f", 2)
    store.disable_cache()
    assert store.get(FEATURES, "f") is None
    store.close()


@pytest.mark.extras
async def test_a_redis_that_is_not_there_is_not_available() -> None:
    store = Redis.async_feature_store(f"redis://127.0.0.1:{free_port()}")
    assert not await store.is_available()
    with pytest.raises(StoreError, match="redis 127"):
        await store.get(FEATURES, "f")
    await store.close()
