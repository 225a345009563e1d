"""The service in this process, what it connects to, and a client of it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flagkeep.testing import FakeUpstream
from tests.contract.colours import COLOURS
from tests.contract.data import DATA
from tests.contract.driver import Callbacks, DrivenClient, Driver, Json
from tests.contract.service import running
from tests.servers.redis import connect

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
def redis(redis_url: str) -> Iterator[Callable[..., Any]]:
    """Send a command to the empty Redis of `redis_url`."""
    with connect(redis_url) as connection:
        yield connection.command
