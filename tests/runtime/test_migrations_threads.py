"""Migrations with threads: the second thread, what it sees, and what happens without one."""

import sys
import threading
from contextvars import ContextVar
from types import ModuleType
from typing import Any

import pytest

from flagkeep._runtime import threads
from flagkeep.model.context import Context
from flagkeep.model.migration import Origin, Stage
from flagkeep.model.migration_result import MigrationConfig, Result
from tests._sync.test_migrations import StageClient, reader

USER = Context.create("user-key")
TRACE: ContextVar[str] = ContextVar("TRACE", default="none")


def test_parallel_reads_run_on_two_threads_that_see_the_callers_context() -> None:
    seen: dict[Origin, tuple[int, str]] = {}

    def look(origin: Origin) -> Result:
        seen[origin] = (threading.get_ident(), TRACE.get())
        return Result.success(None)

    config = MigrationConfig(lambda _: look(Origin.OLD), lambda _: look(Origin.NEW))
    token = TRACE.set("trace-7")
    try:
        reader(StageClient(Stage.LIVE), config).read("mig", USER, Stage.OFF)
    finally:
        TRACE.reset(token)
    assert {trace for _, trace in seen.values()} == {"trace-7"}
    assert seen[Origin.NEW][0] == threading.get_ident()
    assert seen[Origin.OLD][0] != threading.get_ident()


@pytest.mark.parametrize("stage", [Stage.SHADOW, Stage.LIVE])
def test_an_interrupt_on_either_thread_comes_through_once_both_have_ended(stage: Stage) -> None:
    ended: list[str] = []

    def stop(_: Any) -> Result:
        raise KeyboardInterrupt

    def go_on(_: Any) -> Result:
        ended.append("ended")
        return Result.success(None)

    client = StageClient(stage)
    with pytest.raises(KeyboardInterrupt):
        reader(client, MigrationConfig(stop, go_on)).read("mig", USER, Stage.OFF)
    assert ended == ["ended"]
    assert client.event.invoked == {Origin.OLD, Origin.NEW}


def test_a_side_that_must_be_awaited_is_a_failure_that_says_so() -> None:
    async def awaited(_: Any) -> Result:
        raise AssertionError

    result = reader(StageClient(Stage.OFF), MigrationConfig(awaited, awaited)).read(
        "mig", USER, Stage.OFF
    )
    assert result.error == "it is a coroutine function, which only AsyncClient awaits"


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker of uWSGI that lets no thread run."""
    uwsgi = ModuleType("uwsgi")
    uwsgi.has_threads = 0  # type: ignore[attr-defined]  # a module that C code makes
    monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)


@pytest.mark.usefixtures("no_threads")
def test_where_no_thread_runs_the_sides_are_called_one_after_the_other() -> None:
    seen: list[int] = []

    def look(_: Any) -> Result:
        seen.append(threading.get_ident())
        return Result.success("value")

    client = StageClient(Stage.LIVE)
    config = MigrationConfig(look, look, lambda old, new: bool(old == new))
    assert reader(client, config).read("mig", USER, Stage.OFF).value == "value"
    assert seen == [threading.get_ident()] * 2
    assert client.event.consistent is True


def test_where_no_more_threads_can_be_had_one_goes_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert threads.both(lambda: 1, lambda: 2) == (1, 2)
