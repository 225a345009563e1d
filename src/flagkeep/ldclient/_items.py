"""Between the official SDK's view of an item, a dict, and the core's: a version and JSON text."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from flagkeep.errors import InvalidItem
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import encode_json, parse_json, to_item
from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem
from flagkeep.model.tombstone import tombstone as core_tombstone

NAMESPACES: Final[Mapping[str, Kind]] = {"features": Kind.FLAG, "segments": Kind.SEGMENT}
NAMESPACE_OF: Final[Mapping[Kind, str]] = {kind: name for name, kind in NAMESPACES.items()}


class Namespaced(Protocol):
    """What this module needs to know of a `VersionedDataKind`."""

    @property
    def namespace(self) -> str:
        """Its name in a store."""


class DataItem(dict[str, Any]):
    """A flag or segment as a feature store gives it out: a dict that has been checked."""

    def to_json_dict(self) -> dict[str, Any]:
        """Return the item as a plain dict."""
        return dict(self)

    def __repr__(self) -> str:
        return encode_json(self).decode()


def core_kind(kind: Namespaced) -> Kind:
    """Return the core's name of a kind.

    Raises:
        ValueError: it is neither `FEATURES` nor `SEGMENTS`.
    """
    found = NAMESPACES.get(kind.namespace)
    if found is None:
        raise ValueError(f"there are no items of a kind {kind.namespace!r}")
    return found


def as_dict(item: Any) -> dict[str, Any]:
    """Return the JSON form of what an application calls an item: a dict, or a model of one.

    Raises:
        InvalidItem: it is neither.
    """
    if isinstance(item, dict) and not isinstance(item, DataItem):
        return item
    if hasattr(item, "to_json_dict"):
        return dict(item.to_json_dict())
    raise InvalidItem("item", "", "$", f"it must be an object, not {type(item).__name__}")


def named(kind: Kind, item: Any) -> ItemRef:
    """Return which item it is, by the key it carries.

    Raises:
        InvalidItem: it carries none.
    """
    key = as_dict(item).get("key")
    if not isinstance(key, str):
        raise InvalidItem(kind, "", "$.key", "it must be a string")
    return ItemRef(kind, key)


def serialized(ref: ItemRef, item: Any) -> SerializedItem:
    """Return an item, a dict or a model, in the core's form, checked; tombstones in full.

    Raises:
        InvalidItem: it is no such item.
    """
    data = as_dict(item)
    try:
        text = encode_json(data)
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidItem(ref.kind, ref.key, "$", str(exc)) from None
    found = to_item(ref.kind, ref.key, text)
    return core_tombstone(ref.kind, ref.key, found.version) if found.deleted else found


def tombstone(ref: ItemRef, version: int) -> SerializedItem:
    """Return what a deleted item leaves behind."""
    return serialized(ref, {"key": ref.key, "version": version, "deleted": True})


def opened(item: SerializedItem) -> DataItem:
    """Return an item of the core as a dict of its own."""
    return DataItem(parse_json(item.data))


def full_set(all_data: Mapping[Any, Mapping[str, Any]]) -> ChangeSet:
    """Return what `FeatureStore.init` takes as a change set.

    Raises:
        InvalidItem: one of the items cannot be used.
        ValueError: there is a kind that does not exist.
    """
    items: dict[Kind, dict[str, SerializedItem]] = {kind: {} for kind in Kind}
    for kind, given in all_data.items():
        own = core_kind(kind)
        items[own] = {key: serialized(ItemRef(own, key), item) for key, item in given.items()}
    return ChangeSet(full=True, flags=items[Kind.FLAG], segments=items[Kind.SEGMENT])


def isolated_set(all_data: Mapping[Any, Mapping[str, Any]]) -> ChangeSet:
    """Return the same as `full_set`, with the items that cannot be used in `bad`.

    Raises:
        ValueError: there is a kind that does not exist.
    """
    bad: list[BadItem] = []
    items: dict[Kind, dict[str, SerializedItem]] = {kind: {} for kind in Kind}
    for kind, given in all_data.items():
        own = core_kind(kind)
        for key, item in given.items():
            try:
                items[own][key] = serialized(ItemRef(own, key), item)
            except InvalidItem as exc:
                bad.append(BadItem(own, key, exc.path, exc.problem))
    return ChangeSet(
        full=True, flags=items[Kind.FLAG], segments=items[Kind.SEGMENT], bad=tuple(bad)
    )


def partial_set(ref: ItemRef, item: SerializedItem) -> ChangeSet:
    """Return the change of one item as a change set."""
    if ref.kind is Kind.FLAG:
        return ChangeSet(full=False, flags={ref.key: item})
    return ChangeSet(full=False, segments={ref.key: item})
