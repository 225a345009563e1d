"""The source that `TestData` gives to a `Client`."""

import queue
import threading
from collections.abc import Callable
from typing import Final

from flagkeep._sync.interfaces import DataSink
from flagkeep.model.changeset import ChangeSet

Subscribe = Callable[[Callable[[ChangeSet], None]], Callable[[], None]]

_PATIENCE: Final = 5.0  # a listener that blocks on the caller must not block it for good


class TestSource:
    """Delivers everything at first, then each change.

    Args:
        subscribe: begins the flow of change sets.
        running: where it is listed while it runs.
    """

    __test__ = False

    name: Final = "test data"
    has_versions: Final = True
    keeps_trying_to_start: Final = False

    def __init__(self, subscribe: Subscribe, running: "dict[object, TestSource]") -> None:
        self._subscribe = subscribe
        self._running = running
        self._queue: queue.SimpleQueue[ChangeSet | threading.Event | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def run(self, sink: DataSink) -> None:
        """Deliver to `sink` until `stop` is called."""
        self._thread = threading.current_thread()
        unsubscribe = self._subscribe(self._queue.put)
        self._running[self] = self
        try:
            while not self._stopped.is_set():
                match self._queue.get():
                    case ChangeSet() as changes:
                        sink.apply(changes)
                    case threading.Event() as mark:
                        mark.set()
        finally:
            unsubscribe()
            self._running.pop(self, None)
            self._release()

    def stop(self) -> None:
        """End `run`. May be called from any thread, more than once; returns at once."""
        self._stopped.set()
        self._queue.put(None)

    def wait_until_applied(self) -> None:
        """Block until everything that was published is with the sink.

        Does nothing on the thread that delivers: a listener may change the data.
        """
        if self._thread is threading.current_thread() or self._stopped.is_set():
            return
        mark = threading.Event()
        self._queue.put(mark)
        if self._running.get(self) is None:  # it ended meanwhile and may not see the mark
            return
        mark.wait(_PATIENCE)

    def _release(self) -> None:
        while not self._queue.empty():
            left = self._queue.get()
            if isinstance(left, threading.Event):
                left.set()
