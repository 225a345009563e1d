"""The service in this process, what it connects to, and a client of it."""

from collections.abc import Iterator, Sequence

import pytest

from flagkeep.testing import FakeUpstream
from tests.contract.colours import COLOURS
from tests.contract.data import DATA
from tests.contract.driver import Callbacks, DrivenClient, Driver, Json
from tests.contract.places import ConsulPlace, DynamoDBPlace, Place, RedisPlace
from tests.contract.service import running
from tests.contract.settings import DYNAMODB_TABLE
from tests.servers.consul import remove, remove_records
from tests.servers.dynamodb import create_table, drop_table

CUSTOM_PREFIX = "mine"
NO_FLUSH_BY_ITSELF = 1_000_000  # milliseconds


@pytest.fixture(scope="module", params=sorted(COLOURS))
def service(request: pytest.FixtureRequest) -> Iterator[str]:
    with running(request.param) as url:
        yield url


@pytest.fixture
def driver(service: str) -> Iterator[Driver]:
    with Driver(service) as driver:
        yield driver


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream(DATA) as upstream:
        yield upstream


@pytest.fixture
def callbacks() -> Iterator[Callbacks]:
    with Callbacks() as callbacks:
        yield callbacks


@pytest.fixture
def streaming(upstream: FakeUpstream) -> Json:
    return {"streaming": {"baseUri": upstream.uri, "initialRetryDelayMs": 1}}


@pytest.fixture
def sending(streaming: Json, upstream: FakeUpstream) -> Json:
    events = {"baseUri": upstream.uri, "flushIntervalMs": NO_FLUSH_BY_ITSELF}
    return {**streaming, "events": events}


@pytest.fixture
def client(driver: Driver, streaming: Json) -> Iterator[DrivenClient]:
    with driver.client(**streaming) as client:
        yield client


@pytest.fixture
def redis_place(redis_url: str) -> RedisPlace:
    return RedisPlace(redis_url)


@pytest.fixture
def dynamodb_place(dynamodb_url: str) -> Iterator[DynamoDBPlace]:
    drop_table(dynamodb_url, DYNAMODB_TABLE)
    create_table(dynamodb_url, DYNAMODB_TABLE)
    yield DynamoDBPlace(dynamodb_url)
    drop_table(dynamodb_url, DYNAMODB_TABLE)


@pytest.fixture
def consul_place(consul_url: str) -> Iterator[ConsulPlace]:
    prefixes = (ConsulPlace.default, CUSTOM_PREFIX)
    _clean(consul_url, prefixes)
    yield ConsulPlace(consul_url)
    _clean(consul_url, prefixes)


@pytest.fixture(params=["redis", "dynamodb", "consul"])
def place(
    request: pytest.FixtureRequest,
    dynamodb_here: None,  # noqa: ARG001  it and the next are made before a time limit runs
    consul_here: None,  # noqa: ARG001
) -> Place:
    """One database after the other."""
    found: Place = request.getfixturevalue(f"{request.param}_place")
    return found


def _clean(url: str, prefixes: Sequence[str]) -> None:
    for prefix in prefixes:
        remove(url, f"{prefix}/")
        remove_records(url, prefix)
