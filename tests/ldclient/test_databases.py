"""What feature stores of the official API have in common, whatever database they are in."""

import json
import logging
import math
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from flagkeep.config import CachePolicy
from flagkeep.errors import StoreError
from flagkeep.ldclient import AsyncLDClient, Config, LDClient
from flagkeep.ldclient._assembly import Assembly
from flagkeep.ldclient.async_config import AsyncConfig
from flagkeep.ldclient.async_feature_store_helpers import AsyncCachingStoreWrapper
from flagkeep.ldclient.feature_store import CacheConfig
from flagkeep.ldclient.feature_store_helpers import CachingStoreWrapper
from flagkeep.ldclient.interfaces import AsyncFeatureStore, DataStoreStatus
from flagkeep.ldclient.versioned_data_kind import FEATURES, SEGMENTS
from flagkeep.model.codec import encode_json
from flagkeep.testing import FakeUpstream
from tests.ldclient.databases import ConsulFolder, Database, DynamoDBTable, RedisKeys
from tests.ldclient.sources import USER, Making, environment, flag, nobody, quiet, until
from tests.servers.consul_faults import ConsulFaults
from tests.servers.dynamodb_faults import DynamoDBFaults
from tests.servers.http_faults import HttpFaults
from tests.servers.server import free_port

pytestmark = pytest.mark.usefixtures("dynamodb_here", "consul_here")


OVER_HTTP: Final = (pytest.param("dynamodb", marks=pytest.mark.extras), "consul")


@pytest.fixture(params=[*OVER_HTTP, pytest.param("redis", marks=pytest.mark.extras)])
def database(request: pytest.FixtureRequest) -> Database:
    get = request.getfixturevalue
    if request.param == "redis":
        return RedisKeys(get("redis_url"))
    if request.param == "dynamodb":
        return DynamoDBTable(get("dynamodb_url"), get("dynamodb_table"))
    return ConsulFolder(get("consul_url"), get("consul_prefix"))


@pytest.fixture
def store(database: Database) -> Iterator[CachingStoreWrapper]:
    made = database.feature_store()
    yield made
    made.close()


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        upstream.put({"f": flag("f", "streamed")})
        yield upstream


# --- as a feature store ------------------------------------------------------------------------


def test_it_is_a_feature_store_by_itself(store: CachingStoreWrapper, database: Database) -> None:
    assert store.describe_configuration(None) == database.description
    assert not store.initialized
    store.init(environment(f="old", g="x"))
    assert store.initialized
    assert store.is_available()
    store.upsert(FEATURES, flag("f", "new", 2))
    store.upsert(FEATURES, flag("f", "older", 1))
    assert store.get(FEATURES, "f")["variations"] == ["new"]
    store.delete(FEATURES, "g", 2)
    store.upsert(SEGMENTS, {"key": "s", "version": 1, "salt": ""})
    assert list(store.all(FEATURES)) == ["f"]
    assert store.get(SEGMENTS, "s", lambda item: item["key"]) == "s"
    assert store.get(FEATURES, "g") is None
    content = database.content()
    assert set(content) == {"features/f", "features/g", "segments/s", "$inited"}
    assert content["$inited"] == b""
    assert json.loads(content["features/f"])["variations"] == ["new"]
    gone = json.loads(content["features/g"])
    assert (gone["key"], gone["version"], gone["deleted"]) == ("g", 2, True)


def test_making_a_store_connects_to_nobody(database: Database) -> None:
    store = database.at(f"http://127.0.0.1:{free_port()}").feature_store()
    assert not store.is_available()
    assert store.is_monitoring_enabled()
    with pytest.raises(StoreError, match=f"^{database.named} .*refused"):
        store.get(FEATURES, "f")
    store.close()


def test_everything_is_replaced_also_a_kind_that_is_not_named(
    store: CachingStoreWrapper, database: Database
) -> None:
    store.init({FEATURES: {}, SEGMENTS: {"s": {"key": "s", "version": 1}}})
    store.init({FEATURES: {"f": flag("f", 1)}})
    assert store.all(SEGMENTS) == {}
    assert set(database.content()) == {"features/f", "$inited"}


