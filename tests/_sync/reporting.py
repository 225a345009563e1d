"""A client whose flags come by hand, and what its events service has received."""

from types import TracebackType
from typing import Any, Self

from flagkeep._sync.client import Client
from flagkeep.config import Config, EventSettings
from flagkeep.model.context import Context
from flagkeep.testing import FakeUpstream
from tests._sync.hand_source import HandSource, environment

NEVER = 1000.0  # seconds between deliveries: only what a test asks for is delivered
ANN = Context.builder("ann").set("plan", "gold").build()
NOBODY = Context.builder("nobody").anonymous(True).set("plan", "free").build()


class Reporting:
    """A client with these flags, in front of an events service.

    Args:
        *flags: what it begins with.
        segments: likewise.
        data: whether it has any.
        offline: of the client.
        **settings: of events.
    """

    def __init__(
        self,
        *flags: dict[str, Any],
        segments: tuple[dict[str, Any], ...] = (),
        data: bool = True,
        offline: bool = False,
        **settings: Any,
    ) -> None:
        self.upstream = FakeUpstream()
        self.source = HandSource()
        self._begins_with = environment(*flags, segments=segments) if data else None
        self._offline = offline
        self._settings = {"flush_interval": NEVER, "diagnostics": False, **settings}

    def __enter__(self) -> Self:
        self.upstream.start()
        events = EventSettings(**{"base_uri": self.upstream.uri, **self._settings})
        source = None if self._offline else self.source
        self.client = Client(
            Config(sdk_key="sdk-key", source=source, events=events, offline=self._offline)
        )
        if self._begins_with is not None and not self._offline:
            self.source.deliver(self._begins_with)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.client.close()
        self.upstream.stop()

    def evaluate(self, key: str, context: Context = ANN, *, times: int = 1) -> None:
        """Evaluate a flag with the default "none"."""
        for _ in range(times):
            self.client.variation(key, context, "none")

    def events(self) -> list[dict[str, Any]]:
        """Deliver what waits; returns what was not seen before, in its order, without dates."""
        self.upstream.forget_requests()
        assert self.client.flush(10)
        dates = {"creationDate", "startDate", "endDate"}
        return [
            {name: value for name, value in event.items() if name not in dates}
            for event in self.upstream.events()
        ]

    def kinds(self) -> list[str]:
        """Deliver what waits; returns the kinds of what was not seen before."""
        return [event["kind"] for event in self.events()]

    def only(self, kind: str) -> dict[str, Any]:
        """Deliver what waits; returns the one event of a kind."""
        (event,) = [event for event in self.events() if event["kind"] == kind]
        return event

    def summary(self) -> dict[str, Any]:
        """Deliver what waits; returns what was counted of each flag."""
        features: dict[str, Any] = (self.only("summary"))["features"]
        return features
