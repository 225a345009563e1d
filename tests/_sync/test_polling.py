"""Polling an upstream, as a client does it (data source spec, sections 3, 4 and 8)."""

import gzip
import itertools
import json
import logging
from functools import partial
from typing import Any

import pytest

from flagkeep._sync.client import Client
from flagkeep._sync.polling import PollingSource
from flagkeep._sync.upstream_news import UpstreamNews
from flagkeep._runtime import threads as runtime
from flagkeep._runtime.http_threads import Http
from flagkeep.config import Application, HttpSettings, Polling, Wrapper
from flagkeep.hooks import FlagChange
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.status import SourceError, SourceErrorKind, SourceState, SourceStatus
from flagkeep.testing import FakeUpstream, Request, Scripted
from flagkeep.version import VERSION
from tests._sync.connecting import (
    ASKER,
    KEY,
    USER,
    client_of,
    config,
    data,
    error_of,
    levels_of,
    lines_of,
    polling,
    status_of,
    until_error,
    until_state,
)
from tests._sync.hand_source import flag
from tests._sync.waiting import until, until_value
from tests.limits import check_within

POLL = "/sdk/latest-all"
LONG = 30.0
PROMPT = 0.5  # seconds that a busy machine may need for what is done at once


def ready_client(
    upstream: FakeUpstream,
    *,
    interval: float = 0.01,
    **settings: Any,
) -> Client:
    client = client_of(polling(upstream, interval=interval), **settings)
    assert client.wait_until_ready()
    return client


# --- data and pace -------------------------------------------------------------------------------


def test_a_client_is_ready_with_the_first_poll_which_comes_at_once() -> None:
    with (
        FakeUpstream(data("a")) as upstream,
        ready_client(upstream, interval=LONG) as client,
    ):
        assert status_of(client).state is SourceState.VALID
        assert client.variation("f", USER, None) == "a"
        assert len(upstream.requests) == 1


def test_every_poll_brings_what_changed() -> None:
    with FakeUpstream(data("a")) as upstream, ready_client(upstream) as client:
        upstream.patch("flags", flag("f", "b", version=2))
        until_value(client, "f", USER, "b")
        upstream.put({"g": flag("g", "new")})
        until_value(client, "g", USER, "new")
        assert client.variation("f", USER, "gone") == "gone"


def test_the_interval_begins_when_a_poll_has_ended() -> None:
    with FakeUpstream(data("a")) as upstream:
        upstream.always(POLL, lambda _: Scripted(body=json.dumps(data("a")), delay=0.2))
        with ready_client(upstream, interval=0.2):
            upstream.wait_for_request(POLL, 2)
    first, second = (request.time for request in upstream.requests[:2])
    assert 0.4 <= second - first <= 0.4 + PROMPT


def test_an_interval_below_30_seconds_is_taken_for_that(caplog: pytest.LogCaptureFixture) -> None:
    assert Polling().interval == 30.0
    assert caplog.records == []
    assert Polling(interval=1.0).interval == 30.0
    assert "poll interval" in caplog.text


def test_each_poll_is_the_whole_truth_for_versions_too() -> None:
    with (
        FakeUpstream(data("a", version=5)) as upstream,
        ready_client(upstream) as client,
    ):
        upstream.put(data("older", version=4)["flags"])
        until_value(client, "f", USER, "older")


# --- the request ---------------------------------------------------------------------------------


def test_the_request_has_every_header_and_nothing_that_was_not_asked_for() -> None:
    with FakeUpstream(data("a")) as upstream:
        application = Application(id="shop", version="1.2.3")
        wrapper = Wrapper(name="flask-flags")
        with ready_client(upstream, application=application, wrapper=wrapper) as client:
            request = upstream.requests[0]
            assert (request.method, request.path, dict(request.query)) == ("GET", POLL, {})
            agent = "PythonAsyncClient" if runtime.IS_ASYNC else "PythonClient"
            assert dict(request.headers) == {
                "host": upstream.uri.removeprefix("http://"),
                "authorization": KEY,
                "user-agent": f"{agent}/{VERSION}",
                "x-launchdarkly-instance-id": client.instance_id,
                "x-launchdarkly-tags": "application-id/shop application-version/1.2.3",
                "x-launchdarkly-wrapper": "flask-flags",
                "content-type": "application/json",
                "accept-encoding": "gzip",
            }


def test_fix_two_clients_of_one_configuration_are_two_instances() -> None:
    """FIX (data-sources.md 8): the official SDK keeps the id on the Config that they share."""
    with FakeUpstream(data("a")) as upstream:
        shared = config(polling(upstream))
        with Client(shared) as first, Client(shared) as second:
            assert first.wait_until_ready()
            assert second.wait_until_ready()
            upstream.wait_for_request(POLL, 6)
            seen = {one.headers["x-launchdarkly-instance-id"] for one in upstream.requests}
            assert seen == {first.instance_id, second.instance_id}
            assert len(seen) == 2


