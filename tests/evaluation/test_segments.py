"""Segments and Big Segments (evaluation spec, sections 2.5 and 2.6)."""

from typing import Any, Final

import pytest

from flagkeep.evaluation import InputMissing, Inputs, evaluate
from flagkeep.model.context import Context
from flagkeep.model.item import ItemRef, Kind
from tests.evaluation.bridge import (
    USER,
    Memberships,
    Object,
    compiled_flag,
    compiled_inputs,
    compiled_segment,
    evaluated,
    evaluated_stepwise,
    flag_with,
    outcome_of,
)
from tests.reference import Outcome, World

MALFORMED: Final = {"kind": "ERROR", "errorKind": "MALFORMED_FLAG"}
ORG: Final = {"kind": "org", "key": "a"}
BOTH: Final = {"kind": "multi", "user": {"key": "u"}, "org": {"key": "o"}}
HAS_KEY_A: Final = {"clauses": [{"attribute": "key", "op": "in", "values": ["a", "u"]}]}


def segment(key: str = "s", **fields: Any) -> Object:
    return {"key": key, "version": 1, **fields}


def in_segment(*keys: Any, **more: Any) -> Object:
    return {"op": "segmentMatch", "attribute": "", "values": list(keys), **more}


def flag_for(*keys: Any, **more: Any) -> Object:
    return flag_with(rules=[{"clauses": [in_segment(*keys, **more)], "variation": 0}])


def world(*segments: Object, memberships: Memberships | None = None) -> World:
    return World(segments={one["key"]: one for one in segments}, memberships=memberships)


def contains(context: Object, *segments: Object) -> bool:
    outcome = evaluated(flag_for(segments[0]["key"]), context, world(*segments))
    assert outcome.reason["kind"] != "ERROR"
    return outcome.index == 0


def keys_of(kind: str | None, *values: str) -> Object:
    return {"contextKind": kind, "values": list(values)}


@pytest.mark.parametrize(
    ("fields", "context", "expected"),
    [
        ({}, USER, False),
        ({"included": ["a"]}, USER, True),
        ({"included": ["b"]}, USER, False),
        ({"included": ["a"]}, ORG, False),
        ({"included": ["u"]}, BOTH, True),
        ({"includedContexts": [keys_of("org", "a")]}, ORG, True),
        ({"includedContexts": [keys_of("org", "a")]}, USER, False),
        ({"includedContexts": [keys_of("org", "x"), keys_of("org", "o")]}, BOTH, True),
        ({"includedContexts": [keys_of(None, "a")]}, USER, True),
        ({"includedContexts": [keys_of("", "a")]}, USER, True),
        ({"excluded": ["a"], "rules": [HAS_KEY_A]}, USER, False),
        ({"excludedContexts": [keys_of("user", "a")], "rules": [HAS_KEY_A]}, USER, False),
        ({"excludedContexts": [keys_of("org", "o")], "rules": [HAS_KEY_A]}, BOTH, False),
        ({"excludedContexts": [keys_of("org", "x")], "rules": [HAS_KEY_A]}, BOTH, True),
        ({"included": ["a"], "excluded": ["a"]}, USER, True),
        ({"includedContexts": [keys_of("org", "o")], "excluded": ["u"]}, BOTH, True),
        ({"excluded": ["u"], "includedContexts": [keys_of("org", "x")]}, BOTH, False),
        ({"rules": [HAS_KEY_A]}, USER, True),
        ({"rules": [{}]}, USER, True),
        ({"rules": [{"clauses": None}]}, USER, True),
        ({"rules": [{"clauses": [*HAS_KEY_A["clauses"], in_segment("gone")]}]}, USER, False),
        ({"rules": [{"clauses": [in_segment("gone")]}, HAS_KEY_A]}, USER, True),
        ({"rules": [{"weight": 0}]}, USER, False),
        ({"rules": [{"weight": 100_000}]}, USER, True),
        ({"rules": [{"weight": 100_000, "rolloutContextKind": "org"}]}, ORG, True),
        ({"rules": [{"weight": 100_000}]}, ORG, False),
        ({"rules": [{"weight": 1, "bucketBy": "gone"}]}, USER, True),
    ],
)
def test_who_is_in_a_segment(fields: Object, context: Object, *, expected: bool) -> None:
    assert contains(context, segment(**fields)) is expected


@pytest.mark.parametrize("weight", [0, 1, 100_000])
def test_fix_a_percentage_lets_nobody_in_who_lacks_its_kind(weight: int) -> None:
    """FIX (evaluation.md 2.5): the official SDK lets them in, even with weight 0."""
    rule = {"weight": weight, "rolloutContextKind": "org"}
    assert contains(USER, segment(rules=[rule])) is False


