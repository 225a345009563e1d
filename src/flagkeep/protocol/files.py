"""Environment files: named bytes in, one full change set out.

A file holds `flags`, `flagValues` (a bare value per key) and `segments`, all optional. Several
files are one environment. What is wrong with a whole file, or ambiguous between two, fails the
whole; what is wrong with one item keeps that item out and is told in `ChangeSet.bad`.
Source: data source spec, "File data source"; isolation: data model spec, "Parsing tolerance".
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from flagkeep.errors import InvalidFile, InvalidItem, MissingExtra
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import decode, decode_head
from flagkeep.model.flag import Flag, Prerequisite, Target, VariationOrRollout
from flagkeep.model.flag import FlagRule as Rule
from flagkeep.model.item import BadItem, Kind, SerializedItem
from flagkeep.model.required import fill_required
from flagkeep.model.segment import Segment, SegmentRule
from flagkeep.protocol.document import MAX_DEPTH, SECTIONS, Document, Place, Section, place_of
from flagkeep.protocol.json_file import read_json

KIND_OF: Final[Mapping[Section, Kind]] = {
    "flags": Kind.FLAG,
    "segments": Kind.SEGMENT,
    "flagValues": Kind.FLAG,
}


class _CompleteFlag(Flag, frozen=True, kw_only=True):
    """A flag with everything other SDKs ask for: one decoding shows that it is good and whole."""

    deleted: bool
    on: bool
    salt: str
    variations: list[object]
    off_variation: int | None
    fallthrough: VariationOrRollout
    prerequisites: list[Prerequisite]
    targets: list[Target]
    rules: list[Rule]
    track_events: bool
    track_events_fallthrough: bool


class _CompleteSegment(Segment, frozen=True, kw_only=True):
    deleted: bool
    salt: str
    included: list[str]
    excluded: list[str]
    rules: list[SegmentRule]


_COMPLETE: Final[Mapping[Kind, Callable[[bytes], Flag | Segment]]] = {
    Kind.FLAG: msgspec.json.Decoder(_CompleteFlag).decode,
    Kind.SEGMENT: msgspec.json.Decoder(_CompleteSegment).decode,
}
_BRACKET: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_REFUSED: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)


def read_files(files: Iterable[tuple[str, bytes]]) -> ChangeSet:
    """Read files that together are one environment.

    Args:
        files: name and content of each. The name appears in messages, and its ending decides:
            `.json` is JSON only, anything else JSON or YAML.

    Raises:
        InvalidFile: a file is not an environment, or a key is defined twice.
        MissingExtra: a file is YAML and PyYAML is not installed.
    """
    documents = [read_file(name, data) for name, data in files]
    _check_distinct(documents)
    items: dict[Kind, dict[str, SerializedItem]] = {Kind.FLAG: {}, Kind.SEGMENT: {}}
    bad: list[BadItem] = []
    for document in documents:
        found, problems = _build(document)
        for kind in Kind:
            items[kind].update(found[kind])
        bad += problems
    return ChangeSet(
        full=True, flags=items[Kind.FLAG], segments=items[Kind.SEGMENT], bad=tuple(bad)
    )


def read_file(name: str, data: bytes) -> Document:
    """Cut one file into its items, without opening them; errors as for `read_files`."""
    data = _as_utf8(name, data)
    if not data.strip():
        raise InvalidFile(name, "it is empty", line=1, column=1)
    if name.lower().endswith(".json"):
        return read_json(name, data)
    try:
        return read_json(name, data)
    except InvalidFile:
        if not name.lower().endswith((".yaml", ".yml")) and data.lstrip()[:1] in (b"{", b"["):
            raise
    try:
        from flagkeep.protocol.yaml_file import read_yaml  # noqa: PLC0415  PyYAML is an extra
    except ImportError:
        raise MissingExtra("files", f"reading {name} as YAML") from None
    return read_yaml(name, data.decode())


def make_item(kind: Kind, key: str, data: bytes) -> SerializedItem:
    """Check one item as it stands in a file and complete it for every reader.

    A missing key is the one it stands under, a missing version is 1.

    Args:
        kind: what it should be.
        key: where it stands.
        data: its text, known to be JSON.

    Raises:
        InvalidItem: it cannot be used.
    """
    if not key:
        raise InvalidItem(kind, key, "$", "its key is empty")
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and _depth(data) > MAX_DEPTH:
        raise InvalidItem(kind, key, "$", f"it is nested deeper than {MAX_DEPTH} levels")
    data = _compact(data)
    try:
        item = _COMPLETE[kind](data)
    except _REFUSED:
        return _completed(kind, key, data)
    if item.key != key or item.version < 0:
        return _completed(kind, key, data)
    return SerializedItem(item.version, item.deleted, data)


def make_value_flag(key: str, value: bytes) -> SerializedItem:
    """Return a flag that is on and has the one variation `value` (JSON text).

    Raises:
        InvalidItem: the value cannot be used.
    """
    flag = b'{"version":1,"on":true,"variations":[%b],"fallthrough":{"variation":0}}' % value
    return make_item(Kind.FLAG, key, flag)


def _as_utf8(name: str, data: bytes) -> bytes:
    if data.isascii() and b"\0" not in data:
        return data
    encoding = json.detect_encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as exc:
        before = data[: exc.start].decode("latin-1")
        line, column = place_of(before, len(before))
        wanted = encoding.removesuffix("-sig").upper()
        problem = f"not {wanted} text: {exc.reason} (0x{data[exc.start]:02x})"
        raise InvalidFile(name, problem, line=line, column=column) from None
    return data if encoding == "utf-8" else text.encode()


def _check_distinct(documents: Iterable[Document]) -> None:
    owners: dict[tuple[Kind, str], tuple[Document, Section]] = {}
    for document in documents:
        for section in SECTIONS:
            kind = KIND_OF[section]
            for key in document.items[section]:
                first, its_section = owners.setdefault((kind, key), (document, section))
                if first is not document or its_section != section:
                    raise _defined_twice(kind, key, (first, its_section), (document, section))


def _defined_twice(
    kind: Kind, key: str, first: tuple[Document, Section], second: tuple[Document, Section]
) -> InvalidFile:
    one, other = (doc.places()[section, key] for doc, section in (first, second))
    problem = f"{kind} {key!r} is already defined in {first[0].name}:{one.line}:{one.column}"
    return InvalidFile(
        second[0].name,
        problem,
        path=f"$.{second[1]}.{key}",
        line=other.line,
        column=other.column,
    )


def _build(document: Document) -> tuple[dict[Kind, dict[str, SerializedItem]], list[BadItem]]:
    items: dict[Kind, dict[str, SerializedItem]] = {Kind.FLAG: {}, Kind.SEGMENT: {}}
    refused: list[tuple[Section, InvalidItem]] = []
    for section in SECTIONS:
        kind = KIND_OF[section]
        for key, data in document.items[section].items():
            try:
                if section == "flagValues":
                    items[kind][key] = make_value_flag(key, data)
                else:
                    items[kind][key] = make_item(kind, key, data)
            except InvalidItem as exc:
                refused.append((section, exc))
    return items, _bad_items(document, refused)


def _bad_items(document: Document, refused: list[tuple[Section, InvalidItem]]) -> list[BadItem]:
    bad = [
        _bad(document, KIND_OF[one.section], one.key, (one.path, one.problem), one.place)
        for one in document.problems
    ]
    places = document.places() if refused else {}
    for section, exc in refused:
        where = (exc.path, exc.problem)
        bad.append(_bad(document, KIND_OF[section], exc.key, where, places.get((section, exc.key))))
    return bad


def _bad(
    document: Document, kind: Kind, key: str, where: tuple[str, str], place: Place | None
) -> BadItem:
    path, problem = where
    line = f":{place.line}" if place else ""
    return BadItem(kind, key, path, f"{problem} ({document.name}{line})")


def _completed(kind: Kind, key: str, data: bytes) -> SerializedItem:
    data = fill_required(kind, key, data)
    version, deleted = decode_head(kind, key, data)
    if not deleted:
        try:
            inner = decode(kind, data)  # without the key, which would outrank the one inside
        except InvalidItem as exc:
            raise InvalidItem(kind, key, exc.path, exc.problem) from None
        if inner.key != key:
            problem = f"it says {inner.key!r} and stands under {key!r}"
            raise InvalidItem(kind, key, "$.key", problem)
        version = inner.version
    return SerializedItem(version, deleted, data)


def _compact(data: bytes) -> bytes:
    """Take out the white space of a file made for people; the tokens stay as they are.

    Then indenting a file anew changes no item.
    """
    start = data[:128]  # spaces are everywhere or nowhere
    if b"\n" not in data and b", " not in start and b": " not in start:
        return data
    try:
        return msgspec.json.format(data, indent=-1)
    except _REFUSED:  # pragma: no cover  # it takes all JSON that was tried
        return data


def _depth(data: bytes) -> int:
    deepest = depth = 0
    for token in _BRACKET.finditer(data):
        mark = token.group()
        if mark in (b"{", b"["):
            depth += 1
            deepest = max(deepest, depth)
        elif mark in (b"}", b"]"):
            depth -= 1
    return deepest
