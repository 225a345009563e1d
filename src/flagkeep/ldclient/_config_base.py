"""What `Config` and `AsyncConfig` have in common, which is nearly everything.

Settings are checked here, at once, but nothing that the official SDK accepts and can use is
refused.
"""

import copy
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, Self, TypeVar

from flagkeep.errors import NotBuiltYet
from flagkeep.ldclient import _settings

if TYPE_CHECKING:  # its module needs this one
    from flagkeep.ldclient.config import HTTPConfig

BigSegmentsT = TypeVar("BigSegmentsT")
DataSystemT = TypeVar("DataSystemT")
HookT = TypeVar("HookT")
PluginT = TypeVar("PluginT")
SinkT = TypeVar("SinkT")
StoreT = TypeVar("StoreT")

DEFAULT_BASE_URI: Final = "https://app.launchdarkly.com"
DEFAULT_EVENTS_URI: Final = "https://events.launchdarkly.com"
DEFAULT_STREAM_URI: Final = "https://stream.launchdarkly.com"
DEFAULT_POLL_INTERVAL: Final = 30
DEFAULT_INITIAL_RECONNECT_DELAY: Final = 1
GET_LATEST_FEATURES_PATH: Final = "/sdk/latest-flags"
STREAM_FLAGS_PATH: Final = "/flags"

_DEFAULT_HTTP: Final[Any] = object()


class BigSegmentsBase(Generic[StoreT]):
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
        store: StoreT | None = None,
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


class ConfigBase(Generic[BigSegmentsT, DataSystemT, HookT, PluginT, SinkT]):
    """Settings of a client. They cannot be changed, and may serve several clients.

    A subclass says in `_parts` which classes its parts have.

    Attributes:
        sdk_key: names the environment; not needed with `use_ldd`, `offline`, files, test data.
        base_uri: where polling requests go.
        events_base_uri: where events go, as configured by `events_uri`.
        stream_base_uri: where streaming requests go, as configured by `stream_uri`.
        events_max_pending: how many events wait for delivery at most.
        flush_interval: seconds between deliveries of events.
        stream: stream rather than poll.
        initial_reconnect_delay: seconds before the first attempt to connect again.
        send_events: whether analytics events are sent; by default unless offline.
        update_processor_class: a source of data instead of LaunchDarkly: `TestData`, `Files`, or
            anything that is called with a configuration, a store and an event to set, and returns
            an update processor.
        poll_interval: seconds between polls, at least 30.
        use_ldd: only read the feature store, which some other process fills.
        feature_store: where data is kept: in memory by default, a store of `flagkeep.stores`, or
            any feature store.
        feature_requester_class: what polls; called with a configuration.
        event_processor_class: what takes events; called with a configuration.
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
        plugins: add hooks, and get to know the client.
        enable_event_compression: compress events.
        omit_anonymous_contexts: leave anonymous contexts out of some events.
        payload_filter_key: the name of a filter of the environment's data.
        datasystem_config: the second data system instead of all of this.
        data_source_update_sink: where a custom source delivers; None before there is a client.

    Raises:
        ConfigError: a setting cannot work.
        NotBuiltYet: `datasystem_config` was given.
    """

    _parts: _settings.Parts
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
    http: "HTTPConfig"
    big_segments: BigSegmentsT
    application: dict[str, str]
    hooks: list[HookT]
    plugins: list[PluginT]
    enable_event_compression: bool
    omit_anonymous_contexts: bool
    payload_filter_key: str | None
    datasystem_config: DataSystemT | None
    data_source_update_sink: SinkT | None

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
        http: "HTTPConfig" = _DEFAULT_HTTP,
        big_segments: BigSegmentsT | None = None,
        application: Mapping[str, str] | None = None,
        hooks: Iterable[HookT] | None = None,
        plugins: Iterable[PluginT] | None = None,
        enable_event_compression: bool = False,
        omit_anonymous_contexts: bool = False,
        payload_filter_key: str | None = None,
        datasystem_config: DataSystemT | None = None,
    ) -> None:
        given = dict(locals())
        del given["self"]
        if sdk_key is _settings.NO_KEY:
            made = type(self).__name__
            message = f"{made} without an SDK key: give sdk_key, which may be any text offline"
            warnings.warn(message, DeprecationWarning, stacklevel=2)
        if http is _DEFAULT_HTTP:
            given["http"] = None
        settings = _settings.checked(given, self._parts)
        if settings["datasystem_config"] is not None:
            raise NotBuiltYet(
                f"{type(self).__name__}(datasystem_config=…), the second data system,"
            )
        self.__dict__["_defaults"] = settings.pop("defaults")
        self.__dict__.update(settings, data_source_update_sink=None)

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

    def _serving(self, sink: SinkT) -> Self:
        """Return a copy for the custom source of one client."""
        return self._with(data_source_update_sink=sink)

    def _with(self, **changed: Any) -> Self:
        twin = copy.copy(self)
        twin.__dict__.update(changed)
        return twin

    def __setattr__(self, name: str, value: object) -> NoReturn:
        made = type(self).__name__
        raise AttributeError(f"{name}: settings cannot be changed, make a new {made}")
