"""`Config`: what it takes, what it makes of it, and what the core is told."""

import logging
import math
from pathlib import Path
from typing import Any

import pytest

from flagkeep.config import (
    Application,
    BigSegmentSettings,
    CachePolicy,
    EventSettings,
    HttpSettings,
    Polling,
    StorePolicy,
    Streaming,
    Wrapper,
)
from flagkeep.config import Config as CoreConfig
from flagkeep.errors import ConfigError, NotBuiltYet
from flagkeep.ldclient import LDClient
from flagkeep.ldclient._assembly import Assembly
from flagkeep.ldclient._core_settings import core_config
from flagkeep.ldclient.config import BigSegmentsConfig, Config, DataSystemConfig, HTTPConfig
from flagkeep.ldclient.evaluation import EvaluationDetail
from flagkeep.ldclient.feature_store import InMemoryFeatureStore
from flagkeep.ldclient.hook import EvaluationSeriesContext, Hook, Metadata
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
    with pytest.raises(
        AttributeError, match="offline: settings cannot be changed, make a new Config"
    ):
        config.offline = True


def test_a_copy_with_another_key_keeps_everything_else() -> None:
    """FIX (python-api.md 3): hooks, plugins, Big Segments, application, filter and all others."""
    original = quiet(
        use_ldd=True,
        payload_filter_key="p",
        application={"id": "shop"},
        wrapper_name="w",
        wrapper_version="1",
        omit_anonymous_contexts=True,
        enable_event_compression=True,
        big_segments=BigSegmentsConfig(stale_after=7),
        hooks=[SomeHook()],
        plugins=[SomePlugin()],
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
        ({"initial_reconnect_delay": "1"}, "must be a number, not str"),
        ({"flush_interval": float("nan")}, "must be a number, not nan"),
        ({"http": "http://proxy"}, "http must be an HTTPConfig, not str"),
        ({"big_segments": 3}, "big_segments must be a BigSegmentsConfig, not 3"),
        ({"big_segments": BigSegmentsConfig("x")}, "needs a BigSegmentStore, not str"),  # type: ignore[arg-type]  # on purpose
        (
            {"big_segments": BigSegmentsConfig(None, stale_after="5")},  # type: ignore[arg-type]  # on purpose
            "stale_after must be a number, not str",
        ),
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


# --- what it does with every setting -----------------------------------------------------------


def test_the_second_data_system_is_refused_by_name() -> None:
    with pytest.raises(
        NotBuiltYet, match=r"^Config\(datasystem_config=…\), the second data system"
    ):
        Config("k", datasystem_config=DataSystemConfig(None, None))


def core(config: Config) -> CoreConfig:
    """What the core is told."""
    return Assembly(config, ()).client._config


def test_a_configuration_streams_unless_it_is_told_to_poll() -> None:
    streaming = core(quiet(stream_uri="http://127.0.0.1:9/", initial_reconnect_delay=3)).source
    assert streaming == Streaming(base_uri="http://127.0.0.1:9", initial_reconnect_delay=3)
    polling = core(quiet(stream=False, base_uri="http://127.0.0.1:9", poll_interval=45)).source
    assert polling == Polling(base_uri="http://127.0.0.1:9", interval=45)


def test_settings_of_http_reach_the_core(tmp_path: Path) -> None:
    certificate = tmp_path / "own.pem"
    certificate.write_text("a certificate")
    http = HTTPConfig(
        connect_timeout=1,
        read_timeout=2,
        http_proxy="http://amal:secret@127.0.0.1:9",
        ca_certs=str(certificate),
        cert_file=str(certificate),
        disable_ssl_verification=True,
    )
    told = core_config(
        quiet(http=http), source=Streaming(), daemon=False, cache=CachePolicy(),
        policy=StorePolicy(), hooks=()
    )  # fmt: skip
    assert told.http == HttpSettings(
        connect_timeout=1,
        read_timeout=2,
        proxy="http://amal:secret@127.0.0.1:9",
        ca_file=str(certificate),
        cert_file=str(certificate),
        verify=False,
    )


def test_no_timeout_is_a_very_long_one() -> None:
    http = core(quiet(http=HTTPConfig(connect_timeout=None))).http  # type: ignore[arg-type]  # the test
    assert http.connect_timeout > 10**8


def test_settings_of_events_reach_the_core() -> None:
    config = Config(
        "k",
        events_uri="http://127.0.0.1:9",
        events_max_pending=7,
        flush_interval=8,
        private_attributes=["/a/b"],
        all_attributes_private=True,
        context_keys_capacity=9,
        context_keys_flush_interval=10,
        diagnostic_opt_out=True,
        diagnostic_recording_interval=70,
        enable_event_compression=True,
        omit_anonymous_contexts=True,
        use_ldd=True,
    )
    told = core(config)
    assert told.makes_events
    assert told.events == EventSettings(
        base_uri="http://127.0.0.1:9",
        capacity=7,
        flush_interval=8,
        private_attributes=("/a/b",),
        all_attributes_private=True,
        context_keys_capacity=9,
        context_keys_flush_interval=10,
        diagnostics=False,
        diagnostic_interval=70,
        compress=True,
        omit_anonymous_contexts=True,
    )


def test_what_cannot_be_meant_so_is_brought_into_bounds() -> None:
    config = Config(
        "k",
        events_max_pending=0,
        flush_interval=float("inf"),
        context_keys_capacity=-1,
        big_segments=BigSegmentsConfig(SomeBigSegments(), context_cache_time=0),
    )
    told = core(config)
    assert (told.events.capacity, told.events.context_keys_capacity) == (1, 1)
    assert told.events.flush_interval > 10**8
    assert 0 < told.big_segments.context_cache_time < 0.01


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf])
def test_a_delay_that_is_no_time_is_the_usual_one_with_a_warning(
    seconds: float, caplog: pytest.LogCaptureFixture
) -> None:
    config = Config("k", initial_reconnect_delay=seconds, poll_interval=seconds)
    assert core(config).source == Streaming(initial_reconnect_delay=1.0)
    assert (config.initial_reconnect_delay, config.poll_interval) == (1, 30)
    assert caplog.messages == [
        "initial_reconnect_delay is no number of seconds above 0; 1 is used",
        "poll_interval is no number of seconds above 0; 30 is used",
    ]


