"""What is particular to stores of the official API in Redis; the rest is in test_databases."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from flagkeep.config import CachePolicy
from flagkeep.errors import ConfigError, StoreError
from flagkeep.ldclient import LDClient
from flagkeep.ldclient._assembly import Assembly
from flagkeep.ldclient.feature_store import CacheConfig
from flagkeep.ldclient.feature_store_helpers import CachingStoreWrapper
from flagkeep.ldclient.integrations import Redis
from flagkeep.ldclient.integrations.test_data import TestData
from flagkeep.ldclient.interfaces import DataStoreStatus
from flagkeep.ldclient.redis_feature_store import RedisFeatureStore
from flagkeep.ldclient.versioned_data_kind import FEATURES
from flagkeep.model.codec import encode_json
from flagkeep.model.item import ItemRef, Kind
from flagkeep.stores import SQLiteStore
from tests.ldclient.programs import attempt
from tests.ldclient.sources import USER, environment, flag, nobody, quiet, until
from tests.limits import check_within
from tests.servers.redis import RedisServer

if TYPE_CHECKING:  # this module is imported, and left out, where redis-py is not installed
    import redis

pytestmark = pytest.mark.extras

PREFIX: Final = "{my}.prefix"
FLAG: Final = ItemRef(Kind.FLAG, "f")
UP: Final = DataStoreStatus(True, False)
DOWN: Final = DataStoreStatus(False, False)


@pytest.fixture
def store(redis_url: str) -> Iterator[CachingStoreWrapper]:
    made = Redis.new_feature_store(redis_url, PREFIX)
    yield made
    made.close()


@pytest.fixture
def raw(redis_url: str) -> "Iterator[redis.Redis]":
    import redis  # noqa: PLC0415  see above

    with redis.Redis.from_url(redis_url) as connection:
        yield connection


# --- making one --------------------------------------------------------------------------------


def test_the_constants_are_the_official_ones() -> None:
    assert Redis.DEFAULT_URL == "redis://localhost:6379/0"
    assert Redis.DEFAULT_PREFIX == "launchdarkly"
    assert Redis.DEFAULT_MAX_CONNECTIONS == 16


@pytest.mark.parametrize("url", ["localhost:6379", "http://localhost", "redis://h:port", 6379])
def test_a_url_that_cannot_work_is_refused_at_once(url: Any) -> None:
    with pytest.raises(ConfigError, match="url"):
        Redis.new_feature_store(url=url)
    with pytest.raises(ConfigError, match="url"):
        Redis.async_feature_store(url=url)
    with (
        pytest.warns(DeprecationWarning, match="RedisFeatureStore"),
        pytest.raises(ConfigError, match="url"),
    ):
        RedisFeatureStore(url=url)


def test_max_connections_has_no_effect_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    Redis.new_feature_store(max_connections=16).close()
    assert not caplog.messages
    Redis.new_feature_store(max_connections=5).close()
    assert caplog.messages == [
        "max_connections has no effect: write redis_opts={'max_connections': 5}"
    ]


def test_options_are_used_and_stay_the_callers_own(redis_url: str) -> None:
    options = {"max_connections": 1, "decode_responses": True, "client_name": "shop"}
    store = Redis.new_feature_store(redis_url, redis_opts=options)
    options["max_connections"] = "none"  # the caller's business
    store.init(environment(f=1))
    assert store.get(FEATURES, "f")["variations"] == [1]
    store.close()
    assert store.get(FEATURES, "f")["variations"] == [1]  # with connections of its own again
    store.close()


def test_no_message_shows_a_password(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    store = Redis.new_feature_store(redis_url.replace("redis://", "redis://me:s3cret@"))
    with LDClient(quiet(use_ldd=True, feature_store=store)) as client:
        assert client.variation("f", USER, "default") == "default"
    with pytest.raises(StoreError) as failure:
        store.get(FEATURES, "f")
    store.close()
    with pytest.raises(ConfigError) as refusal:
        Redis.new_feature_store("redis://me:s3cret@:port")
    said = f"{failure.value} {failure.value.__cause__!r} {refusal.value} {store!r} {caplog.text}"
    assert "s3cret" not in said


def test_an_option_that_cannot_work_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="max_connections must be a number from 1, not 0"):
        Redis.new_feature_store(redis_opts={"max_connections": 0})


@pytest.mark.parametrize(
    "call",
    [
        "from ldclient.integrations import Redis; Redis.new_feature_store()",
        "from ldclient.integrations import Redis; Redis.async_feature_store()",
        "from ldclient.redis_feature_store import RedisFeatureStore; RedisFeatureStore()",
    ],
)
@pytest.mark.slow
def test_without_redis_py_the_error_is_the_official_one_and_says_what_to_install(
    call: str,
) -> None:
    program = f"""
import sys, warnings
sys.modules["redis"] = None
import flagkeep.ldclient
flagkeep.ldclient.install()
from flagkeep.errors import MissingExtra
warnings.simplefilter("ignore", DeprecationWarning)
try:
    {call.replace("; ", chr(10) + "    ")}
except NotImplementedError as exc:
    assert isinstance(exc, MissingExtra)
    print(exc)
