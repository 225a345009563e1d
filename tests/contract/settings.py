"""The harness' configuration as the settings of a client."""

import math
from collections.abc import Callable
from typing import Any

import msgspec

from flagkeep import (
    Application,
    BigSegmentSettings,
    CachePolicy,
    Config,
    EventSettings,
    HttpSettings,
    Polling,
    StorePolicy,
    Streaming,
    Wrapper,
)
from flagkeep.config import EVENTS_URI, POLL_URI, STREAM_URI
from tests.contract import messages
from tests.contract.callbacks import CallbackBigSegments, CallbackHook
from tests.contract.colours import Colour, Outside

START_WAIT_MS = 5000.0
STORE_PREFIX = "launchdarkly"
DYNAMODB_TABLE = "sdk-contract-tests"
DYNAMODB = {"region": "us-east-1", "access_key_id": "dummy", "secret_access_key": "dummy"}

# The persistence tests encode what the other SDKs do with a store, and nothing beyond it.
LIKE_OTHER_SDKS = StorePolicy(push=False, prefetch=False, repair=False, keep_when_wiped=False)


class Unsupported(Exception):
    """The configuration asks for something that the service did not declare."""


class Plan(msgspec.Struct, frozen=True):
    """How to make a client, and how long to wait for it.

    Attributes:
        config: its settings.
        arguments: the stores, as keyword arguments of its constructor.
        start_wait: seconds to wait for flag data.
        may_fail: whether having none by then is no error.
    """

    config: Config
    arguments: dict[str, Any]
    start_wait: float
    may_fail: bool


def plan(given: messages.Configuration, colour: Colour, outside: Outside) -> Plan:
    """Return what the configuration asks for; call it where clients live."""
    config = Config(
        sdk_key=given.credential,
        source=_source(given),
        daemon=_source(given) is None,
        cache=_cache(given),
        store_policy=None if given.persistent_data_store is None else LIKE_OTHER_SDKS,
        payload_filter=_filter(given),
        http=_http(given),
        events=_events(given),
        send_events=given.events is not None,
        big_segments=_big_segments(given),
        application=_application(given),
        wrapper=_wrapper(given),
        hooks=_hooks(given, outside),
    )
    must_refuse = _must_refuse_the_server(given)
    return Plan(
        config,
        _stores(given, colour, outside),
        0.0 if must_refuse else (given.start_wait_time_ms or START_WAIT_MS) / 1000,
        may_fail=must_refuse or bool(given.init_can_fail),
    )


def _source(given: messages.Configuration) -> Streaming | Polling | None:
    """Return how flag data arrives; None: only from the store."""
    endpoints = given.service_endpoints or messages.Endpoints()
    if given.streaming is not None or (given.polling is None and endpoints.streaming):
        section = given.streaming or messages.StreamingSection()
        return Streaming(
            base_uri=section.base_uri or endpoints.streaming or STREAM_URI,
            **_seconds(initial_reconnect_delay=section.initial_retry_delay_ms),
        )
    if given.polling is not None or endpoints.polling:
        polling = given.polling or messages.PollingSection()
        return Polling(
            base_uri=polling.base_uri or endpoints.polling or POLL_URI,
            **_seconds(interval=polling.poll_interval_ms),
        )
    return None


def _filter(given: messages.Configuration) -> str | None:
    for section in (given.streaming, given.polling):
        if section is not None:
            return section.filter
    return None


def _events(given: messages.Configuration) -> EventSettings:
    section = given.events
    if section is None:
        return EventSettings()
    endpoints = given.service_endpoints or messages.Endpoints()
    return EventSettings(
        base_uri=section.base_uri or endpoints.events or EVENTS_URI,
        all_attributes_private=bool(section.all_attributes_private),
        private_attributes=tuple(section.global_private_attributes or ()),
        compress=bool(section.enable_gzip),
        omit_anonymous_contexts=bool(section.omit_anonymous_contexts),
        diagnostics=bool(section.enable_diagnostics),
        **_given(capacity=section.capacity),
        **_seconds(flush_interval=section.flush_interval_ms),
    )


def _http(given: messages.Configuration) -> HttpSettings:
    tls = given.tls or messages.TLSSection()
    proxy = given.proxy or messages.ProxySection()
    return HttpSettings(
        proxy=proxy.http_proxy or None,
        ca_file=tls.custom_ca_file or None,
        verify=not tls.skip_verify_peer,
    )


def _must_refuse_the_server(given: messages.Configuration) -> bool:
    """Whether the server's certificate is not to be trusted, so that no data can ever come.

    The harness has one self-signed certificate, and does not say that such a client may fail.
    """
    source = _source(given)
    trusts = given.tls is not None and (given.tls.skip_verify_peer or given.tls.custom_ca_file)
    return source is not None and source.base_uri.startswith("https:") and not trusts


def _big_segments(given: messages.Configuration) -> BigSegmentSettings:
    section = given.big_segments
    if section is None:
        return BigSegmentSettings()
    return BigSegmentSettings(
        **_given(context_cache_size=section.user_cache_size),
        **_seconds(
            context_cache_time=section.user_cache_time_ms,
            status_poll_interval=section.status_poll_interval_ms,
            stale_after=section.stale_after_ms,
        ),
    )


def _application(given: messages.Configuration) -> Application:
    tags = given.tags or messages.TagsSection()
    return Application(id=tags.application_id or "", version=tags.application_version or "")


def _wrapper(given: messages.Configuration) -> Wrapper:
    section = given.wrapper or messages.WrapperSection()
    return Wrapper(name=section.name or "", version=section.version or "")


def _hooks(given: messages.Configuration, outside: Outside) -> tuple[CallbackHook, ...]:
    sections = (given.hooks.hooks if given.hooks is not None else None) or ()
    return tuple(CallbackHook(section, outside) for section in sections)


def _cache(given: messages.Configuration) -> CachePolicy:
    persistence = given.persistent_data_store
    if persistence is None:
        return CachePolicy()
    modes: dict[str, Callable[[], CachePolicy]] = {
        "off": CachePolicy.off,
        "infinite": CachePolicy.forever,
        "ttl": lambda: CachePolicy(persistence.cache.ttl or math.inf),
    }
    return modes[persistence.cache.mode]()


def _stores(given: messages.Configuration, colour: Colour, outside: Outside) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if given.persistent_data_store is not None:
        arguments["store"] = _store(given.persistent_data_store.store, colour)
    elif _source(given) is None:
        arguments["store"] = colour.stores["memory"]()
    if given.big_segments is not None:
        arguments["big_segment_store"] = CallbackBigSegments(
            given.big_segments.callback_uri, outside
        )
    return arguments


def _store(wanted: messages.StoreSection, colour: Colour) -> Any:
    prefix = wanted.prefix or STORE_PREFIX
    match wanted.type:
        case "redis":
            return colour.stores["redis"](wanted.dsn, prefix=prefix)
        case "dynamodb":
            where = {"endpoint": wanted.dsn, "prefix": wanted.prefix or ""}
            return colour.stores["dynamodb"](DYNAMODB_TABLE, **where, **DYNAMODB)
        case "consul":
            return colour.stores["consul"](f"http://{wanted.dsn}", prefix=prefix)
    raise Unsupported(f"there is no store for {wanted.type!r} here")


def _given(**values: Any) -> dict[str, Any]:
    """Return those that were given; 0 stands for the default."""
    return {name: value for name, value in values.items() if value}


def _seconds(**milliseconds: float | None) -> dict[str, Any]:
    """Return those that were given, in seconds; 0 stands for the default."""
    return {name: value / 1000 for name, value in milliseconds.items() if value}
