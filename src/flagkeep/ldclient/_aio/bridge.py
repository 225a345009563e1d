"""From an `AsyncInMemoryFeatureStore` into the core: what is written to it is in force soon.

As `_bridge`, which says why; but the core is told from one task, in the order of the changes, and
who writes waits until that is done.
"""

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from flagkeep._async.interfaces import AsyncDataSink, AsyncDataSource
from flagkeep._runtime import aio as runtime
from flagkeep.errors import ConfigError
from flagkeep.ldclient.async_feature_store import AsyncInMemoryFeatureStore
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.status import SourceError, SourceState

log = logging.getLogger("ldclient.util")

LOOK_EVERY: Final = 0.1  # seconds between questions whether a custom source has its data


class AsyncStoreSource:
    """A source of the core that delivers what is in a store, and what is written to it.

    Args:
        store: where the data goes through.
        make_inner: makes what fills it; None if only the application does.
        is_complete: whether the store counts as it is, initialized or not.
    """

    def __init__(
        self,
        store: AsyncInMemoryFeatureStore,
        make_inner: Callable[[], AsyncDataSource] | None,
        *,
        is_complete: bool,
    ) -> None:
        self._store = store
        self._make_inner = make_inner
        self._is_complete = is_complete
        self._begin()

    def _begin(self) -> None:
        inner = None if self._make_inner is None else self._make_inner()
        self.name = "application" if inner is None else inner.name
        self.has_versions = True if inner is None else inner.has_versions
        self.keeps_trying_to_start = inner is not None and inner.keeps_trying_to_start
        self._inner = inner
        self._sink: AsyncDataSink | None = None
        self._is_open = False
        self._is_stopped = False
        self._is_new = True
        self._waiting: deque[ChangeSet | runtime.Event] = deque()
        self._news = runtime.Event()
        self._over = runtime.Event()
        self._attached = runtime.Event()

    def async_source(self) -> "AsyncStoreSource":
        """Return itself: it serves one client, which asks again in the child of a fork."""
        if not self._is_new:
            self._begin()
        self._is_new = False
        return self

    async def run(self, sink: AsyncDataSink) -> None:
        """Deliver until `stop` is called."""
        self._sink = sink
        self._store._follow(self, self._put)
        feeding = runtime.spawn("flagkeep-inner", partial(self._feed, sink))
        try:
            if self._is_complete or self._store.initialized:
                self.open()
            while not self._is_stopped:
                self._news.clear()
                while self._waiting and not self._is_stopped:
                    await self._deliver(sink, self._waiting.popleft())
                self._attached.set()
                await self._news.wait(None)
        finally:
            self._store._unfollow(self, self._put)
            self._release()
        await feeding.join(None)

    def stop(self) -> None:
        """End `run` soon. May be called from any thread, more than once; returns at once."""
        self._is_stopped = True
        self._news.set()
        self._over.set()
        if self._inner is not None:
            self._inner.stop()

    def open(self) -> None:
        """Deliver what the store holds, and from now on every change of it.

        Before that a full set opens by itself, and single changes wait.
        """
        if not self._is_open and self._sink is not None:
            self._store._repeat(self._put)

    async def wait_until_attached(self) -> None:
        """Wait, but not for long, until what is written to the store is in force soon."""
        await self._attached.wait(1.0)

    async def applied(self) -> None:
        """Wait until everything that was written to the store so far is in force."""
        if self._is_stopped or self._sink is None:
            return
        mark = runtime.Event()
        self._waiting.append(mark)
        self._news.set()
        if self._is_stopped:  # it ended meanwhile, and may not see the mark
            return
        await mark.wait(None)

    async def _feed(self, sink: AsyncDataSink) -> None:
        if self._inner is not None:
            await self._inner.run(_IntoStore(self._store, sink))

    def _put(self, changes: ChangeSet) -> None:
        self._is_open = self._is_open or changes.full
        if self._is_open:
            self._waiting.append(changes)
            self._news.set()

    async def _deliver(self, sink: AsyncDataSink, one: ChangeSet | runtime.Event) -> None:
        if isinstance(one, ChangeSet):
            await sink.apply(one)
        else:
            one.set()

    def _release(self) -> None:
        for left in self._waiting:
            if not isinstance(left, ChangeSet):
                left.set()


class _IntoStore:
    """The sink of an inner source: data goes to the store, reports to the core."""

    def __init__(self, store: AsyncInMemoryFeatureStore, sink: AsyncDataSink) -> None:
        self._store = store
        self._sink = sink

    async def apply(self, changes: ChangeSet) -> None:
        """Take a change set; returns when it is in force."""
        await self._store._apply(changes)

    async def report(self, state: SourceState, error: SourceError | None = None) -> None:
        """Take a report."""
        await self._sink.report(state, error)


class AsyncCustomSource(AsyncStoreSource):
    """A source of the core around an `AsyncUpdateProcessor` of the application.

    Args:
        store: handed to it.
        make: `update_processor_class`.
    """

    def __init__(self, store: AsyncInMemoryFeatureStore, make: Callable[..., Any]) -> None:
        self._make = make
        self._processor: Any = None
        self._config: Any = None
        self._left_to_parent: list[Any] = []
        super().__init__(store, None, is_complete=False)

    def _begin(self) -> None:
        super()._begin()
        self.name = "custom"
        self.ready = _Ready(self.look)
        if self._processor is not None:  # its tasks and connections are not in this process
            self._left_to_parent.append(self._processor)
            self._processor = None

    async def start_processor(self, config: Any) -> None:
        """Make the processor and start it, as the official SDK does.

        Raises:
            Exception: whatever the application's code raises.
        """
        await self.wait_until_attached()
        self._config = config
        processor = self._make(config, self._store, self.ready)
        if processor is None:
            raise ConfigError("update_processor_class returned None, not an AsyncUpdateProcessor")
        self._processor = processor
        await runtime.call_stage(processor.start)
        self.look()

    def look(self) -> None:
        """Take what the store holds as it is, once the processor says that it has its data."""
        if not self._is_open and self._processor is not None:
            try:
                is_initialized = self._processor.initialized()
            except Exception:
                log.exception("the update processor could not say whether it is initialized")
                return
            if is_initialized:
                self.open()

    async def report(self, state: SourceState, error: SourceError | None) -> None:
        """Pass on what the processor says about itself."""
        if self._sink is not None:
            await self._sink.report(state, error)

    async def _feed(self, sink: AsyncDataSink) -> None:  # noqa: ARG002  the processor writes to the store
        if self._left_to_parent and self._config is not None:
            await self.start_processor(self._config)  # nobody else does in the child of a fork
        while not self._is_stopped:
            await self._over.wait(None if self._is_open else LOOK_EVERY)
            self.look()
        if self._processor is not None:
            try:
                await runtime.call_stage(self._processor.stop)
            except Exception:
                log.exception("the update processor could not be stopped")


class _Ready(runtime.Event):
    """An event that somebody is told of at once, where it is set."""

    __slots__ = ("_told",)

    def __init__(self, told: Callable[[], None]) -> None:
        super().__init__()
        self._told = told

    def set(self) -> None:
        super().set()
        self._told()

    async def wait(self, timeout: float | None = None) -> bool:
        return await super().wait(timeout)
