"""Hooks where there are only threads: coroutines are refused, and additions race with calls."""

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from flagkeep._sync.hook_runner import HookRunner
from flagkeep.hooks import EvaluationSeries, Hook, TrackSeries
from flagkeep.model.context import Context
from flagkeep.model.detail import FALLTHROUGH, Detail

USER = Context.create("user-key")
SERIES = EvaluationSeries("flag-key", USER, "dflt", "variation")
DETAIL: Detail[Any] = Detail("value", 1, FALLTHROUGH)


class Awaited(Hook):
    """Each stage is a coroutine."""

    async def before_evaluation(self, *_: Any) -> Mapping[str, Any]:
        raise AssertionError

    async def after_track(self, series: TrackSeries) -> None:
        raise AssertionError(series)


def test_a_stage_that_must_be_awaited_is_an_error_that_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runner = HookRunner([Awaited()])
    assert runner.around(SERIES, lambda: DETAIL) == DETAIL
    runner.after_track(TrackSeries("clicked", USER))
    assert [record.getMessage() for record in caplog.records] == [
        "before_evaluation of hook 'Awaited' failed",
        "after_track of hook 'Awaited' failed",
    ]
    assert "it is a coroutine function, which only AsyncClient awaits" in caplog.text


def test_hooks_added_by_many_threads_at_once_are_all_there() -> None:
    class Counting(Hook):
        def __init__(self) -> None:
            self.count = 0

        def after_track(self, series: TrackSeries) -> None:  # noqa: ARG002
            self.count += 1

    runner = HookRunner()
    hooks = [Counting() for _ in range(200)]

    def add(some: list[Counting]) -> None:
        for hook in some:
            runner.add(hook)

    threads = [threading.Thread(target=add, args=(hooks[n::8],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runner.after_track(TrackSeries("clicked", USER))
    assert [hook.count for hook in hooks] == [1] * 200
