"""What an evaluation may need besides the flag and the context, and what it says if it lacks it."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, final

from flagkeep.model.detail import BigSegmentsStatus
from flagkeep.model.item import ItemRef, Kind

if TYPE_CHECKING:
    from flagkeep.evaluation.evaluator import CompiledFlag
    from flagkeep.evaluation.result import PrerequisiteResult
    from flagkeep.evaluation.segments import CompiledSegment


class InputMissing(Exception):
    """The evaluation needs more; give it everything named here and evaluate again.

    Attributes:
        items: flags and segments to look up; one that does not exist is handed in as None.
        memberships: context keys whose Big Segment membership is needed.
    """

    def __init__(self, items: tuple[ItemRef, ...] = (), memberships: tuple[str, ...] = ()) -> None:
        super().__init__(items, memberships)
        self.items = items
        self.memberships = memberships


@final
class Membership:
    """The Big Segments one context key belongs to.

    Attributes:
        status: how far it can be trusted.
        included: by segment reference (`key.g1`): True in, False out, absent if neither.
    """

    __slots__ = ("included", "status")

    def __init__(self, status: BigSegmentsStatus, included: Mapping[str, bool]) -> None:
        self.status = status
        self.included = included


class Inputs:
    """The compiled items and memberships at hand.

    Attributes:
        flags: by key; None for one that is known not to exist.
        segments: likewise.
        complete: whether what is not in `flags` and `segments` does not exist.
        memberships: by context key; None if there is no Big Segment store at all.
    """

    __slots__ = ("complete", "flags", "memberships", "segments")

    def __init__(
        self,
        flags: "Mapping[str, CompiledFlag | None]",
        segments: "Mapping[str, CompiledSegment | None]",
        *,
        complete: bool = True,
        memberships: Mapping[str, Membership] | None = None,
    ) -> None:
        self.flags = flags
        self.segments = segments
        self.complete = complete
        self.memberships = memberships

    def flag(self, key: str) -> "CompiledFlag | None":
        """Return a flag, None if it does not exist."""
        try:
            return self.flags[key]
        except KeyError:
            if self.complete:
                return None
            raise InputMissing((ItemRef(Kind.FLAG, key),)) from None

    def segment(self, key: str) -> "CompiledSegment | None":
        """Return a segment, None if it does not exist."""
        try:
            return self.segments[key]
        except KeyError:
            if self.complete:
                return None
            raise InputMissing((ItemRef(Kind.SEGMENT, key),)) from None

    def demand(self, references: Iterable[ItemRef]) -> None:
        """Raise one `InputMissing` for all of `references` that are not at hand."""
        missing = tuple(
            ref
            for ref in references
            if ref.key not in (self.flags if ref.kind is Kind.FLAG else self.segments)
        )
        if missing:
            raise InputMissing(missing)


@final
class Scope:
    """What one evaluation has seen so far; lives as long as it does."""

    __slots__ = ("direct", "flag_chain", "inputs", "prerequisites", "segment_chain", "status")

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.flag_chain: list[str] = []
        self.segment_chain: list[str] = []
        self.prerequisites: list[PrerequisiteResult] = []
        self.direct: list[str] = []
        self.status: BigSegmentsStatus | None = None

    def saw_status(self, status: BigSegmentsStatus) -> None:
        """Remember the worst Big Segment status of this evaluation."""
        if self.status is None or _BADNESS[status] > _BADNESS[self.status]:
            self.status = status


_BADNESS = {status: place for place, status in enumerate(BigSegmentsStatus)}
