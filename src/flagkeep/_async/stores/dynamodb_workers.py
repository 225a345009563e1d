"""Threads for calls that block, where calls may run at the same time."""

from collections.abc import Callable
from typing import Final, TypeVar

from flagkeep._runtime import aio as runtime

T = TypeVar("T")

# A request takes 1 ms of the interpreter's time and some more of the network's: more threads than
# these get no more of it done (see docs/decisions/0022).
_THREADS: Final = 8


class AsyncWorkers:
    """Several workers, of which that with the fewest calls gets the next.

    None is begun before it is needed. Where callers do the work themselves, there is nothing to
    choose between.

    Args:
        name: of the threads.
    """

    __slots__ = ("_calls", "_workers")

    def __init__(self, name: str) -> None:
        self._workers = [runtime.Worker(name) for _ in range(_THREADS)]
        self._calls = [0] * _THREADS

    async def run(self, fn: Callable[[], T]) -> T:
        """Return what `fn` returns."""
        calls = self._calls
        at = calls.index(min(calls))
        calls[at] += 1
        try:
            return await self._workers[at].run(fn)
        finally:
            calls[at] -= 1

    def close(self) -> None:
        """Let go of the threads once what they are doing is done; a later `run` makes new ones."""
        for worker in self._workers:
            worker.close()
