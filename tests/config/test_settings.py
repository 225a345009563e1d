"""Settings that cannot work are refused when they are made, with what to write instead."""

import math
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from flagkeep.config import (
    BigSegmentSettings,
    CachePolicy,
    Config,
    EventSettings,
    FileSource,
    HttpSettings,
    Polling,
    RedisTLS,
    StorePolicy,
    Streaming,
    Wrapper,
)
from flagkeep.errors import ConfigError
from flagkeep.testing import TestData

SECRET = "sdk-0123456789-secret"

Class = Callable[..., Any]

SECONDS: tuple[tuple[Class, str], ...] = (
    (Streaming, "initial_reconnect_delay"),
    (Polling, "interval"),
    (EventSettings, "flush_interval"),
    (EventSettings, "context_keys_flush_interval"),
    (EventSettings, "diagnostic_interval"),
    (HttpSettings, "connect_timeout"),
    (HttpSettings, "read_timeout"),
    (BigSegmentSettings, "context_cache_time"),
    (BigSegmentSettings, "status_poll_interval"),
    (BigSegmentSettings, "stale_after"),
    (StorePolicy, "max_age"),
    (StorePolicy, "deadline"),
)
COUNTS: tuple[tuple[Class, str], ...] = (
    (EventSettings, "capacity"),
    (EventSettings, "max_bytes"),
    (EventSettings, "context_keys_capacity"),
    (HttpSettings, "max_response_bytes"),
    (BigSegmentSettings, "context_cache_size"),
)
SWITCHES: tuple[tuple[Class, str], ...] = (
    (EventSettings, "all_attributes_private"),
    (EventSettings, "compress"),
    (EventSettings, "omit_anonymous_contexts"),
    (EventSettings, "diagnostics"),
    (HttpSettings, "verify"),
    (RedisTLS, "verify"),
    (StorePolicy, "push"),
    (StorePolicy, "prefetch"),
    (StorePolicy, "repair"),
    (StorePolicy, "keep_when_wiped"),
    (Config, "daemon"),
    (Config, "offline"),
    (Config, "send_events"),
)
PARTS = (
    "cache", "store_policy", "http", "events", "big_segments", "application", "wrapper",
)  # fmt: skip


@pytest.mark.parametrize(("made", "name"), SECONDS)
@pytest.mark.parametrize("value", [0, -1, math.nan, True, "5", b"5", [5]])
def test_a_time_is_a_number_above_nothing(made: Class, name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} must be a number of seconds above 0, not "):
        made(**{name: value})


@pytest.mark.parametrize(("made", "name"), SECONDS)
@pytest.mark.parametrize("value", [math.inf, 1e300, 10**400, 1_000_000_001])
def test_a_time_is_short_enough_to_be_waited_for(made: Class, name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} must be at most 1000000000 seconds, not "):
        made(**{name: value})


@pytest.mark.parametrize(("made", "name"), COUNTS)
@pytest.mark.parametrize("value", [0, -1, 1.5, math.inf, True, None, "5"])
def test_a_count_is_a_whole_number_above_nothing(made: Class, name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} must be a whole number above 0, not "):
        made(**{name: value})


@pytest.mark.parametrize(("made", "name"), SWITCHES)
@pytest.mark.parametrize("value", ["false", "", 0, 1, [], object])
def test_a_switch_is_on_or_off_and_no_word(made: Class, name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} must be True or False, not "):
        made(**{name: value})


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("value", ["x", 0, {}, True, Streaming()])
def test_a_part_of_the_settings_is_an_object_of_its_class(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} must be a flagkeep\.\w+\(…\), not \w+$"):
        Config(sdk_key=SECRET, **{name: value})  # type: ignore[arg-type]  # on purpose


def test_a_class_in_the_place_of_an_object_is_told_from_it() -> None:
    with pytest.raises(ConfigError, match=r"^http must be a flagkeep.HttpSettings\(…\), not the"):
        Config(sdk_key=SECRET, http=HttpSettings)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(ConfigError, match=r"not a class: make an object of it$"):
        Config(source=TestData)  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize("value", [None, 5, b"x", "email", [5], [None], [b"email"]])
