"""How writers in languages that do not run here put the same data (stores spec, section 2).

A style turns the text of an item, as LaunchDarkly sends it, into what that SDK stores.
"""

import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from tests.interop.items import Json

VERSION: Final = 7
FLAG: Final = [
    *("key", "on", "prerequisites", "targets", "contextTargets", "rules", "fallthrough"),
    *("offVariation", "variations", "clientSideAvailability", "clientSide", "salt"),
    *("trackEvents", "trackEventsFallthrough", "debugEventsUntilDate", "version", "deleted"),
    *("migration", "samplingRatio", "excludeFromSummaries"),
]
SEGMENT: Final = [
    *("key", "included", "excluded", "includedContexts", "excludedContexts", "salt", "rules"),
    *("unbounded", "unboundedContextKind", "version", "generation", "deleted"),
]
GO_FLAG: Final = (
    '{"key":"%s","on":false,"prerequisites":[],"targets":[],"contextTargets":[],"rules":[],'
    '"fallthrough":{},"offVariation":null,"variations":[],"clientSide":false,"salt":"",'
    '"trackEvents":false,"trackEventsFallthrough":false,"debugEventsUntilDate":null,'
    '"version":7,"deleted":true}'
)
GO_SEGMENT: Final = (
    '{"key":"%s","included":[],"excluded":[],"includedContexts":[],"excludedContexts":[],'
    '"salt":"","rules":[],"version":7,"generation":null,"deleted":true}'
)


class Tombstones(NamedTuple):
    """The tombstone of flag `gone` and of segment `gone-segment`, deleted at version 7."""

    flag: str
    segment: str


def _same(template: str) -> Tombstones:
    return Tombstones(template.replace("KEY", "gone"), template.replace("KEY", "gone-segment"))


_OLD_GO: Final = (
    '{"key":"","on":false,"prerequisites":null,"targets":null,"rules":null,"fallthrough":{},'
    '"offVariation":null,"variations":null,"clientSide":false,"salt":"","trackEvents":false,'
    '"trackEventsFallthrough":false,"debugEventsUntilDate":null,"version":7,"deleted":true}'
)
_OLD_GO_SEGMENT: Final = (
    '{"key":"","included":null,"excluded":null,"salt":"","rules":null,"version":7,"deleted":true}'
)
_ERLANG_KNOWN: Final = json.dumps(
    {"rules": [], "variations": [True], "version": 7, "on": True, "key": "gone", "deleted": True}
    | {"fallthrough": {"variation": 0}, "prerequisites": [], "salt": "x", "targets": []}
)

TOMBSTONES: Final[dict[str, Tombstones]] = {
    "Python": _same('{"key": "KEY", "version": 7, "deleted": true}'),
    "Ruby, older Node": _same('{"key":"KEY","version":7,"deleted":true}'),
    "C": _same('{"version":7,"key":"KEY","deleted":true}'),
    "Node, Java, .NET": _same('{"version":7,"deleted":true}'),
    "Haskell": _same('{"deleted":true,"version":7}'),
    "Rust": _same('{"version":7,"key":"$deleted","deleted":true}'),
    "Go and its relay": Tombstones(GO_FLAG % "$deleted", GO_SEGMENT % "$deleted"),
    "Go before version 5": Tombstones(_OLD_GO, _OLD_GO_SEGMENT),
    "Erlang, of a known flag": Tombstones(
        _ERLANG_KNOWN, '{"included":["user-1"],"version":7,"key":"gone-segment","deleted":true}'
    ),
    "with spaces and a whole float": _same('\n{ "version" : 7.0 , "deleted" : true }\n'),
    "ours": Tombstones(GO_FLAG % "gone", GO_SEGMENT % "gone-segment"),
}


class Style(NamedTuple):
    """A way to store live items.

    Attributes:
        write: from an item to its text; the second argument lists the fields of its kind.
        marker: what the marker holds; None if that writer has none.
        extra: fields in both hashes that are no items.
    """

    write: Callable[[Json, list[str]], str]
    marker: str | None = ""
    extra: tuple[tuple[str, str], ...] = ()


def _compact(value: Any, *, ascii_only: bool = False) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_only)


def _typed(item: Json, fields: list[str]) -> Json:
    """A typed SDK drops what it does not know, and has an order of its own."""
    return {field: item[field] for field in fields if field in item}


def _go(item: Json, fields: list[str]) -> str:
    nulls = ("offVariation", "debugEventsUntilDate", "generation")
    empty = {name: None for name in nulls if name in fields}
    return _compact(_typed(empty | item, fields))


def _dotnet(item: Json, fields: list[str]) -> str:
    fields = [field for field in fields if field != "clientSideAvailability"]
    left = {name: what for name, what in _typed(item, fields).items() if what not in (None, False)}
    text = _compact(left, ascii_only=True)
    # What it escapes for the sake of HTML; `'` and `+` too. None is part of JSON's own syntax.
    for character in "<>&'":
        text = text.replace(character, f"\\u{ord(character):04X}")
    return text


def _erlang(item: Json, _fields: list[str]) -> str:
    return _compact(dict(sorted(item.items(), key=lambda field: field[0][::-1])))


def _floats(item: Json, _fields: list[str]) -> str:
    return _compact(_with_floats(item))


def _with_floats(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_floats(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_with_floats(one) for one in value]
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if is_whole else value


STYLES: Final[dict[str, Style]] = {
    "Go and its relay": Style(_go),
    "Python before 9.15": Style(lambda item, _: json.dumps(item), marker=None),
    "Ruby": Style(lambda item, _: _compact(item), marker="interop:$inited"),
    ".NET": Style(_dotnet),
    "Rust, Haskell": Style(lambda item, fields: _compact(_typed(item, fields))),
    "Erlang": Style(_erlang, extra=(("null", "null"),)),
    "C": Style(lambda item, _: _compact(item, ascii_only=True)),
    "whole numbers as floats": Style(_floats),
}
