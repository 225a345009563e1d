"""The contract service, through each of its commands, with both clients.

Where the harness is at hand, `make contract` checks far more; this is what can always be checked.
"""

from typing import Any

import pytest

from flagkeep.testing import FakeUpstream
from tests.contract.colours import COLOURS
from tests.contract.conftest import CUSTOM_PREFIX
from tests.contract.data import flag
from tests.contract.driver import USER, DrivenClient, Driver, Json, Refused
from tests.contract.harness import ServiceProcess
from tests.contract.places import Place

# --- the service itself ----------------------------------------------------------------------


def test_the_service_says_what_it_can_do(driver: Driver) -> None:
    _, about = driver.send("GET", "/")
    assert about["name"] in ("flagkeep-sync", "flagkeep-async")
    assert about["clientVersion"]
    assert len(about["capabilities"]) == len(set(about["capabilities"]))
    stores = {f"persistent-data-store-{name}" for name in ("redis", "dynamodb", "consul")}
    declared = {*about["capabilities"]}
    assert {"server-side", "user-type", "track-hooks", "tls:custom-ca", *stores} < declared


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"command":3}', b'{"command":"nonsense"}', b'{"command":"evaluate"}',
     b'{"command":"evaluate","evaluate":{"context":{}}}'],
)  # fmt: skip
def test_a_command_that_cannot_be_understood_is_a_bad_request(
    driver: Driver, client: DrivenClient, body: bytes
) -> None:
    with pytest.raises(Refused) as refused:
        driver.send("POST", client.path, body)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "configuration",
    [{"streaming": 3}, {"streaming": {"baseUri": "nonsense"}}, {"credential": "a b"},
     *({"persistentDataStore": {"store": {"type": kind, "dsn": ""}, "cache": {"mode": "off"}}}
       for kind in ("redis", "dynamodb", "consul", "a clay tablet"))],
)  # fmt: skip
def test_settings_that_cannot_work_are_a_bad_request(driver: Driver, configuration: Json) -> None:
    with pytest.raises(Refused) as refused, driver.client(**configuration):
        pass
    assert refused.value.status == 400


def test_a_client_that_was_closed_is_gone(
    driver: Driver, client: DrivenClient, upstream: FakeUpstream
) -> None:
    upstream.wait_for_streams(1)
    client.close()
    upstream.wait_for_streams(0)
    for method in ("POST", "DELETE"):
        with pytest.raises(Refused) as refused:
            driver.send(method, client.path, b'{"command":"flushEvents"}')
        assert refused.value.status == 404
    with pytest.raises(Refused) as refused:
        driver.send("PUT", "/")
    assert refused.value.status in (405, 501)


def test_no_data_in_time_is_an_error_unless_it_may_be(
    driver: Driver, upstream: FakeUpstream, streaming: Json
) -> None:
    upstream.hold_streams()
    with pytest.raises(Refused) as refused, driver.client(**streaming, startWaitTimeMs=10):
        pass
    assert refused.value.status == 500
    with driver.client(**streaming, startWaitTimeMs=1, initCanFail=True) as client:
        answer = client.command(
            "evaluate", flagKey="bool", context=USER, defaultValue="d", detail=True
        )
    assert answer["value"] == "d"
    assert answer["reason"] == {"kind": "ERROR", "errorKind": "CLIENT_NOT_READY"}


@pytest.mark.slow
@pytest.mark.parametrize("colour", sorted(COLOURS))
def test_the_service_is_a_program_that_ends_when_it_is_told_to(colour: str) -> None:
    with ServiceProcess(colour) as service, Driver(service.url) as driver:
        assert driver.send("GET", "/")[1]["name"] == f"flagkeep-{colour}"
        driver.send("DELETE", "/")
        assert service.wait() == 0
        assert service.log == ""


# --- where data comes from -------------------------------------------------------------------


def test_a_stream_is_followed(client: DrivenClient, upstream: FakeUpstream) -> None:
    assert client.value("text") == "b"
    upstream.patch("flags", flag("text", "c", version=2))
    upstream.wait_until(lambda: client.value("text") == "c")


def test_polls_bring_data_too(driver: Driver, upstream: FakeUpstream) -> None:
    polling = {"baseUri": f"{upstream.uri}/", "filter": "mine"}
    tags = {"applicationId": "shop", "applicationVersion": None}
    wrapper = {"name": "around", "version": "2"}
    with driver.client(polling=polling, tags=tags, wrapper=wrapper) as client:
        assert client.value("text") == "b"
    request = upstream.wait_for_request("/sdk/latest-all")
    assert request.query == {"filter": "mine"}
    assert request.headers["authorization"] == "sdk-key"
    assert request.headers["x-launchdarkly-tags"] == "application-id/shop"
    assert request.headers["x-launchdarkly-wrapper"] == "around/2"


