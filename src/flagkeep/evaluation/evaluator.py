"""Flags as ready objects, and their evaluation (evaluation spec, section 2).

Three forms, by what can happen in them: a flag whose answer is always the same, one that looks at
the context only, and one that needs other flags or segments. Results are made once, when the flag
is compiled, and shared by all evaluations.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol, final

import msgspec

from flagkeep.evaluation.bucketing import bucketable, digest_of, encoded
from flagkeep.evaluation.clauses import AttributeClause, CompiledClause, attribute_at
from flagkeep.evaluation.inputs import Inputs, Scope
from flagkeep.evaluation.result import MALFORMED, Malformed, PrerequisiteResult, Result
from flagkeep.model.context import Context
from flagkeep.model.item import ItemRef
from flagkeep.model.values import copy_decoded


class FlagFacts(msgspec.Struct, frozen=True):
    """What others want to know of a flag besides its value.

    Attributes:
        references: flags and segments it may need.
        problems: parts of it that can never match, in words.
        check_ratio: of a migration flag, else None.
    """

    key: str
    version: int
    track_events: bool
    debug_events_until_date: float | None
    is_client_side: bool
    sampling_ratio: int
    exclude_from_summaries: bool
    check_ratio: int | None
    references: tuple[ItemRef, ...]
    problems: tuple[str, ...]


class CompiledFlag(Protocol):
    """A flag, ready to be evaluated.

    Attributes:
        on: whether targeting is on; a prerequisite that is off has failed.
    """

    facts: FlagFacts
    on: bool

    def evaluate(self, context: Context, inputs: Inputs, /) -> Result:
        """Return the outcome for a valid `context`; raises only `InputMissing`."""
        ...

    def decide(self, context: Context, scope: Scope, /) -> Result:
        """Return the outcome within a running evaluation; raises `Malformed` to end it."""
        ...


def evaluate(flag: CompiledFlag, context: Context, inputs: Inputs) -> Result:
    """Return the outcome of `flag` for a valid `context`.

    Raises:
        InputMissing: `inputs` lacks something; evaluation is pure, so it can be run again.
    """
    return flag.evaluate(context, inputs)


class Targets(NamedTuple):
    """Results by context key, for one kind."""

    kind: str
    results: dict[str, Result]


class Rule(NamedTuple):
    """Conditions, and what follows: `fixed`, or what `rollout` chooses."""

    clauses: tuple[CompiledClause, ...]
    fixed: Result
    rollout: "CompiledRollout | None"


@final
class CompiledRollout:
    """Arms to choose from.

    Attributes:
        kind: whose attribute counts.
        path: of that attribute; empty if the reference is invalid.
        by_key: whether it is simply the key.
        prefix: of the text that is hashed.
        arms: limit (see `bucketing`) and result, in order.
        last: the result beyond all limits.
        zero: the result of bucket 0.
        without_kind: the result for a context that lacks the kind.
    """

    __slots__ = ("arms", "by_key", "kind", "last", "path", "prefix", "without_kind", "zero")

    def __init__(
        self,
        *,
        kind: str,
        path: tuple[str, ...],
        prefix: str,
        arms: tuple[tuple[bytes, Result], ...],
        without_kind: Result,
    ) -> None:
        self.kind = kind
        self.path = path
        self.by_key = path == ("key",)
        self.prefix = prefix
        self.arms = arms
        self.last = arms[-1][1]
        self.zero = next((result for limit, result in arms if limit), self.last)
        self.without_kind = without_kind

    def choose(self, context: Context) -> Result:
        """Return the arm for `context`."""
        member = context if context.kind == self.kind else context.individual(self.kind)
        if self.by_key:
            if member is None:
                return self.without_kind
            value = member.key
        else:
            if not self.path:
                raise Malformed
            if member is None:
                return self.without_kind
            found = bucketable(attribute_at(member, self.path))
            if found is None:
                return self.zero
            value = found
        try:
            text = (self.prefix + value).encode()
        except UnicodeEncodeError:
            text = encoded(self.prefix + value)
        digest = digest_of(text).digest()
        for limit, result in self.arms:
            if digest < limit:
                return result
        return self.last


@final
class ConstantFlag:
    """A flag with one answer for everybody."""

    __slots__ = ("facts", "on", "result")

    def __init__(self, facts: FlagFacts, *, on: bool, result: Result) -> None:
        self.facts = facts
        self.on = on
        self.result = result

    def evaluate(self, context: Context, inputs: Inputs, /) -> Result:  # noqa: ARG002
        """Return the answer."""
        return self.result

    def decide(self, context: Context, scope: Scope, /) -> Result:  # noqa: ARG002
        """Return the answer."""
        return self.result


# What the inner loops go over are plain tuples: CPython takes those apart at once, but a named
# tuple, being a subclass, through its iterator (0.1 µs each).
ByKey = tuple[tuple[str, dict[str, Result]], ...]
Outcome = tuple[Result, CompiledRollout | None]


@final
class LookupFlag:
    """A flag that is on and asks for top-level attributes of one kind only, as nearly all do.

    Attributes:
        targets: kind, and results by key.
        kind: whose attributes the rules ask for.
        rules: names and conditions that must all hold, then the outcome as in `fallthrough`.
        fallthrough: the result, or the rollout that chooses it. None of them raises.
    """

    __slots__ = ("facts", "fallthrough", "kind", "on", "rules", "targets")

    def __init__(
        self,
        facts: FlagFacts,
        targets: Iterable[Targets],
        rules: Iterable[Rule],
        fallthrough: Rule,
        *,
        kind: str,
    ) -> None:
        self.facts = facts
        self.on = True
        self.kind = kind
        self.targets: ByKey = tuple((kind, results) for kind, results in targets)
        self.rules = tuple(
            (
                tuple(
                    (clause.name, clause.condition.holds)
                    for clause in rule.clauses
                    if isinstance(clause, AttributeClause)
                ),
                rule.fixed,
                rule.rollout,
            )
            for rule in rules
        )
        self.fallthrough: Outcome = (fallthrough.fixed, fallthrough.rollout)

    def evaluate(self, context: Context, _: object, /) -> Result:
        """Return the first that applies: target, rule, fallthrough."""
        for kind, results in self.targets:
            member = context if context.kind == kind else context.individual(kind)
            if member is not None:
                hit = results.get(member.key)
                if hit is not None:
                    return hit
        if self.rules:
            member = context if context.kind == self.kind else context.individual(self.kind)
            attribute = (NO_ATTRIBUTES if member is None else member.lookup).get
            for conditions, fixed, rollout in self.rules:
                for name, holds in conditions:
                    if not holds(attribute(name)):
                        break
                else:
                    return fixed if rollout is None else rollout.choose(context)
        fixed, rollout = self.fallthrough
        return fixed if rollout is None else rollout.choose(context)

    decide = evaluate


NO_ATTRIBUTES: Final[dict[str, Any]] = {}


@final
class PlainFlag:
    """A flag that is on and needs nothing but the context, or that another form asks last."""

    __slots__ = ("facts", "fallthrough", "on", "rules", "targets")

    def __init__(
        self,
        facts: FlagFacts,
        targets: Iterable[Targets],
        rules: Iterable[Rule],
        fallthrough: Rule,
    ) -> None:
        self.facts = facts
        self.on = True
        self.targets: ByKey = tuple((kind, results) for kind, results in targets)
        self.rules = tuple((rule.clauses, rule.fixed, rule.rollout) for rule in rules)
        self.fallthrough: Outcome = (fallthrough.fixed, fallthrough.rollout)

    def evaluate(self, context: Context, _: Inputs, /) -> Result:
        """Return the outcome."""
        try:
            return self.decide(context, None)
        except Malformed:
            return MALFORMED

    def decide(self, context: Context, scope: Scope | None, /) -> Result:
        """Return the first that applies: target, rule, fallthrough."""
        for kind, results in self.targets:
            member = context if context.kind == kind else context.individual(kind)
            if member is not None:
                hit = results.get(member.key)
                if hit is not None:
                    return hit
        for clauses, fixed, rollout in self.rules:
            for clause in clauses:
                if not clause.matches(context, scope):  # type: ignore[arg-type]  # without segments nobody looks at the scope
                    break
            else:
                return fixed if rollout is None else rollout.choose(context)
        fixed, rollout = self.fallthrough
        return fixed if rollout is None else rollout.choose(context)


def rest_of(
    facts: FlagFacts, targets: Iterable[Targets], rules: Sequence[Rule], fallthrough: Rule
) -> "LookupFlag | PlainFlag":
    """Return what follows the prerequisites, in the simplest form."""
    clauses = [clause for rule in rules for clause in rule.clauses]
    kinds = {clause.kind for clause in clauses if isinstance(clause, AttributeClause)}
    simple = all(isinstance(clause, AttributeClause) for clause in clauses) and len(kinds) <= 1
    rollouts = [one.rollout for one in (*rules, fallthrough) if one.rollout is not None]
    if simple and all(rollout.path for rollout in rollouts):
        kind = next(iter(kinds), Context.DEFAULT_KIND)
        return LookupFlag(facts, targets, rules, fallthrough, kind=kind)
    return PlainFlag(facts, targets, rules, fallthrough)


class Prerequisite(NamedTuple):
    """Another flag that must be on and give `variation`."""

    key: str
    variation: int
    failed: Result


@final
class LinkedFlag:
    """A flag that is on and needs other flags or segments."""

    __slots__ = ("facts", "on", "prerequisites", "rest")

    def __init__(
        self, prerequisites: tuple[Prerequisite, ...], rest: LookupFlag | PlainFlag | ConstantFlag
    ) -> None:
        self.facts = rest.facts
        self.on = rest.on
        self.prerequisites = prerequisites
        self.rest = rest

    def evaluate(self, context: Context, inputs: Inputs, /) -> Result:
        """Return the outcome, with everything that was met on the way."""
        scope = Scope(inputs)
        try:
            result = self.decide(context, scope)
        except Malformed:
            result = MALFORMED
        if scope.status is None and not self.prerequisites:
            return result
        reason = result.reason
        if scope.status is not None:
            reason = msgspec.structs.replace(reason, big_segments_status=scope.status)
        return Result(
            result.value,
            result.index,
            reason,
            experiment=result.experiment,
            prerequisites=tuple(scope.prerequisites),
            direct_prerequisites=tuple(scope.direct),
        )

    def decide(self, context: Context, scope: Scope, /) -> Result:
        """Return the outcome within a running evaluation."""
        if not scope.inputs.complete:
            scope.inputs.demand(self.facts.references)
        if self.prerequisites:
            scope.flag_chain.append(self.facts.key)
            failed = self._failed_prerequisite(context, scope)
            scope.flag_chain.pop()
            if failed is not None:
                return failed
        return self.rest.decide(context, scope)

    def _failed_prerequisite(self, context: Context, scope: Scope, /) -> Result | None:
        chain = scope.flag_chain
        for key, variation, failed in self.prerequisites:
            if key in chain:
                raise Malformed
            if len(chain) == 1:
                scope.direct.append(key)
            flag = scope.inputs.flag(key)
            if flag is None:
                return failed
            result = flag.decide(context, scope)
            scope.prerequisites.append(PrerequisiteResult(flag, result, self.facts.key))
            if not flag.on or result.index != variation:
                return failed
        return None


@final
class JsonFlag:
    """A flag whose values are lists or objects: every caller gets its own."""

    __slots__ = ("facts", "flag", "on")

    def __init__(self, flag: CompiledFlag) -> None:
        self.facts = flag.facts
        self.on = flag.on
        self.flag = flag

    def evaluate(self, context: Context, inputs: Inputs, /) -> Result:
        """Return the outcome with a copy of the value."""
        result = self.flag.evaluate(context, inputs)
        value = result.value
        if not isinstance(value, (list, dict)):
            return result
        return Result(
            copy_decoded(value),
            result.index,
            result.reason,
            experiment=result.experiment,
            prerequisites=result.prerequisites,
            direct_prerequisites=result.direct_prerequisites,
        )

    def decide(self, context: Context, scope: Scope, /) -> Result:
        """Return the outcome within a running evaluation, whose value nobody gets."""
        return self.flag.decide(context, scope)
