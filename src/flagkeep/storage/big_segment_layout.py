"""How Big Segments lie in each database (stores spec, sections 12 and 18): names, rows, replies.

In Redis and DynamoDB LaunchDarkly's relay writes them and SDKs in every language read them. The
tables in SQLite are ours alone. A membership is kept as two sets of references, such as `beta.g1`:
segments that a context is in, and segments that it is kept out of.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from flagkeep.storage.big_segments import BigSegmentMetadata
from flagkeep.storage.redis_commands import Command
from flagkeep.storage.redis_layout import DEFAULT_PREFIX

# Milliseconds since the epoch, for as long as anybody counts them so.
_TIME: Final = re.compile(rb"[0-9]{1,18}")
LATEST: Final = 10**18 - 1

SELECT_MEMBERSHIP: Final = (
    "SELECT ref, included FROM big_segments WHERE prefix = ? AND context_hash = ?"
)
DELETE_MEMBERSHIP: Final = "DELETE FROM big_segments WHERE prefix = ? AND context_hash = ?"
PUT_MEMBER: Final = "INSERT OR IGNORE INTO big_segments VALUES (?, ?, ?, ?)"
SELECT_TIME: Final = (
    "SELECT value FROM meta WHERE prefix = ? AND key = 'big_segments_synchronized_on'"
)
PUT_TIME: Final = "INSERT OR REPLACE INTO meta VALUES (?, 'big_segments_synchronized_on', ?)"
DELETE_TIME: Final = "DELETE FROM meta WHERE prefix = ? AND key = 'big_segments_synchronized_on'"


class RedisNames:
    """What the keys of one environment are called in Redis."""

    __slots__ = ("_exclude", "_include", "_synchronized_on", "prefix")

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix or DEFAULT_PREFIX
        start = self.prefix.encode() + b":"
        self._include = start + b"big_segment_include:"
        self._exclude = start + b"big_segment_exclude:"
        self._synchronized_on = start + b"big_segments_synchronized_on"

    def time(self) -> Command:
        """Read when the data was last complete; the reply is for `metadata`."""
        return (b"GET", self._synchronized_on)

    def members(self, context_hash: str) -> list[Command]:
        """Read what one context is in and what it is kept out of, in this order."""
        name = context_hash.encode()
        return [(b"SMEMBERS", self._include + name), (b"SMEMBERS", self._exclude + name)]


class DynamoDBNames:
    """What the rows of one environment are called in DynamoDB.

    Attributes:
        members: the partition of the memberships; the sort key is the hash of a context key.
        metadata: partition and sort key of the row with the time.
    """

    __slots__ = ("members", "metadata")

    def __init__(self, prefix: str) -> None:
        start = f"{prefix}:" if prefix else ""
        self.members = f"{start}big_segments_user"
        self.metadata = (f"{start}big_segments_metadata",) * 2


def metadata(time: object) -> BigSegmentMetadata:
    """Return what a store says of itself.

    Args:
        time: what is kept as its time: bytes or text, None if there is nothing. What is no number
            counts as nothing.
    """
    text = time.encode(errors="replace") if isinstance(time, str) else time
    if not isinstance(text, bytes) or not _TIME.fullmatch(text):
        return BigSegmentMetadata(None)
    return BigSegmentMetadata(int(text))


def membership(included: Iterable[object], excluded: Iterable[object]) -> dict[str, bool]:
    """Return by reference whether a context is in a segment; what is in both sets is in.

    A reference that is no text is that of no segment, and left out.
    """
    members = dict.fromkeys(_references(excluded), False)
    members.update(dict.fromkeys(_references(included), True))
    return members


def membership_of_rows(rows: Iterable[tuple[object, object]]) -> dict[str, bool]:
    """Return the same out of rows of SQLite: reference, and 1 for in, 0 for out."""
    sets: dict[object, list[object]] = {1: [], 0: []}
    for reference, is_in in rows:
        if is_in in sets:
            sets[is_in].append(reference)
    return membership(sets[1], sets[0])


def membership_of_item(item: Mapping[str, Any] | None) -> dict[str, bool]:
    """Return the same out of a row of DynamoDB, as its client gives it; None: there is no row."""
    attributes = item or {}
    included, excluded = (
        attributes.get(name, {}).get("SS", ()) for name in ("included", "excluded")
    )
    return membership(included, excluded)


def metadata_of_item(item: Mapping[str, Any] | None) -> BigSegmentMetadata:
    """Return what a row of DynamoDB says of the store; None: there is no row."""
    return metadata((item or {}).get("synchronizedOn", {}).get("N"))


def _references(names: Iterable[object]) -> Iterable[str]:
    for name in names:
        if isinstance(name, str):
            yield name
        elif isinstance(name, bytes):
            try:
                yield name.decode()
            except UnicodeDecodeError:
                continue
