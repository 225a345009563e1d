"""The first protocol: events of the stream, and polls, into change sets (data source spec, 2, 3).

    put      {"path": "/", "data": {"flags": {...}, "segments": {...}}}    everything, anew
    patch    {"path": "/flags/<key>", "data": {...}}                       one item
    delete   {"path": "/segments/<key>", "version": 7}                     one tombstone
    a poll   {"flags": {...}, "segments": {...}}                           everything, anew

Other events are not opened, other paths are for others. What is wrong with a document, or with an
item as a whole, is `InvalidData`, and the source begins anew; what is wrong inside of one item
keeps that item out and is told in `ChangeSet.bad` (data model spec, section 4).

There is no state: which of two versions of an item counts is for those who hold the first.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from flagkeep.errors import InvalidData, InvalidItem
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import parse_json, to_item
from flagkeep.model.envelope import open_object, split_envelope
from flagkeep.model.flag import Flag
from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem
from flagkeep.model.segment import Segment
from flagkeep.model.tombstone import tombstone
from flagkeep.model.values import MAX_DEPTH
from flagkeep.protocol.sse import Event

PUT: Final = "put"
PATCH: Final = "patch"
DELETE: Final = "delete"

_REFUSED: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)
_PREFIXES: Final[Mapping[str, Kind]] = {"/flags/": Kind.FLAG, "/segments/": Kind.SEGMENT}
_WHOLE: Final = frozenset({"/", "", None})

_RawItems = Mapping[str, msgspec.Raw | bytes]


class _Environment(msgspec.Struct, frozen=True):
    flags: dict[str, msgspec.Raw] | None = None
    segments: dict[str, msgspec.Raw] | None = None


class _Put(msgspec.Struct, frozen=True):
    data: _Environment
    path: str | None = None


class _Patch(msgspec.Struct, frozen=True):
    path: str
    data: msgspec.Raw


class _Delete(msgspec.Struct, frozen=True):
    path: str
    version: int


_ENVIRONMENT: Final = msgspec.json.Decoder(_Environment)
_PUT: Final = msgspec.json.Decoder(_Put)
_PATCH: Final = msgspec.json.Decoder(_Patch)
_DELETE: Final = msgspec.json.Decoder(_Delete)
_DECODE: Final[Mapping[Kind, Callable[[bytes], Flag | Segment]]] = {
    Kind.FLAG: msgspec.json.Decoder(Flag).decode,
    Kind.SEGMENT: msgspec.json.Decoder(Segment).decode,
}


def read_event(event: Event) -> ChangeSet | None:
    """Return what an event changes; None: nothing, it is for others.

    Raises:
        InvalidData: it is broken; the stream is to be opened anew.
    """
    match event.name:
        case "put":
            return _read_put(event.data)
        case "patch":
            return _read_patch(event.data)
        case "delete":
            return _read_delete(event.data)
    return None


def read_poll(body: bytes) -> ChangeSet:
    """Return the environment that a poll has brought.

    Raises:
        InvalidData: it is not one.
    """
    try:
        environment = _ENVIRONMENT.decode(body)
    except _REFUSED:
        return _slow_environment(body)
    return _full(environment.flags, environment.segments)


def _read_put(data: bytes) -> ChangeSet | None:
    try:
        put = _PUT.decode(data)
    except _REFUSED:
        return _slow_put(data)
    if put.path not in _WHOLE:
        return None
    return _full(put.data.flags, put.data.segments)


def _read_patch(data: bytes) -> ChangeSet | None:
    try:
        patch = _PATCH.decode(data)
        path, text = patch.path, bytes(patch.data)
    except _REFUSED:
        members = open_object(data)
        path = _path_in(members)
        text = members.get("data", b"null")
    ref = _ref_of(path)
    if ref is None:
        return None
    if not text.startswith(b"{"):
        raise InvalidData("it must be a flag or segment", "$.data")
    found = _read_item(ref.kind, ref.key, text)
    if isinstance(found, BadItem):
        return ChangeSet(full=False, bad=(found,))
    return ChangeSet.partial({ref: found})


def _read_delete(data: bytes) -> ChangeSet | None:
    try:
        delete = _DELETE.decode(data)
        path, version = delete.path, delete.version
    except _REFUSED:
        members = open_object(data)
        path = _path_in(members)
        if _ref_of(path) is None:
            return None
        version = _version_in(members)
    ref = _ref_of(path)
    if ref is None:
        return None
    if version < 0:
        raise InvalidData("it must not be negative", "$.version")
    return ChangeSet.partial({ref: tombstone(ref.kind, ref.key, version)})


def _ref_of(path: str) -> ItemRef | None:
    for prefix, kind in _PREFIXES.items():
        if path.startswith(prefix) and path != prefix:
            return ItemRef(kind, path.removeprefix(prefix))
    return None


# --- items --------------------------------------------------------------------------------------


def _full(flags: _RawItems | None, segments: _RawItems | None) -> ChangeSet:
    bad: list[BadItem] = []
    return ChangeSet(
        full=True,
        flags=_read_items(Kind.FLAG, flags, bad),
        segments=_read_items(Kind.SEGMENT, segments, bad),
        bad=tuple(bad),
    )


def _read_items(
    kind: Kind, texts: _RawItems | None, bad: list[BadItem]
) -> dict[str, SerializedItem]:
    items = {}
    for key, text in (texts or {}).items():
        found = _read_item(kind, key, bytes(text))
        if isinstance(found, BadItem):
            bad.append(found)
        else:
            items[key] = found
    return items


def _read_item(kind: Kind, key: str, text: bytes) -> SerializedItem | BadItem:
    """Check an item whole; one decoding is enough for one that is good."""
    try:
        item = _DECODE[kind](text)
    except _REFUSED:
        pass
    else:
        may_be_too_deep = text.count(b"[") + text.count(b"{") > MAX_DEPTH
        if item.version >= 0 and not may_be_too_deep:
            return SerializedItem(item.version, item.deleted, text)
    try:
        return to_item(kind, key, text)
    except InvalidItem as exc:
        return BadItem(kind, key, exc.path, exc.problem)


# --- what the fast decoders refuse --------------------------------------------------------------


def _slow_put(data: bytes) -> ChangeSet | None:
    members = open_object(data)
    if members.get("path", b"null") != b"null" and _path_in(members) not in _WHOLE:
        return None
    return _slow_environment(members.get("data", b"null"), "$.data")


def _slow_environment(data: bytes, path: str = "$") -> ChangeSet:
    try:
        envelope = split_envelope(data)
    except InvalidData as exc:
        raise InvalidData(exc.problem, path + exc.path.removeprefix("$")) from None
    return _full(envelope.flags, envelope.segments)


def _path_in(members: Mapping[str, bytes]) -> str:
    path: Any = parse_json(members.get("path", b"null"))
    if not isinstance(path, str):
        raise InvalidData("it must be text", "$.path")
    return path


def _version_in(members: Mapping[str, bytes]) -> int:
    version: Any = parse_json(members.get("version", b"null"))
    if isinstance(version, float) and version.is_integer():  # written as 3.0
        return int(version)
    if isinstance(version, bool) or not isinstance(version, int):
        raise InvalidData("it must be a whole number", "$.version")
    return version
