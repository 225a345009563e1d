"""JSON values (data model spec, section 7)."""

import copy
import math
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given

from flagkeep.model.context import Context
from flagkeep.model.values import NotJson, copy_decoded, copy_json, frozen_value, is_too_deep
from tests import strategies
from tests.evaluation.profiles import examples
from tests.reference.operators import equals


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


class Colour(StrEnum):
    RED = "red"


class Number(int):
    pass


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Colour.RED, "red"),
        (Number(3), 3),
        ((1, (2,)), [1, [2]]),
        ({"a": (1,)}, {"a": [1]}),
        ({Colour.RED: 1}, {"red": 1}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (nested(100), nested(100)),
        (10**400, 10**400),
        ("\ud800", "\ud800"),
    ],
)
def test_copies_are_plain(value: Any, plain: Any) -> None:
    copied = copy_json(value)
    assert copied == plain
    assert repr(copied) == repr(plain)


@pytest.mark.parametrize(
    "value",
    [
        *(math.nan, math.inf, -math.inf, [math.nan], {"a": math.inf}),
        *({1: 1}, {None: 1}, {(1,): 1}, {1}, object(), b"x", 1j, int, range(3)),
        *(nested(101), {"a": nested(100)}),
        pytest.param(10**5_000, id="huge"),
        pytest.param([-(10**5_000)], id="huge inside"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_json(value: Any) -> None:
    with pytest.raises(NotJson):
        copy_json(value)


def test_values_that_contain_themselves() -> None:
    loop: list[Any] = []
    loop.append({"loop": loop})
    with pytest.raises(NotJson):
        copy_json(loop)


def test_depth() -> None:
    assert not is_too_deep(nested(100))
    assert is_too_deep(nested(101))
    assert not is_too_deep({"a": [nested(5), {"b": nested(97)}]})
    assert is_too_deep({"a": [nested(5), {"b": nested(98)}]})


@examples(300)
@given(strategies.any_json)
def test_copies_equal_and_share_nothing(value: Any) -> None:
    for copied in (copy_json(value), copy_decoded(value)):
        assert repr(copied) == repr(value)
        before = copy.deepcopy(value)
        if isinstance(copied, list):
            copied.append(1)
        if isinstance(copied, dict):
            copied["new"] = 1
        assert value == before


@examples(600)
@given(strategies.values, strategies.values)
def test_frozen_values_are_equal_exactly_if_the_values_are(left: Any, right: Any) -> None:
    one, other = frozen_value(left), frozen_value(right)
    assert (one == other) is equals(left, right)
    if one == other:
        assert hash(one) == hash(other)
    assert frozen_value(copy.deepcopy(left)) == one


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (1, 1.0, True),
        (1, "1", False),
        (1, True, False),
        (0, False, False),
        ("true", True, False),
        ({"a": True}, {"a": 1}, False),
        ([1, [True]], [1, [1]], False),
        ({"a": 1}, {"a": 1.0}, True),
        ({}, [], False),
        (None, False, False),
        ([None], [], False),
        ([["a", 1]], {"a": 1}, False),
    ],
)
def test_types_stay_apart(left: Any, right: Any, *, same: bool) -> None:
    assert (frozen_value(left) == frozen_value(right)) is same


def test_lists_that_contain_each_other_many_times_over_are_refused_in_bounded_time() -> None:
    doubled: list[object] = [1, "x", {}]
    for _ in range(60):
        doubled = [doubled, doubled]
    with pytest.raises(NotJson, match="more than 1000000 values"):
        copy_json(doubled)
    assert not Context.builder("a").try_set("x", doubled)
