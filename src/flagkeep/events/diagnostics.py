"""Statistics of the client itself, for the upstream (events spec, section 10)."""

from collections import deque
from typing import Any, Final, final

import msgspec

from flagkeep.config import (
    EVENTS_URI,
    POLL_URI,
    STREAM_URI,
    Config,
    Polling,
    Streaming,
    Wrapper,
)
from flagkeep.events.encoding import Shape, encode
from flagkeep.version import VERSION

SDK_NAME: Final = "python-server-sdk"
KEPT_STREAM_INITS: Final = 1000
"""Attempts to connect that are remembered from one event to the next."""

_SYSTEMS: Final = {"Darwin": "MacOS"}
_STORE_TYPES: Final = {
    "memory": "memory",
    "redis": "Redis",
    "dynamodb": "DynamoDB",
    "consul": "Consul",
}


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """What the client runs on, as the module `platform` of the standard library calls it.

    Attributes:
        system: such as `Linux`.
        release: of the system.
        machine: such as `x86_64`.
        python_version: such as `3.12.1`.
        python_implementation: such as `CPython`.
    """

    system: str
    release: str
    machine: str
    python_version: str
    python_implementation: str


class _StreamInit(Shape, frozen=True):
    timestamp: int
    duration_millis: int
    failed: bool


class _Ident(Shape, frozen=True):
    diagnostic_id: str
    sdk_key_suffix: str


class _Init(Shape, frozen=True, tag_field="kind", tag="diagnostic-init"):
    creation_date: int
    id: _Ident
    sdk: dict[str, Any]
    platform: dict[str, Any]
    configuration: dict[str, Any]


class _Periodic(Shape, frozen=True, tag_field="kind", tag="diagnostic"):
    creation_date: int
    id: _Ident
    data_since_date: int
    dropped_events: int
    deduplicated_users: int
    events_in_last_batch: int
    stream_inits: list[_StreamInit]


@final
class Diagnostics:
    """Counts what happens to the client, and reports it. Threads may record at any time."""

    def __init__(self, diagnostic_id: str, sdk_key: str, now_ms: int) -> None:
        """Begin to count.

        Args:
            diagnostic_id: a UUID that stands for this client.
            sdk_key: of which the last six characters are sent.
            now_ms: milliseconds since the epoch.
        """
        self._id = _Ident(diagnostic_id, sdk_key[-6:])
        self._since_ms = now_ms
        self._stream_inits: deque[_StreamInit] = deque(maxlen=KEPT_STREAM_INITS)
        self._in_last_batch = 0

    def record_stream_init(self, started_ms: int, duration_ms: int, *, failed: bool) -> None:
        """Take down an attempt to connect, once its first payload came, or it failed."""
        self._stream_inits.append(_StreamInit(started_ms, duration_ms, failed))

    def record_batch(self, events: int) -> None:
        """Take down how many events the last payload had."""
        self._in_last_batch = events

    def init_event(
        self, now_ms: int, *, config: Config, data_store_type: str, platform: Platform
    ) -> bytes:
        """Return the event of a client's start.

        Args:
            data_store_type: see the function of that name.
        """
        configuration = _configuration(config, data_store_type)
        sdk = _sdk(config.wrapper)
        return encode(_Init(now_ms, self._id, sdk, _platform(platform), configuration))

    def periodic_event(self, now_ms: int, *, dropped: int, deduplicated: int) -> bytes:
        """Return the event of what was counted, and count from zero again.

        Args:
            dropped: events that were lost since the last one.
            deduplicated: contexts that were seen again since then, and not described again.
        """
        inits = []
        while self._stream_inits:
            inits.append(self._stream_inits.popleft())
        since, self._since_ms = self._since_ms, now_ms
        batch, self._in_last_batch = self._in_last_batch, 0
        return encode(_Periodic(now_ms, self._id, since, dropped, deduplicated, batch, inits))


def data_store_type(store: str | None) -> str:
    """Return what the upstream calls the store of that name; None: there is none."""
    return "memory" if store is None else _STORE_TYPES.get(store, "custom")


def _sdk(wrapper: Wrapper) -> dict[str, Any]:
    return {
        "name": SDK_NAME,
        "version": VERSION,
        "wrapperName": wrapper.name or None,
        "wrapperVersion": wrapper.version or None,
    }


def _platform(platform: Platform) -> dict[str, Any]:
    return {
        "name": "python",
        "osArch": platform.machine,
        "osName": _SYSTEMS.get(platform.system, platform.system),
        "osVersion": platform.release,
        "pythonVersion": platform.python_version,
        "pythonImplementation": platform.python_implementation,
    }


def _configuration(config: Config, store_type: str) -> dict[str, Any]:
    source, events = config.source, config.events
    polling = source if isinstance(source, Polling) else Polling()
    streaming = source if isinstance(source, Streaming) else Streaming()
    return {
        "customBaseURI": polling.base_uri != POLL_URI,
        "customEventsURI": events.base_uri != EVENTS_URI,
        "customStreamURI": streaming.base_uri != STREAM_URI,
        "eventsCapacity": events.capacity,
        "connectTimeoutMillis": _milliseconds(config.http.connect_timeout),
        "socketTimeoutMillis": _milliseconds(config.http.read_timeout),
        "eventsFlushIntervalMillis": _milliseconds(events.flush_interval),
        "pollingIntervalMillis": _milliseconds(polling.interval),
        "userKeysCapacity": events.context_keys_capacity,
        "userKeysFlushIntervalMillis": _milliseconds(events.context_keys_flush_interval),
        "diagnosticRecordingIntervalMillis": _milliseconds(events.diagnostic_interval),
        "usingProxy": config.http.proxy is not None,
        "streamingDisabled": not (source is None or isinstance(source, Streaming)),
        "usingRelayDaemon": config.daemon,
        "allAttributesPrivate": events.all_attributes_private,
        "dataStoreType": store_type,
    }


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
