"""How long a source waits before it tries again (data source spec, section 2.1).

No failure stops a source for good. There are two regimes of waiting:

    normal      what passes by itself: no network, a closed stream, bad data, 400, 408, 429, 5xx
    extended    what somebody must repair: any other 4xx, such as a key that is not valid

    NORMAL --unexpected failure--> EXTENDED --recovered--> NORMAL

Either doubles its wait with each failure, up to a ceiling, and then takes off a random part of at
most a half, so that clients which lost one server together do not come back together. A normal
failure in the extended regime stays there: a server that refused the key and then was away has not
taken the key back. A source has recovered

    streaming   when 60 s have passed since the first event after the last failure; this is looked
                at when it fails next, as nobody asks before
    polling     with the second success in a row

Time and randomness are passed in; nothing here waits.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

NORMAL_CEILING: Final = 30.0
EXTENDED_INITIAL: Final = 300.0
EXTENDED_CEILING: Final = 3600.0
HEALTHY_AFTER: Final = 60.0
GOOD_POLLS: Final = 2

_PASSING: Final = frozenset({400, 408, 429})

Jitter = Callable[[], float]


class Failure(StrEnum):
    """The two classes of failure."""

    NORMAL = "normal"
    UNEXPECTED = "unexpected"


def failure_of(status: int) -> Failure:
    """Return the class of an HTTP status that is not a success."""
    is_unexpected = 400 <= status <= 499 and status not in _PASSING  # noqa: PLR2004  all of 4xx
    return Failure.UNEXPECTED if is_unexpected else Failure.NORMAL


class Doubling:
    """Waits that double, from `initial` to `ceiling`, each less a random part of at most a half.

    Args:
        initial: seconds; the ceiling is never below it.
        jitter: returns a random number, at least 0 and below 1.
    """

    def __init__(self, initial: float, ceiling: float, jitter: Jitter) -> None:
        self._initial = self._next = initial
        self._ceiling = max(ceiling, initial)
        self._jitter = jitter

    def next_wait(self) -> float:
        """Return how many seconds to wait after one more failure."""
        wait = self._next
        self._next = min(2 * wait, self._ceiling)
        return wait - wait * self._jitter() / 2

    def restart(self) -> None:
        """Begin with the initial wait again."""
        self._next = self._initial


class ExtendedBackoff(Doubling):
    """The waits of the extended regime: from 5 minutes to an hour, or from `initial` if longer."""

    def __init__(self, jitter: Jitter, *, initial: float = 0.0) -> None:
        super().__init__(max(EXTENDED_INITIAL, initial), EXTENDED_CEILING, jitter)


class _TwoRegimes:
    """What streaming and polling have in common: all but when a source has recovered."""

    def __init__(self, normal: Doubling, extended: Doubling, *, floor: float) -> None:
        self._normal = normal
        self._extended = extended
        self._floor = floor
        self.is_extended = False

    def _wait_after(self, failure: Failure) -> float:
        if failure is Failure.UNEXPECTED:
            self.is_extended = True
        regime = self._extended if self.is_extended else self._normal
        return max(regime.next_wait(), self._floor)

    def _recovered(self) -> None:
        self.is_extended = False
        self._normal.restart()
        self._extended.restart()


class StreamBackoff(_TwoRegimes):
    """When a stream is opened again.

    Attributes:
        is_extended: whether the extended regime holds.

    Args:
        initial: seconds before the first new try; doubles up to 30.
        jitter: as for `Doubling`.
    """

    def __init__(self, *, initial: float, jitter: Jitter) -> None:
        super().__init__(
            Doubling(initial, NORMAL_CEILING, jitter),
            ExtendedBackoff(jitter, initial=initial),
            floor=0.0,
        )
        self._good_since: float | None = None

    def failed(self, failure: Failure, now: float) -> float:
        """Take a failure; returns how many seconds to wait. `now` is of a steady clock."""
        if self._good_since is not None and now - self._good_since >= HEALTHY_AFTER:
            self._recovered()
        self._good_since = None
        return self._wait_after(failure)

    def succeeded(self, now: float) -> None:
        """Take note that an event was put in force; only the first after a failure counts."""
        if self._good_since is None:
            self._good_since = now


class PollBackoff(_TwoRegimes):
    """When is polled again after a failure; never sooner than after a success.

    Attributes:
        is_extended: whether the extended regime holds.

    Args:
        interval: seconds between polls that succeed.
        jitter: as for `Doubling`.
    """

    def __init__(self, *, interval: float, jitter: Jitter) -> None:
        super().__init__(
            Doubling(interval, interval, jitter),
            ExtendedBackoff(jitter, initial=interval),
            floor=interval,
        )
        self._good_polls = 0

    def failed(self, failure: Failure, now: float) -> float:  # noqa: ARG002  as for streaming
        """Take a failure; returns how many seconds to wait."""
        self._good_polls = 0
        return self._wait_after(failure)

    def succeeded(self, now: float) -> None:  # noqa: ARG002  as for streaming
        """Take note of a poll that succeeded, with data or without news."""
        self._good_polls += 1
        if self._good_polls == GOOD_POLLS:
            self._recovered()
