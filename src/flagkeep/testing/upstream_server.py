"""The fake upstream's server: one event loop in a thread of its own, any number of connections.

What a test calls comes in through `call` and runs between two steps of the loop, so nothing here
needs a lock. What a test may see (requests, open streams) is told to `Log`, which has one.
"""

import asyncio
import itertools
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar

from flagkeep.testing import upstream_answering as answering
from flagkeep.testing.upstream_messages import Request, Responder, Scripted
from flagkeep.testing.upstream_wire import HEAD_LIMIT, Connection

LOOPBACK: Final = "127.0.0.1"
_WITHIN: Final = 10.0  # seconds for what a test asks of the loop
_RESPONDERS: Final = 64  # threads
_UNANSWERED: Final = frozenset({"hang", "close", "reset"})

T = TypeVar("T")
_Step = Scripted | Responder


class Service(Protocol):
    """What the server asks; `choose` and `usual` are called on the loop's thread."""

    def received(self, request: Request) -> _Step | None:
        """Note a request; return what was scripted for it."""

    def usual(self, request: Request) -> Scripted:
        """Return the answer to a request that nothing was scripted for."""

    def headers(self, request: Request) -> Mapping[str, str]:
        """Return the headers of every answer."""

    def answered(self, request: Request, status: int) -> None:
        """Note which answer it gets."""

    def responder_failed(self, exc: Exception) -> None:
        """Note that a function that was scripted raised this."""

    def streams_changed(self, count: int) -> None:
        """Note how many streams are open."""


class Stream:
    """An open stream: bytes put here are sent.

    Attributes:
        filter: the payload filter that the client asked for.
    """

    def __init__(self, connection: Connection, filter_key: str | None) -> None:
        self.filter = filter_key
        self.connection = connection
        self.outbox: asyncio.Queue[bytes | None] = asyncio.Queue()  # None: the end


