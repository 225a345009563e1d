"""AsyncHttp and event loops: each has its own connections, and leaves none behind."""

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from flagkeep._runtime.http_aio import AsyncHttp
from flagkeep.config import HttpSettings
from flagkeep.errors import UpstreamUnavailable
from flagkeep.testing import FakeUpstream
from tests.servers.raw import OK, Holds, RawServer


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        upstream.put({})
        yield upstream


def test_loops_one_after_the_other_share_no_connection(upstream: FakeUpstream) -> None:
    http = AsyncHttp(HttpSettings())

    async def ask_twice() -> None:
        for _ in range(2):
            assert (await http.request("GET", f"{upstream.uri}/sdk/latest-all", {})).status == 200

    async def end() -> None:
        await ask_twice()
        await http.aclose()

    asyncio.run(ask_twice())
    asyncio.run(end())
    gc.collect()  # a socket that was left open would warn
    connections = [request.connection for request in upstream.requests_to("/sdk/latest-all")]
    assert connections[0] == connections[1] != connections[2] == connections[3]


def test_connections_of_a_loop_that_is_closed_are_closed(upstream: FakeUpstream) -> None:
    http = AsyncHttp(HttpSettings())

    async def ask() -> None:
        await http.request("GET", f"{upstream.uri}/sdk/latest-all", {})

    asyncio.run(ask())
    asyncio.run(http.aclose())
    gc.collect()


def test_close_ends_what_is_under_way_in_another_loop() -> None:
    held = Holds(OK)
    http = AsyncHttp(HttpSettings())
    problems: list[str] = []

    async def ask(url: str) -> None:
        with pytest.raises(UpstreamUnavailable) as caught:
            await http.request("GET", url, {})
        problems.append(caught.value.reason)

    with RawServer(held) as server:
        thread = threading.Thread(target=asyncio.run, args=(ask(server.url),))
        thread.start()
        assert held.is_sent.wait(5)
        asyncio.run(http.aclose())
        thread.join(5)
        assert problems == ["the connection was closed by this side"]


async def test_cancelled_request_closes_its_connection() -> None:
    held = Holds(OK)
    with RawServer(held) as server:
        http = AsyncHttp(HttpSettings())
        task = asyncio.create_task(http.request("GET", server.url, {}))
        await asyncio.to_thread(held.is_sent.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(held.is_ended.wait, 1)
        await http.aclose()


async def test_cancelled_stream_closes_its_connection() -> None:
    held = Holds(OK + b"\r\n")
    with RawServer(held) as server:
        stream = AsyncHttp(HttpSettings()).stream(server.url, {}, silence=60)
        await stream.open()
        task = asyncio.create_task(stream.read())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await stream.aclose()
        assert await asyncio.to_thread(held.is_ended.wait, 1)


async def test_timeout_of_the_caller_is_the_callers() -> None:
    with RawServer(Holds(OK)) as server:
        http = AsyncHttp(HttpSettings())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await http.request("GET", server.url, {}, timeout=10)
        await http.aclose()


async def test_other_tasks_get_their_turn_while_a_body_pours_in() -> None:
    size = 30_000_000

    def pour(sock: object) -> None:
        sock.sendall(OK + b"\r\n" + b"x" * size)  # type: ignore[attr-defined]  # a socket

    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    with RawServer(pour) as server:
        http = AsyncHttp(HttpSettings())
        counter = asyncio.create_task(count())
        assert len((await http.request("GET", server.url, {})).body) == size
        counter.cancel()
        await http.aclose()
    assert turns > 20


def test_nothing_of_the_driver_is_imported_before_http_is_made() -> None:
    code = """
import sys
from flagkeep._runtime.http_threads import Http
from flagkeep.config import HttpSettings
assert not {"httpcore2", "ssl", "socket", "asyncio"} & set(sys.modules)
http = Http(HttpSettings())
assert "httpcore2" in sys.modules
assert not {"httpx2", "asyncio"} & set(sys.modules)
assert http._lines._trust._context is None
http.close()
"""
    subprocess.run([sys.executable, "-c", code], check=True)
