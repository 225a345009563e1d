"""A request on its way through proxies and redirects, and what becomes of its answer.

Knows neither colour: both drive this, and move the bytes.
"""

import os
import zlib
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple
from urllib.parse import quote, unquote, urljoin, urlsplit

import httpcore2

from flagkeep.config import HttpSettings
from flagkeep.protocol.http import REDIRECTS_ALLOWED, is_redirect, proxy_for, server_of

KEPT: Final = 4  # connections that wait for the next request, of one pool
KEPT_FOR: Final = 55.0  # seconds; many servers and proxies close them after a minute

_PIECE: Final = 1 << 20
_SAFE: Final = "%/:=&?~+!$,;'@()*[]"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class BadAddress(ValueError):
    """A URL that leads nowhere."""


class BadAnswer(Exception):
    """What a server sent cannot be used; the text says why."""


class Route(NamedTuple):
    """How a server is reached; one pool of connections serves all that share it."""

    is_tls: bool
    proxy: str | None

    @property
    def needs_tls(self) -> bool:
        """Whether something on the way is encrypted."""
        return self.is_tls or (self.proxy or "").lower().startswith("https:")


class Exchange:
    """One request, followed to where it is answered.

    Attributes:
        url: where it goes now.
        method: such as `GET`.
    """

    __slots__ = ("_body", "_headers", "_redirects", "_settings", "method", "url")

    def __init__(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        settings: HttpSettings,
    ) -> None:
        self.method = method
        self.url = url
        self._headers = {name.lower(): value for name, value in headers.items()}
        self._body = body
        self._settings = settings
        self._redirects = 0

    @property
    def route(self) -> Route:
        """How its server is reached."""
        proxy = self._settings.proxy or proxy_for(self.url, os.environ)
        return Route(self.url.lower().startswith("https:"), proxy)

    def request(self, read_timeout: float) -> httpcore2.Request:
        """Return it as the driver wants it.

        Raises:
            BadAddress: its URL is none.
        """
        url, host = _parsed(self.url)
        headers: list[tuple[bytes | str, bytes | str]] = [("host", host)]
        headers.extend(self._headers.items())
        if self._body is not None:
            headers.append(("content-length", str(len(self._body))))
        connect = self._settings.connect_timeout
        limits = {"connect": connect, "read": read_timeout, "write": read_timeout, "pool": connect}
        return httpcore2.Request(
            self.method, url, headers=headers, content=self._body, extensions={"timeout": limits}
        )

    def is_moved(self, answer: "Head") -> bool:
        """Whether the answer only says where to ask; then it goes there, with no secrets.

        One redirect too many, or one that leads nowhere, is the answer.
        """
        location = answer.headers.get("location")
        if self.method != "GET" or not is_redirect(answer.status) or not location:
            return False
        target = urljoin(self.url, location).partition("#")[0]
        if self._redirects == REDIRECTS_ALLOWED or server_of(target).scheme not in _DEFAULT_PORTS:
            return False
        if server_of(target) != server_of(self.url):
            self._headers.pop("authorization", None)
        self._redirects += 1
        self.url = target
        return True


class Head(NamedTuple):
    """What comes before the body of an answer."""

    status: int
    headers: Mapping[str, str]


def head_of(status: int, lines: Iterable[tuple[bytes, bytes]]) -> Head:
    """Return what the driver has read."""
    headers: dict[str, str] = {}
    for line in lines:
        name, value = line[0].decode("latin-1").lower(), line[1].decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Head(status, headers)


