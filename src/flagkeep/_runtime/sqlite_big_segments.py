"""The Big Segments of one environment in a SQLite file: a session that knows their tables too."""

from collections.abc import Collection

from flagkeep._runtime.sqlite import SQLiteSession, is_text
from flagkeep._runtime.sqlite_connection import Opened
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
        """Put these sets of references in the place of those of one context."""
        self._write(
            "put_membership",
            lambda writing: writing.put_membership(context_hash, included, excluded),
        )

    def set_synchronized_on(self, ms: int | None) -> None:
        """Say when the data was last complete; None: never."""
        self._write("set_synchronized_on", lambda writing: writing.set_synchronized_on(ms))
