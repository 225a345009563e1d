"""One configuration for both clients: settings only, no live objects, safe to share.

Stores are live objects and are handed to the client itself. Settings are checked here, at once.
"""

import logging
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from flagkeep.config.checks import as_tuple, check_parts, check_switches, check_text
from flagkeep.config.events import EVENTS_URI, EventSettings
from flagkeep.config.http import Application, HttpSettings, Wrapper
from flagkeep.config.sources import (
    MIN_POLL_INTERVAL,
    POLL_URI,
    STREAM_URI,
    AsyncSourceFactory,
    FileSource,
    Polling,
    SourceFactory,
    Streaming,
    is_source,
)
from flagkeep.config.stores import BigSegmentSettings, CachePolicy, RedisTLS, StorePolicy
from flagkeep.errors import ConfigError

__all__ = [
    "EVENTS_URI",
    "MIN_POLL_INTERVAL",
    "POLL_URI",
    "STREAM_URI",
    "Application",
    "AsyncSourceFactory",
    "BigSegmentSettings",
    "CachePolicy",
    "Config",
    "EventSettings",
    "FileSource",
    "HttpSettings",
    "Polling",
    "RedisTLS",
    "SourceFactory",
    "StorePolicy",
    "Streaming",
    "Wrapper",
]

log = logging.getLogger("flagkeep.client")

_KEY: Final = re.compile(r"[A-Za-z0-9._-]{1,8192}")
_FILTER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PARTS: Final[Mapping[str, type]] = {
    "cache": CachePolicy,
    "http": HttpSettings,
    "events": EventSettings,
    "big_segments": BigSegmentSettings,
    "application": Application,
    "wrapper": Wrapper,
}


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a client.

    Attributes:
        sdk_key: names the environment upstream; not needed in daemon mode, offline, with files.
        source: where flag data comes from: `Streaming`, `Polling`, `FileSource`, test data, or a
            factory of one's own; None is `Streaming()`.
        daemon: only read the store, which some other process fills.
        offline: no source, no store, no events: every evaluation answers the default.
        defaults: by flag key; outrank the default of the caller.
        cache: how long what was read from the store counts as fresh.
        store_policy: None takes it from the environment variables `FLAGKEEP_*`.
        payload_filter: key of a filter that the upstream applies to the environment.
        http: how servers are reached.
        events: which analytics events are made, and where they go.
        send_events: whether any are; None: if there is an SDK key.
        big_segments: how a Big Segment store is asked, if the client has one.
        application: what the application calls itself.
        wrapper: the library around this one, if there is one.
        hooks: run around every evaluation; see `flagkeep.hooks`.
        plugins: registered with the client once it is made; see `flagkeep.hooks`.
    """

    sdk_key: str = ""
    source: Streaming | Polling | FileSource | SourceFactory | AsyncSourceFactory | None = None
    daemon: bool = False
    offline: bool = False
    defaults: Mapping[str, Any] = {}
    cache: CachePolicy = CachePolicy()
    store_policy: StorePolicy | None = None
    payload_filter: str | None = None
    http: HttpSettings = HttpSettings()
    events: EventSettings = EventSettings()
    send_events: bool | None = None
    big_segments: BigSegmentSettings = BigSegmentSettings()
    application: Application = Application()
    wrapper: Wrapper = Wrapper()
    hooks: Collection[Any] = ()
    plugins: Collection[Any] = ()

    def __post_init__(self) -> None:
        self._check_types()
        if self.sdk_key and not _KEY.fullmatch(self.sdk_key):
            raise ConfigError("sdk_key may have letters, digits, '.', '_' and '-' only, up to 8192")
        if self.daemon and self.source is not None:
            raise ConfigError("daemon=True means that another process has the source: drop one")
        if self.source is not None and not is_source(self.source):
            is_class = isinstance(self.source, type)
            made = "a class: make an object of it" if is_class else type(self.source).__name__
            raise ConfigError(
                "source must be Streaming(), Polling(), a FileSource, TestData, or an object with"
                f" methods source() and async_source(), not {made}"
            )
        if not (self.sdk_key or self.daemon or self.offline or self.source is not None):
            raise ConfigError(
                "sdk_key is needed to connect; daemon=True reads a store that another process"
                " fills, source=… takes flags from elsewhere, offline=True answers defaults"
            )
        if not isinstance(self.defaults, Mapping):
            raise ConfigError("defaults must be a mapping of values by flag key")
        force = msgspec.structs.force_setattr
        force(self, "defaults", dict(self.defaults))
        force(self, "hooks", as_tuple("hooks", self.hooks))
        force(self, "plugins", as_tuple("plugins", self.plugins))
        if self.payload_filter is not None and not (
            isinstance(self.payload_filter, str) and _FILTER.fullmatch(self.payload_filter)
        ):
            log.warning(
                "payload_filter is ignored: a filter's key has letters, digits, '.', '_' and '-',"
                " and begins with a letter or digit"
            )
            force(self, "payload_filter", None)

    def _check_types(self) -> None:
        check_text(self, "sdk_key")
        check_switches(self, "daemon", "offline")
        if self.send_events is not None:
            check_switches(self, "send_events")
        check_parts(self, _PARTS)
        if self.store_policy is not None:
            check_parts(self, {"store_policy": StorePolicy})

    def __repr__(self) -> str:
        key = f"…{self.sdk_key[-4:]}" if len(self.sdk_key) > 8 else ""  # noqa: PLR2004
        return f"Config(sdk_key={key!r}, source={self.source!r}, daemon={self.daemon})"

    @property
    def makes_events(self) -> bool:
        """Whether analytics events are made and sent."""
        wanted = bool(self.sdk_key) if self.send_events is None else self.send_events
        return wanted and not self.offline
