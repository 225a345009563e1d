"""Clauses: where the value comes from, negation, attribute references (evaluation spec, 2.3)."""

from typing import Any, Final

import pytest

from tests.evaluation.bridge import Object, evaluated, flag_with, flag_with_clause

MALFORMED: Final = {"kind": "ERROR", "errorKind": "MALFORMED_FLAG"}
#: the context of the vectors in the data model spec, section 5
VECTOR: Final = {
    "kind": "user",
    "key": "k",
    "x": {"y": "V", "n": None, "l": ["V"]},
    "/x/y": "V",
    "a/b": "V",
    "~x": "V",
}


def matches(context: Object, attribute: str, values: list[Any], **more: Any) -> bool | None:
    """Tell whether an `in` clause matches; None if the flag is malformed."""
    outcome = evaluated(flag_with_clause("in", values, attribute=attribute, **more), context)
    return None if outcome.reason == MALFORMED else outcome.reason["kind"] == "RULE_MATCH"


@pytest.mark.parametrize(
    ("attribute", "kind", "expected"),
    [
        ("/x/y", None, True),
        ("/x/y", "", True),
        ("/x/y", "user", True),
        ("/a~1b", "user", True),
        ("/a~1b", None, False),
        ("a/b", "user", True),
        ("a/b", None, True),
        ("~x", "user", True),
        ("~x", None, True),
        ("/~0x", "user", True),
        ("/x/l", "user", True),
        ("/x/l/0", "user", False),
        ("/x/y/z", "user", False),
        ("/x/n", "user", False),
        ("/x/gone", "user", False),
        ("/~1x~1y", "user", True),
        ("/", "user", None),
        ("//", "user", None),
        ("/a~2", "user", None),
        ("/a~", "user", None),
        ("/x/y/", "user", None),
        ("/x//y", "user", None),
        ("", None, None),
        ("", "user", None),
        ("/", None, False),
        ("//", None, False),
    ],
)
def test_attribute_references(attribute: str, kind: str | None, *, expected: bool | None) -> None:
    assert matches(VECTOR, attribute, ["V"], contextKind=kind) is expected


def test_broken_reference_counts_even_if_the_kind_is_missing_or_the_operator_unknown() -> None:
    assert matches(VECTOR, "//", ["V"], contextKind="org") is None
    assert evaluated(flag_with_clause("x", [], attribute="")).reason == MALFORMED


def test_broken_reference_that_is_not_reached_does_not_count() -> None:
    broken = {"attribute": "", "op": "in", "values": ["a"]}
    never = {"attribute": "key", "op": "in", "values": ["nobody"]}
    flag = flag_with(rules=[{"clauses": [never, broken], "variation": 0}])
    assert evaluated(flag).index == 1


BOTH: Final = {
    "kind": "multi",
    "user": {"key": "u", "name": "N", "x": "V"},
    "org": {"key": "o", "anonymous": True, "x": "W"},
}


@pytest.mark.parametrize(
    ("attribute", "values", "more", "expected"),
    [
        ("key", ["u"], {}, True),
        ("key", ["o"], {}, False),
        ("key", ["o"], {"contextKind": "org"}, True),
        ("/key", ["o"], {"contextKind": "org"}, True),
        ("/key", ["u"], {}, False),
        ("name", ["N"], {}, True),
        ("name", ["N"], {"contextKind": "org"}, False),
        ("name", ["N"], {"contextKind": "org", "negate": True}, False),
        ("anonymous", [True], {"contextKind": "org"}, True),
        ("anonymous", [False], {}, True),
        ("anonymous", [0], {}, False),
        ("x", ["V"], {}, True),
        ("x", ["W"], {"contextKind": "org"}, True),
        # `kind` is tested against every kind there is, whatever the kind of the clause
        ("kind", ["user"], {}, True),
        ("kind", ["org"], {}, True),
        ("kind", ["org"], {"contextKind": "user"}, True),
        ("kind", ["org"], {"contextKind": "nobody"}, True),
        ("/kind", ["org"], {"contextKind": "nobody"}, True),
        ("/kind", ["org"], {}, False),
        ("kind", ["multi"], {}, False),
        ("kind", ["org"], {"negate": True}, False),
        ("kind", ["device"], {"negate": True}, True),
        # a missing kind or attribute never matches, negated or not
        ("key", ["x"], {"contextKind": "device", "negate": True}, False),
        ("gone", ["x"], {}, False),
        ("gone", ["x"], {"negate": True}, False),
        ("/x/gone", ["x"], {"contextKind": "user", "negate": True}, False),
        ("x", ["V"], {"negate": True}, False),
        ("x", ["other"], {"negate": True}, True),
    ],
)
def test_several_kinds(attribute: str, values: list[Any], more: Object, *, expected: bool) -> None:
    assert matches(BOTH, attribute, values, **more) is expected


@pytest.mark.parametrize(
    ("value", "wanted", "expected"),
    [
        (["x", "V"], "V", True),
        (["x"], "V", False),
        ([], "V", False),
        ([["V"]], "V", False),
        ([{"a": 1}], {"a": 1}, True),
        ([None], "V", False),
        ({"V": "V"}, "V", False),
    ],
)
def test_lists_match_by_any_element(value: Any, wanted: Any, *, expected: bool) -> None:
    context = {"kind": "user", "key": "k", "x": value, "deep": {"x": value}}
    for attribute, kind in (("x", None), ("x", "user"), ("/deep/x", "user")):
        assert matches(context, attribute, [wanted], contextKind=kind) is expected
        negated = matches(context, attribute, [wanted], contextKind=kind, negate=True)
        assert negated is not expected


def test_missing_fields_of_a_clause() -> None:
    assert evaluated(flag_with(rules=[{"clauses": [{}], "variation": 0}])).reason == MALFORMED
    clause = {"attribute": "key", "op": "in", "values": None, "negate": None, "contextKind": None}
    assert evaluated(flag_with(rules=[{"clauses": [clause], "variation": 0}])).index == 1


def test_unused_meta_is_no_attribute() -> None:
    context = {"kind": "user", "key": "k", "_meta": {"privateAttributes": ["x"]}}
    path = "/_meta/privateAttributes"
    assert matches(context, path, ["x"], contextKind="user") is False
