"""Explanations: what they say of each part, and that path and outcome never disagree."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagkeep.evaluation import evaluate
from flagkeep.evaluation.explain import Case, explain_flag
from flagkeep.evaluation.explanation import (
    ClauseExplanation,
    FlagExplanation,
    SegmentExplanation,
)
from flagkeep.model.codec import decode_flag, decode_segment
from flagkeep.model.context import Context
from flagkeep.model.flag import Flag
from flagkeep.model.segment import Segment
from tests import strategies
from tests.evaluation.bridge import USER, Object, compiled_inputs
from tests.evaluation.profiles import examples
from tests.reference import World


def case_of(world: World, context: Object) -> Case:
    def flag(key: str) -> Flag | None:
        return decode_flag(json.dumps(world.flags[key])) if key in world.flags else None

    def segment(key: str) -> Segment | None:
        return decode_segment(json.dumps(world.segments[key])) if key in world.segments else None

    made = Context.from_dict(context)
    assert made.valid
    return Case(made, flag, segment, compiled_inputs(world))


def explained(flag: Object, context: Object = USER, **world: Any) -> FlagExplanation:
    flags = {flag["key"]: flag, **world.pop("flags", {})}
    case = case_of(World(flags, **world), context)
    return explain_flag(decode_flag(json.dumps(flag)), case)


def a_flag(key: str = "f", **members: Any) -> Object:
    plain = {"on": True, "variations": ["a", "b"], "fallthrough": {"variation": 0}}
    return {"key": key, "version": 3, "salt": "saltyA", **plain, **members}


def a_segment(key: str = "s", **members: Any) -> Object:
    return {"key": key, "version": 4, "salt": "salty", **members}


def in_segment(*keys: str, **members: Any) -> Object:
    return {"op": "segmentMatch", "attribute": "", "values": list(keys), **members}


def rule(*clauses: Object, **members: Any) -> Object:
    return {"clauses": list(clauses), "variation": 1, **members}


def the_segment(explanation: FlagExplanation) -> SegmentExplanation:
    return explanation.rules[0].clauses[0].segments[0]


# --- the path that is shown leads to the outcome ------------------------------------------------


def events(explanation: FlagExplanation) -> Iterator[tuple[str, str, int | None]]:
    """Yield the prerequisites in the order in which the evaluation finished them."""
    for one in explanation.prerequisites:
        if one.flag is not None:
            yield from events(one.flag)
            if one.satisfied is not None:
                yield one.key, explanation.key, one.flag.variation


def check_path(flag: FlagExplanation) -> None:
    match flag.reason["kind"]:
        case "OFF":
            assert not flag.on
            assert not flag.problem
        case "PREREQUISITE_FAILED":
            assert flag.prerequisites[-1].satisfied is False
            assert flag.prerequisites[-1].key == flag.reason["prerequisiteKey"]
        case "TARGET_MATCH":
            assert flag.target is not None
            assert flag.target.variation == flag.variation
        case "RULE_MATCH":
            assert [one.matched for one in flag.rules] == [False] * (len(flag.rules) - 1) + [True]
            assert flag.rules[-1].index == flag.reason["ruleIndex"]
        case "FALLTHROUGH":
            assert flag.target is None
            assert not any(one.matched is not False for one in flag.rules)
        case kind:
            assert kind == "ERROR"
            assert flag.problem
            assert flag.variation is None
    for prerequisite in flag.prerequisites:
        if prerequisite.flag is not None:
            check_path(prerequisite.flag)
    for one in flag.rules:
        check_clauses(one.clauses, matched=one.matched)
    check_outcome(flag)


def check_outcome(flag: FlagExplanation) -> None:
    outcome = flag.outcome
    if outcome is None or outcome.problem:
        return
    if outcome.rollout is None:
        assert outcome.variation == flag.variation
        return
    (arm,) = [one for one in outcome.rollout.arms if one.chosen]
    place = outcome.rollout.bucket.bucket
    assert place is not None
    assert arm.variation == flag.variation
    is_last = arm is outcome.rollout.arms[-1]
    assert place < arm.upper or is_last
    before = outcome.rollout.arms[: outcome.rollout.arms.index(arm)]
    assert all(one.upper <= place for one in before)


def check_clauses(clauses: tuple[ClauseExplanation, ...], *, matched: bool | None) -> None:
    assert all(clause.matched for clause in clauses[:-1])
    if clauses and not all(clause.matched for clause in clauses):
        assert clauses[-1].matched == matched
    for clause in clauses:
        assert clause.matched is not None or clause.problem
        if clause.op == "segmentMatch" and clause.matched is not None:
            is_in = any(one.contains for one in clause.segments)
            assert clause.matched == (is_in is not clause.negate)
        for segment in clause.segments:
            check_segment(segment)


def check_segment(segment: SegmentExplanation) -> None:
    match segment.decided_by:
        case "included":
            assert segment.contains is True
            assert segment.entry
        case "excluded":
            assert segment.contains is False
            assert segment.entry
        case "rule":
            assert segment.contains is True
            assert segment.rules[-1].matched is True
        case "nothing":
            assert segment.contains is False
            assert all(one.matched is False for one in segment.rules)
        case "missing":
            assert segment.contains is False
        case "problem":
            assert segment.contains is None
            assert segment.problem
        case other:
            assert other == "membership"
    for one in segment.rules:
        if one.share is None:
            check_clauses(one.clauses, matched=one.matched)
        else:
            check_clauses(one.clauses, matched=True)
            if one.share.inside is not None:
                place = one.share.bucket.bucket
                assert one.share.inside == (place is not None and place < one.share.limit)


def check_world(world: World, contexts: list[Object]) -> None:
    for data in contexts:
        case = case_of(world, data)
        for key, flag in world.flags.items():
            compiled = case.inputs.flag(key)
            assert compiled is not None
            expected = evaluate(compiled, case.context, case.inputs)
            explanation = explain_flag(decode_flag(json.dumps(flag)), case)
            assert explanation.variation == expected.index
            assert explanation.value == expected.value
            assert explanation.reason == expected.reason.to_dict()
            assert list(events(explanation)) == [
                (one.flag.facts.key, one.prerequisite_of, one.result.index)
                for one in expected.prerequisites
            ]
            check_path(explanation)


contexts = st.lists(strategies.contexts(), min_size=1, max_size=2)


@examples(100)
@given(strategies.worlds(), contexts)
def test_the_explanation_leads_to_the_outcome(world: World, contexts: list[Object]) -> None:
    check_world(world, contexts)


@examples(60)
@given(strategies.worlds(of_flags=strategies.linked_flags), contexts)
def test_prerequisites_lead_to_their_outcomes(world: World, contexts: list[Object]) -> None:
    check_world(world, contexts)


@examples(60)
@given(strategies.worlds(of_flags=None), contexts)
def test_segments_lead_to_their_verdicts(world: World, contexts: list[Object]) -> None:
    flag = a_flag(rules=[rule(in_segment("s", "t"))])
    check_world(World({"f": flag}, world.segments, world.memberships), contexts)


EMPTY_PART = (
    "the attribute reference '//' is invalid: it has an empty part: two slashes, or one at the end"
)


# --- what is said of each part ------------------------------------------------------------------


def test_a_clause_shows_what_it_compared() -> None:
    clause = {"attribute": "plan", "op": "in", "values": ["gold"], "negate": True}
    flag = explained(a_flag(rules=[rule(clause, id="r")]), {**USER, "plan": "free"})
    (one,) = flag.rules[0].clauses
    assert (one.attribute, one.op, one.values, one.negate) == ("plan", "in", ["gold"], True)
    assert (one.actual, one.matched) == ("free", True)
    assert (flag.rules[0].id, flag.variation) == ("r", 1)


@pytest.mark.parametrize(
    ("clause", "note"),
    [
        ({"attribute": "plan"}, "the context has no such attribute"),
        ({"attribute": "plan", "contextKind": "org"}, "the context has no kind 'org'"),
    ],
)
def test_a_clause_says_why_it_has_nothing_to_compare(clause: Object, note: str) -> None:
    flag = explained(a_flag(rules=[rule({"op": "in", "values": [1], **clause})]))
    assert flag.rules[0].clauses[0].note == note
    assert flag.rules[0].matched is False


def test_kinds_are_the_value_of_the_attribute_kind() -> None:
    clause = {"attribute": "kind", "op": "in", "values": ["org"]}
    context = {"kind": "multi", "user": {"key": "a"}, "org": {"key": "o"}}
    flag = explained(a_flag(rules=[rule(clause)]), context)
    assert flag.rules[0].clauses[0].actual == ["org", "user"]


def test_nothing_is_said_of_clauses_and_rules_that_were_not_reached() -> None:
    no = {"attribute": "key", "op": "in", "values": ["z"]}
    yes = {"attribute": "key", "op": "in", "values": ["a"]}
    flag = explained(a_flag(rules=[rule(no, yes), rule(yes), rule(yes)]))
    assert [len(one.clauses) for one in flag.rules] == [1, 1]
    assert (flag.rules[0].unasked, flag.unasked_rules) == (1, 1)


def test_an_invalid_reference_is_named() -> None:
    clause = {"contextKind": "user", "attribute": "/", "op": "in", "values": [1]}
    flag = explained(a_flag(rules=[rule(clause)]))
    assert flag.reason == {"kind": "ERROR", "errorKind": "MALFORMED_FLAG"}
    assert flag.problem == "rule 0: the attribute reference '/': it is only a slash"
    assert flag.outcome is None


@pytest.mark.parametrize(
    ("members", "decided_by", "entry", "contains"),
    [
        ({"included": ["a"]}, "included", "included", True),
        (
            {"includedContexts": [{"contextKind": "org", "values": ["o"]}], "excluded": ["a"]},
            "included",
            "includedContexts[0]",
            True,
        ),
        ({"excluded": ["a"], "rules": [{"clauses": []}]}, "excluded", "excluded", False),
        (
            {"excludedContexts": [{"values": ["x"]}, {"contextKind": "org", "values": ["o"]}]},
            "excluded",
            "excludedContexts[1]",
            False,
        ),
        ({"rules": [{"clauses": []}]}, "rule", "", True),
        ({"included": ["b"]}, "nothing", "", False),
    ],
)
def test_a_segment_says_why_it_has_a_context(
    members: Object, decided_by: str, entry: str, *, contains: bool
) -> None:
    context = {"kind": "multi", "user": {"key": "a"}, "org": {"key": "o"}}
    flag = a_flag(rules=[rule(in_segment("s"))])
    segment = the_segment(explained(flag, context, segments={"s": a_segment(**members)}))
    assert (segment.decided_by, segment.entry, segment.contains) == (decided_by, entry, contains)
    assert segment.version == 4


def test_a_segment_that_does_not_exist_is_named() -> None:
    segment = the_segment(explained(a_flag(rules=[rule(in_segment("nowhere"))])))
    assert (segment.key, segment.decided_by) == ("nowhere", "missing")


def test_a_share_of_a_segment_shows_its_bucket() -> None:
    # evaluation spec, bucketing vectors: segment3/salty, user-key
    segments = {"segment3": a_segment("segment3", rules=[{"clauses": [], "weight": 20_000}])}
    flag = a_flag(rules=[rule(in_segment("segment3"))])
    segment = the_segment(explained(flag, {"kind": "user", "key": "user-key"}, segments=segments))
    share = segment.rules[0].share
    assert share is not None
    assert (share.inside, share.limit, share.bucket.bucket) == (True, 0.2, 0.14950212263461493)


def test_a_share_by_a_kind_that_is_not_there_lets_nobody_in() -> None:
    rules = [{"clauses": [], "weight": 100_000, "rolloutContextKind": "org"}]
    flag = a_flag(rules=[rule(in_segment("s"))])
    segment = the_segment(explained(flag, segments={"s": a_segment(rules=rules)}))
    share = segment.rules[0].share
    assert share is not None
    assert (share.inside, share.bucket.bucket) == (False, None)
    assert share.bucket.note == "the context has no kind 'org'"


def test_a_share_by_an_invalid_reference_ends_the_evaluation() -> None:
    rules = [{"clauses": [], "weight": 1, "rolloutContextKind": "user", "bucketBy": "/"}]
    flag = explained(a_flag(rules=[rule(in_segment("s"))]), segments={"s": a_segment(rules=rules)})
    problem = "the attribute reference '/' is invalid: it is only a slash"
    assert the_segment(flag).problem == problem
    assert flag.problem == f"rule 0: segment 's': {problem}"


@pytest.mark.parametrize(
    ("members", "memberships", "problem", "status"),
    [
        ({}, {}, "it is a Big Segment without a generation", "NOT_CONFIGURED"),
        (
            {"generation": 1},
            None,
            "it is a Big Segment, and its members are not at hand here (NOT_CONFIGURED)",
            "NOT_CONFIGURED",
        ),
        (
            {"generation": 1, "unboundedContextKind": "org"},
            {},
            "it is a Big Segment of kind 'org', which the context does not have",
            None,
        ),
        ({"generation": 1}, {"a": ("STALE", {"s.g1": True})}, "", "STALE"),
    ],
)
def test_a_big_segment_says_where_it_stands(
    members: Object, memberships: Any, problem: str, status: str | None
) -> None:
    flag = a_flag(rules=[rule(in_segment("s"))])
    segments = {"s": a_segment(unbounded=True, **members)}
    segment = the_segment(explained(flag, segments=segments, memberships=memberships))
    assert (segment.problem, segment.big_segments_status) == (problem, status)


def test_segments_in_a_circle_are_shown() -> None:
    segments = {
        "s": a_segment("s", rules=[{"clauses": [in_segment("t")]}]),
        "t": a_segment("t", rules=[{"clauses": [in_segment("s")]}]),
    }
    flag = explained(a_flag(rules=[rule(in_segment("s"))]), segments=segments)
    assert flag.reason["errorKind"] == "MALFORMED_FLAG"
    assert "segments in a circle: s -> t -> s" in flag.problem


def test_a_rollout_shows_bucket_and_arms() -> None:
    # evaluation spec, bucketing vectors: hashKey/saltyA, seed 61, userKeyB
    arms = [
        {"variation": 0, "weight": 10_000},
        {"variation": 1, "weight": 20_000},
        {"variation": 0, "weight": 70_000, "untracked": True},
    ]
    rollout = {"kind": "experiment", "seed": 61, "variations": arms, "bucketBy": "ignored"}
    flag = a_flag("hashKey", fallthrough={"rollout": rollout})
    explanation = explained(flag, {"kind": "user", "key": "userKeyB"})
    assert explanation.reason == {"kind": "FALLTHROUGH", "inExperiment": True}
    assert explanation.outcome is not None
    shown = explanation.outcome.rollout
    assert shown is not None
    assert shown.experiment
    assert (shown.bucket.attribute, shown.bucket.value, shown.bucket.seed) == (
        "key",
        "userKeyB",
        61,
    )
    assert shown.bucket.bucket == 0.1448377737757314
    assert [arm.chosen for arm in shown.arms] == [False, True, False]
    assert [(arm.lower, round(arm.upper, 9)) for arm in shown.arms][:2] == [(0, 0.1), (0.1, 0.3)]


@pytest.mark.parametrize(
    ("by", "context", "note"),
    [
        ("n", {**USER, "n": 1.5}, "neither a string nor a whole number"),
        ("n", USER, "the context has no such attribute"),
        ("key", {"kind": "org", "key": "o"}, "the context has no kind 'user'"),
    ],
)
def test_a_rollout_says_why_the_bucket_is_zero(by: str, context: Object, note: str) -> None:
    rollout = {"variations": [{"variation": 0, "weight": 100_000}], "bucketBy": by}
    explanation = explained(a_flag(fallthrough={"rollout": rollout}), context)
    assert explanation.outcome is not None
    assert explanation.outcome.rollout is not None
    bucket = explanation.outcome.rollout.bucket
    assert (bucket.bucket, bucket.note) == (0.0, note)


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"fallthrough": {}}, "there is neither a variation nor a rollout"),
        ({"fallthrough": {"rollout": {"variations": []}}}, "the rollout has no variations"),
        ({"fallthrough": {"variation": 2}}, "there is no variation 2: they go from 0 to 1"),
        ({"variations": []}, "there is no variation 0: the flag has none"),
        ({"on": False, "offVariation": 9}, "there is no variation 9: they go from 0 to 1"),
        (
            {"targets": [{"values": ["a"], "variation": 5}]},
            "there is no variation 5: they go from 0 to 1",
        ),
        (
            {
                "fallthrough": {
                    "rollout": {
                        "contextKind": "user",
                        "bucketBy": "//",
                        "variations": [{"variation": 0, "weight": 100_000}],
                    }
                }
            },
            EMPTY_PART,
        ),
    ],
)
def test_what_is_wrong_with_a_flag_is_said(members: Object, problem: str) -> None:
    explanation = explained(a_flag(**members))
    assert explanation.reason == {"kind": "ERROR", "errorKind": "MALFORMED_FLAG"}
    assert explanation.problem == problem


def test_the_target_is_shown() -> None:
    targets = [{"values": ["z"], "variation": 0}, {"values": ["a"], "variation": 1}]
    target = explained(a_flag(targets=targets)).target
    assert target is not None
    assert (target.entry, target.context_kind, target.key) == ("targets[1]", "user", "a")


def test_a_prerequisite_is_explained_like_a_flag() -> None:
    needed = a_flag("needed", rules=[rule({"attribute": "key", "op": "in", "values": ["a"]})])
    flag = a_flag(prerequisites=[{"key": "needed", "variation": 0}], offVariation=1)
    explanation = explained(flag, flags={"needed": needed})
    (one,) = explanation.prerequisites
    assert (one.key, one.variation, one.satisfied) == ("needed", 0, False)
    assert one.flag is not None
    assert one.flag.rules[0].matched is True
    assert explanation.value == "b"


@pytest.mark.parametrize(
    ("needed", "problem"),
    [
        ({}, "there is no such flag"),
        (
            {"needed": a_flag("needed", on=False, offVariation=0)},
            "it is off, and then it never counts, whatever its value",
        ),
    ],
)
def test_a_prerequisite_that_cannot_count_says_so(needed: Object, problem: str) -> None:
    flag = a_flag(prerequisites=[{"key": "needed", "variation": 0}])
    (one,) = explained(flag, flags=needed).prerequisites
    assert (one.satisfied, one.problem) == (False, problem)


def test_prerequisites_in_a_circle_are_shown() -> None:
    flag = a_flag("f", prerequisites=[{"key": "g", "variation": 0}])
    other = a_flag("g", prerequisites=[{"key": "f", "variation": 0}])
    explanation = explained(flag, flags={"g": other})
    circle = "prerequisites in a circle: f -> g -> f"
    assert explanation.problem == f"prerequisite 'g': prerequisite 'f': {circle}"
