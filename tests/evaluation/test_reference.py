"""The compiled evaluation equals the slow, obvious one on generated flags and contexts."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from flagkeep.evaluation import evaluate
from flagkeep.model.context import Context
from tests import reference, strategies
from tests.evaluation.bridge import (
    Object,
    compiled_inputs,
    evaluated,
    evaluated_stepwise,
    flag_with,
    outcome_of,
)
from tests.evaluation.profiles import examples
from tests.reference import World
from tests.reference.operators import equals

contexts = st.lists(strategies.contexts(), min_size=1, max_size=3)


def assert_same(ours: reference.Outcome, expected: reference.Outcome) -> None:
    """Compare, values with JSON's own equality: `1` and `true` differ."""
    assert equals(ours.value, expected.value)
    ours.value = expected.value
    assert ours == expected


def assert_world_agrees(world: World, contexts: list[Object]) -> None:
    """Evaluate every flag for every context, both ways and stepwise."""
    inputs = compiled_inputs(world)
    for data in contexts:
        context = Context.from_dict(data)
        assert context.valid
        for key, flag in world.flags.items():
            compiled = inputs.flags[key]
            assert compiled is not None
            expected = reference.evaluate(flag, data, world)
            assert_same(outcome_of(evaluate(compiled, context, inputs)), expected)
            assert_same(outcome_of(evaluated_stepwise(compiled, context, inputs)), expected)


@examples(250)
@given(strategies.worlds(), contexts)
def test_compiled_flags_equal_the_reference(world: World, contexts: list[Object]) -> None:
    assert_world_agrees(world, contexts)


@examples(150)
@given(strategies.worlds(of_flags=strategies.linked_flags), contexts)
def test_every_prerequisite_equals_the_reference(world: World, contexts: list[Object]) -> None:
    assert_world_agrees(world, contexts)


@examples(300)
@given(world=strategies.worlds(of_flags=None), contexts=contexts, negate=st.booleans())
def test_every_segment_equals_the_reference(
    *, world: World, contexts: list[Object], negate: bool
) -> None:
    clause = {"op": "segmentMatch", "values": ["s", "t"], "negate": negate}
    flag = flag_with(rules=[{"clauses": [clause], "variation": 0}])
    assert_world_agrees(dataclasses.replace(world, flags={"f": flag}), contexts)


@examples(200)
@given(strategies.big_worlds(), st.lists(strategies.multi_contexts(), min_size=1))
def test_every_big_segment_equals_the_reference(world: World, contexts: list[Object]) -> None:
    clause = {"op": "segmentMatch", "values": ["s", "t", "u", "v"]}
    flag = flag_with(rules=[{"clauses": [clause], "variation": 0}])
    assert_world_agrees(dataclasses.replace(world, flags={"f": flag}), contexts)


@examples(300)
@given(strategies.clauses_on_kinds, contexts)
def test_every_kind_equals_the_reference(clause: Object, contexts: list[Object]) -> None:
    flag = flag_with(rules=[{"clauses": [clause], "variation": 0}])
    assert_world_agrees(World({"f": flag}), contexts)


@examples(300)
@given(strategies.rollouts_by_attribute, strategies.contexts_to_bucket())
def test_every_attribute_to_bucket_by_equals_the_reference(
    rollout: Object, context: Object
) -> None:
    flag = flag_with(fallthrough={"rollout": rollout})
    shares = [{"weight": 50_000, "bucketBy": rollout["bucketBy"]}]
    shares[0]["rolloutContextKind"] = rollout["contextKind"]
    segment = {"key": "s", "version": 1, "rules": shares}
    clause = {"op": "segmentMatch", "values": ["s"]}
    other = flag_with(key="g", rules=[{"clauses": [clause], "variation": 0}])
    assert_world_agrees(World({"f": flag, "g": other}, {"s": segment}), [context])


@examples(200)
@given(st.lists(strategies.targets), st.lists(strategies.targets), contexts)
def test_every_target_equals_the_reference(
    targets: list[Object], context_targets: list[Object], contexts: list[Object]
) -> None:
    flag = flag_with(targets=targets, contextTargets=context_targets)
    assert_world_agrees(World({"f": flag}), contexts)


@examples(600)
@given(st.data(), st.sampled_from(sorted(strategies.VALUES_BY_OPERATOR)))
def test_every_operator_equals_the_reference(data: st.DataObject, op: str) -> None:
    clause = data.draw(strategies.clauses(op=op))
    wanted = strategies.VALUES_BY_OPERATOR[op]
    context: Object = {
        "kind": "user",
        "key": data.draw(st.sampled_from(strategies.KEYS[:-1])),
        "n": data.draw(wanted | st.lists(wanted, max_size=3)),
        "deep": {"x": data.draw(wanted | strategies.values)},
    }
    flag = flag_with(rules=[{"clauses": [clause], "variation": 0}])
    assert_same(evaluated(flag, context), reference.evaluate(flag, context, World()))


@examples(300)
@given(strategies.rollouts, strategies.contexts(), strategies.texts)
def test_every_rollout_equals_the_reference(rollout: Object, context: Object, salt: str) -> None:
    flag = flag_with(fallthrough={"rollout": rollout}, salt=salt)
    assert_same(evaluated(flag, context), reference.evaluate(flag, context, World()))
