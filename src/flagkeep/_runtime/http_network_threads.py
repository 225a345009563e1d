"""Connections as the HTTP driver uses them, in threads. `http_network_aio` has the same names.

Every wait ends at its limit, however slowly bytes drip in, and at once when `Stop` is set.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

import httpcore2

from flagkeep._runtime import threads
from flagkeep._runtime.http_addresses import (
    Found,
    addresses_in,
    aside,
    close,
    finder_of,
    is_connected,
    is_number,
    is_ready_to_read,
    limits_of,
)
from flagkeep._runtime.http_stop import ATTEMPT, Stop, TooSlow, limit_now, shut_down
from flagkeep._runtime.http_tls import TlsEnd

_PIECE: Final = 65_536

Pool = httpcore2.ConnectionPool
ProxyPool = httpcore2.HTTPProxy


class Wire(httpcore2.NetworkStream):
    """A connection."""

    def __init__(self, sock: socket.socket, stop: Stop) -> None:
        self._sock = sock
        self._stop = stop

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what has come once something has, `b""` at the end."""
        limit = limit_now(timeout)
        self._sock.settimeout(limit)
        try:
            data = self._sock.recv(max_bytes)
        except TimeoutError:
            limit_now(timeout)  # raises where the whole request has had its time
            raise TooSlow(f"nothing came for {limit:.2g} s") from None
        except OSError:
            self._stop.check()
            raise
        if not data:
            self._stop.check()
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it."""
        try:
            self._sock.settimeout(limit_now(timeout))
            self._sock.sendall(buffer)
        except TimeoutError:
            limit_now(timeout)
            raise TooSlow("it takes too long to take in what is sent") from None
        except OSError as exc:
            self._stop.check()
            raise httpcore2.WriteError(exc) from exc

    def close(self) -> None:
        """Close it. A child of a fork may have it too, so that closing alone would not end it."""
        if self._stop.is_ours:
            self._stop.remove(self._sock)
            close(self._sock)

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        """Return a connection inside of this one that is encrypted."""
        return encrypted(self, ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> Any:
        """Return what the driver wants to know."""
        return is_ready_to_read(self._sock) if info == "is_readable" else None


class TlsWire(httpcore2.NetworkStream):
    """An encrypted connection inside of another one."""

    def __init__(self, under: httpcore2.NetworkStream, tls: TlsEnd) -> None:
        self._under = under
        self._tls = tls

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what has come once something has, `b""` at the end."""
        while (data := self._tls.take(max_bytes)) is None:
            self._receive(timeout)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it."""
        self._under.write(self._tls.encrypt(buffer), timeout)

    def agree(self, timeout: float | None) -> None:
        """Exchange certificates and keys, within so many seconds altogether."""
        limit = limit_now(timeout)
        ends = None if limit is None else time.monotonic() + limit
        try:
            while not self._tls.is_agreed():
                self._receive(_left(ends))
        except TooSlow:
            limit_now(timeout)  # raises where the whole request has had its time
            raise TooSlow(f"no agreement on TLS within {limit:.2g} s") from None
        finally:
            if waiting := self._tls.to_send():  # the rest, or why we refuse
                self._under.write(waiting, timeout)

    def close(self) -> None:
        """Close it."""
        self._under.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        """Return a connection inside of this one that is encrypted once more."""
        return encrypted(self, ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> Any:
        """Return what the driver wants to know."""
        return self._tls.ssl_object if info == "ssl_object" else self._under.get_extra_info(info)

    def _receive(self, timeout: float | None) -> None:
        if waiting := self._tls.to_send():
            self._under.write(waiting, timeout)
        self._tls.feed(self._under.read(_PIECE, timeout))


def encrypted(
    under: httpcore2.NetworkStream,
    context: ssl.SSLContext,
    server_name: str | None,
    timeout: float | None,
) -> TlsWire:
    """Return an encrypted connection inside of `under`, which is closed if there is none."""
    wire = TlsWire(under, TlsEnd(context, server_name))
    try:
        wire.agree(timeout)
    except BaseException:
        under.close()
        raise
    return wire


class Network(httpcore2.NetworkBackend):
    """Makes connections that end when `Stop` is set."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002  not used here
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,  # noqa: ARG002  likewise
    ) -> Wire:
        """Connect, within so many seconds altogether."""
        attempt = ATTEMPT.get()
        attempt.has_connected = True
        limit = attempt.limit(timeout)
        ends = None if limit is None else time.monotonic() + limit
        problem: Exception = OSError("no address")
        for address, seconds in limits_of(self._look_up(host, port, limit), _left(ends)):
            try:
                return Wire(self._connect(address, seconds), self._stop)
            except (OSError, TooSlow) as exc:
                problem = exc
        raise problem

    def _connect(self, address: Any, seconds: float | None) -> socket.socket:
        family, kind, protocol, _, place = address
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect_ex(place)
            # Not before: a socket that is not connecting yet cannot be shut down.
            self._stop.add(sock, partial(shut_down, sock))
            _wait_for(sock, seconds)
            self._stop.check()
        except BaseException:
            self._stop.remove(sock)
            sock.close()
            raise
        return sock

    def _look_up(self, host: str, port: int, seconds: float | None) -> list[Any]:
        find = finder_of(host, port)
        if is_number(host) or threads.needs_pumping():
            return addresses_in(find())
        return addresses_in(found_within(seconds, find, self._stop))


def found_within(seconds: float | None, find: Callable[[], Found], stop: Stop) -> Found:
    """Return what `find` does, in so many seconds and as long as nobody stops it."""
    found: list[Found] = []
    done = threading.Event()

    def run() -> None:
        found.append(find())
        done.set()

    stop.add(done, done.set)
    try:
        aside(run)
        done.wait(seconds)
    finally:
        stop.remove(done)
    stop.check()
    if not found:
        raise TooSlow(f"no address within {seconds:.2g} s: does the DNS answer?")
    return found[0]


def _wait_for(sock: socket.socket, seconds: float | None) -> None:
    if not is_connected(sock, seconds):
        raise TooSlow(f"no connection within {seconds:.2g} s: is there a firewall between?")
    error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, "not connected")
    sock.getpeername()  # raises where the error has been told already


def _left(ends: float | None) -> float | None:
    if ends is None:
        return None
    left = ends - time.monotonic()
    if left <= 0:
        raise TooSlow("its name was looked up too slowly: does the DNS answer?")
    return left
