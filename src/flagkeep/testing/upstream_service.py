"""What a fake upstream answers: its environments, what was scripted, and its headers."""

from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

from flagkeep.testing.upstream_data import Environment
from flagkeep.testing.upstream_log import Log
from flagkeep.testing.upstream_messages import Request, Responder, Scripted

STREAM: Final = "/all"
POLL: Final = "/sdk/latest-all"
EVENTS: Final = "/bulk"
DIAGNOSTIC: Final = "/diagnostic"

_JSON: Final = {"Content-Type": "application/json"}


class Service:
    """The services of one upstream; used on the server's thread once that runs.

    Attributes:
        environments: by payload filter; None: without one.
        queued: answers that are given once each, by path prefix.
        always: answers that are given every time, by path prefix.
        headers_of_data: added to the answers of streams and polls.
        date: see `FakeUpstream`.
        sdk_key: the only one that is let in, or None: all are.
    """

    def __init__(self, sdk_key: str | None) -> None:
        self.log = Log()
        self.environments: dict[str | None, Environment] = {None: Environment()}
        self.queued: dict[str, deque[Scripted | Responder]] = {}
        self.always: dict[str, Scripted | Responder] = {}
        self.headers_of_data: dict[str, str] = {}
        self.date: datetime | str | None = None
        self.sdk_key = sdk_key

    def environment(self, filter_key: str | None) -> Environment:
        """Return the environment for a filter: its own, or the one for everybody."""
        return self.environments.get(filter_key) or self.environments[None]

    def own_environment(self, filter_key: str | None) -> Environment:
        """Return the environment for a filter, made if it has none of its own."""
        return self.environments.setdefault(filter_key, Environment())

    # --- what the server asks ---

    def received(self, request: Request) -> Scripted | Responder | None:
        """Note a request; return what was scripted for it."""
        self.log.received(request)
        for prefix, answers in self.queued.items():
            if answers and request.path.startswith(prefix):
                return answers.popleft()
        for prefix, answer in self.always.items():
            if request.path.startswith(prefix):
                return answer
        return None

    def usual(self, request: Request) -> Scripted:
        """Return the answer to a request that nothing was scripted for."""
        if self.sdk_key not in {None, request.headers.get("authorization")}:
            return Scripted(401)
        answer = _ANSWERS.get((request.method, request.path))
        return Scripted(404) if answer is None else answer(self, request)

    def headers(self, request: Request) -> Mapping[str, str]:
        """Return the headers of every answer."""
        date = datetime.now(UTC) if self.date is None else self.date
        if isinstance(date, datetime):
            date = format_datetime(date.astimezone(UTC), usegmt=True)
        given = {"Date": date} if date else {}
        return given | self.headers_of_data if request.path in {STREAM, POLL} else given

    def answered(self, request: Request, status: int) -> None:
        """Note which answer it gets."""
        self.log.answered(request, status)

    def responder_failed(self, exc: Exception) -> None:
        """Note that a function that was scripted raised this."""
        self.log.failures.append(exc)

    def streams_changed(self, count: int) -> None:
        """Note how many streams are open."""
        self.log.streams_changed(count)

    # --- answers ---

    def stream(self, request: Request) -> Scripted:
        """Return everything as the beginning of a stream."""
        return Scripted.stream(self.environment(request.query.get("filter")).put_event())

    def poll(self, request: Request) -> Scripted:
        """Return everything, or that it is the same as before."""
        environment = self.environment(request.query.get("filter"))
        headers = {**_JSON, "ETag": environment.etag()}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Scripted(304, headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            compressed = {**headers, "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
            return Scripted(200, compressed, environment.compressed())
        return Scripted(200, headers, environment.text())

    def post(self, _: Request) -> Scripted:
        """Accept events."""
        return Scripted(202)


_ANSWERS: Final[Mapping[tuple[str, str], Callable[[Service, Request], Scripted]]] = {
    ("GET", STREAM): Service.stream,
    ("GET", POLL): Service.poll,
    ("POST", EVENTS): Service.post,
    ("POST", DIAGNOSTIC): Service.post,
}
