"""Hooks and plugins written for the official SDK."""

import logging
from typing import Any

import pytest

from flagkeep.ldclient import Context, LDClient, Stage
from flagkeep.ldclient.evaluation import EvaluationDetail
from flagkeep.ldclient.hook import EvaluationSeriesContext, Hook, Metadata, TrackSeriesContext
from flagkeep.ldclient.integrations.test_data import TestData
from flagkeep.ldclient.plugin import (
    ApplicationMetadata,
    EnvironmentMetadata,
    Plugin,
    PluginMetadata,
    SdkMetadata,
)
from tests.ldclient.sources import USER, Making, environment, quiet

Data = dict[Any, Any]
OFFLINE = quiet(offline=True)
NOT_READY = {"kind": "ERROR", "errorKind": "CLIENT_NOT_READY"}


class Recorder(Hook):
    """Notes what it is told."""

    def __init__(self, name: str, notes: list[Any]) -> None:
        self.name = name
        self.notes = notes
        self.details: list[EvaluationDetail] = []
        self.series: list[EvaluationSeriesContext] = []

    @property
    def metadata(self) -> Metadata:
        return Metadata(self.name)

    def before_evaluation(self, series_context: EvaluationSeriesContext, data: Data) -> Data:
        self.notes.append((f"{self.name} before", data))
        self.series.append(series_context)
        return {"from": self.name}

    def after_evaluation(
        self, series_context: EvaluationSeriesContext, data: Data, detail: EvaluationDetail
    ) -> Data:
        self.notes.append((f"{self.name} after", data))
        self.series.append(series_context)
        self.details.append(detail)
        return data


class Tracking(Recorder):
    """Is told of `track`, too."""

    def after_track(self, series_context: TrackSeriesContext) -> None:
        self.notes.append(series_context)


class Failing(Recorder):
    """Raises what it is given."""

    def __init__(self, error: BaseException, notes: list[Any]) -> None:
        super().__init__("failing", notes)
        self.error = error

    def before_evaluation(self, *_: Any) -> Data:
        raise self.error


class Plugged(Plugin):
    """Brings one hook and notes whom it gets to know."""

    def __init__(self, notes: list[Any], hooks: list[Hook] | None = None) -> None:
        self.notes = notes
        self.hooks = hooks or []
        self.clients: list[LDClient] = []

    @property
    def metadata(self) -> PluginMetadata:
        return PluginMetadata("plugged")

    def register(self, client: LDClient, metadata: EnvironmentMetadata) -> None:
        self.notes.append(metadata)
        self.clients.append(client)

    def get_hooks(self, metadata: EnvironmentMetadata) -> list[Hook]:
        self.notes.append(metadata)
        return self.hooks


def test_hooks_run_in_order_before_and_in_reverse_after() -> None:
    notes: list[Any] = []
    plugin = Plugged([], [Recorder("plugin", notes)])
    config = quiet(offline=True, hooks=[Recorder("config", notes)], plugins=[plugin])
    with LDClient(config) as client:
        client.add_hook(Recorder("added", notes))
        client.add_hook(3)  # type: ignore[arg-type]  # ignored, as in the official SDK
        client.variation("f", USER, 7)
    assert notes == [
        ("config before", {}),
        ("plugin before", {}),
        ("added before", {}),
        ("added after", {"from": "added"}),
        ("plugin after", {"from": "plugin"}),
        ("config after", {"from": "config"}),
    ]


def test_a_hook_is_told_what_is_evaluated_and_what_came_of_it() -> None:
    hook = Recorder("h", [])
    with LDClient(quiet(offline=True, hooks=[hook])) as client:
        client.variation("f", USER, 7)
        client.variation_detail("f", None, 8)  # type: ignore[arg-type]  # hooks see that, too
        client.migration_variation("m", Context.create(""), Stage.LIVE)
        client.all_flags_state(USER)
    assert [(one.key, one.default_value, one.method) for one in hook.series[::2]] == [
        ("f", 7, "variation"),
        ("f", 8, "variation_detail"),
        ("m", "live", "migration_variation"),
    ]
    assert hook.series[::2] == hook.series[1::2]
    assert hook.series[0].context is USER
    assert hook.series[0].environment_id is None
    assert [one.reason for one in hook.details] == [NOT_READY] * 3
    assert [one.value for one in hook.details] == [7, 8, "live"]


