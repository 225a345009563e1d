"""How writes are put together to transactions that a Consul takes (stores spec, section 5.5).

A transaction has at most 64 operations, and its whole text, values in base64, at most 512 KiB. A
server may be set to take less, which only its refusal tells.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.storage.consul_layout import Names, Operation
from flagkeep.storage.contents import Tally, WriterRecord
from flagkeep.storage.items import item_from_row
from flagkeep.storage.ordering import write_stages
from flagkeep.storage.updates import without

MOST_OPERATIONS: Final = 64
MOST_BYTES: Final = 512 * 1024 - 8192  # room for the record
_SIGNED_AFTER: Final = 500  # steps: 8 transactions or more, each of which may have to wait


class Limit:
    """How large a transaction may be, as far as is known.

    Attributes:
        bytes: of its text.
    """

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = MOST_BYTES

    def lower_below(self, steps: Sequence[Operation]) -> None:
        """Take note that a transaction of these was too large."""
        # Half of it may fit; of a single one nothing is known but that it does not.
        size = _size(steps)
        self.bytes = min(self.bytes, size // 2 if len(steps) > 1 else size - 1)

    def allows(self, steps: Sequence[Operation]) -> bool:
        """Whether all these may be one transaction."""
        return len(steps) <= MOST_OPERATIONS and _size(steps) <= self.bytes

    def batch(
        self, steps: Sequence[Operation], place: int, most: int = MOST_OPERATIONS
    ) -> list[Operation]:
        """Return the next steps from a place on that go together: one at least."""
        size = steps[place].most_bytes
        end = place + 1
        last = min(place + most, len(steps))
        while end < last:
            size += steps[end].most_bytes
            if size > self.bytes:
                break
            end += 1
        return list(steps[place:end])


def _size(steps: Iterable[Operation]) -> int:
    return sum(step.most_bytes for step in steps)


class Replacement:
    """How a full set gets to the place of everything, step by step.

    Items come in their order of writing, then what is not in the set goes, then the marker comes.
    The record, if there is one, says from the first step to the last that this is going on, and now
    and then in between.

    Args:
        names: of the environment's keys.
        changes: the set.
        stored: by kind, the keys that are there.
        old_record: the text of the record that is there; None if there is none.
        record: who writes; None: nobody says so.
        now: seconds since the epoch.
    """

    __slots__ = ("_changes", "_marker", "_names", "_now", "_old", "_previous", "_record", "_steps")

    def __init__(
        self,
        names: Names,
        changes: ChangeSet,
        stored: Mapping[Kind, Iterable[str]],
        *,
        old_record: bytes | None,
        record: WriterRecord | None,
        now: float,
    ) -> None:
        self._names = names
        self._changes = changes
        self._old = old_record
        self._previous = WriterRecord.decode(old_record)
        self._record = record
        self._now = now
        trees, put = names.trees, names.put
        steps: list[Operation] = []
        for kind, items in write_stages(changes):
            start = trees[kind]
            steps += [put(start + key, item.data) for key, item in items]
        for kind in (Kind.FLAG, Kind.SEGMENT):
            wanted, length = changes.of(kind), len(trees[kind])
            steps += [names.delete(key) for key in stored[kind] if key[length:] not in wanted]
        self._steps = steps
        self._marker = names.put(names.marker, b"")

    def at_once(self, limit: Limit) -> list[Operation] | None:
        """Return all of it, if one transaction can do it."""
        if len(self._steps) > MOST_OPERATIONS:
            return None
        steps = [*self._steps, *self.last({})]
        return steps if limit.allows(steps) else None

    def first(self) -> list[Operation]:
        """Return all of it but what comes last."""
        if self._record is None:
            return [*self._forgotten(), *self._steps]
        record, steps = self._record.before_replace(self._previous), list[Operation]()
        for place in range(0, len(self._steps) or 1, _SIGNED_AFTER):
            steps += [self._signed(record), *self._steps[place : place + _SIGNED_AFTER]]
            record = record.amid_replace()
        return steps

    def last(self, kept: Mapping[ItemRef, bytes | None]) -> list[Operation]:
        """Return what comes last.

        Args:
            kept: items that could not be written, with what is still there in their places.
        """
        if self._record is None:
            return [self._marker, *self._forgotten()]
        tally = Tally.of_set(without(self._changes, kept) if kept else self._changes)
        for ref, text in kept.items():
            item = item_from_row(ref.kind, ref.key, None, text)
            if isinstance(item, SerializedItem):
                tally.add(ref, item)
        return [
            self._marker,
            self._signed(self._record.after_replace(self._previous, tally, self._now)),
        ]

    def _forgotten(self) -> list[Operation]:
        return [] if self._old is None else [self._names.delete(self._names.record)]

    def _signed(self, record: WriterRecord) -> Operation:
        return self._names.put(self._names.record, record.encode())
