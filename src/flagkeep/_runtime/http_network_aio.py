"""Connections as the HTTP driver uses them, in asyncio. `http_network_threads` has the same names.

Plain sockets and no transports: a socket can be shut down from any thread, and outlives its loop.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, Final

import httpcore2

from flagkeep._runtime.http_addresses import (
    Found,
    addresses_in,
    aside,
    close,
    finder_of,
    is_number,
    is_ready_to_read,
    limits_of,
)
from flagkeep._runtime.http_stop import ATTEMPT, Stop, TooSlow, shut_down
from flagkeep._runtime.http_tls import TlsEnd

Pool = httpcore2.AsyncConnectionPool
ProxyPool = httpcore2.AsyncHTTPProxy

_PIECE: Final = 65_536
_IN_A_ROW: Final = 16  # pieces that are read before the loop gets a turn


class Wire(httpcore2.AsyncNetworkStream):
    """A connection."""

    def __init__(self, sock: socket.socket, stop: Stop) -> None:
        self._sock = sock
        self._stop = stop
        self._in_a_row = 0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what has come once something has, `b""` at the end."""
        try:
            data = await self._receive(max_bytes, timeout)
        except OSError:
            self._stop.check()
            raise
        if not data:
            self._stop.check()
        return data

    async def _receive(self, max_bytes: int, timeout: float | None) -> bytes:
        self._in_a_row += 1
        if self._in_a_row > _IN_A_ROW:
            self._in_a_row = 0
            await asyncio.sleep(0)
        try:
            return self._sock.recv(max_bytes)
        except BlockingIOError:
            self._in_a_row = 0
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.get_running_loop().sock_recv(self._sock, max_bytes)
        except TimeoutError:
            raise TooSlow(f"nothing came for {timeout:.2g} s") from None

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it."""
        try:
            async with asyncio.timeout(timeout):
                await asyncio.get_running_loop().sock_sendall(self._sock, buffer)
        except TimeoutError:
            raise TooSlow("it takes too long to take in what is sent") from None
        except OSError as exc:
            self._stop.check()
            raise httpcore2.WriteError(exc) from exc

    async def aclose(self) -> None:
        """Close it. A child of a fork may have it too, so that closing alone would not end it."""
        if self._stop.is_ours:
            self._stop.remove(self._sock)
            close(self._sock)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Return a connection inside of this one that is encrypted."""
        return await encrypted(self, ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> Any:
        """Return what the driver wants to know."""
        return is_ready_to_read(self._sock) if info == "is_readable" else None


class TlsWire(httpcore2.AsyncNetworkStream):
    """An encrypted connection inside of another one."""

    def __init__(self, under: httpcore2.AsyncNetworkStream, tls: TlsEnd) -> None:
        self._under = under
        self._tls = tls

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what has come once something has, `b""` at the end."""
        while (data := self._tls.take(max_bytes)) is None:
            await self._receive(timeout)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it."""
        await self._under.write(self._tls.encrypt(buffer), timeout)

    async def agree(self, timeout: float | None) -> None:
        """Exchange certificates and keys, within so many seconds altogether."""
        try:
            async with asyncio.timeout(timeout):
                while not self._tls.is_agreed():
                    await self._receive(None)
        except TimeoutError:
            raise TooSlow(f"no agreement on TLS within {timeout:.2g} s") from None
        finally:
            if waiting := self._tls.to_send():  # the rest, or why we refuse
                await self._under.write(waiting, timeout)

    async def aclose(self) -> None:
        """Close it."""
        await self._under.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Return a connection inside of this one that is encrypted once more."""
        return await encrypted(self, ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> Any:
        """Return what the driver wants to know."""
        return self._tls.ssl_object if info == "ssl_object" else self._under.get_extra_info(info)

    async def _receive(self, timeout: float | None) -> None:
        if waiting := self._tls.to_send():
            await self._under.write(waiting, timeout)
        self._tls.feed(await self._under.read(_PIECE, timeout))


async def encrypted(
    under: httpcore2.AsyncNetworkStream,
    context: ssl.SSLContext,
    server_name: str | None,
    timeout: float | None,
) -> TlsWire:
    """Return an encrypted connection inside of `under`, which is closed if there is none."""
    wire = TlsWire(under, TlsEnd(context, server_name))
    try:
        await wire.agree(timeout)
    except BaseException:
        await under.aclose()
        raise
    return wire


class Network(httpcore2.AsyncNetworkBackend):
    """Makes connections that end when `Stop` is set."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002  not used here
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,  # noqa: ARG002  likewise
    ) -> Wire:
        """Connect, within so many seconds altogether."""
        ATTEMPT.get().has_connected = True
        try:
            async with asyncio.timeout(timeout):
                return await self._connect_one(host, port, timeout)
        except TimeoutError:
            raise TooSlow(
                f"no connection within {timeout:.2g} s: is there a firewall between?"
            ) from None

    async def _connect_one(self, host: str, port: int, timeout: float | None) -> Wire:
        find = finder_of(host, port)
        addresses = addresses_in(find() if is_number(host) else await found(find))
        problem: OSError = OSError("no address")
        for (family, kind, protocol, _, address), limit in limits_of(addresses, timeout):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                async with asyncio.timeout(limit):
                    await asyncio.get_running_loop().sock_connect(sock, address)
                self._stop.add(sock, partial(shut_down, sock))
            except OSError as exc:
                sock.close()
                problem = exc
            except BaseException:
                sock.close()
                raise
            else:
                return Wire(sock, self._stop)
        raise problem


async def found(find: Callable[[], Found]) -> Found:
    """Return what `find` does, beside the loop: the end of the loop does not wait for it."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Found] = loop.create_future()

    def settle(result: Found) -> None:
        if not future.done():
            future.set_result(result)

    def run() -> None:
        result = find()
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, result)

    aside(run)
    return await future
