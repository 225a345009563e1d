"""Clause operators (evaluation spec, section 2.4), each a small object made once per clause.

Every one answers whether a single value satisfies the operator for any of the clause's values.
Wrong types never match. A clause is turned into the cheapest object that does the job: ordering
operators keep the one bound that decides, `in` keeps a set.
"""

import math
import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import cache
from typing import Any, Final, Protocol, final

from flagkeep.model.values import frozen_value

JsonValue = Any


class Test(Protocol):
    """What a clause asks about a value."""

    def matches(self, value: JsonValue) -> bool:
        """Whether `value` satisfies the operator for any of the clause's values."""
        ...


@final
class Never:
    """An unknown operator, or one none of whose values can ever match."""

    __slots__ = ()

    def matches(self, value: JsonValue) -> bool:  # noqa: ARG002
        """Never."""
        return False


@final
class InStrings:
    """`in` where every clause value is a string, which is nearly always."""

    __slots__ = ("wanted",)

    def __init__(self, values: Iterable[str]) -> None:
        self.wanted = frozenset(values)

    def matches(self, value: JsonValue) -> bool:
        """Whether it is one of the strings."""
        return type(value) is str and value in self.wanted


@final
class InValues:
    """`in` for values of any type; JSON types stay apart."""

    __slots__ = ("wanted",)

    def __init__(self, values: Iterable[JsonValue]) -> None:
        self.wanted: frozenset[Hashable] = frozenset(frozen_value(value) for value in values)

    def matches(self, value: JsonValue) -> bool:
        """Whether it equals one of the values."""
        return frozen_value(value) in self.wanted


@final
class TextTest:
    """`startsWith` and `endsWith`: a str method that takes a tuple."""

    __slots__ = ("method", "texts")

    def __init__(
        self, method: Callable[[str, tuple[str, ...]], bool], texts: Iterable[str]
    ) -> None:
        self.method = method
        self.texts = tuple(texts)

    def matches(self, value: JsonValue) -> bool:
        """Whether it is a string that passes."""
        return type(value) is str and self.method(value, self.texts)


@final
class Contains:
    """`contains`: one of the texts is somewhere in the value."""

    __slots__ = ("texts",)

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = tuple(texts)

    def matches(self, value: JsonValue) -> bool:
        """Whether it is a string with one of the texts in it."""
        return type(value) is str and any(text in value for text in self.texts)


@final
class Matches:
    """`matches`: RE2 patterns, found anywhere in the value, all in one pass."""

    __slots__ = ("patterns",)

    def __init__(self, patterns: Any) -> None:
        self.patterns = patterns

    def matches(self, value: JsonValue) -> bool:
        """Whether it is a string in which a pattern is found; not for lone surrogates."""
        if type(value) is not str:
            return False
        try:
            return bool(self.patterns.Match(value))
        except UnicodeEncodeError:
            return False


@final
class Ordered:
    """An ordering operator: the value, read in the operator's way, against the decisive bound."""

    __slots__ = ("bound", "compare", "read")

    def __init__(self, read: "Reader", compare: Callable[[Any, Any], bool], bound: Any) -> None:
        self.read = read
        self.compare = compare
        self.bound = bound

    def matches(self, value: JsonValue) -> bool:
        """Whether it can be read and compares well."""
        mine = self.read(value)
        return mine is not None and self.compare(mine, self.bound)


@final
class SemverIn:
    """`semVerEqual`: the same precedence as one of the values."""

    __slots__ = ("wanted",)

    def __init__(self, versions: Iterable[Hashable]) -> None:
        self.wanted = frozenset(versions)

    def matches(self, value: JsonValue) -> bool:
        """Whether it is a version equal to one of them."""
        return read_semver(value) in self.wanted


# --- reading values ----------------------------------------------------------------------------

Reader = Callable[[JsonValue], Any]


