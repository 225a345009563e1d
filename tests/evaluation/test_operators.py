"""Clause operators (evaluation spec, section 2.4): every row of its tables."""

from itertools import pairwise
from typing import Any, Final

import pytest

from tests.evaluation.bridge import clause_matches, compiled_flag, flag_with_clause

NOON: Final = "2017-12-06T07:00:00Z"
NOON_MS: Final = 1512543600000
LONE: Final = "\ud800"


@pytest.mark.parametrize(
    ("op", "value", "wanted", "expected"),
    [
        # in: the types of JSON stay apart, numbers are numbers
        ("in", "a", "a", True),
        ("in", "a", "A", False),
        ("in", "", "", True),
        ("in", 1, 1.0, True),
        ("in", 1.0, 1, True),
        ("in", -0.0, 0, True),
        ("in", 1, "1", False),
        ("in", "1", 1, False),
        ("in", True, 1, False),
        ("in", 1, True, False),
        ("in", 0, False, False),
        ("in", True, True, True),
        ("in", True, "true", False),
        ("in", 2**53 + 1, 2**53, False),
        ("in", 10**400, 10**400, True),
        ("in", 10**400, 1.5, False),
        ("in", {"a": 1}, {"a": 1.0}, True),
        ("in", {"a": True}, {"a": 1}, False),
        ("in", {"a": 1}, {"a": 1, "b": 2}, False),
        ("in", {"a": [1, {"b": None}]}, {"a": [1.0, {"b": None}]}, True),
        ("in", [["x"]], ["x"], True),
        ("in", ["x"], ["x"], False),
        ("in", [[True]], [1], False),
        ("in", [None], None, True),
        ("in", LONE, LONE, True),
        # text: case-sensitive, the clause's value is the part
        ("startsWith", "abc", "ab", True),
        ("startsWith", "ab", "abc", False),
        ("startsWith", "Abc", "ab", False),
        ("startsWith", "abc", "", True),
        ("startsWith", 12, "1", False),
        ("startsWith", "12", 1, False),
        ("endsWith", "abc", "bc", True),
        ("endsWith", "bc", "abc", False),
        ("endsWith", "abC", "bc", False),
        ("endsWith", "abc", "", True),
        ("endsWith", 12, 2, False),
        ("contains", "abc", "b", True),
        ("contains", "b", "abc", False),
        ("contains", "aBc", "b", False),
        ("contains", "abc", "", True),
        ("contains", 123, "2", False),
        ("contains", ["abc"], "b", True),
        ("contains", f"a{LONE}b", LONE, True),
        # regular expressions: searched for, in the dialect of RE2
        ("matches", "hello world", "hello.*rld", True),
        ("matches", "hello world", "l+", True),
        ("matches", "hello world", "^world", False),
        ("matches", "hello world", "***bad", False),
        ("matches", "hello world", "(?=hello)", False),
        ("matches", "aa", r"(a)\1", False),
        ("matches", "a\n", "a$", False),
        ("matches", "٣", r"\d", False),
        ("matches", "a", "", True),
        ("matches", 1, "1", False),
        ("matches", "1", 1, False),
        ("matches", LONE, ".", False),
        ("matches", "a", LONE, False),
        ("matches", "a\x00b", "a\x00b", True),
        ("matches", "a" * 60 + "!", "^(a+)+$", False),
        # numbers, as doubles
        ("lessThan", 1, 1.5, True),
        ("lessThan", 1, 1, False),
        ("lessThan", 2, 1, False),
        ("lessThanOrEqual", 1, 1.0, True),
        ("lessThanOrEqual", 1.5, 1, False),
        ("greaterThan", 2, 1.99, True),
        ("greaterThan", 1, 1, False),
        ("greaterThanOrEqual", 1, 1, True),
        ("greaterThanOrEqual", 0, 1, False),
        ("lessThan", "1", 2, False),
        ("lessThan", 1, "2", False),
        ("lessThan", False, 1, False),
        ("greaterThan", 1, False, False),
        ("greaterThan", 2**53 + 1, 2**53, False),
        ("lessThanOrEqual", 2**53 + 1, 2**53, True),
        ("greaterThan", 10**400, 1e308, True),
        ("lessThan", -(10**400), -1e308, True),
        ("lessThan", 10**400, 10**401, False),
        ("greaterThanOrEqual", 10**400, 10**401, True),
        # an operator that nobody knows
        ("unheardOf", "a", "a", False),
        ("", "a", "a", False),
        ("IN", "a", "a", False),
    ],
)
def test_operator(op: str, value: Any, wanted: Any, *, expected: bool) -> None:
    assert clause_matches(op, value, wanted) is expected
    assert clause_matches(op, value, wanted, negate=True) is not expected


