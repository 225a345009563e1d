"""What is known of Big Segments: how old the data is, how keys are hashed, what counts as stale.

Source: evaluation spec, section 2.6.
"""

import math
from binascii import b2a_base64
from collections.abc import Mapping
from typing import Final

import msgspec

from flagkeep.model.detail import BigSegmentsStatus


class BigSegmentMetadata(msgspec.Struct, frozen=True):
    """What a Big Segment store says of itself.

    Attributes:
        last_up_to_date_ms: when it was last known to be complete, in milliseconds since the epoch;
            None: never.
    """

    last_up_to_date_ms: int | None


class BigSegmentStoreStatus(msgspec.Struct, frozen=True):
    """The state of a Big Segment store as this client sees it.

    Attributes:
        available: whether it said last time how old its data is.
        stale: whether that data is too old; False if it is not available.
    """

    available: bool
    stale: bool


UNAVAILABLE: Final = BigSegmentStoreStatus(available=False, stale=False)
NOTHING: Final[Mapping[str, bool]] = {}


def hash_of(context_key: str) -> str:
    """Return what a context key is called in the store: base64 of SHA-256, with padding."""
    from hashlib import sha256  # noqa: PLC0415  few clients need it, and OpenSSL costs 3 ms

    try:
        encoded = context_key.encode()
    except UnicodeEncodeError:  # lone surrogates, which have no UTF-8
        encoded = context_key.encode("utf-8", "surrogatepass")
    return b2a_base64(sha256(encoded).digest(), newline=False).decode()


def reference(segment_key: str, generation: int) -> str:
    """Return what a Big Segment is called in the store."""
    return f"{segment_key}.g{generation}"


def status_of(
    metadata: BigSegmentMetadata, *, wall_now: float, stale_after: float
) -> BigSegmentStoreStatus:
    """Return the status of a store that says this of itself.

    Args:
        wall_now: seconds since the epoch.
        stale_after: seconds after which data counts as stale.
    """
    up_to_date_ms = metadata.last_up_to_date_ms
    is_stale = up_to_date_ms is None or wall_now * 1000 - up_to_date_ms >= stale_after * 1000
    return BigSegmentStoreStatus(available=True, stale=is_stale)


def trust(status: BigSegmentStoreStatus | None, *, is_known: bool) -> BigSegmentsStatus:
    """Return how far a membership can be trusted.

    Args:
        status: of the store; None if it has not said anything yet.
        is_known: whether the membership was asked for with success, lately.
    """
    if not is_known or status is None or not status.available:
        return BigSegmentsStatus.STORE_ERROR
    return BigSegmentsStatus.STALE if status.stale else BigSegmentsStatus.HEALTHY


class MembershipCache:
    """The memberships asked for last, by context key. Times are those of a clock that only grows.

    What is too old to be an answer is kept as long as there is room: it is what remains to be said
    while the store fails.

    Args:
        capacity: how many; those not used for the longest time go first.
        seconds: how long each is an answer.
        max_age: how long each may be used while the store fails; None: for ever.
    """

    def __init__(self, capacity: int, seconds: float, *, max_age: float | None = None) -> None:
        self._capacity = capacity
        self._seconds = seconds
        self._max_age = math.inf if max_age is None else max_age
        self._entries: dict[str, tuple[float, Mapping[str, bool]]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str, now: float) -> Mapping[str, bool] | None:
        """Return a membership that is fresh; None if there is none."""
        entry = self._entries.get(key)
        if entry is None or now - entry[0] >= self._seconds:
            return None
        self._entries[key] = self._entries.pop(key)  # used last: the end of the line
        return entry[1]

    def fresh_keys(self, now: float) -> list[str]:
        """Return the keys of those that are fresh, the one used last at the end."""
        return [key for key, (since, _) in self._entries.items() if now - since < self._seconds]

    def last_known(self, key: str, now: float) -> Mapping[str, bool]:
        """Return a membership that may be old; an empty one if nothing is known."""
        entry = self._entries.get(key)
        return NOTHING if entry is None or now - entry[0] > self._max_age else entry[1]

    def put(self, key: str, included: Mapping[str, bool], now: float) -> None:
        """Keep a membership, and drop another one if there is no room."""
        self._entries.pop(key, None)
        self._entries[key] = (now, included)
        if len(self._entries) > self._capacity:
            del self._entries[next(iter(self._entries))]
