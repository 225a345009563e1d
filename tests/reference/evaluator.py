"""Flags, prerequisites, targets, rules, clauses, segments (evaluation spec, sections 2 and 3)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.reference.bucketing import choose_arm, is_in_segment_share
from tests.reference.contexts import key_of, look_up, members, path_named_by
from tests.reference.fields import (
    Json,
    MalformedFlag,
    Object,
    flag_of,
    kind_of,
    objects,
    text,
    whole,
    whole_or_zero,
)
from tests.reference.operators import matches_operator

WORST_LAST: Final = ["HEALTHY", "STALE", "STORE_ERROR", "NOT_CONFIGURED"]


@dataclass(frozen=True)
class World:
    """What there is beside the flag that is evaluated.

    Attributes:
        flags: by key.
        segments: by key.
        memberships: Big Segment status and references by context key; None without such a store.
    """

    flags: Mapping[str, Object] = field(default_factory=dict)
    segments: Mapping[str, Object] = field(default_factory=dict)
    memberships: Mapping[str, tuple[str, Mapping[str, bool]]] | None = None


@dataclass
class Outcome:
    """The result of an evaluation; `events` are (flag, required by, index) in order."""

    value: Json = None
    index: int | None = None
    reason: Object = field(default_factory=dict)
    experiment: bool = False
    events: list[tuple[str, str, int | None]] = field(default_factory=list)
    direct_prerequisites: list[str] = field(default_factory=list)


@dataclass
class Run:
    """One evaluation under way."""

    world: World
    context: Object
    events: list[tuple[str, str, int | None]] = field(default_factory=list)
    direct_prerequisites: list[str] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)


def evaluate(flag: Object, context: Object, world: World) -> Outcome:
    """Evaluate `flag` for `context`."""
    run = Run(world, context)
    try:
        outcome = evaluate_flag(run, flag, [])
    except MalformedFlag:
        outcome = malformed()
    if run.statuses:
        outcome.reason["bigSegmentsStatus"] = max(run.statuses, key=WORST_LAST.index)
    outcome.events = run.events
    outcome.direct_prerequisites = run.direct_prerequisites
    return outcome


# --- 2. flags -----------------------------------------------------------------------------------


def evaluate_flag(run: Run, flag: Object, chain: list[str]) -> Outcome:
    """Go through the parts of a flag; the first that decides, decides."""
    if not flag_of(flag, "on"):
        return off(flag, {"kind": "OFF"})
    failed = failed_prerequisite(run, flag, [*chain, flag["key"]])
    if failed is not None:
        return off(flag, {"kind": "PREREQUISITE_FAILED", "prerequisiteKey": failed})
    target = matching_target(run, flag)
    if target is not None:
        return variation(flag, whole_or_zero(target, "variation"), {"kind": "TARGET_MATCH"})
    for index, rule in enumerate(objects(flag, "rules")):
        if all(clause_matches(run, clause, []) for clause in objects(rule, "clauses")):
            reason = {"kind": "RULE_MATCH", "ruleIndex": index, "ruleId": rule.get("id")}
            return variation_or_rollout(
                run, flag, rule, reason, tracked=flag_of(rule, "trackEvents")
            )
    tracked = flag_of(flag, "trackEventsFallthrough")
    last = flag.get("fallthrough") or {}
    return variation_or_rollout(run, flag, last, {"kind": "FALLTHROUGH"}, tracked=tracked)


def malformed() -> Outcome:
    """Return the result of a flag that makes no sense."""
    return Outcome(reason={"kind": "ERROR", "errorKind": "MALFORMED_FLAG"})


def variation(flag: Object, index: int, reason: Object) -> Outcome:
    """Return the variation at `index`."""
    values = objects(flag, "variations")
    if not 0 <= index < len(values):
        return malformed()
    return Outcome(values[index], index, reason)


def off(flag: Object, reason: Object) -> Outcome:
    """Return the off variation; without one the caller's default is used, which is no error."""
    index = whole(flag, "offVariation")
    return Outcome(reason=reason) if index is None else variation(flag, index, reason)


def variation_or_rollout(
    run: Run, flag: Object, owner: Object, reason: Object, *, tracked: bool
) -> Outcome:
    """Return the fixed variation of a rule or of the fallthrough, or what its rollout gives."""
    index, in_experiment = whole(owner, "variation"), False
    if index is None:
        rollout = owner.get("rollout") or {}
        if not objects(rollout, "variations"):
            return malformed()
        index, in_experiment = choose_arm(flag, rollout, run.context)
    if in_experiment:
        reason["inExperiment"] = True
    outcome = variation(flag, index, reason)
    outcome.experiment = outcome.index is not None and (in_experiment or tracked)
    return outcome


# --- 2.1 prerequisites --------------------------------------------------------------------------


