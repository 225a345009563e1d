"""Reading flags, segments and environments: what is tolerated, refused, and how it is named."""

import json
import math
from typing import Any, Final

import pytest
from hypothesis import given

from flagkeep.errors import InvalidData, InvalidItem
from flagkeep.model.codec import (
    decode,
    decode_flag,
    decode_segment,
    encode_json,
    parse_json,
    to_item,
)
from flagkeep.model.envelope import split_envelope
from flagkeep.model.flag import Flag, Prerequisite, WeightedVariation
from flagkeep.model.item import ItemRef, Kind
from flagkeep.model.references import references
from flagkeep.model.segment import Segment
from tests import strategies
from tests.evaluation.profiles import examples
from tests.reference import World

Object = dict[str, Any]


def flag(**fields: Any) -> Flag:
    return decode_flag(json.dumps({"key": "f", "version": 1, **fields}))


def segment(**fields: Any) -> Segment:
    return decode_segment(json.dumps({"key": "s", "version": 1, **fields}))


def rule(**fields: Any) -> Object:
    return {"rules": [{}, {"clauses": [{}, fields]}]}


def arm(**fields: Any) -> Object:
    return {"fallthrough": {"rollout": {"variations": [fields]}}}


# --- defaults ----------------------------------------------------------------------------------

FLAG_FIELDS: Final = [
    "deleted",
    "on",
    "variations",
    "offVariation",
    "fallthrough",
    "prerequisites",
    "targets",
    "contextTargets",
    "rules",
    "salt",
    "trackEvents",
    "trackEventsFallthrough",
    "debugEventsUntilDate",
    "clientSide",
    "clientSideAvailability",
    "samplingRatio",
    "excludeFromSummaries",
    "migration",
]
SEGMENT_FIELDS: Final = [
    "deleted",
    "included",
    "excluded",
    "includedContexts",
    "excludedContexts",
    "rules",
    "salt",
    "unbounded",
    "unboundedContextKind",
    "generation",
]


def test_defaults_of_a_flag() -> None:
    bare = flag()
    assert (bare.on, bare.deleted, bare.salt, bare.off_variation) == (False, False, "", None)
    assert not bare.variations
    assert (bare.sampling_ratio, bare.exclude_from_summaries, bare.migration) == (1, False, None)
    assert (bare.fallthrough.variation, bare.fallthrough.rollout) == (None, None)


@pytest.mark.parametrize("name", FLAG_FIELDS)
def test_null_in_a_flag_is_the_default(name: str) -> None:
    assert flag(**{name: None}) == flag()


@pytest.mark.parametrize("name", SEGMENT_FIELDS)
def test_null_in_a_segment_is_the_default(name: str) -> None:
    assert segment(**{name: None}) == segment()


@pytest.mark.parametrize(
    ("written", "same"),
    [
        (arm(), arm(variation=0, weight=0, untracked=False)),
        (arm(weight=None, variation=None), arm()),
        (rule(), rule(attribute="", op="", values=[], negate=False, contextKind="")),
        (rule(attribute=None, op=None, values=None, negate=None, contextKind=None), rule()),
        ({"rules": [{"clauses": None}]}, {"rules": [{}]}),
        ({"targets": [{"values": None}]}, {"targets": [{"variation": 0, "values": []}]}),
        ({"contextTargets": [{"contextKind": None}]}, {"contextTargets": [{}]}),
        ({"prerequisites": [{"key": "p", "variation": None}]}, {"prerequisites": [{"key": "p"}]}),
        ({"fallthrough": {"rollout": {"kind": None}}}, {"fallthrough": {"rollout": {}}}),
        ({"migration": {"checkRatio": None}}, {"migration": {"checkRatio": 1}}),
        ({"unknown": {"x": 1}, "rules": [{"ref": 1}]}, {"rules": [{}]}),
        (rule(op="unheardOf"), rule(op="unheardOf", unknown=None)),
    ],
)
def test_what_may_be_missing_from_parts(written: Object, same: Object) -> None:
    assert flag(**written) == flag(**same)


# --- whole numbers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ({"version": 1.0}, {"version": 1}),
        ({"offVariation": 1.0}, {"offVariation": 1}),
        ({"samplingRatio": 3.0}, {"samplingRatio": 3}),
        ({"fallthrough": {"variation": 2.0}}, {"fallthrough": {"variation": 2}}),
        ({"fallthrough": {"rollout": {"seed": 7.0}}}, {"fallthrough": {"rollout": {"seed": 7}}}),
        (arm(weight=50000.0, variation=1.0), arm(weight=50000, variation=1)),
        ({"targets": [{"variation": 1.0}]}, {"targets": [{"variation": 1}]}),
        ({"prerequisites": [{"variation": 1.0}]}, {"prerequisites": [{"variation": 1}]}),
        ({"migration": {"checkRatio": 2.0}}, {"migration": {"checkRatio": 2}}),
    ],
)
def test_whole_numbers_with_a_fraction_of_zero(written: Object, same: Object) -> None:
    decoded = flag(**written)
    assert decoded == flag(**same)
    assert repr(decoded) == repr(flag(**same))


