"""Hooks and plugins with stages that are awaited, which only `AsyncClient` can."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from flagkeep._async.hook_runner import AsyncHookRunner, register_plugins
from flagkeep.hooks import (
    EnvironmentMetadata,
    EvaluationSeries,
    Hook,
    Plugin,
    SdkMetadata,
    TrackSeries,
)
from flagkeep.model.context import Context
from flagkeep.model.detail import FALLTHROUGH, Detail, ErrorKind, error_reason

USER = Context.create("user-key")
SERIES = EvaluationSeries("flag-key", USER, "dflt", "variation")
DETAIL: Detail[Any] = Detail("value", 1, FALLTHROUGH)
EXCEPTION: Detail[Any] = Detail("dflt", None, error_reason(ErrorKind.EXCEPTION))


class Awaited(Hook):
    """Each stage is a coroutine."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.told = asyncio.Event()

    async def before_evaluation(
        self, series: EvaluationSeries, data: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        await asyncio.sleep(0)
        self.calls.append(("before", series.key))
        return {"span": 7, **data}

    async def after_evaluation(
        self, _: EvaluationSeries, data: Mapping[str, Any], detail: Detail[Any]
    ) -> Mapping[str, Any]:
        await asyncio.sleep(0)
        self.calls.append(("after", dict(data), detail))
        return data

    async def after_track(self, series: TrackSeries) -> None:
        await asyncio.sleep(0)
        self.calls.append(("track", series.key))
        self.told.set()


async def evaluate() -> Detail[Any]:
    return DETAIL


async def test_stages_that_are_coroutines_are_awaited() -> None:
    hook = Awaited()
    assert await AsyncHookRunner([hook]).around(SERIES, evaluate) == DETAIL
    assert hook.calls == [("before", "flag-key"), ("after", {"span": 7}, DETAIL)]


async def test_track_does_not_wait_for_a_stage_that_is_a_coroutine() -> None:
    hook = Awaited()
    AsyncHookRunner([hook]).after_track(TrackSeries("clicked", USER))
    assert hook.calls == []
    await asyncio.wait_for(hook.told.wait(), 10)
    assert hook.calls == [("track", "clicked")]


def test_where_no_loop_runs_a_coroutine_after_track_is_an_error_and_no_leak(
    caplog: pytest.LogCaptureFixture,
) -> None:
    AsyncHookRunner([Awaited()]).after_track(TrackSeries("clicked", USER))
    assert "after_track of hook 'Awaited' failed" in caplog.text
    assert "no event loop runs where it was called" in caplog.text


async def test_what_a_coroutine_after_track_raises_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing(Hook):
        async def after_track(self, series: TrackSeries) -> None:
            raise ValueError(series.key)

    AsyncHookRunner([Failing()]).after_track(TrackSeries("clicked", USER))
    for _ in range(3):
        await asyncio.sleep(0)
    assert "after_track of hook 'Failing' ended with an error" in caplog.text


async def test_the_hooks_of_an_evaluation_that_is_cancelled_see_its_end() -> None:
    hook = Awaited()
    begun = asyncio.Event()

    async def hang() -> Detail[Any]:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.create_task(AsyncHookRunner([hook]).around(SERIES, hang))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert hook.calls == [("before", "flag-key"), ("after", {"span": 7}, EXCEPTION)]


async def test_cancelled_before_the_evaluation_only_hooks_that_had_begun_see_the_end() -> None:
    first, begun = Awaited(), asyncio.Event()

    class Hanging(Awaited):
        async def before_evaluation(self, *_: Any) -> Mapping[str, Any]:
            begun.set()
            await asyncio.Event().wait()
            return {}

    second = Hanging()
    task = asyncio.create_task(AsyncHookRunner([first, second]).around(SERIES, evaluate))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert first.calls == [("before", "flag-key"), ("after", {"span": 7}, EXCEPTION)]
    assert second.calls == []


async def test_a_hook_whose_own_work_is_cancelled_fails_and_cancels_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Cancelled(Hook):
        async def before_evaluation(self, *_: Any) -> Mapping[str, Any]:
            other = asyncio.create_task(asyncio.sleep(100))
            other.cancel()
            await other
            return {}

    assert await AsyncHookRunner([Cancelled()]).around(SERIES, evaluate) == DETAIL
    assert "before_evaluation of hook 'Cancelled' failed" in caplog.text


async def test_a_plugin_may_register_with_a_coroutine(caplog: pytest.LogCaptureFixture) -> None:
    registered: list[Any] = []

    class Late(Plugin):
        async def register(self, client: Any, _: EnvironmentMetadata) -> None:
            await asyncio.sleep(0)
            registered.append(client)

    class Broken(Plugin):
        async def register(self, client: Any, _: EnvironmentMetadata) -> None:
            raise ValueError(client)

    client = object()
    environment = EnvironmentMetadata(SdkMetadata("flagkeep", "1.0"))
    register_plugins([Broken(), Late()], client, environment)
    assert registered == []
    for _ in range(5):
        await asyncio.sleep(0)
    assert registered == [client]
    assert [(one.levelno, one.getMessage()) for one in caplog.records] == [
        (logging.ERROR, "flagkeep-plugin ended with an error")
    ]
