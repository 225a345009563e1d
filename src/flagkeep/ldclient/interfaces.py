"""What an application may implement, and what the client hands out: stores, sources, statuses.

A class of an application need not inherit from these: having the methods is enough. One module
for all of them because it is one module in the official SDK, whose names pickles contain.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from flagkeep.ldclient._later import later
from flagkeep.ldclient.context import Context
from flagkeep.ldclient.versioned_data_kind import VersionedDataKind

if not TYPE_CHECKING:  # so that checkers know these names are missing
    __getattr__ = later(
        __name__,
        "AsyncInitializer AsyncSynchronizer"
        " Basis BasisResult Change ChangeSet ChangeSetBuilder ChangeType"
        " EventName Initializer IntentCode ObjectKind Payload Selector SelectorStore ServerIntent"
        " Synchronizer Update",
    )

_AllData = Mapping[VersionedDataKind, Mapping[str, dict[str, Any]]]

# --- feature stores ----------------------------------------------------------------------------


class DataStoreMode(Enum):
    """Whether a client writes to its feature store."""

    READ_ONLY = "read-only"
    READ_WRITE = "read-write"


class FeatureStore(ABC):
    """Where flags and segments are kept. Methods are called from any thread.

    A store may also have `is_available() -> bool`, `is_monitoring_enabled() -> bool` and
    `close()`.
    """

    @abstractmethod
    def get(
        self,
        kind: VersionedDataKind,
        key: str,
        callback: Callable[[Any], Any] = lambda item: item,
    ) -> Any:
        """Return `callback(item)`; the item is None if it is not there or was deleted."""

    @abstractmethod
    def all(
        self, kind: VersionedDataKind, callback: Callable[[Any], Any] = lambda items: items
    ) -> Any:
        """Return `callback(items)`: all items by key, without the deleted ones."""

    @abstractmethod
    def init(self, all_data: _AllData) -> None:
        """Replace everything, whatever the versions, in the order given if order matters."""

    @abstractmethod
    def delete(self, kind: VersionedDataKind, key: str, version: int) -> None:
        """Delete an item, known or not, if `version` is above what is there."""

    @abstractmethod
    def upsert(self, kind: VersionedDataKind, item: dict[str, Any]) -> None:
        """Add or change an item, if its version is above what is there."""

    @property
    @abstractmethod
    def initialized(self) -> bool:
        """Whether the store ever received a full set, from this process or another one."""


class FeatureStoreCore(ABC):
    """The calls to a database that `CachingStoreWrapper` makes a feature store of.

    May also have `is_available() -> bool` and `close()`. An item with `"deleted": True` is a
    tombstone: it is kept like any other.
    """

    @abstractmethod
    def get_internal(self, kind: VersionedDataKind, key: str) -> dict[str, Any] | None:
        """Return an item or its tombstone, None if it is not there."""

    @abstractmethod
    def get_all_internal(self, kind: VersionedDataKind) -> Mapping[str, dict[str, Any]]:
        """Return all items by key, tombstones too."""

    @abstractmethod
    def init_internal(self, all_data: _AllData) -> None:
        """Replace everything, in the order given."""

    @abstractmethod
    def upsert_internal(self, kind: VersionedDataKind, item: dict[str, Any]) -> dict[str, Any]:
        """Write an item if its version is above what is there; return what is there now."""

    @abstractmethod
    def initialized_internal(self) -> bool:
        """Whether the database ever received a full set."""


class AsyncFeatureStore(ABC):
    """Where flags and segments are kept, for asyncio. It may also have `is_available()`."""

    @abstractmethod
    async def get(self, kind: VersionedDataKind, key: str) -> Any:
        """Return an item, None if it is not there or was deleted."""

    @abstractmethod
    async def all(self, kind: VersionedDataKind) -> dict[str, Any]:
        """Return all items by key, without the deleted ones."""

    @abstractmethod
    async def init(self, all_data: _AllData) -> None:
        """Replace everything, whatever the versions, in the order given if order matters."""

    @abstractmethod
    async def upsert(self, kind: VersionedDataKind, item: dict[str, Any]) -> bool:
        """Add or change an item, if its version is above what is there; return whether it was."""

    @abstractmethod
    async def delete(self, kind: VersionedDataKind, key: str, version: int) -> bool:
        """Delete an item, known or not, if `version` is above what is there; return whether."""

    @property
    @abstractmethod
    def initialized(self) -> bool:
        """What `is_initialized` or `init` saw last; asks nobody."""

    @abstractmethod
    async def is_initialized(self) -> bool:
        """Return whether the store ever received a full set, from this process or another one."""

    async def close(self) -> None:  # noqa: B027  a store may have nothing to let go of
        """Let go of everything."""


class AsyncFeatureStoreCore(ABC):
    """The calls to a database that `AsyncCachingStoreWrapper` makes a feature store of.

    As `FeatureStoreCore`, awaited. What `upsert_internal` returns is the very object it was given
    if that was written.
    """

    @abstractmethod
    async def get_internal(self, kind: VersionedDataKind, key: str) -> dict[str, Any] | None:
        """Return an item or its tombstone, None if it is not there."""

    @abstractmethod
    async def get_all_internal(self, kind: VersionedDataKind) -> Mapping[str, dict[str, Any]]:
        """Return all items by key, tombstones too."""

    @abstractmethod
    async def init_internal(self, all_data: _AllData) -> None:
        """Replace everything, in the order given."""

    @abstractmethod
    async def upsert_internal(
        self, kind: VersionedDataKind, item: dict[str, Any]
    ) -> dict[str, Any]:
        """Write an item if its version is above what is there; return what is there now."""

    @abstractmethod
    async def initialized_internal(self) -> bool:
        """Whether the database ever received a full set."""


@runtime_checkable
class ReadOnlyStore(Protocol):
    """The part of a feature store that reads."""

    @abstractmethod
    def get(
        self,
        kind: VersionedDataKind,
        key: str,
        callback: Callable[[Any], Any] = lambda item: item,
    ) -> Any:
        """Return `callback(item)`; the item is None if it is not there or was deleted."""
        ...

    @abstractmethod
    def all(
        self, kind: VersionedDataKind, callback: Callable[[Any], Any] = lambda items: items
    ) -> Any:
        """Return `callback(items)`: all items by key, without the deleted ones."""
        ...

    @property
    @abstractmethod
    def initialized(self) -> bool:
        """Whether the store ever received a full set."""
        ...


@runtime_checkable
class AsyncReadOnlyStore(Protocol):
    """The part of a feature store for asyncio that reads."""

    @abstractmethod
    async def get(self, kind: VersionedDataKind, key: str) -> Any:
        """Return an item, None if it is not there or was deleted."""
        ...

    @abstractmethod
    async def all(self, kind: VersionedDataKind) -> dict[str, Any]:
        """Return all items by key, without the deleted ones."""
        ...


class DataStoreStatus:
    """How a feature store is doing.

    Attributes:
        available: whether the last operation worked.
        stale: whether the store may have missed updates and must be filled again.
    """

    def __init__(self, available: bool, stale: bool) -> None:
        self.available = available
        self.stale = stale

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DataStoreStatus):
            return NotImplemented
        return (self.available, self.stale) == (other.available, other.stale)

    def __hash__(self) -> int:
        return hash((self.available, self.stale))


class DataStoreStatusProvider(ABC):
    """Tells how the feature store is doing, now and from now on."""

    @property
    @abstractmethod
    def status(self) -> DataStoreStatus:
        """How it is doing now."""

    @abstractmethod
    def is_monitoring_enabled(self) -> bool:
        """Whether the status can change at all."""

    @abstractmethod
    def add_listener(self, listener: Callable[[DataStoreStatus], Any]) -> None:
        """Call `listener` whenever the status changes."""

    @abstractmethod
    def remove_listener(self, listener: Callable[[DataStoreStatus], Any]) -> None:
        """Stop calling it."""


class DataStoreUpdateSink(ABC):
    """Takes what a store of the second data system says about itself."""

    @abstractmethod
    def status(self) -> DataStoreStatus:
        """Return what it said last."""

    @abstractmethod
    def update_status(self, status: DataStoreStatus) -> None:
        """Take what it says now."""

    @property
    @abstractmethod
    def listeners(self) -> Any:
        """Who is told about changes."""


# --- sources of data ---------------------------------------------------------------------------


class BackgroundOperation:
    """Something that runs until it is stopped."""

    def start(self) -> None:
        """Begin, without waiting for anything."""

    def stop(self) -> None:
        """End."""

    def is_alive(self) -> bool:
        """Whether it runs."""
        return True


class UpdateProcessor(BackgroundOperation, ABC):
    """A source of data: fills a feature store and keeps it current.

    The client calls `update_processor_class(config, store, ready)`. The source writes to `store`
    or to `config.data_source_update_sink`, and sets `ready` as soon as waiting for it is over,
    with success or without.
    """

    def initialized(self) -> bool | None:
        """Whether it has ever delivered a full set."""


class AsyncUpdateProcessor(ABC):  # noqa: B024  the official class has no abstract methods either
    """A source of data for asyncio: as `UpdateProcessor`; `start` is plain, `stop` is awaited."""

    def start(self) -> None:  # noqa: B027  optional
        """Begin, without waiting for anything."""

    async def stop(self) -> None:  # noqa: B027  optional
        """End."""

    def initialized(self) -> bool:
        """Whether it has ever delivered a full set."""
        return False


class EventProcessor(ABC):
    """Takes analytics events."""

    @abstractmethod
    def send_event(self, event: Any) -> None:
        """Take an event, without waiting."""

    @abstractmethod
    def flush(self) -> None:
        """Deliver soon what is waiting."""

    @abstractmethod
    def stop(self) -> None:
        """Deliver what is waiting, and end."""


class AsyncEventProcessor(ABC):
    """Takes analytics events of an asyncio client."""

    @abstractmethod
    def send_event(self, event: Any) -> None:
        """Take an event, without waiting."""

    @abstractmethod
    def flush(self) -> None:
        """Deliver soon what is waiting."""

    @abstractmethod
    async def flush_and_wait(self, timeout: float) -> bool:
        """Deliver what is waiting; return whether that was done within `timeout` seconds."""

    @abstractmethod
    async def stop(self) -> None:
        """Deliver what is waiting, and end."""


class FeatureRequester(ABC):  # noqa: B024  the official class has no abstract methods either
    """Fetches all data at once, for polling."""

    def get_all(self) -> Any:  # noqa: B027  there because the official class has it
        """Return nothing: it is not used any more."""

    def get_all_data(self) -> _AllData:
        """Return everything."""
        raise NotImplementedError


class AsyncFeatureRequester(ABC):
    """Fetches all data at once, for polling, in asyncio."""

    @abstractmethod
    async def get_all_data(self) -> _AllData:
        """Return everything."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of everything."""


