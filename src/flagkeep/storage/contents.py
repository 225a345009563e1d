"""What a store says when asked: its contents, what changed, and who wrote it."""

from collections.abc import Collection, Mapping
from typing import Final, Self

import msgspec

from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem


class StoreContents(msgspec.Struct, frozen=True):
    """Everything a store holds, as of one moment.

    Attributes:
        initialized: whether the marker is there: a full set was written at least once.
        flags: flags and tombstones by key.
        segments: segments and tombstones by key.
        bad: rows that cannot be used; they are in neither of the two.
        unfinished: the record of a full replace that was half done while this was read: it may be
            a part of the new set with a part of the old one. None where that is not so, or where
            nobody can tell, since other SDKs do not say what they do.
    """

    initialized: bool
    flags: dict[str, SerializedItem]
    segments: dict[str, SerializedItem]
    bad: tuple[BadItem, ...] = ()
    unfinished: "WriterRecord | None" = None

    def of(self, kind: Kind) -> dict[str, SerializedItem]:
        """Return the items of one kind."""
        return self.flags if kind is Kind.FLAG else self.segments


def emptied_kinds(contents: StoreContents, had: Collection[Kind]) -> list[Kind]:
    """Return the kinds of `had` that have no items any more; unreadable ones are items, too."""
    unreadable = {bad.kind for bad in contents.bad}
    return [kind for kind in had if not contents.of(kind) and kind not in unreadable]


def with_kept(contents: StoreContents, lost: Collection[Kind], known: ChangeSet) -> StoreContents:
    """Return what was read, with what is `known` in the place of the kinds that were lost."""
    flags, segments = (
        dict(known.of(kind)) if kind in lost else contents.of(kind)
        for kind in (Kind.FLAG, Kind.SEGMENT)
    )
    return msgspec.structs.replace(contents, flags=flags, segments=segments)


def as_changes(contents: StoreContents) -> ChangeSet:
    """Return what was read as a full set, bad rows included."""
    return ChangeSet(full=True, flags=contents.flags, segments=contents.segments, bad=contents.bad)


class StoreChanges(msgspec.Struct, frozen=True):
    """Something changed in a store.

    Attributes:
        refs: exactly these items; None: nobody can tell, everything has to be compared.
    """

    refs: tuple[ItemRef, ...] | None


class WriterRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who wrote a store, when and from what (stores spec, section 17).

    A store fills in `replaces`, the times, `counts` and `digest` as it writes; the writer says the
    rest. Times are in seconds since the epoch.

    Attributes:
        writer: a name of the writing process, different for each.
        host: the machine it runs on.
        epoch: grows whenever another writer takes over.
        replaces: grows with every full replace.
        source: where the writer has its data from, such as `file` or `streaming`.
        source_state: how that source was doing.
        replacing: whether a full replace is half done; never seen where a replace is atomic.
        progress: grows now and then while it goes on.
        last_full_write: when the last full set was written.
        last_change: when anything was written last.
        counts: live items by kind.
        digest: over kind, key and version of every item, tombstones included.
        version: the flagkeep that wrote.
    """

    writer: str
    host: str = ""
    epoch: int = 0
    replaces: int = 0
    source: str = ""
    source_state: str = ""
    replacing: bool = False
    progress: int = 0
    last_full_write: float | None = None
    last_change: float | None = None
    counts: Mapping[Kind, int] = msgspec.field(default_factory=dict)
    digest: str = ""
    version: str = ""

    def before_replace(self, previous: "WriterRecord | None") -> Self:
        """Return what to store before the first of many writes of a full set.

        What it says of the contents is what the one before said.
        """
        if previous is None:
            return msgspec.structs.replace(self, replacing=True)
        return msgspec.structs.replace(
            self,
            replacing=True,
            replaces=previous.replaces,
            last_full_write=previous.last_full_write,
            last_change=previous.last_change,
            counts=previous.counts,
            digest=previous.digest,
        )

    def amid_replace(self) -> Self:
        """Return what to store when the writes of a full set go on, some time after the last."""
        return msgspec.structs.replace(self, progress=self.progress + 1)

    def after_replace(self, previous: "WriterRecord | None", tally: "Tally", now: float) -> Self:
        """Return what to store with a full set that `tally` has counted."""
        return msgspec.structs.replace(
            self,
            replaces=(previous.replaces if previous else 0) + 1,
            replacing=False,
            last_full_write=now,
            last_change=now,
            counts=dict(tally.counts),
            digest=tally.digest,
        )

    def after_change(self, tally: "Tally", now: float) -> Self:
        """Return what to store with a change, after which `tally` holds."""
        return msgspec.structs.replace(
            self, last_change=now, counts=dict(tally.counts), digest=tally.digest
        )

    def encode(self) -> bytes:
        """Return the JSON form."""
        return msgspec.json.encode(self)

    @staticmethod
    def decode(data: object) -> "WriterRecord | None":
        """Return the record in a stored text; None if there is none, or it cannot be read."""
        if not isinstance(data, bytes | str):
            return None
        try:
            return _RECORD.decode(data)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return None  # foreign or damaged; it informs, and nothing depends on it


_RECORD: Final = msgspec.json.Decoder(WriterRecord)


def half_done(before: WriterRecord | None, after: WriterRecord | None) -> WriterRecord | None:
    """Return the record of a full replace that went on between two looks at the record."""
    if after is None:
        return before
    is_another = before is None or before.replaces != after.replaces
    if after.replacing or is_another:
        return after
    return before if before is not None and before.replacing else None


class Tally:
    """Counts and digest of a set of items, kept up to date change by change.

    The digest is the exclusive or of one hash per item, so that a change of one item costs one
    hash and not a look at all of them.
    """

    __slots__ = ("_digest", "counts")

    def __init__(self) -> None:
        self.counts = dict.fromkeys(Kind, 0)
        self._digest = 0

    @classmethod
    def of_record(cls, record: WriterRecord) -> Self:
        """Return the tally that `record` was written with."""
        tally = cls()
        tally.counts |= record.counts
        try:
            tally._digest = int(record.digest or "0", 16)
        except ValueError:
            tally._digest = 0
        return tally

    @classmethod
    def of_set(cls, changes: ChangeSet) -> Self:
        """Return the tally of all items in `changes`: what `add` gives, in a third of its time."""
        from hashlib import blake2b  # noqa: PLC0415  see _hash

        tally, digest, number = cls(), 0, int.from_bytes
        for kind in Kind:
            items, name = changes.of(kind), kind.value
            tally.counts[kind] = sum(not item.deleted for item in items.values())
            for key, item in items.items():
                text = f"{name} {item.version} {key}".encode("utf-8", "surrogatepass")
                digest ^= number(blake2b(text, digest_size=8).digest())
        tally._digest = digest
        return tally

    @property
    def digest(self) -> str:
        """16 hexadecimal digits."""
        return f"{self._digest:016x}"

    def add(self, ref: ItemRef, item: SerializedItem) -> None:
        """Count an item that is there from now on."""
        self.counts[ref.kind] += not item.deleted
        self._digest ^= _hash(ref, item.version)

    def remove(self, ref: ItemRef, item: SerializedItem) -> None:
        """Count an item that is gone or about to be replaced."""
        self.counts[ref.kind] -= not item.deleted
        self._digest ^= _hash(ref, item.version)


def _hash(ref: ItemRef, version: int) -> int:
    from hashlib import blake2b  # noqa: PLC0415  only writers need it, and it costs 2 ms

    text = f"{ref.kind} {version} {ref.key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest())
