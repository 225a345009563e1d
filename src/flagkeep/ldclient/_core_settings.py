"""The settings of the official SDK in the words of the core.

What is taken as it is there and cannot be meant so (a buffer for no event, a delay of no time) is
brought into the bounds of the core; what cannot work at all raises `ConfigError` when the client
is made.
"""

import math
from typing import Any, Final

from flagkeep.config import (
    Application,
    BigSegmentSettings,
    CachePolicy,
    EventSettings,
    FileSource,
    HttpSettings,
    Polling,
    SourceFactory,
    StorePolicy,
    Streaming,
    Wrapper,
)
from flagkeep.config import Config as CoreConfig
from flagkeep.hooks import Hook
from flagkeep.ldclient._config_base import (
    DEFAULT_BASE_URI,
    DEFAULT_EVENTS_URI,
    DEFAULT_STREAM_URI,
    ConfigBase,
)

AnyConfig = ConfigBase[Any, Any, Any, Any, Any]
Upstream = Streaming | Polling

FOR_EVER: Final = 1e9  # seconds, where the official SDK takes None or infinity for no limit
SHORTEST: Final = 0.001
SHORTEST_INTERVAL: Final = 0.05


def is_without_upstream(config: AnyConfig) -> bool:
    """Whether the configuration has its data from elsewhere, or from nowhere."""
    return config.offline or config.use_ldd or config.update_processor_class is not None


def upstream_of(config: AnyConfig) -> Upstream | None:
    """Return the service that the configuration connects to, None if it does to none.

    Without an SDK key LaunchDarkly itself is not asked: it would only refuse.
    """
    if is_without_upstream(config):
        return None
    if config.stream:
        uri, usual = config.stream_base_uri, DEFAULT_STREAM_URI
    else:
        uri, usual = config.base_uri, DEFAULT_BASE_URI
    if not config.sdk_key and uri == usual:
        return None
    if config.stream:
        delay = _at_least(SHORTEST, config.initial_reconnect_delay)
        return Streaming(base_uri=uri, initial_reconnect_delay=delay)
    return Polling(base_uri=uri, interval=_at_least(SHORTEST, config.poll_interval))


def sends_events(config: AnyConfig) -> bool:
    """Whether the configuration sends analytics events, which without a key nobody takes."""
    is_refused = not config.sdk_key and config.events_base_uri == DEFAULT_EVENTS_URI
    return bool(config.send_events) and not config.offline and not is_refused


def core_config(
    config: AnyConfig,
    *,
    source: Upstream | FileSource | SourceFactory | Any,
    daemon: bool,
    cache: CachePolicy,
    policy: StorePolicy,
    hooks: tuple[Hook, ...],
) -> CoreConfig:
    """Return what the core makes a client of.

    Args:
        config: of the official SDK.
        source: where data comes from; None in daemon mode and offline.
        daemon: whether a store is only read.
        cache: how long what was read from the store counts as fresh.
        policy: for the store.
        hooks: those of the configuration and of its plugins.

    Raises:
        ConfigError: a setting cannot work.
    """
    is_connected = isinstance(source, Streaming | Polling)
    makes_events = sends_events(config) and config.event_processor_class is None
    return CoreConfig(
        sdk_key=config.sdk_key,
        source=source,
        daemon=daemon,
        offline=config.offline,
        defaults=config._defaults,
        cache=cache,
        store_policy=policy,
        payload_filter=config.payload_filter_key if is_connected else None,
        http=_http(config.http) if is_connected or makes_events else HttpSettings(),
        events=_events(config) if makes_events else EventSettings(),
        send_events=makes_events,
        big_segments=_big_segments(config.big_segments),
        application=Application(**config.application),
        wrapper=Wrapper(
            name=str(config.wrapper_name or ""), version=str(config.wrapper_version or "")
        ),
        hooks=hooks,
    )


def _http(http: Any) -> HttpSettings:
    return HttpSettings(
        connect_timeout=_timeout(http.connect_timeout),
        read_timeout=_timeout(http.read_timeout),
        proxy=http.http_proxy or None,
        ca_file=http.ca_certs or None,
        cert_file=http.cert_file or None,
        verify=not http.disable_ssl_verification,
    )


def _events(config: AnyConfig) -> EventSettings:
    return EventSettings(
        base_uri=config.events_base_uri,
        capacity=_count(config.events_max_pending),
        flush_interval=_at_least(SHORTEST_INTERVAL, config.flush_interval),
        all_attributes_private=config.all_attributes_private,
        private_attributes=tuple(config.private_attributes),
        context_keys_capacity=_count(config.context_keys_capacity),
        context_keys_flush_interval=_at_least(
            SHORTEST_INTERVAL, config.context_keys_flush_interval
        ),
        compress=config.enable_event_compression,
        omit_anonymous_contexts=config.omit_anonymous_contexts,
        diagnostics=not config.diagnostic_opt_out,
        diagnostic_interval=_at_least(SHORTEST, config.diagnostic_recording_interval),
    )


def _big_segments(given: Any) -> BigSegmentSettings:
    return BigSegmentSettings(
        context_cache_size=_count(given.context_cache_size),
        context_cache_time=_at_least(SHORTEST, given.context_cache_time),
        status_poll_interval=_at_least(SHORTEST_INTERVAL, given.status_poll_interval),
        stale_after=_at_least(SHORTEST, given.stale_after),
    )


def _timeout(seconds: float | None) -> float:
    """Return a timeout of HTTP; 0 and less are the core's to refuse."""
    return FOR_EVER if seconds is None or seconds == math.inf else seconds


def _at_least(least: float, seconds: float) -> float:
    return float(min(max(least, seconds), FOR_EVER))


def _count(value: float) -> int:
    return int(min(max(1, value), FOR_EVER))
