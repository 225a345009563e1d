"""What a client reports of itself (events spec, section 10)."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest

from flagkeep._sync.client import Client
from flagkeep.config import Config, EventSettings, Streaming
from flagkeep.model.context import Context
from flagkeep.testing import FakeUpstream, Scripted, TestData

pytestmark = pytest.mark.anyio

ANN = Context.create("ann")
NEVER = 1000.0


def settings(upstream: FakeUpstream, interval: float = NEVER, **more: Any) -> EventSettings:
    """Return settings with an interval that no user can have."""
    given = {"base_uri": upstream.uri, "flush_interval": NEVER, **more}
    events = EventSettings(**given)
    msgspec.structs.force_setattr(events, "diagnostic_interval", interval)
    return events


def config(upstream: FakeUpstream, events: EventSettings) -> Config:
    source = Streaming(base_uri=upstream.uri, initial_reconnect_delay=0.01)
    return Config(sdk_key="sdk-key-0123456789", source=source, events=events)


def test_a_client_reports_its_start_once() -> None:
    with FakeUpstream(TestData()) as upstream:
        with Client(config(upstream, settings(upstream))) as client:
            upstream.wait_for_request("/diagnostic")
            assert client.wait_until_ready(10)
        (report,) = upstream.diagnostics
        assert report["kind"] == "diagnostic-init"
        assert report["id"]["sdkKeySuffix"] == "456789"
        assert report["configuration"]["customStreamURI"] is True
        assert "0123456789" not in str(report)


def test_who_wants_no_reports_sends_none() -> None:
    with FakeUpstream(TestData()) as upstream:
        events = settings(upstream, diagnostics=False)
        with Client(config(upstream, events)) as client:
            assert client.wait_until_ready(10)
            client.track("bought", ANN)
            assert client.flush(10)
        assert upstream.requests_to("/diagnostic") == []


def test_a_client_without_events_reports_nothing() -> None:
    with FakeUpstream(TestData()) as upstream:
        quiet = msgspec.structs.replace(
            config(upstream, settings(upstream)),
            send_events=False,
        )
        with Client(quiet) as client:
            assert client.wait_until_ready(10)
        assert upstream.requests_to("/diagnostic") == []
        assert upstream.requests_to("/bulk") == []


def test_reports_tell_everything_once() -> None:
    data = TestData()
    data.update(data.flag("f"))
    with FakeUpstream(data) as upstream:
        upstream.respond("/all", Scripted(503))
        events = settings(upstream, 0.1, capacity=3)
        with Client(config(upstream, events)) as client:
            assert client.wait_until_ready(10)
            for _ in range(10):
                client.variation("f", ANN, False)
            for _ in range(5):
                client.track("bought", ANN)
            assert client.flush(10)
            told = len(upstream.requests_to("/diagnostic"))
            upstream.wait_for_request("/diagnostic", count=told + 3)
        _, *reports = upstream.diagnostics
    assert {one["kind"] for one in reports} == {"diagnostic"}
    assert len({one["id"]["diagnosticId"] for one in reports}) == 1
    assert [one["failed"] for report in reports for one in report["streamInits"]] == [True, False]
    assert sum(one["droppedEvents"] for one in reports) == 3  # index and two others had room
    assert sum(one["deduplicatedUsers"] for one in reports) == 14
    assert [one["eventsInLastBatch"] for one in reports if one["eventsInLastBatch"]] == [4]
    dates = [(one["dataSinceDate"], one["creationDate"]) for one in reports]
    assert all(since == created for (_, created), (since, _) in pairwise(dates))


def test_a_report_that_cannot_be_delivered_disables_nothing() -> None:
    with FakeUpstream(TestData()) as upstream:
        upstream.always("/diagnostic", Scripted(401))
        with Client(config(upstream, settings(upstream))) as client:
            upstream.wait_for_request("/diagnostic")
            client.track("bought", ANN)
            assert client.flush(10)
        assert len(upstream.events("custom")) == 1
