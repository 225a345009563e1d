"""What can be wrong with one flag or one segment, without looking at any other."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from flagkeep.evaluation.findings import Remark, error, info, warning
from flagkeep.evaluation.lint_clauses import hidden_rules, lint_clause, lint_kind, lint_reference
from flagkeep.model.context import Context
from flagkeep.model.flag import Clause, Flag, FlagRule, Rollout, Target, VariationOrRollout
from flagkeep.model.segment import Segment, SegmentRule, SegmentTarget

EVERYBODY: Final = 100_000
_EXPERIMENT: Final = "experiment"

Entries = Iterable[tuple[str, str, list[str]]]
"""Lists of keys: path, kind, keys."""


def lint_flag(flag: Flag) -> Iterator[Remark]:
    """Yield what is wrong with a flag."""
    if flag.off_variation is not None:
        yield from lint_variation(flag, flag.off_variation, "$.offVariation")
    yield from _lint_targets(flag)
    for index, rule in enumerate(flag.rules):
        path = f"$.rules[{index}]"
        for number, clause in enumerate(rule.clauses):
            yield from lint_clause(clause, f"{path}.clauses[{number}]")
        yield from _lint_outcome(flag, rule, path)
    yield from _lint_hidden([rule.clauses for rule in flag.rules], [True] * len(flag.rules))
    fallthrough = flag.fallthrough
    if flag.on or fallthrough != VariationOrRollout():
        yield from _lint_outcome(flag, fallthrough, "$.fallthrough")


def lint_variation(flag: Flag, index: int, path: str) -> Iterator[Remark]:
    """Yield whether `flag` has no variation `index`."""
    count = len(flag.variations)
    if not 0 <= index < count:
        range_ = f"they go from 0 to {count - 1}" if count else "the flag has none"
        yield error(path, f"there is no variation {index}: {range_}")


def _lint_outcome(
    flag: Flag, outcome: VariationOrRollout | FlagRule, path: str
) -> Iterator[Remark]:
    if outcome.variation is not None:
        yield from lint_variation(flag, outcome.variation, f"{path}.variation")
        if outcome.rollout is not None:
            yield warning(f"{path}.rollout", "it is ignored, because there is a variation too")
    elif outcome.rollout is not None:
        yield from _lint_rollout(flag, outcome.rollout, f"{path}.rollout")
    else:
        message = "there is neither a variation nor a rollout: evaluations fail here"
        yield error(path, message)


def _lint_rollout(flag: Flag, rollout: Rollout, path: str) -> Iterator[Remark]:
    is_experiment = rollout.kind == _EXPERIMENT
    if rollout.kind not in (_EXPERIMENT, "rollout"):
        yield warning(f"{path}.kind", f"{rollout.kind!r} is unknown, and taken for a rollout")
    yield from lint_kind(rollout.context_kind, f"{path}.contextKind")
    if is_experiment and rollout.bucket_by not in ("", "key"):
        yield warning(f"{path}.bucketBy", "experiments ignore it and go by the key")
    elif rollout.bucket_by:
        yield from lint_reference(rollout.bucket_by, rollout.context_kind, f"{path}.bucketBy")
    if not rollout.variations:
        yield error(f"{path}.variations", "it is empty: evaluations fail here")
        return
    for index, arm in enumerate(rollout.variations):
        yield from lint_variation(flag, arm.variation, f"{path}.variations[{index}].variation")
        if arm.weight < 0:
            yield error(f"{path}.variations[{index}].weight", "it must not be negative")
    yield from _lint_weights(rollout, path, is_experiment=is_experiment)


def _lint_weights(rollout: Rollout, path: str, *, is_experiment: bool) -> Iterator[Remark]:
    total = sum(arm.weight for arm in rollout.variations)
    if total != EVERYBODY:
        effect = "the last one gets the rest" if total < EVERYBODY else "the last ones get less"
        message = f"the weights add up to {total} and not to {EVERYBODY}: {effect}"
        yield error(f"{path}.variations", message)
    is_tracked = any(arm.weight > 0 and not arm.untracked for arm in rollout.variations)
    if is_experiment and not is_tracked:
        message = "an experiment without weight: no arm with a weight is tracked"
        yield warning(f"{path}.variations", message)


# --- targets -----------------------------------------------------------------------------------


def _lint_targets(flag: Flag) -> Iterator[Remark]:
    for name, targets in (("targets", flag.targets), ("contextTargets", flag.context_targets)):
        for index, target in enumerate(targets):
            path = f"$.{name}[{index}]"
            yield from lint_variation(flag, target.variation, f"{path}.variation")
            if name == "contextTargets":
                yield from lint_kind(target.context_kind, f"{path}.contextKind")
    yield from _lint_repeated(_targets_in_order(flag))
    if flag.context_targets:
        yield from _lint_links(flag)


def _targets_in_order(flag: Flag) -> Entries:
    """Yield the lists of keys in the order in which they are asked."""
    if not flag.context_targets:
        for index, target in enumerate(flag.targets):
            yield f"$.targets[{index}].values", Context.DEFAULT_KIND, target.values
        return
    for index, target in enumerate(flag.context_targets):
        kind = target.context_kind or Context.DEFAULT_KIND
        linked = None if target.values else _linked(flag, target)
        if linked is None:
            yield f"$.contextTargets[{index}].values", kind, target.values
        else:
            yield f"$.targets[{linked}].values", kind, flag.targets[linked].values


def _linked(flag: Flag, target: Target) -> int | None:
    """Return which of `targets` holds the keys of an entry of `contextTargets` without any."""
    if (target.context_kind or Context.DEFAULT_KIND) != Context.DEFAULT_KIND:
        return None
    same = (i for i, one in enumerate(flag.targets) if one.variation == target.variation)
    return next(same, None)


def _lint_links(flag: Flag) -> Iterator[Remark]:
    linked = {_linked(flag, one) for one in flag.context_targets if not one.values}
    for index, target in enumerate(flag.targets):
        if target.values and index not in linked:
            message = (
                "it is never asked: where there are contextTargets, one of them must stand for it"
                f" (kind user, variation {target.variation}, no values)"
            )
            yield warning(f"$.targets[{index}]", message)


def _lint_repeated(entries: Entries) -> Iterator[Remark]:
    seen: dict[tuple[str, str], str] = {}
    for path, kind, keys in entries:
        for index, key in enumerate(keys):
            place = f"{path}[{index}]"
            first = seen.setdefault((kind, key), place)
            if first != place:
                message = f"the key {key!r} is never reached here: {first} has it already"
                yield warning(place, message)


# --- segments ----------------------------------------------------------------------------------


def lint_segment(segment: Segment) -> Iterator[Remark]:
    """Yield what is wrong with a segment."""
    if segment.unbounded:
        yield from _lint_big_segment(segment)
    else:
        yield from _lint_excluded(segment)
    for index, rule in enumerate(segment.rules):
        yield from _lint_segment_rule(rule, f"$.rules[{index}]")
    stops = [rule.weight is None for rule in segment.rules]
    yield from _lint_hidden([rule.clauses for rule in segment.rules], stops)


def _lint_excluded(segment: Segment) -> Iterator[Remark]:
    included = {(kind, key) for _, kind, keys in _lists(segment, "included") for key in keys}
    for path, kind, keys in _lists(segment, "excluded"):
        for index, key in enumerate(keys):
            if (kind, key) in included:
                message = f"the key {key!r} is in an included list as well, and that wins"
                yield warning(f"{path}[{index}]", message)


def _lists(segment: Segment, name: str) -> Entries:
    users: list[str] = getattr(segment, name)
    contexts: list[SegmentTarget] = getattr(segment, f"{name}_contexts")
    yield f"$.{name}", Context.DEFAULT_KIND, users
    for index, entry in enumerate(contexts):
        kind = entry.context_kind or Context.DEFAULT_KIND
        yield f"$.{name}Contexts[{index}].values", kind, entry.values


def _lint_big_segment(segment: Segment) -> Iterator[Remark]:
    if segment.generation is None:
        message = "a Big Segment without a generation has nobody in it, whatever its rules say"
        yield error("$.generation", message)
    yield from lint_kind(segment.unbounded_context_kind, "$.unboundedContextKind")
    for name in ("included", "excluded"):
        if getattr(segment, name):
            yield warning(f"$.{name}", "Big Segments ignore it")
        if getattr(segment, f"{name}_contexts"):
            yield warning(f"$.{name}Contexts", "Big Segments ignore it")


def _lint_segment_rule(rule: SegmentRule, path: str) -> Iterator[Remark]:
    for number, clause in enumerate(rule.clauses):
        yield from lint_clause(clause, f"{path}.clauses[{number}]")
    if rule.weight is None:
        return
    if not 0 <= rule.weight <= EVERYBODY:
        yield error(f"{path}.weight", f"it must be from 0 to {EVERYBODY}, not {rule.weight}")
    elif rule.weight == 0:
        yield info(f"{path}.weight", "the rule lets nobody in")
    yield from lint_kind(rule.rollout_context_kind, f"{path}.rolloutContextKind")
    if rule.bucket_by:
        yield from lint_reference(rule.bucket_by, rule.rollout_context_kind, f"{path}.bucketBy")


def _lint_hidden(rules: Sequence[Sequence[Clause]], stops: Sequence[bool]) -> Iterator[Remark]:
    for later, earlier in hidden_rules(rules, stops):
        matched = "everybody" if not rules[earlier] else "all that this one would"
        message = f"the rule is never reached: rule {earlier} before it matches {matched}"
        yield warning(f"$.rules[{later}]", message)
