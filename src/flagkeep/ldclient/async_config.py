"""`AsyncConfig`: how an `AsyncLDClient` is set up."""

from dataclasses import dataclass
from typing import Any

from flagkeep.ldclient import _settings
from flagkeep.ldclient._config_base import BigSegmentsBase, ConfigBase
from flagkeep.ldclient.async_feature_store import AsyncInMemoryFeatureStore
from flagkeep.ldclient.config import DataSourceBuilder, HTTPConfig
from flagkeep.ldclient.hook import AsyncHook, Hook
from flagkeep.ldclient.interfaces import (
    AsyncBigSegmentStore,
    AsyncDataSourceUpdateSink,
    AsyncFeatureStore,
    DataStoreMode,
)
from flagkeep.ldclient.plugin import AsyncPlugin

__all__ = ["AsyncBigSegmentsConfig", "AsyncConfig", "AsyncDataSystemConfig"]


class AsyncBigSegmentsConfig(BigSegmentsBase[AsyncBigSegmentStore]):
    """How Big Segments are read by an `AsyncLDClient`."""


@dataclass(frozen=True)
class AsyncDataSystemConfig:
    """Settings of the second data system, which this release does not have.

    Attributes:
        initializers: tried in order for a first set of data.
        synchronizers: tried in order to keep it current.
        data_store_mode: whether `data_store` is written to.
        data_store: a persistent store.
        fdv1_fallback_synchronizer: used if the service asks for it.
    """

    initializers: list[DataSourceBuilder[Any]] | None = None
    synchronizers: list[DataSourceBuilder[Any]] | None = None
    data_store_mode: DataStoreMode = DataStoreMode.READ_WRITE
    data_store: AsyncFeatureStore | None = None
    fdv1_fallback_synchronizer: DataSourceBuilder[Any] | None = None


class AsyncConfig(
    ConfigBase[
        AsyncBigSegmentsConfig,
        AsyncDataSystemConfig,
        AsyncHook | Hook,
        AsyncPlugin,
        AsyncDataSourceUpdateSink,
    ]
):
    """Settings of an `AsyncLDClient`. They cannot be changed, and may serve several clients.

    What each of them means, and what is refused, is said where they are: at `ConfigBase`.
    """

    _parts = _settings.Parts(
        is_async=True,
        store=AsyncInMemoryFeatureStore,
        big_segments=AsyncBigSegmentsConfig,
        http=HTTPConfig,
        hooks=(Hook, AsyncHook),
        plugins=(AsyncPlugin,),
    )