class DiagnosticDescription:
    """May be added to a store: says in diagnostic data what it is."""

    @abstractmethod
    def describe_configuration(self, config: Any) -> str:
        """Return a short name, such as the database's."""


class DataSourceState(Enum):
    """How a source of data is doing."""

    INITIALIZING = "initializing"
    VALID = "valid"
    INTERRUPTED = "interrupted"
    OFF = "off"


class DataSourceErrorKind(Enum):
    """What kind of failure a source of data met."""

    UNKNOWN = "unknown"
    NETWORK_ERROR = "network_error"
    ERROR_RESPONSE = "error_response"
    INVALID_DATA = "invalid_data"
    STORE_ERROR = "store_error"


class DataSourceErrorInfo:
    """A failure of a source of data.

    Attributes:
        kind: of the failure.
        status_code: of the HTTP response, 0 where there was none.
        time: when, in seconds since the epoch.
        message: for people; may be None.
    """

    def __init__(
        self, kind: DataSourceErrorKind, status_code: int, time: float, message: str | None
    ) -> None:
        self.kind = kind
        self.status_code = status_code
        self.time = time
        self.message = message


class DataSourceStatus:
    """How a source of data is doing.

    Attributes:
        state: now.
        since: when it entered that state, in seconds since the epoch.
        error: the last failure, which may be over; None if there never was one.
    """

    def __init__(
        self,
        state: DataSourceState,
        state_since: float,
        last_error: DataSourceErrorInfo | None,
    ) -> None:
        self.state = state
        self.since = state_since
        self.error = last_error


