"""Ways a process comes to be: `python -m tests.forks.programs.processes WAY`.

The writer is the test: it reads what is said here on standard output, one line of JSON each, and
writes to the store, or to standard input where somebody waits for it.
"""

import asyncio
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from flagkeep import AsyncClient, Client, Config, FileSource
from flagkeep.stores import AsyncSQLiteStore
from tests.forks.programs import application
from tests.forks.programs.application import (
    CLIENT,
    CONFIG,
    CONTEXT,
    HEARD,
    LAST_HEARD,
    STORE,
    report,
)
from tests.forks.programs.talk import PATIENCE, fork, say, until, wait_for

CHILDREN = 10


def see(who: str, value: str) -> None:
    """Say that it begins, wait until this process sees the value and has been told, and say so."""
    say(f"{who} begins", files=database_files())
    until(lambda: LAST_HEARD.get("flag", "one") == value and sees(value))
    say(who, **report())


def sees(value: str) -> bool:
    return CLIENT.all_flags(CONTEXT).to_values() == {"flag": value, "other": value}


def bare() -> None:
    """One child; both see "two"."""

    def child() -> None:
        see("child", "two")
        sys.stdin.readline()  # until it has been looked at

    process = fork(child)
    see("parent", "two")
    wait_for(process)
    see("parent", "three")


def nested() -> None:
    """A child, its child, and that one's; the first and the last of them use what they inherit."""

    def first() -> None:
        process = fork(second)
        see("first", "two")
        wait_for(process)

    def second() -> None:
        wait_for(fork(third))  # this one never looks at a flag itself

    def third() -> None:
        see("third", "two")

    process = fork(first)
    see("parent", "two")
    wait_for(process)


def closing() -> None:
    """The child closes the client; once without ever using it."""

    def child() -> None:
        say("child", **application.close())
        say("child", value=CLIENT.variation("flag", CONTEXT, None))

    def child_that_uses() -> None:
        see("user", "one")
        child()

    wait_for(fork(child))
    wait_for(fork(child_that_uses))
    see("parent", "two")


def closed_before() -> None:
    """A client that was closed before the fork stays closed, and answers."""
    application.close()

    def child() -> None:
        say("child", **report())
        say("child", **application.close())

    wait_for(fork(child))


