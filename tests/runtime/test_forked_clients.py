"""Clients in the child of a bare fork: they go on by themselves, and leave the parent alone."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
]

# Forking a process with threads is what is tested here; Python 3.12 and later warn about it.
PRELUDE = """
import os, sys, threading, time, traceback, warnings
from flagkeep import AsyncClient, CachePolicy, Client, Config, Context, FileSource, StorePolicy
from flagkeep._runtime import fork
from flagkeep.stores import AsyncSQLiteStore, SQLiteStore

path, data = sys.argv[1:]
USER = Context.create("user-key")

def write(value, version, key="f"):
    text = (
        '{"flags":{"%s":{"key":"%s","version":%d,"on":true,"variations":["%s"],'
        '"fallthrough":{"variation":0}}}}' % (key, key, version, value)
    )
    with open(data + ".new", "w") as file:
        file.write(text)
    os.replace(data + ".new", data)

def until(condition, what):
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up, what
        time.sleep(0.005)

def until_value(client, value):
    until(lambda: client.variation("f", USER, None) == value, f"never {value}")

def in_child(work):
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return child

def wait(child):
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

def fill(value, version):
    write(value, version)
    writer = Client(Config(source=FileSource(data, reload=False)), store=SQLiteStore(path))
    assert writer.wait_until_ready(10)
    assert writer.close(10).complete
"""


def run(tmp_path: Path, program: str) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-W",
            "ignore:This process:DeprecationWarning",
            "-c",
            PRELUDE + textwrap.dedent(program),
            str(tmp_path / "flags.db"),
            str(tmp_path / "flags.json"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_reader_goes_on_in_the_child_and_in_the_parent(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        fill("a", 1)
        client = Client(Config(daemon=True), store=SQLiteStore(path))
        until_value(client, "a")
        assert fork.MARK[0]

        def work():
            assert fork.MARK[0], "the hook has run"
            assert client.variation("f", USER, None) in {"a", "b"}
            until_value(client, "b")
            assert client.status.store.available
            assert client.close(5).complete

        child = in_child(work)
        fill("b", 2)
        wait(child)
        until_value(client, "b")
        fill("c", 3)
        until_value(client, "c")
        assert client.close(5).complete
        """,
    )


def test_a_file_source_goes_on_in_the_child(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        write("a", 1)
        client = Client(Config(source=FileSource(data)))
        assert client.wait_until_ready(10)

        def work():
            until_value(client, "b")
            assert client.close(5).complete

        child = in_child(work)
        write("b", 2)
        wait(child)
        until_value(client, "b")
        assert client.close(5).complete
        """,
    )


def test_listeners_of_the_parent_work_in_the_child_too(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        fill("a", 1)
        client = Client(Config(daemon=True), store=SQLiteStore(path))
        until_value(client, "a")
        seen = []
        client.on_value_change("f", USER, seen.append)

        def work():
            until(lambda: seen, "nobody was told")
            assert (seen[0].old_value, seen[0].new_value) == ("a", "b"), seen
            client.close(5)

        child = in_child(work)
        fill("b", 2)
        wait(child)
        until(lambda: seen, "the parent was not told")
        client.close(5)
        """,
    )


def test_the_child_of_a_child_goes_on(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        fill("a", 1)
        client = Client(Config(daemon=True), store=SQLiteStore(path))
        until_value(client, "a")

        def inner():
            until_value(client, "b")

        def outer():
            assert client.variation("f", USER, None) in {"a", "b"}
            wait(in_child(inner))
            until_value(client, "b")

        child = in_child(outer)
        fill("b", 2)
        wait(child)
        client.close(5)
        """,
    )


@pytest.mark.parametrize(
    "cache", ["CachePolicy.off()", "CachePolicy(0.2)", "CachePolicy.forever()"]
)
@pytest.mark.parametrize("prefetch", [True, False])
def test_forks_while_others_evaluate(tmp_path: Path, cache: str, prefetch: bool) -> None:  # noqa: FBT001
    run(
        tmp_path,
        f"""
        fill("a", 1)
        policy = StorePolicy(prefetch={prefetch})
        config = Config(daemon=True, cache={cache}, store_policy=policy)
        client = Client(config, store=SQLiteStore(path))
        until_value(client, "a")
        is_over = threading.Event()

        def evaluate():
            while not is_over.is_set():
                client.variation_detail("f", USER, None)
                client.variation("none", USER, None)
                client.status

        threads = [threading.Thread(target=evaluate, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()

        def work():
            assert client.variation("f", USER, None) == "a"
            client.all_flags(USER)
            client.status
            client.close(5)

        for _ in range(20):
            wait(in_child(work))
        is_over.set()
        for thread in threads:
            thread.join()
        fill("b", 2)
        until_value(client, "b")
        client.close(5)
        """,
    )


def test_an_async_client_begins_anew_in_the_loop_of_the_child(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        import asyncio

        fill("a", 1)

        async def value_of(client, wanted):
            give_up = time.monotonic() + 10
            while await client.variation("f", USER, None) != wanted:
                assert time.monotonic() < give_up, wanted
                await asyncio.sleep(0.005)

        async def parent():
            client = AsyncClient(Config(daemon=True), store=AsyncSQLiteStore(path))
            await value_of(client, "a")
            return client

        loop = asyncio.new_event_loop()
        client = loop.run_until_complete(parent())

        def work():
            async def child():
                assert await client.variation("f", USER, None) in {"a", "b"}
                await value_of(client, "b")
                await client.aclose()

            asyncio.run(child())

        child = in_child(work)
        fill("b", 2)
        wait(child)
        loop.run_until_complete(value_of(client, "b"))
        loop.run_until_complete(client.aclose())
        loop.close()
        """,
    )


def test_where_nobody_calls_the_hooks_the_first_use_finds_out(tmp_path: Path) -> None:
    # uWSGI forks like this: in C, without a word to Python. That is safe only while no other thread
    # is about to take the interpreter's lock, so nothing polls here.
    run(
        tmp_path,
        """
        import ctypes

        fill("a", 1)
        config = Config(
            daemon=True, cache=CachePolicy(1), store_policy=StorePolicy(push=False)
        )
        client = Client(config, store=SQLiteStore(path))
        assert client.wait_until_ready(10)
        child = ctypes.PyDLL(None).fork()
        if child == 0:
            try:
                if sys.platform == "linux":
                    assert not fork.MARK[0]
                assert client.variation("f", USER, None) == "a"
                assert fork.MARK[0]
                until_value(client, "b")
                assert client.close(5).complete
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        fill("b", 2)
        wait(child)
        until_value(client, "b")
        client.close(5)
        """,
    )


def test_where_threads_do_not_run_requests_refresh_the_flags(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        import logging, types

        lines = []
        class Lines(logging.Handler):
            def emit(self, record):
                lines.append(record.getMessage())
        logging.getLogger("flagkeep").addHandler(Lines())
        fill("a", 1)
        sys.modules["uwsgi"] = types.SimpleNamespace(has_threads=0)
        client = Client(Config(daemon=True), store=SQLiteStore(path))
        assert threading.active_count() == 1
        assert client.wait_until_ready(5)
        assert client.variation("f", USER, None) == "a"
        fill_in_other_process = in_child(lambda: (sys.modules.pop("uwsgi"), fill("b", 2)))
        wait(fill_in_other_process)
        until_value(client, "b")
        assert client.all_flags(USER).to_values() == {"f": "b"}
        assert threading.active_count() == 1
        assert len(lines) == 1 and "enable-threads" in lines[0], lines
        assert client.close(5).complete
        """,
    )
