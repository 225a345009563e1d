"""The service that connected SDKs talk to: `upstream.py JSON [FLAG]`; prints its port.

It has a process of its own, and everything it sends is ready before anybody asks, so that what is
measured is the SDK. With FLAG, every open stream gets a patch of that flag again and again: its
value is the time of this machine's monotonic clock just before the patch was sent.
"""

import json
import socket
import socketserver
import sys
import time
from email.utils import formatdate
from pathlib import Path
from typing import Final

HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
CHUNK: Final = 32_768  # the official SDK waits for whole blocks of an answer without chunks
FIRST_PATCH: Final = 1.0  # seconds after the put
PATCH_EVERY: Final = 0.025
VERSION: Final = 1_000_000  # above every version in the environment
FOREVER: Final = 3_600.0
MEBIBYTE: Final = 1 << 20


def main() -> None:
    """Serve until killed."""
    environment = Path(sys.argv[1]).read_bytes()
    put = b'event: put\ndata: {"path":"/","data":' + environment + b"}\n\n"
    Handler.put = HEAD + chunked(put)
    Handler.flag = sys.argv[2] if sys.argv[2:] else ""
    with Server(("127.0.0.1", 0), Handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever(poll_interval=FOREVER)


def chunked(data: bytes) -> bytes:
    """Return data as a body of HTTP/1.1 that has no end."""
    parts = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


class Server(socketserver.ThreadingTCPServer):
    """One thread for each connection; they sleep in the system while bytes are on their way."""

    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that hang up."""


class Handler(socketserver.StreamRequestHandler):
    """One connection.

    Attributes:
        put: the whole answer to a request for the stream.
        flag: whose patches follow; `""` for none.
    """

    disable_nagle_algorithm = True
    put: bytes
    flag: str

    def handle(self) -> None:
        """Answer requests until the client hangs up."""
        while line := self.rfile.readline():
            length = 0
            while (header := self.rfile.readline()).strip():
                name, _, value = header.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            self.rfile.read(length)
            if line.startswith(b"GET "):
                self.stream()
                return
            date = formatdate(usegmt=True)
            answer = f"HTTP/1.1 202 Accepted\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n"
            self.wfile.write(answer.encode())

    def stream(self) -> None:
        """Send everything, and patches."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MEBIBYTE)
        self.connection.sendall(self.put)
        if not self.flag:
            self.connection.recv(1)
            return
        time.sleep(FIRST_PATCH)
        number = VERSION
        while True:
            number += 1
            self.connection.sendall(chunked(patch(self.flag, number, time.monotonic())))
            time.sleep(PATCH_EVERY)


def patch(key: str, version: int, value: float) -> bytes:
    """Return a patch that gives everybody this value."""
    flag = {
        "key": key,
        "version": version,
        "on": True,
        "prerequisites": [],
        "targets": [],
        "contextTargets": [],
        "rules": [],
        "fallthrough": {"variation": 0},
        "offVariation": 0,
        "variations": [value],
        "salt": key,
        "deleted": False,
    }
    return f"event: patch\ndata: {json.dumps({'path': f'/flags/{key}', 'data': flag})}\n\n".encode()


if __name__ == "__main__":
    main()
