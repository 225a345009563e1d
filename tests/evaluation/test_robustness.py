"""Whatever is in a flag or a context, evaluation answers; it never raises."""

import json
import math
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagkeep.errors import InvalidItem
from flagkeep.evaluation import Inputs, compile_flag, evaluate
from flagkeep.model.codec import decode_flag
from flagkeep.model.context import Context
from tests import strategies
from tests.evaluation.bridge import Object, compiled_flag, compiled_inputs, flag_with
from tests.evaluation.profiles import examples
from tests.evaluation.test_reference import contexts
from tests.reference import World


def nested(levels: int) -> str:
    """Return JSON text of so many lists in each other."""
    return "[" * levels + "1" + "]" * levels


def flag_text(name: str, value: str) -> str:
    """Return the JSON text of a flag with the text `value` put in one place."""
    flag = flag_with(
        variations=["b", "VARIATION"],
        rules=[{"variation": 0, "clauses": [{"attribute": "x", "op": "in", "values": ["VALUE"]}]}],
        ignored="UNKNOWN",
    )
    return json.dumps(flag).replace(json.dumps(name), value)


def value_of(text: str) -> Any:
    return evaluate(compile_flag(decode_flag(text)), Context.create("a"), Inputs({}, {})).value


PLACES: Final = ["VARIATION", "VALUE", "UNKNOWN"]


@pytest.mark.parametrize("place", PLACES)
def test_a_hundred_levels_are_evaluated(place: str) -> None:
    expected = json.loads(nested(100)) if place == "VARIATION" else "VARIATION"
    assert value_of(flag_text(place, nested(100))) == expected


@pytest.mark.parametrize("levels", [101, 500, 900, 1_000, 100_000])
@pytest.mark.parametrize(
    ("place", "path"),
    [("VARIATION", "$.variations[1]"), ("VALUE", "$.rules[0].clauses[0].values[0]")],
)
def test_more_levels_are_refused_at_the_door(place: str, path: str, levels: int) -> None:
    with pytest.raises(InvalidItem, match="nested too deeply") as refused:
        decode_flag(flag_text(place, nested(levels)))
    assert refused.value.path in (path, "$")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("text", ["1e400", "-1e400", "[1e400]", '{"a": [-1e400]}'])
def test_numbers_beyond_a_double_are_infinite(place: str, text: str) -> None:
    value = value_of(flag_text(place, text))
    assert value == (json.loads(text) if place == "VARIATION" else "VARIATION")


def test_clauses_compare_with_infinity() -> None:
    text = json.dumps(
        flag_with(
            rules=[
                {
                    "variation": 0,
                    "clauses": [{"attribute": "x", "op": "lessThan", "values": ["LIMIT"]}],
                }
            ]
        )
    ).replace('"LIMIT"', "1e400")
    context = Context.builder("a").set("x", 1e308).build()
    assert evaluate(compile_flag(decode_flag(text)), context, Inputs({}, {})).value == "a"


@pytest.mark.parametrize("digits", [640, 4_300, 4_301, 100_000])
def test_integers_of_many_digits(digits: int) -> None:
    text = flag_text("VARIATION", "9" * digits)
    if digits <= 4_300:
        assert value_of(text) == int("9" * digits)
    else:
        with pytest.raises(InvalidItem, match="too many digits"):
            decode_flag(text)


def cyclic() -> list[Any]:
    loop: list[Any] = [1]
    loop.append({"again": loop})
    return loop


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


ODD_VALUES: Final = {
    "cyclic": cyclic(),
    "a thousand levels": deep(1_000),
    "a hundred thousand levels": deep(100_000),
    "not a number": math.nan,
    "infinity": -math.inf,
    "lone surrogate": "\ud800",
    "lone surrogates inside": {"\ud800": ["\udfff"]},
    "huge": 10**5_000,
    "huge inside": [10**5_000],
    "large": -(10**400),
    "a set": {1},
    "an object": object(),
    "bytes": b"x",
    "keys that are no strings": {1: 2},
    "NaN inside": {"a": [math.nan]},
    "a class": int,
}


@pytest.mark.parametrize("which", ODD_VALUES)
def test_odd_values_in_contexts_never_raise(which: str) -> None:
    value = ODD_VALUES[which]
    clauses = [
        {"attribute": "x", "op": op, "values": ["a", 1, "1.0"]}
        for op in strategies.VALUES_BY_OPERATOR
        if op != "segmentMatch"
    ]
    rules: list[Object] = [{"variation": 0, "clauses": [clause]} for clause in clauses]
    rollout = {"bucketBy": "x", "variations": [{"variation": 1, "weight": 100_000}]}
    flag = compiled_flag(flag_with(rules=rules, fallthrough={"rollout": rollout}))
    for context in (
        Context.builder("a").set("x", value).set("other", "kept").build(),
        Context.from_dict({"kind": "user", "key": "a", "x": value, "other": "kept"}),
        Context.from_user({"key": "a", "custom": {"x": value, "other": "kept"}}),
    ):
        assert context.valid
        assert context.get("other") == "kept"
        # only the large number is comparable with anything: it is less than 1
        expected = 0 if context.get("x") == -(10**400) else 1
        assert evaluate(flag, context, Inputs({}, {})).index == expected
        twin = Context.from_json(context.to_json_string())
        assert twin == context
        assert hash(twin) == hash(context)
        assert str(context) == repr(context) == str(twin)
        assert Context.from_dict(context.to_dict()) == context


@examples(50)
@given(strategies.worlds(), contexts)
def test_evaluation_changes_nothing(world: World, contexts: list[Object]) -> None:
    inputs = compiled_inputs(world)
    for data in contexts:
        context = Context.from_dict(data)
        for flag in inputs.flags.values():
            assert flag is not None
            first = evaluate(flag, context, inputs)
            assert repr(evaluate(flag, context, inputs)) == repr(first)
        assert context == Context.from_dict(data)


@examples(100)
@given(strategies.any_json, st.text(min_size=1))
def test_any_json_is_a_variation_and_an_attribute(value: Any, name: str) -> None:
    clause = {"attribute": name, "op": "in", "values": [value]}
    flag = compiled_flag(
        flag_with(variations=[value, 1], rules=[{"clauses": [clause], "variation": 0}])
    )
    context = Context.builder("a").set(name, [value]).build()
    assert context.valid
    if name not in ("kind", "key", "name", "anonymous"):
        result = evaluate(flag, context, Inputs({}, {}))
        assert (result.index, result.value) == (0, value)
