"""An HTTP proxy that wants a user and a password, if it is told so."""

import base64
import socket
import ssl
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

from tests.servers.raw import read_head
from tests.servers.server import LOOPBACK

REFUSED = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"


class HttpProxy:
    """Passes on what is asked for by CONNECT or by a whole URL.

    Attributes:
        port: where it listens.
        asked: the first lines of all requests.
    """

    def __init__(
        self,
        user: str | None = None,
        password: str = "",
        *,
        tls: ssl.SSLContext | None = None,
        forbids: bool = False,
    ) -> None:
        self._wanted = None
        if user is not None:
            token = base64.b64encode(f"{user}:{password}".encode())
            self._wanted = b"Proxy-Authorization: Basic " + token
        self._tls = tls
        self._forbids = forbids
        self._listener = socket.create_server((LOOPBACK, 0))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        self.asked: list[str] = []

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

    def _begin(self, fn: object, *args: object) -> None:
        thread = threading.Thread(target=fn, args=args, name="http-proxy")  # type: ignore[arg-type]  # one of ours
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._open.append(sock)
                self._begin(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        with suppress(OSError):
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                self._open.append(sock)
            head = read_head(sock)
            line, _, headers = head.partition(b"\r\n")
            self.asked.append(line.decode())
            if self._forbids:
                sock.sendall(FORBIDDEN)
            elif self._wanted is not None and self._wanted not in headers:
                sock.sendall(REFUSED)
            else:
                self._pass_on(sock, line.decode(), headers)
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    def _pass_on(self, sock: socket.socket, line: str, headers: bytes) -> None:
        method, target, _ = line.split(" ")
        is_tunnel = method == "CONNECT"
        parts = urlsplit(f"//{target}" if is_tunnel else target)
        with socket.create_connection((parts.hostname or "", parts.port or 80), 5) as server:
            self._open.append(server)
            if is_tunnel:
                sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
                server.sendall(f"{method} {path} HTTP/1.1\r\n".encode() + headers)
            back = threading.Thread(target=_carry, args=(server, sock))
            back.start()
            _carry(sock, server)
            back.join()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for sock in (source, target):
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
