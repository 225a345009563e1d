"""Segments as ready objects (evaluation spec, sections 2.5 and 2.6)."""

from collections.abc import Iterable
from typing import NamedTuple, final

from flagkeep.evaluation.bucketing import (
    bucketable,
    digest_of,
    encoded,
    limit_of,
    prefix_of,
    share_of,
)
from flagkeep.evaluation.clauses import CompiledClause, attribute_at, attribute_of, compile_clause
from flagkeep.evaluation.inputs import InputMissing, Scope
from flagkeep.evaluation.result import Malformed
from flagkeep.model.context import Context
from flagkeep.model.detail import BigSegmentsStatus
from flagkeep.model.item import ItemRef
from flagkeep.model.references import references
from flagkeep.model.segment import Segment, SegmentRule, SegmentTarget

Keys = tuple[tuple[str, frozenset[str]], ...]


class CompiledRule(NamedTuple):
    """A rule of a segment."""

    clauses: tuple[CompiledClause, ...]
    share: "Share | None"


@final
class Share:
    """The part of the matching contexts that a rule with a weight lets in."""

    __slots__ = ("kind", "limit", "path", "prefix")

    def __init__(self, segment: Segment, rule: SegmentRule, weight: int) -> None:
        self.kind = rule.rollout_context_kind or Context.DEFAULT_KIND
        attribute = attribute_of(rule.bucket_by or "key", rule.rollout_context_kind)
        self.path = attribute.components  # empty: the reference is invalid
        self.prefix = prefix_of(segment.key, segment.salt, seed=None)
        self.limit = limit_of(share_of(weight))

    def lets_in(self, context: Context) -> bool:
        """Whether `context` is in that part; one without the kind never is."""
        if not self.path:
            raise Malformed
        member = context.individual(self.kind)
        if member is None:
            return False
        value = bucketable(attribute_at(member, self.path))
        if value is None:
            return self.limit != b""  # bucket 0
        digest: bytes = digest_of(encoded(self.prefix + value)).digest()
        return digest < self.limit


@final
class CompiledSegment:
    """A segment, ready to be asked.

    Attributes:
        references: other segments it may ask.
        problems: parts of it that can never match, in words.
    """

    __slots__ = (
        "big_reference",
        "excluded",
        "included",
        "key",
        "problems",
        "references",
        "rules",
        "unbounded",
        "unbounded_kind",
        "version",
    )

    def __init__(self, segment: Segment) -> None:
        problems: list[str] = []
        self.key = segment.key
        self.version = segment.version
        self.included = _keys(segment.included, segment.included_contexts)
        self.excluded = _keys(segment.excluded, segment.excluded_contexts)
        self.rules = tuple(
            CompiledRule(
                tuple(compile_clause(clause, problems) for clause in rule.clauses),
                None if rule.weight is None else Share(segment, rule, rule.weight),
            )
            for rule in segment.rules
        )
        self.unbounded = segment.unbounded
        self.unbounded_kind = segment.unbounded_context_kind or Context.DEFAULT_KIND
        generation = segment.generation
        self.big_reference = None if generation is None else f"{segment.key}.g{generation}"
        self.references: tuple[ItemRef, ...] = references(segment)
        self.problems = tuple(problems)

    def contains(self, context: Context, scope: Scope) -> bool:
        """Whether `context` belongs to it."""
        if self.key in scope.segment_chain:
            raise Malformed
        if not scope.inputs.complete:
            scope.inputs.demand(self.references)
        scope.segment_chain.append(self.key)
        ask = self._big_membership if self.unbounded else self._listed
        listed = ask(context, scope)
        found = self._has_rule_for(context, scope) if listed is None else listed
        scope.segment_chain.pop()
        return found

    def _listed(self, context: Context, _scope: Scope) -> bool | None:
        """Whether the lists include or exclude it; None if neither."""
        if _has(self.included, context):
            return True
        return False if _has(self.excluded, context) else None

    def _has_rule_for(self, context: Context, scope: Scope) -> bool:
        for clauses, share in self.rules:
            for clause in clauses:
                if not clause.matches(context, scope):
                    break
            else:
                if share is None or share.lets_in(context):
                    return True
        return False

    def _big_membership(self, context: Context, scope: Scope) -> bool | None:
        """Whether the Big Segment store includes or excludes it; None if neither."""
        if self.big_reference is None:
            scope.saw_status(BigSegmentsStatus.NOT_CONFIGURED)
            return False
        member = context.individual(self.unbounded_kind)
        if member is None:
            return False
        memberships = scope.inputs.memberships
        if memberships is None:
            scope.saw_status(BigSegmentsStatus.NOT_CONFIGURED)
            return None
        membership = memberships.get(member.key)
        if membership is None:
            raise InputMissing(memberships=(member.key,))
        scope.saw_status(membership.status)
        return membership.included.get(self.big_reference)


def _keys(users: Iterable[str], contexts: Iterable[SegmentTarget]) -> Keys:
    """Return all lists as sets by kind."""
    by_kind: dict[str, set[str]] = {}
    if users := set(users):
        by_kind[Context.DEFAULT_KIND] = users
    for target in contexts:
        kind = target.context_kind or Context.DEFAULT_KIND
        by_kind.setdefault(kind, set()).update(target.values)
    return tuple((kind, frozenset(keys)) for kind, keys in by_kind.items())


def _has(lists: Keys, context: Context) -> bool:
    for kind, keys in lists:
        member = context if context.kind == kind else context.individual(kind)
        if member is not None and member.key in keys:
            return True
    return False
