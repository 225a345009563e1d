"""The part of a fake upstream that is the same for tests of both colours."""

import ssl
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Self, TypeVar

from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import encode_json
from flagkeep.testing.test_data import TestData
from flagkeep.testing.upstream_data import KindName
from flagkeep.testing.upstream_log import UpstreamTimeout, events_of
from flagkeep.testing.upstream_messages import Request, Responder, Scripted
from flagkeep.testing.upstream_server import LOOPBACK, Server
from flagkeep.testing.upstream_service import DIAGNOSTIC, EVENTS, Service

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wish(Generic[T]):
    """What a test waits for.

    Attributes:
        holds: whether it has happened; called again and again.
        result: what the test gets then.
        missing: what to say if it does not happen.
    """

    holds: Callable[[], bool]
    result: Callable[[], T]
    missing: str


class Upstream:
    """What `FakeUpstream` and `AsyncFakeUpstream` share: all that does not wait.

    Every method may be called from any thread. What `put`, `patch`, `delete` and `send_raw` send is
    on its way when they return.
    """

    def __init__(
        self,
        data: TestData | Mapping[str, Any] | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        sdk_key: str | None = None,
    ) -> None:
        self._data = data
        self._tls = tls
        self._service = Service(sdk_key)
        self._server: Server | None = None
        self._port = 0
        self._unsubscribe: Callable[[], None] | None = None

    # --- start, stop, faults of the whole server ---

    def start(self) -> Self:
        """Listen on a free port; `with` does it by itself.

        Raises:
            RuntimeError: it runs already.
        """
        if self._server is not None:
            raise RuntimeError("the fake upstream runs already")
        self._server = server = Server(self._service, self._tls)
        server.start()
        if isinstance(self._data, TestData):
            self._unsubscribe = self._data.subscribe(self._take)
        elif self._data is not None:
            self.put(self._data.get("flags", {}), self._data.get("segments", {}))
        server.wait_for(server.listen())
        self._port = server.port
        return self

    def stop(self) -> None:
        """Close all connections and the port; does nothing the second time."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    @property
    def uri(self) -> str:
        """The base URI of all services; stays the same until `stop`."""
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{LOOPBACK}:{self._port}"

    @property
    def port(self) -> int:
        """The port on loopback; stays the same until `stop`."""
        return self._port

    def stop_listening(self) -> None:
        """Refuse connections, and close those that no request is on; open streams go on."""
        self._running().wait_for(self._running().refuse())

    def start_listening(self) -> None:
        """Accept connections again, on the same port."""
        self._running().wait_for(self._running().listen())

    # --- data ---

    def put(
        self,
        flags: Mapping[str, Any],
        segments: Mapping[str, Any] | None = None,
        *,
        filter_key: str | None = None,
    ) -> None:
        """Replace everything, and tell the open streams.

        What is given is sent as it is, mistakes included.

        Args:
            filter_key: for clients with this payload filter; those with a filter that nothing was
                given for see what those without one see.
        """

        def put() -> None:
            event = self._service.own_environment(filter_key).replace(flags, segments or {})
            self._tell(event, filter_key)

        self._do(put)

    def patch(
        self, kind: KindName, item: Mapping[str, Any], *, filter_key: str | None = None
    ) -> None:
        """Set one flag or segment, and tell the open streams."""
        key, text = str(item["key"]), encode_json(item)

        def patch() -> None:
            event = self._service.own_environment(filter_key).patch(kind, key, text)
            self._tell(event, filter_key)

        self._do(patch)

    def delete(
        self, kind: KindName, key: str, version: int, *, filter_key: str | None = None
    ) -> None:
        """Forget one flag or segment, and tell the open streams."""

        def delete() -> None:
            event = self._service.own_environment(filter_key).delete(kind, key, version)
            self._tell(event, filter_key)

        self._do(delete)

    # --- streams ---

    @property
    def open_streams(self) -> int:
        """How many streams are open."""
        return self._service.log.open_streams

    @property
    def open_connections(self) -> int:
        """How many connections are open, with a request on them or not."""
        return 0 if self._server is None else self._server.connections

    def send_raw(self, data: bytes) -> None:
        """Send these bytes to every open stream."""
        server = self._running()
        server.call(lambda: server.send(data))

    def end_streams(self) -> None:
        """End every open stream, as a server does that is shut down in peace."""
        server = self._running()
        server.call(server.end_streams)

    def drop_streams(self, *, reset: bool = False) -> None:
        """Close the connection of every open stream in the middle; `reset`: with a TCP reset."""
        server = self._running()
        server.call(lambda: server.drop_streams(reset=reset))

    def hold_streams(self) -> None:
        """Accept streams from now on, but answer nothing until `release_streams`."""
        server = self._running()
        server.call(server.hold)

    def release_streams(self) -> None:
        """Answer the streams that were held."""
        server = self._running()
        server.call(server.release)

    # --- answers ---

    def respond(self, path_prefix: str, *answers: Scripted | Responder) -> None:
        """Answer the next requests to a path with these, in turn; then as usual again.

        Args:
            path_prefix: "/all" (stream), "/sdk/latest-all" (poll), "/bulk", "/diagnostic" (events).
            answers: an answer, or a function that is called with the request, on another thread,
                and returns one, or None for the usual.
        """

        def add() -> None:
            self._service.queued.setdefault(path_prefix, deque()).extend(answers)

        self._do(add)

    def always(self, path_prefix: str, answer: Scripted | Responder | None) -> None:
        """Answer every request to a path with this, once `respond` has no more; None: as usual."""

        def change() -> None:
            self._service.always.pop(path_prefix, None)
            if answer is not None:
                self._service.always[path_prefix] = answer

        self._do(change)

    @property
    def headers(self) -> dict[str, str]:
        """Added to every answer of streams and polls, such as `X-LD-EnvID`; to be changed."""
        return self._service.headers_of_data

    @headers.setter
    def headers(self, headers: Mapping[str, str]) -> None:
        self._service.headers_of_data = dict(headers)

    @property
    def date(self) -> datetime | str | None:
        """The `Date` header of every answer; None: the real time, "": no such header."""
        return self._service.date

    @date.setter
    def date(self, date: datetime | str | None) -> None:
        self._service.date = date

    # --- what was received ---

    @property
    def requests(self) -> list[Request]:
        """All requests, in the order of their arrival."""
        return self._service.log.requests()

    def requests_to(self, path_prefix: str) -> list[Request]:
        """The requests to paths that begin so."""
        return self._service.log.requests(path_prefix)

    def forget_requests(self) -> None:
        """Begin `requests` and what comes from them (`events`, `payloads`) anew."""
        self._service.log.clear()

    def payloads(self) -> list[list[dict[str, Any]]]:
        """The analytics events that were accepted, post by post."""
        return [events_of(request) for request in self._accepted(EVENTS)]

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The analytics events that were accepted, in one list; of one `kind` if it is given."""
        events = [event for payload in self.payloads() for event in payload]
        return [event for event in events if kind in {None, event.get("kind")}]

    @property
    def diagnostics(self) -> list[dict[str, Any]]:
        """The diagnostic events that were accepted."""
        return [request.json() for request in self._accepted(DIAGNOSTIC)]

    # --- parts ---

    def _accepted(self, path: str) -> list[Request]:
        requests = self._service.log.requests(path)
        return [request for request in requests if (request.answered or 500) < 300]  # noqa: PLR2004

    def _take(self, changes: ChangeSet) -> None:
        self._do(lambda: self._tell(self._service.environments[None].take(changes), None))

    def _tell(self, event: bytes, filter_key: str | None) -> None:
        if self._server is not None:
            wanted = self._service.environment(filter_key)
            self._server.send(event, lambda s: self._service.environment(s.filter) is wanted)

    def _running(self) -> Server:
        if self._server is None:
            raise RuntimeError("the fake upstream does not run: use it in a `with` block")
        return self._server

    def _do(self, act: Callable[[], T]) -> T:
        return act() if self._server is None else self._server.call(act)

    def _leave(self, error: object) -> None:
        """End a `with` block: stop, and raise what a responder raised unless there is an error."""
        self.stop()
        if error is None and self._service.log.failures:
            raise self._service.log.failures[0]

    # --- what one can wait for ---

    def _wish(self, holds: Callable[[], bool], what: str) -> Wish[None]:
        return Wish(holds, lambda: None, what)

    def _request(self, path_prefix: str, count: int) -> Wish[Request]:
        def requests() -> list[Request]:
            return self.requests_to(path_prefix)

        what = f"fewer than {count} requests to {path_prefix}"
        return Wish(lambda: len(requests()) >= count, lambda: requests()[count - 1], what)

    def _streams(self, count: int) -> Wish[None]:
        return self._wish(lambda: self.open_streams == count, f"not {count} open streams")

    def _events(self, kind: str | None, count: int) -> Wish[list[dict[str, Any]]]:
        what = f"fewer than {count} events" + (f" of kind {kind}" if kind else "")
        return Wish(lambda: len(self.events(kind)) >= count, lambda: self.events(kind), what)

    def _missed(self, wish: Wish[Any], timeout: float) -> UpstreamTimeout:
        seen = self._service.log.summary()
        return UpstreamTimeout(f"{wish.missing} within {timeout:g} s; {seen}")
