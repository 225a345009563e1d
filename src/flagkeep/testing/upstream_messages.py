"""What a fake upstream receives and what it can be told to answer."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self

from flagkeep.model.codec import parse_json

Behaviour = Literal["answer", "stay", "drip", "cut", "close", "reset", "hang"]
Body = bytes | str | Callable[[], Iterable[bytes]]

_PIECE: Final = 65_536  # bytes


@dataclass(slots=True, kw_only=True)
class Request:
    """One request as it arrived; `repr` shows neither key nor body.

    Attributes:
        path: without the query.
        query: decoded; of a name that comes twice, the last value.
        headers: by lower-case name; values of a name that comes twice are joined by ", ".
        body: with gzip undone.
        raw_body: as it was sent.
        head: the request line and the headers, byte for byte.
        time: when all of it had arrived, on the monotonic clock.
        connection: a number for each connection, to see which requests shared one.
        certificate: the client's certificate as `ssl.SSLSocket.getpeercert` gives it, if checked.
        answered: the status that it was answered with; None if it had no answer, or not yet.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    raw_body: bytes = field(repr=False)
    head: bytes = field(repr=False)
    time: float
    connection: int
    certificate: Mapping[str, Any] | None = field(default=None, repr=False)
    answered: int | None = None

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            InvalidData: it is none.
        """
        return parse_json(self.body)


@dataclass(frozen=True, slots=True)
class Scripted:
    """One answer, good or bad.

    `behaviour` says what becomes of it:

    - "answer": it is sent whole.
    - "stay": it is sent as the beginning of a stream, which stays open and gets what follows.
    - "drip": it is sent `piece` bytes at a time, with `interval` seconds before each.
    - "cut": it is sent, and the connection closed where more was announced.
    - "close": the connection is closed without an answer.
    - "reset": the same, with a TCP reset.
    - "hang": nothing is sent until the client goes away.

    Attributes:
        body: bytes; text (sent as UTF-8); or a function that returns the parts, one after the
            other, so that they need not be in memory together. It is called for every answer.
        headers: they come after, and instead of, those that the upstream sends by itself.
        delay: seconds to wait before anything is sent.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = b""
    delay: float = 0.0
    behaviour: Behaviour = "answer"
    interval: float = 0.1
    piece: int = 1

    @classmethod
    def redirect(cls, to: str, status: int = 302) -> Self:
        """Send the client to another URL or path; to the same one, for ever: `always`."""
        return cls(status, {"Location": to})

    @classmethod
    def stream(cls, body: Body, behaviour: Behaviour = "stay") -> Self:
        """Answer with these bytes as an event stream; "cut" ends it in the middle."""
        return cls(200, {"Content-Type": "text/event-stream"}, body, behaviour=behaviour)

    @classmethod
    def large(cls, size: int, *, start: bytes = b"", filler: bytes = b"x") -> Self:
        """Send `start` and then fill up to `size` bytes, of which few are in memory at a time.

        With the start of an event stream that is a line with no end.
        """
        kind = "text/event-stream" if start.startswith((b"data", b"event", b":")) else "text/plain"
        return cls(200, {"Content-Type": kind}, lambda: _filled(size, start, filler))

    def parts(self) -> Iterator[bytes]:
        """Yield the body."""
        if callable(self.body):
            yield from self.body()
        else:
            yield self.body.encode() if isinstance(self.body, str) else self.body


Responder = Callable[[Request], Scripted | None]
"""Decides about one request, on a thread of its own; None: the usual answer."""


def _filled(size: int, start: bytes, filler: bytes) -> Iterator[bytes]:
    yield start[:size]
    left = size - len(start)
    block = filler * (_PIECE // len(filler))
    while left > 0:
        yield block[:left]
        left -= len(block)
