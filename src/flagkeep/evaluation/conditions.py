"""What a clause asks of an attribute: of one value, of any in a list, of one that is not there.

A condition is `holds(value)` and takes all three apart by itself, `negate` included, in one call;
most clauses are one of a few operators, and those have a condition of their own.
"""

import math
from collections.abc import Sequence
from typing import Any, Final, Protocol, final

from flagkeep.evaluation.operators import InStrings, Ordered, Test, TextTest, make_test, read_number

JsonValue = Any

# Up to here every whole number is a double.
_EXACT: Final = float(1 << 53)


class Condition(Protocol):
    """What a clause asks of the value of an attribute."""

    def holds(self, value: JsonValue, /) -> bool:
        """Whether `value` passes; None, an attribute that is not there, never does."""
        ...


@final
class AnyValue:
    """Any operator: the value itself, or one of a list, passes the test."""

    __slots__ = ("negate", "test")

    def __init__(self, test: Test, *, negate: bool) -> None:
        self.test = test
        self.negate = negate

    def holds(self, value: JsonValue, /) -> bool:
        """Whether the test is passed; an absent attribute never does, even negated."""
        if value is None:
            return False
        if type(value) is list:
            return any(map(self.test.matches, value)) is not self.negate
        return self.test.matches(value) is not self.negate


@final
class InStringsHolds:
    """`in`, where every clause value is a string."""

    __slots__ = ("negate", "wanted")

    def __init__(self, wanted: frozenset[str], *, negate: bool) -> None:
        self.wanted = wanted
        self.negate = negate

    def holds(self, value: JsonValue, /) -> bool:
        """Whether it is, or has in it, one of the strings."""
        if type(value) is str:
            return (value in self.wanted) is not self.negate
        if type(value) is list:
            # Only strings are wanted, so that equality across types cannot mislead; but a list may
            # have lists and objects in it, which no set can be asked for.
            try:
                return self.wanted.isdisjoint(value) is self.negate
            except TypeError:
                hit = any(type(one) is str and one in self.wanted for one in value)
                return hit is not self.negate
        return value is not None and self.negate


@final
class StartsWith:
    """`startsWith`."""

    __slots__ = ("general", "negate", "texts")

    def __init__(self, test: TextTest, *, negate: bool) -> None:
        self.texts = test.texts
        self.negate = negate
        self.general = AnyValue(test, negate=negate)

    def holds(self, value: JsonValue, /) -> bool:
        """Whether it is, or has in it, a string with one of these beginnings."""
        if type(value) is str:
            return value.startswith(self.texts) is not self.negate
        return self.general.holds(value)


@final
class EndsWith:
    """`endsWith`."""

    __slots__ = ("general", "negate", "texts")

    def __init__(self, test: TextTest, *, negate: bool) -> None:
        self.texts = test.texts
        self.negate = negate
        self.general = AnyValue(test, negate=negate)

    def holds(self, value: JsonValue, /) -> bool:
        """Whether it is, or has in it, a string with one of these ends."""
        if type(value) is str:
            return value.endswith(self.texts) is not self.negate
        return self.general.holds(value)


@final
class NumberFrom:
    """The four orderings of numbers, each as "at least this much" or its opposite.

    A whole number is compared with `whole`, the least one that is `least` or more after it was
    turned into a double: the rule of every SDK, without the turning.

    Attributes:
        least: the least double for which "at least" is true.
        whole: the least whole number for which it is.
        above: whether those from there on pass, or those below.
    """

    __slots__ = ("above", "general", "least", "whole")

    def __init__(self, test: Ordered, least: float, *, above: bool, negate: bool) -> None:
        self.least = least
        self.whole = least_whole(least)
        self.above = above is not negate
        self.general = AnyValue(test, negate=negate)

    def holds(self, value: JsonValue, /) -> bool:
        """Whether it is, or has in it, such a number."""
        if type(value) is int:
            return (value >= self.whole) is self.above
        if type(value) is float:
            return (value >= self.least) is self.above
        return self.general.holds(value)


def least_whole(least: float) -> int:
    """Return the least whole number that is `least` (finite) or more once it is a double."""
    if abs(least) <= _EXACT:
        return math.ceil(least)
    before = math.nextafter(least, -math.inf)
    middle = (int(before) + int(least)) // 2
    return middle if float(middle) >= least else middle + 1


# By operator: whether what passes is above, and whether the bound itself is.
_NUMBERS: Final = {
    "lessThan": (False, True),
    "lessThanOrEqual": (False, False),
    "greaterThan": (True, False),
    "greaterThanOrEqual": (True, True),
}


def make_condition(
    op: str, values: Sequence[JsonValue], problems: list[str], *, negate: bool
) -> Condition:
    """Return the quickest condition for a clause; patterns RE2 refuses are named in `problems`."""
    test = make_test(op, values, problems)
    if isinstance(test, InStrings):
        return InStringsHolds(test.wanted, negate=negate)
    if isinstance(test, TextTest):
        return (StartsWith if op == "startsWith" else EndsWith)(test, negate=negate)
    if isinstance(test, Ordered) and test.read is read_number:
        above, is_bound_above = _NUMBERS[op]
        least = float(test.bound) if is_bound_above else math.nextafter(test.bound, math.inf)
        if math.isfinite(least) and math.isfinite(test.bound):
            return NumberFrom(test, least, above=above, negate=negate)
    return AnyValue(test, negate=negate)
