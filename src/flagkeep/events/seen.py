"""Which contexts were described already (events spec, section 5).

As many as fit are remembered, and of those that are used again longer: a hand goes round, passes
over whoever was used since it came by last, and takes the next one (the CLOCK algorithm, which is
nearly as good as forgetting the least recently used, and costs a hit next to nothing).
"""

from collections import deque
from typing import final


@final
class SeenContexts:
    """The keys of contexts that were described.

    One thread at a time may call methods. `keys` may be read by all at any time, without a lock,
    and a key that is in there may be marked as used with `keys[key] = True`.

    Attributes:
        keys: fully qualified keys; True where one was used since the hand came by.
    """

    __slots__ = ("_capacity", "_due", "_interval", "_round", "keys")

    def __init__(self, capacity: int, flush_interval: float) -> None:
        """Remember `capacity` keys, and forget them all after `flush_interval` seconds."""
        self.keys: dict[str, bool] = {}
        self._capacity = capacity
        self._interval = flush_interval
        self._due: float | None = None
        self._round: deque[str] = deque()

    def is_new(self, key: str, now: float) -> bool:
        """Remember `key`; return whether it was not known before. `now` is monotonic."""
        self.forget_all_if_due(now)
        if key in self.keys:
            self.keys[key] = True
            return False
        if len(self.keys) != len(self._round):
            # Somebody marked a key just as it was forgotten, and so put it back.
            self._round = deque(list(self.keys))
        while len(self._round) >= self._capacity:
            self._forget_one()
        self.keys[key] = False
        self._round.append(key)
        return True

    def forget_all_if_due(self, now: float) -> None:
        """Forget everything if it is time to; contexts are then described anew.

        The first call, also of `is_new`, only begins the first interval.
        """
        if self._due is None:
            self._due = now + self._interval
        elif now >= self._due:
            # Not an interval from now: a timer that comes a little late each time is never early.
            self._due += self._interval
            if self._due <= now:
                self._due = now + self._interval
            self._round.clear()
            self.keys.clear()

    def _forget_one(self) -> None:
        key = self._round.popleft()
        if self.keys.get(key):
            self.keys[key] = False
            self._round.append(key)
        else:
            self.keys.pop(key, None)
