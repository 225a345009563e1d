"""Ways a process with a connected client comes to be: `… connected_processes WAY`.

Each of them lives until it hears that the flag is "over", and the first one a little longer.
"""

import asyncio
import multiprocessing
import sys
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.process import BaseProcess
from typing import Any

from flagkeep import AsyncClient
from flagkeep.hooks import FlagValueChange
from tests.forks.programs.connected import (
    CLIENT,
    CONTEXT,
    LAST_HEARD,
    new_config,
    report,
    trace,
    work,
)
from tests.forks.programs.talk import PATIENCE, fork, fork_in_peace, say, until, wait_for

CHILDREN = 8


def live(who: str) -> None:
    """Work, say so, and work once more when everything is over."""
    say(f"{who} begins", **report())
    until(lambda: LAST_HEARD[0] == "over")
    work()
    say(who, value=LAST_HEARD[0])


def bare() -> None:
    process = fork_in_peace(lambda: live("child"))
    live("parent")
    wait_for(process)


def nested() -> None:
    def first() -> None:
        process = fork_in_peace(second)
        live("first")
        wait_for(process)

    def second() -> None:
        wait_for(fork_in_peace(lambda: live("third")))  # it never uses its client itself

    process = fork_in_peace(first)
    live("parent")
    wait_for(process)


def closing() -> None:
    """Children that close what they have inherited: one has used it, one has not."""

    def use_and_close() -> None:
        report()
        close()

    def close() -> None:
        closed = CLIENT.close()
        say("child", complete=closed.complete, lost=closed.events_lost)

    for child in (use_and_close, close):
        wait_for(fork_in_peace(child))
    live("parent")


def busy() -> None:
    """Forks while threads evaluate without a pause, and the flag changes all the time."""
    stop = threading.Event()
    begun = threading.Event()

    def evaluate() -> None:
        count = 0
        while not stop.is_set():
            CLIENT.variation("flag", CONTEXT, None)
            count += 1
            begun.set()
        name = f"thread-{threading.get_ident()}"
        CLIENT.track(name, CONTEXT)
        trace("did", name, count)

    threads = [threading.Thread(target=evaluate) for _ in range(2)]
    for thread in threads:
        thread.start()
    begun.wait()
    for number in range(CHILDREN):
        wait_for(fork_in_peace(lambda: say("child", **report())))
        say("parent", number=number)
    stop.set()
    for thread in threads:
        thread.join()
    live("parent")


def multiprocessing_fork() -> None:
    _run(multiprocessing.get_context("fork").Process(target=live, args=("child",)))


def multiprocessing_forkserver() -> None:
    _run(multiprocessing.get_context("forkserver").Process(target=live, args=("child",)))


def multiprocessing_spawn() -> None:
    _run(multiprocessing.get_context("spawn").Process(target=live, args=("child",)))


def _run(process: BaseProcess) -> None:
    process.start()
    live("parent")
    process.join()
    say("end", child=process.pid, code=process.exitcode)


def pool() -> None:
    """A pool of processes, as concurrent.futures makes it."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as executor:
        for future in [executor.submit(live, "child") for _ in range(2)]:
            future.result()
    say("end", code=0)
    say("end", code=0)


def later() -> None:
    """A fork when the test says so."""
    say("waits")
    sys.stdin.readline()
    bare()


def polling() -> None:
    """A fork after a change that the parent will not see for half a minute."""
    say("waits")
    sys.stdin.readline()

    def child() -> None:
        say("child begins", **report())
        until(lambda: LAST_HEARD[0] == "two")
        say("child", **report())

    process = fork_in_peace(child)
    wait_for(process)
    say("parent", **report())


def asyncio_before() -> None:
    """An async client that is made before the fork, outside of any loop; the sync one is closed."""
    CLIENT.close()
    client = AsyncClient(new_config())
    process = fork_in_peace(lambda: asyncio.run(live_in_loop(client, "child")))
    asyncio.run(live_in_loop(client, "parent"))
    wait_for(process)


def asyncio_within() -> None:
    """An async client whose loop forks; the child goes on with a loop of its own."""
    CLIENT.close()
    client = AsyncClient(new_config())

    async def parent() -> None:
        async with client:
            assert await client.wait_until_ready(PATIENCE)
            await work_in_loop(client)
            process = fork(leave_loop)  # the way to a peaceful end leads through the parent's loop
            await live_in_loop(client, "parent")
            await asyncio.to_thread(wait_for, process)

    def leave_loop() -> None:
        asyncio.events._set_running_loop(None)
        asyncio.run(live_in_loop(client, "child"))

    asyncio.run(parent())


async def live_in_loop(client: AsyncClient, who: str) -> None:
    """Do what `live` does with another client, and close it."""

    def hear(change: FlagValueChange) -> None:
        trace("heard", change.new_value, time.monotonic())

    client.on_value_change("flag", CONTEXT, hear)
    is_ready = await client.wait_until_ready(PATIENCE)
    value = await work_in_loop(client)
    say(f"{who} begins", ready=is_ready, value=value, instance=client.instance_id)
    give_up = time.monotonic() + PATIENCE
    while value != "over" and time.monotonic() < give_up:
        await asyncio.sleep(0.01)
        value = (await client.all_flags(CONTEXT)).to_values()["flag"]
    await work_in_loop(client)
    closed = await client.aclose(PATIENCE)
    assert closed.complete, closed
    say(who, value=value)


async def work_in_loop(client: AsyncClient) -> Any:
    """Do what `work` does."""
    value = await client.variation("flag", CONTEXT, None)
    name = uuid.uuid4().hex
    client.track(name, CONTEXT)
    trace("did", name, 1)
    trace("is", client.instance_id, "-")
    return value


WAYS: dict[str, Callable[[], None]] = {
    way.__name__: way
    for way in (
        bare,
        nested,
        closing,
        busy,
        multiprocessing_fork,
        multiprocessing_forkserver,
        multiprocessing_spawn,
        pool,
        later,
        polling,
        asyncio_before,
        asyncio_within,
    )
}

if __name__ == "__main__":
    WAYS[sys.argv[1]]()