class Server:
    """Listens on one port of loopback; `start` and `stop` once each."""

    def __init__(self, service: Service, tls: ssl.SSLContext | None) -> None:
        self.port = 0
        self.streams: set[Stream] = set()
        self._service = service
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="fake-upstream", daemon=True
        )
        self._socket: socket.socket | None = None
        self._listener: asyncio.Server | None = None
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._numbers = itertools.count(1)
        self._responders = ThreadPoolExecutor(_RESPONDERS, "fake-upstream-responder")
        self._released = asyncio.Event()
        self._released.set()

    # --- for any thread ---

    def start(self) -> None:
        """Start the thread; nobody can connect before `listen`."""
        self._thread.start()

    def stop(self) -> None:
        """Close everything and end the thread; in the child of a fork there is none."""
        if not self._thread.is_alive():
            return
        self.wait_for(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._responders.shutdown(wait=False, cancel_futures=True)

    def call(self, act: Callable[[], T]) -> T:
        """Run it on the loop's thread and return what it returns."""

        async def run() -> T:
            return act()

        return self.wait_for(run())

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it on the loop and return what it returns."""
        if not self._thread.is_alive():  # also in the child of a fork
            work.close()
            raise RuntimeError("the fake upstream runs in the process that started it only")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_WITHIN)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    # --- on the loop ---

    async def listen(self) -> None:
        """Accept connections, on the same port as before."""
        if self._listener is None:
            place = self._socket or _bound(0)
            self._socket = None
            self.port = place.getsockname()[1]
            self._listener = await asyncio.start_server(
                self._converse, sock=place, ssl=self._tls, limit=HEAD_LIMIT, backlog=1024
            )

    async def refuse(self) -> None:
        """Refuse new connections and close idle ones; the port stays ours."""
        if self._listener is not None:
            listener, self._listener = self._listener, None
            await self._close_listener(listener)
            self._socket = _bound(self.port)  # bound, not listening: nobody else gets it
        for connection in list(self._connections):
            if connection.idle:
                connection.abort()

    def send(self, data: bytes, wanted: Callable[[Stream], bool] = lambda _: True) -> None:
        """Send bytes to the open streams that are `wanted`."""
        for stream in self.streams:
            if wanted(stream):
                stream.outbox.put_nowait(data)

    def end_streams(self) -> None:
        """End the open streams as a server does that has nothing more to say."""
        for stream in self.streams:
            stream.outbox.put_nowait(None)
        self._forget(*self.streams)

    def drop_streams(self, *, reset: bool) -> None:
        """Close the connections of the open streams in the middle of everything."""
        for stream in self.streams:
            stream.connection.abort(reset=reset)
        self._forget(*self.streams)

    def hold(self) -> None:
        """Let new streams wait for their answer."""
        self._released.clear()

    def release(self) -> None:
        """Answer the streams that wait, and new ones."""
        self._released.set()

    async def _end(self) -> None:
        if self._listener is not None:
            await self._close_listener(self._listener)
        if self._socket is not None:
            self._socket.close()
        # Asyncio accepts in tasks of its own, which begin new ones. Each needs a step to begin and
        # one to shake hands; cancelled before, it would leave its socket open.
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for _ in range(2):
                await asyncio.sleep(0)
            for connection in self._connections:
                connection.abort()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        await asyncio.sleep(0)  # transports close their sockets in the step after

    async def _close_listener(self, listener: asyncio.Server) -> None:
        for place in listener.sockets:
            self._loop.remove_reader(place.fileno())
        await asyncio.sleep(0)  # who was just accepted needs an open listener to begin
        for place in listener.sockets:
            # A forked child may have it too. Systems other than Linux refuse that.
            with suppress(OSError):
                place.shutdown(socket.SHUT_RDWR)
        listener.close()

    def _forget(self, *streams: Stream) -> None:
        self.streams.difference_update(streams)
        self._service.streams_changed(len(self.streams))

    # --- one connection ---

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  start_server makes one for each connection
        connection = Connection(next(self._numbers), reader, writer)
        self._connections[connection] = task
        try:
            while (request := await connection.read_request()) is not None:
                if not await self._answer(request, connection):
                    break
                connection.idle = True
            await connection.close()
        except (OSError, asyncio.IncompleteReadError, ValueError):
            pass  # the client is gone, or speaks no HTTP
        except asyncio.CancelledError:
            pass  # the upstream stops
        finally:
            del self._connections[connection]
        connection.abort()

    async def _answer(self, request: Request, connection: Connection) -> bool:
        """Answer a request; return whether the connection can have another."""
        scripted = await self._scripted(request)
        answer = scripted or self._service.usual(request)
        if answer.delay:
            await asyncio.sleep(answer.delay)
        if answer.behaviour == "stay" and not self._released.is_set():
            await self._released.wait()
            answer = scripted or self._service.usual(request)  # as things are now
        if answer.behaviour in _UNANSWERED:
            await answering.never_answer(answer, connection)
            return False
        self._service.answered(request, answer.status)
        headers = self._service.headers(request)
        if answer.behaviour != "stay":
            return await answering.send(answer, headers, request, connection)
        await self._stay(answer, headers, Stream(connection, request.query.get("filter")))
        return False

    async def _scripted(self, request: Request) -> Scripted | None:
        step = self._service.received(request)
        if not callable(step):
            return step
        try:
            return await self._loop.run_in_executor(self._responders, step, request)
        except Exception as exc:  # noqa: BLE001  it is the test's own code
            self._service.responder_failed(exc)
            return Scripted(500, body=f"the test's responder failed: {exc!r}")

    async def _stay(self, answer: Scripted, headers: Mapping[str, str], stream: Stream) -> None:
        # It gets all that is sent from here on, and the loop took no step since the body was made.
        self.streams.add(stream)
        self._service.streams_changed(len(self.streams))
        watch = self._loop.create_task(self._close_when_gone(stream))
        try:
            await answering.begin_stream(answer, headers, stream.connection)
            while (data := await stream.outbox.get()) is not None:
                if data:
                    await stream.connection.write_chunk(data)
            await stream.connection.write_chunk(b"")
        finally:
            watch.cancel()
            self._forget(stream)

    async def _close_when_gone(self, stream: Stream) -> None:
        await stream.connection.wait_until_gone()
        stream.connection.abort()
        self._forget(stream)
        stream.outbox.put_nowait(None)


def _bound(port: int) -> socket.socket:
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.bind((LOOPBACK, port))
    return place
