"""What only the async store can meet: cancellation, and a worker that is busy."""

import asyncio
import threading
from pathlib import Path

import pytest

from flagkeep._runtime import aio
from flagkeep.errors import StoreClosed
from flagkeep.stores import AsyncSQLiteStore
from tests.runtime.sqlite_processes import generation


async def test_a_cancelled_write_is_whole_or_absent_and_the_store_goes_on(tmp_path: Path) -> None:
    store = AsyncSQLiteStore(tmp_path / "flags.db")
    await store.replace(generation(1))
    for number in range(2, 12):
        writing = asyncio.create_task(store.replace(generation(number)))
        for _ in range(number % 4):
            await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        contents = await store.get_all()
        assert len({item.version for item in contents.flags.values()}) == 1
    await store.replace(generation(20))
    contents = await store.get_all()
    assert {item.version for item in contents.flags.values()} == {20}
    await store.aclose()


async def test_calls_from_many_tasks_are_served_one_after_the_other(tmp_path: Path) -> None:
    store = AsyncSQLiteStore(tmp_path / "flags.db")
    await store.replace(generation(1))
    reads = [asyncio.create_task(store.get_all()) for _ in range(20)]
    await store.aclose()
    results = await asyncio.gather(*reads, return_exceptions=True)
    assert all(
        isinstance(result, StoreClosed) or getattr(result, "initialized", False)
        for result in results
    )
    names = [thread.name for thread in threading.enumerate()]
    assert sum(name.startswith("flagkeep-sqlite") for name in names) <= 1


async def test_a_close_that_is_cancelled_still_closes(tmp_path: Path) -> None:
    store = AsyncSQLiteStore(tmp_path / "flags.db")
    await store.replace(generation(1))
    closing = asyncio.create_task(store.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await store.aclose()
    with pytest.raises(StoreClosed):
        await store.get_all()


async def test_a_worker_finishes_what_it_began_and_drops_what_it_had_not() -> None:
    worker = aio.Worker("test-worker")
    begun, go = threading.Event(), threading.Event()
    done: list[str] = []

    def slow() -> None:
        begun.set()
        go.wait(30)
        done.append("slow")

    first = asyncio.create_task(worker.run(slow))
    await asyncio.to_thread(begun.wait, 30)
    second = asyncio.create_task(worker.run(done.append, "second"))
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    go.set()
    await worker.run(done.append, "third")
    assert done == ["slow", "third"]
    worker.close()


async def test_an_awaitable_of_a_listener_is_awaited() -> None:
    heard: list[int] = []

    async def listener(value: int) -> None:
        await asyncio.sleep(0)
        heard.append(value)

    await aio.call_listener(listener, 1)
    assert heard == [1]


async def test_an_event_outlives_the_loop_of_somebody_who_waited() -> None:
    event = aio.Event()

    def wait_elsewhere() -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(event.wait(30))
        loop.run_until_complete(asyncio.sleep(0))
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.close()

    await asyncio.to_thread(wait_elsewhere)
    event.set()
    assert await event.wait(0)
