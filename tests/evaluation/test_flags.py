"""Flags: prerequisites, targets, rules, reasons, malformed ones (evaluation spec, 2 and 3)."""

from typing import Any, Final

import pytest

from flagkeep.evaluation import Inputs, evaluate
from flagkeep.model.context import Context
from tests.evaluation.bridge import USER, Object, compiled_flag, evaluated, flag_with
from tests.reference import Outcome, World

MALFORMED: Final = {"kind": "ERROR", "errorKind": "MALFORMED_FLAG"}
OFF: Final = {"kind": "OFF"}
FALLTHROUGH: Final = {"kind": "FALLTHROUGH"}
TARGET_MATCH: Final = {"kind": "TARGET_MATCH"}
NOWHERE: Final = [9, -1, 3]


def failed(key: str) -> Object:
    return {"kind": "PREREQUISITE_FAILED", "prerequisiteKey": key}


def rule_match(index: int = 0, rule_id: str | None = None) -> Object:
    return {"kind": "RULE_MATCH", "ruleIndex": index, "ruleId": rule_id}


def answer(outcome: Outcome) -> tuple[Any, int | None, Object]:
    return outcome.value, outcome.index, outcome.reason


# --- the table of malformed flags ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        (flag_with(variations=[]), (None, None, MALFORMED)),
        (flag_with(fallthrough=...), (None, None, MALFORMED)),
        (flag_with(fallthrough=None), (None, None, MALFORMED)),
        (flag_with(fallthrough={}), (None, None, MALFORMED)),
        (flag_with(fallthrough={"variation": None, "rollout": None}), (None, None, MALFORMED)),
        (flag_with(fallthrough={"rollout": {}}), (None, None, MALFORMED)),
        (flag_with(fallthrough={"rollout": {"variations": []}}), (None, None, MALFORMED)),
        (flag_with(on=False, offVariation=None), (None, None, OFF)),
        (flag_with(on=False, offVariation=...), (None, None, OFF)),
        ({"key": "f", "version": 1}, (None, None, OFF)),
        (flag_with(prerequisites=[{"key": "f"}]), (None, None, MALFORMED)),
        (flag_with(prerequisites=[{"key": "gone"}]), ("c", 2, failed("gone"))),
        (
            flag_with(prerequisites=[{"key": "gone"}], offVariation=...),
            (None, None, failed("gone")),
        ),
        (flag_with(prerequisites=[{"key": "gone"}], offVariation=9), (None, None, MALFORMED)),
        (flag_with(rules=[{"variation": 0}]), ("a", 0, rule_match())),
        (flag_with(rules=[{"clauses": [], "variation": 0}]), ("a", 0, rule_match())),
        (flag_with(rules=[{"id": "r"}]), (None, None, MALFORMED)),
        (flag_with(rules=[{"rollout": {"variations": []}}]), (None, None, MALFORMED)),
    ],
)
def test_unusual_flag(flag: Object, expected: tuple[Any, int | None, Object]) -> None:
    assert answer(evaluated(flag)) == expected


@pytest.mark.parametrize("index", NOWHERE)
def test_index_that_is_no_variation(index: int) -> None:
    for flag in (
        flag_with(on=False, offVariation=index),
        flag_with(targets=[{"variation": index, "values": ["a"]}]),
        flag_with(contextTargets=[{"contextKind": "user", "variation": index, "values": ["a"]}]),
        flag_with(rules=[{"variation": index, "trackEvents": True}]),
        flag_with(fallthrough={"variation": index}, trackEventsFallthrough=True),
        flag_with(fallthrough={"rollout": {"variations": [{"variation": index, "weight": 1}]}}),
    ):
        outcome = evaluated(flag)
        assert answer(outcome) == (None, None, MALFORMED)
        assert not outcome.experiment


def test_variation_outranks_rollout() -> None:
    rollout = {"variations": [{"variation": 0, "weight": 100_000}]}
    flag = flag_with(fallthrough={"variation": 1, "rollout": rollout})
    assert answer(evaluated(flag)) == ("b", 1, FALLTHROUGH)


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}, [None], {"a": None}, 10**400])
def test_any_json_is_a_value(value: Any) -> None:
    for flag in (
        flag_with(variations=[value], fallthrough={"variation": 0}),
        flag_with(on=False, variations=[value], offVariation=0),
    ):
        outcome = evaluated(flag)
        assert outcome.value == value
        assert type(outcome.value) is type(value)
        assert outcome.index == 0


# --- prerequisites ------------------------------------------------------------------------------


def world(*flags: Object) -> World:
    return World({flag["key"]: flag for flag in flags})


def needs(key: str, variation: int = 1) -> Object:
    return {"key": key, "variation": variation}


