"""Whether a store works, as a small state machine: failures and successes in, status out.

Reading and writing may fail apart from each other: a full database still answers. The store counts
as available when neither is known to fail. A write that works proves that reading does, too.
"""

from typing import Final

import msgspec

from flagkeep.model.item import BadItem
from flagkeep.model.status import StoreStatus

RETRY_AFTER: Final = 0.5
"""Seconds between two tries while a store is down."""
HEARTBEAT: Final = 5.0
"""Seconds after which a store that nobody has asked is asked whether it is still there."""


class Availability:
    """The state of one store. Everything that changes it is in this class; times are handed in.

    Both `failed` and `succeeded` return whether that was a change of state, to be logged once.
    """

    def __init__(self, wall_now: float, *, push: bool) -> None:
        self._status = StoreStatus(True, wall_now, push="push" if push else "poll")
        self._last_good: float | None = None
        self._reads_fail = False
        self._writes_fail = False

    @property
    def is_up(self) -> bool:
        """Whether nothing is known to fail."""
        return self._status.available

    @property
    def can_read(self) -> bool:
        """Whether the last read worked, so that another is worth somebody's time."""
        return not self._reads_fail

    @property
    def is_wiped(self) -> bool:
        """Whether data that had been there is known to be gone."""
        return self._status.wiped

    def touched(self, now: float) -> None:
        """Note a success while nothing fails."""
        self._last_good = now

    def failed(self, reason: str, *, writing: bool, wall_now: float) -> bool:
        """Note a failure."""
        was_up = self._status.available
        if writing:
            self._writes_fail = True
        else:
            self._reads_fail = True
        since = wall_now if was_up else self._status.since
        self._status = msgspec.structs.replace(
            self._status, available=False, reason=reason, since=since
        )
        return was_up

    def succeeded(self, *, writing: bool, now: float, wall_now: float) -> bool:
        """Note a success."""
        was_down = not self._status.available
        self.touched(now)
        self._reads_fail = False
        if writing:
            self._writes_fail = False
        if was_down and not self._writes_fail:
            self._status = msgspec.structs.replace(
                self._status, available=True, reason="", since=wall_now
            )
            return True
        return False

    def note(
        self,
        *,
        wiped: bool | None = None,
        stale: bool | None = None,
        rolled_back: bool | None = None,
        partial: bool | None = None,
        unstored: tuple[BadItem, ...] | None = None,
    ) -> bool:
        """Note what is known of the data in the store; returns whether that is news."""
        old = self._status
        self._status = msgspec.structs.replace(
            old,
            wiped=old.wiped if wiped is None else wiped,
            stale=old.stale if stale is None else stale,
            rolled_back=old.rolled_back if rolled_back is None else rolled_back,
            partial=old.partial if partial is None else partial,
            unstored=old.unstored if unstored is None else unstored,
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
