"""Stores whose drivers know blocking calls only."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from flagkeep._runtime import aio as runtime
from flagkeep.errors import StoreClosed

P = ParamSpec("P")
T = TypeVar("T")


class AsyncBlocking:
    """Runs what blocks where it may, until it is closed.

    Args:
        name: of the thread, if there is one.
        label: what errors call the store.
        close: what to do last.
    """

    __slots__ = ("_close", "_is_closed", "_label", "_worker")

    def __init__(self, name: str, label: str, close: Callable[[], None]) -> None:
        self._worker = runtime.Worker(name)
        self._label = label
        self._close = close
        self._is_closed = False

    async def run(self, operation: str, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `fn` returns.

        Raises:
            StoreClosed: `aclose` was called.
        """
        self.check_open(operation)
        return await self._worker.run(fn, *args, **kwargs)

    def check_open(self, operation: str) -> None:
        """Fail if it was closed.

        Raises:
            StoreClosed: it was.
        """
        if self._is_closed:
            raise StoreClosed(self._label, operation)

    async def aclose(self) -> None:
        """Do the last thing; a second call does nothing."""
        if not self._is_closed:
            self._is_closed = True
            await self._worker.finish(self._close)
