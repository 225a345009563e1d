"""What an explanation is made of: a tree of plain facts, for people and, as JSON, for programs.

`None` for a verdict means that nobody asked, or that the evaluation was given up there; the
problem beside it says which.
"""

from typing import Any

import msgspec

from flagkeep.model.detail import BigSegmentsStatus


class _Node(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What all parts share: how they look as JSON."""


class BucketExplanation(_Node, frozen=True):
    """Where the context falls in a rollout, or in the share of a segment's rule.

    Attributes:
        value: of the attribute; None if there is none.
        bucket: between 0 and 1; None where no bucket was needed.
        note: why the value could not be used.
    """

    context_kind: str
    attribute: str
    value: Any
    bucket: float | None
    seed: int | None = None
    note: str = ""


class ArmExplanation(_Node, frozen=True):
    """One arm of a rollout; contexts with `lower` <= bucket < `upper` are in it."""

    variation: int
    weight: int
    lower: float
    upper: float
    chosen: bool
    untracked: bool = False


class RolloutExplanation(_Node, frozen=True):
    """A rollout or experiment, and the arm that was chosen."""

    experiment: bool
    bucket: BucketExplanation
    arms: tuple[ArmExplanation, ...]


class OutcomeExplanation(_Node, frozen=True):
    """What follows once something has decided.

    Attributes:
        variation: its index, if it is fixed; None for a rollout, and where there is none.
        problem: why nothing follows.
    """

    variation: int | None = None
    rollout: RolloutExplanation | None = None
    problem: str = ""


class SegmentExplanation(_Node, frozen=True):
    """Whether a segment has the context, and why.

    Attributes:
        decided_by: `included`, `excluded`, `membership` (of a Big Segment), `rule`, `nothing`
            (no list and no rule knows it), `missing`, or `problem`.
        entry: which list, such as `includedContexts[0]`.
        big_segments_status: of a Big Segment.
    """

    key: str
    contains: bool | None
    decided_by: str
    version: int | None = None
    entry: str = ""
    big_segments_status: BigSegmentsStatus | None = None
    problem: str = ""
    rules: "tuple[SegmentRuleExplanation, ...]" = ()


class ClauseExplanation(_Node, frozen=True):
    """One condition.

    Attributes:
        actual: the context's value; the kinds of the context for the attribute `kind`.
        note: why there is no such value.
        segments: for `segmentMatch`, those that were asked.
    """

    context_kind: str
    attribute: str
    op: str
    values: list[Any]
    negate: bool
    actual: Any
    matched: bool | None
    note: str = ""
    problem: str = ""
    segments: tuple[SegmentExplanation, ...] = ()


class ShareExplanation(_Node, frozen=True):
    """The part of the matching contexts that a segment's rule lets in: buckets below `limit`."""

    weight: int
    limit: float
    bucket: BucketExplanation
    inside: bool | None


class SegmentRuleExplanation(_Node, frozen=True):
    """A rule of a segment; `clauses` ends with the first that did not match."""

    index: int
    id: str | None
    matched: bool | None
    clauses: tuple[ClauseExplanation, ...]
    unasked: int = 0
    share: ShareExplanation | None = None


class RuleExplanation(_Node, frozen=True):
    """A rule of a flag; `clauses` ends with the first that did not match, `unasked` are left."""

    index: int
    id: str | None
    matched: bool | None
    clauses: tuple[ClauseExplanation, ...]
    unasked: int = 0


class TargetExplanation(_Node, frozen=True):
    """The target that has the context's key."""

    entry: str
    context_kind: str
    key: str
    variation: int


class PrerequisiteExplanation(_Node, frozen=True):
    """Another flag that must be on and give `variation`."""

    key: str
    variation: int
    satisfied: bool | None
    problem: str = ""
    flag: "FlagExplanation | None" = None


class FlagExplanation(_Node, frozen=True):
    """What a flag's value is, and what led there; parts that were not reached are left out.

    Attributes:
        value: None stands for the caller's default where `variation` is None too.
        reason: in its wire form.
        problem: what is wrong with the flag, or with what it needs.
        rules: ends with the one that matched.
        outcome: what the deciding part leads to; None for a target, and if it was given up.
    """

    key: str
    version: int
    on: bool
    value: Any
    variation: int | None
    reason: dict[str, Any]
    problem: str = ""
    prerequisites: tuple[PrerequisiteExplanation, ...] = ()
    target: TargetExplanation | None = None
    rules: tuple[RuleExplanation, ...] = ()
    unasked_rules: int = 0
    outcome: OutcomeExplanation | None = None
