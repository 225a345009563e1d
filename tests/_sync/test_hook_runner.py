"""Hooks and plugins: their order, what they are told, and that nothing they do costs anybody."""

import logging
from collections.abc import Mapping
from typing import Any

import pytest

from flagkeep._sync.hook_runner import HookRunner, hooks_of_plugins, register_plugins
from flagkeep.errors import ConfigError
from flagkeep.hooks import (
    ApplicationMetadata,
    EnvironmentMetadata,
    EvaluationSeries,
    Hook,
    HookMetadata,
    Plugin,
    PluginMetadata,
    SdkMetadata,
    TrackSeries,
)
from flagkeep.model.context import Context
from flagkeep.model.detail import FALLTHROUGH, Detail, ErrorKind, error_reason

USER = Context.create("user-key")
SERIES = EvaluationSeries("flag-key", USER, "dflt", "variation", "env-1")
TRACK = TrackSeries("clicked", USER, {"a": 1}, 2.5, "env-1")
DETAIL: Detail[Any] = Detail("value", 1, FALLTHROUGH)
EXCEPTION: Detail[Any] = Detail("dflt", None, error_reason(ErrorKind.EXCEPTION))
ENVIRONMENT = EnvironmentMetadata(SdkMetadata("flagkeep", "1.0"), "sdk-secret-key")

Calls = list[tuple[Any, ...]]


def evaluate() -> Detail[Any]:
    return DETAIL


class Recorder(Hook):
    """Takes down what it is told."""

    def __init__(self, name: str, calls: Calls) -> None:
        self.name = name
        self.calls = calls

    @property
    def metadata(self) -> HookMetadata:
        return HookMetadata(self.name)

    def before_evaluation(
        self, series: EvaluationSeries, data: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        self.calls.append((self.name, "before", series, dict(data)))
        return {"from": self.name}

    def after_evaluation(
        self, series: EvaluationSeries, data: Mapping[str, Any], detail: Detail[Any]
    ) -> Mapping[str, Any]:
        self.calls.append((self.name, "after", series, dict(data), detail))
        return data

    def after_track(self, series: TrackSeries) -> None:
        self.calls.append((self.name, "track", series))


class Failing(Recorder):
    """Raises in every stage."""

    def __init__(self, name: str, calls: Calls, error: BaseException) -> None:
        super().__init__(name, calls)
        self.error = error

    def before_evaluation(
        self, series: EvaluationSeries, data: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        super().before_evaluation(series, data)
        raise self.error

    def after_evaluation(
        self, series: EvaluationSeries, data: Mapping[str, Any], detail: Detail[Any]
    ) -> Mapping[str, Any]:
        super().after_evaluation(series, data, detail)
        raise self.error

    def after_track(self, series: TrackSeries) -> None:
        super().after_track(series)
        raise self.error


def stages(calls: Calls) -> list[tuple[str, str]]:
    return [(call[0], call[1]) for call in calls]


# --- evaluations --------------------------------------------------------------------------------


def test_stages_run_in_order_before_and_in_reverse_order_after() -> None:
    calls: Calls = []
    runner = HookRunner([Recorder(name, calls) for name in "abc"])
    assert runner.around(SERIES, evaluate) == DETAIL
    assert stages(calls) == [
        ("a", "before"),
        ("b", "before"),
        ("c", "before"),
        ("c", "after"),
        ("b", "after"),
        ("a", "after"),
    ]


def test_a_hook_gets_its_own_data_back_and_begins_with_none() -> None:
    calls: Calls = []
    HookRunner([Recorder(name, calls) for name in "ab"]).around(SERIES, evaluate)
    assert [call[3] for call in calls] == [{}, {}, {"from": "b"}, {"from": "a"}]


def test_a_hook_is_told_what_is_evaluated_and_what_came_of_it() -> None:
    calls: Calls = []
    HookRunner([Recorder("a", calls)]).around(SERIES, evaluate)
    assert calls == [
        ("a", "before", SERIES, {}),
        ("a", "after", SERIES, {"from": "a"}, DETAIL),
    ]


def test_a_hook_that_fails_costs_neither_the_evaluation_nor_other_hooks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: Calls = []
    hooks = [Recorder("a", calls), Failing("bad", calls, ValueError("no")), Recorder("c", calls)]
    assert HookRunner(hooks).around(SERIES, evaluate) == DETAIL
    assert stages(calls)[3:] == [("c", "after"), ("bad", "after"), ("a", "after")]
    assert calls[4][3] == {}  # no data of a stage that failed
    assert [record.getMessage() for record in caplog.records] == [
        "before_evaluation of hook 'bad' failed",
        "after_evaluation of hook 'bad' failed",
    ]
    assert all(record.name == "flagkeep.client" for record in caplog.records)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()])
