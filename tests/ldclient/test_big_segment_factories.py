"""Big Segment stores as the official factories make them, in databases that others have filled."""

import time
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pytest

from flagkeep.errors import ConfigError, StoreError
from flagkeep.ldclient import AsyncLDClient, Config, Context, LDClient
from flagkeep.ldclient.async_config import AsyncBigSegmentsConfig, AsyncConfig
from flagkeep.ldclient.config import BigSegmentsConfig
from flagkeep.ldclient.integrations import DynamoDB, Redis
from flagkeep.ldclient.interfaces import (
    AsyncBigSegmentStore,
    BigSegmentStore,
    BigSegmentStoreMetadata,
    BigSegmentStoreStatus,
)
from flagkeep.storage.big_segments import hash_of
from flagkeep.testing import FakeUpstream
from tests.ldclient.programs import attempt, run
from tests.ldclient.sources import USER, flag, until
from tests.servers import aws, dynamodb
from tests.servers.big_segments import DynamoDBWriter, RedisWriter, Writer
from tests.servers.dynamodb_faults import DynamoDBFaults
from tests.servers.server import free_port

pytestmark = [pytest.mark.extras, pytest.mark.usefixtures("dynamodb_here")]

KEY: Final = "sdk-key"
BIG: Final = {"key": "big", "version": 1, "unbounded": True, "generation": 2, "salt": ""}
CLAUSE: Final = {"attribute": "", "op": "segmentMatch", "values": ["big"]}
FLAG: Final = flag("f", 0) | {
    "rules": [{"clauses": [CLAUSE], "variation": 1}],
    "variations": ["out", "in"],
}

# What the application does, after `install`; the factory is put in.
PROGRAM: Final = """
import sys
import flagkeep.ldclient
flagkeep.ldclient.install()

import ldclient
from ldclient.config import BigSegmentsConfig, Config
from ldclient.integrations import DynamoDB, Redis

place, uri = sys.argv[1:]
store = FACTORY
config = Config("sdk-key", stream_uri=uri, send_events=False,
                big_segments=BigSegmentsConfig(store=store))
ldclient.set_config(config)
client = ldclient.get()
print(client.big_segment_store_status_provider.status.available)
detail = client.variation_detail("f", ldclient.Context.create("u"), None)
print(detail.value, detail.reason["bigSegmentsStatus"])
client.close()
"""


class Place(NamedTuple):
    """A database, and how to reach it.

    Attributes:
        factories: those of the official integration.
        arguments: what they take.
    """

    writer: Writer
    factories: Any
    arguments: dict[str, Any]

    def store(self, **more: Any) -> BigSegmentStore:
        store: BigSegmentStore = self.factories.new_big_segment_store(**self.arguments, **more)
        return store

    def async_store(self) -> AsyncBigSegmentStore:
        store: AsyncBigSegmentStore = self.factories.async_big_segment_store(**self.arguments)
        return store


