"""Why a flag has its value for a context: which prerequisite, target, rule, segment and bucket.

This is no second evaluator. The outcome is `evaluate`'s, and whether a part matched is asked of
the compiled form of that part; here the answers are put in order. A property test holds the path
that is shown and the outcome together.
"""

from collections.abc import Iterable

import msgspec

from flagkeep.evaluation.compiler import compile_flag
from flagkeep.evaluation.evaluator import CompiledFlag, evaluate
from flagkeep.evaluation.explain_conditions import Case, Chain, explain_clauses
from flagkeep.evaluation.explain_rollouts import NOTHING, explain_outcome, explain_variation
from flagkeep.evaluation.explanation import (
    FlagExplanation,
    OutcomeExplanation,
    PrerequisiteExplanation,
    RuleExplanation,
    TargetExplanation,
)
from flagkeep.evaluation.inputs import Scope
from flagkeep.evaluation.result import MALFORMED, Malformed, Result
from flagkeep.model.context import Context
from flagkeep.model.detail import ReasonKind
from flagkeep.model.flag import Flag, Prerequisite, Target, VariationOrRollout

__all__ = ["Case", "explain_flag"]


def explain_flag(flag: Flag, case: Case) -> FlagExplanation:
    """Return what `flag` evaluates to for the context of `case`, and why.

    Raises:
        InputMissing: as `evaluate` does; hand everything in.
    """
    compiled = case.inputs.flag(flag.key) or compile_flag(flag)
    return _explained(flag, evaluate(compiled, case.context, case.inputs), case, ())


def _explained(flag: Flag, result: Result, case: Case, chain: Chain) -> FlagExplanation:
    explained = FlagExplanation(
        key=flag.key,
        version=flag.version,
        on=flag.on,
        value=result.value,
        variation=result.index,
        reason=result.reason.to_dict(),
    )
    if not flag.on:
        return _with_outcome(explained, _off(flag))
    prerequisites = tuple(_prerequisites(flag, case, (*chain, flag.key)))
    explained = msgspec.structs.replace(explained, prerequisites=prerequisites)
    if prerequisites and prerequisites[-1].satisfied is None:
        last = prerequisites[-1]
        problem = f"prerequisite {last.key!r}: {last.problem}"
        return msgspec.structs.replace(explained, problem=problem)
    if prerequisites and not prerequisites[-1].satisfied:
        return _with_outcome(explained, _off(flag))
    target = _target(flag, case)
    if target is not None:
        problem = explain_variation(flag, target.variation).problem
        return msgspec.structs.replace(explained, target=target, problem=problem)
    return _with_rules(explained, flag, case)


def _with_outcome(explained: FlagExplanation, outcome: OutcomeExplanation) -> FlagExplanation:
    return msgspec.structs.replace(explained, outcome=outcome, problem=outcome.problem)


def _off(flag: Flag) -> OutcomeExplanation:
    if flag.off_variation is None:
        return OutcomeExplanation()
    return explain_variation(flag, flag.off_variation)


# --- prerequisites -----------------------------------------------------------------------------


def _prerequisites(flag: Flag, case: Case, chain: Chain) -> Iterable[PrerequisiteExplanation]:
    """Yield those that are looked at: none after one that is not satisfied."""
    for wanted in flag.prerequisites:
        explained = _prerequisite(wanted, case, chain)
        yield explained
        if not explained.satisfied:
            return


def _prerequisite(wanted: Prerequisite, case: Case, chain: Chain) -> PrerequisiteExplanation:
    key, variation = wanted.key, wanted.variation
    model, compiled = case.flag(key), case.inputs.flag(key)
    if key in chain:
        problem = f"prerequisites in a circle: {' -> '.join((*chain, key))}"
        return PrerequisiteExplanation(
            key=key, variation=variation, satisfied=None, problem=problem
        )
    if model is None or compiled is None:
        return PrerequisiteExplanation(
            key=key, variation=variation, satisfied=False, problem="there is no such flag"
        )
    result = _decided(compiled, case, chain)
    if result is None:
        inner = _explained(model, MALFORMED, case, chain)
        return PrerequisiteExplanation(
            key=key, variation=variation, satisfied=None, problem=inner.problem, flag=inner
        )
    inner = _explained(model, result, case, chain)
    problem = "" if compiled.on else "it is off, and then it never counts, whatever its value"
    return PrerequisiteExplanation(
        key=key,
        variation=variation,
        satisfied=compiled.on and result.index == variation,
        problem=problem,
        flag=inner,
    )


def _decided(compiled: CompiledFlag, case: Case, chain: Chain) -> Result | None:
    """Return the outcome of a prerequisite; None if it ends the whole evaluation."""
    scope = Scope(case.inputs)
    scope.flag_chain.extend(chain)
    try:
        return compiled.decide(case.context, scope)
    except Malformed:
        return None


# --- targets and rules -------------------------------------------------------------------------


def _target(flag: Flag, case: Case) -> TargetExplanation | None:
    """Return the first target that has the context's key."""
    if flag.context_targets:
        for index, target in enumerate(flag.context_targets):
            alone = msgspec.structs.replace(flag, context_targets=[target])
            if _is_targeted(alone, case):
                return _hit(f"contextTargets[{index}]", target, target.context_kind, case)
        return None
    for index, target in enumerate(flag.targets):
        if _is_targeted(msgspec.structs.replace(flag, targets=[target]), case):
            return _hit(f"targets[{index}]", target, "", case)  # these are about users
    return None


def _hit(entry: str, target: Target, context_kind: str, case: Case) -> TargetExplanation:
    kind = context_kind or Context.DEFAULT_KIND
    member = case.context.individual(kind)
    key = "" if member is None else member.key
    return TargetExplanation(entry=entry, context_kind=kind, key=key, variation=target.variation)


def _is_targeted(flag: Flag, case: Case) -> bool:
    """Ask the compiled form of a flag that has nothing but these targets."""
    asked = Flag(
        key=flag.key,
        version=0,
        on=True,
        variations=[None],
        fallthrough=VariationOrRollout(variation=0),
        targets=flag.targets,
        context_targets=flag.context_targets,
    )
    # A target whose variation does not exist is malformed: anything but falling through is a hit.
    result = compile_flag(asked).evaluate(case.context, NOTHING)
    return result.reason.kind is not ReasonKind.FALLTHROUGH


def _with_rules(explained: FlagExplanation, flag: Flag, case: Case) -> FlagExplanation:
    rules = []
    for index, rule in enumerate(flag.rules):
        matched, clauses = explain_clauses(rule.clauses, case)
        one = RuleExplanation(
            index=index,
            id=rule.id,
            matched=matched,
            clauses=clauses,
            unasked=len(rule.clauses) - len(clauses),
        )
        rules.append(one)
        if matched is False:
            continue
        unasked = len(flag.rules) - len(rules)
        explained = msgspec.structs.replace(explained, rules=tuple(rules), unasked_rules=unasked)
        if matched is None:
            problem = f"rule {index}: {clauses[-1].problem}"
            return msgspec.structs.replace(explained, problem=problem)
        return _with_outcome(explained, explain_outcome(flag, rule, case.context))
    explained = msgspec.structs.replace(explained, rules=tuple(rules))
    return _with_outcome(explained, explain_outcome(flag, flag.fallthrough, case.context))
