"""A TCP proxy that does to a connection what networks do."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from typing import Final, Self

from tests.servers.server import LOOPBACK, free_port

CHUNK: Final = 65_536
RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST at once


class FaultProxy:
    """Stands between a client and a server; what is set holds until `pass_on`.

    Attributes:
        port: where clients connect to; stays the same.
    """

    def __init__(self, server_port: int, host: str = LOOPBACK) -> None:
        self.port = free_port()
        self._server = (host, server_port)
        self._delay = 0.0
        self._cut_after: int | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy")
        self._listener: asyncio.Server | None = None
        self._links: set[_Link] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self.pass_on()
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def pass_on(self) -> None:
        """Do no harm, to old and new connections."""
        self._do(self._pass_on)

    def delay(self, seconds: float) -> None:
        """Let every reply come so much later."""
        self._do(lambda: setattr(self, "_delay", seconds))

    def cut_after(self, count: int) -> None:
        """Reset every connection after `count` more bytes from the server."""

        def cut() -> None:
            self._cut_after = count
            for link in self._links:
                link.left = count

        self._do(cut)

    def refuse(self) -> None:
        """Refuse new connections and reset the old ones."""
        self._do(self._refuse)

    def _do(self, act: Callable[[], object]) -> None:
        """Run it in the loop's thread, or wait for what it has begun there."""

        async def run() -> None:
            result = act()
            if asyncio.iscoroutine(result):
                await result

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    async def _pass_on(self) -> None:
        self._delay = 0.0
        self._cut_after = None
        for link in self._links:
            link.left = None
        if self._listener is None:
            self._listener = await asyncio.start_server(self._accept, LOOPBACK, self.port)

    async def _refuse(self) -> None:
        if self._listener is not None:
            listener, self._listener = self._listener, None
            for place in listener.sockets:
                self._loop.remove_reader(place.fileno())
            await asyncio.sleep(0)  # who was just accepted needs an open listener to begin
            listener.close()
        for link in list(self._links):
            link.reset()

    async def _end(self) -> None:
        await self._refuse()
        # Asyncio accepts in tasks of its own, which begin new ones.
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others, timeout=0.05)  # they end with their connections
            await self._refuse()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server = await asyncio.open_connection(*self._server)
        except OSError:
            _reset(writer)
            return
        link = _Link(writer, server[1], self._cut_after)
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_carry(reader, server[1], link))
                group.create_task(self._carry_back(server[0], link))
        except* OSError:
            pass
        finally:
            link.reset()
            self._links.discard(link)

    async def _carry_back(self, server: asyncio.StreamReader, link: "_Link") -> None:
        """Bring replies to the client, late or cut as it is set."""
        loop = self._loop
        due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                when, data = await due.get()
                await asyncio.sleep(max(0.0, when - loop.time()))
                await link.to_client(data)

        async with asyncio.TaskGroup() as group:
            delivering = group.create_task(deliver())
            while data := await server.read(CHUNK):
                due.put_nowait((loop.time() + self._delay, data))
            delivering.cancel()
        link.reset()


class _Link:
    """One client's connection, and the one to the server that belongs to it."""

    def __init__(
        self, client: asyncio.StreamWriter, server: asyncio.StreamWriter, left: int | None
    ) -> None:
        self._client = client
        self._server = server
        self.left = left  # bytes to go until it is cut

    async def to_client(self, data: bytes) -> None:
        if self.left is not None:
            data, self.left = data[: self.left], max(0, self.left - len(data))
        self._client.write(data)
        await self._client.drain()
        if self.left == 0:
            self.reset()

    def reset(self) -> None:
        _reset(self._client)
        _reset(self._server)


async def _carry(client: asyncio.StreamReader, server: asyncio.StreamWriter, link: _Link) -> None:
    """Bring requests to the server until one side is gone."""
    while data := await client.read(CHUNK):
        server.write(data)
        await server.drain()
    link.reset()


def _reset(writer: asyncio.StreamWriter) -> None:
    if not writer.transport.is_closing():
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
