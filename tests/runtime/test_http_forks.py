"""HTTP in the child of a fork: it makes connections of its own and leaves the parent's alone."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

from flagkeep.testing import FakeUpstream

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
]

PRELUDE = """
import asyncio, ctypes, gc, os, sys, traceback
from flagkeep._runtime import fork
from flagkeep._runtime.http_aio import AsyncHttp
from flagkeep._runtime.http_threads import Http
from flagkeep.config import HttpSettings

url, way = sys.argv[1:]
POLL, STREAM = url + "/sdk/latest-all", url + "/all"

def fork_now():
    # The second way is that of C code: nobody calls Python's hooks.
    return os.fork() if way == "python" else ctypes.PyDLL(None).fork()

def wait(child):
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

def end(work):
    try:
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
"""


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        upstream.put({})
        yield upstream


def run(upstream: FakeUpstream, way: str, program: str) -> None:
    """Run a program that says when it has forked; the stream gets a patch then."""
    with subprocess.Popen(
        [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            PRELUDE + textwrap.dedent(program),
            upstream.uri,
            way,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        said = running.stdout.readline()
        upstream.patch("flags", {"key": "later", "version": 1})
        rest, problem = running.communicate(timeout=30)
    assert (said, rest, running.returncode) == ("forked\n", "", 0), problem
    by_parent, by_child, by_parent_again = upstream.requests_to("/sdk/latest-all")
    assert by_parent.connection == by_parent_again.connection
    assert by_child.connection != by_parent.connection
    assert len(upstream.requests_to("/all")) == 1


@pytest.mark.parametrize("way", ["python", "c"])
def test_child_leaves_the_connections_of_its_parent_alone(upstream: FakeUpstream, way: str) -> None:
    run(
        upstream,
        way,
        """
        http = Http(HttpSettings())
        stream = http.stream(STREAM, {}, silence=10)
        stream.open()
        assert b"put" in stream.read()
        assert http.request("GET", POLL, {}).status == 200

        def work():
            global http, stream
            gc.collect()
            fork.settle()
            assert http.request("GET", POLL, {}, timeout=5).status == 200
            stream.stop()
            stream.close()
            http.close()
            del http, stream
            gc.collect()

        child = fork_now()
        if child == 0:
            end(work)
        wait(child)
        print("forked", flush=True)
        assert b"later" in stream.read()
        assert http.request("GET", POLL, {}).status == 200
        stream.close()
        http.close()
        """,
    )


@pytest.mark.parametrize("way", ["python", "c"])
def test_child_of_asyncio_leaves_the_connections_of_its_parent_alone(
    upstream: FakeUpstream, way: str
) -> None:
    run(
        upstream,
        way,
        """
        async def in_child(http, stream):
            assert (await http.request("GET", POLL, {}, timeout=5)).status == 200
            stream.stop()
            await stream.aclose()
            await http.aclose()

        async def main():
            http = AsyncHttp(HttpSettings())
            stream = http.stream(STREAM, {}, silence=10)
            await stream.open()
            assert b"put" in await stream.read()
            assert (await http.request("GET", POLL, {})).status == 200

            def work():
                gc.collect()
                fork.settle()
                asyncio.run(in_child(http, stream))

            child = fork_now()
            if child == 0:
                if way == "c":
                    asyncio._set_running_loop(None)  # a loop of C code would not be there
                end(work)
            wait(child)
            print("forked", flush=True)
            assert b"later" in await stream.read()
            assert (await http.request("GET", POLL, {})).status == 200
            await stream.aclose()
            await http.aclose()

        asyncio.run(main())
        """,
    )


def test_forgotten_connections_of_the_parent_stay_open_in_the_child(upstream: FakeUpstream) -> None:
    """Nothing is closed either when the child forgets what it inherited before it has looked."""
    run(
        upstream,
        "c",
        """
        http = Http(HttpSettings())
        stream = http.stream(STREAM, {}, silence=10)
        stream.open()
        assert b"put" in stream.read()
        assert http.request("GET", POLL, {}).status == 200

        def work():
            global http, stream
            del http, stream
            gc.collect()
            assert Http(HttpSettings()).request("GET", POLL, {}, timeout=5).status == 200

        child = fork_now()
        if child == 0:
            end(work)
        wait(child)
        print("forked", flush=True)
        assert b"later" in stream.read()
        assert http.request("GET", POLL, {}).status == 200
        stream.close()
        http.close()
        """,
    )


IMPORTS = """
import sys
from flagkeep._runtime.http_threads import Http
from flagkeep.config import HttpSettings

http = Http(HttpSettings())
imported = []
sys.addaudithook(lambda event, arguments: event == "import" and imported.append(arguments[0]))
assert http.request("GET", sys.argv[1], {}).status == 200
assert not imported, imported
"""


def test_the_first_request_imports_nothing_that_a_fork_could_cut_in_two() -> None:
    with FakeUpstream() as upstream:
        upstream.put({})
        address = f"http://localhost:{upstream.port}/sdk/latest-all"
        done = subprocess.run(
            [sys.executable, "-c", IMPORTS, address],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 0, done.stderr