def test_an_item_that_cannot_be_used_is_refused_before_anything_is_written(
    store: CachingStoreWrapper, database: Database
) -> None:
    with pytest.raises(ValueError, match="version"):
        store.upsert(FEATURES, {"key": "f"})
    with pytest.raises(ValueError, match="on"):
        store.init({FEATURES: {"f": flag("f", 1) | {"on": "yes"}}, SEGMENTS: {}})
    assert database.content() == {}


def test_what_other_sdks_left_behind_hides_nothing(
    store: CachingStoreWrapper, database: Database
) -> None:
    store.init(environment(f=1))
    strange = {
        "null": b"null",
        "empty": b"",
        "broken": b'{"key":',
        "number": b"7",
        "typed": b'{"key":"typed","version":1,"on":"yes"}',
        "gone": b'{"key":"$deleted","version":7,"deleted":true}',
        "nameless": b'{"version":7,"deleted":true}',
    }
    if not isinstance(database, DynamoDBTable):  # where a text is a text
        strange["binary"] = b"\xff\xfe"
    for key, text in strange.items():
        database.put(f"features/{key}", text)
    for caching in (CacheConfig.default(), CacheConfig.disabled()):
        other = CachingStoreWrapper(store._core, caching)
        assert list(other.all(FEATURES)) == ["f"]
        for key in strange.keys() - {"typed"}:
            assert other.get(FEATURES, key) is None, key
        with pytest.raises(ValueError, match="on"):
            other.get(FEATURES, "typed")
    with LDClient(quiet(use_ldd=True, feature_store=store)) as client:
        assert client.all_flags_state(USER).to_values_map() == {"f": 1}
        assert {client.variation(key, USER, "none") for key in strange} == {"none"}


def test_an_upsert_that_is_refused_leaves_the_item_under_its_key(
    store: CachingStoreWrapper, database: Database
) -> None:
    for gone in (b'{"key":"$deleted","version":7,"deleted":true}', b'{"version":7,"deleted":true}'):
        store.init(environment(f=1))
        if isinstance(database, DynamoDBTable):  # the attribute decides there
            store.delete(FEATURES, "f", 7)
        else:
            database.put("features/f", gone)
        before = database.content()
        store.upsert(FEATURES, flag("f", "late", 6))
        assert store.get(FEATURES, "f") is None
        assert database.content() == before


def test_a_closed_store_can_be_used_again(store: CachingStoreWrapper) -> None:
    store.init(environment(f=1))
    for _ in range(2):
        store.disable_cache()
        store.close()
        assert store.get(FEATURES, "f")["variations"] == [1]


# --- below a client ----------------------------------------------------------------------------


def test_daemon_mode_serves_what_is_there_and_writes_nothing(
    store: CachingStoreWrapper, database: Database
) -> None:
    database.put("features/f", encode_json(flag("f", "stored")))
    assert store.is_available()  # and boto3 is imported
    before = database.content()
    with LDClient(quiet(use_ldd=True, feature_store=store)) as client:
        assert client.is_initialized()
        assert client.variation("f", USER, 0) == "stored"
        assert client.all_flags_state(USER).to_values_map() == {"f": "stored"}
        assert client.variation_detail("g", USER, 0).reason["errorKind"] == "FLAG_NOT_FOUND"
    assert database.content() == before


def test_what_is_streamed_is_in_the_database_for_everybody(
    store: CachingStoreWrapper, database: Database, upstream: FakeUpstream
) -> None:
    config = Config(
        "k", stream_uri=upstream.uri, events_uri=upstream.uri, send_events=False,
        feature_store=store,
    )  # fmt: skip
    with LDClient(config) as client:
        assert client.variation("f", USER, 0) == "streamed"
        until(lambda: "$inited" in database.content())
        assert json.loads(database.content()["features/f"])["variations"] == ["streamed"]
        upstream.patch("flags", flag("f", "patched", 2))
        until(lambda: b"patched" in database.content()["features/f"])
        with LDClient(quiet(use_ldd=True, feature_store=database.feature_store())) as reader:
            assert reader.variation("f", USER, 0) == "patched"
        upstream.delete("flags", "f", 3)
        until(lambda: json.loads(database.content()["features/f"]).get("deleted"))
    with LDClient(quiet(use_ldd=True, feature_store=database.feature_store())) as reader:
        assert reader.variation("f", USER, 0) == 0


