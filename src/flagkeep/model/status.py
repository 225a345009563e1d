"""What a client can say about its source and its store."""

from enum import StrEnum

import msgspec

from flagkeep.model.item import BadItem


class SourceState(StrEnum):
    """How the source of flag data is doing (data source spec, section 10)."""

    INITIALIZING = "initializing"
    VALID = "valid"
    INTERRUPTED = "interrupted"
    OFF = "off"


class SourceErrorKind(StrEnum):
    """What kind of failure a source met last."""

    UNKNOWN = "unknown"
    NETWORK_ERROR = "network_error"
    ERROR_RESPONSE = "error_response"
    INVALID_DATA = "invalid_data"
    STORE_ERROR = "store_error"


class SourceError(msgspec.Struct, frozen=True):
    """A failure of a source.

    Attributes:
        time: when, in seconds since the epoch.
        status_code: of the HTTP response, None where there was none.
    """

    kind: SourceErrorKind
    message: str
    time: float
    status_code: int | None = None


class SourceStatus(msgspec.Struct, frozen=True):
    """The state of a source.

    Attributes:
        since: when it entered `state`, in seconds since the epoch.
        error: the last failure; it stays until another one replaces it.
    """

    state: SourceState
    since: float
    error: SourceError | None = None


class StoreStatus(msgspec.Struct, frozen=True):
    """The state of a persistent store as this client sees it.

    Attributes:
        available: whether the last operation worked.
        since: when that became so, in seconds since the epoch.
        reason: why it is not available, and what to do; `""` if it is.
        wiped: whether data that had been there is gone.
        stale: whether the store lacks what this client has in memory.
        rolled_back: whether items came back with lower versions than they had; they are served as
            the store has them. False again once each has reached its old version.
        push: how changes are noticed: `push`, or `poll` where only the cache's time tells.
        age: seconds since the store was last read or written with success; None before that.
        partial: whether what is served is a part of a full set that a flagkeep is writing, or has
            stopped writing in the midst.
        unstored: what this client wrote and the store did not take, or holds in a form that only
            flagkeep reads, by item; `problem` says which, and why.
    """

    available: bool
    since: float
    reason: str = ""
    wiped: bool = False
    stale: bool = False
    push: str = "poll"
    age: float | None = None
    rolled_back: bool = False
    partial: bool = False
    unstored: tuple[BadItem, ...] = ()


class ClientStatus(msgspec.Struct, frozen=True):
    """Everything a client knows of its own health.

    Attributes:
        ready: whether evaluations use real data.
        source: None in daemon mode and offline.
        store: None without a persistent store.
        bad_items: what was received and cannot be used, by item.
        warnings: parts of items that never match, such as patterns RE2 refuses, by item.
        data_age: seconds since the data was last known to be current; None while it is.
    """

    ready: bool
    source: SourceStatus | None
    store: StoreStatus | None
    bad_items: tuple[BadItem, ...] = ()
    warnings: tuple[BadItem, ...] = ()
    data_age: float | None = None


class CloseReport(msgspec.Struct, frozen=True):
    """What `close` could and could not do.

    Attributes:
        complete: whether everything ended in time, everything in memory is in the store, and
            every event was delivered.
        events_lost: analytics events that were not delivered, by reason.
    """

    complete: bool
    events_lost: dict[str, int] = {}
