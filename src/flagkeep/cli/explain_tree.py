"""An explanation as a tree of lines; colour says nothing that the words do not say too."""

from typing import Final

from rich.text import Text
from rich.tree import Tree

from flagkeep.cli.evaluate import why
from flagkeep.cli.text import as_json, counted, printable, shortened, values_as_text
from flagkeep.evaluation.explanation import (
    ArmExplanation,
    BucketExplanation,
    ClauseExplanation,
    FlagExplanation,
    OutcomeExplanation,
    PrerequisiteExplanation,
    RolloutExplanation,
    RuleExplanation,
    SegmentExplanation,
    SegmentRuleExplanation,
    ShareExplanation,
)
from flagkeep.model.context import Context
from flagkeep.model.detail import ErrorKind, Reason, ReasonKind

_STYLES: Final = {True: "green", False: "yellow", None: "red"}


def tree_of(flag: FlagExplanation, context: Context) -> Tree:
    """Return the explanation of `flag` for `context`."""
    tree = Tree(_flag_line(flag, f" for {shortened(context.fully_qualified_key)}"))
    _add_flag(tree, flag)
    return tree


def _line(text: str, verdict: str = "", *, good: bool | None = True, tail: str = "") -> Text:
    line = Text(printable(text))
    if verdict:
        line.append(": ")
        line.append(printable(verdict), _STYLES[good])
    line.append(printable(tail))
    return line


def _flag_line(flag: FlagExplanation, tail: str = "") -> Text:
    value = as_json(flag.value) if flag.variation is not None else "the caller's default"
    variation = "" if flag.variation is None else f"variation {flag.variation}, "
    is_good = flag.reason["kind"] != ReasonKind.ERROR
    return _line(
        f"{flag.key} (version {flag.version}){tail}",
        shortened(value),
        good=is_good or None,
        tail=f" ({variation}{why(_reason(flag))})",
    )


def _reason(flag: FlagExplanation) -> Reason:
    wire = flag.reason
    error = wire.get("errorKind")
    return Reason(
        ReasonKind(wire["kind"]),
        rule_index=wire.get("ruleIndex"),
        rule_id=wire.get("ruleId"),
        prerequisite_key=wire.get("prerequisiteKey"),
        in_experiment=wire.get("inExperiment", False),
        error_kind=None if error is None else ErrorKind(error),
        big_segments_status=wire.get("bigSegmentsStatus"),
    )


def _add_flag(tree: Tree, flag: FlagExplanation) -> None:
    if not flag.on:
        tree.add(_line("targeting", "off", good=False))
    for prerequisite in flag.prerequisites:
        _add_prerequisite(tree, prerequisite)
    if flag.target is not None:
        found = flag.target
        text = f"{found.entry} has {found.context_kind} key {as_json(found.key)}"
        tree.add(_line(text, f"variation {found.variation}"))
    for rule in flag.rules:
        _add_rule(tree, rule)
    if flag.unasked_rules:
        tree.add(Text(f"{counted(flag.unasked_rules, 'more rule')} not reached", "dim"))
    if flag.outcome is not None:
        _add_outcome(tree, flag, flag.outcome)
    if flag.problem:
        tree.add(_line("problem", flag.problem, good=None))


def _add_prerequisite(tree: Tree, one: PrerequisiteExplanation) -> None:
    verdict = {True: "satisfied", False: "not satisfied", None: "evaluation ends here"}
    branch = tree.add(
        _line(
            f"prerequisite {one.key} must be on and give variation {one.variation}",
            verdict[one.satisfied],
            good=one.satisfied,
            tail=f" ({one.problem})" if one.problem else "",
        )
    )
    if one.flag is not None:
        _add_flag(branch.add(_flag_line(one.flag)), one.flag)


# --- rules -------------------------------------------------------------------------------------


def _add_rule(tree: Tree, rule: RuleExplanation | SegmentRuleExplanation) -> None:
    name = f"rule {rule.index}" + (f" ({rule.id})" if rule.id else "")
    branch = tree.add(_line(name, _matched(rule.matched), good=rule.matched))
    if not rule.clauses:
        branch.add(Text("no clauses: everybody matches", "dim"))
    for clause in rule.clauses:
        _add_clause(branch, clause)
    if rule.unasked:
        branch.add(Text(f"{counted(rule.unasked, 'more clause')} not reached", "dim"))
    if isinstance(rule, SegmentRuleExplanation) and rule.share is not None:
        _add_share(branch, rule.share)


