"""Whether a store works, as a small state machine: failures and successes in, status out."""

from typing import Final

import msgspec

from flagkeep.model.status import StoreStatus

RETRY_AFTER: Final = 0.5
"""Seconds between two tries while a store is down."""


class Availability:
    """The state of one store. Everything that changes it is in this class; times are handed in.

    Both `failed` and `succeeded` return whether that was a change of state, to be logged once.
    """

    def __init__(self, wall_now: float, *, push: bool) -> None:
        self._status = StoreStatus(True, wall_now, push="push" if push else "poll")
        self._last_good: float | None = None
        self._retry_at = 0.0

    @property
    def is_up(self) -> bool:
        """Whether the last operation worked."""
        return self._status.available

    def is_worth_a_try(self, now: float) -> bool:
        """Whether an operation on the caller's time may be tried: not while known to be down."""
        return self._status.available or now >= self._retry_at

    def failed(self, reason: str, *, now: float, wall_now: float) -> bool:
        """Note a failure."""
        was_up = self._status.available
        self._retry_at = now + RETRY_AFTER
        since = wall_now if was_up else self._status.since
        self._status = msgspec.structs.replace(
            self._status, available=False, reason=reason, since=since
        )
        return was_up

    def succeeded(self, *, now: float, wall_now: float) -> bool:
        """Note a success."""
        was_down = not self._status.available
        self._last_good = now
        if was_down:
            self._status = msgspec.structs.replace(
                self._status, available=True, reason="", since=wall_now
            )
        return was_down

    def note(self, *, wiped: bool | None = None, stale: bool | None = None) -> bool:
        """Note what is known of the data in the store; returns whether that is news."""
        old = self._status
        self._status = msgspec.structs.replace(
            old,
            wiped=old.wiped if wiped is None else wiped,
            stale=old.stale if stale is None else stale,
        )
        return self._status != old

    def down_for(self, wall_now: float) -> float:
        """Return for how many seconds the present state has lasted."""
        return max(0.0, wall_now - self._status.since)

    def age(self, now: float) -> float | None:
        """Return seconds since the last success; None before the first."""
        return None if self._last_good is None else max(0.0, now - self._last_good)

    def status(self, now: float) -> StoreStatus:
        """Return the state with its age."""
        return msgspec.structs.replace(self._status, age=self.age(now))
