"""Times beyond what the system's clocks can wait for are as good as for ever."""

import math

import pytest

from flagkeep import Config, Context, EventSettings, HttpSettings, Streaming
from flagkeep._async.client import AsyncClient
from flagkeep.testing import AsyncFakeUpstream, TestData

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("seconds", [1e10, 1e300, math.inf])
async def test_a_client_may_be_waited_for_without_an_end(seconds: float) -> None:
    async with AsyncFakeUpstream(TestData()) as upstream:
        source, events = (
            Streaming(base_uri=upstream.uri),
            EventSettings(base_uri=upstream.uri, diagnostics=False),
        )
        client = AsyncClient(Config(sdk_key="sdk-key", source=source, events=events))
        assert await client.wait_until_ready(seconds)
        client.track("bought", Context.create("ann"))
        assert await client.flush(seconds)
        client.track("bought", Context.create("ann"))
        assert (await client.aclose(seconds)).complete


async def test_a_connection_may_take_its_time() -> None:
    for_ever = 1_000_000_000
    http = HttpSettings(connect_timeout=for_ever, read_timeout=for_ever)
    async with AsyncFakeUpstream(TestData()) as upstream:
        source, events = (
            Streaming(base_uri=upstream.uri, initial_reconnect_delay=for_ever),
            EventSettings(base_uri=upstream.uri, diagnostics=False),
        )
        config = Config(sdk_key="sdk-key", source=source, events=events, http=http)
        async with AsyncClient(config) as client:
            assert await client.wait_until_ready(5)
            client.track("bought", Context.create("ann"))
            assert await client.flush(5)
