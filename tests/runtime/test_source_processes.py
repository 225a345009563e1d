"""Streaming clients in children of a fork and in a second event loop have a stream of their own."""

import asyncio
import os
import subprocess
import sys
import textwrap

import pytest

from flagkeep import AsyncClient, Config, Context
from flagkeep.config import Streaming
from flagkeep.testing import FakeUpstream

pytestmark = pytest.mark.slow

USER = Context.create("user-key")
PATIENCE = 10.0

# A process with threads is forked: that is what is tested. Python 3.12 and later warn about it.
FORKING = """
import os, sys, time, warnings
from flagkeep import Client, Config, Context
from flagkeep.config import Streaming

warnings.simplefilter("ignore", DeprecationWarning)
USER = Context.create("user-key")

def until_value(client, value):
    give_up = time.monotonic() + 10
    while client.variation("f", USER, None) != value:
        assert time.monotonic() < give_up, f"never {value}"
        time.sleep(0.005)

source = Streaming(base_uri=sys.argv[1], initial_reconnect_delay=0.01)
client = Client(Config(sdk_key="sdk-key", send_events=False, source=source))
assert client.wait_until_ready()
child = os.fork()
until_value(client, "second")
if child == 0:
    assert client.close().complete
    print(client.instance_id, flush=True)
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print(client.instance_id, flush=True)
until_value(client, "third")
assert client.close().complete
"""


def data(value: str, version: int) -> dict[str, object]:
    flag = {"key": "f", "version": version, "on": False, "variations": [value], "offVariation": 0}
    return {"f": flag}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_parent_and_child_of_a_fork_have_a_stream_each_and_leave_the_others_alone() -> None:
    with FakeUpstream({"flags": data("first", 1)}) as upstream:
        command = [sys.executable, "-c", textwrap.dedent(FORKING), upstream.uri]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            upstream.wait_for_streams(2, PATIENCE)
            upstream.put(data("second", 2))
            instances = [process.stdout.readline().strip() for _ in range(2)]
            upstream.put(data("third", 3))
            assert process.wait(PATIENCE) == 0
        seen = [one.headers["x-launchdarkly-instance-id"] for one in upstream.requests]
        assert len(set(instances)) == 2
        assert sorted(seen) == sorted(instances)


def test_a_client_goes_on_in_a_second_event_loop() -> None:
    with FakeUpstream({"flags": data("first", 1)}) as upstream:
        source = Streaming(base_uri=upstream.uri, initial_reconnect_delay=0.01)
        config = Config(sdk_key="sdk-key", send_events=False, source=source)

        async def first() -> AsyncClient:
            client = AsyncClient(config)
            assert await client.wait_until_ready()
            return client

        async def second(client: AsyncClient) -> None:
            give_up = asyncio.get_running_loop().time() + PATIENCE
            while await client.variation("f", USER, None) != "second":
                assert asyncio.get_running_loop().time() < give_up
                await asyncio.sleep(0.005)
            assert (await client.aclose()).complete

        client = asyncio.run(first())
        upstream.wait_for_streams(0, PATIENCE)
        upstream.put(data("second", 2))
        asyncio.run(second(client))
        upstream.wait_until(lambda: upstream.open_connections == 0)
        assert len(upstream.requests) == 2


def test_a_loop_that_ends_takes_the_stream_along() -> None:
    with FakeUpstream({"flags": data("first", 1)}) as upstream:
        config = Config(
            sdk_key="sdk-key", send_events=False, source=Streaming(base_uri=upstream.uri)
        )

        async def main() -> None:
            client = AsyncClient(config)
            assert await client.wait_until_ready()

        asyncio.run(main())
        upstream.wait_until(lambda: upstream.open_connections == 0)