class DataSourceStatusProvider(ABC):
    """Tells how the source of data is doing, now and from now on."""

    @property
    @abstractmethod
    def status(self) -> DataSourceStatus:
        """How it is doing now."""

    @abstractmethod
    def add_listener(self, listener: Callable[[DataSourceStatus], Any]) -> None:
        """Call `listener` whenever the status changes."""

    @abstractmethod
    def remove_listener(self, listener: Callable[[DataSourceStatus], Any]) -> None:
        """Stop calling it."""


class DataSourceUpdateSink(ABC):
    """Takes what a source delivers: data, and how the source is doing."""

    @abstractmethod
    def init(self, all_data: _AllData) -> None:
        """Take a full set, which replaces everything."""

    @abstractmethod
    def upsert(self, kind: VersionedDataKind, item: dict[str, Any]) -> None:
        """Take an item; an older one than is known changes nothing."""

    @abstractmethod
    def delete(self, kind: VersionedDataKind, key: str, version: int) -> None:
        """Take a deletion; an older one than the item that is known changes nothing."""

    @abstractmethod
    def update_status(
        self, new_state: DataSourceState, new_error: DataSourceErrorInfo | None
    ) -> None:
        """Take how the source is doing."""


class AsyncDataSourceUpdateSink(ABC):
    """Takes what a source for asyncio delivers: data, and how the source is doing."""

    @abstractmethod
    async def init(self, all_data: _AllData) -> None:
        """Take a full set, which replaces everything."""

    @abstractmethod
    async def upsert(self, kind: VersionedDataKind, item: dict[str, Any]) -> None:
        """Take an item; an older one than is known changes nothing."""

    @abstractmethod
    async def delete(self, kind: VersionedDataKind, key: str, version: int) -> None:
        """Take a deletion; an older one than the item that is known changes nothing."""

    @abstractmethod
    def update_status(
        self, new_state: DataSourceState, new_error: DataSourceErrorInfo | None
    ) -> None:
        """Take how the source is doing."""