@pytest.fixture(params=["redis", "dynamodb"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
        return Place(RedisWriter(url, "p"), Redis, {"url": url, "prefix": "p"})
    url, table = (request.getfixturevalue(f"dynamodb_{one}") for one in ("url", "table"))
    arguments = {"table_name": table, "prefix": "p", "dynamodb_opts": options(url)}
    return Place(DynamoDBWriter(url, table, "p"), DynamoDB, arguments)


def options(url: str) -> dict[str, Any]:
    return {
        "endpoint_url": url,
        "region_name": dynamodb.REGION,
        "aws_access_key_id": dynamodb.ACCESS_KEY_ID,
        "aws_secret_access_key": dynamodb.SECRET_ACCESS_KEY,
    }


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        upstream.put({"f": FLAG}, {"big": BIG})
        yield upstream


def to(upstream: FakeUpstream, store: Any, **settings: Any) -> Config:
    big_segments = BigSegmentsConfig(store=store, **settings)
    return Config(KEY, stream_uri=upstream.uri, send_events=False, big_segments=big_segments)


def now_ms() -> int:
    return int(time.time() * 1000)


def ready(client: LDClient) -> None:
    """Wait until the store has answered: before that, boto3 is imported."""
    until(lambda: client.big_segment_store_status_provider.status.available)


def answer(client: LDClient, key: str = "u") -> tuple[Any, Any]:
    detail = client.variation_detail("f", Context.create(key), None)
    return detail.value, detail.reason["bigSegmentsStatus"]


# --- by themselves -----------------------------------------------------------------------------


def test_it_is_a_big_segment_store_by_itself(place: Place) -> None:
    store = place.store()
    assert isinstance(store, BigSegmentStore)
    assert isinstance(store.get_metadata(), BigSegmentStoreMetadata)
    assert store.get_metadata().last_up_to_date is None
    assert store.get_membership(hash_of("u")) is None
    place.writer.synchronized("1700000000123")
    place.writer.put(hash_of("u"), ["a.g1", "both.g1"], ["b.g1", "both.g1"])
    assert store.get_metadata().last_up_to_date == 1700000000123
    found = store.get_membership(hash_of("u"))
    assert found == {"a.g1": True, "b.g1": False, "both.g1": True}
    assert type(found) is dict
    store.stop()
    assert store.get_membership(hash_of("u")) == found  # it connects again
    store.stop()
    store.stop()


async def test_the_one_for_asyncio_says_the_same(place: Place) -> None:
    store = place.async_store()
    assert isinstance(store, AsyncBigSegmentStore)
    assert (await store.get_metadata()).last_up_to_date is None
    assert await store.get_membership(hash_of("u")) is None
    place.writer.synchronized("1700000000123")
    place.writer.put(hash_of("u"), ["a.g1"], ["b.g1"])
    assert (await store.get_metadata()).last_up_to_date == 1700000000123
    for _ in range(2):
        assert await store.get_membership(hash_of("u")) == {"a.g1": True, "b.g1": False}
        await store.stop()


def test_without_a_prefix_each_database_has_its_own_default(
    redis_url: str, dynamodb_url: str, dynamodb_table: str
) -> None:
    for prefix in (None, ""):
        RedisWriter(redis_url, "launchdarkly").synchronized("7")
        redis = Redis.new_big_segment_store(redis_url, prefix=prefix)  # type: ignore[arg-type]  # as in asyncio
        assert redis.get_metadata().last_up_to_date == 7
        redis.stop()
        DynamoDBWriter(dynamodb_url, dynamodb_table, "").synchronized("8")
        table = DynamoDB.new_big_segment_store(dynamodb_table, prefix, options(dynamodb_url))
        assert table.get_metadata().last_up_to_date == 8
        table.stop()


def test_making_one_connects_to_nobody_and_asking_it_says_who_is_not_there() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    for store in (
        Redis.new_big_segment_store(url.replace("http", "redis")),
        DynamoDB.new_big_segment_store("flags", dynamodb_opts=options(url)),
    ):
        with pytest.raises(StoreError, match="refused"):
            store.get_metadata()
        store.stop()


def test_max_connections_has_no_effect_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    Redis.new_big_segment_store(max_connections=5).stop()
    assert caplog.messages == [
        "max_connections has no effect: write redis_opts={'max_connections': 5}"
    ]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Redis.new_big_segment_store("http://me:s3cret@h"),
        lambda: Redis.async_big_segment_store("http://me:s3cret@h"),
        lambda: Redis.new_big_segment_store(redis_opts={"max_connections": 0}),
        lambda: DynamoDB.new_big_segment_store("t", dynamodb_opts={"s3cret": 1}),
        lambda: DynamoDB.async_big_segment_store("a b"),
    ],
)
def test_what_cannot_work_is_refused_at_once(make: Any) -> None:
    with pytest.raises(ConfigError) as refusal:
        make()
    assert "me:s3cret" not in str(refusal.value)


@pytest.mark.slow
@pytest.mark.parametrize("call", ["new_big_segment_store", "async_big_segment_store"])
def test_without_redis_py_the_error_is_the_official_one(call: str) -> None:
    program = f"""
import sys
sys.modules["redis"] = None
import flagkeep.ldclient
flagkeep.ldclient.install()
from ldclient.integrations import Redis
try:
    Redis.{call}()
except NotImplementedError as exc:
    print(exc)
"""
    needs = "a Big Segment store in Redis needs an extra: pip install 'flagkeep[redis]'\n"
    assert attempt(program).stdout == needs


# --- below a client ----------------------------------------------------------------------------


def test_a_client_asks_the_database(place: Place, upstream: FakeUpstream) -> None:
    place.writer.synchronized(str(now_ms()))
    place.writer.put(hash_of("u"), ["big.g2"], [])
    place.writer.put(hash_of("old"), ["big.g1"], [])
    with LDClient(to(upstream, place.store())) as client:
        ready(client)
        assert answer(client) == ("in", "HEALTHY")
        assert answer(client, "old") == ("out", "HEALTHY")
        assert answer(client, "nobody") == ("out", "HEALTHY")
        status = client.big_segment_store_status_provider.status
        assert status == BigSegmentStoreStatus(True, False)


async def test_a_client_for_asyncio_asks_the_database(place: Place, upstream: FakeUpstream) -> None:
    place.writer.synchronized(str(now_ms()))
    place.writer.put(hash_of("u"), ["big.g2"], [])
    config = AsyncConfig(
        KEY,
        stream_uri=upstream.uri,
        send_events=False,
        big_segments=AsyncBigSegmentsConfig(store=place.async_store()),
    )
    for _ in range(2):  # one after the other
        async with AsyncLDClient(config) as client:
            provider = client.big_segment_store_status_provider
            assert await provider.get_status() == BigSegmentStoreStatus(True, False)
            detail = await client.variation_detail("f", USER, None)
            assert (detail.value, detail.reason["bigSegmentsStatus"]) == ("in", "HEALTHY")