def failed_prerequisite(run: Run, flag: Object, chain: list[str]) -> str | None:
    """Return the key of the first prerequisite that is not met."""
    for prerequisite in objects(flag, "prerequisites"):
        key = text(prerequisite, "key")
        if key in chain:
            raise MalformedFlag
        if len(chain) == 1:
            run.direct_prerequisites.append(key)
        required = run.world.flags.get(key)
        if required is None or flag_of(required, "deleted"):
            return key
        outcome = evaluate_flag(run, required, chain)
        run.events.append((key, flag["key"], outcome.index))
        wanted = whole_or_zero(prerequisite, "variation")
        if not flag_of(required, "on") or outcome.index != wanted:
            return key
    return None


# --- 2.2 targets --------------------------------------------------------------------------------


def matching_target(run: Run, flag: Object) -> Object | None:
    """Return the first target that names a key of the context."""
    for target in objects(flag, "contextTargets"):
        if names_context(run, entry_with_values(flag, target), kind_of(target)):
            return dict(target)
    if not objects(flag, "contextTargets"):
        for target in objects(flag, "targets"):
            if names_context(run, target, "user"):
                return dict(target)
    return None


def entry_with_values(flag: Object, target: Object) -> Object:
    """Return `target`, or for users the first entry of `targets` with the same variation."""
    if kind_of(target) != "user" or objects(target, "values"):
        return target
    wanted = whole_or_zero(target, "variation")
    for entry in objects(flag, "targets"):
        if whole_or_zero(entry, "variation") == wanted:
            return dict(entry)
    return {}


def names_context(run: Run, target: Object, kind: str) -> bool:
    """Tell whether the values of `target` have the context's key of that kind."""
    key = key_of(run.context, kind)
    return key is not None and key in objects(target, "values")


# --- 2.3 clauses --------------------------------------------------------------------------------


def clause_matches(run: Run, clause: Object, chain: list[str]) -> bool:
    """Tell whether a clause matches; `chain` has the keys of the segments it is part of."""
    negate = flag_of(clause, "negate")
    if text(clause, "op") == "segmentMatch":
        return negate != any(
            segment_matches(run, key, chain)
            for key in objects(clause, "values")
            if isinstance(key, str)
        )
    path = path_named_by(clause, "attribute", "contextKind")
    if path == ["kind"]:
        return negate != any(value_matches(clause, kind) for kind in members(run.context))
    member = members(run.context).get(kind_of(clause))
    if member is None:
        return False
    value = look_up(member, path)
    if value is None:
        return False
    if isinstance(value, list):
        return negate != any(value_matches(clause, one) for one in value)
    return negate != value_matches(clause, value)


def value_matches(clause: Object, value: Json) -> bool:
    """Tell whether `value` passes the operator with any of the clause's values."""
    op = text(clause, "op")
    return any(matches_operator(op, value, wanted) for wanted in objects(clause, "values"))


# --- 2.5 segments -------------------------------------------------------------------------------


def segment_matches(run: Run, key: str, chain: list[str]) -> bool:
    """Tell whether the context is in the segment called `key`; in none that nobody knows."""
    segment = run.world.segments.get(key)
    if segment is None or flag_of(segment, "deleted"):
        return False
    if key in chain:
        raise MalformedFlag
    is_big = flag_of(segment, "unbounded")
    listed = big_membership(run, segment) if is_big else listed_membership(run, segment)
    if listed is not None:
        return listed
    return any(
        segment_rule_matches(run, segment, rule, [*chain, key])
        for rule in objects(segment, "rules")
    )


def listed_membership(run: Run, segment: Object) -> bool | None:
    """Return what the lists of a segment say about the context, None if they say nothing."""
    user = key_of(run.context, "user")
    if user is not None and user in objects(segment, "included"):
        return True
    if any(names_context(run, one, kind_of(one)) for one in objects(segment, "includedContexts")):
        return True
    if user is not None and user in objects(segment, "excluded"):
        return False
    if any(names_context(run, one, kind_of(one)) for one in objects(segment, "excludedContexts")):
        return False
    return None


def segment_rule_matches(run: Run, segment: Object, rule: Object, chain: list[str]) -> bool:
    """Tell whether all clauses match and the context is in the rule's percentage."""
    if not all(clause_matches(run, clause, chain) for clause in objects(rule, "clauses")):
        return False
    return is_in_segment_share(segment, rule, run.context)


# --- 2.6 Big Segments ---------------------------------------------------------------------------


def big_membership(run: Run, segment: Object) -> bool | None:
    """Return what the Big Segment store says about the context, None if it says nothing."""
    generation = whole(segment, "generation")
    if generation is None:
        run.statuses.append("NOT_CONFIGURED")
        return False
    key = key_of(run.context, kind_of(segment, "unboundedContextKind"))
    if key is None:
        return False
    if run.world.memberships is None:
        run.statuses.append("NOT_CONFIGURED")
        return None
    status, included = run.world.memberships[key]
    run.statuses.append(status)
    return included.get(f"{segment['key']}.g{generation}")
