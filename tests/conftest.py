"""What every test gets: asyncio for async tests, a patient Hypothesis, real servers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests import outward
from tests.servers.redis import RedisServer, empty, given_url

# A loaded machine is no failure: deadlines would be timed assertions.
settings.register_profile("laptop", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("laptop"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "laptop")


outward.close()


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