@pytest.mark.parametrize(
    ("clause", "index"),
    [
        (in_segment("gone"), 1),
        (in_segment("gone", negate=True), 0),
        (in_segment("gone", "s"), 0),
        (in_segment("gone", "s", negate=True), 1),
        (in_segment(1, None, True, ["s"]), 1),
        (in_segment(1, "s"), 0),
        (in_segment(), 1),
        (in_segment(negate=True), 0),
        (in_segment("s", contextKind="org"), 0),
    ],
)
def test_segment_clauses(clause: Object, index: int) -> None:
    flag = flag_with(rules=[{"clauses": [clause], "variation": 0}])
    assert evaluated(flag, USER, world(segment(included=["a"]))).index == index


def test_segments_in_segments() -> None:
    outer = segment("s", rules=[{"clauses": [in_segment("t")]}])
    inner = segment("t", rules=[{"clauses": [in_segment("u", negate=True)]}])
    assert not contains(USER, outer, inner, segment("u", included=["a"]))
    assert contains(USER, outer, inner, segment("u"))


def test_the_same_segment_twice_is_no_cycle() -> None:
    rules = [{"clauses": [in_segment("t"), in_segment("t")]}]
    assert contains(USER, segment("s", rules=rules), segment("t", included=["a"]))


@pytest.mark.parametrize("big", [False, True])
def test_cycle_of_segments_aborts(*, big: bool) -> None:
    extra = {"unbounded": big, "generation": 1}
    cycle = [
        segment("s", rules=[{"clauses": [in_segment("t")]}], **extra),
        segment("t", rules=[{"clauses": [in_segment("s")]}], **extra),
    ]
    for segments in (cycle, [segment("s", rules=[{"clauses": [in_segment("s")]}], **extra)]):
        memberships: Memberships = {"a": ("HEALTHY", {})}
        outcome = evaluated(flag_for("s"), USER, world(*segments, memberships=memberships))
        status = {"bigSegmentsStatus": "HEALTHY"} if big else {}
        assert outcome.reason == {**MALFORMED, **status}


@pytest.mark.parametrize("attribute", ["", "//"])
def test_broken_reference_in_a_segment_aborts(attribute: str) -> None:
    clause = {"contextKind": "user", "attribute": attribute, "op": "in", "values": ["a"]}
    broken = segment(rules=[{"clauses": [clause]}])
    assert evaluated(flag_for("s"), USER, world(broken)).reason == MALFORMED
    share = segment(rules=[{"weight": 1, "bucketBy": "//", "rolloutContextKind": "user"}])
    assert evaluated(flag_for("s"), USER, world(share)).reason == MALFORMED


# --- Big Segments -------------------------------------------------------------------------------


def big(key: str = "s", **fields: Any) -> Object:
    return segment(key, **{"unbounded": True, "generation": 2, **fields})


def evaluated_big(
    one: Object, memberships: Memberships | None, context: Object = USER
) -> tuple[bool, str | None]:
    outcome: Outcome = evaluated(flag_for("s"), context, world(one, memberships=memberships))
    return outcome.index == 0, outcome.reason.get("bigSegmentsStatus")


@pytest.mark.parametrize("status", ["HEALTHY", "STALE", "STORE_ERROR", "NOT_CONFIGURED"])
@pytest.mark.parametrize(
    ("included", "fields", "expected"),
    [
        ({"s.g2": True}, {}, True),
        ({"s.g2": False}, {"rules": [HAS_KEY_A]}, False),
        ({"s.g1": True, "other.g2": True}, {}, False),
        ({}, {}, False),
        ({}, {"rules": [HAS_KEY_A]}, True),
        ({}, {"included": ["a"], "includedContexts": [keys_of("user", "a")]}, False),
        ({"s.g2": True}, {"excluded": ["a"]}, True),
        ({}, {"excluded": ["a"], "rules": [HAS_KEY_A]}, True),
        ({"s.g2": True}, {"generation": 2.0}, True),
    ],
)
def test_membership_decides_before_the_rules(
    included: dict[str, bool], fields: Object, status: str, *, expected: bool
) -> None:
    assert evaluated_big(big(**fields), {"a": (status, included)}) == (expected, status)


def test_big_segment_without_generation_matches_nobody() -> None:
    memberships = {"a": ("HEALTHY", {"s.gNone": True, "s.g": True})}
    for fields in ({"generation": None}, {"generation": None, "rules": [HAS_KEY_A]}):
        assert evaluated_big(big(**fields), memberships) == (False, "NOT_CONFIGURED")


def test_big_segment_of_a_kind_that_the_context_lacks_asks_nothing() -> None:
    one = big(unboundedContextKind="org", rules=[HAS_KEY_A])
    assert evaluated_big(one, {}) == (False, None)
    assert evaluated_big(one, None) == (False, None)


