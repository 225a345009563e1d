"""What the service calls back: hooks, a Big Segment store, the two sides of a migration."""

import json
from typing import Any

import pytest

from flagkeep.testing import FakeUpstream
from tests.contract.data import BIG, IN_BIG, STAGES, flags
from tests.contract.driver import USER, Callbacks, DrivenClient, Driver, Json

# --- hooks -----------------------------------------------------------------------------------


def hook(name: str, callbacks: Callbacks, **more: Any) -> Json:
    return {"name": name, "callbackUri": f"{callbacks.url}/{name}", **more}


def test_hooks_are_told_of_evaluations_in_their_order(
    driver: Driver, streaming: Json, upstream: FakeUpstream, callbacks: Callbacks
) -> None:
    upstream.headers = {"X-LD-EnvID": "env"}
    given = {"beforeEvaluation": {"a": 1}}
    hooks = [hook("one", callbacks, data=given), hook("two", callbacks)]
    with driver.client(**streaming, hooks={"hooks": hooks}) as client:
        client.value("text", "d", "string", detail=True)
    told = [(path, json.loads(body)["stage"]) for path, body in callbacks.calls]
    assert told == [
        ("/one", "beforeEvaluation"),
        ("/two", "beforeEvaluation"),
        ("/two", "afterEvaluation"),
        ("/one", "afterEvaluation"),
    ]
    before, after = callbacks.json("/one")
    series = before["evaluationSeriesContext"]
    assert series == after["evaluationSeriesContext"]
    assert (series["flagKey"], series["defaultValue"], series["context"]) == ("text", "d", USER)
    assert series["environmentId"] == "env"
    assert before["evaluationSeriesData"] == {}
    assert after["evaluationSeriesData"] == {"a": 1}
    assert after["evaluationDetail"] == {
        "value": "b", "variationIndex": 1, "reason": {"kind": "FALLTHROUGH"},
    }  # fmt: skip


def test_a_hook_that_raises_harms_nobody(
    driver: Driver, streaming: Json, upstream: FakeUpstream, callbacks: Callbacks
) -> None:
    errors = {"beforeEvaluation": "no", "afterTrack": "never"}
    hooks = [hook("one", callbacks, errors=errors), hook("two", callbacks)]
    with driver.client(**streaming, hooks={"hooks": hooks}) as client:
        assert client.value("text") == "b"
        client.command("customEvent", eventKey="e", context=USER)
        upstream.wait_until(lambda: len(callbacks.json("/two")) == 3)
    assert [one["stage"] for one in callbacks.json("/one")] == ["afterEvaluation"]


def test_hooks_are_told_of_custom_events_in_their_order(
    driver: Driver, sending: Json, upstream: FakeUpstream, callbacks: Callbacks
) -> None:
    hooks = [hook(name, callbacks) for name in ("one", "two", "three")]
    with driver.client(**sending, hooks={"hooks": hooks}) as client:
        client.command("customEvent", eventKey="e", context=USER, data=[1], metricValue=2.5)
        upstream.wait_until(lambda: len(callbacks.calls) == 3)
    assert [path for path, _ in callbacks.calls] == ["/one", "/two", "/three"]
    (told,) = callbacks.json("/one")
    series = told["trackSeriesContext"]
    assert told["stage"] == "afterTrack"
    assert (series["key"], series["context"]) == ("e", USER)
    assert (series["data"], series["metricValue"]) == ([1], 2.5)


@pytest.mark.parametrize(
    ("membership", "value"),
    [({"values": {"big.g2": True}}, "in"), ({"values": {"big.g2": None}}, "out"),
     ({"values": None}, "out")],
)  # fmt: skip
def test_big_segments_are_asked_behind_callbacks(
    driver: Driver,
    streaming: Json,
    upstream: FakeUpstream,
    callbacks: Callbacks,
    *,
    membership: Json,
    value: str,
) -> None:
    callbacks.answer("/getMetadata", lambda _: b'{"lastUpToDate":1}')
    callbacks.answer("/getMembership", lambda _: json.dumps(membership).encode())
    upstream.put(**flags(IN_BIG, segments=(BIG,)))
    section = {"callbackUri": callbacks.url, "userCacheTimeMs": 60_000, "userCacheSize": 5}
    with driver.client(**streaming, bigSegments=section) as client:
        assert client.command("getBigSegmentStoreStatus") == {"available": True, "stale": True}
        assert [client.value("in-big") for _ in range(3)] == [value] * 3
    assert callbacks.json("/getMembership") == [
        {"contextHash": "CEXjZY7cHJG/ydFy7q4+YEFwVrG3/pkJwA4FAjrbfx0="}
    ]


