"""An HTTP proxy in front of a real server, which does to requests what servers in trouble do."""

import http.client
import socket
import ssl
import struct
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from select import select
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

from tests.servers.server import LOOPBACK

RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST at once
OF_ONE_CONNECTION: Final = frozenset({"connection", "content-length", "keep-alive"})


class Request(NamedTuple):
    """What a client has sent.

    Attributes:
        operation: what it wants, in one word or two; see each proxy.
        path: with the query.
        headers: their names in lower case.
    """

    operation: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Reply(NamedTuple):
    """What a client gets.

    Attributes:
        every: seconds between two bytes of the body, which come one by one then.
        cut_after: the connection is reset when so many bytes of the body are sent; with -1,
            before the first byte of the head.
    """

    status: int
    body: bytes
    headers: Mapping[str, str]
    every: float = 0.0
    cut_after: int | None = None


Ask = Callable[[Request], Reply]
Fault = Callable[[Request, Ask], Reply]


class HungUp(Exception):
    """There is nothing to be said to the client any more."""


class _Rule:
    """A fault, and for which requests it is."""

    def __init__(
        self,
        operation: str | None,
        fault: Fault,
        times: int | None,
        after: int,
        where: Callable[[Request], bool] | None,
    ) -> None:
        self._operation = operation
        self._where = where
        self.fault = fault
        self._skip = after
        self._left = times

    def takes(self, request: Request) -> bool:
        if self._operation not in {None, request.operation}:
            return False
        if self._left == 0 or not (self._where is None or self._where(request)):
            return False
        if self._skip:
            self._skip -= 1
            return False
        if self._left is not None:
            self._left -= 1
        return True


