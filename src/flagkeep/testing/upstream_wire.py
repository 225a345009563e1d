"""HTTP/1.1 as the fake upstream speaks it: requests in, answers out, on one connection."""

import asyncio
import socket
import struct
import time
import zlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from flagkeep.testing.upstream_messages import Request, Scripted

HEAD_LIMIT: Final = 1_048_576  # bytes
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST at once


class Connection:
    """One client's connection; for the thread of the event loop only.

    Attributes:
        idle: whether it waits for the next request.
    """

    def __init__(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.idle = True
        self._number = number
        self._reader = reader
        self._writer = writer

    async def read_request(self) -> Request | None:
        """Return the next request, or None when the client is gone."""
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return None
        self.idle = False
        first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            known = headers.get(name.lower())
            value = value.strip()
            headers[name.lower()] = value if known is None else f"{known}, {value}"
        body = await self._read_body(headers)
        url = urlsplit(target)
        return Request(
            method=method,
            path=url.path,
            query=dict(parse_qsl(url.query, keep_blank_values=True)),
            headers=headers,
            body=_decoded(body, headers),
            raw_body=body,
            head=head,
            time=time.monotonic(),
            connection=self._number,
            certificate=self._writer.get_extra_info("peercert") or None,
        )

    async def _read_body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("expect", "").lower() == "100-continue":
            await self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" not in headers.get("transfer-encoding", "").lower():
            return await self._reader.readexactly(int(headers.get("content-length", "0")))
        parts = []
        while size := int((await self._reader.readline()).split(b";")[0], 16):
            parts.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        while (await self._reader.readline()).strip():
            pass  # trailers
        return b"".join(parts)

    async def write(self, data: bytes) -> None:
        """Send bytes; waits while the client does not read."""
        self._writer.write(data)
        await self._writer.drain()

    async def write_chunk(self, data: bytes) -> None:
        """Send a part of a body whose length nobody knows; the empty one is the last."""
        await self.write(b"%x\r\n%b\r\n" % (len(data), data))

    async def wait_until_gone(self) -> None:
        """Return when the client has closed the connection."""
        try:
            while await self._reader.read(HEAD_LIMIT):
                pass
        except OSError:
            pass

    async def close(self) -> None:
        """Send what is not sent yet, and close."""
        self._writer.close()
        await self._writer.wait_closed()

    def abort(self, *, reset: bool = False) -> None:
        """Close at once, whatever waits to be sent."""
        connection = self._writer.get_extra_info("socket")
        if connection is not None and not self._writer.transport.is_closing():
            try:
                if reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                else:
                    # A forked child may have the socket too; this closes it for both.
                    connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the client was faster
        self._writer.transport.abort()


def head_of(answer: Scripted, headers: Mapping[str, str]) -> bytes:
    """Return the status line and the headers; those of `answer` replace namesakes."""
    named = {name.lower(): (name, value) for name, value in headers.items()}
    named |= {name.lower(): (name, value) for name, value in answer.headers.items()}
    try:
        reason = HTTPStatus(answer.status).phrase
    except ValueError:
        reason = "Scripted"
    lines = [f"HTTP/1.1 {answer.status} {reason}"]
    lines += [f"{name}: {value}" for name, value in named.values()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _decoded(body: bytes, headers: Mapping[str, str]) -> bytes:
    if headers.get("content-encoding", "").lower() != "gzip":
        return body
    try:
        return zlib.decompress(body, wbits=31)
    except zlib.error:
        return body