def test_prerequisites_are_evaluated_deepest_first() -> None:
    others = world(
        flag_with(key="p", prerequisites=[needs("q")]),
        flag_with(key="q"),
        flag_with(key="r"),
    )
    outcome = evaluated(flag_with(prerequisites=[needs("p"), needs("r")]), USER, others)
    assert answer(outcome) == ("b", 1, FALLTHROUGH)
    assert outcome.events == [("q", "p", 1), ("p", "f", 1), ("r", "f", 1)]
    assert outcome.direct_prerequisites == ["p", "r"]


@pytest.mark.parametrize(
    ("prerequisite", "event"),
    [
        (flag_with(key="p", fallthrough={"variation": 0}), [("p", "f", 0)]),
        (flag_with(key="p", on=False, offVariation=1), [("p", "f", 1)]),
        (flag_with(key="p", on=False, offVariation=None), [("p", "f", None)]),
        (flag_with(key="p", fallthrough={"variation": 9}), [("p", "f", None)]),
        (flag_with(key="p", fallthrough={}), [("p", "f", None)]),
        (flag_with(key="p", prerequisites=[needs("gone")]), [("p", "f", 2)]),
    ],
)
def test_prerequisite_that_fails(prerequisite: Object, event: list[Any]) -> None:
    flag = flag_with(prerequisites=[needs("p"), needs("never asked")])
    outcome = evaluated(flag, USER, world(prerequisite))
    assert answer(outcome) == ("c", 2, failed("p"))
    assert outcome.events == event
    assert outcome.direct_prerequisites == ["p"]


def test_missing_prerequisite_has_no_event_but_is_recorded() -> None:
    flag = flag_with(prerequisites=[needs("p"), needs("gone"), needs("q")])
    outcome = evaluated(flag, USER, world(flag_with(key="p"), flag_with(key="q")))
    assert answer(outcome) == ("c", 2, failed("gone"))
    assert outcome.events == [("p", "f", 1)]
    assert outcome.direct_prerequisites == ["p", "gone"]


def test_prerequisites_of_a_flag_that_is_off_are_not_looked_at() -> None:
    outcome = evaluated(flag_with(on=False, prerequisites=[needs("p")]), USER, world())
    assert answer(outcome) == ("c", 2, OFF)
    assert outcome.direct_prerequisites == []


def test_cycle_of_prerequisites_aborts() -> None:
    flags = world(
        flag_with(key="a", prerequisites=[needs("x"), needs("b")]),
        flag_with(key="b", prerequisites=[needs("c")]),
        flag_with(key="c", prerequisites=[needs("b")]),
        flag_with(key="x"),
    )
    outcome = evaluated(flags.flags["a"], USER, flags)
    assert answer(outcome) == (None, None, MALFORMED)
    assert outcome.events == [("x", "a", 1)]
    assert outcome.direct_prerequisites == ["x", "b"]


def test_cycle_back_to_the_first_flag_aborts() -> None:
    flags = world(
        flag_with(prerequisites=[needs("p")]), flag_with(key="p", prerequisites=[needs("f")])
    )
    assert evaluated(flags.flags["f"], USER, flags).reason == MALFORMED


def test_cycle_behind_a_flag_that_is_off_does_not_matter() -> None:
    off = flag_with(key="p", on=False, prerequisites=[needs("p")])
    assert evaluated(flag_with(prerequisites=[needs("p")]), USER, world(off)).reason == failed("p")


def test_the_same_prerequisite_twice_is_no_cycle() -> None:
    flags = world(flag_with(key="p", prerequisites=[needs("q")]), flag_with(key="q"))
    flag = flag_with(prerequisites=[needs("q"), needs("p"), needs("q")])
    outcome = evaluated(flag, USER, flags)
    assert answer(outcome) == ("b", 1, FALLTHROUGH)
    assert outcome.events == [("q", "f", 1), ("q", "p", 1), ("p", "f", 1), ("q", "f", 1)]


def test_broken_reference_inside_a_prerequisite_aborts_everything() -> None:
    clause = {"contextKind": "user", "attribute": "//", "op": "in", "values": [1]}
    broken = flag_with(key="p", rules=[{"clauses": [clause], "variation": 0}])
    outcome = evaluated(flag_with(prerequisites=[needs("p")]), USER, world(broken))
    assert answer(outcome) == (None, None, MALFORMED)
    assert (outcome.events, outcome.direct_prerequisites) == ([], ["p"])


def test_long_chain_of_prerequisites() -> None:
    chain = [flag_with(key=f"p{n}", prerequisites=[needs(f"p{n + 1}")]) for n in range(100)]
    flags = world(*chain, flag_with(key="p100"))
    outcome = evaluated(chain[0], USER, flags)
    assert answer(outcome) == ("b", 1, FALLTHROUGH)
    assert [event[0] for event in outcome.events] == [f"p{n}" for n in range(100, 0, -1)]


# --- targets ------------------------------------------------------------------------------------

ORG: Final = {"kind": "org", "key": "a"}
BOTH: Final = {"kind": "multi", "org": {"key": "o"}, "user": {"key": "u"}}