def test_a_big_segment_store_that_fails_says_so(
    driver: Driver, streaming: Json, upstream: FakeUpstream, callbacks: Callbacks
) -> None:
    callbacks.answer("/getMetadata", lambda _: 500)
    upstream.put(**flags(IN_BIG, segments=(BIG,)))
    with driver.client(**streaming, bigSegments={"callbackUri": callbacks.url}) as client:
        assert client.command("getBigSegmentStoreStatus") == {"available": False, "stale": False}


# --- migrations ------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", STAGES)
def test_the_stage_of_a_migration_is_found(client: DrivenClient, stage: str) -> None:
    asked = {"key": f"stage-{stage}", "context": USER, "defaultStage": "off"}
    assert client.command("migrationVariation", **asked) == {"result": stage}
    asked = {"key": "nope", "context": USER, "defaultStage": stage}
    assert client.command("migrationVariation", **asked) == {"result": stage}


@pytest.mark.parametrize("order", ["serial", "concurrent", "random"])
@pytest.mark.parametrize(
    ("stage", "operation", "result", "asked"),
    [("off", "read", "from old", {"/old"}), ("live", "read", "from new", {"/old", "/new"}),
     ("shadow", "write", "from old", {"/old", "/new"}),
     ("complete", "write", "from new", {"/new"})],
)  # fmt: skip
def test_an_operation_of_a_migration_asks_whom_its_stage_says(
    driver: Driver,
    sending: Json,
    upstream: FakeUpstream,
    callbacks: Callbacks,
    *,
    order: str,
    stage: str,
    operation: str,
    result: str,
    asked: set[str],
) -> None:
    old = callbacks.answer("/old", lambda _: b"from old")
    new = callbacks.answer("/new", lambda _: b"from new")
    with driver.client(**sending) as client:
        answer = client.command(
            "migrationOperation",
            **operation_of(f"stage-{stage}", operation, old, new),
            readExecutionOrder=order,
            payload="what",
            trackLatency=True,
            trackErrors=True,
            trackConsistency=True,
        )
        client.command("flushEvents")
        (event,) = upstream.wait_for_events("migration_op")
    assert answer == {"result": result}
    assert {path for path, _ in callbacks.calls} == asked
    assert {body for _, body in callbacks.calls} == {b"what"}
    measured = {one["key"]: one for one in event["measurements"]}
    assert measured["invoked"]["values"] == dict.fromkeys((one[1:] for one in asked), True)
    assert set(measured["latency_ms"]["values"]) == {one[1:] for one in asked}
    is_compared = operation == "read" and len(asked) == 2
    assert ("consistent" in measured) is is_compared


def test_an_operation_that_fails_is_answered_with_its_error(
    driver: Driver, sending: Json, upstream: FakeUpstream, callbacks: Callbacks
) -> None:
    old = callbacks.answer("/old", lambda _: 500)
    with driver.client(**sending) as client:
        answer = client.command(
            "migrationOperation",
            **operation_of("stage-off", "write", old, callbacks.url),
            readExecutionOrder="serial",
            trackErrors=True,
        )
        client.command("flushEvents")
        (event,) = upstream.wait_for_events("migration_op")
    assert "500" in answer["result"]
    assert {"key": "error", "values": {"old": True}} in event["measurements"]


def operation_of(key: str, operation: str, old: str, new: str) -> Json:
    endpoints = {"oldEndpoint": old, "newEndpoint": new}
    return {
        "key": key, "operation": operation, "context": USER, "defaultStage": "off", **endpoints,
    }  # fmt: skip
