"""What a custom source for asyncio may use instead of its store; as `_update_sink`."""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from flagkeep._runtime import aio as runtime
from flagkeep.errors import InvalidItem
from flagkeep.ldclient._aio.bridge import AsyncCustomSource
from flagkeep.ldclient._update_sink import as_core
from flagkeep.ldclient.async_feature_store import AsyncInMemoryFeatureStore
from flagkeep.ldclient.interfaces import (
    AsyncDataSourceUpdateSink,
    DataSourceErrorInfo,
    DataSourceState,
)
from flagkeep.ldclient.versioned_data_kind import VersionedDataKind
from flagkeep.model.status import SourceError, SourceErrorKind, SourceState


class AsyncUpdateSink(AsyncDataSourceUpdateSink):
    """Data goes to the store; an item that cannot be used is also a state of the source."""

    def __init__(self, store: AsyncInMemoryFeatureStore, source: AsyncCustomSource) -> None:
        self._store = store
        self._source = source

    async def init(self, all_data: Mapping[VersionedDataKind, Mapping[str, Any]]) -> None:
        """Take a full set."""
        try:
            await self._store.init(all_data)
        except ValueError as exc:
            await self._refuse(exc)
            raise

    async def upsert(self, kind: VersionedDataKind, item: Any) -> None:
        """Take an item."""
        try:
            await self._store.upsert(kind, item)
        except InvalidItem as exc:
            await self._refuse(exc)
            raise

    async def delete(self, kind: VersionedDataKind, key: str, version: int) -> None:
        """Take a deletion."""
        await self._store.delete(kind, key, version)

    def update_status(
        self, new_state: DataSourceState, new_error: DataSourceErrorInfo | None
    ) -> None:
        """Take how the source is doing; it is reported soon."""
        error = None if new_error is None else as_core(new_error)
        report = partial(self._source.report, SourceState(new_state.value), error)
        runtime.start_stage("flagkeep-status", report)

    async def _refuse(self, exc: ValueError) -> None:
        error = SourceError(SourceErrorKind.INVALID_DATA, str(exc), time.time())
        await self._source.report(SourceState.INTERRUPTED, error)
