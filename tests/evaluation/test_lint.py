"""Lint: every kind of finding, its place and how bad it is; and that it cries no wolf."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagkeep.evaluation.lint import lint_environment
from flagkeep.evaluation.lint_clauses import can_match
from flagkeep.evaluation.operators import make_test
from flagkeep.model.codec import decode_flag, decode_segment
from flagkeep.model.item import ItemRef, Kind
from tests import strategies
from tests.evaluation.bridge import Object
from tests.evaluation.profiles import examples

Found = list[tuple[str, str, str]]
"""Key, path and severity."""


def linted(
    *flags: Object, segments: tuple[Object, ...] = (), unusable: tuple[ItemRef, ...] = ()
) -> tuple[Found, list[str]]:
    findings = lint_environment(
        {flag["key"]: decode_flag(json.dumps(flag)) for flag in flags},
        {segment["key"]: decode_segment(json.dumps(segment)) for segment in segments},
        unusable=unusable,
    )
    places = [(one.key, one.path, one.severity.value) for one in findings]
    return places, [one.message for one in findings]


def a_flag(key: str = "f", **members: Any) -> Object:
    plain = {"on": True, "variations": ["a", "b"], "fallthrough": {"variation": 0}}
    return {"key": key, "version": 1, **plain, **members}


def a_segment(key: str = "s", **members: Any) -> Object:
    return {"key": key, "version": 1, **members}


def clause(**members: Any) -> Object:
    return {"attribute": "n", "op": "in", "values": ["x"], **members}


def rule(*clauses: Object, **members: Any) -> Object:
    return {"clauses": list(clauses), "variation": 0, **members}


USES_S = a_flag("uses", rules=[rule(clause(op="segmentMatch", values=["s"]))])


def test_a_good_environment_has_no_findings() -> None:
    arms = [{"variation": 0, "weight": 40_000}, {"variation": 1, "weight": 60_000}]
    flag = a_flag(
        rules=[rule(clause()), rule(clause(negate=True)), rule(clause(values=["x", "y"]))],
        fallthrough={"rollout": {"variations": arms, "bucketBy": "n"}},
        offVariation=1,
        prerequisites=[{"key": "uses", "variation": 1}],
        targets=[{"values": ["k"], "variation": 0}, {"values": ["l"], "variation": 1}],
    )
    segment = a_segment(included=["a"], rules=[{"clauses": [clause()], "weight": 100_000}])
    assert linted(flag, USES_S, segments=(segment,)) == ([], [])


@pytest.mark.parametrize(
    ("members", "path", "severity"),
    [
        ({"offVariation": 2}, "$.offVariation", "error"),
        ({"offVariation": -1}, "$.offVariation", "error"),
        ({"fallthrough": {}}, "$.fallthrough", "error"),
        ({"fallthrough": {"variation": 2}}, "$.fallthrough.variation", "error"),
        (
            {"fallthrough": {"variation": 0, "rollout": {"variations": []}}},
            "$.fallthrough.rollout",
            "warning",
        ),
        (
            {"fallthrough": {"rollout": {"variations": []}}},
            "$.fallthrough.rollout.variations",
            "error",
        ),
        ({"targets": [{"values": ["a"], "variation": 2}]}, "$.targets[0].variation", "error"),
        (
            {"contextTargets": [{"contextKind": "kind", "values": ["a"], "variation": 0}]},
            "$.contextTargets[0].contextKind",
            "warning",
        ),
        ({"rules": [rule(variation=5)]}, "$.rules[0].variation", "error"),
        ({"rules": [rule(variation=None)]}, "$.rules[0]", "error"),
        ({"rules": [rule(clause(op="near"))]}, "$.rules[0].clauses[0].op", "error"),
        ({"rules": [rule(clause(values=[]))]}, "$.rules[0].clauses[0].values", "warning"),
        (
            {"rules": [rule(clause(op="matches", values=["a", "(?=b)"]))]},
            "$.rules[0].clauses[0].values[1]",
            "error",
        ),
        (
            {"rules": [rule(clause(op="lessThan", values=["7"]))]},
            "$.rules[0].clauses[0].values[0]",
            "error",
        ),
        (
            {"rules": [rule(clause(op="lessThan", values=[7, "7"]))]},
            "$.rules[0].clauses[0].values[1]",
            "warning",
        ),
        (
            {"rules": [rule(clause(op="after", values=["2017-12-06"]))]},
            "$.rules[0].clauses[0].values[0]",
            "error",
        ),
        (
            {"rules": [rule(clause(op="semVerEqual", values=["v2"]))]},
            "$.rules[0].clauses[0].values[0]",
            "error",
        ),
        (
            {"rules": [rule(clause(attribute="//", contextKind="user"))]},
            "$.rules[0].clauses[0].attribute",
            "error",
        ),
        (
            {"rules": [rule(clause(contextKind="a b"))]},
            "$.rules[0].clauses[0].contextKind",
            "warning",
        ),
        (
            {"rules": [rule(clause(op="segmentMatch", values=["nowhere"]))]},
            "$.rules[0].clauses[0].values[0]",
            "error",
        ),
        ({"prerequisites": [{"key": "g", "variation": 0}]}, "$.prerequisites[0].key", "error"),
        (
            {"rules": [rule(clause(op="segmentMatch", values=[5, "s"]))]},
            "$.rules[0].clauses[0].values[0]",
            "warning",
        ),
        (
            {"contextTargets": [{"contextKind": "a b", "values": [], "variation": 0}]},
            "$.contextTargets[0].contextKind",
            "warning",
        ),
        (
            {"prerequisites": [{"key": "uses", "variation": 9}]},
            "$.prerequisites[0].variation",
            "error",
        ),
    ],
)
def test_a_flag_with_one_flaw_has_one_finding(members: Object, path: str, severity: str) -> None:
    found, _ = linted(a_flag(**members), USES_S, segments=(a_segment(),))
    assert found == [("f", path, severity)]


@pytest.mark.parametrize(
    ("rollout", "path", "severity"),
    [
        ({"variations": [{"variation": 0, "weight": 99_999}]}, "variations", "error"),
        ({"variations": [{"variation": 9, "weight": 100_000}]}, "variations[0].variation", "error"),
        (
            {
                "variations": [
                    {"variation": 0, "weight": 100_001},
                    {"variation": 1, "weight": -1},
                ]
            },
            "variations[1].weight",
            "error",
        ),
        ({"kind": "trial"}, "kind", "warning"),
        ({"kind": "experiment", "bucketBy": "n"}, "bucketBy", "warning"),
        (
            {
                "kind": "experiment",
                "variations": [{"variation": 0, "weight": 100_000, "untracked": True}],
            },
            "variations",
            "warning",
        ),
        ({"contextKind": "user", "bucketBy": "/"}, "bucketBy", "error"),
    ],
)
def test_a_rollout_with_one_flaw_has_one_finding(rollout: Object, path: str, severity: str) -> None:
    good = {"variations": [{"variation": 0, "weight": 100_000}]}
    found, _ = linted(a_flag(fallthrough={"rollout": {**good, **rollout}}))
    assert found == [("f", f"$.fallthrough.rollout.{path}", severity)]


@pytest.mark.parametrize(
    ("members", "path", "severity"),
    [
        ({"unbounded": True}, "$.generation", "error"),
        ({"unbounded": True, "generation": 1, "included": ["a"]}, "$.included", "warning"),
        (
            {"unbounded": True, "generation": 1, "excludedContexts": [{"values": ["a"]}]},
            "$.excludedContexts",
            "warning",
        ),
        ({"included": ["a"], "excluded": ["b", "a"]}, "$.excluded[1]", "warning"),
        (
            {
                "includedContexts": [{"contextKind": "org", "values": ["o"]}],
                "excludedContexts": [{"contextKind": "org", "values": ["o"]}],
            },
            "$.excludedContexts[0].values[0]",
            "warning",
        ),
        ({"rules": [{"clauses": [], "weight": 100_001}]}, "$.rules[0].weight", "error"),
        ({"rules": [{"clauses": [], "weight": 0}]}, "$.rules[0].weight", "info"),
        ({"rules": [{"clauses": []}, {"clauses": [clause()]}]}, "$.rules[1]", "warning"),
    ],
)
def test_a_segment_with_one_flaw_has_one_finding(members: Object, path: str, severity: str) -> None:
    found, _ = linted(USES_S, segments=(a_segment(**members),))
    assert found == [("s", path, severity)]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (rule(), rule(clause())),
        (rule(clause()), rule(clause())),
        (rule(clause(values=["x", "y"])), rule(clause(values=["y"]))),
        (rule(clause()), rule(clause(attribute="m"), clause())),
        (
            rule(clause(negate=True, values=["x"])),
            rule(clause(negate=True, values=["x", "y"])),
        ),
        (rule(clause()), rule(clause(contextKind="user", attribute="/n"))),
    ],
)
def test_a_rule_behind_one_that_takes_its_contexts_is_never_reached(
    earlier: Object, later: Object
) -> None:
    found, messages = linted(a_flag(rules=[earlier, later]))
    assert found == [("f", "$.rules[1]", "warning")]
    assert messages[0].startswith("the rule is never reached: rule 0 before it matches")


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (rule(clause(values=["y"])), rule(clause(values=["x", "y"]))),
        (rule(clause(), clause(attribute="m")), rule(clause())),
        (rule(clause(values=[1])), rule(clause(values=["1"]))),
        (rule(clause(values=[True])), rule(clause(values=[1]))),
        (rule(clause()), rule(clause(contextKind="org"))),
        (rule(clause(attribute="/n")), rule(clause(contextKind="user", attribute="/n"))),
    ],
)
def test_a_rule_that_takes_more_is_reached(earlier: Object, later: Object) -> None:
    assert linted(a_flag(rules=[earlier, later])) == ([], [])


def test_a_weighted_rule_of_a_segment_hides_nothing() -> None:
    rules = [{"clauses": [], "weight": 5000}, {"clauses": []}]
    assert linted(USES_S, segments=(a_segment(rules=rules),)) == ([], [])


def test_a_key_that_an_earlier_target_has_is_never_reached() -> None:
    targets = [{"values": ["a"], "variation": 0}, {"values": ["b", "a"], "variation": 1}]
    found, messages = linted(a_flag(targets=targets))
    assert found == [("f", "$.targets[1].values[1]", "warning")]
    assert "$.targets[0].values[0] has it already" in messages[0]


def test_targets_that_no_context_target_stands_for_are_never_asked() -> None:
    targets = [{"values": ["a"], "variation": 0}, {"values": ["b"], "variation": 1}]
    stands_for = [{"contextKind": "user", "values": [], "variation": 1}]
    found, _ = linted(a_flag(targets=targets, contextTargets=stands_for))
    assert found == [("f", "$.targets[0]", "warning")]


def test_circles_of_prerequisites_are_found_once() -> None:
    flags = [
        a_flag(one, prerequisites=[{"key": other, "variation": 0}])
        for one, other in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"))
    ]
    found, messages = linted(*flags)
    assert found == [("c", "$.prerequisites[0].key", "error")]
    assert messages == ["flags in a circle, evaluations fail here: a -> b -> c -> a"]


def test_circles_of_segments_are_found() -> None:
    ask = [{"clauses": [clause(op="segmentMatch", values=["s"])]}]
    found, messages = linted(USES_S, segments=(a_segment(rules=ask),))
    assert found == [("s", "$.rules[0].clauses[0].values[0]", "error")]
    assert messages[0].endswith("s -> s")


def test_a_chain_of_thousands_is_no_circle() -> None:
    flags = [
        a_flag(f"f{n}", prerequisites=[{"key": f"f{n + 1}", "variation": 0}]) for n in range(3000)
    ]
    assert linted(*flags, a_flag("f3000")) == ([], [])


def test_references_say_what_became_of_their_goal() -> None:
    flag = a_flag(prerequisites=[{"key": key, "variation": 0} for key in ("gone", "broken", "no")])
    gone = {"key": "gone", "version": 2, "deleted": True}
    found, messages = linted(flag, gone, unusable=(ItemRef(Kind.FLAG, "broken"),))
    assert [severity for _, _, severity in found] == ["error"] * 3
    assert messages == [
        "flag 'gone' was deleted",
        "flag 'broken' cannot be used: see its own errors",
        "flag 'no' does not exist",
    ]


def test_what_is_merely_worth_knowing_is_info() -> None:
    flag = a_flag(prerequisites=[{"key": "off", "variation": 0}])
    found, _ = linted(flag, a_flag("off", on=False), segments=(a_segment(),))
    assert found == [("f", "$.prerequisites[0].key", "info"), ("s", "$", "info")]


def test_a_flag_that_is_off_needs_no_fallthrough() -> None:
    assert linted(a_flag(on=False, fallthrough={})) == ([], [])


OPERATORS = sorted(set(strategies.VALUES_BY_OPERATOR) - {"unheardOf", "", "segmentMatch"})


@examples(300)
@given(st.sampled_from(OPERATORS), st.data())
def test_what_never_matches_never_matches(op: str, data: st.DataObject) -> None:
    wanted = strategies.VALUES_BY_OPERATOR[op] | strategies.values
    value, actual = data.draw(wanted), data.draw(wanted)
    if actual is not None and make_test(op, [value], []).matches(actual):
        assert can_match(op, value)


@examples(60)
@given(strategies.worlds())
def test_lint_takes_any_environment(world: Any) -> None:
    flags = tuple(world.flags.values())
    found, messages = linted(*flags, segments=tuple(world.segments.values()))
    assert len(found) == len(messages)
    assert all(path.startswith("$") for _, path, _ in found)
