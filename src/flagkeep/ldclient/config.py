"""`Config`: how a client is set up."""

import warnings
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from flagkeep.ldclient import _config_base, _settings
from flagkeep.ldclient._config_base import BigSegmentsBase, ConfigBase
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

DEFAULT_BASE_URI: Final = _config_base.DEFAULT_BASE_URI
DEFAULT_EVENTS_URI: Final = _config_base.DEFAULT_EVENTS_URI
DEFAULT_STREAM_URI: Final = _config_base.DEFAULT_STREAM_URI
DEFAULT_POLL_INTERVAL: Final = _config_base.DEFAULT_POLL_INTERVAL
DEFAULT_INITIAL_RECONNECT_DELAY: Final = _config_base.DEFAULT_INITIAL_RECONNECT_DELAY
GET_LATEST_FEATURES_PATH: Final = _config_base.GET_LATEST_FEATURES_PATH
STREAM_FLAGS_PATH: Final = _config_base.STREAM_FLAGS_PATH


class BigSegmentsConfig(BigSegmentsBase[BigSegmentStore]):
    """How Big Segments are read by an `LDClient`."""


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


class Config(ConfigBase[BigSegmentsConfig, DataSystemConfig, Hook, Plugin, DataSourceUpdateSink]):
    """Settings of an `LDClient`. They cannot be changed, and may serve several clients.

    What each of them means, and what is refused, is said where they are: at `ConfigBase`.
    """

    _parts = _settings.Parts(
        is_async=False,
        store=InMemoryFeatureStore,
        big_segments=BigSegmentsConfig,
        http=HTTPConfig,
        hooks=(Hook,),
        plugins=(Plugin,),
    )

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
