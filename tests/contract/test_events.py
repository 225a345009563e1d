"""The commands that make and send events."""

from flagkeep.testing import FakeUpstream
from tests.contract.driver import USER, Driver, Json


def test_events_are_sent_when_they_are_flushed(
    driver: Driver, sending: Json, upstream: FakeUpstream
) -> None:
    with driver.client(**sending) as client:
        client.command("identifyEvent", context=USER)
        client.command("customEvent", eventKey="a", context=USER, omitNullData=True)
        client.command("customEvent", eventKey="b", context=USER, data={"x": 1}, metricValue=0)
        client.command("customEvent", eventKey="c", user={"key": "u"}, data=[1])
        client.value("number", 0)
        client.command("flushEvents")
        sent = upstream.wait_for_events(count=7)
    assert sorted(event["kind"] for event in sent) == sorted(
        ["identify", "custom", "custom", "index", "custom", "feature", "summary"]
    )
    custom = [event for event in sent if event["kind"] == "custom"]
    assert [(one["key"], one.get("data"), one.get("metricValue")) for one in custom] == [
        ("a", None, None),
        ("b", {"x": 1}, 0),
        ("c", [1], None),
    ]
    assert all("content-encoding" not in one.headers for one in upstream.requests_to("/bulk"))


def test_events_are_sent_as_the_settings_say(
    driver: Driver, sending: Json, upstream: FakeUpstream
) -> None:
    sending["events"] |= {
        "enableGzip": True,
        "capacity": 2,
        "globalPrivateAttributes": ["email"],
        "omitAnonymousContexts": True,
        "enableDiagnostics": True,
    }
    hidden = {"kind": "user", "key": "u", "email": "e"}
    with driver.client(**sending) as client:
        client.command("identifyEvent", context={"kind": "user", "key": "x", "anonymous": True})
        client.command("identifyEvent", context=hidden)
        for _ in range(3):
            client.command("customEvent", eventKey="a", context=USER)
        client.command("flushEvents")
        sent = upstream.wait_for_events(count=2)
        upstream.wait_for_request("/diagnostic")
    assert [event["kind"] for event in sent] == ["identify", "index"]
    assert sent[0]["context"] == {
        "kind": "user", "key": "u", "_meta": {"redactedAttributes": ["email"]},
    }  # fmt: skip
    (payload,) = upstream.requests_to("/bulk")
    assert payload.headers["content-encoding"] == "gzip"


def test_without_the_section_no_events_are_sent(
    driver: Driver, streaming: Json, upstream: FakeUpstream
) -> None:
    with driver.client(**streaming, serviceEndpoints={"events": upstream.uri}) as client:
        client.value("text")
        client.command("identifyEvent", context=USER)
        client.command("flushEvents")
    assert upstream.requests_to("/bulk") == []
