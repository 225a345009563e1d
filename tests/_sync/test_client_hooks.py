"""A client with hooks and plugins: what is hooked, and what they are told."""

from collections.abc import Mapping
from typing import Any

import pytest

from flagkeep._sync.client import Client
from flagkeep.config import Application, Config, Wrapper
from flagkeep.errors import ConfigError
from flagkeep.hooks import EnvironmentMetadata, EvaluationSeries, Hook, Plugin, TrackSeries
from flagkeep.model.context import Context
from flagkeep.model.detail import Detail
from flagkeep.model.migration import Stage
from tests._sync.hand_source import HandSource, environment, flag

USER = Context.create("user-key")


class Recorder(Hook):
    """Takes down what it is told, as tuples."""

    def __init__(self, calls: list[Any], name: str = "") -> None:
        self.calls = calls
        self.name = name

    def before_evaluation(
        self, series: EvaluationSeries, data: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        self.calls.append(("before" + self.name, series.key, series.default, series.method))
        return {**data, "seen": True}

    def after_evaluation(
        self, series: EvaluationSeries, data: Mapping[str, Any], detail: Detail[Any]
    ) -> Mapping[str, Any]:
        kind = detail.reason.error_kind or detail.reason.kind
        self.calls.append(("after" + self.name, series.key, detail.value, kind.value, dict(data)))
        return data

    def after_track(self, series: TrackSeries) -> None:
        self.calls.append(("track" + self.name, series))


def client_of(*hooks: Hook, **settings: Any) -> Client:
    source = HandSource()
    client = Client(Config(source=source, hooks=hooks, **settings))
    source.deliver(environment(flag("f", 1, 2), flag("m", "live"), flag("odd", "nothing")))
    return client


def test_every_method_is_hooked_and_named() -> None:
    calls: list[Any] = []
    with client_of(Recorder(calls)) as client:
        assert client.variation("f", USER, 0) == 1
        assert (client.variation_detail("f", USER, 0)).value == 1
        assert client.int_variation("f", USER, 0) == 1
        assert (client.str_variation_detail("f", USER, "x")).value == "x"
    seen = {"seen": True}
    assert calls == [
        ("before", "f", 0, "variation"),
        ("after", "f", 1, "FALLTHROUGH", seen),
        ("before", "f", 0, "variation_detail"),
        ("after", "f", 1, "FALLTHROUGH", seen),
        ("before", "f", 0, "int_variation"),
        ("after", "f", 1, "FALLTHROUGH", seen),
        ("before", "f", "x", "str_variation_detail"),
        ("after", "f", "x", "WRONG_TYPE", seen),
    ]


def test_migrations_are_hooked_with_stages_as_text() -> None:
    calls: list[Any] = []
    with client_of(Recorder(calls)) as client:
        stage, _ = client.migration("m", USER, Stage.OFF)
        assert stage is Stage.LIVE
    assert calls == [
        ("before", "m", "off", "migration_variation"),
        ("after", "m", "live", "FALLTHROUGH", {"seen": True}),
    ]


def test_the_hooks_of_a_migration_see_that_a_value_is_no_stage() -> None:
    calls: list[Any] = []
    with client_of(Recorder(calls)) as client:
        stage, _ = client.migration("odd", USER, Stage.SHADOW)
        assert stage is Stage.SHADOW
    assert calls[1] == ("after", "odd", "shadow", "WRONG_TYPE", {"seen": True})


@pytest.mark.parametrize(
    ("key", "context", "kind"),
    [
        ("missing", USER, "FLAG_NOT_FOUND"),
        ("f", Context.create(""), "USER_NOT_SPECIFIED"),
        ("f", None, "USER_NOT_SPECIFIED"),
    ],
)
def test_evaluations_that_fail_are_hooked_too(key: str, context: Any, kind: str) -> None:
    calls: list[Any] = []
    with client_of(Recorder(calls)) as client:
        assert client.variation(key, context, "dflt") == "dflt"
    assert calls[1] == ("after", key, "dflt", kind, {"seen": True})


def test_a_client_that_is_offline_runs_its_hooks() -> None:
    calls: list[Any] = []
    with Client(Config(offline=True, hooks=(Recorder(calls),))) as client:
        client.variation("f", USER, "dflt")
    assert calls[1] == ("after", "f", "dflt", "CLIENT_NOT_READY", {"seen": True})


def test_neither_all_flags_nor_prerequisites_nor_listeners_are_hooked() -> None:
    calls: list[Any] = []
    source = HandSource()
    client = Client(Config(source=source, hooks=(Recorder(calls),)))
    parent = flag("parent", 1, prerequisites=[{"key": "f", "variation": 0}])
    source.deliver(environment(flag("f", 1, 2), parent))
    with client:
        assert (client.all_flags(USER)).valid
        client.on_value_change("f", USER, lambda _: None)
        assert calls == []
        assert client.variation("parent", USER, 0) == 1
    assert [call[:2] for call in calls] == [("before", "parent"), ("after", "parent")]


def test_a_hook_that_is_added_sees_flags_that_were_evaluated_before() -> None:
    calls: list[Any] = []
    with client_of() as client:
        client.variation("f", USER, 0)
        client.add_hook(Recorder(calls))
        client.variation("f", USER, 0)
    assert [call[:2] for call in calls] == [("before", "f"), ("after", "f")]


def test_hooks_are_told_of_track_but_not_if_the_context_is_invalid() -> None:
    calls: list[Any] = []
    with client_of(Recorder(calls, "-1"), Recorder(calls, "-2")) as client:
        client.track("bought", USER, {"a": 1}, 2.5)
        client.track("seen", USER)
        client.track("bought", Context.create(""))
    first, second = TrackSeries("bought", USER, {"a": 1}, 2.5), TrackSeries("seen", USER)
    assert calls == [
        ("track-1", first),
        ("track-2", first),
        ("track-1", second),
        ("track-2", second),
    ]


def test_hooks_of_the_settings_run_before_those_of_plugins_and_those_added() -> None:
    calls: list[Any] = []

    class Bringing(Plugin):
        def get_hooks(self, environment: EnvironmentMetadata) -> Any:  # noqa: ARG002
            return [Recorder(calls, "-plugin")]

    with client_of(Recorder(calls, "-config"), plugins=(Bringing(),)) as client:
        client.add_hook(Recorder(calls, "-added"))
        client.track("bought", USER)
    assert [call[0] for call in calls] == ["track-config", "track-plugin", "track-added"]


def test_plugins_get_the_client_and_are_told_where_they_are() -> None:
    told: list[Any] = []

    class Curious(Plugin):
        def register(self, client: Any, environment: EnvironmentMetadata) -> None:
            told.append((client, environment))

    settings = {
        "sdk_key": "sdk-key",
        "send_events": False,
        "application": Application(id="shop", version="1.2"),
        "wrapper": Wrapper(name="frame", version="3"),
    }
    with client_of(plugins=(Curious(),), **settings) as client:
        ((registered, environment_),) = told
        assert registered is client
    assert environment_.sdk_key == "sdk-key"
    assert (environment_.application.id, environment_.application.version) == ("shop", "1.2")
    assert (environment_.sdk.wrapper_name, environment_.sdk.wrapper_version) == ("frame", "3")


def test_what_is_no_hook_or_plugin_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="a hook must be"):
        Client(Config(offline=True, hooks=("hook",)))
    with pytest.raises(ConfigError, match="a plugin must be"):
        Client(Config(offline=True, plugins=("plugin",)))
