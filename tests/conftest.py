"""What every test gets: asyncio for async tests, a patient Hypothesis, real servers."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Collection, Generator, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests import outward
from tests.servers import consul, dynamodb, prepare
from tests.servers.redis import RedisServer, empty, given_url

# A loaded machine is no failure: deadlines would be timed assertions.
settings.register_profile("laptop", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("laptop"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "laptop")


outward.close()


MISSING = pytest.StashKey[list[str]]()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a process of pytest-xdist what is yet to be built: all must agree on the order."""
    node.workerinput["missing"] = _missing(node.config)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave what needs a server that is yet to be built for the end: it may be built meanwhile."""
    told: Mapping[str, list[str]] = getattr(config, "workerinput", {})
    missing = set(told["missing"] if "missing" in told else _missing(config))
    items.sort(key=lambda item: bool(prepare.needed_by(_fixtures(item)) & missing))


def _missing(config: pytest.Config) -> list[str]:
    """Return the servers that were yet to be built when this run began to ask."""
    return config.stash.setdefault(MISSING, sorted(prepare.missing()))


class ByTheirServers:
    """Marks tests by the servers they use, before others pick tests by their marks."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Mark what needs boto3."""
        for item in items:
            if "dynamodb" in prepare.used_by(_fixtures(item)):
                item.add_marker(pytest.mark.extras)


def pytest_configure(config: pytest.Config) -> None:
    """Add the hook that must come first; the other one of its name comes last."""
    config.pluginmanager.register(ByTheirServers())


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Fetch and build what a test needs before its time limit begins."""
    prepare.prepare(prepare.needed_by(_fixtures(item)))
    return (yield)


def _fixtures(item: pytest.Item) -> Collection[str]:
    return getattr(item, "fixturenames", ())


def _check_is_prepared(request: pytest.FixtureRequest, name: str) -> None:
    """Fail if a test comes to a server on a way that nobody can see before it runs."""
    if name not in prepare.used_by(_fixtures(request.node)):
        pytest.fail(f"ask for {name}_here, too: it is built before the time limit begins")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop of `async def` tests."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def _interrupts() -> None:
    """Let interrupts arrive: what a shell starts in the background ignores them, children too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis of ours that all tests share: leave it running, and as it was."""
    if given_url():
        pytest.skip("FLAGKEEP_TEST_REDIS_URL is given, and this test needs a Redis of its own")
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty Redis database: FLAGKEEP_TEST_REDIS_URL, or of the shared server."""
    url: str = given_url() or request.getfixturevalue("redis_server").url
    empty(url)
    return url


@pytest.fixture(scope="session")
def dynamodb_server() -> Iterator[dynamodb.DynamoDBServer]:
    """A DynamoDB Local that all tests share: leave it running, and as it was."""
    if dynamodb.given_url():
        pytest.skip("FLAGKEEP_TEST_DYNAMODB_URL is given, and this test needs a server of its own")
    with dynamodb.DynamoDBServer() as server:
        yield server


@pytest.fixture
def dynamodb_url(request: pytest.FixtureRequest) -> str:
    """The URL of a DynamoDB Local: FLAGKEEP_TEST_DYNAMODB_URL, or of the shared server."""
    _check_is_prepared(request, "dynamodb")
    url: str = dynamodb.given_url() or request.getfixturevalue("dynamodb_server").url
    return url


@pytest.fixture
def dynamodb_table(dynamodb_url: str) -> Iterator[str]:
    """The name of an empty table at `dynamodb_url`, with the keys that SDKs want."""
    name = f"flagkeep-{uuid.uuid4().hex}"
    dynamodb.create_table(dynamodb_url, name)
    yield name
    dynamodb.drop_table(dynamodb_url, name)


@pytest.fixture(scope="session")
def consul_server() -> Iterator[consul.ConsulServer]:
    """A Consul that all tests share: leave it running, and as it was."""
    if consul.given_url():
        pytest.skip("FLAGKEEP_TEST_CONSUL_URL is given, and this test needs a Consul of its own")
    with consul.ConsulServer() as server:
        yield server


@pytest.fixture
def consul_url(request: pytest.FixtureRequest) -> str:
    """The URL of a Consul: FLAGKEEP_TEST_CONSUL_URL, or of the shared server."""
    _check_is_prepared(request, "consul")
    url: str = consul.given_url() or request.getfixturevalue("consul_server").url
    return url


@pytest.fixture
def consul_prefix(consul_url: str) -> Iterator[str]:
    """A prefix under which nothing is, at `consul_url`; what is there in the end is deleted."""
    prefix = f"flagkeep-test-{uuid.uuid4().hex}"
    yield prefix
    consul.remove(consul_url, prefix)
    consul.remove_records(consul_url, prefix)


@pytest.fixture
def consul_cluster() -> Iterator[consul.ConsulCluster]:
    """Three Consuls for this test alone."""
    with consul.ConsulCluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def dynamodb_here() -> None:
    """Ask for this to start a `DynamoDBServer` of your own: it is fetched beforehand."""


@pytest.fixture(scope="session")
def consul_here() -> None:
    """Ask for this to start a `ConsulServer` of your own: it is built beforehand."""
