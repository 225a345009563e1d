"""Big Segments in a SQLite file, which may be the one with the flags."""

import os
from collections.abc import Collection, Mapping

from flagkeep._sync.stores.blocking import Blocking
from flagkeep._runtime.sqlite_big_segments import SQLiteBigSegments
from flagkeep.storage.big_segments import BigSegmentMetadata


class SQLiteBigSegmentStore:
    """Who is in which Big Segments, in a SQLite file that another program may fill.

    The file is opened at first use: for reading only, until something is to be written. Only the
    first write makes it. It must be on a local disk: SQLite's write-ahead log is not safe on a
    network file system.

    Args:
        path: of the file; that of a `SQLiteStore` may be used.
        prefix: separates environments in one file.
        busy_timeout: seconds to wait while another process holds the lock.

    Raises:
        ConfigError: an argument cannot work.
    """

    name: str = "sqlite"
    takes_timeout: bool = True

    def __init__(
        self, path: str | os.PathLike[str], *, prefix: str = "", busy_timeout: float = 1.0
    ) -> None:
        self._session = SQLiteBigSegments(path, prefix=prefix, busy_timeout=busy_timeout)
        self.label = self._session.label
        self._beside = Blocking("flagkeep-sqlite", self.label, self._session.close)

    def get_metadata(self, *, timeout: float | None = None) -> BigSegmentMetadata:
        """Return how old the data is; `timeout` as for `get_membership`."""
        return self._beside.run("get_metadata", self._session.get_metadata, timeout)

    def get_membership(
        self, context_hash: str, *, timeout: float | None = None
    ) -> Mapping[str, bool]:
        """Return the segments of one context, as of one moment.

        Args:
            context_hash: base64 of SHA-256 of the context key.
            timeout: seconds that the answer is worth waiting for.
        """
        return self._beside.run(
            "get_membership", self._session.get_membership, context_hash, timeout
        )

    def put_membership(
        self, context_hash: str, included: Collection[str], excluded: Collection[str]
    ) -> None:
        """Say in which segments one context is, in one transaction; for tools and tests.

        Args:
            context_hash: base64 of SHA-256 of the context key.
            included: references, such as `beta.g1`, of the segments that it is in.
            excluded: of those that it is kept out of. What is in neither is for the segment's
                rules to decide; what was said before is forgotten.

        Raises:
            ConfigError: an argument is not what it must be; nothing is written.
        """
        self._beside.run(
            "put_membership", self._session.put_membership, context_hash, included, excluded
        )

    def set_synchronized_on(self, ms: int | None) -> None:
        """Say when the data was last complete, in milliseconds since the epoch; None: never.

        Raises:
            ConfigError: it is no whole number from 0 on, or of more than 18 digits.
        """
        self._beside.run("set_synchronized_on", self._session.set_synchronized_on, ms)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._beside.close()