def target(variation: int, *values: str, kind: str | None = None) -> Object:
    return {"variation": variation, "values": list(values), "contextKind": kind}


@pytest.mark.parametrize(
    ("targets", "context_targets", "context", "index"),
    [
        ([target(0, "a")], [], USER, 0),
        ([target(0, "x"), target(2, "a")], [], USER, 2),
        ([target(0, "a"), target(2, "a")], [], USER, 0),
        ([target(0, "b")], [], USER, None),
        ([target(0, "a")], [], ORG, None),
        ([target(0, "u")], [], BOTH, 0),
        ([target(0, "a", kind="org")], [], USER, 0),
        ([target(0, "a", kind="org")], [], ORG, None),
        ([], [target(0, "a", kind="org")], ORG, 0),
        ([], [target(0, "a", kind="org")], USER, None),
        ([], [target(0, "o", kind="org")], BOTH, 0),
        ([], [target(0, "o", kind="org"), target(2, "u", kind="user")], BOTH, 0),
        # entries for users stand for the entry of `targets` with the same variation
        ([target(0, "a")], [target(0, kind="user")], USER, 0),
        ([target(0, "a")], [target(0, kind="")], USER, 0),
        ([target(0, "a")], [{"variation": 0}], USER, 0),
        ([target(0, "a")], [{"variation": 0, "values": None}], USER, 0),
        ([target(0, "a")], [target(2, kind="user")], USER, None),
        ([target(0, "a")], [target(2, "a", kind="org")], USER, None),
        ([target(0, "x"), target(0, "a")], [target(0, kind="user")], USER, None),
        # the order is that of `contextTargets`
        ([target(0, "u")], [target(2, "o", kind="org"), target(0, kind="user")], BOTH, 2),
        ([target(0, "u")], [target(0, kind="user"), target(2, "o", kind="org")], BOTH, 0),
        (
            [target(0, "u"), target(1, "u")],
            [target(1, kind="user"), target(0, kind="user")],
            BOTH,
            1,
        ),
        # values of their own, which real data never has, are used as the Go evaluator does
        ([target(0, "x")], [target(0, "a", kind="user")], USER, 0),
        ([target(0, "a")], [target(0, "x", kind="user")], USER, None),
    ],
)
def test_targets(
    targets: list[Object], context_targets: list[Object], context: Object, index: int | None
) -> None:
    outcome = evaluated(flag_with(targets=targets, contextTargets=context_targets), context)
    expected = (1, FALLTHROUGH) if index is None else (index, TARGET_MATCH)
    assert (outcome.index, outcome.reason) == expected


def test_targets_come_before_rules() -> None:
    flag = flag_with(targets=[target(0, "a")], rules=[{"variation": 2}])
    assert evaluated(flag).reason == TARGET_MATCH


# --- rules and reasons --------------------------------------------------------------------------


def is_key(*keys: str, **more: Any) -> Object:
    return {"attribute": "key", "op": "in", "values": list(keys), **more}


def test_first_matching_rule_decides() -> None:
    flag = flag_with(
        rules=[
            {"id": "r0", "clauses": [is_key("x")], "variation": 1},
            {"id": "r1", "clauses": [is_key("a"), is_key("a", negate=True)], "variation": 1},
            {"id": "r2", "clauses": [is_key("a"), is_key("x", negate=True)], "variation": 0},
            {"id": "r3", "clauses": [is_key("a")], "variation": 2},
        ]
    )
    assert answer(evaluated(flag)) == ("a", 0, rule_match(2, "r2"))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, False),
        ({"trackEvents": True}, False),
        ({"trackEventsFallthrough": True}, True),
        ({"trackEventsFallthrough": True, "on": False}, False),
        ({"trackEventsFallthrough": True, "rules": [{"variation": 0}]}, False),
        ({"trackEventsFallthrough": True, "targets": [target(0, "a")]}, False),
        ({"rules": [{"variation": 0, "trackEvents": True}]}, True),
        ({"rules": [{"variation": 0, "trackEvents": True, "clauses": [is_key("x")]}]}, False),
        ({"rules": [{"rollout": {"variations": [{"weight": 9}]}, "trackEvents": True}]}, True),
    ],
)
def test_experiments_of_the_older_schema(changes: Object, *, expected: bool) -> None:
    outcome = evaluated(flag_with(**changes))
    assert outcome.experiment is expected
    assert "inExperiment" not in outcome.reason


def test_values_are_not_shared_with_callers() -> None:
    for changes in ({}, {"on": False, "offVariation": 1}, {"targets": [target(1, "a")]}):
        flag = compiled_flag(flag_with(variations=[0, {"list": [1]}], **changes))
        context = Context.create("a")
        evaluate(flag, context, Inputs({}, {})).value["list"].append(2)
        assert evaluate(flag, context, Inputs({}, {})).value == {"list": [1]}
