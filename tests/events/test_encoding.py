"""Whatever the application hands in, an event is JSON, and only the bad piece is lost."""

import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from flagkeep.events.encoding import DEEPEST, Shape, encode
from tests.strategies import LONE_SURROGATE, any_json

NAN, INFINITY = float("nan"), float("inf")


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Fraction(float):
    pass


class Colour(Enum):
    RED = "red"


class Size(IntEnum):
    BIG = 3


class Table(dict[str, Any]):
    pass


class Row(list[Any]):
    pass


@dataclass
class Point:
    x: int
    y: Any


class Record(msgspec.Struct, tag="record"):
    name: str
    value: Any
    other: int | UnsetType = UNSET


class Plain(msgspec.Struct):
    value: Any


class View(Mapping[Any, Any]):
    def __init__(self, inner: dict[Any, Any]) -> None:
        self.inner = inner

    def __getitem__(self, key: Any) -> Any:
        return self.inner[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.inner)

    def __len__(self) -> int:
        return len(self.inner)


class Broken(View):
    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError("no idea what is in here")


class Lying:
    def __getattribute__(self, name: str) -> Any:  # as proxies do that stand for nothing
        raise RuntimeError("unbound")


class Event(Shape, frozen=True, tag_field="kind", tag="example"):
    creation_date: int
    value: Any
    other: Any = UNSET


class Outer(Shape, frozen=True):
    inner: dict[str, Event]


def decoded(value: object) -> Any:
    text = encode(value)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text.decode("utf-8"), parse_constant=refuse)


@given(any_json)
def test_json_comes_back(value: Any) -> None:
    assert decoded(value) == value


@given(any_json)
def test_json_beside_something_bad_comes_back(value: Any) -> None:
    assert decoded([value, object()]) == [value, None]


@given(st.recursive(st.text(st.characters(), max_size=5), st.lists, max_leaves=5))
def test_any_text_comes_back_lone_surrogates_too(value: Any) -> None:
    assert decoded(value) == value


@pytest.mark.parametrize("number", [NAN, INFINITY, -INFINITY, Fraction("nan"), Fraction("-inf")])
def test_fix_there_is_no_nan_and_no_infinity_in_json(number: float) -> None:
    """FIX (events.md 1): the official SDK writes `NaN` and `Infinity`, which nobody can read."""
    assert encode(number) == b"null"
    assert decoded({"a": [number, 1.5], "b": number}) == {"a": [None, 1.5], "b": None}
    assert decoded([number, object(), {LONE_SURROGATE: number}]) == [
        *(None, None),
        {LONE_SURROGATE: None},
    ]


@pytest.mark.parametrize(
    "bad",
    [object(), int, len, (_ for _ in ()), 1j, range(3), Point(1, object())],
    ids=["object", "type", "function", "generator", "complex", "range", "dataclass"],
)
def test_fix_a_value_that_is_not_json_costs_only_itself(bad: object) -> None:
    """FIX (events.md 1): the official SDK loses the whole batch over one such value."""
    event = Event(1, {"good": 1, "bad": bad, "list": [bad, 2], "set": {3}}, "kept")
    assert decoded(event) == {
        "kind": "example",
        "creationDate": 1,
        "other": "kept",
        "value": {"good": 1, "bad": None, "list": [None, 2], "set": [3]},
    }


@pytest.mark.parametrize("make", [Lying, lambda: Broken({"a": 1})], ids=["lying", "broken"])
def test_a_value_that_raises_when_it_is_looked_at_costs_only_its_field(
    make: Callable[[], object],
) -> None:
    assert decoded(Event(1, {"good": 1, "bad": make()}, "kept")) == {
        "kind": "example",
        "creationDate": 1,
        "value": None,
        "other": "kept",
    }


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Text("a"), "a"),
        (Number(5), 5),
        (Number(2**70), 2**70),
        (Fraction(1.5), 1.5),
        (Colour.RED, "red"),
        (Size.BIG, 3),
        (Table(a=1), {"a": 1}),
        (OrderedDict(a=1), {"a": 1}),
        (View({"a": 1, 2: "b"}), {"a": 1, "2": "b"}),
        (Row([1]), [1]),
        ((1, 2), [1, 2]),
        (frozenset({1}), [1]),
        ({"a": 1}.keys(), ["a"]),
        (Point(1, "y"), {"x": 1, "y": "y"}),
        (Record("n", 1), {"type": "record", "name": "n", "value": 1}),
        (Plain(1), {"value": 1}),
        (Decimal("1.5"), "1.5"),
        (datetime(2024, 1, 2, tzinfo=UTC), "2024-01-02T00:00:00Z"),
        (UUID(int=1), str(UUID(int=1))),
        (b"bytes", "Ynl0ZXM="),
        (10**600, 10**600),
        ({False: "c"}, {}),
        ({1: "a", 1.5: "b", None: "d", (1, 2): "e"}, {"1": "a", "1.5": "b"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_types_near_json_are_written_alone_and_beside_something_bad(
    value: Any, written: Any
) -> None:
    beside = decoded([value, object()])[0]
    assert decoded(value) == beside == written


def test_names_may_be_any_text() -> None:
    names = {"": 1, LONE_SURROGATE: 2, Text("x"): 3, 'quo"te': 4, "\n": 5, "é": 6}
    assert decoded([names, object()])[0] == names


def test_a_list_that_contains_itself_ends() -> None:
    endless: list[Any] = [1]
    endless.append(endless)
    found = decoded(endless)
    for _ in range(DEEPEST - 1):
        assert found[0] == 1
        found = found[1]
    assert found == [1, None]


def test_what_is_nested_as_deep_as_contexts_may_be_is_written_whole() -> None:
    deep: Any = LONE_SURROGATE
    for _ in range(DEEPEST - 2):
        deep = [deep]
    assert decoded(deep) == deep


def test_a_value_of_endless_many_parts_is_null_and_the_rest_of_the_event_is_there() -> None:
    many: list[Any] = [object()]
    for _ in range(40):
        many = [many, many]
    assert decoded(Event(1, many, "kept")) == {
        "kind": "example",
        "creationDate": 1,
        "value": None,
        "other": "kept",
    }
    assert encode(many) == b"null"


def test_what_became_null_is_said_without_the_value(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "flagkeep.events"):
        encode(Event(1, {"secret": 1j}))
    (record,) = caplog.records
    assert (record.levelno, record.name) == (logging.DEBUG, "flagkeep.events")
    assert "complex" in record.getMessage()
    assert "1j" not in caplog.text


def test_an_absent_field_is_not_written_either_way() -> None:
    assert encode(Event(1, 2)) == b'{"kind":"example","creationDate":1,"value":2}'
    assert encode(Event(1, object())) == b'{"kind":"example","creationDate":1,"value":null}'
    assert decoded(Record("n", object())) == {"type": "record", "name": "n", "value": None}


def test_a_bad_value_in_a_part_of_an_event_spares_the_other_parts() -> None:
    outer = Outer({"a": Event(1, Broken({})), "b": Event(2, "fine")})
    assert decoded(outer)["inner"] == {
        "a": {"kind": "example", "creationDate": 1, "value": None},
        "b": {"kind": "example", "creationDate": 2, "value": "fine"},
    }
