"""The source that `TestData` gives to an `AsyncClient`."""

from collections import deque
from collections.abc import Callable
from typing import Final

from flagkeep._async.interfaces import AsyncDataSink
from flagkeep._runtime import aio as runtime
from flagkeep.model.changeset import ChangeSet

Subscribe = Callable[[Callable[[ChangeSet], None]], Callable[[], None]]


class AsyncTestSource:
    """Delivers everything at first, then each change.

    Args:
        subscribe: begins the flow of change sets; they may come from any thread.
        running: where it is listed while it runs.
    """

    name: Final = "test data"
    has_versions: Final = True
    keeps_trying_to_start: Final = False

    def __init__(self, subscribe: Subscribe, running: "dict[object, AsyncTestSource]") -> None:
        self._subscribe = subscribe
        self._running = running
        self._waiting: deque[ChangeSet | runtime.Event] = deque()
        self._news = runtime.Event()
        self._is_stopped = False

    async def run(self, sink: AsyncDataSink) -> None:
        """Deliver to `sink` until `stop` is called."""
        unsubscribe = self._subscribe(self._put)
        self._running[self] = self
        try:
            while not self._is_stopped:
                await self._news.wait(None)
                self._news.clear()
                while self._waiting and not self._is_stopped:
                    await self._deliver(sink, self._waiting.popleft())
        finally:
            unsubscribe()
            self._running.pop(self, None)
            self._release()

    def stop(self) -> None:
        """End `run`. May be called from any thread, more than once; returns at once."""
        self._is_stopped = True
        self._news.set()

    async def applied(self) -> None:
        """Wait until everything that was published is with the sink."""
        mark = runtime.Event()
        self._put(mark)
        if self._running.get(self) is not None:
            await mark.wait(None)

    async def _deliver(self, sink: AsyncDataSink, one: ChangeSet | runtime.Event) -> None:
        if isinstance(one, ChangeSet):
            await sink.apply(one)
        else:
            one.set()

    def _put(self, one: ChangeSet | runtime.Event) -> None:
        self._waiting.append(one)
        self._news.set()

    def _release(self) -> None:
        for left in self._waiting:
            if not isinstance(left, ChangeSet):
                left.set()
