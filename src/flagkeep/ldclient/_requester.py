"""A `feature_requester_class` of the application as a source of the core that polls."""

import time
from collections.abc import Mapping
from threading import Event
from typing import Any

from flagkeep._sync.interfaces import DataSink
from flagkeep.ldclient import _items
from flagkeep.ldclient._core_settings import AnyConfig
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.status import SourceError, SourceErrorKind, SourceState


class RequesterBase:
    """What both colours have.

    Args:
        config: its `feature_requester_class` is called with it, once for each beginning.
    """

    name = "polling"
    has_versions = True
    keeps_trying_to_start = True

    def __init__(self, config: AnyConfig) -> None:
        self._config = config
        self._interval = config.poll_interval

    def _make(self) -> Any:
        make = self._config.feature_requester_class
        return None if make is None else make(self._config)


class RequesterSource(RequesterBase):
    """Asks for everything again and again, on a thread of the client."""

    def __init__(self, config: AnyConfig) -> None:
        super().__init__(config)
        self._stopped = Event()

    def source(self) -> "RequesterSource":
        """Return one for one client."""
        return RequesterSource(self._config)

    def run(self, sink: DataSink) -> None:
        """Deliver to `sink` until `stop` is called."""
        requester = None
        while not self._stopped.is_set():
            try:
                requester = self._make() if requester is None else requester
                sink.apply(received(requester.get_all_data()))
            except Exception as exc:  # noqa: BLE001  foreign code
                sink.report(SourceState.INTERRUPTED, problem_of(exc))
            self._stopped.wait(self._interval)

    def stop(self) -> None:
        """End `run` soon."""
        self._stopped.set()


def received(data: Mapping[Any, Mapping[str, Any]]) -> ChangeSet:
    """Return what a requester returned as a full set; a bad item spoils no other."""
    return _items.isolated_set(data)


def problem_of(exc: Exception) -> SourceError:
    """Return a requester's failure as the core reports it."""
    status = getattr(exc, "status", None)
    is_answer = isinstance(status, int)
    kind = SourceErrorKind.ERROR_RESPONSE if is_answer else SourceErrorKind.UNKNOWN
    message = f"the feature requester failed: {type(exc).__name__}: {exc}"
    return SourceError(kind, message, time.time(), status if is_answer else None)