"""
    done = attempt(program)
    assert done.stdout == "a feature store in Redis needs an extra: pip install 'flagkeep[redis]'\n"


# --- as a feature store ------------------------------------------------------------------------


def test_an_empty_prefix_is_the_default_one(redis_url: str, raw: "redis.Redis") -> None:
    store = Redis.new_feature_store(redis_url, prefix="")
    store.init({})
    store.close()
    assert raw.exists("launchdarkly:$inited")


# --- below a client ----------------------------------------------------------------------------


def test_test_data_fills_redis_in_a_form_that_all_sdks_read(
    store: CachingStoreWrapper, raw: "redis.Redis"
) -> None:
    data = TestData.data_source()
    data.update(data.flag("f").value_for_all(1))
    with LDClient(quiet(update_processor_class=data, feature_store=store)) as client:
        assert client.variation("f", USER, 0) == 1
        until(lambda: bool(raw.exists(f"{PREFIX}:$inited")))
    text = raw.hget(f"{PREFIX}:features", "f")
    assert b'"deleted":false' in text  # type: ignore[operator]  # not awaitable


def test_a_disabled_cache_is_disabled_for_clients_made_from_then_on(
    store: CachingStoreWrapper, raw: "redis.Redis"
) -> None:
    store.init(environment(f=1))
    store.disable_cache()
    with LDClient(quiet(use_ldd=True, feature_store=store)) as client:
        for value in (1, 2, 3):
            text = encode_json(flag("f", value, value))
            raw.hset(f"{PREFIX}:features", "f", text)
            assert client.variation("f", USER, 0) == value
            assert store.get(FEATURES, "f")["version"] == value


def test_a_store_that_does_something_else_is_asked_itself(redis_url: str) -> None:
    class Upper(RedisFeatureStore):
        def get(self, kind: Any, key: str, callback: Any = lambda item: item) -> Any:
            return super().get(kind, key.lower(), callback)

    with pytest.warns(DeprecationWarning, match="RedisFeatureStore is deprecated"):
        store = Upper(redis_url, PREFIX, expiration=0)
    store.init(environment(f=1))
    with LDClient(quiet(use_ldd=True, feature_store=store)) as client:
        assert client.variation("F", USER, 0) == 1
        assert client.data_store_status_provider.is_monitoring_enabled()
    store.close()


def test_a_store_of_flagkeep_gets_a_cache_time_from_a_wrapper(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    store = CachingStoreWrapper(SQLiteStore(path), CacheConfig(expiration=7))
    store.init(environment(f=1))
    other = SQLiteStore(path)
    assembly = Assembly(quiet(use_ldd=True, feature_store=store), ())
    assembly.start(0)
    assert assembly.client._config.cache == CachePolicy(7)
    assert assembly.client.variation("f", USER, 0) == 1
    store.upsert(FEATURES, flag("f", 2, 2))
    until(lambda: bool(assembly.client.variation("f", USER, 0) == 2))
    assembly.client.close()
    with pytest.raises(ConfigError, match="was closed together with its last client"):
        Assembly(quiet(use_ldd=True, feature_store=store), ())
    other.close()


def test_a_store_for_asyncio_is_refused_by_name() -> None:
    store = Redis.async_feature_store()
    with pytest.raises(ConfigError, match="not AsyncCachingStoreWrapper"):
        quiet(feature_store=store)


# --- outages -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_status_follows_a_redis_that_goes_and_comes_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[DataStoreStatus] = []
    with RedisServer() as server:
        store = Redis.new_feature_store(server.url, PREFIX)
        store.init(environment(f=1))
        with LDClient(quiet(use_ldd=True, feature_store=store)) as client:
            provider = client.data_store_status_provider
            assert provider.is_monitoring_enabled()
            assert provider.status == UP
            provider.add_listener(heard.append)
            assert client.variation("f", USER, 0) == 1
            server.cli("SAVE")
            server.kill()
            store.disable_cache()
            until(lambda: not store.is_available())
            client._assembly.client.store_changed((FLAG,))  # somebody looks, and …
            client._assembly.client.store_changed((FLAG,))  # … nobody else
            assert client.variation("f", USER, 0) == 1
            until(lambda: heard == [DOWN])
            assert provider.status == DOWN
            server.start()
            until(lambda: heard == [DOWN, UP])
            assert provider.status == UP
            assert store.is_available()
            assert client.variation("f", USER, 0) == 1
            provider.remove_listener(heard.append)
        store.close()
    lines = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert [one.levelno for one in lines] == [logging.ERROR, logging.WARNING]
    assert "redis 127.0.0.1" in lines[0].getMessage()


@pytest.mark.slow
@pytest.mark.parametrize("use_ldd", [True, False])
@pytest.mark.parametrize("caching", [CacheConfig.default(), CacheConfig.disabled()])
def test_a_redis_that_is_down_at_the_start_raises_nowhere(
    *, use_ldd: bool, caching: CacheConfig
) -> None:
    with RedisServer() as server:
        store = Redis.new_feature_store(server.url, caching=caching)
        store.init(environment(f=1))
        server.cli("SAVE")
        server.kill()
        with LDClient(nobody(use_ldd=use_ldd, feature_store=store), 0) as client:
            detail = client.variation_detail("f", USER, "default")
            assert detail.value == "default"
            assert detail.reason["kind"] == "ERROR"
            assert client.variation("f", USER, "default") == "default"
            assert not client.all_flags_state(USER).valid
            assert client.is_initialized() is use_ldd
            until(lambda: not client.data_store_status_provider.status.available)
            server.start()
            until(lambda: bool(client.variation("f", USER, "default") == 1))
            assert client.is_initialized()
        store.close()


@pytest.mark.slow
def test_a_redis_that_hangs_costs_an_evaluation_its_deadline_once() -> None:
    with RedisServer() as server:
        store = Redis.new_feature_store(server.url, caching=CacheConfig.disabled())
        store.init(environment(f=1))
        with LDClient(quiet(use_ldd=True, feature_store=store)) as client:
            assert client.variation("f", USER, "default") == 1
            server.pause()
            begun = time.monotonic()
            for _ in range(20):
                assert client.variation("f", USER, "default") == 1
                assert client.variation("g", USER, "default") == "default"
            check_within(10, since=begun)  # and not 40 deadlines
            server.resume()
            until(lambda: client.data_store_status_provider.status.available)
        store.close()
