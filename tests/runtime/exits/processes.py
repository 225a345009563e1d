"""Ways in which a process ends: `python -m tests.runtime.exits.processes WAY`."""

import asyncio
import importlib
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from flagkeep import AsyncClient
from flagkeep.config import Config, EventSettings
from flagkeep.testing import TestData
from tests.runtime.exits.application import CLIENT, CONTEXT, UPSTREAM, new_client, record


def by_itself() -> None:
    record(CLIENT, "parent")


def by_exit() -> None:
    record(CLIENT, "parent")
    sys.exit(3)


def by_an_error() -> None:
    record(CLIENT, "parent")
    raise RuntimeError("meant to be")


def closed() -> None:
    record(CLIENT, "parent")
    CLIENT.close(10)


def of_a_thread() -> None:
    """The main thread ends first."""
    threading.Timer(0.1, record, (CLIENT, "thread")).start()


def bare_fork() -> None:
    process = os.fork()
    if process == 0:
        record(CLIENT, "child")
        sys.exit(0)
    os.waitpid(process, 0)


def bare_fork_while_sending() -> None:
    """What is under way when the process is forked is under way once."""
    CLIENT.flush_soon()
    until_asked()
    bare_fork()


def until_asked() -> None:
    """Wait for the line that says that the upstream has the request."""
    sys.stdin.readline()


def bare_fork_unused() -> None:
    """A child that does nothing with its client sends nothing of its parent's."""
    process = os.fork()
    if process == 0:
        sys.exit(0)
    os.waitpid(process, 0)


def child() -> None:
    record(CLIENT, "child")


def child_with_its_own() -> None:
    record(new_client(), "child")


def child_that_fails() -> None:
    record(CLIENT, "child")
    raise RuntimeError("meant to be")


def grandchild() -> None:
    record(CLIENT, "child")
    run("fork", child_with_its_own)


def run(method: str, target: Callable[[], None]) -> None:
    context: Any = multiprocessing.get_context(method)
    process = context.Process(target=target)
    process.start()
    process.join()


def fork() -> None:
    run("fork", child)


def fork_with_its_own() -> None:
    run("fork", child_with_its_own)


def fork_that_fails() -> None:
    run("fork", child_that_fails)


def fork_of_a_fork() -> None:
    run("fork", grandchild)


def forkserver() -> None:
    run("forkserver", child)


def spawn() -> None:
    run("spawn", child)


def pool() -> None:
    with multiprocessing.get_context("fork").Pool(2) as workers:
        workers.apply(child)
        workers.close()
        workers.join()


def executor() -> None:
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, mp_context=context) as workers:
        workers.submit(child).result()


def billiard() -> None:
    of_celery: Any = importlib.import_module("billiard")

    process = of_celery.Process(target=child)
    process.start()
    process.join()


def imported_late() -> None:
    """What forks is imported after the client was made, and by the child alone."""
    process = os.fork()
    if process == 0:
        of_celery: Any = importlib.import_module("billiard")
        inner = of_celery.Process(target=child)
        inner.start()
        inner.join()
        sys.exit(0)
    os.waitpid(process, 0)


async def _asyncio(*, closes: bool) -> None:
    settings = EventSettings(base_uri=UPSTREAM, flush_interval=1000, diagnostics=False)
    source = TestData()
    client = AsyncClient(Config(sdk_key="sdk-key", source=source, events=settings))
    assert await client.wait_until_ready(10)
    client.track("coroutine", CONTEXT)
    await client.variation("flag", CONTEXT, None)
    if closes:
        await client.aclose()


def asyncio_closed() -> None:
    asyncio.run(_asyncio(closes=True))


def asyncio_left() -> None:
    asyncio.run(_asyncio(closes=False))


if __name__ == "__main__":
    globals()[sys.argv[1]]()
