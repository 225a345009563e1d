"""`Config`: how a client is set up.

Settings are checked here, at once, but nothing that the official SDK accepts and can use is
refused. A setting that asks for a part of the SDK which this release lacks raises `NotBuiltYet`.
"""

import copy
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Protocol, TypeVar

from flagkeep.ldclient import _settings, _unbuilt
from flagkeep.ldclient.feature_store import InMemoryFeatureStore
from flagkeep.ldclient.hook import Hook
from flagkeep.ldclient.interfaces import (
    BigSegmentStore,
    DataSourceUpdateSink,
    DataStoreMode,
    FeatureStore,
)
from flagkeep.ldclient.plugin import Plugin

T_co = TypeVar("T_co", covariant=True)

DEFAULT_BASE_URI: Final = "https://app.launchdarkly.com"
DEFAULT_EVENTS_URI: Final = "https://events.launchdarkly.com"
DEFAULT_STREAM_URI: Final = "https://stream.launchdarkly.com"
DEFAULT_POLL_INTERVAL: Final = 30
DEFAULT_INITIAL_RECONNECT_DELAY: Final = 1
GET_LATEST_FEATURES_PATH: Final = "/sdk/latest-flags"
STREAM_FLAGS_PATH: Final = "/flags"


class BigSegmentsConfig:
    """How Big Segments are read.

    Attributes:
        store: where memberships are kept; None: there are no Big Segments.
        context_cache_size: how many contexts' memberships are kept in memory.
        context_cache_time: for how many seconds.
        status_poll_interval: seconds between two looks at the store's status.
        stale_after: seconds after which data that was not refreshed counts as stale.
    """

    def __init__(
        self,
        store: BigSegmentStore | None = None,
        context_cache_size: int = 1000,
        context_cache_time: float = 5,
        status_poll_interval: float = 5,
        stale_after: float = 120,
    ) -> None:
        self.store = store
        self.context_cache_size = context_cache_size
        self.context_cache_time = context_cache_time
        self.status_poll_interval = status_poll_interval
        self.stale_after = stale_after


class HTTPConfig:
    """How HTTP requests are made.

    Attributes:
        connect_timeout: seconds.
        read_timeout: seconds.
        http_proxy: URL of a proxy.
        ca_certs: file of certificates to trust.
        cert_file: file of the certificate to show.
        disable_ssl_verification: trust any server.
    """

    def __init__(
        self,
        connect_timeout: float = 10,
        read_timeout: float = 15,
        http_proxy: str | None = None,
        ca_certs: str | None = None,
        cert_file: str | None = None,
        disable_ssl_verification: bool = False,
    ) -> None:
        self.connect_timeout = connect_timeout
        self.read_timeout = read_timeout
        self.http_proxy = http_proxy
        self.ca_certs = ca_certs
        self.cert_file = cert_file
        self.disable_ssl_verification = disable_ssl_verification


class DataSourceBuilderConfig(Protocol):
    """What a builder of the second data system needs to know of the configuration."""

    @property
    def sdk_key(self) -> str:
        """Names the environment."""
        ...

    @property
    def application(self) -> dict[str, str]:
        """`id` and `version` of the application."""
        ...

    @property
    def wrapper_name(self) -> str | None:
        """A library around the SDK."""
        ...

    @property
    def wrapper_version(self) -> str | None:
        """The version of that library."""
        ...

    @property
    def base_uri(self) -> str:
        """Where polling requests go."""
        ...

    @property
    def stream_base_uri(self) -> str:
        """Where streaming requests go."""
        ...

    @property
    def http(self) -> HTTPConfig:
        """How requests are made."""
        ...

    @property
    def initial_reconnect_delay(self) -> float:
        """Seconds before the first attempt to connect again."""
        ...

    @property
    def poll_interval(self) -> float:
        """Seconds between polls."""
        ...

    @property
    def payload_filter_key(self) -> str | None:
        """The name of a filter of the environment's data."""
        ...


class DataSourceBuilder(Protocol[T_co]):
    """Makes a source for the second data system, which this release does not have."""

    def build(self, config: DataSourceBuilderConfig) -> T_co:
        """Return the source."""
        ...