def test_exponents_are_whole_numbers_too() -> None:
    assert decode_flag('{"key":"f","version":1e3}').version == 1000


def test_whole_numbers_in_values_stay_as_they_are() -> None:
    assert repr(flag(variations=[1.0, 1, True]).variations) == "[1.0, 1, True]"


@pytest.mark.parametrize("date", [1700000000000, 1700000000000.5, 1700000000000.0])
def test_debug_date_may_be_any_number(date: float) -> None:
    assert flag(debugEventsUntilDate=date).debug_events_until_date == date


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"version": True}, "$.version"),
        ({"version": 1.5}, "$.version"),
        ({"version": "1"}, "$.version"),
        ({"version": -1}, "$.version"),
        ({"offVariation": True}, "$.offVariation"),
        ({"samplingRatio": 0.5}, "$.samplingRatio"),
        ({"key": 3}, "$.key"),
        ({"on": "yes"}, "$.on"),
        ({"on": 1}, "$.on"),
        ({"variations": {}}, "$.variations"),
        ({"fallthrough": 3}, "$.fallthrough"),
        ({"fallthrough": {"variation": True}}, "$.fallthrough.variation"),
        ({"fallthrough": {"rollout": []}}, "$.fallthrough.rollout"),
        (arm(weight="x"), "$.fallthrough.rollout.variations[0].weight"),
        (arm(weight=True), "$.fallthrough.rollout.variations[0].weight"),
        ({"prerequisites": [{}, 3]}, "$.prerequisites[1]"),
        ({"targets": [{"values": [3]}]}, "$.targets[0].values[0]"),
        ({"targets": [{"values": [None]}]}, "$.targets[0].values[0]"),
        (rule(negate=3), "$.rules[1].clauses[1].negate"),
        (rule(values="x"), "$.rules[1].clauses[1].values"),
        (rule(values=["\ud800"], op=3), "$.rules[1].clauses[1].op"),
        ({"rules": [None]}, "$.rules[0]"),
        ({"salt": 3}, "$.salt"),
        ({"clientSideAvailability": True}, "$.clientSideAvailability"),
        ({"debugEventsUntilDate": "2020"}, "$.debugEventsUntilDate"),
        ({"migration": {"checkRatio": True}}, "$.migration.checkRatio"),
    ],
)
def test_wrong_types_are_named(fields: Object, path: str) -> None:
    text = json.dumps({"key": "f", "version": 1, **fields})
    with pytest.raises(InvalidItem) as refused:
        decode_flag(text, "f")
    error = refused.value
    assert (error.kind, error.key, error.path) == ("flag", "f", path)
    assert error.problem
    assert path in str(error)
    with pytest.raises(InvalidItem):
        to_item(Kind.FLAG, "f", text.encode())


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"included": [3]}, "$.included[0]"),
        ({"includedContexts": [{"values": "x"}]}, "$.includedContexts[0].values"),
        ({"rules": [{"weight": True}]}, "$.rules[0].weight"),
        ({"generation": 1.5}, "$.generation"),
        ({"unbounded": 1}, "$.unbounded"),
    ],
)
def test_wrong_types_in_segments_are_named(fields: Object, path: str) -> None:
    with pytest.raises(InvalidItem) as refused:
        segment(**fields)
    assert (refused.value.kind, refused.value.key, refused.value.path) == ("segment", "s", path)


@pytest.mark.parametrize(
    "text",
    [
        *(
            b"",
            b" ",
            b"null",
            b"true",
            b"3",
            b'"x"',
            b"[]",
            b"[{}]",
            b"{",
            b"{}",
            b"\xff",
            b"{'a':1}",
        ),
        *(b'{"key":"f"}', b'{"key":"f","version":null}', b'{"key":"f","version":1e400}'),
        *(b'{"key":"f","version":1}x', b'{"key":"f","version":1', b'{"key":"\xff","version":1}'),
        *(b"[" * 100_000, b'{"a":' * 100_000),
    ],
    ids=lambda text: repr(text[:30]),
)
@pytest.mark.parametrize("kind", list(Kind))
def test_what_is_no_item(text: bytes, kind: Kind) -> None:
    with pytest.raises(InvalidItem) as refused:
        decode(kind, text, "k")
    assert (refused.value.kind, refused.value.key) == (kind, "k")
    with pytest.raises(InvalidItem) as refused:
        to_item(kind, "k", text)
    assert (refused.value.kind, refused.value.key) == (kind, "k")


