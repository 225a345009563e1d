"""Times beyond what the system's clocks can wait for are as good as for ever."""

import math

import pytest

from flagkeep import Config, Context, EventSettings, HttpSettings, Streaming
from flagkeep._sync.client import Client
from flagkeep.testing import FakeUpstream, TestData

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("seconds", [1e10, 1e300, math.inf])
def test_a_client_may_be_waited_for_without_an_end(seconds: float) -> None:
    with FakeUpstream(TestData()) as upstream:
        source, events = (
            Streaming(base_uri=upstream.uri),
            EventSettings(base_uri=upstream.uri, diagnostics=False),
        )
        client = Client(Config(sdk_key="sdk-key", source=source, events=events))
        assert client.wait_until_ready(seconds)
        client.track("bought", Context.create("ann"))
        assert client.flush(seconds)
        client.track("bought", Context.create("ann"))
        assert (client.close(seconds)).complete


def test_a_connection_may_take_its_time() -> None:
    for_ever = 1_000_000_000
    http = HttpSettings(connect_timeout=for_ever, read_timeout=for_ever)
    with FakeUpstream(TestData()) as upstream:
        source, events = (
            Streaming(base_uri=upstream.uri, initial_reconnect_delay=for_ever),
            EventSettings(base_uri=upstream.uri, diagnostics=False),
        )
        config = Config(sdk_key="sdk-key", source=source, events=events, http=http)
        with Client(config) as client:
            assert client.wait_until_ready(5)
            client.track("bought", Context.create("ann"))
            assert client.flush(5)
