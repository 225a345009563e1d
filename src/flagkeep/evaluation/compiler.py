"""A flag or segment -> ready objects, once per version, at first use."""

from collections.abc import Iterable

import msgspec

from flagkeep.evaluation.bucketing import limit_of, prefix_of, share_of
from flagkeep.evaluation.clauses import attribute_of, compile_clause
from flagkeep.evaluation.evaluator import (
    CompiledFlag,
    CompiledRollout,
    ConstantFlag,
    FlagFacts,
    JsonFlag,
    LinkedFlag,
    LookupFlag,
    PlainFlag,
    Prerequisite,
    Rule,
    Targets,
    rest_of,
)
from flagkeep.evaluation.result import FAILED, MALFORMED, Result
from flagkeep.evaluation.segments import CompiledSegment
from flagkeep.model.context import Context
from flagkeep.model.detail import FALLTHROUGH, OFF, TARGET_MATCH, Reason, ReasonKind
from flagkeep.model.flag import Flag, FlagRule, Rollout, Target, VariationOrRollout
from flagkeep.model.references import references
from flagkeep.model.segment import Segment


def compile_segment(segment: Segment) -> CompiledSegment:
    """Return a segment ready to be asked."""
    return CompiledSegment(segment)


def compile_flag(flag: Flag) -> CompiledFlag:
    """Return a flag ready to be evaluated, in the simplest form that does it justice.

    A flag that cannot be compiled is one that always fails, and says why in its `problems`: it
    must not take others with it.
    """
    try:
        return _compiled(flag)
    except RecursionError:  # the caller was deep in other flags already: this one is not to blame
        raise
    except Exception as exc:  # noqa: BLE001  whatever it is, it concerns this flag alone
        facts = _facts(flag, [f"it cannot be compiled: {exc!r}"])
        return ConstantFlag(facts, on=flag.on, result=FAILED)


def _compiled(flag: Flag) -> CompiledFlag:
    problems: list[str] = []
    rules = tuple(_rule(flag, index, rule, problems) for index, rule in enumerate(flag.rules))
    fallthrough = _outcome(
        flag, flag.fallthrough, FALLTHROUGH, problems, experiment=flag.track_events_fallthrough
    )
    facts = _facts(flag, problems)
    rest: LookupFlag | PlainFlag | ConstantFlag
    if not flag.on:
        rest = ConstantFlag(facts, on=False, result=_off(flag, OFF))
    elif not flag.targets and not flag.context_targets and not rules and not fallthrough.rollout:
        rest = ConstantFlag(facts, on=True, result=fallthrough.fixed)
    else:
        rest = rest_of(facts, _targets(flag), rules, fallthrough)
    compiled: CompiledFlag = rest
    if flag.on and facts.references:
        compiled = LinkedFlag(tuple(_prerequisites(flag)), rest)
    if any(isinstance(value, list | dict) for value in flag.variations):
        return JsonFlag(compiled)
    return compiled


def _facts(flag: Flag, problems: list[str]) -> FlagFacts:
    return FlagFacts(
        key=flag.key,
        version=flag.version,
        track_events=flag.track_events,
        debug_events_until_date=flag.debug_events_until_date,
        is_client_side=flag.is_client_side,
        sampling_ratio=flag.sampling_ratio,
        exclude_from_summaries=flag.exclude_from_summaries,
        check_ratio=None if flag.migration is None else flag.migration.check_ratio,
        references=references(flag),
        problems=tuple(problems),
    )


def _result(flag: Flag, index: int, reason: Reason, *, experiment: bool = False) -> Result:
    if 0 <= index < len(flag.variations):
        return Result(flag.variations[index], index, reason, experiment=experiment)
    return MALFORMED


def _off(flag: Flag, reason: Reason) -> Result:
    if flag.off_variation is None:
        return Result(None, None, reason)
    return _result(flag, flag.off_variation, reason)


def _prerequisites(flag: Flag) -> Iterable[Prerequisite]:
    for one in flag.prerequisites:
        reason = Reason(ReasonKind.PREREQUISITE_FAILED, prerequisite_key=one.key)
        yield Prerequisite(one.key, one.variation, _off(flag, reason))


def _targets(flag: Flag) -> Iterable[Targets]:
    """Yield results by key, in the order in which they are to be asked; the first hit wins."""
    # the older list is about users, whatever an entry says
    users = [msgspec.structs.replace(one, context_kind="") for one in flag.targets]
    if not flag.context_targets:
        yield from _merged(flag, users)
        return
    ordered = []
    for target in flag.context_targets:
        is_user = (target.context_kind or Context.DEFAULT_KIND) == Context.DEFAULT_KIND
        if is_user and not target.values:
            # user keys still live in the older list, under the same variation
            ordered += [one for one in users if one.variation == target.variation][:1]
        else:
            ordered.append(target)
    yield from _merged(flag, ordered)


def _merged(flag: Flag, targets: Iterable[Target]) -> Iterable[Targets]:
    """Yield `targets` with neighbours of one kind put together."""
    open_kind = ""
    results: dict[str, Result] = {}
    for target in targets:
        kind = target.context_kind or Context.DEFAULT_KIND
        if kind != open_kind and results:
            yield Targets(open_kind, results)
            results = {}
        open_kind = kind
        result = _result(flag, target.variation, TARGET_MATCH)
        for key in target.values:
            results.setdefault(key, result)
    if results:
        yield Targets(open_kind, results)


def _rule(flag: Flag, index: int, rule: FlagRule, problems: list[str]) -> Rule:
    reason = Reason(ReasonKind.RULE_MATCH, rule_index=index, rule_id=rule.id)
    outcome = _outcome(flag, rule, reason, problems, experiment=rule.track_events)
    clauses = tuple(compile_clause(clause, problems) for clause in rule.clauses)
    return outcome._replace(clauses=clauses)


def _outcome(
    flag: Flag,
    outcome: VariationOrRollout | FlagRule,
    reason: Reason,
    problems: list[str],
    *,
    experiment: bool,
) -> Rule:
    if outcome.variation is not None:
        fixed = _result(flag, outcome.variation, reason, experiment=experiment)
        return Rule((), fixed, None)
    if outcome.rollout is None or not outcome.rollout.variations:
        return Rule((), MALFORMED, None)
    rollout = _rollout(flag, outcome.rollout, reason, problems, experiment=experiment)
    return Rule((), MALFORMED, rollout)


def _rollout(
    flag: Flag, rollout: Rollout, reason: Reason, problems: list[str], *, experiment: bool
) -> CompiledRollout:
    is_experiment = rollout.kind == "experiment"
    by = "" if is_experiment else rollout.bucket_by
    attribute = attribute_of(by or "key", rollout.context_kind)
    if attribute.error is not None:
        problems.append(f"the attribute reference {by!r}: {attribute.error}")
    tracked = msgspec.structs.replace(reason, in_experiment=True)
    total, arms, plain = 0.0, [], []
    for arm in rollout.variations:
        total += share_of(arm.weight)
        limit = limit_of(total)
        without = _result(flag, arm.variation, reason, experiment=experiment)
        plain.append((limit, without))
        if is_experiment and not arm.untracked:
            arms.append((limit, _result(flag, arm.variation, tracked, experiment=True)))
        else:
            arms.append((limit, without))
    return CompiledRollout(
        kind=rollout.context_kind or Context.DEFAULT_KIND,
        path=attribute.components,
        prefix=prefix_of(flag.key, flag.salt, seed=rollout.seed),
        arms=tuple(arms),
        without_kind=next((result for limit, result in plain if limit), plain[-1][1]),
    )
