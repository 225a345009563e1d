"""What a client hands out to look at its source, its store, and the changes of its flags.

Listeners of the official SDK are added and removed by themselves; the core returns a function that
removes. `_Listeners` keeps the two together.
"""

import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from flagkeep import hooks
from flagkeep.ldclient._core_settings import AnyConfig
from flagkeep.ldclient._update_sink import as_official
from flagkeep.ldclient.interfaces import (
    AsyncBigSegmentStoreStatusProvider,
    AsyncFlagTracker,
    BigSegmentStoreStatus,
    BigSegmentStoreStatusProvider,
    DataSourceState,
    DataSourceStatus,
    DataSourceStatusProvider,
    DataStoreStatus,
    DataStoreStatusProvider,
    FlagChange,
    FlagTracker,
    FlagValueChange,
)
from flagkeep.model import context as core
from flagkeep.model.status import SourceStatus, StoreStatus

T = TypeVar("T")


class _Listeners(Generic[T]):
    """Who listens, and how to end that. Lists only grow and shrink by atomic steps."""

    def __init__(self) -> None:
        self._all: list[tuple[T, Callable[[], None]]] = []

    def add(self, listener: T, remove: Callable[[], None]) -> None:
        self._all.append((listener, remove))

    def remove(self, listener: T) -> None:
        for entry in list(self._all):
            if entry[0] == listener:
                self._all.remove(entry)
                entry[1]()
                return


class SourceStatuses(DataSourceStatusProvider):
    """The status of a client's source.

    Args:
        client: of the core, of either colour.
        has_source: whether anything supplies the client with data.
        otherwise: the status where nothing does.
    """

    def __init__(self, client: Any, *, has_source: bool, otherwise: DataSourceStatus) -> None:
        self._client = client
        self._has_source = has_source
        self._otherwise = otherwise
        self._listeners: _Listeners[Callable[[DataSourceStatus], Any]] = _Listeners()

    @property
    def status(self) -> DataSourceStatus:
        """How the source is doing now."""
        status = self._client.status.source if self._has_source else None
        return self._otherwise if status is None else as_official(status)

    def add_listener(self, listener: Callable[[DataSourceStatus], Any]) -> None:
        """Call `listener` whenever the status changes."""

        def tell(status: SourceStatus) -> Any:
            return listener(as_official(status))

        self._listeners.add(listener, self._client.on_source_status(tell))

    def remove_listener(self, listener: Callable[[DataSourceStatus], Any]) -> None:
        """Stop calling it."""
        self._listeners.remove(listener)


class StoreStatuses(DataStoreStatusProvider):
    """The status of a client's persistent store; without one, memory is always available.

    Args:
        client: of the core, of either colour.
        has_store: whether it has a persistent store.
        is_monitored: whether its status can change.
    """

    def __init__(self, client: Any, *, has_store: bool, is_monitored: bool) -> None:
        self._client = client
        self._has_store = has_store
        self._is_monitored = is_monitored
        self._listeners: _Listeners[Callable[[DataStoreStatus], Any]] = _Listeners()

    @property
    def status(self) -> DataStoreStatus:
        """How the store is doing now."""
        status = self._client.status.store
        return DataStoreStatus(True, False) if status is None else _of_store(status)

    def is_monitoring_enabled(self) -> bool:
        """Whether the status can change at all."""
        return self._is_monitored

    def add_listener(self, listener: Callable[[DataStoreStatus], Any]) -> None:
        """Call `listener` whenever the status changes."""

        def tell(status: StoreStatus) -> Any:
            return listener(_of_store(status))

        remove = self._client.on_store_status(tell) if self._has_store else _nothing
        self._listeners.add(listener, remove)

    def remove_listener(self, listener: Callable[[DataStoreStatus], Any]) -> None:
        """Stop calling it."""
        self._listeners.remove(listener)


class BigSegmentListeners:
    """Who listens to the status of a client's Big Segment store.

    Args:
        client: of the core, of either colour.
        has_store: whether it has such a store; without one there is nothing to tell.
    """

    def __init__(self, client: Any, *, has_store: bool) -> None:
        self._client = client
        self._has_store = has_store
        self._listeners: _Listeners[Callable[[BigSegmentStoreStatus], Any]] = _Listeners()

    def add_listener(self, listener: Callable[[BigSegmentStoreStatus], Any]) -> None:
        """Call `listener` whenever the status changes."""

        def tell(status: Any) -> Any:
            return listener(BigSegmentStoreStatus(status.available, status.stale))

        remove = self._client.on_big_segment_status(tell) if self._has_store else _nothing
        self._listeners.add(listener, remove)

    def remove_listener(self, listener: Callable[[BigSegmentStoreStatus], Any]) -> None:
        """Stop calling it."""
        self._listeners.remove(listener)