def test_private_attributes_are_references(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^private_attributes must be "):
        EventSettings(private_attributes=value)  # type: ignore[arg-type]  # on purpose


def test_private_attributes_may_be_any_collection() -> None:
    assert EventSettings(private_attributes=["a", "/b/c"]).private_attributes == ("a", "/b/c")


@pytest.mark.parametrize("name", ["name", "version"])
@pytest.mark.parametrize("value", [None, 3, b"x"])
def test_a_wrapper_has_text(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} must be a string, not "):
        Wrapper(**{name: value})  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize("made", [HttpSettings, RedisTLS])
def test_the_password_of_a_key_is_text_and_never_shown(made: Class) -> None:
    with pytest.raises(ConfigError, match=r"^key_password must be a string, not bytes$"):
        made(key_password=SECRET.encode())
    assert SECRET not in repr(made(key_password=SECRET))


@pytest.mark.parametrize("value", [-1, math.nan, True, None, "15"])
def test_a_cache_time_is_no_less_than_nothing(value: object) -> None:
    with pytest.raises(ConfigError, match="a cache time must be 0 or more seconds"):
        CachePolicy(value)  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize("name", ["reload", "force_polling"])
def test_a_file_source_has_switches_too(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name} must be True or False, not a str$"):
        FileSource("flags.json", **{name: "no"})  # type: ignore[arg-type]  # on purpose


def message_of(made: Class, given: dict[str, Any]) -> str:
    try:
        made(**given)
    except ConfigError as exc:
        return str(exc)
    return ""


@pytest.mark.parametrize("value", [SECRET.encode(), [SECRET], {SECRET: 1}])
@pytest.mark.parametrize(
    "made", [Config, EventSettings, HttpSettings, Streaming, BigSegmentSettings, StorePolicy]
)
def test_no_message_shows_a_secret_in_the_wrong_place(
    made: type[msgspec.Struct], value: object
) -> None:
    given = {"offline": True} if made is Config else {}
    for field in msgspec.structs.fields(made):
        assert SECRET not in message_of(made, given | {field.name: value})


URIS: tuple[tuple[Class, str], ...] = (
    (Streaming, "base_uri"),
    (Polling, "base_uri"),
    (EventSettings, "base_uri"),
    (HttpSettings, "proxy"),
)


@pytest.mark.parametrize(("made", "name"), URIS)
@pytest.mark.parametrize(
    "uri",
    [
        "", "x", "ftp://host", "http://", "http://:80", "http://host:abc", "http://host:99999",
        "http://ho st", "http://[::1", "http://host?x=1", "http://host#x", "http://host\r\nx", 5,
    ],
)  # fmt: skip
def test_an_address_that_leads_nowhere_is_refused(made: Class, name: str, uri: object) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} must be a URL"):
        made(**{name: uri})


@pytest.mark.parametrize(
    "uri",
    [
        "http://localhost", "https://relay.example:8030", "http://127.0.0.1:80/prefix/x",
        "http://[::1]:8030", "http://[fe80::1%eth0]", "https://bücher.example",
    ],
)  # fmt: skip
def test_an_address_may_have_a_port_and_a_path(uri: str) -> None:
    assert Streaming(base_uri=uri + "/").base_uri == uri


def test_a_user_in_a_base_uri_is_dropped_as_no_repr_shall_show_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = Streaming(base_uri=f"http://user:{SECRET}@relay.example:8030/x@y/")
    assert settings.base_uri == "http://relay.example:8030/x@y"
    assert caplog.messages == [
        "the user in base_uri is dropped: the SDK key is what servers are told"
    ]
    assert SECRET not in repr(Config(sdk_key=SECRET, source=settings))


def test_a_proxy_keeps_its_user_and_shows_it_to_nobody() -> None:
    settings = HttpSettings(proxy=f"http://user:{SECRET}@proxy.example:3128")
    assert SECRET in (settings.proxy or "")
    assert SECRET not in repr(Config(sdk_key=SECRET, http=settings))
