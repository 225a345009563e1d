"""What evaluations return."""

import copy
import pickle
from typing import Any

import pytest

from flagkeep.ldclient.evaluation import BigSegmentsStatus, EvaluationDetail, FeatureFlagsState

STATE: dict[str, Any] = {
    "key": "f",
    "value": {"x": 1},
    "variation": 0,
    "version": 3,
    "reason": {"kind": "OFF"},
    "trackEvents": False,
    "trackReason": False,
    "debugEventsUntilDate": None,
    "prerequisites": [],
}


def state_of(options: tuple[bool, bool] = (False, False), **changed: Any) -> Any:
    state = FeatureFlagsState(True)
    state.add_flag(STATE | changed, *options)
    return state.to_json_dict()["$flagsState"]["f"]


def test_a_detail_is_readable_and_comparable() -> None:
    detail = EvaluationDetail("v", 1, {"kind": "OFF"})
    assert str(detail) == repr(detail)
    assert str(detail) == "(value=v, variation_index=1, reason={'kind': 'OFF'})"
    assert detail == EvaluationDetail("v", 1, {"kind": "OFF"})
    assert detail != EvaluationDetail("v", 2, {"kind": "OFF"})
    assert detail != "v"
    assert pickle.loads(pickle.dumps(detail)) == copy.deepcopy(detail) == detail  # noqa: S301


def test_a_detail_without_an_index_is_the_default() -> None:
    assert EvaluationDetail("v", None, {}).is_default_value()
    assert not EvaluationDetail("v", 0, {}).is_default_value()


def test_a_detail_has_no_hash_because_its_value_may_have_none() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(EvaluationDetail("v", 0, {}))


def test_big_segment_statuses_are_plain_text() -> None:
    names = ("HEALTHY", "STALE", "NOT_CONFIGURED", "STORE_ERROR")
    assert [getattr(BigSegmentsStatus, name) for name in names] == list(names)


def test_an_empty_state_says_so() -> None:
    state = FeatureFlagsState(False)
    assert state.to_json_string() == '{"$flagsState": {}, "$valid": false}'
    assert (state.valid, state.to_values_map()) == (False, {})
    assert (state.get_flag_value("f"), state.get_flag_reason("f")) == (None, None)


def test_a_flag_is_described_by_what_is_set() -> None:
    assert state_of() == {"version": 3, "variation": 0}
    assert state_of(variation=None) == {"version": 3}
    assert state_of(trackEvents=True)["trackEvents"] is True
    assert state_of(prerequisites=["p"])["prerequisites"] == ["p"]
    assert state_of(debugEventsUntilDate=5)["debugEventsUntilDate"] == 5


def test_reasons_are_there_when_asked_for_or_needed() -> None:
    reason = {"kind": "OFF"}
    assert state_of((True, False))["reason"] == reason
    experiment = state_of(trackReason=True)
    assert (experiment["reason"], experiment["trackReason"]) == (reason, True)


def test_details_may_be_left_out_where_no_event_needs_them() -> None:
    assert state_of((True, True)) == {"variation": 0}
    assert "version" in state_of((True, True), trackEvents=True)
    assert "version" in state_of((True, True), debugEventsUntilDate=99999999999999)
    assert "version" not in state_of((True, True), debugEventsUntilDate=1)


def test_a_state_can_be_pickled_and_is_json_to_jsonpickle() -> None:
    state = FeatureFlagsState(True)
    state.add_flag(STATE, True, False)
    again = pickle.loads(pickle.dumps(state))  # noqa: S301  our own
    assert again.to_json_dict() == state.to_json_dict() == state.__getstate__()
    assert again.get_flag_reason("f") == {"kind": "OFF"}
    assert again.get_flag_value("f") == {"x": 1}
