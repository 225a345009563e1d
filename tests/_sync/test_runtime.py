"""What both runtime modules promise under the same names."""

import threading

import pytest

from flagkeep._runtime import threads as runtime


def test_an_event_can_be_set_by_any_thread() -> None:
    event = runtime.Event()
    setter = threading.Timer(0.01, event.set)
    setter.start()
    assert event.wait(30)
    assert event.is_set()
    assert event.wait(0)
    event.clear()
    assert not event.is_set()
    assert not event.wait(0.001)
    setter.join()


def test_a_task_runs_beside_its_starter_and_can_be_waited_for() -> None:
    go, done = runtime.Event(), runtime.Event()

    def body() -> None:
        go.wait(30)
        done.set()

    task = runtime.spawn("test", body)
    assert not task.join(0.001)
    go.set()
    assert task.join(30)
    assert done.is_set()


def test_a_task_that_waits_for_itself_is_told_no() -> None:
    answers: list[bool] = []
    ready = runtime.Event()
    tasks: list[runtime.Task] = []

    def body() -> None:
        ready.wait(30)
        answers.append(tasks[0].join(30))

    tasks.append(runtime.spawn("test", body))
    ready.set()
    assert tasks[0].join(30)
    assert answers == [False]


def test_what_a_task_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def body() -> None:
        raise ValueError("no")

    assert runtime.spawn("test-task", body).join(30)
    assert "test-task ended with an error" in caplog.text
    assert "ValueError: no" in caplog.text


def test_a_worker_returns_what_was_made_and_raises_what_was_raised() -> None:
    worker = runtime.Worker("test-worker")
    assert worker.run(int, "12") == 12
    with pytest.raises(ValueError, match="invalid literal"):
        worker.run(int, "x")
    worker.close()
    worker.close()


def test_a_listener_that_fails_is_logged_and_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[int] = []
    runtime.call_listener(heard.append, 1)
    runtime.call_listener(int, "x")
    assert heard == [1]
    assert "a listener failed" in caplog.text


def test_clocks_go_forward() -> None:
    before, wall = runtime.monotonic(), runtime.wall_time()
    assert runtime.monotonic() >= before
    assert wall > 1_700_000_000
