"""Flags and segments from files, followed as they change."""

from typing import Final

from flagkeep._sync.interfaces import DataSink
from flagkeep._runtime import threads as runtime
from flagkeep._runtime.files import FileWatch
from flagkeep.config import FileSource
from flagkeep.errors import InvalidData, MissingExtra
from flagkeep.model.status import SourceError, SourceErrorKind, SourceState


class FileDataSource:
    """Delivers the files' whole content whenever it changes.

    While a file is broken or gone nothing is delivered, so what was there before stays in force.
    """

    name: Final = "file"
    has_versions: Final = False
    keeps_trying_to_start: Final = False

    def __init__(self, settings: FileSource) -> None:
        self._reload = settings.reload
        self._worker = runtime.Worker("flagkeep-files")
        self._watch = FileWatch(
            settings.paths,
            poll_interval=settings.poll_interval,
            force_polling=settings.force_polling,
        )

    def run(self, sink: DataSink) -> None:
        """Deliver to `sink` until `stop` is called."""
        try:
            self._deliver(sink)
            if not self._reload:
                self._worker.run(self._watch.wait_for_stop)
            while self._worker.run(self._watch.wait):
                self._deliver(sink)
        finally:
            self._watch.stop()  # the worker still waits if this was cancelled
            self._worker.close()

    def stop(self) -> None:
        """End `run` within 50 ms. May be called from any thread, more than once."""
        self._watch.stop()

    def _deliver(self, sink: DataSink) -> None:
        try:
            changes = self._worker.run(self._watch.load)
        except (InvalidData, MissingExtra) as exc:
            error = SourceError(SourceErrorKind.INVALID_DATA, str(exc), runtime.wall_time())
            sink.report(SourceState.INTERRUPTED, error)
        else:
            if changes is not None:
                sink.apply(changes)
