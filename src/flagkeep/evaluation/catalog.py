"""Inputs made of serialized items, each compiled when it is first asked for."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

from flagkeep.evaluation.compiler import compile_flag, compile_segment
from flagkeep.evaluation.evaluator import CompiledFlag
from flagkeep.evaluation.inputs import InputMissing, Inputs, Membership
from flagkeep.evaluation.segments import CompiledSegment
from flagkeep.model.codec import decode_flag, decode_segment
from flagkeep.model.item import ItemRef, Kind, SerializedItem

Items = Mapping[str, SerializedItem]


class Catalog(Inputs):
    """One state of an environment: immutable but for what it has compiled so far.

    `flags` and `segments` hold what is compiled; they fill as evaluations ask. Two threads may
    compile the same item at once: either result will do. Items must have been checked before.
    `ItemCatalog` is the one whose items come and go.

    Attributes:
        flag_items: every flag known, tombstones included.
        segment_items: likewise.
        absent: what is known not to exist, where `complete` is False.
    """

    __slots__ = ("_live", "absent", "flag_items", "segment_items")

    flags: dict[str, CompiledFlag]
    segments: dict[str, CompiledSegment]

    def __init__(
        self,
        flag_items: Items,
        segment_items: Items,
        *,
        complete: bool = True,
        absent: AbstractSet[ItemRef] = frozenset(),
        memberships: Mapping[str, Membership] | None = None,
    ) -> None:
        super().__init__({}, {}, complete=complete, memberships=memberships)
        self.flag_items = flag_items
        self.segment_items = segment_items
        self.absent = absent
        self._live: tuple[CompiledFlag, ...] | None = None

    def viewed(self, memberships: Mapping[str, Membership]) -> "Catalog":
        """Return the same catalog for an evaluation that knows these Big Segment memberships.

        It shares everything, what is compiled later included.
        """
        view = Catalog(
            self.flag_items,
            self.segment_items,
            complete=self.complete,
            absent=self.absent,
            memberships=memberships,
        )
        view.flags, view.segments = self.flags, self.segments
        return view

    def successor(
        self, flag_items: Items, segment_items: Items, changed: Iterable[ItemRef]
    ) -> "Catalog":
        """Return a complete catalog of other items that keeps what is compiled and unchanged."""
        new = Catalog(flag_items, segment_items, memberships=self.memberships)
        new.flags = self.flags.copy()
        new.segments = self.segments.copy()
        for kind, key in changed:
            (new.flags if kind is Kind.FLAG else new.segments).pop(key, None)
        return new

    def flag(self, key: str) -> CompiledFlag | None:
        """Return a flag, None if it does not exist."""
        found = self.flags.get(key)
        if found is not None:
            return found
        item = self._live_item(Kind.FLAG, key)
        if item is None:
            return None
        compiled = self.flags[key] = compile_flag(decode_flag(item.data, key))
        if self.flag_items.get(key) is not item:  # another came while this one was compiled
            self.flags.pop(key, None)
        return compiled

    def segment(self, key: str) -> CompiledSegment | None:
        """Return a segment, None if it does not exist."""
        found = self.segments.get(key)
        if found is not None:
            return found
        item = self._live_item(Kind.SEGMENT, key)
        if item is None:
            return None
        compiled = self.segments[key] = compile_segment(decode_segment(item.data, key))
        if self.segment_items.get(key) is not item:
            self.segments.pop(key, None)
        return compiled

    def demand(self, references: Iterable[ItemRef]) -> None:
        """Raise one `InputMissing` for all of `references` that are not known."""
        missing = tuple(ref for ref in references if not self.knows(ref))
        if missing:
            raise InputMissing(missing)

    def live_flags(self) -> tuple[CompiledFlag, ...]:
        """Return every flag that exists, in the order of their arrival."""
        if self._live is None:
            found = (self.flag(key) for key in list(self.flag_items))
            self._live = tuple(flag for flag in found if flag is not None)
        return self._live

    def _live_item(self, kind: Kind, key: str) -> SerializedItem | None:
        item = (self.flag_items if kind is Kind.FLAG else self.segment_items).get(key)
        # no second look at the items: another thread may have put it there since
        if item is None and not (self.complete or ItemRef(kind, key) in self.absent):
            raise InputMissing((ItemRef(kind, key),))
        return None if item is None or item.deleted else item

    def knows(self, ref: ItemRef) -> bool:
        """Whether it is settled if `ref` exists, and what it is."""
        items = self.flag_items if ref.kind is Kind.FLAG else self.segment_items
        return self.complete or ref.key in items or ref in self.absent

    def item(self, ref: ItemRef) -> SerializedItem | None:
        """Return an item as it was received; None if it is not here."""
        return (self.flag_items if ref.kind is Kind.FLAG else self.segment_items).get(ref.key)

    def adopt(self, other: "Catalog") -> None:
        """Let `other` compile those items that are the very same there, once for both."""
        for key, item in self.flag_items.items():
            if key not in self.flags and other.flag_items.get(key) is item:
                flag = other.flag(key)
                if flag is not None:
                    self.flags[key] = flag
        for key, item in self.segment_items.items():
            if key not in self.segments and other.segment_items.get(key) is item:
                segment = other.segment(key)
                if segment is not None:
                    self.segments[key] = segment


class ItemCatalog(Catalog):
    """A catalog that is never complete, and whose items come and go.

    Whoever owns it lets one thread at a time change it; evaluations may look at any time. An item
    is changed first, and what was compiled of it is dropped after that.
    """

    __slots__ = ()

    flag_items: dict[str, SerializedItem]
    segment_items: dict[str, SerializedItem]
    absent: set[ItemRef]

    def __init__(self) -> None:
        super().__init__({}, {}, complete=False, absent=set())

    def put(self, ref: ItemRef, item: SerializedItem | None) -> None:
        """Take an item; None: it is known not to exist."""
        if item is None:
            self.drop(ref)
            self.absent.add(ref)
            return
        items, compiled = self._places(ref)
        items[ref.key] = item
        compiled.pop(ref.key, None)
        self.absent.discard(ref)
        self._live = None

    def drop(self, ref: ItemRef) -> None:
        """Know nothing of an item any more."""
        items, compiled = self._places(ref)
        items.pop(ref.key, None)
        compiled.pop(ref.key, None)
        self.absent.discard(ref)
        self._live = None

    def _places(self, ref: ItemRef) -> tuple[dict[str, SerializedItem], dict[str, Any]]:
        if ref.kind is Kind.FLAG:
            return self.flag_items, self.flags
        return self.segment_items, self.segments


EMPTY: Final = Catalog({}, {})