class Inflater:
    """Undoes the compression of a body, in pieces of bounded size."""

    __slots__ = ("_has_more", "_left", "_unpacker")

    def __init__(self) -> None:
        self._unpacker = zlib.decompressobj(47)  # gzip or zlib, whichever it is
        self._left = b""
        self._has_more = False

    def feed(self, data: bytes) -> None:
        """Take what came."""
        self._left += data

    def take(self) -> bytes:
        """Return the next piece, `b""` if more must come first.

        Raises:
            BadAnswer: that is not compressed as it should be.
        """
        while self._left or self._has_more:
            if self._unpacker.eof:
                self._unpacker = zlib.decompressobj(47)  # gzip files may follow each other
            try:
                piece = self._unpacker.decompress(self._left, _PIECE)
            except zlib.error as exc:
                raise BadAnswer("its compressed answer is damaged") from exc
            self._left = self._unpacker.unconsumed_tail or self._unpacker.unused_data
            self._has_more = len(piece) == _PIECE and not self._unpacker.eof
            if piece:
                return piece
        return b""

    @property
    def is_whole(self) -> bool:
        """Whether it has come to its end."""
        return self._unpacker.eof and not self._left


def inflater_for(head: Head) -> Inflater | None:
    """Return what undoes the compression of a body, None if there is none.

    Raises:
        BadAnswer: nothing does.
    """
    encoding = head.headers.get("content-encoding", "").strip().lower()
    if encoding in {"", "identity"}:
        return None
    if encoding in {"gzip", "x-gzip", "deflate"}:
        return Inflater()
    raise BadAnswer("its answer is compressed in a way that was not asked for")


class Body:
    """The body of an answer as it comes in, bounded before and after its decompression."""

    __slots__ = ("_inflater", "_limit", "_pieces", "_size")

    def __init__(self, head: Head, limit: int) -> None:
        self._inflater = inflater_for(head)
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0
        announced = head.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > limit:
            raise self._too_large()

    def add(self, data: bytes) -> None:
        """Take what came.

        Raises:
            BadAnswer: it is too large, or damaged.
        """
        if self._inflater is None:
            self._keep(data)
            return
        self._inflater.feed(data)
        while piece := self._inflater.take():
            self._keep(piece)

    def whole(self) -> bytes:
        """Return all of it.

        Raises:
            BadAnswer: its compressed form was cut off.
        """
        if self._inflater is not None and self._size and not self._inflater.is_whole:
            raise BadAnswer("its compressed answer was cut off")
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._limit:
            raise self._too_large()
        self._pieces.append(piece)

    def _too_large(self) -> BadAnswer:
        return BadAnswer(
            f"its answer has more than {self._limit} bytes: if that is right, raise"
            " max_response_bytes"
        )


class ProxyAddress(NamedTuple):
    """A proxy and who we are to it."""

    url: httpcore2.URL
    auth: tuple[bytes, bytes] | None

    @property
    def is_tls(self) -> bool:
        """Whether it is spoken to by TLS."""
        return self.url.scheme == b"https"


def proxy_address(proxy: str) -> ProxyAddress:
    """Take the URL of a proxy apart.

    Raises:
        BadAddress: it is none.
    """
    url, _ = _parsed(proxy)
    parts = urlsplit(proxy)
    if parts.username is None:
        return ProxyAddress(url, None)
    who = unquote(parts.username).encode(), unquote(parts.password or "").encode()
    return ProxyAddress(url, who)


def _parsed(url: str) -> tuple[httpcore2.URL, str]:
    """Return a URL for the driver, and its value of the header `Host`."""
    try:
        parts = urlsplit(url)
        scheme, port = parts.scheme.lower(), parts.port
        name = parts.hostname or ""
        host = name.encode("ascii" if name.isascii() else "idna")
    except ValueError:
        raise BadAddress("it is not a URL") from None
    if scheme not in _DEFAULT_PORTS or not host:
        raise BadAddress("it must begin with http:// or https:// and a host")
    target = quote(parts.path or "/", safe=_SAFE)
    if parts.query:
        target = f"{target}?{quote(parts.query, safe=_SAFE)}"
    shown = f"[{host.decode()}]" if b":" in host else host.decode()
    if port is not None and port != _DEFAULT_PORTS[scheme]:
        shown = f"{shown}:{port}"
    # Python 3.11 has no other way to say that a port is the scheme's.
    number = _DEFAULT_PORTS[scheme] if port is None else port
    return httpcore2.URL(
        scheme=scheme.encode(), host=host, port=number, target=target.encode("ascii")
    ), shown
