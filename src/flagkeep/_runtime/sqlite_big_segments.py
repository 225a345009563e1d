"""The Big Segments of one environment in a SQLite file: a session that knows their tables too."""

from collections.abc import Collection, Iterable

from flagkeep._runtime.sqlite import SQLiteSession, is_text
from flagkeep._runtime.sqlite_connection import Opened
from flagkeep.errors import ConfigError
from flagkeep.storage import big_segment_layout as layout
from flagkeep.storage.big_segments import BigSegmentMetadata


class SQLiteBigSegments(SQLiteSession):
    """Reads and writes who is in which segments. Any thread may call anything at any time."""

    def get_metadata(self, timeout: float | None = None) -> BigSegmentMetadata:
        """Return how old the data is; `timeout` as for `get_many`."""

        def read(opened: Opened) -> BigSegmentMetadata:
            row = opened.execute(layout.SELECT_TIME, (self._names.prefix,)).fetchone()
            return layout.metadata(row[0] if row else None)

        return self._read("get_metadata", read, timeout)

    def get_membership(self, context_hash: str, timeout: float | None = None) -> dict[str, bool]:
        """Return the segments of one context, as of one moment; `timeout` as for `get_many`."""

        def read(opened: Opened) -> dict[str, bool]:
            if not is_text(context_hash):
                return {}
            values = (self._names.prefix, context_hash)
            return layout.membership_of_rows(opened.execute(layout.SELECT_MEMBERSHIP, values))

        return self._read("get_membership", read, timeout)

    def put_membership(
        self, context_hash: str, included: Collection[str], excluded: Collection[str]
    ) -> None:
        """Put these sets of references in the place of those of one context.

        Raises:
            ConfigError: an argument is not what it must be; nothing is written.
        """
        if not is_text(context_hash):
            raise ConfigError(f"context_hash must be text, of hash_of(key), not {context_hash!r}")
        sets = (_references("included", included), _references("excluded", excluded))
        self._write("put_membership", lambda writing: writing.put_membership(context_hash, *sets))

    def set_synchronized_on(self, ms: int | None) -> None:
        """Say when the data was last complete; None: never.

        Raises:
            ConfigError: it is no such time; nothing is written.
        """
        if ms is not None and (type(ms) is not int or not 0 <= ms <= layout.LATEST):
            what = "a whole number of milliseconds since the epoch, of 18 digits at most, or None"
            raise ConfigError(f"ms must be {what}, not {ms!r}")
        self._write("set_synchronized_on", lambda writing: writing.set_synchronized_on(ms))


def _references(name: str, given: Collection[str]) -> list[str]:
    """Return what was given as an argument, if it is a collection of texts and no text."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigError(f"{name} must be a collection such as ['beta.g1'], not {given!r}")
    references = list(given)
    for reference in references:
        if not is_text(reference):
            raise ConfigError(f"{name} must hold text without lone surrogates, not {reference!r}")
    return references
