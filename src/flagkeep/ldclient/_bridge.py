"""From an `InMemoryFeatureStore` into the core: what is written to it is in force at once.

The core takes data from one source. In this face everything in memory goes through the store of
the configuration, so that the application may look into it and write to it: data source -> store
-> core. A custom source gets such a store even where the configuration has another one; what it
writes then reaches that one through the core.
"""

import logging
from collections.abc import Callable
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol

from flagkeep._sync.interfaces import DataSink, DataSource
from flagkeep.errors import ConfigError
from flagkeep.ldclient.feature_store import InMemoryFeatureStore
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.status import SourceError, SourceState

if TYPE_CHECKING:  # the client's modules need this one
    from flagkeep.ldclient.config import Config

log = logging.getLogger("ldclient.util")

ATTACH_WITHIN = 1.0  # seconds; only a persistent store that is read first takes any of it
LOOK_EVERY = 0.1  # seconds between questions whether a custom source has its data


class StoreSource:
    """A source of the core that delivers what is in a store, and what is written to it.

    Args:
        store: where the data goes through.
        make_inner: makes what fills it; None if only the application does.
        is_complete: whether the store counts as it is, initialized or not.
    """

    def __init__(
        self,
        store: InMemoryFeatureStore,
        make_inner: Callable[[], DataSource] | None,
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
        self._sink: DataSink | None = None
        self._is_open = False
        self._stopped = Event()
        self._attached = Event()
        self._is_new = True

    def source(self) -> "StoreSource":
        """Return itself: it serves one client, which asks again in the child of a fork."""
        if not self._is_new:
            self._begin()
        self._is_new = False
        return self

    def async_source(self) -> Any:
        """Never called: this face is not asynchronous."""
        raise ConfigError("a source of ldclient cannot serve an AsyncClient")

    def run(self, sink: DataSink) -> None:
        """Deliver until `stop` is called."""
        self._sink = sink
        self._store._watch(self._forward)
        try:
            if self._is_complete or self._store.initialized:
                self.open()
            self._attached.set()
            self._feed(sink)
        finally:
            self._store._unwatch(self._forward)

    def stop(self) -> None:
        """End `run` soon."""
        self._stopped.set()
        if self._inner is not None:
            self._inner.stop()

    def open(self) -> None:
        """Deliver what the store holds, and from now on every change of it.

        Before that a full set opens by itself, and single changes wait.
        """
        if not self._is_open and self._sink is not None:
            self._store._repeat(self._forward)

    def wait_until_attached(self) -> None:
        """Wait, but not for long, until what is written to the store is in force at once."""
        self._attached.wait(ATTACH_WITHIN)

    def _feed(self, sink: DataSink) -> None:
        if self._inner is not None:
            self._inner.run(_IntoStore(self._store, sink))
        else:
            self._stopped.wait()

    def _forward(self, changes: ChangeSet) -> None:
        self._is_open = self._is_open or changes.full
        if self._is_open and self._sink is not None:
            self._sink.apply(changes)


class _IntoStore:
    """The sink of an inner source: data goes to the store, reports to the core."""

    def __init__(self, store: InMemoryFeatureStore, sink: DataSink) -> None:
        self._store = store
        self._sink = sink

    def apply(self, changes: ChangeSet) -> None:
        """Take a change set."""
        self._store._apply(changes)

    def report(self, state: SourceState, error: SourceError | None = None) -> None:
        """Take a report."""
        self._sink.report(state, error)


class Processor(Protocol):
    """What `update_processor_class` returns."""

    def start(self) -> Any:
        """Begin, without waiting."""

    def stop(self) -> Any:
        """End."""

    def initialized(self) -> Any:
        """Whether there is data."""


class CustomSource(StoreSource):
    """A source of the core around an `UpdateProcessor` of the application.

    Args:
        store: handed to it.
        make: `update_processor_class`.
    """

    def __init__(
        self,
        store: InMemoryFeatureStore,
        make: Callable[["Config", InMemoryFeatureStore, Event], Processor],
    ) -> None:
        self._make = make
        self._processor: Processor | None = None
        self._config: Any = None
        self._left_to_parent: list[Processor] = []
        super().__init__(store, None, is_complete=False)

    def _begin(self) -> None:
        super()._begin()
        self.name = "custom"
        self.ready = _Ready(self.look)
        if self._processor is not None:  # its threads and connections are not in this process
            self._left_to_parent.append(self._processor)
            self._processor = None

    def start_processor(self, config: Any) -> None:
        """Make the processor and start it, on the caller's thread, as the official SDK does.

        Raises:
            Exception: whatever the application's code raises.
        """
        self.wait_until_attached()
        self._config = config
        processor = self._make(config, self._store, self.ready)
        if processor is None:
            raise ConfigError("update_processor_class returned None, not an UpdateProcessor")
        self._processor = processor
        processor.start()
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

    def report(self, state: SourceState, error: SourceError | None) -> None:
        """Pass on what the processor says about itself."""
        if self._sink is not None:
            self._sink.report(state, error)

    def _feed(self, sink: DataSink) -> None:  # noqa: ARG002  the processor writes to the store
        if self._left_to_parent and self._config is not None:
            self.start_processor(self._config)  # nobody else does in the child of a fork
        while not self._stopped.wait(None if self._is_open else LOOK_EVERY):
            self.look()
        if self._processor is not None:
            try:
                self._processor.stop()
            except Exception:
                log.exception("the update processor could not be stopped")


class _Ready(Event):
    """An event that somebody is told of at once, on the thread that sets it."""

    def __init__(self, told: Callable[[], None]) -> None:
        super().__init__()
        self._told = told

    def set(self) -> None:
        super().set()
        self._told()
