"""How a source is doing, as a small state machine (data source spec, section 10).

INITIALIZING lasts until the first good data, whatever fails meanwhile; OFF is for good; `since`
moves with the state only, and an error stays until another one replaces it.
"""

from flagkeep.model.status import SourceError, SourceState, SourceStatus


class SourceStateMachine:
    """The status of one source. Everything that changes it is in this class."""

    def __init__(self, now: float) -> None:
        self.status = SourceStatus(SourceState.INITIALIZING, now)

    def report(self, state: SourceState, error: SourceError | None, now: float) -> bool:
        """Take a report of the source; returns whether the status is a new one."""
        old = self.status
        if old.state is SourceState.OFF:
            return False
        if old.state is SourceState.INITIALIZING and state is SourceState.INTERRUPTED:
            state = SourceState.INITIALIZING
        if state is old.state and error is None:
            return False
        since = old.since if state is old.state else now
        self.status = SourceStatus(state, since, error or old.error)
        return True
