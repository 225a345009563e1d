"""Whether a stream that does send bytes is of any use.

Silence is found out by the driver: so many seconds without a byte. But a byte a minute breaks that
silence, and never completes anything. So an event that has begun must end in time, and the first
one must, counted from the opening of the stream, as a server begins with all it has. Between two
later events there may be any time: comments keep the connection, and need no more.

The time grows with what has come, for a large environment over a slow line.
"""

from typing import Final

SLOWEST: Final = 10_000  # bytes per second: what comes faster may go on


class EventPace:
    """The pace of one stream.

    Args:
        patience: seconds that an event may take, and more the larger it is.
        now: of a steady clock, when the stream was opened.
    """

    def __init__(self, patience: float, now: float) -> None:
        self._patience = patience
        self._since: float | None = now  # when the event under way began; None: none is
        self._size = 0
        self._has_delivered = False

    def is_too_slow(self, size: int, *, ended: bool, is_between: bool, now: float) -> bool:
        """Take note of bytes; returns whether there is no point in waiting for more of them.

        Args:
            size: how many.
            ended: whether an event has ended in them.
            is_between: whether there is nothing of a next one behind it.
            now: of a steady clock.
        """
        self._has_delivered = self._has_delivered or ended
        if self._has_delivered and is_between:
            self._since = None
            return False
        if ended or self._since is None:
            self._since, self._size = now, 0
        self._size += size
        return now - self._since > self._patience + self._size / SLOWEST