@pytest.mark.parametrize("op", ["lessThanOrEqual", "greaterThanOrEqual"])
@pytest.mark.parametrize("sign", [1, -1])
def test_fix_numbers_beyond_doubles_are_infinite(op: str, sign: int) -> None:
    """FIX (evaluation.md 2.4): with the official SDK they make the whole evaluation fail."""
    huge = sign * 10**400
    assert clause_matches(op, huge, huge * 10)
    assert clause_matches(op, huge * 10, huge)
    assert clause_matches(op, 0, huge) is ((sign > 0) is (op == "lessThanOrEqual"))


OPERATORS: Final = [
    *("in", "startsWith", "endsWith", "contains", "matches", "before", "after"),
    *("lessThan", "lessThanOrEqual", "greaterThan", "greaterThanOrEqual"),
    *("semVerEqual", "semVerLessThan", "semVerGreaterThan"),
]


@pytest.mark.parametrize("op", OPERATORS)
def test_no_values_match_nothing(op: str) -> None:
    assert not clause_matches(op, "a")
    assert clause_matches(op, "a", negate=True)


@pytest.mark.parametrize(
    ("op", "value", "wanted"),
    [
        ("in", "a", [1, None, "a"]),
        ("in", 1, ["a", True, 1.0]),
        ("startsWith", "ab", ["x", 1, "a"]),
        ("endsWith", "ab", ["x", None, "b"]),
        ("contains", "abc", ["x", {}, "b"]),
        ("matches", "ab", ["(", "x", "b$"]),
        ("matches", "ab", [LONE, 1, "b$"]),
        ("lessThan", 5, [1, "9", 9]),
        ("lessThanOrEqual", 9, [1, None, 9]),
        ("greaterThan", 5, [9, True, 1]),
        ("greaterThanOrEqual", 1, [9, [], 1]),
        ("before", 5, [1, "x", 9]),
        ("after", 5, [9, "x", 1]),
        ("semVerEqual", "2.0", ["x", 1, "2"]),
        ("semVerLessThan", "2", ["1", "x", "3"]),
        ("semVerGreaterThan", "2", ["3", None, "1"]),
    ],
)
def test_any_of_the_values_is_enough_and_wrong_types_do_not_disturb(
    op: str, value: Any, wanted: list[Any]
) -> None:
    assert clause_matches(op, value, *wanted)
    assert clause_matches(op, value, *reversed(wanted))
    assert clause_matches(op, [None, [], value], *wanted)


def test_refused_patterns_are_named() -> None:
    flag = compiled_flag(flag_with_clause("matches", ["(", "ok", r"(a)\1", LONE]))
    assert len(flag.facts.problems) == 3
    assert any("'('" in problem for problem in flag.facts.problems)


def test_many_patterns_in_one_clause() -> None:
    patterns = [f"^key-{number}$" for number in range(500)]
    assert clause_matches("matches", "key-499", *patterns)
    assert not clause_matches("matches", "key-500", *patterns)


# --- time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "same",
    [
        "2017-12-06T00:00:00.000-07:00",
        "2017-12-06T07:00:00.000Z",
        NOON,
        NOON_MS,
        float(NOON_MS),
        "2017-12-06t07:00:00z",
        "2017-12-06T07:00:00+00:00",
        "2017-12-06T07:00:00-00:00",
        "2017-12-06T08:30:00+01:30",
        "2017-12-06T07:00:00.0Z",
        "2017-12-06T07:00:00.00000000Z",
        "2017-12-06T07:00:00.000000000Z",
        "2017-12-06T07:00:00.0000000000009Z",
        "2017-12-06T06:59:60Z",
    ],
)
def test_the_same_time(same: Any) -> None:
    assert not clause_matches("before", same, NOON)
    assert not clause_matches("after", same, NOON)
    assert clause_matches("before", same, NOON_MS + 1)
    assert clause_matches("after", same, NOON_MS - 1)
    assert clause_matches("before", NOON_MS - 0.5, same)
    assert clause_matches("after", NOON_MS + 0.5, same)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (0, 1),
        (0.25, 0.5),
        (-1, 0),
        ("1969-12-31T23:59:59.999Z", 0),
        ("2017-12-06T07:00:00.1Z", "2017-12-06T07:00:00.12Z"),
        ("2017-12-06T07:00:00.000000001Z", "2017-12-06T07:00:00.000000002Z"),
        ("2017-12-06T07:00:00+00:01", NOON),
        ("0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:60Z"),
        ("9999-12-31T23:59:60-23:59", 10**400),
        (-(10**400), NOON),
        (NOON, 1e300),
    ],
)
def test_before_and_after(earlier: Any, later: Any) -> None:
    assert clause_matches("before", earlier, later)
    assert clause_matches("after", later, earlier)
    assert not clause_matches("after", earlier, later)
    assert not clause_matches("before", later, earlier)
    assert not clause_matches("before", earlier, earlier)


