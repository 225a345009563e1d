"""A sender of events in front of a fake upstream."""

from types import TracebackType
from typing import Any, Self

import msgspec

from flagkeep._sync.event_sender import EventSender
from flagkeep._sync.work import Work
from flagkeep._runtime.http_threads import Http
from flagkeep.config import EventSettings, HttpSettings
from flagkeep.protocol.http import Requester
from flagkeep.testing import FakeUpstream

NEVER = 1000.0
ASKER = Requester(sdk_key="sdk-key", user_agent="Test/1", instance_id="one")


class Sending:
    """What is recorded here is delivered to `upstream` by `sender`; by itself only if asked.

    Args:
        http: settings of the connections.
        work: the queue; one of its own if there is none.
        starts: whether it works by itself.
        **settings: of events.
    """

    def __init__(
        self,
        *,
        http: HttpSettings | None = None,
        work: Work | None = None,
        starts: bool = True,
        **settings: Any,
    ) -> None:
        self.upstream = FakeUpstream()
        self._http_settings = http or HttpSettings()
        self._starts = starts
        self._settings = {"flush_interval": NEVER, **settings}
        self.recorded: list[bytes] = []
        self.interrupts = self.lacks_memory = 0  # so often it goes wrong to take what is recorded
        self.work = work or Work()

    def __enter__(self) -> Self:
        self.upstream.start()
        self.http = Http(self._http_settings)
        settings = EventSettings(**{"base_uri": self.upstream.uri, **self._settings})
        self.sender = EventSender(
            settings, self.http, ASKER, self.work, self.take, pumped_timeout=0.2
        )
        if self._starts:
            self.work.start()
            self.sender.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.sender.stop(0.0)
        self.work.stop()
        self.work.join(10.0)
        self.http.close()
        self.upstream.stop()

    def take(self) -> list[bytes]:
        if self.interrupts:
            self.interrupts -= 1
            raise KeyboardInterrupt
        if self.lacks_memory:
            self.lacks_memory -= 1
            raise MemoryError
        taken, self.recorded = self.recorded, []
        return taken

    def record(self, *keys: str) -> None:
        """Record custom events, which say how they are called."""
        self.recorded += [msgspec.json.encode({"kind": "custom", "key": key}) for key in keys]

    def deliver(self, *keys: str, timeout: float = 10.0) -> bool:
        self.record(*keys)
        return self.sender.flush(timeout)

    @property
    def delivered(self) -> list[str]:
        """What was accepted, in the order in which it came."""
        return [event["key"] for event in self.upstream.events()]

    @property
    def tried(self) -> list[list[str]]:
        """What was sent, accepted or not, payload by payload."""
        posts = self.upstream.requests_to("/bulk")
        return [[event["key"] for event in post.json()] for post in posts]

    @property
    def ids(self) -> list[str]:
        posts = self.upstream.requests_to("/bulk")
        return [post.headers["x-launchdarkly-payload-id"] for post in posts]
