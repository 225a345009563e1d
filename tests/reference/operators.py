"""The operators of the evaluation spec, section 2.4."""

import datetime as dt
import math
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Final

import re2

from tests.reference.fields import Json

NANOSECONDS: Final = 10**9


def matches_operator(op: str, value: Json, wanted: Json) -> bool:
    """Apply the operator called `op`; one that nobody knows never matches."""
    known = OPERATORS.get(op)
    return known is not None and known(value, wanted)


def equals(left: Json, right: Json) -> bool:
    """Compare JSON values deeply: the types stay apart, numbers are exact."""
    if is_number(left) and is_number(right):
        return same_number(left, right)
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(equals, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(equals(left[k], right[k]) for k in left)
    return bool(left == right)


def is_number(value: Json) -> bool:
    """Tell numbers from everything else, booleans included."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def same_number(left: float, right: float) -> bool:
    """Compare exactly, as fractions; infinities equal themselves only."""
    if _is_finite(left) and _is_finite(right):
        return Fraction(left) == Fraction(right)
    return not _is_finite(left) and not _is_finite(right) and left == right


def _is_finite(number: float) -> bool:
    return isinstance(number, int) or math.isfinite(number)


def as_double(number: float) -> float:
    """Convert to a double; what is too large becomes infinite."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def on_strings(compare: Callable[[str, str], bool]) -> Callable[[Json, Json], bool]:
    """Make an operator that is false unless both sides are strings."""

    def operator(value: Json, wanted: Json) -> bool:
        return isinstance(value, str) and isinstance(wanted, str) and compare(value, wanted)

    return operator


def on_numbers(compare: Callable[[float, float], bool]) -> Callable[[Json, Json], bool]:
    """Make an operator that is false unless both sides are numbers; compared as doubles."""

    def operator(value: Json, wanted: Json) -> bool:
        if not (is_number(value) and is_number(wanted)):
            return False
        return compare(as_double(value), as_double(wanted))

    return operator


def search(value: str, pattern: str) -> bool:
    """Search with RE2; what it refuses, as pattern or as text, does not match."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options).search(value) is not None
    except (re2.error, UnicodeEncodeError):
        return False


# --- time ---------------------------------------------------------------------------------------

TIME: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)


def on_times(compare: Callable[[int, int], bool]) -> Callable[[Json, Json], bool]:
    """Make an operator that is false unless both sides are times."""

    def operator(value: Json, wanted: Json) -> bool:
        left, right = as_time(value), as_time(wanted)
        return left is not None and right is not None and compare(left, right)

    return operator


def as_time(value: Json) -> int | None:
    """Return nanoseconds since the epoch: of milliseconds as a number, or of RFC 3339 text."""
    if is_number(value):
        return math.floor(Fraction(value) * 10**6) if _is_finite(value) else None
    found = TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    offset_hour, offset_minute = int(found[9] or 0), int(found[10] or 0)
    if hour > 23 or minute > 59 or second > 60 or offset_hour > 23 or offset_minute > 59:
        return None
    try:
        days = dt.date(year, month, day).toordinal() - dt.date(1970, 1, 1).toordinal()
    except ValueError:
        return None
    offset = (offset_hour * 60 + offset_minute) * (-1 if found[8] == "-" else 1)
    seconds = ((days * 24 + hour) * 60 + minute - offset) * 60 + second
    nanoseconds = int((found[7] or "0")[:9].ljust(9, "0"))
    return seconds * NANOSECONDS + nanoseconds


# --- semantic versions --------------------------------------------------------------------------

NUMERIC: Final = r"(?:0|[1-9][0-9]*)"
IDENTIFIER: Final = rf"(?:{NUMERIC}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
VERSION: Final = re.compile(
    rf"({NUMERIC})(?:\.({NUMERIC}))?(?:\.({NUMERIC}))?"
    rf"(?:-({IDENTIFIER}(?:\.{IDENTIFIER})*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)


def on_versions(wanted_order: int) -> Callable[[Json, Json], bool]:
    """Make an operator that is true if both sides are versions and compare as `wanted_order`."""

    def operator(value: Json, wanted: Json) -> bool:
        left, right = as_version(value), as_version(wanted)
        return left is not None and right is not None and order(left, right) == wanted_order

    return operator


def as_version(value: Json) -> tuple[list[str], list[str]] | None:
    """Return the three numbers and the prerelease identifiers, all as text."""
    found = VERSION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    numbers = [found[1], found[2] or "0", found[3] or "0"]
    return numbers, found[4].split(".") if found[4] else []


def order(left: tuple[list[str], list[str]], right: tuple[list[str], list[str]]) -> int:
    """Return -1, 0 or 1 by the precedence of Semantic Versioning 2.0."""
    by_numbers = first_difference(left[0], right[0])
    if by_numbers:
        return by_numbers
    if not left[1] or not right[1]:
        return bool(right[1]) - bool(left[1])
    return first_difference(left[1], right[1]) or sign((len(left[1]), ""), (len(right[1]), ""))


def first_difference(left: list[str], right: list[str]) -> int:
    """Return the order of the first pair that differs, 0 if none does."""
    for one, other in zip(left, right, strict=False):
        if one != other:
            return identifier_order(one, other)
    return 0


def identifier_order(one: str, other: str) -> int:
    """Order two different identifiers: numbers by value and before text, text by ASCII."""
    if one.isdigit() and other.isdigit():
        return sign((len(one), one), (len(other), other))
    if one.isdigit() != other.isdigit():
        return -1 if one.isdigit() else 1
    return sign((0, one), (0, other))


def sign(one: tuple[int, str], other: tuple[int, str]) -> int:
    """Return -1, 0 or 1."""
    return (one > other) - (one < other)


OPERATORS: Final[dict[str, Callable[[Json, Json], bool]]] = {
    "in": equals,
    "startsWith": on_strings(lambda value, wanted: value.startswith(wanted)),
    "endsWith": on_strings(lambda value, wanted: value.endswith(wanted)),
    "contains": on_strings(lambda value, wanted: wanted in value),
    "matches": on_strings(search),
    "lessThan": on_numbers(lambda value, wanted: value < wanted),
    "lessThanOrEqual": on_numbers(lambda value, wanted: value <= wanted),
    "greaterThan": on_numbers(lambda value, wanted: value > wanted),
    "greaterThanOrEqual": on_numbers(lambda value, wanted: value >= wanted),
    "before": on_times(lambda value, wanted: value < wanted),
    "after": on_times(lambda value, wanted: value > wanted),
    "semVerEqual": on_versions(0),
    "semVerLessThan": on_versions(-1),
    "semVerGreaterThan": on_versions(1),
}