# --- changes of flags --------------------------------------------------------------------------


class FlagChange:
    """A flag, or something its value depends on, changed; the value may be the same.

    Attributes:
        key: of the flag.
    """

    def __init__(self, key: str) -> None:
        self.key = key


class FlagValueChange:
    """The value of a flag for one context changed.

    Attributes:
        key: of the flag.
        old_value: None if the flag did not exist.
        new_value: None if the flag is gone.
    """

    def __init__(self, key: str, old_value: Any, new_value: Any) -> None:
        self.key = key
        self.old_value = old_value
        self.new_value = new_value


class FlagTracker(ABC):
    """Tells when flags change."""

    @abstractmethod
    def add_listener(self, listener: Callable[[FlagChange], Any]) -> None:
        """Call `listener` for every flag that changes."""

    @abstractmethod
    def remove_listener(self, listener: Callable[[FlagChange], Any]) -> None:
        """Stop calling it."""

    @abstractmethod
    def add_flag_value_change_listener(
        self, key: str, context: Context, listener: Callable[[FlagValueChange], Any]
    ) -> Callable[[FlagChange], Any]:
        """Call `listener` when the value of one flag changes for one context.

        Returns:
            What `remove_listener` takes to end it.
        """


class AsyncFlagTracker(ABC):
    """Tells when flags of an asyncio client change. Listeners may be coroutine functions."""

    @abstractmethod
    def add_listener(self, listener: Callable[[FlagChange], Any]) -> None:
        """Call `listener` for every flag that changes."""

    @abstractmethod
    def remove_listener(self, listener: Callable[[FlagChange], Any]) -> None:
        """Stop calling it."""

    @abstractmethod
    async def add_flag_value_change_listener(
        self, key: str, context: Context, listener: Callable[[FlagValueChange], Any]
    ) -> Callable[[FlagChange], Any]:
        """Call `listener` when the value of one flag changes for one context.

        Returns:
            What `remove_listener` takes to end it.
        """


