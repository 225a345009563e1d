"""From plain JSON to the compiled evaluator and back to the form of the reference."""

import json
from collections.abc import Mapping
from typing import Any

from flagkeep.evaluation import (
    CompiledFlag,
    CompiledSegment,
    InputMissing,
    Inputs,
    Membership,
    Result,
    compile_flag,
    compile_segment,
    evaluate,
)
from flagkeep.model.codec import decode_flag, decode_segment
from flagkeep.model.context import Context
from flagkeep.model.detail import BigSegmentsStatus
from flagkeep.model.item import Kind
from tests.reference import Outcome, World

Object = dict[str, Any]
Memberships = Mapping[str, tuple[str, Mapping[str, bool]]]

USER: Object = {"kind": "user", "key": "a"}


def compiled_flag(flag: Object) -> CompiledFlag:
    return compile_flag(decode_flag(json.dumps(flag)))


def compiled_segment(segment: Object) -> CompiledSegment:
    return compile_segment(decode_segment(json.dumps(segment)))


def compiled_memberships(memberships: Memberships | None) -> dict[str, Membership] | None:
    if memberships is None:
        return None
    return {
        key: Membership(BigSegmentsStatus(status), included)
        for key, (status, included) in memberships.items()
    }


def compiled_inputs(world: World) -> Inputs:
    return Inputs(
        {key: compiled_flag(flag) for key, flag in world.flags.items()},
        {key: compiled_segment(segment) for key, segment in world.segments.items()},
        memberships=compiled_memberships(world.memberships),
    )


def outcome_of(result: Result) -> Outcome:
    return Outcome(
        result.value,
        result.index,
        result.reason.to_dict(),
        result.experiment,
        [
            (one.flag.facts.key, one.prerequisite_of, one.result.index)
            for one in result.prerequisites
        ],
        list(result.direct_prerequisites),
    )


def evaluated(flag: Object, context: Object | None = None, world: World | None = None) -> Outcome:
    """Evaluate through the compiled core, everything at hand."""
    made = Context.from_dict(context or USER)
    assert made.valid, made.error
    return outcome_of(evaluate(compiled_flag(flag), made, compiled_inputs(world or World())))


def evaluated_stepwise(flag: CompiledFlag, context: Context, everything: Inputs) -> Result:
    """Evaluate with nothing at hand at first, and only what is asked for handed in."""
    available = everything.memberships
    flags: dict[str, CompiledFlag | None] = {}
    segments: dict[str, CompiledSegment | None] = {}
    known: dict[str, Membership] | None = None if available is None else {}
    inputs = Inputs(flags, segments, complete=False, memberships=known)
    for _ in range(100):
        try:
            return evaluate(flag, context, inputs)
        except InputMissing as missing:
            wanted = missing
        assert wanted.items or wanted.memberships
        for kind, key in wanted.items:
            if kind is Kind.FLAG:
                assert key not in flags
                flags[key] = everything.flags.get(key)
            else:
                assert key not in segments
                segments[key] = everything.segments.get(key)
        for key in wanted.memberships:
            assert known is not None
            assert available is not None
            assert key not in known
            known[key] = available[key]
    raise AssertionError("it keeps asking")


# --- builders of flags with one thing in them ---------------------------------------------------


def flag_with(**changes: Any) -> Object:
    """Return a flag that is on and falls through to `b`; None removes a field."""
    flag: Object = {
        "key": "f",
        "version": 1,
        "on": True,
        "variations": ["a", "b", "c"],
        "offVariation": 2,
        "fallthrough": {"variation": 1},
        "salt": "",
    }
    flag.update(changes)
    return {name: value for name, value in flag.items() if value is not ...}


def flag_with_clause(op: str, values: list[Any], *, attribute: str = "x", **more: Any) -> Object:
    """Return a flag that gives `a` to whom the clause matches, `b` to others."""
    clause = {"op": op, "values": values, "attribute": attribute, **more}
    return flag_with(rules=[{"clauses": [clause], "variation": 0}])


def clause_matches(op: str, value: Any, *values: Any, **more: Any) -> bool:
    """Tell whether a clause on attribute `x` with that value matches."""
    outcome = evaluated(flag_with_clause(op, list(values), **more), {**USER, "x": value})
    return bool(outcome.reason["kind"] == "RULE_MATCH")
