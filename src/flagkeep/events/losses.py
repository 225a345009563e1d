"""Why an event was not delivered: the names under which losses are counted."""

from collections.abc import Mapping
from enum import StrEnum


class Loss(StrEnum):
    """A reason, as it stands in `CloseReport.events_lost`."""

    CAPACITY = "capacity"  # more events than `EventSettings.capacity` between two deliveries
    BYTES = "bytes"  # more than `EventSettings.max_bytes` were waiting
    TOO_LARGE = "too_large"  # the service found a single event too large
    REJECTED = "rejected"  # the service refused the payload for good
    UNDELIVERED = "undelivered"  # still waiting when the client was closed


class Losses:
    """Counts of events that were lost, by reason. For one user at a time."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[Loss, int] = {}

    def add(self, reason: Loss, events: int = 1) -> None:
        """Count events that were lost."""
        if events:
            self._counts[reason] = self._counts.get(reason, 0) + events

    @property
    def total(self) -> int:
        """How many there were."""
        return sum(self._counts.values())

    def as_dict(self) -> dict[str, int]:
        """Return the counts by name of the reason."""
        return {str(reason): count for reason, count in self._counts.copy().items()}


def sum_of(*counts: Mapping[str, int]) -> dict[str, int]:
    """Add up counts of several places."""
    total: dict[str, int] = {}
    for some in counts:
        for reason, count in some.items():
            total[reason] = total.get(reason, 0) + count
    return total