def test_old_data_is_stale(place: Place, upstream: FakeUpstream) -> None:
    place.writer.synchronized(str(now_ms() - 60_000))
    place.writer.put(hash_of("u"), ["big.g2"], [])
    with LDClient(to(upstream, place.store(), stale_after=30)) as client:
        ready(client)
        assert answer(client) == ("in", "STALE")
        status = client.big_segment_store_status_provider.status
        assert status == BigSegmentStoreStatus(True, True)


def test_a_store_serves_several_clients_and_then_itself(
    place: Place, upstream: FakeUpstream
) -> None:
    place.writer.synchronized(str(now_ms()))
    place.writer.put(hash_of("u"), ["big.g2"], [])
    store = place.store()
    config = to(upstream, store)
    with LDClient(config) as one:
        ready(one)
        assert answer(one) == ("in", "HEALTHY")
        with LDClient(config) as other:
            ready(other)
            assert answer(other) == ("in", "HEALTHY")
        store.stop()
        assert answer(one, "v") == ("out", "HEALTHY")
    with LDClient(config) as third:
        ready(third)
        assert answer(third) == ("in", "HEALTHY")
    assert store.get_membership(hash_of("u")) == {"big.g2": True}
    store.stop()


@pytest.mark.slow
def test_a_database_that_fails_is_an_error_of_the_store_and_is_found_again(
    upstream: FakeUpstream, dynamodb_url: str, dynamodb_table: str
) -> None:
    writer = DynamoDBWriter(dynamodb_url, dynamodb_table, "")
    writer.synchronized(str(now_ms()))
    writer.put(hash_of("u"), ["big.g2"], [])
    heard: list[BigSegmentStoreStatus] = []
    with DynamoDBFaults(dynamodb_url) as faults:
        store = DynamoDB.new_big_segment_store(dynamodb_table, None, options(faults.url))
        config = to(upstream, store, context_cache_time=0, status_poll_interval=0.1)
        with LDClient(config) as client:
            ready(client)
            assert answer(client) == ("in", "HEALTHY")
            client.big_segment_store_status_provider.add_listener(heard.append)
            faults.answer(None, 502, b"<html>no")
            until(lambda: heard == [BigSegmentStoreStatus(False, False)])
            assert answer(client) == ("in", "STORE_ERROR")  # what was known decides
            assert answer(client, "v") == ("out", "STORE_ERROR")
            faults.pass_on()
            until(lambda: heard[1:] == [BigSegmentStoreStatus(True, False)])
            until(lambda: answer(client, "v") == ("out", "HEALTHY"))


def test_a_store_of_the_other_colour_is_refused_by_name(
    place: Place, upstream: FakeUpstream
) -> None:
    with pytest.raises(ConfigError, match="needs a BigSegmentStore, not AsyncBigSegments"):
        LDClient(to(upstream, place.async_store()))
    config = AsyncConfig(
        KEY,
        stream_uri=upstream.uri,
        big_segments=AsyncBigSegmentsConfig(store=place.store()),  # type: ignore[arg-type]  # on purpose
    )
    with pytest.raises(ConfigError, match="needs an AsyncBigSegmentStore, not BigSegments"):
        AsyncLDClient(config)


# --- as programs -------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_program_with_redis_runs_as_it_is(redis_url: str, upstream: FakeUpstream) -> None:
    writer = RedisWriter(redis_url, "launchdarkly")
    writer.synchronized(str(now_ms()))
    writer.put(hash_of("u"), ["big.g2"], [])
    program = PROGRAM.replace("FACTORY", "Redis.new_big_segment_store(url=place)")
    assert run(program, redis_url, upstream.uri) == "True\nin HEALTHY\n"


@pytest.mark.slow
def test_a_program_with_dynamodb_runs_as_it_is(
    dynamodb_url: str,
    dynamodb_table: str,
    upstream: FakeUpstream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable, value in aws.variables(dynamodb_url).items():
        monkeypatch.setenv(variable, value)
    writer = DynamoDBWriter(dynamodb_url, dynamodb_table, "shop")
    writer.synchronized(str(now_ms()))
    writer.put(hash_of("u"), ["big.g2"], [])
    factory = "DynamoDB.new_big_segment_store(place, prefix='shop')"
    program = PROGRAM.replace("FACTORY", factory)
    assert run(program, dynamodb_table, upstream.uri) == "True\nin HEALTHY\n"
