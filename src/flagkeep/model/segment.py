"""A segment as the wire and the stores have it (data model spec, section 3)."""

from flagkeep.model.flag import Clause, _Part


class SegmentTarget(_Part, frozen=True):
    """Keys of one kind. `context_kind` `""` means user."""

    context_kind: str = ""
    values: list[str] = []


class SegmentRule(_Part, frozen=True):
    """Contexts that match all `clauses`; of these, `weight` in 100000 (None: all)."""

    id: str | None = None
    clauses: list[Clause] = []
    weight: int | None = None
    bucket_by: str = ""
    rollout_context_kind: str = ""


class Segment(_Part, frozen=True):
    """A group of contexts.

    With `unbounded` it is a Big Segment: the lists are ignored and membership comes from the Big
    Segment store, under the reference `<key>.g<generation>`.
    """

    key: str
    version: int
    deleted: bool = False
    included: list[str] = []
    excluded: list[str] = []
    included_contexts: list[SegmentTarget] = []
    excluded_contexts: list[SegmentTarget] = []
    rules: list[SegmentRule] = []
    salt: str = ""
    unbounded: bool = False
    unbounded_context_kind: str = ""
    generation: int | None = None
