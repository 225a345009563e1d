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

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from flagkeep.errors import InvalidData
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import parse_json
from flagkeep.model.envelope import open_object, split_envelope
from flagkeep.model.item import BadItem, ItemRef, Kind
from flagkeep.model.tombstone import tombstone
from flagkeep.protocol.received import Texts, read_item, read_items
from flagkeep.protocol.sse import Event

PUT: Final = "put"
PATCH: Final = "patch"
DELETE: Final = "delete"

_REFUSED: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)
_PREFIXES: Final[Mapping[str, Kind]] = {"/flags/": Kind.FLAG, "/segments/": Kind.SEGMENT}
NO_ENVIRONMENT: Final = "it names neither flags nor segments: is the base URI right?"
_NAMED: Final = re.compile(rb'"(?:flags|segments)"')
_WHOLE: Final = frozenset({"/", "", None})

_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


class _Environment(msgspec.Struct, frozen=True):
    flags: dict[str, msgspec.Raw] | UnsetType | None = UNSET
    segments: dict[str, msgspec.Raw] | UnsetType | None = UNSET


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


def read_event(event: Event) -> ChangeSet | None:
    """Return what an event changes; None: nothing, it is for others.

    Raises:
        InvalidData: it is broken; the stream is to be opened anew.
    """
    if event.name == PUT:
        return _read_put(event.data)
    if event.name == PATCH:
        return _read_patch(event.data)
    if event.name == DELETE:
        return _read_delete(event.data)
    return None


def read_poll(body: bytes) -> ChangeSet:
    """Return the environment that a poll has brought.

    Raises:
        InvalidData: it is not one.
    """
    try:
        environment = _ENVIRONMENT.decode(body)
    except _REFUSED as exc:
        _check_is_worth_more(exc, body)
        return _slow_environment(body)
    return _environment_in(environment, "$")


def _read_put(data: bytes) -> ChangeSet | None:
    try:
        put = _PUT.decode(data)
    except _REFUSED as exc:
        _check_is_worth_more(exc, data)
        return _slow_put(data)
    if put.path not in _WHOLE:
        return None
    return _environment_in(put.data, "$.data")


def _read_patch(data: bytes) -> ChangeSet | None:
    try:
        patch = _PATCH.decode(data)
        path, text = patch.path, bytes(patch.data)
    except _REFUSED as exc:
        _check_is_json(exc, data)
        members = open_object(data)
        path = _path_in(members)
        text = members.get("data", b"null")
    ref = _ref_of(path)
    if ref is None:
        return None
    if not text.startswith(b"{"):
        raise InvalidData("it must be a flag or segment", "$.data")
    found = read_item(ref.kind, ref.key, text)
    if isinstance(found, BadItem):
        return ChangeSet(full=False, bad=(found,))
    return ChangeSet.partial({ref: found})


def _read_delete(data: bytes) -> ChangeSet | None:
    try:
        delete = _DELETE.decode(data)
        path, version = delete.path, delete.version
    except _REFUSED as exc:
        _check_is_json(exc, data)
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


def _environment_in(environment: _Environment, path: str) -> ChangeSet:
    flags, segments = environment.flags, environment.segments
    if flags is UNSET and segments is UNSET:  # a stranger's answer must not empty what is known
        raise InvalidData(NO_ENVIRONMENT, path)
    return _full(flags or None, segments or None)


def _full(flags: Texts | None, segments: Texts | None) -> ChangeSet:
    bad: list[BadItem] = []
    return ChangeSet(
        full=True,
        flags=read_items(Kind.FLAG, flags or {}, bad),
        segments=read_items(Kind.SEGMENT, segments or {}, bad),
        bad=tuple(bad),
    )


# --- what the fast decoders refuse --------------------------------------------------------------


def _check_is_worth_more(error: Exception, data: bytes) -> None:
    """Raise InvalidData unless only single items may be at fault: too deep, or lone surrogates."""
    if isinstance(error, msgspec.ValidationError):
        problem, _, path = str(error).partition(" - at `")
        raise InvalidData(problem, path.rstrip("`") or "$") from None
    _check_is_json(error, data)


def _check_is_json(error: Exception, data: bytes) -> None:
    """Raise InvalidData for broken JSON, without reading it again.

    Garbage of 100 MB would become a tree of many times that, for a better message.
    """
    is_syntax = type(error) is msgspec.DecodeError
    if is_syntax and not _SURROGATE.search(data):  # a lone one counts as broken
        raise InvalidData(str(error)) from None


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
    if not (envelope.flags or envelope.segments or _NAMED.search(data)):
        raise InvalidData(NO_ENVIRONMENT, path)
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
