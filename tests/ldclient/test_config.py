"""`Config`: what it takes, what it makes of it, and what this release refuses."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from flagkeep.errors import ConfigError, NotBuiltYet
from flagkeep.ldclient.config import BigSegmentsConfig, Config, DataSystemConfig, HTTPConfig
from flagkeep.ldclient.evaluation import EvaluationDetail
from flagkeep.ldclient.feature_store import InMemoryFeatureStore
from flagkeep.ldclient.hook import EvaluationSeriesContext, Hook, Metadata
from flagkeep.ldclient.integrations.test_data import TestData
from flagkeep.ldclient.interfaces import BigSegmentStore, BigSegmentStoreMetadata
from flagkeep.ldclient.plugin import EnvironmentMetadata, Plugin, PluginMetadata
from flagkeep.stores import AsyncMemoryStore, MemoryStore
from tests.ldclient.sources import DictStore, quiet


class SomeHook(Hook):
    @property
    def metadata(self) -> Metadata:
        return Metadata("some")

    def before_evaluation(
        self, series_context: EvaluationSeriesContext, data: dict[Any, Any]
    ) -> dict[Any, Any]:
        del series_context
        return data

    def after_evaluation(
        self,
        series_context: EvaluationSeriesContext,
        data: dict[Any, Any],
        detail: EvaluationDetail,
    ) -> dict[Any, Any]:
        del series_context, detail
        return data


class SomePlugin(Plugin):
    @property
    def metadata(self) -> PluginMetadata:
        return PluginMetadata("some")

    def register(self, client: object, metadata: EnvironmentMetadata) -> None:
        raise AssertionError((client, metadata))

    def get_hooks(self, metadata: EnvironmentMetadata) -> list[Hook]:
        raise AssertionError(metadata)


class SomeBigSegments(BigSegmentStore):
    def get_metadata(self) -> BigSegmentStoreMetadata:
        return BigSegmentStoreMetadata(None)

    def get_membership(self, context_hash: str) -> None:
        del context_hash

    def stop(self) -> None:
        pass


class Obliging:
    """Has every attribute, as the mocks of an application do."""

    def __getattr__(self, name: str) -> str:
        return name


# --- what it makes of settings -----------------------------------------------------------------


def test_addresses_lose_their_slashes_and_events_have_a_path() -> None:
    config = quiet(
        use_ldd=True, base_uri="http://a//", events_uri="http://b/", stream_uri="http://c/"
    )
    assert (config.base_uri, config.get_latest_flags_uri) == (
        "http://a",
        "http://a/sdk/latest-flags",
    )
    assert (config.events_base_uri, config.events_uri) == ("http://b", "http://b/bulk")
    assert (config.stream_base_uri, config.stream_uri) == ("http://c", "http://c/flags")


@pytest.mark.parametrize(
    ("key", "kept"),
    [
        ("sdk-1_2.3", "sdk-1_2.3"),
        ("", ""),
        (None, ""),
        (3, ""),
        ("a b", ""),
        ("a\n", ""),
        ("a" * 8192, "a" * 8192),
        ("a" * 8193, ""),
    ],
)
def test_an_sdk_key_that_cannot_be_one_is_dropped(key: Any, kept: str) -> None:
    assert Config(key).sdk_key == kept


def test_the_log_does_not_tell_a_bad_sdk_key(caplog: pytest.LogCaptureFixture) -> None:
    Config("my secret")
    assert "SDK key" in caplog.text
    assert "secret" not in caplog.text


def test_a_configuration_without_a_key_works_with_a_deprecation_warning() -> None:
    with pytest.warns(DeprecationWarning, match="without an SDK key") as warned:
        config = Config(use_ldd=True)
    assert config.sdk_key == ""
    assert warned[0].filename == __file__


def test_intervals_have_a_least_value() -> None:
    config = quiet(use_ldd=True, poll_interval=1, diagnostic_recording_interval=1)
    assert (config.poll_interval, config.diagnostic_recording_interval) == (30, 60)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, {"id": "", "version": ""}),
        ({"id": "shop", "version": "1.2", "more": 3}, {"id": "shop", "version": "1.2"}),
        ({"id": "my shop", "version": "x" * 65}, {"id": "", "version": ""}),
        ({"id": 3}, {"id": "", "version": ""}),
    ],
)
def test_the_application_always_has_id_and_version(given: Any, kept: dict[str, str]) -> None:
    assert quiet(application=given).application == kept


def test_events_are_sent_unless_offline_or_told_otherwise() -> None:
    assert Config("k").send_events is True
    assert Config("k", offline=True).send_events is False
    assert Config("k", send_events=False).send_events is False


def test_hooks_and_plugins_that_are_none_are_dropped() -> None:
    config = Config("k", hooks=[3], plugins=("x",))  # type: ignore[list-item, arg-type]  # the test
    assert (config.hooks, config.plugins) == ([], [])


def test_private_attributes_are_a_list_and_a_text_is_one_name() -> None:
    assert sorted(quiet(private_attributes={"a", "/b/c"}).private_attributes) == ["/b/c", "a"]
    assert quiet(private_attributes="email").private_attributes == ["email"]
    assert quiet(private_attributes=None).private_attributes == []


def test_defaults_are_a_copy() -> None:
    defaults = {"f": 1}
    config = quiet(defaults=defaults)
    defaults["f"] = 2
    assert (config.get_default("f", 0), config.get_default("g", 0)) == (1, 0)


def test_every_configuration_has_a_store_of_its_own() -> None:
    one, other = Config("k"), Config("k")
    assert isinstance(one.feature_store, InMemoryFeatureStore)
    assert one.feature_store is not other.feature_store


def test_settings_cannot_be_changed() -> None:
    config = Config("k")
    with pytest.raises(AttributeError, match="offline: a Config cannot be changed"):
        config.offline = True


def test_a_copy_with_another_key_keeps_everything_else() -> None:
    original = quiet(
        use_ldd=True,
        payload_filter_key="p",
        application={"id": "shop"},
        wrapper_name="w",
        wrapper_version="1",
        omit_anonymous_contexts=True,
        enable_event_compression=True,
        big_segments=BigSegmentsConfig(stale_after=7),
        http=HTTPConfig(read_timeout=1),
        defaults={"f": 1},
        feature_store=DictStore(),
    )
    with pytest.warns(DeprecationWarning, match="copy_with_new_sdk_key"):
        twin = original.copy_with_new_sdk_key("other")
    expected = vars(original) | {"sdk_key": "other"}
    assert vars(twin) == expected
    assert original.sdk_key == "sdk-key"


def test_a_copy_can_name_a_wrapper() -> None:
    original = quiet()
    twin = original.with_wrapper_information("wrapper", "2")
    assert (twin.wrapper_name, twin.wrapper_version) == ("wrapper", "2")
    assert original.wrapper_name is None
    assert twin.feature_store is original.feature_store


# --- what cannot work --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ({"base_uri": None}, "base_uri must be a URL, not None"),
        ({"events_uri": 3}, "events_uri must be a URL, not 3"),
        ({"stream_uri": b"x"}, "stream_uri must be a URL, not bytes"),
        ({"poll_interval": "30"}, "poll_interval must be a number, not str"),
        ({"flush_interval": None}, "flush_interval must be a number, not None"),
        ({"initial_reconnect_delay": float("nan")}, "must be a number, not nan"),
        ({"hooks": 3}, "hooks must be a list, not 3"),
        ({"plugins": 3}, "plugins must be a list, not 3"),
        ({"private_attributes": 3}, "private_attributes must be a list, not 3"),
        ({"application": 3}, "application must be a dict with id and version, not 3"),
        ({"defaults": ["f"]}, "defaults must be a dict of values by flag key, not list"),
        ({"update_processor_class": 3}, "update_processor_class must be a class or function"),
        ({"event_processor_class": 3}, "event_processor_class must be a class or function"),
        ({"feature_store": 3}, "feature_store must be a FeatureStore"),
        ({"feature_store": AsyncMemoryStore()}, "that is not an Async one, not AsyncMemoryStore"),
    ],
)
def test_what_cannot_work_is_said_at_once(setting: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        quiet(use_ldd=True, **setting)


def test_stores_of_every_make_are_taken() -> None:
    for store in (DictStore(), MemoryStore(), InMemoryFeatureStore(), Obliging()):
        assert quiet(use_ldd=True, feature_store=store).feature_store is store


# --- what is not built yet ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"hooks": [SomeHook()]}, r"Config\(hooks=…\)"),
        ({"plugins": [SomePlugin()]}, r"Config\(plugins=…\)"),
        ({"datasystem_config": DataSystemConfig(None, None)}, r"Config\(datasystem_config=…\)"),
        (
            {"big_segments": BigSegmentsConfig(store=SomeBigSegments())},
            r"Config\(big_segments=…\) with a store",
        ),
        ({"send_events": True}, r"Config\(send_events=…\) \(analytics events\)"),
        ({"events_uri": "http://x"}, r"Config\(events_uri=…\) \(analytics events\)"),
        ({"events_max_pending": 5}, r"Config\(events_max_pending=…\)"),
        ({"flush_interval": 1}, r"Config\(flush_interval=…\)"),
        ({"event_processor_class": print}, r"Config\(event_processor_class=…\)"),
        ({"context_keys_capacity": 1}, r"Config\(context_keys_capacity=…\)"),
        ({"context_keys_flush_interval": 1}, r"Config\(context_keys_flush_interval=…\)"),
        ({"diagnostic_recording_interval": 70}, r"Config\(diagnostic_recording_interval=…\)"),
        ({"enable_event_compression": True}, r"Config\(enable_event_compression=…\)"),
        ({"base_uri": "http://x"}, r"Config\(base_uri=…\) \(the connection to LaunchDarkly\)"),
        ({"stream_uri": "http://x"}, r"Config\(stream_uri=…\)"),
        ({"stream": False}, r"Config\(stream=…\)"),
        ({"initial_reconnect_delay": 2}, r"Config\(initial_reconnect_delay=…\)"),
        ({"poll_interval": 60}, r"Config\(poll_interval=…\)"),
        ({"feature_requester_class": print}, r"Config\(feature_requester_class=…\)"),
        ({"payload_filter_key": "p"}, r"Config\(payload_filter_key=…\)"),
        ({"http": HTTPConfig(connect_timeout=1)}, r"Config\(http=connect_timeout=…\)"),
    ],
)
def test_a_setting_that_asks_for_what_is_not_built_is_refused_by_name(
    settings: dict[str, Any], named: str
) -> None:
    with pytest.raises(NotBuiltYet, match=named + r".* is not part of this release of flagkeep"):
        Config("k", **settings)


EVENT_SETTINGS: dict[str, Any] = {
    "events_uri": "http://x",
    "events_max_pending": 5,
    "flush_interval": 1,
    "event_processor_class": print,
    "context_keys_capacity": 1,
    "context_keys_flush_interval": 1,
    "diagnostic_recording_interval": 70,
    "enable_event_compression": True,
}
UPSTREAM_SETTINGS: dict[str, Any] = {
    "base_uri": "http://x",
    "stream_uri": "http://x",
    "stream": False,
    "initial_reconnect_delay": 2,
    "poll_interval": 60,
    "feature_requester_class": print,
    "payload_filter_key": "p",
    "http": HTTPConfig(connect_timeout=1, http_proxy="http://x"),
}


@pytest.mark.parametrize("setting", EVENT_SETTINGS)
def test_event_settings_are_fine_where_no_events_are_sent(setting: str) -> None:
    given = {setting: EVENT_SETTINGS[setting]}
    Config("k", send_events=False, **given)
    Config("k", offline=True, **given)


@pytest.mark.parametrize("setting", UPSTREAM_SETTINGS)
@pytest.mark.parametrize(
    "without_upstream",
    [
        lambda: {"use_ldd": True},
        lambda: {"offline": True},
        lambda: {"update_processor_class": TestData.data_source()},
    ],
    ids=["use_ldd", "offline", "test data"],
)
def test_connection_settings_are_fine_where_nothing_connects(
    setting: str, without_upstream: Callable[[], dict[str, Any]]
) -> None:
    quiet(**without_upstream(), **{setting: UPSTREAM_SETTINGS[setting]})


def test_asking_for_less_than_is_not_there_is_fine() -> None:
    Config(
        "k",
        diagnostic_opt_out=True,
        private_attributes={"email"},
        all_attributes_private=True,
        omit_anonymous_contexts=True,
        application={"id": "shop"},
        wrapper_name="w",
    )


def test_giving_a_default_is_not_asking_for_anything() -> None:
    Config("k", flush_interval=5.0, stream=True, http=HTTPConfig(), payload_filter_key=None)


def test_nothing_is_logged_for_a_good_configuration(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        quiet(use_ldd=True, application={"id": "shop"})
    assert not caplog.records