def test_a_hook_that_fails_is_logged_and_its_data_is_empty(
    caplog: pytest.LogCaptureFixture,
) -> None:
    notes: list[Any] = []
    with LDClient(quiet(offline=True, hooks=[Failing(OSError("no"), notes)])) as client:
        assert client.variation("f", USER, 7) == 7
    assert notes == [("failing after", {})]
    assert "before_evaluation of hook 'failing' failed" in caplog.text


def test_fix_an_interrupt_in_a_hook_is_not_swallowed() -> None:
    """FIX (python-api.md 7): catch `Exception` only."""
    hook = Failing(KeyboardInterrupt(), [])
    with (
        LDClient(quiet(offline=True, hooks=[hook])) as client,
        pytest.raises(KeyboardInterrupt),
    ):
        client.variation("f", USER, 7)


def test_a_hook_may_be_told_of_track() -> None:
    notes: list[Any] = []
    hooks: list[Hook] = [Tracking("h", notes), Recorder("has no such stage", notes)]
    with LDClient(quiet(use_ldd=True, hooks=hooks)) as client:
        client.track("bought", USER, {"x": 1}, 2.5)
        client.track("bought", Context.create(""))
    assert notes == [TrackSeriesContext("bought", USER, {"x": 1}, 2.5)]


def test_a_plugin_is_told_where_it_is() -> None:
    notes: list[Any] = []
    plugin = Plugged(notes)
    config = quiet(
        offline=True,
        plugins=[plugin],
        application={"id": "shop"},
        wrapper_name="w",
        wrapper_version="1",
    )
    with LDClient(config) as client:
        assert plugin.clients == [client]
    assert (
        notes
        == [
            EnvironmentMetadata(
                SdkMetadata("python-server-sdk", "9.18.2", "w", "1"),
                "sdk-key",
                ApplicationMetadata("shop", ""),
            )
        ]
        * 2
    )


def test_a_plugin_gets_to_know_the_client_before_its_source_starts() -> None:
    making = Making(with_data=environment(f=1))
    heard: list[Any] = []

    class Early(Plugged):
        def register(self, client: LDClient, metadata: EnvironmentMetadata) -> None:
            super().register(client, metadata)
            assert not making.made
            assert not client.is_initialized()
            client.data_source_status_provider.add_listener(heard.append)

    plugin = Early([])
    with LDClient(quiet(update_processor_class=making, plugins=[plugin])) as client:
        assert client.variation("f", USER, 0) == 1
    assert len(plugin.clients) == len(making.made) == 1
    assert heard[0].state.value == "valid"


def test_a_plugin_that_fails_costs_nothing_but_itself(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Plugged):
        def register(self, client: LDClient, metadata: EnvironmentMetadata) -> None:
            raise OSError((client, metadata))

        def get_hooks(self, metadata: EnvironmentMetadata) -> list[Hook]:
            raise OSError(metadata)

    good = Plugged([])
    with caplog.at_level(logging.ERROR), LDClient(quiet(offline=True, plugins=[Broken([]), good])):
        assert len(good.clients) == 1
    assert "get_hooks of plugin 'plugged' failed" in caplog.text
    assert "register of plugin 'plugged' failed" in caplog.text


def test_after_a_fork_plugins_are_registered_again() -> None:
    plugin = Plugged([])
    with LDClient(quiet(offline=True, plugins=[plugin])) as client:
        client.postfork()
        assert plugin.clients == [client, client]


def test_hooks_run_around_evaluations_that_need_no_default() -> None:
    data = TestData.data_source()
    data.update(data.flag("f").value_for_all("v"))
    hook = Recorder("h", [])
    with LDClient(quiet(update_processor_class=data)) as client:
        assert client.variation("f", USER, 0) == "v"
        client.add_hook(hook)
        assert client.variation("f", USER, 0) == "v"
    (detail,) = hook.details
    assert (detail.value, detail.variation_index) == ("v", 0)
    assert detail.reason == {"kind": "FALLTHROUGH"}
