"""A source of the core as an `UpdateProcessor`, for applications that call our data sources.

The client itself does not need this: it hands `Files` and `TestData` to the core as they are.
"""

import logging
import threading
from typing import Any, Final

from flagkeep._sync.interfaces import DataSource
from flagkeep.ldclient._items import opened
from flagkeep.ldclient._update_sink import as_error_info
from flagkeep.ldclient.interfaces import DataSourceState, DataSourceUpdateSink, UpdateProcessor
from flagkeep.ldclient.versioned_data_kind import FEATURES, SEGMENTS
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import Kind
from flagkeep.model.status import SourceError, SourceState

log = logging.getLogger("ldclient.util")

_KINDS: Final = {Kind.FLAG: FEATURES, Kind.SEGMENT: SEGMENTS}


class SourceProcessor(UpdateProcessor):
    """Writes what a source of the core delivers to a feature store.

    Args:
        source: of the core.
        config: its `data_source_update_sink`, if there is one, is preferred to the store.
        store: a feature store.
        ready: set when waiting is over.
    """

    def __init__(self, source: DataSource, config: Any, store: Any, ready: threading.Event) -> None:
        self._source = source
        self._update_sink: DataSourceUpdateSink | None = config.data_source_update_sink
        self._target = store if self._update_sink is None else self._update_sink
        self._ready = ready
        self._has_data = False
        self._thread = threading.Thread(target=self._run, name="ldclient-source", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, soon."""
        self._source.stop()

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._thread.is_alive()

    def initialized(self) -> bool:
        """Whether it has delivered a full set."""
        return self._has_data

    def apply(self, changes: ChangeSet) -> None:
        """Write a change set of the source to the store."""
        if changes.full:
            self._target.init(
                {
                    _KINDS[kind]: {key: opened(item) for key, item in changes.of(kind).items()}
                    for kind in (Kind.SEGMENT, Kind.FLAG)
                }
            )
            self._has_data = True
        else:
            for ref, item in changes.items():
                if item.deleted:
                    self._target.delete(_KINDS[ref.kind], ref.key, item.version)
                else:
                    self._target.upsert(_KINDS[ref.kind], opened(item))
        self.report(SourceState.VALID)

    def report(self, state: SourceState, error: SourceError | None = None) -> None:
        """Pass on how the source is doing."""
        if self._update_sink is not None:
            official = None if error is None else as_error_info(error)
            self._update_sink.update_status(DataSourceState(state.value), official)
        self._ready.set()

    def _run(self) -> None:
        try:
            self._source.run(self)
        except Exception:
            log.exception("a data source ended with an error")
            self._ready.set()
