"""What can be wrong with clauses and attribute references, and which rules hide later ones."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from flagkeep.evaluation.clauses import attribute_of
from flagkeep.evaluation.findings import Remark, error, warning
from flagkeep.evaluation.operators import KNOWN, make_test, read_number, read_semver, read_time
from flagkeep.model.context import Context
from flagkeep.model.flag import Clause
from flagkeep.model.values import frozen_value

ClauseForm = tuple[tuple[str, str, str, bool], frozenset[Any]]

_TIME: Final = "a time: RFC 3339 with seconds and offset, or milliseconds as a number"
_WANTED: Final[Mapping[str, str]] = {
    **dict.fromkeys(("startsWith", "endsWith", "contains", "matches"), "a string"),
    **dict.fromkeys(
        ("lessThan", "lessThanOrEqual", "greaterThan", "greaterThanOrEqual"), "a number"
    ),
    **dict.fromkeys(("before", "after"), _TIME),
    **dict.fromkeys(
        ("semVerEqual", "semVerLessThan", "semVerGreaterThan"), "a semantic version such as '2.1.0'"
    ),
    "segmentMatch": "the key of a segment",
    "in": "anything but null, because null is an attribute that is not there",
}
_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "a string": lambda value: value if isinstance(value, str) else None,
    "a number": read_number,
    _TIME: read_time,
    "a semantic version such as '2.1.0'": read_semver,
    "the key of a segment": lambda value: value if isinstance(value, str) else None,
}


def can_match(op: str, value: Any) -> bool:
    """Whether `value`, in a clause with the known operator `op`, matches anything at all."""
    read = _READERS.get(_WANTED[op])
    return value is not None if read is None else read(value) is not None


def lint_clause(clause: Clause, path: str) -> Iterator[Remark]:
    """Yield what is wrong with a clause, apart from the segments it names."""
    if clause.op != "segmentMatch":
        yield from lint_reference(clause.attribute, clause.context_kind, f"{path}.attribute")
        yield from lint_kind(clause.context_kind, f"{path}.contextKind")
    if clause.op not in KNOWN:
        yield error(f"{path}.op", f"there is no operator {clause.op!r}, so that it never matches")
    elif not clause.values:
        yield warning(f"{path}.values", "there are no values, so that it never matches")
    else:
        yield from _lint_values(clause, path)


def _lint_values(clause: Clause, path: str) -> Iterator[Remark]:
    # One value that can match does the clause's work; without one it is dead.
    usable = [can_match(clause.op, value) for value in clause.values]
    complain = warning if any(usable) else error
    for index, value in enumerate(clause.values):
        if not usable[index]:
            wanted = _WANTED[clause.op]
            message = f"{clause.op} never matches {shortened(value)}: it takes {wanted}"
            yield complain(f"{path}.values[{index}]", message)
        elif clause.op == "matches":
            yield from _lint_pattern(value, f"{path}.values[{index}]")


def _lint_pattern(pattern: str, path: str) -> Iterator[Remark]:
    problems: list[str] = []
    make_test("matches", [pattern], problems)
    if not problems:
        return
    import re2  # noqa: PLC0415  only environments with `matches` pay for it

    options = re2.Options()
    options.log_errors = False
    reason = "it cannot be written as UTF-8"
    try:
        re2.compile(pattern, options)
    except re2.error as exc:  # says more than the set of patterns that evaluations use
        told = exc.args[0] if exc.args else ""
        reason = told.decode(errors="replace") if isinstance(told, bytes) else str(told)
    except UnicodeEncodeError:
        pass
    yield error(path, f"RE2 refuses the pattern {shortened(pattern)}: {reason}")


def lint_reference(text: str, context_kind: str, path: str) -> Iterator[Remark]:
    """Yield what is wrong with an attribute reference."""
    problem = attribute_of(text, context_kind).error
    if problem is not None:
        message = f"the attribute reference {text!r} is invalid: {problem}; evaluations fail here"
        yield error(path, message)


def lint_kind(kind: str, path: str) -> Iterator[Remark]:
    """Yield whether no context can be of `kind`; `""` means user."""
    if kind and not Context.create("k", kind).valid:
        yield warning(path, f"no context can have the kind {kind!r}")


def shortened(value: Any) -> str:
    """Return a value for a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004  a line of text has room


# --- rules that hide others --------------------------------------------------------------------


def hidden_rules(
    rules: Sequence[Sequence[Clause]], stops: Sequence[bool]
) -> Iterator[tuple[int, int]]:
    """Yield (rule, earlier rule) where the earlier one takes all that the later one matches.

    Args:
        rules: the clauses of each.
        stops: whether each stops all that it matches; one with a weight does not.
    """
    forms = [[_form(clause) for clause in rule] for rule in rules]
    for later, clauses in enumerate(forms):
        for earlier in range(later):
            if stops[earlier] and _hides(forms[earlier], clauses):
                yield later, earlier
                break


def _hides(earlier: Sequence[ClauseForm], later: Sequence[ClauseForm]) -> bool:
    return all(any(_follows(one, other) for other in later) for one in earlier)


def _follows(one: ClauseForm, other: ClauseForm) -> bool:
    """Whether `one` matches whatever `other` matches, as far as can be told from the values."""
    about, values = one
    other_about, other_values = other
    if about != other_about:
        return False
    is_negated = about[-1]
    return values <= other_values if is_negated else values >= other_values


def _form(clause: Clause) -> ClauseForm:
    attribute = attribute_of(clause.attribute, clause.context_kind)
    kind = clause.context_kind or Context.DEFAULT_KIND
    if clause.op == "segmentMatch":
        about = ("", "", clause.op, clause.negate)
    elif attribute.components == ("kind",):
        about = ("", "kind", clause.op, clause.negate)
    else:
        about = (kind, "/".join(("", *attribute.components)), clause.op, clause.negate)
    return about, frozenset(frozen_value(value) for value in clause.values)
