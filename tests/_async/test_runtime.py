"""What both runtime modules promise under the same names."""

import threading

import pytest

from flagkeep._runtime import aio as runtime


async def test_an_event_can_be_set_by_any_thread() -> None:
    event = runtime.Event()
    setter = threading.Timer(0.01, event.set)
    setter.start()
    assert await event.wait(30)
    assert event.is_set()
    assert await event.wait(0)
    event.clear()
    assert not event.is_set()
    assert not await event.wait(0.001)
    setter.join()


async def test_a_task_runs_beside_its_starter_and_can_be_waited_for() -> None:
    go, done = runtime.Event(), runtime.Event()

    async def body() -> None:
        await go.wait(30)
        done.set()

    task = runtime.spawn("test", body)
    assert not await task.join(0.001)
    go.set()
    assert await task.join(30)
    assert done.is_set()


async def test_a_task_that_waits_for_itself_is_told_no() -> None:
    answers: list[bool] = []
    ready = runtime.Event()
    tasks: list[runtime.Task] = []

    async def body() -> None:
        await ready.wait(30)
        answers.append(await tasks[0].join(30))

    tasks.append(runtime.spawn("test", body))
    ready.set()
    assert await tasks[0].join(30)
    assert answers == [False]


async def test_what_a_task_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        raise ValueError("no")

    assert await runtime.spawn("test-task", body).join(30)
    assert "test-task ended with an error" in caplog.text
    assert "ValueError: no" in caplog.text


async def test_a_worker_returns_what_was_made_and_raises_what_was_raised() -> None:
    worker = runtime.Worker("test-worker")
    assert await worker.run(int, "12") == 12
    with pytest.raises(ValueError, match="invalid literal"):
        await worker.run(int, "x")
    worker.close()
    worker.close()


async def test_a_listener_that_fails_is_logged_and_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[int] = []
    await runtime.call_listener(heard.append, 1)
    await runtime.call_listener(int, "x")
    assert heard == [1]
    assert "a listener failed" in caplog.text


async def test_clocks_go_forward() -> None:
    before, wall = runtime.monotonic(), runtime.wall_time()
    assert runtime.monotonic() >= before
    assert wall > 1_700_000_000
