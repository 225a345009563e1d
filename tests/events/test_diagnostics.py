"""Statistics of the client itself (events spec, section 10)."""

import json
from typing import Any

import pytest

from flagkeep.config import (
    Config,
    EventSettings,
    FileSource,
    HttpSettings,
    Polling,
    Streaming,
    Wrapper,
)
from flagkeep.events.diagnostics import (
    KEPT_STREAM_INITS,
    Diagnostics,
    Platform,
    data_store_type,
)
from flagkeep.version import VERSION

NOW = 1_700_000_000_000
KEY = "sdk-0123456789"
LINUX = Platform(
    system="Linux",
    release="6.1",
    machine="x86_64",
    python_version="3.12.1",
    python_implementation="CPython",
)


def diagnostics(sdk_key: str = KEY) -> Diagnostics:
    return Diagnostics("an-id", sdk_key, NOW)


def init(config: Config, *, store_type: str = "memory", platform: Platform = LINUX) -> Any:
    event = diagnostics(config.sdk_key).init_event(
        NOW, config=config, data_store_type=store_type, platform=platform
    )
    return json.loads(event)


def configuration(config: Config, store_type: str = "memory") -> Any:
    return init(config, store_type=store_type)["configuration"]


def test_the_first_event_says_who_and_where_and_how() -> None:
    assert init(Config(sdk_key=KEY)) == {
        "kind": "diagnostic-init",
        "creationDate": NOW,
        "id": {"diagnosticId": "an-id", "sdkKeySuffix": "456789"},
        "sdk": {
            "name": "python-server-sdk",
            "version": VERSION,
            "wrapperName": None,
            "wrapperVersion": None,
        },
        "platform": {
            "name": "python",
            "osArch": "x86_64",
            "osName": "Linux",
            "osVersion": "6.1",
            "pythonVersion": "3.12.1",
            "pythonImplementation": "CPython",
        },
        "configuration": {
            "customBaseURI": False,
            "customEventsURI": False,
            "customStreamURI": False,
            "eventsCapacity": 10_000,
            "connectTimeoutMillis": 10_000,
            "socketTimeoutMillis": 15_000,
            "eventsFlushIntervalMillis": 5_000,
            "pollingIntervalMillis": 30_000,
            "userKeysCapacity": 1_000,
            "userKeysFlushIntervalMillis": 300_000,
            "diagnosticRecordingIntervalMillis": 900_000,
            "usingProxy": False,
            "streamingDisabled": False,
            "usingRelayDaemon": False,
            "allAttributesPrivate": False,
            "dataStoreType": "memory",
        },
    }


def test_settings_that_differ_are_shown() -> None:
    config = Config(
        sdk_key=KEY,
        source=Polling(base_uri="http://polls", interval=60.5),
        http=HttpSettings(connect_timeout=1.5, read_timeout=2, proxy="http://u:p@proxy:3128"),
        events=EventSettings(
            base_uri="http://events",
            capacity=20,
            flush_interval=0.25,
            all_attributes_private=True,
            context_keys_capacity=5,
            context_keys_flush_interval=7,
            diagnostic_interval=120,
        ),
    )
    assert configuration(config, "Redis") == {
        "customBaseURI": True,
        "customEventsURI": True,
        "customStreamURI": False,
        "eventsCapacity": 20,
        "connectTimeoutMillis": 1_500,
        "socketTimeoutMillis": 2_000,
        "eventsFlushIntervalMillis": 250,
        "pollingIntervalMillis": 60_500,
        "userKeysCapacity": 5,
        "userKeysFlushIntervalMillis": 7_000,
        "diagnosticRecordingIntervalMillis": 120_000,
        "usingProxy": True,
        "streamingDisabled": True,
        "usingRelayDaemon": False,
        "allAttributesPrivate": True,
        "dataStoreType": "Redis",
    }


def test_no_secret_is_sent() -> None:
    config = Config(sdk_key=KEY, http=HttpSettings(proxy="http://u:hidden@proxy:3128"))
    text = json.dumps(init(config))
    assert "hidden" not in text
    assert KEY not in text


