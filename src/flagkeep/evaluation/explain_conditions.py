"""Clauses and segments explained: every verdict is the compiled form's, here it is arranged.

To learn *why* a segment has a context, the compiled form of a smaller segment is asked: one
without rules, one with a rule for everybody, one with a single list.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from flagkeep.evaluation.clauses import (
    CompiledClause,
    SegmentClause,
    attribute_at,
    attribute_of,
    compile_clause,
)
from flagkeep.evaluation.compiler import compile_segment
from flagkeep.evaluation.explain_rollouts import explain_share
from flagkeep.evaluation.explanation import (
    ClauseExplanation,
    SegmentExplanation,
    SegmentRuleExplanation,
)
from flagkeep.evaluation.inputs import Inputs, Scope
from flagkeep.evaluation.result import Malformed
from flagkeep.model.context import Context
from flagkeep.model.detail import BigSegmentsStatus
from flagkeep.model.flag import Clause, Flag
from flagkeep.model.segment import Segment, SegmentRule, SegmentTarget

Chain = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """A context in an environment.

    Attributes:
        flag: returns the model of a flag; None if there is no such flag.
        segment: likewise.
        inputs: the same environment, compiled.
    """

    context: Context
    flag: Callable[[str], Flag | None]
    segment: Callable[[str], Segment | None]
    inputs: Inputs


def explain_clauses(
    clauses: Sequence[Clause], case: Case, chain: Chain = ()
) -> tuple[bool | None, tuple[ClauseExplanation, ...]]:
    """Return whether all match, and each that was asked: none after one that did not match.

    Args:
        chain: keys of the segments that are being asked, outermost first.
    """
    asked = []
    for clause in clauses:
        explained = explain_clause(clause, case, chain)
        asked.append(explained)
        if not explained.matched:
            return explained.matched, tuple(asked)
    return True, tuple(asked)


def explain_clause(clause: Clause, case: Case, chain: Chain = ()) -> ClauseExplanation:
    """Return whether one clause matches, and what it looked at."""
    problems: list[str] = []
    compiled = compile_clause(clause, problems)
    matched = _verdict(lambda scope: compiled.matches(case.context, scope), case, chain)
    segments = tuple(_segments(compiled, case, chain))
    if matched is None and segments:
        problems.append(f"segment {segments[-1].key!r}: {segments[-1].problem}")
    actual, note = (None, "") if segments or clause.op == "segmentMatch" else _actual(clause, case)
    return ClauseExplanation(
        context_kind=clause.context_kind or Context.DEFAULT_KIND,
        attribute=clause.attribute,
        op=clause.op,
        values=clause.values,
        negate=clause.negate,
        actual=actual,
        matched=matched,
        note=note,
        problem="; ".join(problems),
        segments=segments,
    )


def _verdict(ask: Callable[[Scope], bool], case: Case, chain: Chain) -> bool | None:
    scope = Scope(case.inputs)
    scope.segment_chain.extend(chain)
    try:
        return ask(scope)
    except Malformed:
        return None


def _actual(clause: Clause, case: Case) -> tuple[Any, str]:
    attribute = attribute_of(clause.attribute, clause.context_kind)
    if attribute.error is not None:
        return None, ""
    context = case.context
    if attribute.components == ("kind",):
        return [one.kind for one in context.members] or context.kind, ""
    kind = clause.context_kind or Context.DEFAULT_KIND
    member = context.individual(kind)
    if member is None:
        return None, f"the context has no kind {kind!r}"
    found = attribute_at(member, attribute.components)
    return found, "the context has no such attribute" if found is None else ""


# --- segments ----------------------------------------------------------------------------------


def _segments(clause: CompiledClause, case: Case, chain: Chain) -> Iterable[SegmentExplanation]:
    """Yield the segments that are asked: none after one that has the context, or is broken."""
    if not isinstance(clause, SegmentClause):
        return
    for key in clause.keys:
        explained = _segment(key, case, chain)
        yield explained
        if explained.contains is not False:
            return


def _segment(key: str, case: Case, chain: Chain) -> SegmentExplanation:
    segment, compiled = case.segment(key), case.inputs.segment(key)
    if segment is None or compiled is None:
        problem = "there is no such segment"
        return SegmentExplanation(key=key, contains=False, decided_by="missing", problem=problem)
    if key in chain:
        problem = f"segments in a circle: {' -> '.join((*chain, key))}"
        return SegmentExplanation(key=key, contains=None, decided_by="problem", problem=problem)
    scope = Scope(case.inputs)
    scope.segment_chain.extend(chain)
    contains: bool | None
    try:
        contains = compiled.contains(case.context, scope)
    except Malformed:
        contains = None
    explained = SegmentExplanation(
        key=key,
        version=segment.version,
        contains=contains,
        decided_by="nothing",
        problem=_big_segment_problem(segment, case) if segment.unbounded else "",
        big_segments_status=scope.status if segment.unbounded else None,
    )
    by_list = _by_list(segment, case)
    if by_list is not None:
        decided_by, entry = by_list
        return msgspec.structs.replace(explained, decided_by=decided_by, entry=entry)
    return _with_rules(explained, segment, case, (*chain, key))


def _by_list(segment: Segment, case: Case) -> tuple[str, str] | None:
    """Return which list decides; None if the rules do."""
    everybody = msgspec.structs.replace(segment, rules=[SegmentRule()])
    is_included = _has(msgspec.structs.replace(segment, rules=[]), case)
    if not is_included and _has(everybody, case):
        return None
    if segment.unbounded:
        return "membership", ""
    name = "included" if is_included else "excluded"
    users: list[str] = getattr(segment, name)
    contexts: list[SegmentTarget] = getattr(segment, f"{name}_contexts")
    entries = {name: SegmentTarget(values=users)}
    entries |= {f"{name}Contexts[{index}]": entry for index, entry in enumerate(contexts)}
    alone = (
        (entry_name, Segment(key=segment.key, version=0, included_contexts=[entry]))
        for entry_name, entry in entries.items()
    )
    return name, next(entry_name for entry_name, asked in alone if _has(asked, case))


def _has(segment: Segment, case: Case) -> bool:
    """Ask the compiled form of a segment without clauses, which cannot be malformed."""
    return compile_segment(segment).contains(case.context, Scope(case.inputs))


def _with_rules(
    explained: SegmentExplanation, segment: Segment, case: Case, chain: Chain
) -> SegmentExplanation:
    rules = []
    for index, rule in enumerate(segment.rules):
        matched, clauses = explain_clauses(rule.clauses, case, chain)
        share = explain_share(segment, rule, case.context) if matched else None
        if share is not None:
            matched = share.inside
        one = SegmentRuleExplanation(
            index=index,
            id=rule.id,
            matched=matched,
            clauses=clauses,
            unasked=len(rule.clauses) - len(clauses),
            share=share,
        )
        rules.append(one)
        if matched is not False:
            break
    if not rules or rules[-1].matched is False:
        return msgspec.structs.replace(explained, rules=tuple(rules))
    decided_by = "rule" if rules[-1].matched else "problem"
    problem = "" if rules[-1].matched else _problem_of(rules[-1])
    return msgspec.structs.replace(
        explained,
        rules=tuple(rules),
        decided_by=decided_by,
        problem=problem or explained.problem,
    )


def _problem_of(rule: SegmentRuleExplanation) -> str:
    if rule.share is not None:
        return rule.share.bucket.note
    return rule.clauses[-1].problem if rule.clauses else ""


def _big_segment_problem(segment: Segment, case: Case) -> str:
    kind = segment.unbounded_context_kind or Context.DEFAULT_KIND
    if segment.generation is None:
        return "it is a Big Segment without a generation"
    if case.context.individual(kind) is None:
        return f"it is a Big Segment of kind {kind!r}, which the context does not have"
    if case.inputs.memberships is None:
        status = BigSegmentsStatus.NOT_CONFIGURED.value
        return f"it is a Big Segment, and its members are not at hand here ({status})"
    return ""
