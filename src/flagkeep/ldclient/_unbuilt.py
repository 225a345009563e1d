"""What this release lacks of the official SDK, and when asking for it is an error.

A setting is refused where it would have an effect: event settings if events are sent, connection
settings if the configuration connects to LaunchDarkly. What asks for *less* than is not there
(private attributes, no diagnostics) is always fine. What is merely on by default is announced
once per client.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from flagkeep.errors import NotBuiltYet

if TYPE_CHECKING:  # the configuration's module needs this one
    from flagkeep.ldclient.config import Config

log = logging.getLogger("ldclient.util")

EVENTS: Final = "analytics events"
UPSTREAM: Final = "the connection to LaunchDarkly"

_EVENT_SETTINGS: Final[Mapping[str, Any]] = {
    "events_uri": "https://events.launchdarkly.com",
    "events_max_pending": 10000,
    "flush_interval": 5,
    "event_processor_class": None,
    "context_keys_capacity": 1000,
    "context_keys_flush_interval": 300,
    "diagnostic_recording_interval": 900,
    "enable_event_compression": False,
}
_UPSTREAM_SETTINGS: Final[Mapping[str, Any]] = {
    "base_uri": "https://app.launchdarkly.com",
    "stream_uri": "https://stream.launchdarkly.com",
    "stream": True,
    "initial_reconnect_delay": 1,
    "poll_interval": 30,
    "feature_requester_class": None,
    "payload_filter_key": None,
}
_HTTP_SETTINGS: Final[Mapping[str, Any]] = {
    "connect_timeout": 10,
    "read_timeout": 15,
    "http_proxy": None,
    "ca_certs": None,
    "cert_file": None,
    "disable_ssl_verification": False,
}


def connects(config: "Config") -> bool:
    """Whether the configuration gets its data from LaunchDarkly."""
    return not (config.offline or config.use_ldd or config.update_processor_class)


def sends_events(config: "Config") -> bool:
    """Whether the configuration sends analytics events."""
    return config.send_events and not config.offline


def refuse(config: "Config", given: Mapping[str, Any]) -> None:
    """Raise for the first setting that asks for what this release lacks.

    Args:
        config: all settings as they will be used.
        given: the arguments as the caller gave them.
    """
    if config.hooks:
        raise NotBuiltYet("Config(hooks=…)")
    if config.plugins:
        raise NotBuiltYet("Config(plugins=…)")
    if config.datasystem_config is not None:
        raise NotBuiltYet("Config(datasystem_config=…), the second data system,")
    if config.big_segments.store is not None:
        raise NotBuiltYet("Config(big_segments=…) with a store")
    if sends_events(config):
        if given["send_events"]:
            raise _unbuilt_setting("send_events", EVENTS)
        _refuse_changed(given, _EVENT_SETTINGS, EVENTS)
    if connects(config):
        _refuse_changed(given, _UPSTREAM_SETTINGS, UPSTREAM)
        for name, default in _HTTP_SETTINGS.items():
            if getattr(config.http, name, default) != default:
                raise _unbuilt_setting(f"http={name}", UPSTREAM)


def announce(config: "Config") -> None:
    """Say once, in one warning, what a client does not do although it is on by default."""
    missing = []
    no_key = "Missing or blank SDK key. " if connects(config) and not config.sdk_key else ""
    if connects(config):
        missing.append(f"{UPSTREAM}: the client serves what its feature store holds")
    if sends_events(config):
        missing.append(f"{EVENTS}: none are sent; send_events=False silences this")
    if missing:
        log.warning("%sNot part of this release of flagkeep: %s", no_key, "; and ".join(missing))


def method_needs_events(config: "Config", method: str) -> None:
    """Raise for a method that only makes events, unless there are none to be made.

    Raises:
        NotBuiltYet: the configuration sends events.
    """
    if sends_events(config):
        raise NotBuiltYet(f"{method} ({EVENTS}; Config(send_events=False) turns them off)")


def _refuse_changed(given: Mapping[str, Any], defaults: Mapping[str, Any], feature: str) -> None:
    for name, default in defaults.items():
        if given[name] != default:
            raise _unbuilt_setting(name, feature)


def _unbuilt_setting(name: str, feature: str) -> NotBuiltYet:
    return NotBuiltYet(f"Config({name}=…) ({feature})")