def test_a_payload_filter_is_part_of_every_request() -> None:
    with FakeUpstream(data("everything")) as upstream:
        upstream.put(data("filtered")["flags"], filter_key="mobile")
        with ready_client(upstream, payload_filter="mobile") as client:
            assert client.variation("f", USER, None) == "filtered"
            upstream.wait_for_request(POLL, 2)
            assert [dict(one.query) for one in upstream.requests[:2]] == [{"filter": "mobile"}] * 2


def test_connections_are_used_again() -> None:
    with FakeUpstream(data("a")) as upstream, ready_client(upstream):
        upstream.wait_for_request(POLL, 5)
        assert len({request.connection for request in upstream.requests}) == 1


def test_an_environment_says_what_it_is_called() -> None:
    with FakeUpstream(data("a")) as upstream:
        upstream.headers = {"X-LD-EnvID": "env-1"}
        with ready_client(upstream) as client:
            assert client.environment_id == "env-1"
            upstream.headers = {}
            upstream.wait_for_request(POLL, 3)
            assert client.environment_id == "env-1"


def test_a_compressed_answer_is_read() -> None:
    body = gzip.compress(json.dumps(data("packed")).encode())
    with FakeUpstream() as upstream:
        upstream.always(POLL, Scripted(200, {"Content-Encoding": "gzip"}, body))
        with ready_client(upstream) as client:
            assert client.variation("f", USER, None) == "packed"


# --- ETags ---------------------------------------------------------------------------------------


def test_what_has_not_changed_is_not_sent_again_and_not_put_in_force_again() -> None:
    heard: list[str] = []

    def listener(change: FlagChange) -> None:
        heard.append(change.key)

    with FakeUpstream(data("a")) as upstream, ready_client(upstream) as client:
        client.on_change(None, listener)
        before = client._data._environment.data
        until(lambda: [one.answered for one in upstream.requests[:4]] == [200, *[304] * 3])
        assert "if-none-match" not in upstream.requests[0].headers
        assert len({one.headers["if-none-match"] for one in upstream.requests[1:4]}) == 1
        assert client._data._environment.data is before  # the official SDK applies it again
        assert status_of(client).state is SourceState.VALID
        upstream.patch("flags", flag("f", "b", version=2))
        until_value(client, "f", USER, "b")
        upstream.wait_for_request(POLL, len(upstream.requests) + 2)
        assert len({one.headers.get("if-none-match") for one in upstream.requests}) == 3
    assert heard == ["f"]


def test_no_news_after_a_failure_is_a_success() -> None:
    with FakeUpstream(data("a")) as upstream, ready_client(upstream) as client:
        upstream.respond(POLL, Scripted(503))
        until_error(client)
        until_state(client, SourceState.VALID)
        assert upstream.requests[-1].answered in {304, None}
        assert client.variation("f", USER, None) == "a"


def test_the_tag_of_what_could_not_be_read_is_not_remembered() -> None:
    with FakeUpstream(data("a")) as upstream, ready_client(upstream) as client:
        tag = (upstream.wait_for_request(POLL, 2)).headers["if-none-match"]
        upstream.respond(POLL, Scripted(200, {"ETag": '"broken"'}, "{"))
        until_error(client)
        upstream.wait_for_request(POLL, len(upstream.requests) + 2)
        tags = {one.headers["if-none-match"] for one in upstream.requests[1:]}
    assert tags == {tag}


def test_an_answer_without_a_tag_is_asked_for_without_one() -> None:
    with FakeUpstream() as upstream:
        upstream.always(POLL, Scripted(body=json.dumps(data("a"))))
        with ready_client(upstream):
            request = upstream.wait_for_request(POLL, 3)
            assert "if-none-match" not in request.headers


