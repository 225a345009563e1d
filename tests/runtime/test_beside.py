"""Where a large text is read: never in the way of an event loop."""

import asyncio
import threading
from functools import partial

import pytest

from flagkeep._runtime import aio, threads


def fail() -> None:
    raise ValueError("not like that")


def test_an_event_loop_goes_on_while_a_large_text_is_read() -> None:
    async def main() -> bool:
        turn = threading.Event()
        asyncio.get_running_loop().call_soon(turn.set)
        return await aio.beside(aio.LARGE, partial(turn.wait, 5))

    assert asyncio.run(main())


def test_a_small_text_is_read_at_once() -> None:
    async def main() -> int:
        return await aio.beside(aio.LARGE - 1, threading.get_ident)

    assert asyncio.run(main()) == threading.get_ident()


def test_a_thread_reads_every_text_itself() -> None:
    assert threads.beside(aio.LARGE, threading.get_ident) == threading.get_ident()


def test_what_is_raised_beside_arrives_and_no_thread_stays() -> None:
    async def main() -> None:
        await aio.beside(aio.LARGE, fail)

    with pytest.raises(ValueError, match="not like that"):
        asyncio.run(main())
    for thread in threading.enumerate():
        if thread.name.startswith("flagkeep-read"):
            thread.join(5)
            assert not thread.is_alive()
