"""Events between two deliveries: bounded by count and by bytes.

What is new gives way when the bound is reached. A delivery empties the buffer, so that this lasts
for one interval at most; payloads that cannot be delivered wait elsewhere (`delivery`), within a
bound of their own. `EventSettings.max_bytes` is for both together: each gets half.
"""

from typing import final

from flagkeep.events.losses import Loss, Losses


@final
class EventBuffer:
    """Encoded events that wait. For one user at a time: the shell holds its guard.

    Args:
        capacity: the most events.
        max_bytes: the most bytes of them.

    Attributes:
        losses: events that found no room.
    """

    __slots__ = (
        "_bytes", "_capacity", "_events", "_has_dropped", "_is_overflowing", "_max_bytes", "losses",
    )  # fmt: skip

    def __init__(self, capacity: int, max_bytes: int) -> None:
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._events: list[bytes] = []
        self._bytes = 0
        self._is_overflowing = False  # it did in the interval before
        self._has_dropped = False  # in this one
        self.losses = Losses()

    def __len__(self) -> int:
        return len(self._events)

    @property
    def dropped(self) -> dict[str, int]:
        """How many events were dropped, by reason: `capacity` or `bytes`."""
        return self.losses.as_dict()

    def add(self, event: bytes) -> bool:
        """Keep an event, or drop and count it.

        Returns:
            Whether it is the first that was dropped after an interval in which none was: that is
            news, and worth a warning.
        """
        if len(self._events) >= self._capacity:
            return self._drop(Loss.CAPACITY)
        if self._bytes + len(event) > self._max_bytes:
            return self._drop(Loss.BYTES)
        self._events.append(event)
        self._bytes += len(event)
        return False

    def take(self) -> list[bytes]:
        """Return what waits, oldest first, and begin anew."""
        taken, self._events, self._bytes = self._events, [], 0
        self._is_overflowing, self._has_dropped = self._has_dropped, False
        return taken

    def _drop(self, reason: Loss) -> bool:
        self.losses.add(reason)
        is_news = not (self._is_overflowing or self._has_dropped)
        self._has_dropped = True
        return is_news
