"""Redis commands by hand, so that no driver stands between a test and what the server holds."""

import socket
from types import TracebackType
from typing import Any, Self


class RedisError(Exception):
    """The server answered with an error."""


class RedisConnection:
    """One connection.

    Args:
        address: a path, or a host and port.
        timeout: seconds that one answer may take.
    """

    def __init__(self, address: str | tuple[str, int], *, timeout: float = 10.0) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self._socket = socket.socket(family)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(address)
        except OSError:
            self._socket.close()
            raise
        self._replies = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._replies.close()
        self._socket.close()

    def command(self, *arguments: object) -> Any:
        """Send a command; texts come back as bytes, nothing as None."""
        words = [one if isinstance(one, bytes) else str(one).encode() for one in arguments]
        lengths = (b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
        self._socket.sendall(b"*%d\r\n" % len(words) + b"".join(lengths))
        return self._reply()

    def _reply(self) -> Any:
        line = self._replies.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server hung up")
        kind, rest = line[:1], line[1:-2]
        match kind:
            case b"+":
                return rest
            case b"-":
                raise RedisError(rest.decode())
            case b":":
                return int(rest)
            case b"$":
                return None if rest == b"-1" else self._replies.read(int(rest) + 2)[:-2]
            case b"*":
                return [self._reply() for _ in range(int(rest))]
        raise AssertionError(line)