def _matched(matched: bool | None) -> str:  # noqa: FBT001  a verdict, not a switch
    return {True: "matches", False: "does not match", None: "evaluation ends here"}[matched]


def _add_clause(tree: Tree, clause: ClauseExplanation) -> None:
    operator = f"not {clause.op}" if clause.negate else clause.op
    values = values_as_text(clause.values)
    if clause.op == "segmentMatch":
        text = f"{operator} {values}"
    else:
        name = "kind" if clause.attribute == "kind" else f"{clause.context_kind} {clause.attribute}"
        text = f"{name} {operator} {values}"
    tail = ""
    if clause.note:
        tail = f" ({clause.note})"
    elif clause.op != "segmentMatch" and not clause.problem:
        tail = f" (the context has {shortened(as_json(clause.actual))})"
    if clause.problem:
        tail += f" ({clause.problem})"
    branch = tree.add(_line(text, _matched(clause.matched), good=clause.matched, tail=tail))
    for segment in clause.segments:
        _add_segment(branch, segment)


def _add_segment(tree: Tree, segment: SegmentExplanation) -> None:
    verdict = {
        True: "has the context",
        False: "does not have the context",
        None: "evaluation ends here",
    }
    because = {
        "included": f"listed in {segment.entry}",
        "excluded": f"listed in {segment.entry}",
        "membership": segment.problem or "its members are in the Big Segment store",
        "rule": f"by rule {segment.rules[-1].index}" if segment.rules else "",
        "nothing": "no list and no rule has it",
    }.get(segment.decided_by, segment.problem)
    if segment.decided_by in ("rule", "nothing") and segment.problem:
        because += f"; {segment.problem}"
    version = "" if segment.version is None else f" (version {segment.version})"
    line = _line(
        f"segment {segment.key}{version}",
        verdict[segment.contains],
        good=segment.contains,
        tail=f" ({because})",
    )
    branch = tree.add(line)
    for rule in segment.rules:
        _add_rule(branch, rule)


# --- outcomes and buckets ----------------------------------------------------------------------


def _add_outcome(tree: Tree, flag: FlagExplanation, outcome: OutcomeExplanation) -> None:
    if outcome.rollout is not None:
        _add_rollout(tree, outcome.rollout)
    elif not flag.on or flag.reason["kind"] == ReasonKind.PREREQUISITE_FAILED:
        has_one = outcome.variation is not None
        value = f"variation {outcome.variation}" if has_one else "none: the caller's default"
        tree.add(_line("off variation", value, good=has_one))
    elif outcome.variation is not None:
        is_fallthrough = flag.reason["kind"] == ReasonKind.FALLTHROUGH
        name = "fallthrough, no rule matches" if is_fallthrough else "gives"
        tree.add(_line(name, f"variation {outcome.variation}"))


def _add_rollout(tree: Tree, rollout: RolloutExplanation) -> None:
    name = "experiment" if rollout.experiment else "rollout"
    branch = tree.add(_line(name, _bucket(rollout.bucket), tail=_source(rollout.bucket)))
    for arm in rollout.arms:
        branch.add(_arm(arm))


def _arm(arm: ArmExplanation) -> Text:
    range_ = f"{arm.lower:.6f} to {arm.upper:.6f}"
    untracked = ", untracked" if arm.untracked else ""
    text = f"{range_} variation {arm.variation} (weight {arm.weight}{untracked})"
    return _line(text, "chosen") if arm.chosen else Text(text, "dim")


def _add_share(tree: Tree, share: ShareExplanation) -> None:
    verdict = {True: "in", False: "not in", None: "evaluation ends here"}
    name = f"share, buckets below {share.limit:.6f} (weight {share.weight})"
    tail = f", {_bucket(share.bucket)}{_source(share.bucket)}"
    tree.add(_line(name, verdict[share.inside], good=share.inside, tail=tail))


def _bucket(place: BucketExplanation) -> str:
    return "no bucket" if place.bucket is None else f"bucket {place.bucket:.6f}"


def _source(place: BucketExplanation) -> str:
    value = "" if place.value is None else f" {shortened(as_json(place.value))}"
    seed = "" if place.seed is None else f", seed {place.seed}"
    note = f": {place.note}" if place.note else ""
    return f" (by {place.context_kind} {place.attribute}{value}{seed}{note})"
