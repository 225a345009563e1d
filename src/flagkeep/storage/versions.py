"""Versions for data that has none of its own, so that stores and listeners see every change.

A file's author edits values and forgets versions. What differs from what is known must count as
newer, and what does not differ must not count as changed.
"""

from collections.abc import Mapping

import msgspec

from flagkeep.errors import InvalidData
from flagkeep.model.codec import encode_json, parse_json
from flagkeep.model.envelope import members_of
from flagkeep.model.item import SerializedItem
from flagkeep.model.values import frozen_value


def raise_versions(
    known: Mapping[str, SerializedItem], loaded: Mapping[str, SerializedItem]
) -> dict[str, SerializedItem]:
    """Return `loaded` with versions that fit what is `known`.

    Content that is equal, whatever its spelling and version, keeps the known item. Content that
    differs gets a version above the known one, a tombstone's included, in its text too.
    """
    return {key: _fitted(known.get(key), item) for key, item in loaded.items()}


def _fitted(known: SerializedItem | None, loaded: SerializedItem) -> SerializedItem:
    if known is None:
        return loaded
    if _has_same_content(known, loaded):
        return known
    if loaded.version > known.version:
        return loaded
    return with_version(loaded, known.version + 1)


def _has_same_content(one: SerializedItem, other: SerializedItem) -> bool:
    if one.deleted != other.deleted:
        return False
    if one.data == other.data:
        return True
    try:
        trees = [parse_json(item.data) for item in (one, other)]
    except InvalidData:
        return False
    for tree in trees:
        if not isinstance(tree, dict):
            return False
        tree.pop("version", None)
    try:
        return frozen_value(trees[0]) == frozen_value(trees[1])
    except RecursionError:
        return False


def with_version(item: SerializedItem, version: int) -> SerializedItem:
    """Return `item` at another version; every other property keeps its text to the letter.

    Raises:
        InvalidData: its text is not a JSON object.
    """
    try:
        # Raw leaves numbers beyond a double and the like as they were written.
        parts = msgspec.json.decode(item.data, type=dict[str, msgspec.Raw])
        parts["version"] = msgspec.Raw(b"%d" % version)
        data = msgspec.json.encode(parts)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        members = members_of(item.data.decode("utf-8", "surrogatepass"), "$")
        members["version"] = str(version)
        whole = b",".join(
            encode_json(name) + b":" + text.encode("utf-8", "surrogatepass")
            for name, text in members.items()
        )
        data = b"{" + whole + b"}"
    return SerializedItem(version, item.deleted, data)