def read_number(value: JsonValue) -> float | None:
    """Return a number as a double, beyond its range as ±infinity; None for anything else."""
    if type(value) is float:
        return value
    if type(value) is not int:
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile at first use: together these take 3 ms, and few environments need them."""
    return re.compile(pattern, re.ASCII)


_TIME: Final = (
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))"
)
_EPOCH_DAY: Final = 719_163  # date(1970, 1, 1).toordinal()
_LEAP_SECOND: Final = 60


def read_time(value: JsonValue) -> int | None:
    """Return a time in nanoseconds since the epoch.

    A number is milliseconds, a string RFC 3339 with seconds and an offset; digits below a
    nanosecond are cut off, second 60 is the next second. None for anything else.
    """
    if type(value) is int:
        return value * 1_000_000
    if type(value) is float:
        if not math.isfinite(value):
            return None
        numerator, denominator = value.as_integer_ratio()  # exact: 1.0 is the same time as 1
        return numerator * 1_000_000 // denominator
    if type(value) is not str:
        return None
    found = _compiled(_TIME).fullmatch(value)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    fraction, sign, offset_hours, offset_minutes = found.groups()[6:]
    if hour > 23 or minute > 59 or second > _LEAP_SECOND:  # noqa: PLR2004
        return None
    offset = 0
    if sign:
        if int(offset_hours) > 23 or int(offset_minutes) > 59:  # noqa: PLR2004
            return None
        offset = (int(offset_hours) * 60 + int(offset_minutes)) * (60 if sign == "+" else -60)
    try:
        from datetime import date  # noqa: PLC0415  2 ms that few environments need

        days = date(year, month, day).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
    seconds = days * 86400 + hour * 3600 + minute * 60 + second - offset
    return seconds * 1_000_000_000 + int((fraction or "0")[:9].ljust(9, "0"))


_SEMVER: Final = (
    r"(0|[1-9]\d*)(?:\.(0|[1-9]\d*))?(?:\.(0|[1-9]\d*))?"
    r"(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?"
)
Precedence = tuple[Any, ...]


def read_semver(value: JsonValue) -> Precedence | None:
    """Return the precedence of a semantic version, minor and patch 0 if missing; None if none.

    Numbers are compared as texts, shorter first, so that no length of digits is too much.
    """
    if type(value) is not str:
        return None
    found = _compiled(_SEMVER).fullmatch(value)
    if found is None:
        return None
    major, minor, patch, prerelease = found.groups()
    numbers = tuple((len(part), part) for part in (major, minor or "0", patch or "0"))
    if prerelease is None:
        return (*numbers, (1,))
    identifiers = tuple(
        (0, len(part), part) if part.isdigit() else (1, 0, part) for part in prerelease.split(".")
    )
    return (*numbers, (0, identifiers))


# --- making tests ------------------------------------------------------------------------------

NEVER: Final = Never()


def _less(one: Any, other: Any) -> bool:
    return bool(one < other)


def _less_or_equal(one: Any, other: Any) -> bool:
    return bool(one <= other)


def _greater(one: Any, other: Any) -> bool:
    return bool(one > other)


def _greater_or_equal(one: Any, other: Any) -> bool:
    return bool(one >= other)


_ORDERED: Final[dict[str, tuple[Reader, Callable[[Any, Any], bool], Callable[..., Any]]]] = {
    # operator: how to read a value, how to compare, which of the clause's values decides
    "lessThan": (read_number, _less, max),
    "lessThanOrEqual": (read_number, _less_or_equal, max),
    "greaterThan": (read_number, _greater, min),
    "greaterThanOrEqual": (read_number, _greater_or_equal, min),
    "before": (read_time, _less, max),
    "after": (read_time, _greater, min),
    "semVerLessThan": (read_semver, _less, max),
    "semVerGreaterThan": (read_semver, _greater, min),
}
KNOWN: Final = frozenset(
    {"in", "startsWith", "endsWith", "contains", "matches", "semVerEqual", "segmentMatch"}
) | frozenset(_ORDERED)


def make_test(op: str, values: Sequence[JsonValue], problems: list[str]) -> Test:
    """Return the object for one clause; patterns that RE2 refuses are named in `problems`."""
    if op == "in":
        return _make_in(values)
    if op in _ORDERED:
        read, compare, decisive = _ORDERED[op]
        bounds = [mine for mine in map(read, values) if mine is not None]
        return Ordered(read, compare, decisive(bounds)) if bounds else NEVER
    if op == "semVerEqual":
        return SemverIn(mine for mine in map(read_semver, values) if mine is not None)
    texts = [value for value in values if type(value) is str]
    if op == "startsWith":
        return TextTest(str.startswith, texts)
    if op == "endsWith":
        return TextTest(str.endswith, texts)
    if op == "contains":
        return Contains(texts)
    if op == "matches":
        return _make_matches(texts, problems)
    return NEVER


def _make_in(values: Sequence[JsonValue]) -> Test:
    if all(type(value) is str for value in values):
        return InStrings(values)
    return InValues(values)


def _make_matches(patterns: Sequence[str], problems: list[str]) -> Test:
    import re2  # noqa: PLC0415  only flags with `matches` pay for it

    options = re2.Options()
    options.log_errors = False
    accepted = re2.Set.SearchSet(options)
    count = 0
    for pattern in patterns:
        try:
            accepted.Add(pattern)
            count += 1
        except (re2.error, UnicodeEncodeError) as exc:
            problems.append(f"RE2 refuses the pattern {pattern!r}: {_re2_reason(exc)}")
    if not count:
        return NEVER
    accepted.Compile()
    return Matches(accepted)


def _re2_reason(exc: Exception) -> str:
    reason = exc.args[0] if exc.args else exc
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