@dataclass(frozen=True)
class DataSystemConfig:
    """Settings of the second data system, which this release does not have.

    Attributes:
        initializers: tried in order for a first set of data.
        synchronizers: tried in order to keep it current.
        data_store_mode: whether `data_store` is written to.
        data_store: a persistent store.
        fdv1_fallback_synchronizer: used if the service asks for it.
    """

    initializers: list[DataSourceBuilder[Any]] | None
    synchronizers: list[DataSourceBuilder[Any]] | None
    data_store_mode: DataStoreMode = DataStoreMode.READ_WRITE
    data_store: FeatureStore | None = None
    fdv1_fallback_synchronizer: DataSourceBuilder[Any] | None = None


class Config:
    """Settings of a client. They cannot be changed, and may serve several clients.

    Attributes:
        sdk_key: names the environment; not needed with `use_ldd`, `offline`, files, test data.
        base_uri: where polling requests go.
        events_base_uri: where events go, as configured by `events_uri`.
        events_uri: the same with its path.
        stream_base_uri: where streaming requests go, as configured by `stream_uri`.
        stream_uri: the same with a path that is not used any more.
        get_latest_flags_uri: not used any more.
        events_max_pending: how many events wait for delivery at most.
        flush_interval: seconds between deliveries of events.
        stream: stream rather than poll.
        initial_reconnect_delay: seconds before the first attempt to connect again.
        send_events: whether analytics events are sent; by default unless offline.
        update_processor_class: a source of data instead of LaunchDarkly: `TestData`, `Files`, or
            anything that is called with a configuration, a store and a `threading.Event`, and
            returns an `UpdateProcessor`.
        poll_interval: seconds between polls, at least 30.
        use_ldd: only read the feature store, which some other process fills.
        feature_store: where data is kept: in memory by default, a store of `flagkeep.stores`,
            or any `FeatureStore`.
        feature_requester_class: what polls.
        event_processor_class: what takes events.
        private_attributes: left out of events, for all contexts.
        all_attributes_private: leave out all.
        offline: ask nobody; every evaluation gives its default.
        context_keys_capacity: how many contexts are remembered so as not to describe them twice.
        context_keys_flush_interval: seconds after which they are forgotten.
        diagnostic_opt_out: send no diagnostic data.
        diagnostic_recording_interval: seconds between sending it, at least 60.
        wrapper_name: of a library around this one.
        wrapper_version: of that library.
        http: how requests are made.
        big_segments: how Big Segments are read.
        application: `id` and `version` of the application; both are always there.
        hooks: run before and after evaluations.
        plugins: add hooks.
        enable_event_compression: compress events.
        omit_anonymous_contexts: leave anonymous contexts out of some events.
        payload_filter_key: the name of a filter of the environment's data.
        datasystem_config: the second data system instead of all of this.
        data_source_update_sink: where a custom source delivers; None before there is a client.

    Raises:
        ConfigError: a setting cannot work.
        NotBuiltYet: a setting asks for what this release lacks. Settings without effect in
            their configuration (events when they are not sent, connections in a configuration
            that connects to nobody) are let in.
    """

    _defaults: dict[str, Any]
    sdk_key: str
    base_uri: str
    events_base_uri: str
    stream_base_uri: str
    events_max_pending: int
    flush_interval: float
    stream: bool
    initial_reconnect_delay: float
    send_events: bool
    update_processor_class: Callable[..., Any] | None
    poll_interval: float
    use_ldd: bool
    feature_store: Any
    feature_requester_class: Callable[..., Any] | None
    event_processor_class: Callable[..., Any] | None
    private_attributes: list[str]
    all_attributes_private: bool
    offline: bool
    context_keys_capacity: int
    context_keys_flush_interval: float
    diagnostic_opt_out: bool
    diagnostic_recording_interval: int
    wrapper_name: str | None
    wrapper_version: str | None
    http: HTTPConfig
    big_segments: BigSegmentsConfig
    application: dict[str, str]
    hooks: list[Hook]
    plugins: list[Plugin]
    enable_event_compression: bool
    omit_anonymous_contexts: bool
    payload_filter_key: str | None
    datasystem_config: DataSystemConfig | None
    data_source_update_sink: DataSourceUpdateSink | None

    def __init__(
        self,
        sdk_key: str = _settings.NO_KEY,
        base_uri: str = DEFAULT_BASE_URI,
        events_uri: str = DEFAULT_EVENTS_URI,
        events_max_pending: int = 10000,
        flush_interval: float = 5,
        stream_uri: str = DEFAULT_STREAM_URI,
        stream: bool = True,
        initial_reconnect_delay: float = DEFAULT_INITIAL_RECONNECT_DELAY,
        defaults: Mapping[str, Any] = {},
        send_events: bool | None = None,
        update_processor_class: Callable[..., Any] | None = None,
        poll_interval: float = DEFAULT_POLL_INTERVAL,
        use_ldd: bool = False,
        feature_store: Any = None,
        feature_requester_class: Callable[..., Any] | None = None,
        event_processor_class: Callable[..., Any] | None = None,
        private_attributes: Iterable[str] = set(),
        all_attributes_private: bool = False,
        offline: bool = False,
        context_keys_capacity: int = 1000,
        context_keys_flush_interval: float = 300,
        diagnostic_opt_out: bool = False,
        diagnostic_recording_interval: int = 900,
        wrapper_name: str | None = None,
        wrapper_version: str | None = None,
        http: HTTPConfig = HTTPConfig(),  # noqa: B008  only read
        big_segments: BigSegmentsConfig | None = None,
        application: Mapping[str, str] | None = None,
        hooks: Iterable[Hook] | None = None,
        plugins: Iterable[Plugin] | None = None,
        enable_event_compression: bool = False,
        omit_anonymous_contexts: bool = False,
        payload_filter_key: str | None = None,
        datasystem_config: DataSystemConfig | None = None,
    ) -> None:
        given = dict(locals())
        del given["self"]
        if sdk_key is _settings.NO_KEY:
            message = "Config without an SDK key: give sdk_key, which may be any text offline"
            warnings.warn(message, DeprecationWarning, stacklevel=2)
        settings = _settings.checked(given)
        self.__dict__["_defaults"] = settings.pop("defaults")
        self.__dict__.update(settings, data_source_update_sink=None)
        if settings["feature_store"] is None:
            self.__dict__["feature_store"] = InMemoryFeatureStore()
        if settings["big_segments"] is None:
            self.__dict__["big_segments"] = BigSegmentsConfig()
        if settings["http"] is None:
            self.__dict__["http"] = HTTPConfig()
        _unbuilt.refuse(self, given)

    @property
    def events_uri(self) -> str:
        """Where events go, with the path."""
        return self.events_base_uri + "/bulk"

    @property
    def stream_uri(self) -> str:
        """Where streaming requests go, with a path that is not used any more."""
        return self.stream_base_uri + STREAM_FLAGS_PATH

    @property
    def get_latest_flags_uri(self) -> str:
        """Not used any more."""
        return self.base_uri + GET_LATEST_FEATURES_PATH

    def get_default(self, key: str, default: Any) -> Any:
        """Return the default of a flag that outranks the caller's, if there is one."""
        return self._defaults.get(key, default)

    def copy_with_new_sdk_key(self, new_sdk_key: str) -> "Config":
        """Return a copy with another SDK key and everything else the same.

        Deprecated: make a configuration with that key.
        """
        message = "copy_with_new_sdk_key is deprecated: make a Config with that key"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return self._with(sdk_key=_settings.sdk_key("sdk_key", new_sdk_key))

    def with_wrapper_information(
        self, wrapper_name: str | None, wrapper_version: str | None = None
    ) -> "Config":
        """Return a copy that names a library around the SDK."""
        return self._with(wrapper_name=wrapper_name, wrapper_version=wrapper_version)

    def _serving(self, sink: DataSourceUpdateSink) -> "Config":
        """Return a copy for the custom source of one client."""
        return self._with(data_source_update_sink=sink)

    def _with(self, **changed: Any) -> "Config":
        twin = copy.copy(self)
        twin.__dict__.update(changed)
        return twin

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{name}: a Config cannot be changed, make a new one")
