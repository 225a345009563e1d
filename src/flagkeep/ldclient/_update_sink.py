"""What a custom source may use instead of its store: it can also say how it is doing."""

import time
from collections.abc import Mapping
from typing import Any

from flagkeep.errors import InvalidItem
from flagkeep.ldclient._bridge import CustomSource
from flagkeep.ldclient.feature_store import InMemoryFeatureStore
from flagkeep.ldclient.interfaces import (
    DataSourceErrorInfo,
    DataSourceErrorKind,
    DataSourceState,
    DataSourceStatus,
    DataSourceUpdateSink,
)
from flagkeep.ldclient.versioned_data_kind import VersionedDataKind
from flagkeep.model.status import SourceError, SourceErrorKind, SourceState, SourceStatus


class UpdateSink(DataSourceUpdateSink):
    """Data goes to the store; an item that cannot be used is also a state of the source."""

    def __init__(self, store: InMemoryFeatureStore, source: CustomSource) -> None:
        self._store = store
        self._source = source

    def init(self, all_data: Mapping[VersionedDataKind, Mapping[str, Any]]) -> None:
        """Take a full set."""
        try:
            self._store.init(all_data)
        except ValueError as exc:
            self._refuse(exc)
            raise

    def upsert(self, kind: VersionedDataKind, item: Any) -> None:
        """Take an item."""
        try:
            self._store.upsert(kind, item)
        except InvalidItem as exc:
            self._refuse(exc)
            raise

    def delete(self, kind: VersionedDataKind, key: str, version: int) -> None:
        """Take a deletion."""
        self._store.delete(kind, key, version)

    def update_status(
        self, new_state: DataSourceState, new_error: DataSourceErrorInfo | None
    ) -> None:
        """Take how the source is doing."""
        error = None if new_error is None else as_core(new_error)
        self._source.report(SourceState(new_state.value), error)

    def _refuse(self, exc: ValueError) -> None:
        error = SourceError(SourceErrorKind.INVALID_DATA, str(exc), time.time())
        self._source.report(SourceState.INTERRUPTED, error)


def as_official(status: SourceStatus) -> DataSourceStatus:
    """Return a status of the core as applications of the official SDK know it."""
    error = None if status.error is None else as_error_info(status.error)
    return DataSourceStatus(DataSourceState(status.state.value), status.since, error)


def as_error_info(error: SourceError) -> DataSourceErrorInfo:
    """Return a failure as applications of the official SDK know it."""
    kind = DataSourceErrorKind(error.kind.value)
    return DataSourceErrorInfo(kind, error.status_code or 0, error.time, error.message)


def as_core(error: DataSourceErrorInfo) -> SourceError:
    """Return a failure as the core knows it."""
    return SourceError(
        SourceErrorKind(error.kind.value),
        error.message or "",
        error.time,
        error.status_code or None,
    )
