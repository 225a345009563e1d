"""Checks of the settings of a configuration: each returns what the configuration will hold.

What the official SDK takes and can use is taken; what it takes and dies of later is refused here
with a message that says what to write instead.
"""

import inspect
import logging
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeGuard

import msgspec

from flagkeep.config import FileSource, SourceFactory
from flagkeep.errors import ConfigError

log = logging.getLogger("ldclient.util")


class _NoKey(str):
    """The default of `sdk_key`, to be told from an empty one that was given."""

    __slots__ = ()


NO_KEY: Final = _NoKey()

_PLAIN: Final = re.compile(r"[A-Za-z0-9._-]*")
_KEY_LENGTH: Final = 8192
_TAG_LENGTH: Final = 64
_USUAL_DELAYS: Final = {"initial_reconnect_delay": 1, "poll_interval": 30}
_HTTP_SETTINGS: Final = ("connect_timeout", "read_timeout", "http_proxy", "ca_certs", "cert_file")
_BIG_SEGMENT_NUMBERS: Final = (
    "context_cache_size", "context_cache_time", "status_poll_interval", "stale_after",
)  # fmt: skip
_BIG_SEGMENT_METHODS: Final = ("get_metadata", "get_membership")
_STORE_METHODS: Final = ("get", "all", "init", "upsert", "delete", "initialized")
_CORE_STORE_METHODS: Final = ("get_many", "get_all", "replace", "upsert", "close")
_ASYNC_CORE_STORE_METHODS: Final = ("get_many", "get_all", "replace", "upsert", "aclose")


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The classes of what a configuration is made of: one set for each colour.

    Attributes:
        is_async: whether the client is one for asyncio.
        store: makes the store where none is given.
        big_segments: makes the settings of Big Segments where none are given.
        http: makes the settings of HTTP where none are given.
        hooks: what is a hook; others are dropped.
        plugins: what is a plugin; others are dropped.
    """

    is_async: bool
    store: Callable[[], Any]
    big_segments: Callable[[], Any]
    http: Callable[[], Any]
    hooks: tuple[type, ...]
    plugins: tuple[type, ...]


def checked(given: Mapping[str, Any], parts: Parts) -> dict[str, Any]:
    """Return what a configuration holds, made of the arguments it was given.

    Raises:
        ConfigError: one of them cannot work.
    """
    settings = {name: _CHECKS[name](name, value) for name, value in given.items()}
    for name in ("http", "big_segments"):
        if settings[name] is None:
            settings[name] = getattr(parts, name)()
    settings["feature_store"] = _store(given["feature_store"], parts)
    for name in ("hooks", "plugins"):
        kinds = getattr(parts, name)
        settings[name] = [one for one in settings[name] if isinstance(one, kinds)]
    settings["events_base_uri"] = settings.pop("events_uri")
    settings["stream_base_uri"] = settings.pop("stream_uri")
    settings["poll_interval"] = max(settings["poll_interval"], 30)
    interval = max(settings["diagnostic_recording_interval"], 60)
    settings["diagnostic_recording_interval"] = interval
    if settings["send_events"] is None:
        settings["send_events"] = not settings["offline"]
    return settings


def sdk_key(name: str, value: Any) -> str:  # noqa: ARG001  all checks look alike
    """Return an SDK key, empty if it cannot be one; the log says so, but not which."""
    if not isinstance(value, str):
        return ""
    if len(value) > _KEY_LENGTH:
        log.warning("the SDK key is longer than %d characters and is ignored", _KEY_LENGTH)
        return ""
    if not _PLAIN.fullmatch(value):
        log.warning("the SDK key has characters that no SDK key has and is ignored")
        return ""
    return str.__str__(value)


def is_core_source(value: Any) -> TypeGuard[FileSource | SourceFactory]:
    """Whether the value is a source that the core takes as it is."""
    made = type(value)
    # Not isinstance: a mock has every attribute.
    is_factory = hasattr(made, "source") and hasattr(made, "async_source")
    return isinstance(value, FileSource) or is_factory


def _anything(name: str, value: Any) -> Any:  # noqa: ARG001
    return value


def _flag(name: str, value: Any) -> bool:  # noqa: ARG001
    return bool(value)


def _flag_or_none(name: str, value: Any) -> bool | None:  # noqa: ARG001
    return None if value is None else bool(value)


def _uri(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be a URL, not {_shown(value)}")
    return value.rstrip("/")


def _number(name: str, value: Any) -> float:
    is_number = isinstance(value, int | float) and value == value  # noqa: PLR0124  NaN is not
    if not is_number:
        raise ConfigError(f"{name} must be a number, not {_shown(value)}")
    number: float = value
    return number


def _http(name: str, value: Any) -> Any:
    if value is not None and not all(hasattr(value, one) for one in _HTTP_SETTINGS):
        raise ConfigError(f"{name} must be an HTTPConfig, not {_shown(value)}")
    return value


def _big_segments(name: str, value: Any) -> Any:
    if value is None:
        return None
    if not all(hasattr(value, one) for one in ("store", *_BIG_SEGMENT_NUMBERS)):
        raise ConfigError(f"{name} must be a BigSegmentsConfig, not {_shown(value)}")
    for one in _BIG_SEGMENT_NUMBERS:
        _number(one, getattr(value, one))
    if value.store is not None and not _has(value.store, _BIG_SEGMENT_METHODS):
        problem = f"{name} needs a BigSegmentStore, not {_shown(value.store)}"
        raise ConfigError(problem)
    return value


def _delay(name: str, value: Any) -> float:
    """Return a time between two tries; one that is no time is the usual one."""
    if not isinstance(value, int | float):
        raise ConfigError(f"{name} must be a number, not {_shown(value)}")
    if 0 < value < math.inf:
        return value
    usual = _USUAL_DELAYS[name]
    log.warning("%s is no number of seconds above 0; %s is used", name, usual)
    return usual


def _defaults(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping | None):
        raise ConfigError(f"{name} must be a dict of values by flag key, not {_shown(value)}")
    return dict(value or {})


def _callable(name: str, value: Any) -> Any:
    if value is not None and not callable(value):
        raise ConfigError(f"{name} must be a class or function, not {_shown(value)}")
    return value


def _source(name: str, value: Any) -> Any:
    return value if is_core_source(value) else _callable(name, value)


def _store(value: Any, parts: Parts) -> Any:
    if value is None:
        return parts.store()
    native = _ASYNC_CORE_STORE_METHODS if parts.is_async else _CORE_STORE_METHODS
    is_store = _has(value, _STORE_METHODS) or _has(value, native)
    if is_store and _is_of_colour(value, parts):
        return value
    kind, which = (
        ("an AsyncFeatureStore", "an Async one")
        if parts.is_async
        else ("a FeatureStore", "not an Async one")
    )
    raise ConfigError(
        f"feature_store must be {kind} or a store of flagkeep.stores that is {which},"
        f" not {_shown(value)}"
    )


def _is_of_colour(value: Any, parts: Parts) -> bool:
    """Whether a store's methods are awaited if they should be, as far as one can tell."""
    made = type(value)
    if hasattr(made, "__getattr__"):
        return True
    read = getattr(made, "get_many", None) or getattr(made, "get", None)
    return inspect.iscoroutinefunction(read) is parts.is_async