def test_fix_an_interrupt_is_not_swallowed(error: BaseException) -> None:
    """FIX (python-api.md 7): the official SDK swallows even KeyboardInterrupt."""
    calls: Calls = []
    runner = HookRunner([Recorder("a", calls), Failing("bad", calls, error)])
    with pytest.raises(type(error)):
        runner.around(SERIES, evaluate)
    assert stages(calls) == [("a", "before"), ("bad", "before"), ("a", "after")]
    assert calls[-1][4] == EXCEPTION


def test_fix_an_interrupt_after_the_evaluation_is_not_swallowed_either() -> None:
    """FIX (python-api.md 7): the official SDK swallows even KeyboardInterrupt."""

    class Interrupted(Hook):
        def after_evaluation(self, *_: Any) -> Mapping[str, Any]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        HookRunner([Interrupted()]).around(SERIES, evaluate)


def test_an_evaluation_that_raises_still_raises_after_the_hooks_have_seen_it() -> None:
    calls: Calls = []

    def fail() -> Detail[Any]:
        raise LookupError("no")

    with pytest.raises(LookupError):
        HookRunner([Recorder("a", calls)]).around(SERIES, fail)
    assert calls[-1] == ("a", "after", SERIES, {"from": "a"}, EXCEPTION)


@pytest.mark.parametrize("returned", [None, 7, "text", [("a", 1)]])
def test_what_is_no_data_counts_as_none(
    returned: Any, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Any] = []

    class Odd(Hook):
        def before_evaluation(self, *_: Any) -> Any:
            return returned

        def after_evaluation(self, _: EvaluationSeries, data: Any, __: Any) -> Any:
            seen.append(data)

    HookRunner([Odd()]).around(SERIES, evaluate)
    assert seen == [{}]
    expected = [] if returned is None else [type(returned).__name__]
    assert [record.getMessage().split()[-1] for record in caplog.records] == expected


def test_a_hook_of_which_nothing_is_overridden_does_nothing() -> None:
    runner = HookRunner([Hook()])
    assert runner.around(SERIES, evaluate) == DETAIL
    runner.after_track(TRACK)
    assert Hook().metadata == HookMetadata("Hook")