def test_whole_and_fractional_milliseconds_agree() -> None:
    for milliseconds in (1512543600001, 1512543600003):
        text = f"2017-12-06T07:00:00.{milliseconds % 1000:03}Z"
        for left in (milliseconds, float(milliseconds), text):
            for right in (milliseconds, float(milliseconds), text):
                assert not clause_matches("before", left, right)
                assert not clause_matches("after", left, right)


@pytest.mark.parametrize(
    "bad",
    [
        "2017-12-06",
        "00:00:00.000-07.00",
        "2017-12-06X07:00:00Z",
        "badstring",
        "",
        "1512543600000",
        "2017-12-06T07:00:00",
        "2017-12-06T07:00:00.000-07.00",
        "2023-12-31 23:59:59Z",
        "20231231T235959Z",
        "2017-12-06T07:00Z",
        "2017-12-06T07:00:00.Z",
        "2017-12-06T24:00:00Z",
        "2017-12-06T07:60:00Z",
        "2017-12-06T07:00:61Z",
        "2017-12-06T07:00:00+24:00",
        "2017-12-06T07:00:00+00:60",
        "2017-12-06T07:00:00+0000",
        "2017-13-06T07:00:00Z",
        "2017-00-06T07:00:00Z",
        "2017-02-29T07:00:00Z",
        "0000-01-01T00:00:00Z",
        "2017-12-6T07:00:00Z",
        "2017-12-06T07:00:00Z\n",
        " 2017-12-06T07:00:00Z",
        "+2017-12-06T07:00:00Z",
        "٢٠١٧-12-06T07:00:00Z",
        True,
        False,
        {},
        [],
        {"a": NOON},
    ],
)
def test_no_time(bad: Any) -> None:
    for other in (-(10**18), 10**18, NOON):
        for op in ("before", "after"):
            assert not clause_matches(op, bad, other)
            assert not clause_matches(op, other, bad)


def test_null_is_no_time() -> None:
    assert not clause_matches("before", 0, None)
    assert not clause_matches("after", 0, None)


# --- semantic versions --------------------------------------------------------------------------


@pytest.mark.parametrize("same", ["2", "2.0", "2.0.0", "2.0.0+build", "2+b", "2.0.0+01.-.a"])
def test_the_same_version(same: str) -> None:
    assert clause_matches("semVerEqual", same, "2.0.0")
    assert not clause_matches("semVerLessThan", same, "2.0.0")
    assert not clause_matches("semVerGreaterThan", same, "2.0.0")


ORDER: Final = [
    "0.0.0-0",
    "0",
    "0.0.1",
    "0.1",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "2-1",
    "2-99999999999999999999",
    "2-A",
    "2-rc",
    "2.0-rc.1",
    "2.0-rc.2",
    "2.0-rc.10",
    "2.0.0-rc1",
    "2.0.0",
    "2.0.9",
    "2.0.10",
    "99999999999999999999.0.0",
    "9" * 5000,
]


@pytest.mark.parametrize(("less", "more"), list(pairwise(ORDER)))
def test_versions_in_order(less: str, more: str) -> None:
    assert clause_matches("semVerLessThan", less, more)
    assert clause_matches("semVerGreaterThan", more, less)
    assert not clause_matches("semVerEqual", less, more)
    assert not clause_matches("semVerLessThan", more, less)
    assert not clause_matches("semVerGreaterThan", less, more)


@pytest.mark.parametrize(
    "bad",
    [
        *("02.0.0", "v2.0.0", "2.0.0.0", "2.", "2..0", " 2.0.0", "2.0.0 ", "2.0.0-", "2.0.0-01"),
        *("x", "", 2, 2.0, True, None, "2.0.0\n", "2.0.0+", "2.0.0-a..b", "2.0.0-é", "٢.0.0", "-1"),
        *("2.00.0", "2.0.01", "2.0.0-rc_1", {}),
    ],
)
def test_no_version(bad: Any) -> None:
    for op in ("semVerEqual", "semVerLessThan", "semVerGreaterThan"):
        for other in ("0.0.0-0", "2.0.0", "99"):
            assert not clause_matches(op, other, bad)
            if bad is not None:
                assert not clause_matches(op, bad, other)
        assert not clause_matches(op, {} if bad is None else bad, bad)
