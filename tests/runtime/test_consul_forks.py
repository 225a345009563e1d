"""A store in Consul in the child of a fork: it makes connections of its own."""

import os
import subprocess
import sys
import textwrap
from typing import Final

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
]

PRELUDE: Final = """
import asyncio, ctypes, gc, os, sys, traceback
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.stores import AsyncConsulStore, ConsulStore

url, prefix, way = sys.argv[1:]
A, B = ItemRef(Kind.FLAG, "a"), ItemRef(Kind.FLAG, "b")

def changes(ref, version):
    item = SerializedItem(version, deleted=False, data=b'{"version":%d}' % version)
    return ChangeSet.partial({ref: item})

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


def run(url: str, prefix: str, way: str, program: str) -> None:
    running = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            PRELUDE + textwrap.dedent(program),
            url,
            prefix,
            way,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (running.stdout, running.returncode) == ("", 0), running.stderr


@pytest.mark.parametrize("way", ["python", "c"])
def test_child_and_parent_go_on_with_connections_of_their_own(
    consul_url: str, consul_prefix: str, way: str
) -> None:
    run(
        consul_url,
        consul_prefix,
        way,
        """
        store = ConsulStore(url, prefix=prefix)
        store.upsert(changes(A, 1))

        def work():
            gc.collect()
            for version in range(2, 30):
                assert store.upsert(changes(B, version)) == {}
                assert store.get_many([B], timeout=5)[B].version == version
            store.close()

        child = fork_now()
        if child == 0:
            end(work)
        for version in range(2, 30):
            assert store.upsert(changes(A, version)) == {}
            assert store.get_all().flags["a"].version == version
        wait(child)
        assert store.get_all().flags["b"].version == 29
        assert store.get_many([A])[A].version == 29
        store.close()
        """,
    )


@pytest.mark.parametrize("way", ["python", "c"])
def test_a_child_of_asyncio_goes_on_with_connections_of_its_own(
    consul_url: str, consul_prefix: str, way: str
) -> None:
    run(
        consul_url,
        consul_prefix,
        way,
        """
        async def in_child(store):
            assert await store.upsert(changes(B, 5)) == {}
            assert (await store.get_many([B], timeout=5))[B].version == 5
            await store.aclose()

        async def main():
            store = AsyncConsulStore(url, prefix=prefix)
            await store.upsert(changes(A, 1))

            def work():
                gc.collect()
                asyncio.run(in_child(store))

            child = fork_now()
            if child == 0:
                if way == "c":
                    asyncio._set_running_loop(None)  # a loop of C code would not be there
                end(work)
            wait(child)
            assert (await store.get_all()).flags["b"].version == 5
            assert await store.upsert(changes(A, 6)) == {}
            await store.aclose()

        asyncio.run(main())
        """,
    )


def test_a_child_does_not_wait_for_what_other_threads_of_its_parent_are_doing(
    consul_url: str, consul_prefix: str
) -> None:
    run(
        consul_url,
        consul_prefix,
        "python",
        """
        import threading
        store = ConsulStore(url, prefix=prefix)
        store.upsert(changes(A, 1))
        is_over = threading.Event()
        failed = []

        def ask():
            try:
                while not is_over.is_set():
                    assert store.get_many([A], timeout=30)[A].version >= 1
            except BaseException as exc:
                failed.append(exc)

        threads = [threading.Thread(target=ask) for _ in range(24)]  # more than there are turns
        for thread in threads:
            thread.start()

        def work():
            for version in range(number, number + 5):
                store.upsert(changes(B, version))
                assert store.get_many([A, B], timeout=30)[B].version >= version
            store.close()

        for number in range(1, 9):
            child = fork_now()
            if child == 0:
                end(work)
            wait(child)
        is_over.set()
        for thread in threads:
            thread.join()
        assert not failed, failed
        assert store.get_all().flags["b"].version == 12
        store.close()
        """,
    )