def test_services_can_be_named_centrally(driver: Driver, upstream: FakeUpstream) -> None:
    endpoints = {"streaming": upstream.uri, "events": upstream.uri}
    with driver.client(serviceEndpoints=endpoints, events={}) as client:
        assert client.value("text") == "b"
        client.command("flushEvents")
    upstream.wait_for_events("summary")


STORE_AND_CACHE = [
    ({"mode": "off"}, "new"),
    ({"mode": "ttl", "ttl": 60}, "old"),
    ({"mode": "infinite"}, "old"),
]


@pytest.mark.parametrize(("cache", "then"), STORE_AND_CACHE)
def test_daemon_mode_reads_a_store_as_the_cache_says(
    driver: Driver, place: Place, cache: Json, then: str
) -> None:
    for prefix in (place.default, CUSTOM_PREFIX):
        place.put(prefix, flag("f", f"old in {prefix}"))
    wanted: str | None
    for wanted in (None, CUSTOM_PREFIX):
        prefix = wanted or place.default
        store = {**place.section, "prefix": wanted}
        with driver.client(persistentDataStore={"store": store, "cache": cache}) as client:
            assert client.value("f") == f"old in {prefix}"
            place.put(prefix, flag("f", f"new in {prefix}", version=2))
            assert client.value("f") == f"{then} in {prefix}"


def test_a_connected_client_fills_its_store(
    driver: Driver, streaming: Json, upstream: FakeUpstream, place: Place
) -> None:
    store = {"store": place.section, "cache": {"mode": "off"}}
    with driver.client(**streaming, persistentDataStore=store) as client:
        assert client.value("text") == "b"  # whether the store has it by now or not
        upstream.wait_until(place.is_initialized)
        assert client.value("text") == "b"
        assert place.get("text")["variations"][1] == "b"
        upstream.patch("flags", flag("text", "c", version=2))
        upstream.wait_until(lambda: place.get("text")["variations"] == ["c"])


def test_without_source_and_store_there_are_no_flags(driver: Driver) -> None:
    with driver.client() as client:
        assert client.value("text", "d") == "d"


# --- evaluation ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value_type", "default", "value"),
    [("bool", "bool", False, True), ("number", "int", 0, 3), ("number", "double", 0, 3.7),
     ("text", "string", "", "b"), ("object", "any", None, {"a": [1]}), ("text", "bool", True, True),
     ("nope", "any", [1], [1])],
)  # fmt: skip
def test_flags_of_each_type_are_evaluated(
    client: DrivenClient, key: str, value_type: str, default: Any, value: Any
) -> None:
    assert client.value(key, default, value_type) == value


def test_details_say_index_and_reason(client: DrivenClient) -> None:
    asked = {"flagKey": "bool", "context": USER, "defaultValue": None, "detail": True}
    assert client.command("evaluate", **asked, valueType="bool") == {
        "value": True, "variationIndex": 1, "reason": {"kind": "FALLTHROUGH"},
    }  # fmt: skip
    assert client.command("evaluate", **asked, valueType="string") == {
        "value": None,
        "variationIndex": None,
        "reason": {"kind": "ERROR", "errorKind": "WRONG_TYPE"},
    }


def test_users_of_old_are_taken(client: DrivenClient) -> None:
    user = {"key": "u", "email": "a@b.c"}
    answer = client.command("evaluate", flagKey="mail", user=user, defaultValue=None)
    assert answer["value"] == "no"
    assert client.command("secureModeHash", user=user) == client.command(
        "secureModeHash", context={"kind": "user", "key": "u"}
    )


def test_all_flags_are_evaluated_as_asked(client: DrivenClient) -> None:
    state = client.command("evaluateAll", context=USER)["state"]
    assert state["$valid"] is True
    assert state["text"] == "b"
    assert "reason" not in state["$flagsState"]["text"]
    asked = {"withReasons": True, "clientSideOnly": True, "detailsOnlyForTrackedFlags": False}
    state = client.command("evaluateAll", context=USER, **asked)["state"]
    assert {key for key in state if not key.startswith("$")} == {"bool"}
    assert state["$flagsState"]["bool"]["reason"] == {"kind": "FALLTHROUGH"}
    state = client.command("evaluateAll", context=USER, detailsOnlyForTrackedFlags=True)["state"]
    assert "version" not in state["$flagsState"]["text"]
    assert state["$flagsState"]["number"]["version"] == 1


def test_secure_mode_hashes_are_those_of_all_sdks(client: DrivenClient) -> None:
    context = {"kind": "user", "key": "user-key"}
    assert client.command("secureModeHash", context=context) == {
        "result": "12a38d8e0c8d5172b1c49ed0fcc487b09ca5cdd4409fd0c6b1b453c9fdca9020"
    }
