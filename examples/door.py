"""A door between a process and a server on the network: it can be shut, and opened again."""

import socket
import threading
from contextlib import suppress

LOOPBACK = "127.0.0.1"


class Door:
    """Forwards connections to a server for as long as it is open.

    Attributes:
        port: where it listens, on this machine only.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._lock = threading.Lock()
        self._ends: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.port = 0
        self.open()

    def open(self) -> None:
        """Let connections through, at the same port as before."""
        listener = socket.create_server((LOOPBACK, self.port))
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._welcome, args=(listener,), daemon=True).start()

    def shut(self) -> None:
        """Refuse new connections and end those that are there."""
        if self._listener is not None:
            end(self._listener)
            self._listener = None
        with self._lock:
            ends, self._ends = self._ends, set()
        for one in ends:
            end(one)

    def _welcome(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # shut
            try:
                server = socket.create_connection(self._server)
            except OSError:
                end(client)
                continue
            with self._lock:
                if listener is not self._listener:
                    end(client)
                    end(server)
                    return
                self._ends |= {client, server}
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for one in (source, target):
            with self._lock:
                self._ends.discard(one)
            end(one)


def end(one: socket.socket) -> None:
    """Close a socket; whoever waits on it wakes up."""
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
