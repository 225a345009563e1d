"""How long to wait for the rest of a full set, where a store cannot be given one all at once.

The record of who writes says that it is half done. Whoever reads meanwhile serves what is held,
which is whole; nobody waits for ever, since a writer may have died (stores spec, section 17).
"""

from typing import Final

from flagkeep.storage.availability import HEARTBEAT, RETRY_AFTER
from flagkeep.storage.contents import WriterRecord

STANDSTILL: Final = 60.0
"""Seconds after which whoever is replacing everything is taken for dead."""

_Replace = tuple[str, int, bool]
_Life = tuple[_Replace | None, int]


class Unfinished:
    """What one reader knows of a full replace that is going on; times are handed in.

    Args:
        deadline: seconds that it is worth waiting for if there is nothing else to serve.
    """

    __slots__ = ("_began", "_deadline", "_life", "_since", "_taken")

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._life: _Life | None = None
        self._since = 0.0
        self._began = 0.0  # when the first of several in a row was seen
        self._taken: _Replace | None = None

    def takes(
        self, record: WriterRecord | None, now: float, *, has_other: bool, is_urgent: bool = False
    ) -> bool:
        """Return whether to take what was read.

        Of a replace of which a part is served, a later part is better: it has more of the new set,
        and what others have changed since.

        Args:
            record: of the replace that is half done; None: it is whole.
            now: seconds.
            has_other: whether there is something else to serve.
            is_urgent: whether somebody wants it now who would get nothing else.
        """
        is_worth_it = self._is_worth_waiting_for(record, now, has_other=has_other)
        if is_worth_it and not is_urgent and _of(record) != self._taken:
            return False
        self._taken = _of(record)
        return True

    def is_worth_a_look(self, record: WriterRecord | None, now: float, *, has_other: bool) -> bool:
        """Return whether to read everything, now that this is the record."""
        if record is None or not record.replacing:
            return True
        is_taken = has_other and _of(record) == self._taken
        return not is_taken and not self._is_worth_waiting_for(record, now, has_other=has_other)

    def retry_after(self, now: float) -> float:
        """Return the seconds after which to look at the record again."""
        return RETRY_AFTER if now - self._since < STANDSTILL else HEARTBEAT

    def _is_worth_waiting_for(
        self, record: WriterRecord | None, now: float, *, has_other: bool
    ) -> bool:
        life = _life_of(record)
        if life is None or self._life is None:
            self._began = now
        if life is None or life != self._life:
            self._life, self._since = life, now
        if has_other:
            return record is not None and now - self._since < STANDSTILL
        return record is not None and now - self._began < self._deadline  # whoever takes over


class Abandoned:
    """Whether a store was left half written, as one that can write it anew sees it.

    Times are handed in.

    Args:
        spread: from 0 to 1; different for each, so that not all of them write at once.
    """

    __slots__ = ("_life", "_patience", "_since", "_told")

    def __init__(self, spread: float) -> None:
        self._patience = 1.0 + spread
        self._life: _Life | None = None
        self._since = 0.0
        self._told: _Replace | None = None

    def is_due(self, record: WriterRecord | None, now: float) -> bool:
        """Return whether to write everything now that this is the record; once for each replace."""
        replace, life = _of(record), _life_of(record)
        if life != self._life:
            self._life, self._since = life, now
        is_over = now - self._since >= STANDSTILL * self._patience
        if record is None or not record.replacing or replace == self._told or not is_over:
            return False
        self._told = replace
        return True


def _of(record: WriterRecord | None) -> _Replace | None:
    """Return which full replace a record speaks of: single changes are counted into it, too."""
    return None if record is None else (record.writer, record.replaces, record.replacing)


def _life_of(record: WriterRecord | None) -> _Life | None:
    """Return what does not stay the same while the writer of a full set is alive."""
    return None if record is None else (_of(record), record.progress)
