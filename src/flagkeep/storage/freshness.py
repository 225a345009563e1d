"""Which items read one by one are still fresh, and which of two overlapping reads counts.

Pure bookkeeping: times and ticks are handed in, and nothing here knows what an item is.
"""

import math
from collections.abc import Iterable
from itertools import count
from typing import Final

from flagkeep.model.item import ItemRef, SerializedItem

MOST_MISSES: Final = 10_000
"""So many keys that do not exist are remembered; live items are never dropped by count."""


class Freshness:
    """Since when and until when single items may be answered from memory.

    Args:
        seconds: how long what was read counts as fresh; infinity: for ever.

    Attributes:
        has_all: whether every item that exists is fresh.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: dict[ItemRef, float] = {}  # in the order of expiry, as the time is the same
        self._misses: dict[ItemRef, None] = {}
        self.has_all = False

    def __contains__(self, ref: ItemRef) -> bool:
        return ref in self._until

    def note(
        self, found: Iterable[ItemRef], missing: Iterable[ItemRef], now: float
    ) -> list[ItemRef]:
        """Take what was just read as fresh; returns the oldest misses that had to make room."""
        until = now + self._seconds
        for ref in found:
            self._misses.pop(ref, None)
            self._until.pop(ref, None)
            self._until[ref] = until
        for ref in missing:
            self._misses.pop(ref, None)
            self._until.pop(ref, None)
            self._until[ref] = until
            self._misses[ref] = None
        crowded_out = []
        while len(self._misses) > MOST_MISSES:
            oldest = next(iter(self._misses))
            crowded_out.append(oldest)
            self._forget(oldest)
        return crowded_out

    def expire(self, now: float) -> list[ItemRef]:
        """Return those that are fresh no more, and forget them."""
        stale = []
        for ref, until in self._until.items():
            if until > now:
                break
            stale.append(ref)
        return self.drop(stale)

    def drop(self, refs: Iterable[ItemRef] | None) -> list[ItemRef]:
        """Forget these, or everything; returns those that were fresh."""
        wanted = list(self._until if refs is None else refs)
        dropped = [ref for ref in wanted if ref in self]
        for ref in dropped:
            self._forget(ref)
        if wanted or refs is None:  # one that was not fresh may be new
            self.has_all = False
        return dropped

    def next_expiry(self) -> float | None:
        """Return when the next item expires; None: nothing ever does."""
        first = next(iter(self._until.values()), math.inf)
        return None if math.isinf(first) else first

    def _forget(self, ref: ItemRef) -> None:
        self._misses.pop(ref, None)
        del self._until[ref]


class Fills:
    """Which of two reads of an item counts (stores spec, section 7).

    Of two that overlapped in time the newer version wins; otherwise the one that began later, as a
    full replace may lower versions.
    """

    def __init__(self) -> None:
        self._ticks = count(1)
        self._items: dict[ItemRef, int] = {}  # when the last fill of one item ended
        self._all = 0  # … of everything

    def begin(self) -> int:
        """Return when a read begins; to be asked before it."""
        return next(self._ticks)

    def may_fill(
        self,
        ref: ItemRef,
        began: int,
        known: SerializedItem | None,
        read: SerializedItem | None,
    ) -> bool:
        """Return whether a read that began then may take the place of what is known."""
        if began > max(self._items.get(ref, 0), self._all):
            return True
        if read is None:
            return False
        return known is None or read.version > known.version

    def overlapping(self, began: int) -> list[ItemRef]:
        """Return the items that were filled one by one since then."""
        return [ref for ref, ended in list(self._items.items()) if ended >= began]

    def is_overtaken(self, began: int) -> bool:
        """Return whether everything was filled by another read since then."""
        return began <= self._all

    def ended(self, refs: Iterable[ItemRef]) -> None:
        """Note that single items were filled just now."""
        now = next(self._ticks)
        for ref in refs:
            self._items[ref] = now

    def ended_all(self, began: int) -> None:
        """Note that everything was filled just now by a read that began then."""
        self._all = next(self._ticks)
        self._items = {ref: end for ref, end in list(self._items.items()) if end >= began}


class Rollbacks:
    """Items that came back with a lower version than they had."""

    def __init__(self) -> None:
        self._highest: dict[ItemRef, int] = {}

    def __bool__(self) -> bool:
        return bool(self._highest)

    def see(self, ref: ItemRef, known: SerializedItem | None, read: SerializedItem | None) -> None:
        """Compare what a store has now with what it had; what is gone is not rolled back."""
        highest = self._highest.get(ref, known.version if known else 0)
        if read is not None and read.version < highest:
            self._highest[ref] = highest
        else:
            self._highest.pop(ref, None)
