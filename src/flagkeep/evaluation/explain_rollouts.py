"""Rollouts and shares explained: the bucket, and what the compiled form makes of it."""

from typing import Final

import msgspec

from flagkeep.evaluation.bucketing import bucket, bucketable, share_of
from flagkeep.evaluation.clauses import attribute_at, attribute_of
from flagkeep.evaluation.compiler import compile_flag, compile_segment
from flagkeep.evaluation.explanation import (
    ArmExplanation,
    BucketExplanation,
    OutcomeExplanation,
    RolloutExplanation,
    ShareExplanation,
)
from flagkeep.evaluation.inputs import Inputs, Scope
from flagkeep.evaluation.result import Malformed
from flagkeep.model.context import Context
from flagkeep.model.flag import Flag, FlagRule, Rollout, VariationOrRollout
from flagkeep.model.segment import Segment, SegmentRule

NOTHING: Final = Inputs({}, {})


def explain_outcome(
    flag: Flag, outcome: VariationOrRollout | FlagRule, context: Context
) -> OutcomeExplanation:
    """Return what follows from the part of `flag` that decided."""
    if outcome.variation is not None:
        return explain_variation(flag, outcome.variation)
    if outcome.rollout is None:
        return OutcomeExplanation(problem="there is neither a variation nor a rollout")
    if not outcome.rollout.variations:
        return OutcomeExplanation(problem="the rollout has no variations")
    return _explain_rollout(flag, outcome.rollout, context)


def explain_variation(flag: Flag, index: int) -> OutcomeExplanation:
    """Return a fixed outcome, and whether there is such a variation."""
    return OutcomeExplanation(variation=index, problem=_range_problem(flag, index))


def _range_problem(flag: Flag, index: int) -> str:
    count = len(flag.variations)
    if 0 <= index < count:
        return ""
    if not count:
        return f"there is no variation {index}: the flag has none"
    return f"there is no variation {index}: they go from 0 to {count - 1}"


def _explain_rollout(flag: Flag, rollout: Rollout, context: Context) -> OutcomeExplanation:
    is_experiment = rollout.kind == "experiment"
    by = "" if is_experiment else rollout.bucket_by
    place = _bucket(flag, context, rollout.context_kind, by, seed=rollout.seed)
    chosen = _chosen_arm(flag, rollout, context)
    arms, lower, total = [], 0.0, 0.0
    for number, arm in enumerate(rollout.variations):
        total += share_of(arm.weight)
        upper = max(total, lower)  # a negative weight makes an empty arm
        explained = ArmExplanation(
            variation=arm.variation,
            weight=arm.weight,
            lower=lower,
            upper=upper,
            chosen=number == chosen,
            untracked=arm.untracked,
        )
        arms.append(explained)
        lower = upper
    problem = _reference_problem(rollout.context_kind, by)
    if chosen is not None:
        problem = _range_problem(flag, rollout.variations[chosen].variation)
    explained_rollout = RolloutExplanation(experiment=is_experiment, bucket=place, arms=tuple(arms))
    return OutcomeExplanation(rollout=explained_rollout, problem=problem)


def _chosen_arm(flag: Flag, rollout: Rollout, context: Context) -> int | None:
    """Ask the compiled form of a flag whose variations are the numbers of the arms."""
    arms = [
        msgspec.structs.replace(arm, variation=number)
        for number, arm in enumerate(rollout.variations)
    ]
    asked = Flag(
        key=flag.key,
        version=0,
        on=True,
        salt=flag.salt,
        variations=list(range(len(arms))),
        fallthrough=VariationOrRollout(rollout=msgspec.structs.replace(rollout, variations=arms)),
    )
    return compile_flag(asked).evaluate(context, NOTHING).index


def explain_share(segment: Segment, rule: SegmentRule, context: Context) -> ShareExplanation | None:
    """Return whether the share of `rule`, which has matched, lets `context` in; None: all are."""
    if rule.weight is None:
        return None
    asked = Segment(
        key=segment.key,
        version=0,
        salt=segment.salt,
        rules=[msgspec.structs.replace(rule, clauses=[])],
    )
    try:
        inside = compile_segment(asked).contains(context, Scope(NOTHING))
    except Malformed:
        inside = None
    place = _bucket(segment, context, rule.rollout_context_kind, rule.bucket_by)
    if context.individual(place.context_kind) is None:
        place = msgspec.structs.replace(place, bucket=None)
    limit = share_of(rule.weight)
    return ShareExplanation(weight=rule.weight, limit=limit, bucket=place, inside=inside)


def _reference_problem(kind: str, by: str) -> str:
    error = attribute_of(by or "key", kind).error
    return "" if error is None else f"the attribute reference {by!r} is invalid: {error}"


def _bucket(
    item: Flag | Segment, context: Context, given_kind: str, by: str, *, seed: int | None = None
) -> BucketExplanation:
    kind = given_kind or Context.DEFAULT_KIND
    name = by or "key"
    attribute = attribute_of(name, given_kind)
    member = context.individual(kind)
    found, note = None, ""
    place: float | None = 0.0
    if attribute.error is not None:
        place, note = None, _reference_problem(given_kind, by)
    elif member is None:
        note = f"the context has no kind {kind!r}"
    else:
        found = attribute_at(member, attribute.components)
        text = bucketable(found)
        if text is not None:
            place = bucket(item.key, item.salt, text, seed=seed)
        elif found is None:
            note = "the context has no such attribute"
        else:
            note = "neither a string nor a whole number"
    return BucketExplanation(
        context_kind=kind, attribute=name, value=found, bucket=place, seed=seed, note=note
    )
