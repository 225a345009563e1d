"""How one answer goes over one connection, in all the ways an answer can go wrong."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Final

from flagkeep.testing.upstream_messages import Request, Scripted
from flagkeep.testing.upstream_wire import Connection, head_of

_WITHOUT_BODY: Final = frozenset({204, 304})
_CHUNKED: Final = {"Transfer-Encoding": "chunked"}
_STREAM: Final = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}


async def never_answer(answer: Scripted, connection: Connection) -> None:
    """Do what "hang", "close" and "reset" say."""
    if answer.behaviour == "hang":
        await connection.wait_until_gone()
    connection.abort(reset=answer.behaviour == "reset")


async def begin_stream(
    answer: Scripted, headers: Mapping[str, str], connection: Connection
) -> None:
    """Send an answer as the beginning of something longer, which goes on in chunks."""
    await connection.write(head_of(answer, {**_STREAM, **headers, **_CHUNKED}))
    async for part in _parts(answer):
        await connection.write_chunk(part)


async def send(
    answer: Scripted, headers: Mapping[str, str], request: Request, connection: Connection
) -> bool:
    """Send an answer; return whether the connection can have another request."""
    if answer.behaviour == "cut":
        await connection.write(head_of(answer, {**headers, **_CHUNKED}))
        async for part in _parts(answer):
            await connection.write_chunk(part)
        return False
    if request.method == "HEAD" or answer.status in _WITHOUT_BODY:
        await connection.write(head_of(answer, headers))
    elif callable(answer.body):
        await connection.write(head_of(answer, {**headers, **_CHUNKED}))
        async for part in _parts(answer):
            await connection.write_chunk(part)
        await connection.write_chunk(b"")
    else:
        size = sum(map(len, answer.parts()))
        await connection.write(head_of(answer, {**headers, "Content-Length": str(size)}))
        async for part in _parts(answer):
            await connection.write(part)
    wishes = request.headers.get("connection", ""), answer.headers.get("Connection", "")
    return "close" not in " ".join(wishes).lower()


async def _parts(answer: Scripted) -> AsyncIterator[bytes]:
    """Yield the body at the pace that was asked for; empty parts are left out."""
    for part in answer.parts():
        if answer.behaviour == "drip":
            for start in range(0, len(part), answer.piece):
                await asyncio.sleep(answer.interval)
                yield part[start : start + answer.piece]
        elif part:
            await asyncio.sleep(0)  # a client that reads as fast as it comes is not the only one
            yield part
