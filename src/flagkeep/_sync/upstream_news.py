"""What a client learns of its upstream besides flag data."""

from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

KEPT: Final = 100  # stream inits that wait for the next statistics; older ones are forgotten


class StreamInit(NamedTuple):
    """One try to open a stream.

    Attributes:
        started_ms: when it began, in milliseconds since the epoch.
        duration_ms: until the first data, or the failure.
    """

    started_ms: int
    duration_ms: int
    failed: bool


class UpstreamNews:
    """What the upstream says of itself, and how connecting to it goes.

    Attributes:
        environment_id: what it calls the environment; None until it has said so.
    """

    def __init__(self) -> None:
        self.environment_id: str | None = None
        self._inits: deque[StreamInit] = deque(maxlen=KEPT)

    def answered(self, headers: Mapping[str, str]) -> None:
        """Take note of the headers of a good answer; their names are lower case."""
        self.environment_id = headers.get("x-ld-envid") or self.environment_id

    def tried(self, started: float, seconds: float, *, failed: bool) -> None:
        """Take note of a try that began at a time of the wall clock and took so many seconds."""
        self._inits.append(StreamInit(int(started * 1000), int(seconds * 1000), failed))

    def take_inits(self) -> list[StreamInit]:
        """Return the tries since the last time, and forget them."""
        taken = []
        while self._inits:
            taken.append(self._inits.popleft())
        return taken
