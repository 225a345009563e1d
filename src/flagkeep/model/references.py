"""Which other items a flag or segment needs for its evaluation."""

from flagkeep.model.flag import Clause, Flag
from flagkeep.model.item import ItemRef, Kind
from flagkeep.model.segment import Segment


def references(item: Flag | Segment) -> tuple[ItemRef, ...]:
    """Return what `item` refers to directly, each once, in the order of its fields."""
    found: dict[ItemRef, None] = {}
    if isinstance(item, Flag):
        for prerequisite in item.prerequisites:
            found[ItemRef(Kind.FLAG, prerequisite.key)] = None
    for rule in item.rules:
        for clause in rule.clauses:
            found.update(dict.fromkeys(_segments_of(clause)))
    return tuple(found)


def _segments_of(clause: Clause) -> list[ItemRef]:
    if clause.op != "segmentMatch":
        return []
    return [ItemRef(Kind.SEGMENT, key) for key in clause.values if isinstance(key, str)]
