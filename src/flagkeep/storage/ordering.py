"""In which order items must reach a database that cannot take them all at once.

A reader that looks in between must never find a flag whose prerequisite or segment is still on its
way (stores spec, section 6): segments first, then flags after their prerequisites, then deletions.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from flagkeep.errors import InvalidData
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import parse_json
from flagkeep.model.item import ItemRef, Kind, SerializedItem


class _Prerequisite(msgspec.Struct, frozen=True):
    key: str


class _Needs(msgspec.Struct, frozen=True):
    prerequisites: list[_Prerequisite] | None = None


_PREREQUISITES: Final = b'"prerequisites"'
_NO_PREREQUISITES: Final = b'"prerequisites":[]'
_LENGTH: Final = len(_PREREQUISITES)
_NEEDS: Final = msgspec.json.Decoder(_Needs)


def write_order(changes: ChangeSet) -> list[tuple[ItemRef, SerializedItem]]:
    """Return every item of `changes` in the order in which it must be written."""
    stages = write_stages(changes)
    return [(ItemRef(kind, key), item) for kind, items in stages for key, item in items]


def write_stages(
    changes: ChangeSet,
) -> Iterator[tuple[Kind, Iterable[tuple[str, SerializedItem]]]]:
    """Yield every item of `changes` by its key in the same order, those of a kind together.

    Cycles end where they close, and missing prerequisites are passed over. Flags are deleted before
    segments, since a flag may still refer to a segment but never the other way round.
    """
    yield Kind.SEGMENT, _live(changes.segments)
    flags = dict(_live(changes.flags))
    yield Kind.FLAG, ((key, flags[key]) for key in _prerequisites_first(flags))
    for kind in (Kind.FLAG, Kind.SEGMENT):
        yield kind, ((key, item) for key, item in changes.of(kind).items() if item.deleted)


def _live(items: Mapping[str, SerializedItem]) -> Iterator[tuple[str, SerializedItem]]:
    return ((key, item) for key, item in items.items() if not item.deleted)


def _prerequisites_first(flags: Mapping[str, SerializedItem]) -> Iterable[str]:
    """Walk depth first with a stack of our own: a chain may be longer than Python's."""
    needs = {
        key: [one for one in _needs(flag.data) if one in flags]
        for key, flag in flags.items()
        if not _has_none(flag.data)
    }
    if not needs:  # mostly
        return flags
    done: dict[str, None] = {}
    begun: set[str] = set()
    for root in flags:
        if root in begun:
            continue
        if root not in needs:
            begun.add(root)
            done[root] = None
            continue
        stack = [root]
        while stack:
            key = stack[-1]
            if key in begun:
                stack.pop()
                done[key] = None  # a second visit keeps the first place
                continue
            begun.add(key)
            stack += [one for one in reversed(needs.get(key, ())) if one not in begun]
    return done


def _needs(data: bytes) -> list[str]:
    try:
        return [one.key for one in _NEEDS.decode(data).prerequisites or ()]
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _needs_slowly(data)


def _has_none(data: bytes) -> bool:
    """Return whether prerequisites are named once at most, and then as an empty list.

    Five times cheaper than decoding, which matters for 10,000 flags.
    """
    place = data.find(_PREREQUISITES)
    if place < 0:
        return b"\\u" not in data  # the name may be written in escapes
    is_empty = data.startswith(_NO_PREREQUISITES, place)
    return is_empty and data.find(_PREREQUISITES, place + _LENGTH) < 0


def _needs_slowly(data: bytes) -> list[str]:
    try:
        tree: Any = parse_json(data)
    except InvalidData:
        return []
    entries = tree.get("prerequisites") if isinstance(tree, dict) else None
    if not isinstance(entries, list):
        return []
    keys = [one.get("key") for one in entries if isinstance(one, dict)]
    return [key for key in keys if isinstance(key, str)]