def test_what_is_in_the_database_is_served_until_the_upstream_answers(
    store: CachingStoreWrapper,
) -> None:
    config = nobody(feature_store=store)
    with LDClient(config, 0) as client:
        assert not client.is_initialized()
        assert client.variation_detail("f", USER, 0).reason["errorKind"] == "CLIENT_NOT_READY"
    store.init(environment(f="stored"))
    with LDClient(config, 0) as client:
        assert client.is_initialized()
        until(lambda: bool(client.variation("f", USER, 0) == "stored"))


def test_a_store_serves_one_client_after_the_other_and_then_itself(
    store: CachingStoreWrapper,
) -> None:
    store.init(environment(f=1))
    config = quiet(use_ldd=True, feature_store=store)
    for _ in range(2):
        with LDClient(config) as client:
            assert client.variation("f", USER, 0) == 1
    assert store.get(FEATURES, "f")["variations"] == [1]


def test_closing_the_store_does_not_end_a_client(store: CachingStoreWrapper) -> None:
    store.init(environment(f=1))
    with LDClient(quiet(use_ldd=True, feature_store=store)) as client:
        store.close()
        assert client.variation("f", USER, 0) == 1
        assert client.data_store_status_provider.status == DataStoreStatus(True, False)


def test_what_the_application_writes_to_the_store_is_in_force_at_once(
    store: CachingStoreWrapper,
) -> None:
    store.init(environment(f=1))
    with LDClient(quiet(use_ldd=True, feature_store=store)) as client:
        assert client.variation("f", USER, 0) == 1
        store.upsert(FEATURES, flag("f", 2, 2))
        assert client.variation("f", USER, 0) == 2
        store.delete(FEATURES, "f", 3)
        assert client.variation("f", USER, 0) == 0
        store.init(environment(f=4))
        assert client.variation("f", USER, 0) == 4


def test_what_a_source_writes_is_what_the_store_gives_out(
    store: CachingStoreWrapper, database: Database
) -> None:
    making = Making(with_data=environment(f=1))
    with LDClient(quiet(update_processor_class=making, feature_store=store)) as client:
        until(lambda: store.get(FEATURES, "f") is not None)
        making.made[0].store.upsert(FEATURES, flag("f", 2, 2))
        assert client.variation("f", USER, 0) == 2
        until(lambda: bool(store.get(FEATURES, "f")["variations"] == [2]))
        assert json.loads(database.content()["features/f"])["version"] == 2
        with LDClient(quiet(use_ldd=True, feature_store=store)) as reader:
            assert reader.variation("f", USER, 0) == 2
            making.made[0].store.upsert(FEATURES, flag("f", 3, 3))
            until(lambda: bool(reader.variation("f", USER, 0) == 3))


@pytest.mark.parametrize(
    ("expiration", "expected"),
    [
        (30, CachePolicy(30)),
        (0, CachePolicy.off()),
        (-1, CachePolicy.off()),
        (None, CachePolicy.off()),
        (math.inf, CachePolicy.forever()),
        (1e10, CachePolicy.forever()),
        (10**400, CachePolicy.forever()),
    ],
)
def test_the_cache_time_is_the_clients(
    database: Database, expiration: Any, expected: CachePolicy
) -> None:
    store = database.feature_store(CacheConfig(expiration))
    assembly = Assembly(quiet(use_ldd=True, feature_store=store), ())
    assert assembly.client._config.cache == expected
    assembly.client.close()
    assert store.get(FEATURES, "f") is None
    store.close()


# --- outages -----------------------------------------------------------------------------------


