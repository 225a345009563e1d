"""Clauses as ready objects: where the value comes from, and the test it is put to.

Each has `matches(context, scope)`; only a clause about segments looks at the scope.
"""

from collections.abc import Iterable
from typing import Protocol, final

from flagkeep.evaluation.conditions import Condition, make_condition
from flagkeep.evaluation.inputs import Scope
from flagkeep.evaluation.operators import Test, make_test
from flagkeep.evaluation.result import Malformed
from flagkeep.model.attribute_ref import AttributeRef
from flagkeep.model.context import Context
from flagkeep.model.flag import Clause


class CompiledClause(Protocol):
    """One condition."""

    def matches(self, context: Context, scope: Scope) -> bool:
        """Whether `context` meets it."""
        ...


@final
class AttributeClause:
    """A condition on one top-level attribute."""

    __slots__ = ("condition", "kind", "name")

    def __init__(self, kind: str, name: str, condition: Condition) -> None:
        self.kind = kind
        self.name = name
        self.condition = condition

    def matches(self, context: Context, scope: Scope) -> bool:  # noqa: ARG002
        """Whether the attribute passes; a missing kind or attribute never does, even negated."""
        member = context if context.kind == self.kind else context.individual(self.kind)
        return member is not None and self.condition.holds(member.lookup.get(self.name))


@final
class PathClause:
    """A condition on an attribute inside objects."""

    __slots__ = ("condition", "kind", "path")

    def __init__(self, kind: str, path: tuple[str, ...], condition: Condition) -> None:
        self.kind = kind
        self.path = path
        self.condition = condition

    def matches(self, context: Context, scope: Scope) -> bool:  # noqa: ARG002
        """Whether the attribute passes; a missing kind or attribute never does, even negated."""
        member = context.individual(self.kind)
        return member is not None and self.condition.holds(attribute_at(member, self.path))


@final
class KindClause:
    """A test of the kinds that are in the context; the clause's own kind does not matter."""

    __slots__ = ("negate", "test")

    def __init__(self, test: Test, *, negate: bool) -> None:
        self.test = test
        self.negate = negate

    def matches(self, context: Context, scope: Scope) -> bool:  # noqa: ARG002
        """Whether any of the kinds passes."""
        members = context.members
        if not members:
            return self.test.matches(context.kind) is not self.negate
        return any(self.test.matches(member.kind) for member in members) is not self.negate


@final
class SegmentClause:
    """Whether the context is in any of several segments; one that does not exist has nobody."""

    __slots__ = ("keys", "negate")

    def __init__(self, keys: Iterable[str], *, negate: bool) -> None:
        self.keys = tuple(keys)
        self.negate = negate

    def matches(self, context: Context, scope: Scope) -> bool:
        """Whether one of the segments has it."""
        for key in self.keys:
            segment = scope.inputs.segment(key)
            if segment is not None and segment.contains(context, scope):
                return not self.negate
        return self.negate


@final
class BrokenClause:
    """A clause whose attribute reference is invalid: an evaluation that gets here fails."""

    __slots__ = ()

    def matches(self, context: Context, scope: Scope) -> bool:  # noqa: ARG002
        """Give up the evaluation."""
        raise Malformed


def attribute_at(member: Context, path: tuple[str, ...]) -> object:
    """Return the value at `path` in a single context, None if there is none; not into lists."""
    value: object = member.lookup
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def attribute_of(text: str, context_kind: str) -> AttributeRef:
    """Return what a clause or rollout means: without a context kind, a literal name."""
    return AttributeRef.parse(text) if context_kind else AttributeRef.literal(text)


def compile_clause(clause: Clause, problems: list[str]) -> CompiledClause:
    """Return the ready object; what can never match is named in `problems`."""
    negate = clause.negate
    if clause.op == "segmentMatch":
        keys = (value for value in clause.values if isinstance(value, str))
        return SegmentClause(keys, negate=negate)
    attribute = attribute_of(clause.attribute, clause.context_kind)
    if attribute.error is not None:
        problems.append(f"the attribute reference {clause.attribute!r}: {attribute.error}")
        return BrokenClause()
    if attribute.components == ("kind",):
        return KindClause(make_test(clause.op, clause.values, problems), negate=negate)
    condition = make_condition(clause.op, clause.values, problems, negate=negate)
    kind = clause.context_kind or Context.DEFAULT_KIND
    if len(attribute.components) > 1:
        return PathClause(kind, attribute.components, condition)
    return AttributeClause(kind, attribute.components[0], condition)
