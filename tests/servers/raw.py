"""A TCP server that answers with whatever bytes a test wants, when it wants."""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Self

from tests.servers.server import LOOPBACK

Answer = Callable[[socket.socket], object]

OK: Final = b"HTTP/1.1 200 OK\r\n"


class RawServer:
    """Gives the n-th connection the n-th answer, and those after it the last one.

    Attributes:
        port: where it listens.
        heads: what each connection has sent up to the first empty line, in the order of arrival.
    """

    def __init__(self, *answers: Answer, tls: ssl.SSLContext | None = None) -> None:
        self._answers = answers
        self._tls = tls
        self._listener = socket.create_server((LOOPBACK, 0))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        self.heads: list[bytes] = []

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{'http' if self._tls is None else 'https'}://{LOOPBACK}:{self.port}/"

    def __enter__(self) -> Self:
        self._begin(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        for sock in (self._listener, *self._open):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for sock in (self._listener, *self._open):
            sock.close()

    def _begin(self, fn: Callable[[], object]) -> None:
        thread = threading.Thread(target=fn, name="raw-server")
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        number = 0
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._open.append(sock)
                answer = self._answers[min(number, len(self._answers) - 1)]
                self._begin(lambda sock=sock, answer=answer: self._serve(sock, answer))  # type: ignore[misc]  # mypy does not infer lambdas with defaults
                number += 1

    def _serve(self, sock: socket.socket, answer: Answer) -> None:
        with suppress(OSError):
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                self._open.append(sock)
            self.heads.append(read_head(sock))
            answer(sock)
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def read_head(sock: socket.socket) -> bytes:
    """Return a request up to its empty line, or the beginning of what is none but TLS."""
    head = b""
    while b"\r\n\r\n" not in head and (data := sock.recv(65_536)):
        head += data
        if head.startswith(b"\x16"):
            break
    return head


def says(*parts: bytes, every: float = 0.0) -> Answer:
    """Return what sends these parts, with a pause between them, and ends the connection."""

    def answer(sock: socket.socket) -> None:
        for part in parts:
            sock.sendall(part)
            time.sleep(every)

    return answer


def drips(start: bytes, *, every: float, drop: bytes = b"x") -> Answer:
    """Return what sends one byte after the other, for ever."""

    def answer(sock: socket.socket) -> None:
        sock.sendall(start)
        while True:
            sock.sendall(drop)
            time.sleep(every)

    return answer


class Holds:
    """Sends something, and waits then until the client has closed the connection."""

    def __init__(self, *parts: bytes) -> None:
        self._parts = parts
        self.is_sent = threading.Event()
        self.is_ended = threading.Event()

    def __call__(self, sock: socket.socket) -> None:
        for part in self._parts:
            sock.sendall(part)
        self.is_sent.set()
        with suppress(OSError):
            while sock.recv(65_536):
                pass
        self.is_ended.set()