@pytest.fixture
def faults(database: Database) -> Iterator[HttpFaults]:
    """A proxy in front of the database."""
    make: Callable[[str], HttpFaults]
    make = DynamoDBFaults if isinstance(database, DynamoDBTable) else ConsulFaults
    with make(database.url) as faults:
        yield faults


@pytest.mark.slow
@pytest.mark.parametrize("database", OVER_HTTP, indirect=True)
def test_the_status_follows_a_database_that_goes_and_comes_back(
    database: Database, faults: HttpFaults, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[DataStoreStatus] = []
    store = database.at(faults.url).feature_store()
    store.init(environment(f=1))
    with LDClient(quiet(use_ldd=True, feature_store=store)) as client:
        provider = client.data_store_status_provider
        assert provider.is_monitoring_enabled()
        assert provider.status == DataStoreStatus(True, False)
        provider.add_listener(heard.append)
        assert client.variation("f", USER, 0) == 1
        faults.answer(None, 502, b"<html>no")
        until(lambda: heard == [DataStoreStatus(False, False)])
        assert client.variation("f", USER, 0) == 1
        assert not store.is_available()
        faults.pass_on()
        until(lambda: heard[1:] == [DataStoreStatus(True, False)])
        assert client.variation("f", USER, 0) == 1
    store.close()
    lines = [one for one in caplog.records if one.name == "flagkeep.store"]
    assert [one.levelno for one in lines] == [logging.ERROR, logging.WARNING]
    assert all(one.getMessage().startswith(database.named) for one in lines)


@pytest.mark.slow
@pytest.mark.parametrize("database", OVER_HTTP, indirect=True)
@pytest.mark.parametrize("use_ldd", [True, False])
def test_a_database_that_is_down_at_the_start_raises_nowhere(
    database: Database, faults: HttpFaults, *, use_ldd: bool
) -> None:
    store = database.at(faults.url).feature_store()
    store.init(environment(f=1))
    faults.answer(None, 502, b"<html>no")
    with LDClient(nobody(use_ldd=use_ldd, feature_store=store), 0) as client:
        detail = client.variation_detail("f", USER, "default")
        assert (detail.value, detail.reason["kind"]) == ("default", "ERROR")
        assert not client.all_flags_state(USER).valid
        assert client.is_initialized() is use_ldd
        until(lambda: not client.data_store_status_provider.status.available)
        faults.pass_on()
        until(lambda: bool(client.variation("f", USER, "default") == 1))
        assert client.is_initialized()
    store.close()


# --- asyncio -----------------------------------------------------------------------------------


async def test_the_store_for_asyncio_shares_the_database(
    database: Database, store: CachingStoreWrapper
) -> None:
    other: AsyncCachingStoreWrapper = database.async_feature_store()
    assert isinstance(other, AsyncFeatureStore)
    assert other.describe_configuration(None) == database.description
    assert not await other.is_initialized()
    await other.init(environment(f="old", g="x"))
    assert await other.upsert(FEATURES, flag("f", "new", 2))
    assert not await other.upsert(FEATURES, flag("f", "older", 1))
    assert await other.delete(FEATURES, "g", 2)
    assert list(await other.all(FEATURES)) == ["f"]
    assert store.get(FEATURES, "f")["variations"] == ["new"]
    assert await other.is_available()
    await other.close()
    assert (await other.get(FEATURES, "f"))["variations"] == ["new"]  # it connects again
    await other.close()


async def test_a_client_for_asyncio_fills_the_database_and_another_reads_it(
    database: Database, upstream: FakeUpstream
) -> None:
    store = database.async_feature_store()
    given: dict[str, Any] = {"send_events": False, "feature_store": store}
    async with AsyncLDClient(AsyncConfig("k", stream_uri=upstream.uri, **given)) as client:
        assert await client.variation("f", USER, 0) == "streamed"
    assert "$inited" in database.content()
    async with AsyncLDClient(AsyncConfig("k", use_ldd=True, **given)) as reader:
        assert await reader.variation("f", USER, 0) == "streamed"
    await store.close()
