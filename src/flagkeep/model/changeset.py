"""The one currency between sources, memory and stores."""

from collections.abc import Iterator, Mapping
from typing import Self

import msgspec

from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem

Items = Mapping[str, SerializedItem]


class Selector(msgspec.Struct, frozen=True):
    """Where in an upstream's history a change set ends, so that the next can begin there."""

    state: str
    version: int


class ChangeSet(msgspec.Struct, frozen=True, kw_only=True):
    """A whole environment (`full`), or what changed in one.

    Attributes:
        full: whether what is not named here is gone.
        flags: flags and tombstones by key.
        segments: segments and tombstones by key.
        selector: the upstream's name for this state; None where the source has none.
        bad: items that were received and cannot be used; their last good versions stay.
    """

    full: bool
    flags: Items = msgspec.field(default_factory=dict)
    segments: Items = msgspec.field(default_factory=dict)
    selector: Selector | None = None
    bad: tuple[BadItem, ...] = ()

    @classmethod
    def partial(cls, items: Mapping[ItemRef, SerializedItem]) -> Self:
        """Return a change set of just these items."""
        by_kind: dict[Kind, dict[str, SerializedItem]] = {kind: {} for kind in Kind}
        for (kind, key), item in items.items():
            by_kind[kind][key] = item
        return cls(full=False, flags=by_kind[Kind.FLAG], segments=by_kind[Kind.SEGMENT])

    def with_items(self, items: Mapping[ItemRef, SerializedItem]) -> Self:
        """Return the same with these items in the place of their namesakes."""
        by_kind = {kind: dict(self.of(kind)) for kind in Kind}
        for (kind, key), item in items.items():
            by_kind[kind][key] = item
        return msgspec.structs.replace(
            self, flags=by_kind[Kind.FLAG], segments=by_kind[Kind.SEGMENT]
        )

    def of(self, kind: Kind) -> Items:
        """Return the items of one kind."""
        return self.flags if kind is Kind.FLAG else self.segments

    def items(self) -> Iterator[tuple[ItemRef, SerializedItem]]:
        """Yield every item, segments first."""
        for kind in (Kind.SEGMENT, Kind.FLAG):
            for key, item in self.of(kind).items():
                yield ItemRef(kind, key), item