class HttpFaults(ABC):
    """Passes requests on, but for those that a fault is set for.

    Of several faults for one request the first that was set is taken. A fault takes these
    arguments: `operation`, None for all; `times`, how many requests it meets, None for all until
    `pass_on`; `after`, how many it lets pass before; `where`, which of them it means.

    Args:
        server_url: the real server, over plain HTTP.
        tls: speak TLS with clients.

    Attributes:
        url: where clients connect to; stays the same.
        counts: how often each operation was asked for.
        reached: how often each reached the real server.
        requests: all that came, in the order of arrival.
    """

    def __init__(self, server_url: str, *, tls: ssl.SSLContext | None = None) -> None:
        place = urlsplit(server_url)
        self._server = (place.hostname or LOOPBACK, place.port or 80)
        self._changed = threading.Condition()
        self._rules: list[_Rule] = []
        self._released = threading.Event()  # of what hangs; a new one with each `pass_on`
        self._sockets: set[socket.socket] = set()
        self._is_ended = False
        self._front = _Front(self, tls)
        self._thread = threading.Thread(target=self._front.serve_forever, args=(0.05,))
        self.port: int = self._front.server_address[1]
        self.url = f"http{'' if tls is None else 's'}://{LOOPBACK}:{self.port}"
        self.counts: Counter[str] = Counter()
        self.reached: Counter[str] = Counter()
        self.requests: list[Request] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._front.shutdown()
        self._thread.join()
        self._is_ended = True
        self.pass_on()
        self.hang_up()
        self._front.server_close()  # waits for its threads

    @abstractmethod
    def operation_of(self, method: str, path: str, headers: Mapping[str, str]) -> str:
        """Return what a request wants."""

    def on(
        self,
        operation: str | None,
        fault: Fault,
        *,
        times: int | None = None,
        after: int = 0,
        where: Callable[[Request], bool] | None = None,
    ) -> None:
        """Set a fault of one's own: it gets the request and a way to ask the real server."""
        with self._changed:
            self._rules.append(_Rule(operation, fault, times, after, where))

    def answer(
        self,
        operation: str | None,
        status: int,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        **when: Any,
    ) -> None:
        """Answer without asking the server."""
        self.on(operation, lambda _, __: Reply(status, body, headers or {}), **when)

    def hang(self, operation: str | None, **when: Any) -> None:
        """Take requests, pass nothing on and say nothing, until `pass_on`, which hangs up."""

        def fault(_: Request, __: Ask) -> Reply:
            self._released.wait()
            raise HungUp

        self.on(operation, fault, **when)

    def lose_answers(self, operation: str | None, **when: Any) -> None:
        """Let the server do it, and reset the connection instead of saying so."""
        self.cut(operation, after_bytes=-1, **when)

    def cut(self, operation: str | None, *, after_bytes: int, **when: Any) -> None:
        """Let the server do it, and reset the connection in the middle of the answer's body."""
        self.on(
            operation,
            lambda request, ask: ask(request)._replace(cut_after=after_bytes),
            **when,
        )

    def drip(self, operation: str | None, *, every: float, **when: Any) -> None:
        """Let the answer's body come byte by byte."""
        self.on(operation, lambda request, ask: ask(request)._replace(every=every), **when)

    def delay(self, operation: str | None, seconds: float, **when: Any) -> None:
        """Let the server do it, and the answer come so much later."""

        def fault(request: Request, ask: Ask) -> Reply:
            reply = ask(request)
            self._released.wait(seconds)
            return reply

        self.on(operation, fault, **when)

    def pass_on(self) -> None:
        """Do no harm any more; what hangs is hung up on."""
        with self._changed:
            self._rules.clear()
            self._released.set()
            self._released = threading.Event()

    def hang_up(self) -> None:
        """Reset all connections; new ones are taken."""
        with self._changed:
            for sock in self._sockets:
                with suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    sock.shutdown(socket.SHUT_RDWR)

    def wait_for(self, operation: str, count: int = 1, *, within: float = 30.0) -> None:
        """Return when an operation was asked for so often, answered or not."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.counts[operation] >= count, within):
                raise AssertionError(f"{operation} came {self.counts[operation]} times only")

    def _reply_to(self, request: Request, ask: Ask) -> Reply:
        with self._changed:
            self.counts[request.operation] += 1
            self.requests.append(request)
            rule = next((one for one in self._rules if one.takes(request)), None)
            self._changed.notify_all()
        return ask(request) if rule is None else rule.fault(request, ask)

    def _reaches(self, request: Request) -> None:
        with self._changed:
            self.reached[request.operation] += 1

    def _opened(self, sock: socket.socket) -> None:
        with self._changed:
            if self._is_ended:
                raise HungUp
            self._sockets.add(sock)

    def _closed(self, sock: socket.socket) -> None:
        with self._changed:
            self._sockets.discard(sock)
        sock.close()


class _Front(ThreadingHTTPServer):
    """The side that clients see: a thread for each connection."""

    daemon_threads = False  # `server_close` waits for them
    request_queue_size = 128

    def __init__(self, faults: HttpFaults, tls: ssl.SSLContext | None) -> None:
        super().__init__((LOOPBACK, 0), _Connection)
        self.faults = faults
        self._tls = tls

    def finish_request(self, request: Any, client_address: Any) -> None:
        sock = request
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(request, server_side=True)
            self.faults._opened(sock)
            super().finish_request(sock, client_address)
        except (HungUp, OSError):
            pass
        finally:
            self.faults._closed(sock)


class _Connection(BaseHTTPRequestHandler):
    """One connection of a client, and the one to the server that belongs to it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Front

    def setup(self) -> None:
        super().setup()
        self._faults = self.server.faults
        self._behind = http.client.HTTPConnection(*self._faults._server)

    def finish(self) -> None:
        self._hang_up_behind()
        super().finish()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _do(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        operation = self._faults.operation_of(self.command, self.path, headers)
        body = self.rfile.read(length)
        request = Request(operation, self.command, self.path, headers, body)
        try:
            self._send(self._faults._reply_to(request, self._ask))
        except (HungUp, OSError, http.client.HTTPException):
            self._reset()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _do  # noqa: N815  the base class's names

    def _ask(self, request: Request) -> Reply:
        """Ask the real server; a client that hangs up meanwhile ends that."""
        faults = self._faults
        headers = {
            name: value for name, value in request.headers.items() if name not in OF_ONE_CONNECTION
        }
        if self._behind.sock is None:
            self._behind.connect()
            faults._opened(self._behind.sock)  # type: ignore[arg-type]  # it is connected now
        faults._reaches(request)
        self._behind.request(request.method, request.path, request.body, headers)
        self._wait_behind()
        response = self._behind.getresponse()
        body = response.read()
        kept = {
            name: value
            for name, value in response.headers.items()
            if name.lower() not in {*OF_ONE_CONNECTION, "transfer-encoding"}
        }
        return Reply(response.status, body, kept)

    def _wait_behind(self) -> None:
        if isinstance(self.connection, ssl.SSLSocket):
            return  # it cannot be asked whether the client is there without reading from it
        client = [self.connection]
        while True:
            readable, _, _ = select([self._behind.sock, *client], [], [])
            if self._behind.sock in readable:
                return
            if not self.connection.recv(1, socket.MSG_PEEK):
                raise HungUp
            client = []  # it has sent its next request already

    def _send(self, reply: Reply) -> None:
        if reply.cut_after == -1:
            raise HungUp
        self.send_response_only(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        body = reply.body if reply.cut_after is None else reply.body[: reply.cut_after]
        released = self._faults._released
        if reply.every:
            for number in range(len(body)):
                self.wfile.write(body[number : number + 1])
                if released.wait(reply.every):
                    raise HungUp
        else:
            self.wfile.write(body)
        if reply.cut_after is not None:
            time.sleep(0.05)  # a reset overtakes what was sent before
            raise HungUp

    def _reset(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._hang_up_behind()

    def _hang_up_behind(self) -> None:
        if self._behind.sock is not None:
            self._faults._closed(self._behind.sock)
        self._behind.close()