# --- Big Segments ------------------------------------------------------------------------------


class BigSegmentStoreMetadata:
    """What a Big Segment store says about itself.

    Attributes:
        last_up_to_date: when it was last known to be current, in milliseconds since the epoch;
            None: never.
    """

    def __init__(self, last_up_to_date: int | None) -> None:
        self.last_up_to_date = last_up_to_date


class BigSegmentStore:
    """Where memberships in Big Segments are kept. Methods are called from any thread."""

    @abstractmethod
    def get_metadata(self) -> BigSegmentStoreMetadata:
        """Return what the store says about itself."""

    @abstractmethod
    def get_membership(self, context_hash: str) -> dict[str, bool] | None:
        """Return in which segments a context is included or excluded, by segment reference."""

    @abstractmethod
    def stop(self) -> None:
        """Give up connections."""


class AsyncBigSegmentStore(ABC):
    """Where memberships in Big Segments are kept, for asyncio."""

    @abstractmethod
    async def get_metadata(self) -> BigSegmentStoreMetadata:
        """Return what the store says about itself."""

    @abstractmethod
    async def get_membership(self, context_hash: str) -> dict[str, bool] | None:
        """Return in which segments a context is included or excluded, by segment reference."""

    @abstractmethod
    async def stop(self) -> None:
        """Give up connections."""


class BigSegmentStoreStatus:
    """How a Big Segment store is doing.

    Attributes:
        available: whether it answers.
        stale: whether its data is older than it should be.
    """

    def __init__(self, available: bool, stale: bool) -> None:
        self.available = available
        self.stale = stale

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BigSegmentStoreStatus):
            return NotImplemented
        return (self.available, self.stale) == (other.available, other.stale)

    def __hash__(self) -> int:
        return hash((self.available, self.stale))


class BigSegmentStoreStatusProvider:
    """Tells how the Big Segment store is doing, now and from now on."""

    @property
    @abstractmethod
    def status(self) -> BigSegmentStoreStatus:
        """How it is doing now."""

    @abstractmethod
    def add_listener(self, listener: Callable[[BigSegmentStoreStatus], Any]) -> None:
        """Call `listener` whenever the status changes."""

    @abstractmethod
    def remove_listener(self, listener: Callable[[BigSegmentStoreStatus], Any]) -> None:
        """Stop calling it."""


class AsyncBigSegmentStoreStatusProvider(ABC):
    """Tells how the Big Segment store of an asyncio client is doing, now and from now on."""

    @abstractmethod
    async def get_status(self) -> BigSegmentStoreStatus:
        """Return how it is doing now."""

    @abstractmethod
    def add_listener(self, listener: Callable[[BigSegmentStoreStatus], Any]) -> None:
        """Call `listener` whenever the status changes."""

    @abstractmethod
    def remove_listener(self, listener: Callable[[BigSegmentStoreStatus], Any]) -> None:
        """Stop calling it."""