# --- keys --------------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", ['"key":"other",', '"key":null,', ""])
def test_the_key_under_which_it_is_found_counts(inside: str) -> None:
    text = "{" + inside + '"version":1}'
    assert decode_flag(text, "f").key == "f"
    assert decode_segment(text, "s").key == "s"


# --- items to be stored ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        b'{"version":3,"key":"f","unknown":{"a":[1,2,{"b":null}]},"rules":[{"ref":"x"}]}',
        b' { "key" : "f" , "version" : 3.0 , "x" : 1e400 } ',
        b'{"key":"f","version":3,"x":"\\ud800"}',
        '{"key":"f","version":3,"x":"é日本"}'.encode(),
    ],
)
def test_items_keep_their_text(text: bytes) -> None:
    item = to_item(Kind.FLAG, "f", text)
    assert (item.version, item.deleted, item.data) == (3, False, text)


@pytest.mark.parametrize("key", ['"key":"f",', '"key":"$deleted",', ""])
@pytest.mark.parametrize("kind", list(Kind))
def test_tombstones(key: str, kind: Kind) -> None:
    item = to_item(kind, "f", ("{" + key + '"version":4,"deleted":true}').encode())
    assert (item.version, item.deleted) == (4, True)


def test_a_tombstone_needs_a_version() -> None:
    with pytest.raises(InvalidItem):
        to_item(Kind.FLAG, "f", b'{"key":"f","deleted":true}')


@pytest.mark.parametrize(
    "text",
    [
        '{"key":"f","version":1,"version":2,"on":false,"on":true}',
        '{"key":"f","version":1,"version":2,"on":false,"on":true,"x":"\\ud800"}',
    ],
)
def test_of_duplicate_members_the_last_counts(text: str) -> None:
    decoded = decode_flag(text)
    assert (decoded.version, decoded.on) == (2, True)


def test_lone_surrogates_are_let_in() -> None:
    decoded = decode_flag('{"key":"\\ud800","version":1,"salt":"\\udfff","variations":["\\ud800"]}')
    assert (decoded.key, decoded.salt, decoded.variations) == ("\ud800", "\udfff", ["\ud800"])


def test_bytes_and_text_are_the_same() -> None:
    text = json.dumps({"key": "é", "version": 1, "salt": "日本"}, ensure_ascii=False)
    assert decode_flag(text) == decode_flag(text.encode())


# --- what a flag says of itself ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, False),
        ({"clientSide": True}, True),
        ({"clientSide": True, "clientSideAvailability": None}, True),
        ({"clientSide": True, "clientSideAvailability": {"usingEnvironmentId": False}}, False),
        ({"clientSide": False, "clientSideAvailability": {"usingEnvironmentId": True}}, True),
        ({"clientSide": True, "clientSideAvailability": {"usingMobileKey": True}}, False),
    ],
)
def test_client_side(fields: Object, *, expected: bool) -> None:
    assert flag(**fields).is_client_side is expected


def test_parts_have_their_types() -> None:
    decoded = flag(prerequisites=[{"key": "p", "variation": 1}], **arm(weight=3, variation=2))
    assert decoded.prerequisites == [Prerequisite(key="p", variation=1)]
    assert decoded.fallthrough.rollout is not None
    assert decoded.fallthrough.rollout.variations == [WeightedVariation(weight=3, variation=2)]


def test_references_each_once_and_in_order() -> None:
    clause = {"op": "segmentMatch", "values": ["s", 3, "t", None]}
    other = {"op": "in", "attribute": "x", "values": ["no segment"]}
    rules = [{"clauses": [other, clause]}, {"clauses": [{**clause, "values": ["u", "s"]}]}]
    decoded = flag(prerequisites=[{"key": "p"}, {"key": "q"}, {"key": "p"}], rules=rules)
    flags = [ItemRef(Kind.FLAG, "p"), ItemRef(Kind.FLAG, "q")]
    segments = [ItemRef(Kind.SEGMENT, key) for key in "stu"]
    assert references(decoded) == (*flags, *segments)
    assert references(segment(rules=rules)) == tuple(segments)
    assert references(flag()) == ()


# --- whole documents ---------------------------------------------------------------------------


