"""Which sides each stage of a migration calls (evaluation spec, section 5)."""

from collections.abc import Mapping
from typing import Final

from flagkeep.model.migration import Origin, Stage

_OLD: Final = (Origin.OLD,)
_NEW: Final = (Origin.NEW,)
_OLD_FIRST: Final = (Origin.OLD, Origin.NEW)
_NEW_FIRST: Final = (Origin.NEW, Origin.OLD)

# The side that decides comes first.
READS: Final[Mapping[Stage, tuple[Origin, ...]]] = {
    Stage.OFF: _OLD,
    Stage.DUALWRITE: _OLD,
    Stage.SHADOW: _OLD_FIRST,
    Stage.LIVE: _NEW_FIRST,
    Stage.RAMPDOWN: _NEW,
    Stage.COMPLETE: _NEW,
}

# The second is not called if the first fails.
WRITES: Final[Mapping[Stage, tuple[Origin, ...]]] = {
    Stage.OFF: _OLD,
    Stage.DUALWRITE: _OLD_FIRST,
    Stage.SHADOW: _OLD_FIRST,
    Stage.LIVE: _NEW_FIRST,
    Stage.RAMPDOWN: _NEW_FIRST,
    Stage.COMPLETE: _NEW,
}