def test_a_wrapper_may_have_a_number_for_a_version() -> None:
    told = core(quiet(wrapper_name="w", wrapper_version=2))
    assert told.wrapper == Wrapper(name="w", version="2")


def test_who_asks_is_told_to_the_core() -> None:
    config = quiet(
        application={"id": "shop", "version": "1"},
        wrapper_name="w",
        wrapper_version="2",
        payload_filter_key="p",
        big_segments=BigSegmentsConfig(None, 1, 2, 3, 4),
        defaults={"f": 1},
    )
    told = core(config)
    assert told.application == Application(id="shop", version="1")
    assert told.wrapper == Wrapper(name="w", version="2")
    assert told.payload_filter == "p"
    assert told.big_segments == BigSegmentSettings(
        context_cache_size=1, context_cache_time=2, status_poll_interval=3, stale_after=4
    )
    assert told.defaults == {"f": 1}


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"stream_uri": "127.0.0.1"}, "base_uri must be a URL that begins with http"),
        ({"http": HTTPConfig(connect_timeout=0)}, "connect_timeout must be a number of seconds"),
        ({"http": HTTPConfig(ca_certs="/no/such/file")}, "there is no file '/no/such/file'"),
        ({"http": HTTPConfig(http_proxy="127.0.0.1")}, "proxy must be a URL such as"),
    ],
)
def test_what_cannot_work_is_said_when_the_client_is_made(
    settings: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        LDClient(quiet(**settings))
    LDClient(quiet(offline=True, **settings)).close()  # where it has no effect, it does no harm
    LDClient(quiet(use_ldd=True, **settings)).close()


@pytest.mark.parametrize(
    ("settings", "is_asked"),
    [
        ({}, False),
        ({"stream_uri": "http://127.0.0.1:9"}, True),
        ({"stream": False}, False),
        ({"stream": False, "base_uri": "http://127.0.0.1:9"}, True),
    ],
)
def test_without_a_key_launchdarkly_is_not_asked_but_others_are(
    settings: dict[str, Any], is_asked: Any
) -> None:
    told = core(Config("", **settings))
    assert isinstance(told.source, Streaming | Polling) is is_asked
    assert not told.makes_events
    assert core(Config("", events_uri="http://127.0.0.1:9", **settings)).makes_events


def test_asking_for_less_is_fine() -> None:
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