@pytest.mark.parametrize("odd", ['"\\ud800"', "1e400", "[" * 100_000 + "]" * 100_000, "9" * 5_000])
@pytest.mark.parametrize("also", ["1", '"\\ud800"'])
def test_odd_items_do_not_hide_the_others(odd: str, also: str) -> None:
    text = r"""{
        "flags": {
            "a": {"key":"a","version":1,"variations":[ODD]}, "b" : {"version":2} ,
            "\u0063": {"x":"}]\"\\"} },
        "segments":{"s":{"y":[[],{}]}}, "flagValues":{"v":ALSO,"w":[1, 2]}, "$other": null}"""
    text = text.replace("ODD", odd).replace("ALSO", also)
    envelope = split_envelope(text.encode())
    assert list(envelope.flags) == ["a", "b", "c"]
    assert envelope.flags["b"] == b'{"version":2}'
    assert envelope.flags["c"] == b'{"x":"}]\\"\\\\"}'
    assert odd.encode() in envelope.flags["a"]
    assert envelope.segments == {"s": b'{"y":[[],{}]}'}
    assert envelope.flag_values == {"v": also.encode(), "w": b"[1, 2]"}
    assert decode_flag(envelope.flags["b"], "b").version == 2


@pytest.mark.parametrize(
    "text",
    [
        *("{}", '{"flags":null}', '{"flags":{}}', '{"segments":null,"flags":{},"flagValues":null}'),
        *(' {"flags" : {} } ', '{"x":"\\ud800"}', '{"flags":{},"y":"\\ud800"}'),
    ],
)
def test_empty_documents(text: str) -> None:
    envelope = split_envelope(text.encode())
    assert not envelope.flags
    assert not envelope.segments
    assert not envelope.flag_values


@pytest.mark.parametrize(
    ("text", "path"),
    [
        *((text, "$") for text in ("", "null", "[]", "3", '"x"', "{", "{}}", "{} x", "nul")),
        ('{"flags":true}', "$.flags"),
        ('{"flags":[]}', "$.flags"),
        ('{"flags":{},"segments":"x"}', "$.segments"),
        ('{"flagValues":3}', "$.flagValues"),
        ('{"flags":true,"x":"\\ud800"}', "$.flags"),
    ],
)
def test_what_is_no_document(text: str, path: str) -> None:
    with pytest.raises(InvalidData) as refused:
        split_envelope(text.encode())
    assert refused.value.path == path
    assert refused.value.problem


def test_broken_json_has_a_place() -> None:
    with pytest.raises(InvalidData, match="line 2, column 12"):
        split_envelope(b'{\n  "flags": nul}')


def test_broken_json_that_is_nested_deeply() -> None:
    for text in (b'{"flags":{"a":' + b"[" * 100_000, b'{"flags":' + b'{"a":' * 100_000):
        with pytest.raises(InvalidData):
            split_envelope(text)


def test_of_duplicate_items_the_last_counts() -> None:
    for extra in ("", ',"b":"\\ud800"'):
        text = '{"flags":{"a":{"version":1},"a":{"version":2}%s}}' % extra  # noqa: UP031  braces
        assert split_envelope(text.encode()).flags["a"] == b'{"version":2}'


@examples(60)
@given(strategies.worlds())
def test_documents_are_cut_into_the_texts_of_their_items(world: World) -> None:
    texts = {key: json.dumps(one) for key, one in world.flags.items()}
    members = ", ".join(f"{json.dumps(key)}: {text}" for key, text in texts.items())
    for odd in ("", ', "flagValues": {"x": "\\ud800"}'):
        envelope = split_envelope(f'{{"flags": {{{members}}}{odd}}}'.encode())
        assert envelope.flags == {key: text.encode() for key, text in texts.items()}
    for key, text in texts.items():
        assert to_item(Kind.FLAG, key, text.encode()).data == text.encode()


# --- any JSON ----------------------------------------------------------------------------------


def test_parse_json() -> None:
    assert parse_json(b'{"a":[1,1.0,true,null,"x"]}') == {"a": [1, 1.0, True, None, "x"]}
    assert parse_json("1e400") == math.inf
    assert parse_json('"\\ud800"') == "\ud800"


@pytest.mark.parametrize("text", ["", "{", "nul", "[1,]", "'a'", "[" * 100_000, "9" * 5_000])
def test_parse_json_refuses(text: str) -> None:
    with pytest.raises(InvalidData):
        parse_json(text)
    with pytest.raises(InvalidData):
        parse_json(text.encode())


def test_parse_json_wants_utf8() -> None:
    with pytest.raises(InvalidData):
        parse_json(b'"\xff"')


def test_encode_json() -> None:
    assert encode_json({"a": [1, 1.5, True, None, "é"]}) == '{"a":[1,1.5,true,null,"é"]}'.encode()
    assert encode_json(["\ud800", "é"]) == b'["\\ud800","\\u00e9"]'
    assert encode_json(10**400) == b"1" + b"0" * 400
    with pytest.raises(TypeError):
        encode_json(object())


@examples(300)
@given(strategies.values | strategies.any_json)
def test_parsing_undoes_encoding(value: Any) -> None:
    assert repr(parse_json(encode_json(value))) == repr(value)