def _names(name: str, value: Any) -> list[str]:
    if isinstance(value, str):
        log.warning("%s should be a set of names; the text is taken as one name", name)
        return [value]
    return [one for one in _iterated(name, value) if isinstance(one, str)]


def _list(name: str, value: Any) -> list[Any]:
    return list(_iterated(name, value))


def _iterated(name: str, value: Any) -> Iterable[Any]:
    if value is None:
        return ()
    if not isinstance(value, Iterable):
        raise ConfigError(f"{name} must be a list, not {_shown(value)}")
    return value


def _application(name: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping | None):
        raise ConfigError(f"{name} must be a dict with id and version, not {_shown(value)}")
    return {tag: _tag(tag, (value or {}).get(tag)) for tag in ("id", "version")}


def _tag(tag: str, value: Any) -> str:
    if not isinstance(value, str):
        return ""
    if len(value) > _TAG_LENGTH:
        log.warning("application[%s] is longer than %d characters and ignored", tag, _TAG_LENGTH)
        return ""
    if not _PLAIN.fullmatch(value):
        log.warning("application[%s] may have letters, digits, '.', '_', '-'; it is ignored", tag)
        return ""
    return value


def _has(value: Any, names: Iterable[str]) -> bool:
    """Whether the value's class has all these; looked up there, so that no property is called.

    A class that makes up its attributes, such as a mock, has them all.
    """
    made = type(value)
    return hasattr(made, "__getattr__") or all(hasattr(made, name) for name in names)


def _shown(value: Any) -> str:
    """Return a value for a message: its type unless it is harmless, it might be a secret."""
    return repr(value) if isinstance(value, bool | int | float | None) else type(value).__name__


_CHECKS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "sdk_key": sdk_key,
    "base_uri": _uri,
    "events_uri": _uri,
    "events_max_pending": _number,
    "flush_interval": _number,
    "stream_uri": _uri,
    "stream": _flag,
    "initial_reconnect_delay": _delay,
    "defaults": _defaults,
    "send_events": _flag_or_none,
    "update_processor_class": _source,
    "poll_interval": _delay,
    "use_ldd": _flag,
    "feature_store": _anything,
    "feature_requester_class": _callable,
    "event_processor_class": _callable,
    "private_attributes": _names,
    "all_attributes_private": _flag,
    "offline": _flag,
    "context_keys_capacity": _number,
    "context_keys_flush_interval": _number,
    "diagnostic_opt_out": _flag,
    "diagnostic_recording_interval": _number,
    "wrapper_name": _anything,
    "wrapper_version": _anything,
    "http": _http,
    "big_segments": _big_segments,
    "application": _application,
    "hooks": _list,
    "plugins": _list,
    "enable_event_compression": _flag,
    "omit_anonymous_contexts": _flag,
    "payload_filter_key": _anything,
    "datasystem_config": _anything,
}
