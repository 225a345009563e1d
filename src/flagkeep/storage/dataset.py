"""The environment as one process holds it: what changes do to it, and whom they concern."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from flagkeep.errors import InvalidItem
from flagkeep.model.changeset import ChangeSet, Items
from flagkeep.model.codec import decode
from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem
from flagkeep.model.references import references

_PREREQUISITES: Final = re.compile(rb'"prerequisites"\s*:\s*\[\s*\{')


class DataSet(msgspec.Struct, frozen=True):
    """All items known, tombstones included, and those that could not be used. Immutable."""

    flags: Items = {}
    segments: Items = {}
    bad: Mapping[ItemRef, BadItem] = {}

    def of(self, kind: Kind) -> Items:
        """Return the items of one kind."""
        return self.flags if kind is Kind.FLAG else self.segments

    def as_changes(self) -> ChangeSet:
        """Return everything as a full set."""
        return ChangeSet(full=True, flags=self.flags, segments=self.segments)

    def item(self, ref: ItemRef) -> SerializedItem | None:
        """Return one item, None if it is not known."""
        return self.of(ref.kind).get(ref.key)


class Change(msgspec.Struct, frozen=True):
    """What a change set did.

    Attributes:
        data: the new state.
        refs: the items that are different now.
    """

    data: DataSet
    refs: frozenset[ItemRef]


def replaced(known: DataSet, changes: ChangeSet) -> Change:
    """Return the state after a full set: it alone counts, but bad items keep their last good."""
    bad = {one.ref: one for one in changes.bad}
    new: dict[Kind, dict[str, SerializedItem]] = {}
    for kind in Kind:
        new[kind] = dict(changes.of(kind))
        for ref in bad:
            last_good = known.item(ref)
            if ref.kind is kind and last_good is not None:
                new[kind].setdefault(ref.key, last_good)
    data = DataSet(new[Kind.FLAG], new[Kind.SEGMENT], bad)
    refs = frozenset(
        ItemRef(kind, key) for kind in Kind for key in _differing(known.of(kind), data.of(kind))
    )
    return Change(data, refs)


def _differing(before: Items, after: Items) -> Iterator[str]:
    if not before:
        yield from after
        return
    for key in before.keys() | after.keys():
        old, new = before.get(key), after.get(key)
        if old is not new and old != new:
            yield key


def updated(known: DataSet, changes: ChangeSet, *, newer_wins: bool = True) -> Change:
    """Return the state after a partial set.

    Args:
        newer_wins: an item applies only above the version that is known. False where the set is
            what a database has now: a lower version there is the truth.
    """
    new = {kind: dict(known.of(kind)) for kind in Kind if changes.of(kind)}
    bad = dict(known.bad)
    refs = set()
    for ref, item in changes.items():
        old = known.item(ref)
        if old == item:
            bad.pop(ref, None)
            continue
        if newer_wins and old is not None and old.version >= item.version:
            continue
        new[ref.kind][ref.key] = item
        bad.pop(ref, None)
        refs.add(ref)
    bad.update({one.ref: one for one in changes.bad})
    flags = new.get(Kind.FLAG, known.flags)
    segments = new.get(Kind.SEGMENT, known.segments)
    return Change(DataSet(flags, segments, bad), frozenset(refs))


def without(change: Change, refs: Iterable[ItemRef]) -> Change:
    """Return what a change did if these items are gone besides."""
    gone = [ref for ref in refs if change.data.item(ref) is not None]
    items = {kind: dict(change.data.of(kind)) for kind in Kind}
    for ref in gone:
        del items[ref.kind][ref.key]
    data = DataSet(items[Kind.FLAG], items[Kind.SEGMENT], change.data.bad)
    return Change(data, change.refs | frozenset(gone))


def checked(known: DataSet, received: ChangeSet) -> ChangeSet:
    """Return what was read from a store with every item that cannot be used moved to `bad`.

    Items that are byte for byte as `known` are not looked at again.
    """
    bad = list(received.bad)
    good: dict[Kind, dict[str, SerializedItem]] = {}
    for kind in Kind:
        kept = good[kind] = {}
        old_items = known.of(kind)
        for key, item in received.of(kind).items():
            old = old_items.get(key)
            if old is not None and (item is old or item == old):
                kept[key] = old  # the very same, so that nothing is compiled again
                continue
            complaint = complaint_about(ItemRef(kind, key), item)
            if complaint is None:
                kept[key] = item
            else:
                bad.append(complaint)
    return ChangeSet(
        full=received.full, flags=good[Kind.FLAG], segments=good[Kind.SEGMENT], bad=tuple(bad)
    )


def complaint_about(ref: ItemRef, item: SerializedItem) -> BadItem | None:
    """Return why an item cannot be used; None if it can."""
    if item.deleted:
        return None
    try:
        decode(ref.kind, item.data, ref.key)
    except InvalidItem as exc:
        return BadItem(ref.kind, ref.key, exc.path, exc.problem)
    return None


class Dependencies:
    """Who depends on whom. Follows one state after the other, and reads only what has changed."""

    def __init__(self) -> None:
        self._data = DataSet()
        self._uses: dict[ItemRef, tuple[ItemRef, ...]] = {}
        self._users: dict[ItemRef, set[ItemRef]] = {}

    def affected_flags(self, old: DataSet, new: DataSet, changed: Collection[ItemRef]) -> set[str]:
        """Return the flags among `changed`, and all that depend on any of it, before or after.

        Args:
            changed: all items in which the two states differ.
        """
        if old.flags is not self._data.flags or old.segments is not self._data.segments:
            self._begin_with(old)
        former = {ref: self._uses.pop(ref, ()) for ref in changed}
        for ref in changed:
            self._note(ref, new.item(ref))
        found = {ref.key for ref in self._reached_from(changed) if ref.kind is Kind.FLAG}
        for ref, used in former.items():
            for one in used:
                if one not in self._uses.get(ref, ()):
                    self._users[one].discard(ref)
        self._data = new
        return found

    def _begin_with(self, data: DataSet) -> None:
        """Read everything: there was a state in between that nobody has shown."""
        self._uses, self._users = {}, {}
        for kind in Kind:
            for key, item in data.of(kind).items():
                if not item.deleted and _may_refer(item.data):
                    self._note(ItemRef(kind, key), item)

    def _note(self, ref: ItemRef, item: SerializedItem | None) -> None:
        if item is None or item.deleted or not _may_refer(item.data):
            return
        used = references(decode(ref.kind, item.data, ref.key))
        if used:
            self._uses[ref] = used
            for one in used:
                self._users.setdefault(one, set()).add(ref)

    def _reached_from(self, changed: Collection[ItemRef]) -> set[ItemRef]:
        reached = set(changed)
        waiting = list(reached)
        while waiting:
            for user in self._users.get(waiting.pop(), ()):
                if user not in reached:
                    reached.add(user)
                    waiting.append(user)
        return reached


def _may_refer(data: bytes) -> bool:
    """Whether the text of an item may refer to others; far cheaper than to decode it."""
    if b"segmentMatch" in data:
        return True
    return b'"prerequisites"' in data and _PREREQUISITES.search(data) is not None