def test_without_a_big_segment_store_the_rules_decide() -> None:
    assert evaluated_big(big(), None) == (False, "NOT_CONFIGURED")
    assert evaluated_big(big(rules=[HAS_KEY_A]), None) == (True, "NOT_CONFIGURED")


def test_the_key_of_the_kind_is_looked_up() -> None:
    memberships = {"u": ("HEALTHY", {"s.g2": False}), "o": ("STALE", {"s.g2": True})}
    assert evaluated_big(big(), memberships, BOTH) == (False, "HEALTHY")
    assert evaluated_big(big(unboundedContextKind="org"), memberships, BOTH) == (True, "STALE")


BADNESS: Final = ["HEALTHY", "STALE", "STORE_ERROR", "NOT_CONFIGURED"]


@pytest.mark.parametrize("first", BADNESS)
@pytest.mark.parametrize("second", BADNESS)
def test_fix_the_worst_status_is_kept(first: str, second: str) -> None:
    """FIX (evaluation.md 2.6): the official SDK keeps the latest."""
    segments = [big("s"), big("t", unboundedContextKind="org")]
    memberships: Memberships = {"u": (first, {}), "o": (second, {})}
    outcome = evaluated(flag_for("s", "t"), BOTH, world(*segments, memberships=memberships))
    assert outcome.reason["bigSegmentsStatus"] == max(first, second, key=BADNESS.index)


def test_status_is_in_the_reason_whatever_its_kind() -> None:
    memberships: Memberships = {"a": ("STALE", {"s.g2": True})}
    segments = {"s": big()}
    required = {**flag_for("s"), "key": "p"}

    def reason(**changes: Any) -> Object:
        flag = flag_with(prerequisites=[{"key": "p", "variation": 0}], **changes)
        return evaluated(flag, USER, World({"p": required}, segments, memberships)).reason

    status = {"bigSegmentsStatus": "STALE"}
    assert reason() == {"kind": "FALLTHROUGH", **status}
    assert reason(targets=[{"values": ["a"]}]) == {"kind": "TARGET_MATCH", **status}
    assert reason(fallthrough={"variation": 9}) == {**MALFORMED, **status}
    assert reason(on=False) == {"kind": "OFF"}
    aborted = [{"clauses": [{"op": "in", "attribute": ""}]}]
    assert reason(rules=aborted) == {**MALFORMED, **status}
    flag = flag_with(prerequisites=[{"key": "p", "variation": 1}])
    failed = {"kind": "PREREQUISITE_FAILED", "prerequisiteKey": "p", **status}
    assert evaluated(flag, USER, World({"p": required}, segments, memberships)).reason == failed


# --- what is not at hand is asked for -----------------------------------------------------------


def test_everything_that_a_flag_refers_to_is_asked_for_at_once() -> None:
    flag = compiled_flag(
        flag_with(
            prerequisites=[{"key": "p"}, {"key": "q"}],
            rules=[{"clauses": [in_segment("s", "t", 7)]}, {"clauses": [in_segment("u", "s")]}],
        )
    )
    with pytest.raises(InputMissing) as missing:
        evaluate(flag, Context.create("a"), Inputs({}, {}, complete=False))
    flags = [ItemRef(Kind.FLAG, key) for key in ("p", "q")]
    segments = [ItemRef(Kind.SEGMENT, key) for key in ("s", "t", "u")]
    assert sorted(missing.value.items) == sorted(flags + segments)
    assert missing.value.memberships == ()


def test_one_query_serves_several_kinds_with_the_same_key() -> None:
    context = Context.create_multi(Context.create("a"), Context.create("a", "org"))
    segments = {key: compiled_segment(big(key)) for key in "st"}
    segments["t"] = compiled_segment(big("t", unboundedContextKind="org"))
    flag = compiled_flag(flag_for("s", "t"))
    with pytest.raises(InputMissing) as missing:
        evaluate(flag, context, Inputs({}, segments, memberships={}))
    assert missing.value.memberships == ("a",)
    everything = compiled_inputs(
        world(big("s"), big("t", unboundedContextKind="org"), memberships={"a": ("HEALTHY", {})})
    )
    outcome = outcome_of(evaluated_stepwise(flag, context, everything))
    assert outcome.reason == {"kind": "FALLTHROUGH", "bigSegmentsStatus": "HEALTHY"}


def test_unneeded_memberships_are_not_asked_for() -> None:
    flag = compiled_flag(flag_for("s"))
    segments = {"s": compiled_segment(big(generation=None))}
    result = evaluate(flag, Context.create("a"), Inputs({}, segments, memberships={}))
    assert outcome_of(result).reason["bigSegmentsStatus"] == "NOT_CONFIGURED"
