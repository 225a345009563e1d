"""The exact form of each analytics event (events spec, section 3)."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagkeep.events.contexts import ContextFormatter
from flagkeep.events.formatting import (
    custom_event,
    debug_event,
    feature_event,
    identify_event,
    index_event,
)
from flagkeep.model.context import Context
from tests.strategies import LONE_SURROGATE, any_json, contexts

NOW = 1_700_000_000_000
USER = {"kind": "user", "key": "u"}
USER_JSON = b'{"kind":"user","key":"u"}'
EVALUATED: dict[str, Any] = {
    "key": "f",
    "version": 4,
    "variation": 1,
    "value": "b",
    "default": "x",
    "reason": None,
    "prereq_of": None,
    "sampling_ratio": 1,
    "context_json": USER_JSON,
}
REASON = {"kind": "FALLTHROUGH", "inExperiment": True}
evaluation_events = pytest.mark.parametrize(
    ("event", "kind"), [(feature_event, "feature"), (debug_event, "debug")]
)


def test_an_index_event_is_a_context_and_a_date() -> None:
    assert index_event(NOW, USER_JSON) == (
        b'{"kind":"index","creationDate":1700000000000,"context":{"kind":"user","key":"u"}}'
    )


def test_an_identify_event_is_a_context_and_a_date() -> None:
    assert json.loads(identify_event(NOW, USER_JSON)) == {
        "kind": "identify",
        "creationDate": NOW,
        "context": USER,
    }


def test_a_custom_event_has_data_and_metric_only_if_given() -> None:
    bare = {"kind": "custom", "creationDate": NOW, "key": "bought", "context": USER}
    assert json.loads(custom_event(NOW, "bought", USER_JSON)) == bare
    assert json.loads(custom_event(NOW, "bought", USER_JSON, None, None)) == bare
    assert json.loads(custom_event(NOW, "bought", USER_JSON, {"a": [1]}, 1.5)) == {
        **bare,
        "data": {"a": [1]},
        "metricValue": 1.5,
    }


@pytest.mark.parametrize("value", [0, 0.0, False, "", [], {}])
def test_what_is_given_is_sent_though_it_is_nothing(value: object) -> None:
    found = json.loads(custom_event(NOW, "k", USER_JSON, value, value))
    assert found["data"] == found["metricValue"] == value


@evaluation_events
def test_an_evaluation_has_only_what_is_known(event: Callable[..., bytes], kind: str) -> None:
    whole = {
        "kind": kind,
        "creationDate": NOW,
        "key": "f",
        "version": 4,
        "variation": 1,
        "value": "b",
        "default": "x",
        "context": USER,
    }
    assert json.loads(event(NOW, **EVALUATED)) == whole
    del whole["variation"]
    assert json.loads(event(NOW, **EVALUATED | {"variation": None})) == whole
    del whole["version"]
    assert json.loads(event(NOW, **EVALUATED | {"variation": None, "version": None})) == whole


@evaluation_events
def test_an_evaluation_has_reason_and_dependent_flag_where_they_are_given(
    event: Callable[..., bytes], kind: str
) -> None:
    given = {"reason": REASON, "prereq_of": "parent", "default": None}
    found = json.loads(event(NOW, **EVALUATED | given))
    assert found["kind"] == kind
    assert found["reason"] == REASON
    assert found["prereqOf"] == "parent"
    assert found["default"] is None


@evaluation_events
def test_a_sampling_ratio_is_sent_unless_it_is_one(event: Callable[..., bytes], kind: str) -> None:
    found = json.loads(event(NOW, **EVALUATED | {"sampling_ratio": 7}))
    assert (found["kind"], found["samplingRatio"]) == (kind, 7)
    assert "samplingRatio" not in json.loads(event(NOW, **EVALUATED))


@pytest.mark.parametrize("zero", [{"version": 0}, {"variation": 0}])
def test_a_version_or_variation_of_zero_is_one(zero: dict[str, int]) -> None:
    found = json.loads(feature_event(NOW, **EVALUATED | zero))
    assert zero.items() <= found.items()


def test_fix_a_default_that_is_not_json_costs_only_itself() -> None:
    """FIX (events.md 1): the official SDK loses the whole batch."""
    found = json.loads(feature_event(NOW, **EVALUATED | {"default": object(), "reason": REASON}))
    assert found["default"] is None
    assert (found["key"], found["value"], found["reason"]) == ("f", "b", REASON)
    assert found["context"] == USER
    assert found["creationDate"] == NOW


def test_fix_data_that_is_not_json_costs_only_itself() -> None:
    """FIX (events.md 1): the official SDK loses the whole batch, or sends `NaN`."""
    data = {"bad": object(), "good": 1, "odd": float("nan")}
    found = json.loads(custom_event(NOW, "k", USER_JSON, data, float("inf")))
    assert found["data"] == {"bad": None, "good": 1, "odd": None}
    assert found["metricValue"] is None
    assert found["context"] == USER


def test_keys_may_be_any_text() -> None:
    assert json.loads(custom_event(NOW, LONE_SURROGATE, USER_JSON))["key"] == LONE_SURROGATE
    found = json.loads(feature_event(NOW, **EVALUATED | {"key": LONE_SURROGATE + '"'}))
    assert found["key"] == LONE_SURROGATE + '"'


@given(contexts(), any_json, any_json, st.text(st.characters()))
def test_whatever_goes_in_comes_back(context: Any, value: Any, other: Any, key: str) -> None:
    text = ContextFormatter().format(Context.from_dict(context), redact_anonymous=False)
    shown = json.loads(text)
    assert json.loads(index_event(NOW, text))["context"] == shown
    evaluated = EVALUATED | {"key": key, "value": value, "default": other, "context_json": text}
    for event in (feature_event, debug_event):
        found = json.loads(event(NOW, **evaluated))
        assert (found["key"], found["value"], found["default"]) == (key, value, other)
        assert found["context"] == shown
    found = json.loads(custom_event(NOW, key, text, value, other))
    assert (found["key"], found.get("data"), found.get("metricValue")) == (key, value, other)