def test_a_hook_that_cannot_tell_its_name_is_called_by_its_class(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Nameless(Failing):
        @property
        def metadata(self) -> HookMetadata:
            raise ValueError("no name")

    calls: Calls = []
    HookRunner([Nameless("x", calls, ValueError("no"))]).around(SERIES, evaluate)
    assert caplog.records[0].getMessage() == "before_evaluation of hook 'Nameless' failed"


# --- more hooks ---------------------------------------------------------------------------------


def test_a_hook_that_is_added_runs_last_before_and_first_after() -> None:
    calls: Calls = []
    runner = HookRunner([Recorder("a", calls)])
    runner.add(Recorder("b", calls))
    runner.around(SERIES, evaluate)
    assert stages(calls) == [("a", "before"), ("b", "before"), ("b", "after"), ("a", "after")]


def test_a_hook_that_is_added_meanwhile_does_not_see_half_an_evaluation() -> None:
    calls: Calls = []
    runner = HookRunner([Recorder("a", calls)])

    def evaluate_and_add() -> Detail[Any]:
        runner.add(Recorder("b", calls))
        return DETAIL

    runner.around(SERIES, evaluate_and_add)
    assert stages(calls) == [("a", "before"), ("a", "after")]


def test_whether_there_are_hooks_is_known_at_once() -> None:
    runner = HookRunner()
    assert runner.any is False
    runner.add(Hook())
    assert runner.any is True


@pytest.mark.parametrize("no_hook", [None, "hook", object(), Hook])
def test_something_else_than_a_hook_is_refused_at_once(no_hook: Any) -> None:
    with pytest.raises(ConfigError, match=r"a hook must be a flagkeep\.hooks\.Hook, not "):
        HookRunner([no_hook])
    with pytest.raises(ConfigError):
        HookRunner().add(no_hook)


# --- track --------------------------------------------------------------------------------------


def test_hooks_are_told_of_track_in_order() -> None:
    calls: Calls = []
    HookRunner([Recorder(name, calls) for name in "abc"]).after_track(TRACK)
    assert calls == [("a", "track", TRACK), ("b", "track", TRACK), ("c", "track", TRACK)]


def test_a_hook_that_fails_after_track_keeps_no_other_from_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: Calls = []
    hooks = [Failing("bad", calls, ValueError("no")), Recorder("b", calls)]
    HookRunner(hooks).after_track(TRACK)
    assert stages(calls) == [("bad", "track"), ("b", "track")]
    assert [record.getMessage() for record in caplog.records] == [
        "after_track of hook 'bad' failed"
    ]


def test_fix_an_interrupt_after_track_is_not_swallowed() -> None:
    """FIX (python-api.md 7): the official SDK swallows even KeyboardInterrupt."""
    with pytest.raises(KeyboardInterrupt):
        HookRunner([Failing("bad", [], KeyboardInterrupt())]).after_track(TRACK)


# --- plugins ------------------------------------------------------------------------------------


class Bringing(Plugin):
    """Brings hooks, and takes down what it is handed."""

    def __init__(self, *hooks: Any) -> None:
        self.hooks = hooks
        self.environments: list[EnvironmentMetadata] = []
        self.clients: list[Any] = []

    def get_hooks(self, environment: EnvironmentMetadata) -> Any:
        self.environments.append(environment)
        return self.hooks

    def register(self, client: Any, environment: EnvironmentMetadata) -> None:
        self.environments.append(environment)
        self.clients.append(client)


class Broken(Plugin):
    """Raises wherever it can."""

    @property
    def metadata(self) -> PluginMetadata:
        return PluginMetadata("broken one")

    def get_hooks(self, *_: Any) -> Any:
        raise ValueError("no hooks")

    def register(self, *_: Any) -> None:
        raise ValueError("no client")


def test_plugins_bring_hooks_in_their_order() -> None:
    one, two, three = Hook(), Hook(), Hook()
    first, second = Bringing(one, two), Bringing(three)
    assert hooks_of_plugins([first, Plugin(), second], ENVIRONMENT) == [one, two, three]
    assert first.environments == [ENVIRONMENT]


def test_a_plugin_that_fails_brings_nothing_and_keeps_no_other_from_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hook, client = Hook(), object()
    good = Bringing(hook)
    assert hooks_of_plugins([Broken(), Bringing(Hook(), "no hook"), good], ENVIRONMENT) == [hook]
    register_plugins([Broken(), good], client, ENVIRONMENT)
    assert good.clients == [client]
    assert [record.getMessage() for record in caplog.records] == [
        "get_hooks of plugin 'broken one' failed; it brings none",
        "get_hooks of plugin 'Bringing' failed; it brings none",
        "register of plugin 'broken one' failed",
    ]
    assert all(record.levelno == logging.ERROR for record in caplog.records)


@pytest.mark.parametrize("no_plugin", [None, "plugin", Plugin])
def test_something_else_than_a_plugin_is_refused_at_once(no_plugin: Any) -> None:
    with pytest.raises(ConfigError, match=r"a plugin must be a flagkeep\.hooks\.Plugin, not "):
        hooks_of_plugins([no_plugin], ENVIRONMENT)


def test_the_environment_does_not_show_the_sdk_key() -> None:
    application = ApplicationMetadata("shop", "1.2")
    shown = repr(EnvironmentMetadata(SdkMetadata("flagkeep", "1.0"), "sdk-secret", application))
    assert "secret" not in shown
    assert "shop" in shown