class BigSegmentStatuses(BigSegmentListeners, BigSegmentStoreStatusProvider):
    """The status of an `LDClient`'s Big Segment store; not available where there is none."""

    @property
    def status(self) -> BigSegmentStoreStatus:
        """How it is doing now."""
        status = self._client.big_segment_status()
        return BigSegmentStoreStatus(status.available, status.stale)


class AsyncBigSegmentStatuses(BigSegmentListeners, AsyncBigSegmentStoreStatusProvider):
    """The status of an `AsyncLDClient`'s Big Segment store; not available where there is none."""

    async def get_status(self) -> BigSegmentStoreStatus:
        """Return how it is doing now."""
        status = await self._client.big_segment_status()
        return BigSegmentStoreStatus(status.available, status.stale)


class FlagChangesBase:
    """Tells when the flags of a client change.

    Args:
        client: of the core, of either colour.
        accept: makes a context of what an application calls one.
    """

    def __init__(self, client: Any, accept: Callable[[Any], Any]) -> None:
        self._client = client
        self._accept = accept
        self._listeners: _Listeners[Callable[[FlagChange], Any]] = _Listeners()

    def add_listener(self, listener: Callable[[FlagChange], Any]) -> None:
        """Call `listener` for every flag that changes."""

        def tell(change: hooks.FlagChange) -> Any:
            return listener(FlagChange(change.key))

        self._listeners.add(listener, self._client.on_change(None, tell))

    def remove_listener(self, listener: Callable[[FlagChange], Any]) -> None:
        """Stop calling it; also takes what `add_flag_value_change_listener` returned."""
        self._listeners.remove(listener)

    def _add_value_listener(
        self, key: str, context: core.Context, listener: Callable[[FlagValueChange], Any]
    ) -> Callable[[FlagChange], Any]:
        # FIX (data-sources.md 10): the core looks at the value without events and hooks.
        def tell(change: hooks.FlagValueChange) -> Any:
            return listener(FlagValueChange(change.key, change.old_value, change.new_value))

        handle = ValueListener(key)
        remove = self._client.on_value_change(key, self._accept(context), tell)
        self._listeners.add(handle, remove)
        return handle


class FlagChanges(FlagChangesBase, FlagTracker):
    """Tells when the flags of an `LDClient` change."""

    def add_flag_value_change_listener(
        self, key: str, context: core.Context, listener: Callable[[FlagValueChange], Any]
    ) -> Callable[[FlagChange], Any]:
        """Call `listener` when the value of one flag changes for one context.

        Returns:
            What `remove_listener` takes to end it.
        """
        return self._add_value_listener(key, context, listener)


class AsyncFlagChanges(FlagChangesBase, AsyncFlagTracker):
    """Tells when the flags of an `AsyncLDClient` change."""

    async def add_flag_value_change_listener(
        self, key: str, context: core.Context, listener: Callable[[FlagValueChange], Any]
    ) -> Callable[[FlagChange], Any]:
        """Call `listener` when the value of one flag changes for one context.

        Returns:
            What `remove_listener` takes to end it.
        """
        return self._add_value_listener(key, context, listener)


class ValueListener:
    """Stands for a listener of values, so that it can be removed.

    Attributes:
        key: of the flag.
    """

    def __init__(self, key: str) -> None:
        self.key = key

    def __call__(self, flag_change: FlagChange) -> None:
        """Do nothing: the client looks at the value by itself."""


def source_statuses(config: AnyConfig, client: Any, *, is_fed: bool) -> SourceStatuses:
    """Return the status of a client's source.

    Args:
        config: the client's.
        client: of the core, of either colour.
        is_fed: whether anything supplies the client with data by itself.
    """
    is_complete = config.offline or config.use_ldd
    state = DataSourceState.VALID if is_complete else DataSourceState.INITIALIZING
    otherwise = DataSourceStatus(state, time.time(), None)
    return SourceStatuses(client, has_source=is_fed, otherwise=otherwise)


def _of_store(status: StoreStatus) -> DataStoreStatus:
    return DataStoreStatus(status.available, status.stale)


def _nothing() -> None:
    pass