def busy() -> None:
    """Forks while other threads evaluate without a pause."""
    stop = threading.Event()

    def evaluate() -> None:
        while not stop.is_set():
            CLIENT.variation("flag", CONTEXT, None)
            CLIENT.all_flags(CONTEXT)

    threads = [threading.Thread(target=evaluate) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(CHILDREN):
        wait_for(fork(lambda: say("child", **report())))
    process = fork(lambda: see("child", "two"))
    see("parent", "two")
    wait_for(process)
    stop.set()
    for thread in threads:
        thread.join()


def in_the_middle_of_a_read() -> None:
    """Forks while a thread waits for the store; the test sees to it that it must wait."""
    store = application.open_store(timeout=PATIENCE)
    result: list[int] = []
    say("ready")
    sys.stdin.readline()
    reading = threading.Thread(target=lambda: result.append(len(store.get_all().flags)))
    reading.start()
    reading.join(0.1)
    assert reading.is_alive()

    def child() -> None:
        say("forked")
        say("child", flags=len(store.get_all().flags))
        store.close()
        see("child", "two")

    process = fork(child)
    reading.join()
    say("parent", flags=result[0])
    say("parent", flags=len(store.get_all().flags))
    store.close()
    see("parent", "two")
    wait_for(process)


def multiprocessing_fork() -> None:
    _run(multiprocessing.get_context("fork").Process(target=see, args=("child", "two")))


def multiprocessing_forkserver() -> None:
    _run(multiprocessing.get_context("forkserver").Process(target=see, args=("child", "two")))


def multiprocessing_spawn() -> None:
    _run(multiprocessing.get_context("spawn").Process(target=see, args=("child", "two")))


def _run(process: BaseProcess) -> None:
    process.start()
    see("parent", "two")
    process.join()
    say("end", child=process.pid, code=process.exitcode)


def pool() -> None:
    """A pool of processes, as concurrent.futures makes it."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as executor:
        for future in [executor.submit(see, "child", "two") for _ in range(2)]:
            future.result()
    see("parent", "three")


def fed() -> None:
    """A client with a source of its own, which writes what it gets."""
    file = Path(HEARD).with_name("flags.json")
    store = application.open_store(prefix="fed")
    client = Client(Config(source=FileSource(file)), store=store)
    heard: list[str] = []
    client.on_change("fed", lambda change: heard.append(client.variation(change.key, CONTEXT, "")))
    assert client.wait_until_ready(PATIENCE)

    def use(who: str) -> None:
        say(f"{who} begins", value=client.variation("fed", CONTEXT, None))
        until(lambda: heard[-1:] == ["two"])
        status = client.status.source
        value = client.variation("fed", CONTEXT, None)
        say(who, value=value, heard=heard[-1:], source=status.state if status else None)
        say(who, complete=client.close().complete)

    process = fork(lambda: use("child"))
    use("parent")
    wait_for(process)
    again = application.open_store(prefix="fed")
    say("store", flags=list(again.get_all().flags))
    again.close()


def official() -> None:
    """An application of the official API that knows nothing of forks."""
    from flagkeep import ldclient  # noqa: PLC0415  only here, and it has names of its own

    caching = ldclient.feature_store.CacheConfig(expiration=0.1)
    store = ldclient.integrations.Redis.new_feature_store(url=STORE, caching=caching)
    ldclient.set_config(
        ldclient.Config("sdk-key", feature_store=store, use_ldd=True, send_events=False)
    )
    user = ldclient.Context.create("user-key")
    assert ldclient.get().variation("flag", user, None) == "one"

    def use(who: str) -> None:
        say(f"{who} begins")
        until(lambda: bool(ldclient.get().variation("flag", user, None) == "two"))
        say(who, value=ldclient.get().variation("flag", user, None))

    process = fork(lambda: use("child"))
    use("parent")
    wait_for(process)
    ldclient.get().close()


def asyncio_before() -> None:
    """An async client that is made before the fork, outside of any loop."""
    client = AsyncClient(CONFIG, store=async_store())

    async def use() -> None:
        async with client:
            await see_async(client, "child", "two")

    process = fork(lambda: asyncio.run(use()))
    see("parent", "two")
    wait_for(process)


def asyncio_within() -> None:
    """An async client whose loop forks; the child goes on with a loop of its own."""

    async def parent() -> None:
        async with AsyncClient(CONFIG, store=async_store()) as client:
            await see_async(client, "parent", "one")
            process = fork(lambda: asyncio.run(child(client)))
            await see_async(client, "parent", "two")
            await asyncio.to_thread(wait_for, process)
            await see_async(client, "parent", "two")

    async def child(client: AsyncClient) -> None:
        await see_async(client, "child", "two")
        begun = time.monotonic()
        await client.aclose()
        say("closed", seconds=time.monotonic() - begun)

    asyncio.run(parent())


def async_store() -> Any:
    if STORE.startswith("sqlite:///"):
        return AsyncSQLiteStore(STORE.removeprefix("sqlite:///"))
    from flagkeep.stores import AsyncRedisStore  # noqa: PLC0415  SQLite's tests need no driver

    return AsyncRedisStore(STORE)


async def see_async(client: AsyncClient, who: str, value: str) -> None:
    say(f"{who} begins")
    give_up = time.monotonic() + PATIENCE
    while (seen := await client.variation("flag", CONTEXT, None)) != value:
        if time.monotonic() > give_up:
            break
        await asyncio.sleep(0.01)
    say(who, value=seen)


def database_files() -> int:
    """How many descriptors of the store's file this process holds."""
    from tests.forks.proc import HAS_PROC, open_files  # noqa: PLC0415

    path = STORE.removeprefix("sqlite:///")
    return sum(name.startswith(path) for name in open_files(os.getpid())) if HAS_PROC else 0


WAYS: dict[str, Callable[[], None]] = {
    way.__name__: way
    for way in (
        bare,
        nested,
        closing,
        closed_before,
        busy,
        in_the_middle_of_a_read,
        multiprocessing_fork,
        multiprocessing_forkserver,
        multiprocessing_spawn,
        pool,
        fed,
        official,
        asyncio_before,
        asyncio_within,
    )
}

if __name__ == "__main__":
    WAYS[sys.argv[1]]()
