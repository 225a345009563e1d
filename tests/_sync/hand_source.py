"""A source that delivers what a test tells it to, when it tells it."""

from typing import Any, Final

from flagkeep._sync.interfaces import DataSink
from flagkeep._runtime import threads as runtime
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import encode_json, to_item
from flagkeep.model.item import BadItem, Kind
from flagkeep.model.status import SourceError, SourceErrorKind, SourceState


class HandSource:
    """Delivers by hand. `deliver` returns when the client has taken the data."""

    name: Final = "hand"
    has_versions: Final = True
    keeps_trying_to_start: Final = True

    def __init__(self) -> None:
        self.sink: DataSink | None = None
        self._connected = runtime.Event()
        self._stopped = runtime.Event()

    def source(self) -> "HandSource":
        """Be the factory too."""
        return self

    def run(self, sink: DataSink) -> None:
        """Hand out the sink and wait for the end."""
        self.sink = sink
        self._connected.set()
        self._stopped.wait(None)

    def stop(self) -> None:
        """End `run`."""
        self._stopped.set()

    def deliver(self, changes: ChangeSet) -> None:
        """Hand a change set to the client."""
        assert self._connected.wait(10)
        assert self.sink is not None
        self.sink.apply(changes)

    def fail(self, message: str) -> None:
        """Tell the client of a failure."""
        assert self._connected.wait(10)
        assert self.sink is not None
        error = SourceError(SourceErrorKind.NETWORK_ERROR, message, runtime.wall_time())
        self.sink.report(SourceState.INTERRUPTED, error)


def environment(
    *flags: dict[str, Any], segments: tuple[dict[str, Any], ...] = (), bad: tuple[BadItem, ...] = ()
) -> ChangeSet:
    """Return a full change set of these flags and segments."""
    return ChangeSet(
        full=True,
        flags={one["key"]: to_item(Kind.FLAG, one["key"], encode_json(one)) for one in flags},
        segments={
            one["key"]: to_item(Kind.SEGMENT, one["key"], encode_json(one)) for one in segments
        },
        bad=bad,
    )


def changes(*flags: dict[str, Any]) -> ChangeSet:
    """Return a partial change set of these flags."""
    full = environment(*flags)
    return ChangeSet(full=False, flags=full.flags)


def flag(key: str, *values: Any, version: int = 1, **more: Any) -> dict[str, Any]:
    """Return a flag that is on and gives the first of `values` to everybody."""
    return {
        "key": key,
        "version": version,
        "on": True,
        "variations": list(values or (True, False)),
        "fallthrough": {"variation": 0},
        "offVariation": 1 if len(values) != 1 else 0,
        **more,
    }