# --- failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 408, 429, 500, 503])
def test_what_passes_by_itself_is_tried_again_after_the_interval(
    status: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[SourceStatus] = []
    with FakeUpstream(data("a")) as upstream:
        with ready_client(upstream, interval=0.1) as client:
            client.on_source_status(heard.append)
            upstream.respond(POLL, *[Scripted(status)] * 3)
            until(lambda: len(heard) >= 4)
            error = error_of(client)
            assert (error.kind, error.status_code) == (SourceErrorKind.ERROR_RESPONSE, status)
            assert client.variation("f", USER, None) == "a"
        times = [request.time for request in upstream.requests]
    assert [one.state for one in heard[:4]] == ["interrupted"] * 3 + ["valid"]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert all(0.1 <= gap <= 0.1 + PROMPT for gap in gaps)
    assert levels_of(caplog) == ["ERROR", "WARNING"]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_somebody_must_repair_is_tried_again_after_minutes(status: int) -> None:
    with FakeUpstream(data("a")) as upstream:
        upstream.always(POLL, Scripted(status))
        with client_of(polling(upstream)) as client:
            error = until_error(client)
            assert (error.kind, error.status_code) == (SourceErrorKind.ERROR_RESPONSE, status)
            wait = float(error.message.rpartition("next try in ")[2].removesuffix(" s"))
            assert 150.0 <= wait <= 300.0
            assert not client.wait_until_ready(0.1)
            assert status_of(client).state is SourceState.INITIALIZING
        assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "true", '{"flags":true}', '{"flags":{},"segments":3}', "<html>", "\0"],
)
def test_what_is_no_environment_is_a_failed_poll_and_the_old_data_stays(body: str) -> None:
    with (
        FakeUpstream(data("a")) as upstream,
        ready_client(upstream, interval=0.1) as client,
    ):
        upstream.respond(POLL, Scripted(200, body=body))
        until_state(client, SourceState.INTERRUPTED)
        assert error_of(client).kind is SourceErrorKind.INVALID_DATA
        assert client.variation("f", USER, None) == "a"
        until_state(client, SourceState.VALID)


def test_fix_a_connection_that_fails_is_an_error_of_the_network(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """FIX (data-sources.md 10): the official SDK calls it unknown."""
    with FakeUpstream(data("a")) as upstream, ready_client(upstream) as client:
        upstream.stop_listening()
        until_state(client, SourceState.INTERRUPTED)
        assert error_of(client).kind is SourceErrorKind.NETWORK_ERROR
        assert client.variation("f", USER, None) == "a"
        upstream.start_listening()
        until_state(client, SourceState.VALID)
    (_, problem), (_, recovery) = lines_of(caplog)
    assert upstream.uri in problem
    assert "works again" in recovery


def test_a_kept_connection_that_the_server_closed_is_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "flagkeep")

    def close_after(request: Request) -> Scripted | None:  # noqa: ARG001
        return Scripted(200, {"Connection": "close"}, json.dumps(data("a")))

    with FakeUpstream(data("a")) as upstream:
        upstream.always(POLL, close_after)
        with ready_client(upstream) as client:
            upstream.wait_for_request(POLL, 4)
            assert status_of(client).error is None
    assert caplog.records == []


# --- the end -------------------------------------------------------------------------------------


def test_closing_ends_a_poll_that_hangs_at_once() -> None:
    with FakeUpstream(data("a")) as upstream:
        upstream.always(POLL, Scripted(behaviour="hang"))
        client = client_of(polling(upstream))
        client.wait_until_ready(0.0)
        upstream.wait_for_request(POLL)
        begun = runtime.monotonic()
        assert (client.close()).complete
        until(lambda: upstream.open_connections == 0)
        check_within(PROMPT, since=begun)


def test_closing_ends_the_wait_for_the_next_poll_and_its_connection_at_once() -> None:
    with FakeUpstream(data("a")) as upstream:
        client = ready_client(upstream, interval=LONG)
        begun = runtime.monotonic()
        assert (client.close()).complete
        until(lambda: upstream.open_connections == 0)
        check_within(PROMPT, since=begun)
        assert status_of(client).state is SourceState.OFF
        assert client.variation("f", USER, None) == "a"


# --- a process at its limits ----------------------------------------------------------------------


class _Full:
    """A client that has no memory for the first that it gets."""

    def __init__(self) -> None:
        self.errors: list[SourceError] = []
        self.taken: list[ChangeSet] = []

    def apply(self, changes: ChangeSet) -> None:
        if not self.errors:
            raise MemoryError
        self.taken.append(changes)

    def report(self, state: SourceState, error: SourceError | None = None) -> None:
        assert state is SourceState.INTERRUPTED
        assert error is not None
        self.errors.append(error)


def test_a_lack_of_memory_does_not_end_the_source() -> None:
    sink = _Full()
    with FakeUpstream(data("a")) as upstream:
        http = Http(HttpSettings())
        source = PollingSource(
            polling(upstream),
            filter=None,
            http=http,
            requester=ASKER,
            told=UpstreamNews(),
        )
        task = runtime.spawn("source", partial(source.run, sink))
        until(lambda: bool(sink.taken))
        source.stop()
        assert task.join(5)
        http.close()
    assert [error.kind for error in sink.errors] == [SourceErrorKind.UNKNOWN]
    assert "there is no memory" in sink.errors[0].message
