"""How an environment lies in a SQLite file (stores spec, section 18).

`items` is laid out as in DynamoDB: a namespace per prefix and kind, and a marker row that says by
being there that a full set was written. `meta` holds what no other SDK reads: the record of each
prefix's writer, and one journal for the whole file.

The journal is what makes a reader's wake-up cheap. Every transaction of ours adds one row, whatever
prefix it was for. Its key ends in a number that grows by the number of changes in it, so a reader
that has seen up to n knows from the keys alone whether it has missed anything. A commit without a
new journal row was not ours.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from flagkeep.model.item import ItemRef, Kind

LAYOUT: Final = 1
# An item of 1 KB fills a page of the default size, 4 KB, all by itself: the file would be four
# times as large, and reading all of it would take twice as long.
PAGE_SIZE: Final = 16384
JOURNAL_LENGTH: Final = 1000

_ITEMS: Final = """
CREATE TABLE IF NOT EXISTS items (
    namespace TEXT, key TEXT, version INTEGER, item TEXT, PRIMARY KEY (namespace, key)
) WITHOUT ROWID"""
_META: Final = """
CREATE TABLE IF NOT EXISTS meta (
    prefix TEXT, key TEXT, value TEXT, PRIMARY KEY (prefix, key)
) WITHOUT ROWID"""
_BIG_SEGMENTS: Final = """
CREATE TABLE IF NOT EXISTS big_segments (
    prefix TEXT, context_hash TEXT, ref TEXT, included INTEGER,
    PRIMARY KEY (prefix, context_hash, ref, included)
) WITHOUT ROWID"""
CREATE: Final = (_ITEMS, _META, _BIG_SEGMENTS, f"PRAGMA user_version = {LAYOUT}")
HAS_TABLES: Final = "SELECT count(*), total(name = 'items') FROM sqlite_master WHERE type = 'table'"

# Keys that are no text (x'' sorts after every text) are not ours to read or to delete.
SELECT_KIND: Final = "SELECT key, version, item FROM items WHERE namespace = ? AND key < x''"
SELECT_ITEM: Final = "SELECT version, item FROM items WHERE namespace = ? AND key = ?"
# The text is bound as bytes, which saves a detour over str; the cast makes it text again.
PUT_ITEM: Final = "INSERT OR REPLACE INTO items VALUES (?, ?, ?, CAST(? AS TEXT))"
DELETE_ITEM: Final = "DELETE FROM items WHERE namespace = ? AND key = CAST(? AS TEXT)"
SELECT_MARKER: Final = "SELECT 1 FROM items WHERE namespace = ? AND key = ?"
PUT_MARKER: Final = "INSERT OR IGNORE INTO items VALUES (?, ?, NULL, NULL)"

SELECT_RECORD: Final = "SELECT value FROM meta WHERE prefix = ? AND key = 'record'"
PUT_RECORD: Final = "INSERT OR REPLACE INTO meta VALUES (?, 'record', CAST(? AS TEXT))"
DELETE_RECORD: Final = "DELETE FROM meta WHERE prefix = ? AND key = 'record'"

_JOURNAL: Final = "prefix = '$flagkeep' AND key >= 'changed/' AND key < 'changed0'"
SELECT_LAST_CHANGE: Final = f"SELECT max(key) FROM meta WHERE {_JOURNAL}"  # noqa: S608  constant
SELECT_CHANGES: Final = f"SELECT key, value FROM meta WHERE {_JOURNAL} AND key > ? ORDER BY key"  # noqa: S608  constant
PUT_CHANGE: Final = "INSERT INTO meta VALUES ('$flagkeep', ?, CAST(? AS TEXT))"
FORGET_CHANGES: Final = f"DELETE FROM meta WHERE {_JOURNAL} AND key <= ?"  # noqa: S608  constant

_NAMES: Final = {Kind.FLAG: "features", Kind.SEGMENT: "segments"}
_KINDS: Final = {name: kind for kind, name in _NAMES.items()}

# Their locks or shared memory do not reach other machines, which WAL depends on. 9p is not among
# them: sandboxes have their root on it, and there it works.
_NETWORK: Final = frozenset(
    (
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "fuse.ceph",
        "fuse.davfs",
        "fuse.gcsfuse",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.smbnetfs",
        "fuse.sshfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "smb2",
        "smb3",
        "smbfs",
    )
)


class Names:
    """What the parts of one environment are called."""

    __slots__ = ("marker", "marker_row", "namespaces", "prefix")

    def __init__(self, prefix: str) -> None:
        start = f"{prefix}:" if prefix else ""
        self.prefix = prefix
        self.namespaces = {kind: start + name for kind, name in _NAMES.items()}
        self.marker = f"{start}$inited"
        self.marker_row = (self.marker, self.marker)


class Entry(msgspec.Struct, frozen=True):
    """What one transaction changed, as a journal row holds it.

    Attributes:
        prefix: of the environment that changed.
        epoch: of the writer.
        changes: namespace without prefix, key and version of each item (version None: the row is
            gone); None if they are too many to name.
    """

    prefix: str
    epoch: int
    changes: list[tuple[str, str, int | None]] | None


_ENTRY: Final = msgspec.json.Decoder(Entry)


def change_key(number: int) -> str:
    """Return the key of the journal row whose last change has this number."""
    return f"changed/{number:016d}"


def change_number(key: bytes | None) -> int:
    """Return the number in a key; 0 for None, where the journal is empty."""
    digits = key.removeprefix(b"changed/") if key else b""
    return int(digits) if digits.isdigit() else 0


def journal_row(
    last: int, prefix: str, changes: Collection[tuple[ItemRef, int | None]], *, epoch: int
) -> tuple[int, bytes]:
    """Return number and text of the row to add after the one with the number `last`."""
    named = None
    if len(changes) <= JOURNAL_LENGTH:
        named = [(_NAMES[ref.kind], ref.key, version) for ref, version in changes]
    number = last + (max(1, len(changes)) if named is not None else JOURNAL_LENGTH)
    return number, msgspec.json.encode(Entry(prefix, epoch, named))


def changed_since(
    seen: int, prefix: str, rows: Sequence[tuple[bytes, bytes]]
) -> tuple[ItemRef, ...] | None:
    """Return what changed in the environment `prefix`, each item once; None: nobody can tell.

    Args:
        seen: the number of the last change that is known.
        prefix: of the environment.
        rows: the journal after `seen`, in order. None at all means that somebody else wrote.
    """
    if not rows:
        return None
    found: dict[ItemRef, None] = {}
    for key, value in rows:
        number = change_number(key)
        try:
            entry = _ENTRY.decode(value)
        except (msgspec.MsgspecError, UnicodeError):
            return None
        changes = entry.changes
        length = JOURNAL_LENGTH if changes is None else max(1, len(changes))
        if number - length != seen:
            return None  # rows in between were forgotten
        seen = number
        if entry.prefix != prefix:
            continue
        if changes is None:
            return None
        found.update(dict.fromkeys(_refs(changes)))
    return tuple(found)


def _refs(changes: Iterable[tuple[str, str, int | None]]) -> Iterable[ItemRef]:
    return (ItemRef(_KINDS[name], key) for name, key, _ in changes if name in _KINDS)


def network_file_system(mounts: str, path: str) -> str | None:
    """Return the type of the file system that `path` is on if it is one of a network.

    Args:
        mounts: the text of Linux's `/proc/mounts`; the later of two equal mount points counts.
        path: absolute, without symbolic links.
    """
    best, found = -1, ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:  # noqa: PLR2004  device, mount point, type
            continue
        point = _unescaped(fields[1]).rstrip("/")
        is_below = path == point or path.startswith(point + "/")
        if is_below and len(point) >= best:
            best, found = len(point), fields[2]
    return found if found in _NETWORK else None


def _unescaped(point: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        point = point.replace(code, character)
    return point