@pytest.mark.parametrize(
    ("config", "changed"),
    [
        (Config(sdk_key=KEY, source=Streaming()), {}),
        (Config(sdk_key=KEY, source=Streaming(base_uri="http://s")), {"customStreamURI"}),
        (Config(sdk_key=KEY, source=Polling()), {"streamingDisabled"}),
        (Config(sdk_key=KEY, source=FileSource("flags.json")), {"streamingDisabled"}),
        (Config(sdk_key=KEY, daemon=True), {"usingRelayDaemon"}),
    ],
)
def test_where_the_data_comes_from_is_shown(config: Config, changed: set[str]) -> None:
    usual, found = configuration(Config(sdk_key=KEY)), configuration(config)
    assert {name for name in usual if usual[name] != found[name]} == set(changed)


def test_the_library_around_is_named() -> None:
    config = Config(sdk_key=KEY, wrapper=Wrapper(name="outer", version="1.2"))
    sdk = init(config)["sdk"]
    assert (sdk["wrapperName"], sdk["wrapperVersion"]) == ("outer", "1.2")


@pytest.mark.parametrize(
    ("system", "name"), [("Linux", "Linux"), ("Darwin", "MacOS"), ("Windows", "Windows")]
)
def test_systems_have_the_names_that_all_sdks_use(system: str, name: str) -> None:
    platform = Platform(
        system=system,
        release="1",
        machine="arm64",
        python_version="3.13.0",
        python_implementation="PyPy",
    )
    assert init(Config(sdk_key=KEY), platform=platform)["platform"]["osName"] == name


@pytest.mark.parametrize(
    ("store", "name"),
    [
        (None, "memory"),
        ("memory", "memory"),
        ("redis", "Redis"),
        ("dynamodb", "DynamoDB"),
        ("consul", "Consul"),
        ("sqlite", "custom"),
        ("of our own", "custom"),
    ],
)
def test_stores_have_the_names_that_all_sdks_use(store: str | None, name: str) -> None:
    assert data_store_type(store) == name


@pytest.mark.parametrize(
    ("sdk_key", "suffix"), [("", ""), ("abc", "abc"), ("abcdef", "abcdef"), (KEY, "456789")]
)
def test_of_the_sdk_key_at_most_six_characters_are_sent(sdk_key: str, suffix: str) -> None:
    event = json.loads(diagnostics(sdk_key).periodic_event(NOW, dropped=0, deduplicated=0))
    assert event["id"]["sdkKeySuffix"] == suffix


def test_the_periodic_event_has_what_was_counted_and_counts_anew() -> None:
    counted = diagnostics()
    counted.record_stream_init(NOW + 1, 120, failed=True)
    counted.record_stream_init(NOW + 2, 30, failed=False)
    counted.record_batch(4)
    counted.record_batch(7)
    assert json.loads(counted.periodic_event(NOW + 900, dropped=3, deduplicated=5)) == {
        "kind": "diagnostic",
        "creationDate": NOW + 900,
        "id": {"diagnosticId": "an-id", "sdkKeySuffix": "456789"},
        "dataSinceDate": NOW,
        "droppedEvents": 3,
        "deduplicatedUsers": 5,
        "eventsInLastBatch": 7,
        "streamInits": [
            {"timestamp": NOW + 1, "durationMillis": 120, "failed": True},
            {"timestamp": NOW + 2, "durationMillis": 30, "failed": False},
        ],
    }
    again = json.loads(counted.periodic_event(NOW + 1800, dropped=0, deduplicated=0))
    assert (again["dataSinceDate"], again["creationDate"]) == (NOW + 900, NOW + 1800)
    assert (again["eventsInLastBatch"], again["streamInits"]) == (0, [])


def test_of_endlessly_many_attempts_to_connect_the_newest_are_kept() -> None:
    counted = diagnostics()
    for number in range(KEPT_STREAM_INITS + 5):
        counted.record_stream_init(number, 1, failed=True)
    inits = json.loads(counted.periodic_event(NOW, dropped=0, deduplicated=0))["streamInits"]
    assert [one["timestamp"] for one in inits] == list(range(5, KEPT_STREAM_INITS + 5))
