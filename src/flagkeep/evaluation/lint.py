"""What is wrong with an environment: every item by itself, and what items say of each other."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from flagkeep.evaluation.findings import Finding, Remark, Severity, error, info
from flagkeep.evaluation.lint_items import lint_flag, lint_segment, lint_variation
from flagkeep.model.flag import Clause, Flag, FlagRule
from flagkeep.model.item import ItemRef, Kind
from flagkeep.model.segment import Segment, SegmentRule

__all__ = ["Finding", "Severity", "lint_environment"]

Graph = Mapping[str, list[tuple[str, str]]]
"""By key: the path and the key of each reference to an item of the same kind."""


def lint_environment(
    flags: Mapping[str, Flag],
    segments: Mapping[str, Segment],
    *,
    unusable: Collection[ItemRef] = (),
) -> list[Finding]:
    """Return everything that is wrong with these flags and segments, item by item.

    Args:
        flags: by key, tombstones included.
        segments: likewise.
        unusable: items that are there and could not be read.
    """
    known = _Known(flags, segments, frozenset(unusable))
    findings = []
    for key, flag in flags.items():
        if not flag.deleted:
            remarks = [*lint_flag(flag), *known.lint_prerequisites(flag)]
            remarks += known.lint_segment_clauses(flag.rules)
            findings += _findings(Kind.FLAG, key, remarks)
    for key, segment in segments.items():
        if not segment.deleted:
            remarks = [*lint_segment(segment), *known.lint_segment_clauses(segment.rules)]
            findings += _findings(Kind.SEGMENT, key, remarks)
    findings += _lint_circles(Kind.FLAG, _prerequisite_graph(flags))
    findings += _lint_circles(Kind.SEGMENT, _segment_graph(segments))
    findings += _lint_unused(flags, segments)
    return findings


def _findings(kind: Kind, key: str, remarks: list[Remark]) -> list[Finding]:
    return [Finding(kind, key, *remark) for remark in remarks]


class _Known:
    """What there is for references to point at."""

    def __init__(
        self,
        flags: Mapping[str, Flag],
        segments: Mapping[str, Segment],
        unusable: frozenset[ItemRef],
    ) -> None:
        self._flags = flags
        self._segments = segments
        self._unusable = unusable

    def lint_prerequisites(self, flag: Flag) -> Iterator[Remark]:
        """Yield what is wrong with the flags that `flag` depends on."""
        for index, wanted in enumerate(flag.prerequisites):
            path = f"$.prerequisites[{index}]"
            found = self._flags.get(wanted.key)
            if found is None or found.deleted:
                yield self._dangling(f"{path}.key", ItemRef(Kind.FLAG, wanted.key))
                continue
            for remark in lint_variation(found, wanted.variation, f"{path}.variation"):
                yield remark._replace(message=f"prerequisite {wanted.key!r}: {remark.message}")
            if flag.on and not found.on:
                message = f"prerequisite {wanted.key!r} is off: it fails for everybody"
                yield info(f"{path}.key", message)

    def lint_segment_clauses(self, rules: Sequence[FlagRule | SegmentRule]) -> Iterator[Remark]:
        """Yield every reference to a segment that leads nowhere."""
        for number, rule in enumerate(rules):
            for index, clause in enumerate(rule.clauses):
                for path, key in _segments_of(clause, f"$.rules[{number}].clauses[{index}]"):
                    found = self._segments.get(key)
                    if found is None or found.deleted:
                        yield self._dangling(path, ItemRef(Kind.SEGMENT, key))

    def _dangling(self, path: str, ref: ItemRef) -> Remark:
        if ref in self._unusable:
            return error(path, f"{ref.kind} {ref.key!r} cannot be used: see its own errors")
        found = self._flags if ref.kind is Kind.FLAG else self._segments
        state = "was deleted" if ref.key in found else "does not exist"
        return error(path, f"{ref.kind} {ref.key!r} {state}")


def _segments_of(clause: Clause, path: str) -> Iterator[tuple[str, str]]:
    if clause.op == "segmentMatch":
        for index, key in enumerate(clause.values):
            if isinstance(key, str):
                yield f"{path}.values[{index}]", key


# --- circles -----------------------------------------------------------------------------------


def _prerequisite_graph(flags: Mapping[str, Flag]) -> Graph:
    return {
        key: [
            (f"$.prerequisites[{index}].key", one.key)
            for index, one in enumerate(flag.prerequisites)
        ]
        for key, flag in flags.items()
    }


def _segment_graph(segments: Mapping[str, Segment]) -> Graph:
    return {
        key: [
            reference
            for number, rule in enumerate(segment.rules)
            for index, clause in enumerate(rule.clauses)
            for reference in _segments_of(clause, f"$.rules[{number}].clauses[{index}]")
        ]
        for key, segment in segments.items()
    }


def _lint_circles(kind: Kind, graph: Graph) -> list[Finding]:
    """Return a finding for every reference that closes a circle; chains may be of any length."""
    findings = []
    finished: set[str] = set()
    for start in graph:
        chain: dict[str, Iterator[tuple[str, str]]] = {}
        if start not in finished:
            chain[start] = iter(graph[start])
        while chain:
            key = next(reversed(chain))
            path, target = next(chain[key], ("", ""))
            if not path:
                del chain[key]
                finished.add(key)
            elif target in chain:
                keys = list(chain)
                circle = " -> ".join([*keys[keys.index(target) :], target])
                message = f"{kind}s in a circle, evaluations fail here: {circle}"
                findings.append(Finding(kind, key, path, Severity.ERROR, message))
            elif target in graph and target not in finished:
                chain[target] = iter(graph[target])
    return findings


def _lint_unused(flags: Mapping[str, Flag], segments: Mapping[str, Segment]) -> list[Finding]:
    items: list[Flag | Segment] = [*flags.values(), *segments.values()]
    used = {
        key
        for item in items
        if not item.deleted
        for rule in item.rules
        for clause in rule.clauses
        for _, key in _segments_of(clause, "")
    }
    message = "no flag and no other segment uses it"
    return [
        Finding(Kind.SEGMENT, key, "$", Severity.INFO, message)
        for key, segment in segments.items()
        if key not in used and not segment.deleted
    ]
