"""What a fake upstream has seen, for tests to wait for."""

import threading
from collections import Counter
from typing import Any

from flagkeep.errors import InvalidData
from flagkeep.testing.upstream_messages import Request


class UpstreamTimeout(AssertionError):
    """What a test waited for did not happen; the message says what did."""


class Log:
    """Requests in the order of their arrival; safe to use from any thread.

    Attributes:
        open_streams: how many there are.
        failures: what responders of the test raised.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[Request] = []
        self.open_streams = 0
        self.failures: list[Exception] = []

    def received(self, request: Request) -> None:
        """Note a request."""
        with self._lock:
            self._requests.append(request)

    def answered(self, request: Request, status: int) -> None:
        """Note what a request is answered with."""
        with self._lock:
            request.answered = status

    def streams_changed(self, count: int) -> None:
        """Note how many streams are open."""
        with self._lock:
            self.open_streams = count

    def requests(self, path: str = "") -> list[Request]:
        """Return the requests whose path begins with `path`."""
        with self._lock:
            return [request for request in self._requests if request.path.startswith(path)]

    def clear(self) -> None:
        """Forget the requests."""
        with self._lock:
            self._requests.clear()

    def summary(self) -> str:
        """Say in a line what there was, for messages of failures."""
        with self._lock:
            requests, streams = list(self._requests), self.open_streams
        seen = Counter(
            f"{request.method} {request.path} -> {request.answered or 'no answer'}"
            for request in requests
        )
        told = ", ".join(f"{count} x {line}" for line, count in seen.items()) or "no request"
        failed = "".join(f"; a responder raised {exc!r}" for exc in self.failures)
        return f"the upstream saw {told}; open streams: {streams}{failed}"


def events_of(request: Request) -> list[dict[str, Any]]:
    """Return the analytics events of a payload; none if it is broken."""
    try:
        events = request.json()
    except InvalidData:
        return []
    return events if isinstance(events, list) else []
