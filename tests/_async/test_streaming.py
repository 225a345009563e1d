"""Streaming from an upstream, as a client does it (data source spec, 1, 2, 4, 8 and 10)."""

import itertools
import json
import socket
from functools import partial
from typing import Any

import pytest

from flagkeep._async.client import AsyncClient
from flagkeep._async.streaming import AsyncStreamingSource
from flagkeep._async.upstream_news import UpstreamNews
from flagkeep._runtime import aio as runtime
from flagkeep._runtime.http_aio import AsyncHttp
from flagkeep.config import Application, EventSettings, HttpSettings, Streaming, Wrapper
from flagkeep.hooks import FlagChange
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.status import SourceError, SourceErrorKind, SourceState, SourceStatus
from flagkeep.testing import AsyncFakeUpstream, Scripted
from flagkeep.version import VERSION
from tests._async.connecting import (
    ASKER,
    KEY,
    USER,
    client_of,
    config,
    data,
    error_of,
    levels_of,
    lines_of,
    status_of,
    streaming,
    until_error,
    until_state,
)
from tests._async.hand_source import flag
from tests._async.waiting import pause, until, until_value
from tests.limits import check_within

STREAM = "/all"
PROMPT = 0.5  # seconds that a busy machine may need for what is done at once


async def ready_client(upstream: AsyncFakeUpstream, **settings: Any) -> AsyncClient:
    client = client_of(streaming(upstream), **settings)
    assert await client.wait_until_ready()
    return client


# --- data ----------------------------------------------------------------------------------------


async def test_a_client_is_ready_with_the_first_put_and_follows_every_change() -> None:
    async with AsyncFakeUpstream(data("a")) as upstream:
        async with await ready_client(upstream) as client:
            assert status_of(client).state is SourceState.VALID
            assert client.status.data_age is None
            assert await client.variation("f", USER, None) == "a"
            upstream.patch("flags", flag("f", "b", version=2))
            await until_value(client, "f", USER, "b")
            upstream.put({"g": flag("g", "new")})
            await until_value(client, "g", USER, "new")
            assert await client.variation("f", USER, "gone") == "gone"
            upstream.delete("flags", "g", 2)
            await until_value(client, "g", USER, None)
        assert len(upstream.requests) == 1


def in_segment(version: int, *included: str) -> dict[str, Any]:
    return {"key": "s", "version": version, "included": list(included), "salt": ""}


SEGMENT_FLAG = flag(
    "f",
    "in",
    "out",
    fallthrough={"variation": 1},
    rules=[{"variation": 0, "clauses": [{"attribute": "", "op": "segmentMatch", "values": ["s"]}]}],
)


async def test_segments_follow_too() -> None:
    async with (
        AsyncFakeUpstream({"flags": {"f": SEGMENT_FLAG}}) as upstream,
        await ready_client(upstream) as client,
    ):
        assert await client.variation("f", USER, None) == "out"
        upstream.patch("segments", in_segment(1, "user-key"))
        await until_value(client, "f", USER, "in")
        upstream.delete("segments", "s", 2)
        await until_value(client, "f", USER, "out")


async def test_equal_and_lower_versions_change_nothing_whatever_they_are() -> None:
    content = {"flags": {"f": SEGMENT_FLAG | {"version": 5}}, "segments": {}}
    async with (
        AsyncFakeUpstream(content | {"segments": {"s": in_segment(5, "user-key")}}) as up,
        await ready_client(up) as client,
    ):
        for version in (5, 4):
            up.patch("flags", flag("f", "stale", version=version))
            up.delete("flags", "f", version)
            up.patch("segments", in_segment(version))
            up.delete("segments", "s", version)
        up.patch("flags", flag("last", "here"))
        await until_value(client, "last", USER, "here")
        assert await client.variation("f", USER, None) == "in"


async def test_a_delete_of_what_is_not_known_is_remembered() -> None:
    async with AsyncFakeUpstream(data("a")) as upstream, await ready_client(upstream) as client:
        upstream.delete("flags", "later", 7)
        upstream.patch("flags", flag("later", "stale", version=6))
        upstream.patch("flags", flag("last", "here"))
        await until_value(client, "last", USER, "here")
        assert await client.variation("later", USER, None) is None
        upstream.patch("flags", flag("later", "newer", version=8))
        await until_value(client, "later", USER, "newer")


async def test_fix_a_stale_update_is_no_change() -> None:
    """FIX (data-sources.md 10): the official SDK notifies though its store ignored the update."""
    heard: list[str] = []

    def listener(change: FlagChange) -> None:
        heard.append(change.key)

    async with (
        AsyncFakeUpstream(data("a", version=5)) as upstream,
        await ready_client(upstream) as client,
    ):
        client.on_change(None, listener)
        upstream.patch("flags", flag("f", "stale", version=5))
        upstream.delete("flags", "f", 4)
        upstream.patch("flags", flag("g", "here"))
        await until(lambda: "g" in heard)
    assert heard == ["g"]


async def test_fix_value_listeners_make_no_events_and_run_no_hooks() -> None:
    """FIX (data-sources.md 10): the official SDK evaluates for them as if the user had asked."""
    heard: list[Any] = []
    async with AsyncFakeUpstream(data("a")) as upstream:
        events = EventSettings(base_uri=upstream.uri, diagnostics=False)
        async with await ready_client(upstream, send_events=True, events=events) as client:
            client.on_value_change("f", USER, heard.append)
            upstream.patch("flags", flag("f", "b", version=2, trackEvents=True))
            await until(lambda: len(heard) == 1)
            assert await client.flush()
        assert [(change.old_value, change.new_value) for change in heard] == [("a", "b")]
        assert upstream.events() == []


async def test_other_events_and_other_paths_are_for_others() -> None:
    async with AsyncFakeUpstream(data("a")) as upstream:
        async with await ready_client(upstream) as client:
            upstream.send_raw(b"event: whatever\ndata: not JSON\n\n")
            upstream.send_raw(b"data: no name\n\n:comment\n\nevent: patch\n\n")
            upstream.send_raw(b'event: patch\ndata: {"path":"/cats/f","data":{"version":9}}\n\n')
            upstream.send_raw(b'event: delete\ndata: {"path":"/cats/f","version":9}\n\n')
            upstream.send_raw(b'event: put\ndata: {"path":"/cats","data":{}}\n\n')
            upstream.patch("flags", flag("g", "here"))
            await until_value(client, "g", USER, "here")
            assert await client.variation("f", USER, None) == "a"
            assert status_of(client).error is None
        assert len(upstream.requests) == 1


async def test_how_a_stream_is_cut_and_how_its_lines_end_does_not_matter() -> None:
    text = json.dumps({"path": "/flags/g", "data": flag("g", "käse")}, ensure_ascii=False)
    first, second = text[:30], text[30:]
    wire = f"event:patch\r\ndata:{first}\r\n:comment\r\ndata: {second}\r\n\r\n".encode()
    wire = wire.replace(b"}\r\ndata: ", b"}\rdata: ")
    async with AsyncFakeUpstream(data("a")) as upstream, await ready_client(upstream) as client:
        for byte in wire:
            upstream.send_raw(bytes([byte]))
        await until_value(client, "g", USER, "käse")


async def test_changes_before_everything_else_are_no_environment() -> None:
    patch = b'event: patch\ndata: {"path":"/flags/g","data":{"key":"g","version":1}}\n\n'
    async with AsyncFakeUpstream(data("a")) as upstream:
        upstream.respond(STREAM, Scripted.stream(patch))
        async with client_of(streaming(upstream)) as client:
            await upstream.wait_for_streams(1)
            assert not await client.wait_until_ready(0.1)
            assert status_of(client).state is SourceState.INITIALIZING
            upstream.put(data("b")["flags"])
            assert await client.wait_until_ready()
            assert await client.variation("f", USER, None) == "b"


# --- the request ---------------------------------------------------------------------------------


async def test_the_request_has_every_header_and_nothing_that_was_not_asked_for() -> None:
    async with AsyncFakeUpstream(data("a")) as upstream:
        settings = {
            "application": Application(id="shop", version="1.2.3"),
            "wrapper": Wrapper(name="flask-flags", version="0.3"),
        }
        async with await ready_client(upstream, **settings) as client:
            request = upstream.requests[0]
            assert (request.method, request.path, dict(request.query)) == ("GET", STREAM, {})
            agent = "PythonAsyncClient" if runtime.IS_ASYNC else "PythonClient"
            assert dict(request.headers) == {
                "host": upstream.uri.removeprefix("http://"),
                "authorization": KEY,
                "user-agent": f"{agent}/{VERSION}",
                "x-launchdarkly-instance-id": client.instance_id,
                "x-launchdarkly-tags": "application-id/shop application-version/1.2.3",
                "x-launchdarkly-wrapper": "flask-flags/0.3",
                "accept": "text/event-stream",
                "cache-control": "no-cache",
            }


async def test_headers_without_anything_to_say_are_left_out() -> None:
    async with AsyncFakeUpstream(data("a")) as upstream:
        settings = {
            "application": Application(id="not valid!", version=""),
            "wrapper": Wrapper(name="", version="0.3"),
        }
        async with await ready_client(upstream, **settings):
            headers = upstream.requests[0].headers
            assert "x-launchdarkly-tags" not in headers
            assert "x-launchdarkly-wrapper" not in headers


async def test_fix_two_clients_of_one_configuration_are_two_instances() -> None:
    """FIX (data-sources.md 8): the official SDK keeps the id on the Config that they share."""
    async with AsyncFakeUpstream(data("a")) as upstream:
        shared = config(streaming(upstream))
        async with AsyncClient(shared) as first, AsyncClient(shared) as second:
            assert await first.wait_until_ready()
            assert await second.wait_until_ready()
            await upstream.wait_for_request(STREAM, 2)
            upstream.drop_streams()
            await upstream.wait_for_request(STREAM, 4)
            seen = [one.headers["x-launchdarkly-instance-id"] for one in upstream.requests]
            assert set(seen) == {first.instance_id, second.instance_id}
            assert len(set(seen)) == 2
            assert [seen.count(one) for one in set(seen)] == [2, 2]


async def test_without_a_key_the_header_is_empty() -> None:
    async with AsyncFakeUpstream(data("a")) as upstream, await ready_client(upstream, sdk_key=""):
        assert upstream.requests[0].headers["authorization"] == ""


async def test_a_slash_at_the_end_of_the_base_uri_is_not_doubled() -> None:
    async with AsyncFakeUpstream(data("a")) as upstream:
        source = Streaming(base_uri=upstream.uri + "/")
        async with client_of(source) as client:
            assert await client.wait_until_ready()
            assert upstream.requests[0].path == STREAM


async def test_a_base_uri_may_have_a_path() -> None:
    async with AsyncFakeUpstream() as upstream:
        upstream.always("/some/where/all", Scripted.stream(_put("a")))
        source = Streaming(base_uri=f"{upstream.uri}/some/where")
        async with client_of(source) as client:
            assert await client.wait_until_ready()


async def test_a_payload_filter_is_part_of_the_request() -> None:
    async with AsyncFakeUpstream(data("everything")) as upstream:
        upstream.put(data("filtered")["flags"], filter_key="mobile.only-1_a")
        async with await ready_client(upstream, payload_filter="mobile.only-1_a") as client:
            assert dict(upstream.requests[0].query) == {"filter": "mobile.only-1_a"}
            assert await client.variation("f", USER, None) == "filtered"


@pytest.mark.parametrize("key", ["", "a b", "-first", "a+!%&()b", "ä"])
async def test_a_key_that_no_filter_has_is_ignored(
    key: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with (
        AsyncFakeUpstream(data("everything")) as upstream,
        await ready_client(upstream, payload_filter=key) as client,
    ):
        assert dict(upstream.requests[0].query) == {}
        assert await client.variation("f", USER, None) == "everything"
    assert "payload_filter is ignored" in caplog.text


async def test_the_last_event_id_is_sent_when_a_stream_is_opened_again() -> None:
    async with AsyncFakeUpstream(data("a")) as upstream, await ready_client(upstream) as client:
        upstream.send_raw(b"id: 41\nevent: unknown\ndata: x\n\n")
        upstream.send_raw(b"id: 42\nevent: unknown\ndata: x\n\nid: 43\nevent: unfinished\n")
        upstream.patch("flags", flag("g", "here"))
        upstream.drop_streams()
        again = await upstream.wait_for_request(STREAM, 2)
        assert "last-event-id" not in upstream.requests[0].headers
        assert again.headers["last-event-id"] in {"42", "43"}
        await upstream.wait_for_streams(1)
        await until_state(client, SourceState.VALID)
        upstream.drop_streams()
        again = await upstream.wait_for_request(STREAM, 3)
        assert again.headers["last-event-id"] in {"42", "43"}


async def test_an_environment_says_what_it_is_called() -> None:
    async with AsyncFakeUpstream(data("a")) as upstream:
        upstream.headers = {"X-LD-EnvID": "env-1"}
        async with await ready_client(upstream) as client:
            assert client.environment_id == "env-1"
            upstream.headers = {"X-LD-EnvID": ""}
            upstream.drop_streams()
            await upstream.wait_for_request(STREAM, 2)
            await until_state(client, SourceState.VALID)
            assert client.environment_id == "env-1"


async def test_redirects_are_followed_three_times() -> None:
    async with AsyncFakeUpstream(data("a")) as upstream:
        for number in range(1, 4):
            upstream.always(f"/{number}/all", Scripted.redirect(f"/{number + 1}/all"))
        upstream.always("/4/all", Scripted.stream(_put("far away")))
        source = Streaming(base_uri=f"{upstream.uri}/1")
        async with client_of(source) as client:
            assert await client.wait_until_ready()
            assert await client.variation("f", USER, None) == "far away"
        assert len(upstream.requests) == 4


# --- failures and retries ------------------------------------------------------------------------


def _put(value: str, version: int = 1) -> bytes:
    text = json.dumps({"path": "/", "data": data(value, version=version)})
    return f"event: put\ndata: {text}\n\n".encode()


@pytest.mark.parametrize("status", [400, 408, 429, 500, 502, 503, 504, 305])
async def test_what_passes_by_itself_is_tried_again_soon_also_at_the_start(status: int) -> None:
    async with AsyncFakeUpstream(data("a")) as upstream:
        upstream.respond(STREAM, Scripted(status), Scripted(status))
        async with client_of(streaming(upstream)) as client:
            assert await client.wait_until_ready(2.0)
            error = error_of(client)
            assert (error.kind, error.status_code) == (SourceErrorKind.ERROR_RESPONSE, status)
            upstream.respond(STREAM, Scripted(status))
            upstream.drop_streams()
            await upstream.wait_for_request(STREAM, 5, timeout=2.0)
            await until_state(client, SourceState.VALID)


@pytest.mark.parametrize("status", [401, 403, 404, 405, 410, 418])
async def test_what_somebody_must_repair_is_tried_again_after_minutes(
    status: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with AsyncFakeUpstream(data("a")) as upstream:
        upstream.always(STREAM, Scripted(status))
        async with client_of(streaming(upstream)) as client:
            error = await until_error(client)
            assert (error.kind, error.status_code) == (SourceErrorKind.ERROR_RESPONSE, status)
            assert 150.0 <= _announced(error) <= 300.0
            assert status_of(client).state is SourceState.INITIALIZING
            assert not await client.wait_until_ready(0.2)
        assert len(upstream.requests) == 1
    assert levels_of(caplog) == ["ERROR"]


async def test_a_key_that_is_refused_later_stops_nothing() -> None:
    async with AsyncFakeUpstream(data("a")) as upstream, await ready_client(upstream) as client:
        upstream.respond(STREAM, Scripted(401))
        upstream.drop_streams()
        await until_error(client)
        await until(lambda: error_of(client).status_code == 401)
        assert status_of(client).state is SourceState.INTERRUPTED
        assert await client.variation("f", USER, None) == "a"


def _announced(error: SourceError) -> float:
    """Return the wait that a message speaks of."""
    return float(error.message.rpartition("next try in ")[2].removesuffix(" s"))


async def test_waits_double_less_a_random_part() -> None:
    async with AsyncFakeUpstream(data("a")) as upstream:
        upstream.always(STREAM, Scripted(503))
        async with client_of(streaming(upstream, delay=0.1)):
            await upstream.wait_for_request(STREAM, 4)
        times = [request.time for request in upstream.requests]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    for gap, longest in zip(gaps, (0.1, 0.2, 0.4), strict=False):
        assert longest / 2 - 0.01 <= gap <= longest + PROMPT


async def test_the_first_wait_is_what_was_configured() -> None:
    async with AsyncFakeUpstream(data("a")) as upstream:
        async with client_of(streaming(upstream, delay=10.0)) as client:
            assert await client.wait_until_ready()
            upstream.end_streams()
            await until_state(client, SourceState.INTERRUPTED)
            assert 5.0 <= _announced(error_of(client)) <= 10.0
            await until(lambda: upstream.open_connections == 0)
        assert len(upstream.requests) == 1


BROKEN = [
    b"{sorry",
    b'{"path":"/","data":{"flags":true,"segments":{}}}',
    b'{"path":"/","data":{"flags":{},"segments":true}}',
    b'{"path":"/","data":true}',
    b"true",
    b'{"path":"/"}',
    b"\xff",
]


@pytest.mark.parametrize("text", BROKEN)
async def test_broken_data_ends_the_stream_and_the_old_data_stays(text: bytes) -> None:
    async with AsyncFakeUpstream(data("a")) as upstream:
        async with client_of(streaming(upstream, delay=0.1)) as client:
            assert await client.wait_until_ready()
            upstream.send_raw(b"event: put\ndata: " + text + b"\n\n")
            await until_state(client, SourceState.INTERRUPTED)
            assert error_of(client).kind is SourceErrorKind.INVALID_DATA
            assert await client.variation("f", USER, None) == "a"
            await until(lambda: upstream.open_streams == 0 or len(upstream.requests) > 1)
            await until_state(client, SourceState.VALID)
        assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    "event",
    [
        b'event: patch\ndata: {"path":"/flags/f","data":true}\n\n',
        b'event: patch\ndata: {"path":"/segments/s","data":[]}\n\n',
        b'event: patch\ndata: {"path":3,"data":{}}\n\n',
        b'event: delete\ndata: {"path":"/flags/f","version":"7"}\n\n',
        b'event: delete\ndata: {"path":"/flags/f"}\n\n',
        b"event: delete\ndata: {\n\n",
    ],
)
async def test_a_broken_change_ends_the_stream_and_takes_nothing_away(event: bytes) -> None:
    async with (
        AsyncFakeUpstream(data("a")) as upstream,
        client_of(streaming(upstream, delay=0.1)) as client,
    ):
        assert await client.wait_until_ready()
        upstream.send_raw(event)
        await until_state(client, SourceState.INTERRUPTED)
        assert error_of(client).kind is SourceErrorKind.INVALID_DATA
        assert await client.variation("f", USER, None) == "a"
        await until_state(client, SourceState.VALID)


async def test_one_bad_item_among_good_ones_costs_itself_only() -> None:
    async with AsyncFakeUpstream(data("a")) as upstream:
        async with await ready_client(upstream) as client:
            upstream.patch("flags", {**flag("f", "b", version=2), "on": "yes"})
            upstream.patch("flags", flag("g", "here"))
            await until_value(client, "g", USER, "here")
            assert await client.variation("f", USER, None) == "a"
            assert [bad.key for bad in client.status.bad_items] == ["f"]
            assert status_of(client).state is SourceState.VALID
        assert len(upstream.requests) == 1


# --- status --------------------------------------------------------------------------------------


async def test_the_status_follows_the_stream_and_an_error_stays_until_the_next() -> None:
    heard: list[SourceStatus] = []
    async with AsyncFakeUpstream(data("a")) as upstream:
        upstream.respond(STREAM, Scripted(503, delay=0.2))  # somebody listens by then
        async with client_of(streaming(upstream, delay=0.05)) as client:
            client.on_source_status(heard.append)
            assert await client.wait_until_ready()
            upstream.drop_streams()
            await until(lambda: [one.state for one in heard[-2:]] == ["interrupted", "valid"])
            assert status_of(client).error == heard[-2].error
        await until(lambda: status_of(client).state is SourceState.OFF)
    states = [one.state for one in heard if one.state is not SourceState.OFF]
    assert states[-3:] == ["valid", "interrupted", "valid"]
    assert all(before.since <= after.since for before, after in itertools.pairwise(heard))


async def test_a_client_without_data_stays_initializing_and_says_why() -> None:
    heard: list[SourceStatus] = []
    async with AsyncFakeUpstream(data("a")) as upstream:
        upstream.respond(STREAM, Scripted(503, delay=0.5), Scripted(500), Scripted(503))
        client = client_of(streaming(upstream, delay=0.05))
        client.on_source_status(heard.append)
        async with client:
            await until(lambda: len(heard) >= 3)
            assert {one.state for one in heard[:3]} == {SourceState.INITIALIZING}
            assert len({one.since for one in heard[:3]}) == 1
            codes = [one.error and one.error.status_code for one in heard[:3]]
            assert codes == [503, 500, 503]
            assert await client.wait_until_ready()


async def test_fix_a_connection_that_fails_is_an_error_of_the_network() -> None:
    """FIX (data-sources.md 10): the official SDK calls it unknown."""
    async with AsyncFakeUpstream(data("a")) as upstream:
        upstream.stop_listening()
        async with client_of(streaming(upstream)) as client:
            error = await until_error(client)
            assert error.kind is SourceErrorKind.NETWORK_ERROR
            assert error.status_code is None
            assert upstream.uri in error.message
            assert "refused" in error.message
            upstream.start_listening()
            assert await client.wait_until_ready()
            upstream.drop_streams(reset=True)
            await until_state(client, SourceState.INTERRUPTED)
            assert error_of(client).kind is SourceErrorKind.NETWORK_ERROR


async def test_an_outage_is_one_line_in_the_log_and_its_end_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with AsyncFakeUpstream(data("a")) as upstream, await ready_client(upstream) as client:
        upstream.stop_listening()
        upstream.drop_streams()
        await until_state(client, SourceState.INTERRUPTED)
        first = error_of(client).time
        await until(lambda: error_of(client).time > first)
        assert client.status.data_age is not None
        assert await client.variation("f", USER, None) == "a"
        upstream.put(data("b", version=2)["flags"])
        upstream.start_listening()
        await until_value(client, "f", USER, "b")
        await until_state(client, SourceState.VALID)
        assert client.status.data_age is None
    (error, problem), (warning, recovery) = lines_of(caplog)
    assert (error, warning) == ("ERROR", "WARNING")
    assert "what was received before is served" in problem
    assert "works again" in recovery


async def test_an_outage_that_changes_its_face_is_named_once_for_each(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with AsyncFakeUpstream(data("a")) as upstream, await ready_client(upstream) as client:
        answers = (Scripted(503), Scripted(behaviour="close"))
        upstream.respond(STREAM, *(answers * 3))
        upstream.drop_streams()
        await upstream.wait_for_request(STREAM, 8)
        await until_state(client, SourceState.VALID)
    assert levels_of(caplog) == ["ERROR", "ERROR", "WARNING"]


# --- start and end -------------------------------------------------------------------------------


async def test_a_client_exists_at_once_though_nothing_answers() -> None:
    async with AsyncFakeUpstream(data("a")) as upstream:
        upstream.hold_streams()
        begun = runtime.monotonic()
        async with client_of(streaming(upstream)) as client:
            assert not await client.wait_until_ready(0.001)
            detail = await client.variation_detail("f", USER, "default")
            assert (detail.value, detail.reason.error_kind) == ("default", "CLIENT_NOT_READY")
            check_within(PROMPT, since=begun)
            upstream.release_streams()
            assert await client.wait_until_ready()
            assert await client.variation("f", USER, None) == "a"


async def test_who_waits_for_a_client_wakes_with_the_first_data_and_sees_a_valid_status() -> None:
    seen: list[tuple[bool, SourceState]] = []
    async with AsyncFakeUpstream(data("a")) as upstream:
        upstream.hold_streams()
        async with client_of(streaming(upstream)) as client:

            async def wait() -> None:
                seen.append((await client.wait_until_ready(), status_of(client).state))

            waiting = [runtime.spawn("wait", wait) for _ in range(3)]
            await upstream.wait_for_request(STREAM)
            upstream.release_streams()
            for one in waiting:
                assert await one.join(5.0)
    assert seen == [(True, SourceState.VALID)] * 3


async def test_closing_ends_a_stream_at_once() -> None:
    async with AsyncFakeUpstream(data("a")) as upstream:
        async with await ready_client(upstream):
            await upstream.wait_for_streams(1)
            begun = runtime.monotonic()
        await until(lambda: upstream.open_connections == 0)
        check_within(PROMPT, since=begun)


async def test_closing_ends_the_wait_for_an_answer_at_once() -> None:
    async with AsyncFakeUpstream(data("a")) as upstream:
        upstream.always(STREAM, Scripted(behaviour="hang"))
        async with client_of(streaming(upstream)):
            await upstream.wait_for_request(STREAM)
            begun = runtime.monotonic()
        await until(lambda: upstream.open_connections == 0)
        check_within(PROMPT, since=begun)


async def test_closing_ends_the_wait_for_the_next_try_at_once() -> None:
    async with AsyncFakeUpstream(data("a")) as upstream:
        upstream.always(STREAM, Scripted(401))
        client = client_of(streaming(upstream))
        await client.wait_until_ready(0.0)
        await until_error(client)
        begun = runtime.monotonic()
        assert (await client.aclose()).complete
        check_within(PROMPT, since=begun)
        await until(lambda: upstream.open_connections == 0)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_closing_ends_a_connection_in_the_making_at_once(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = Streaming(base_uri=f"{scheme}://127.0.0.1:{silent.getsockname()[1]}")
        client = client_of(source)
        await client.wait_until_ready(0.1)
        begun = runtime.monotonic()
        assert (await client.aclose()).complete
        check_within(PROMPT, since=begun)


async def test_closing_at_any_time_leaves_nothing_behind() -> None:
    async with AsyncFakeUpstream(data("a")) as upstream:
        for pauses in range(8):
            client = client_of(streaming(upstream))
            await client.wait_until_ready(0.0)
            for _ in range(pauses % 4):
                await pause()
            assert (await client.aclose()).complete
            assert status_of(client).state is SourceState.OFF
        await until(lambda: upstream.open_connections == 0)


# --- the source by itself ------------------------------------------------------------------------


class Sink:
    """Takes what a source delivers."""

    def __init__(self) -> None:
        self.applied: list[ChangeSet] = []
        self.reports: list[tuple[SourceState, SourceError | None]] = []

    async def apply(self, changes: ChangeSet) -> None:
        self.applied.append(changes)

    async def report(self, state: SourceState, error: SourceError | None = None) -> None:
        self.reports.append((state, error))


async def test_every_try_to_get_data_is_counted_once_for_the_statistics() -> None:
    news, sink = UpstreamNews(), Sink()
    async with AsyncFakeUpstream(data("a")) as upstream:
        upstream.respond(STREAM, Scripted(503, delay=0.05), Scripted.stream(b"", "cut"))
        source = AsyncStreamingSource(
            streaming(upstream),
            filter=None,
            http=AsyncHttp(HttpSettings()),
            requester=ASKER,
            told=news,
        )
        feed = runtime.spawn("feed", lambda: source.run(sink))
        await until(lambda: len(sink.applied) == 1)
        upstream.patch("flags", flag("f", "b", version=2))
        await until(lambda: len(sink.applied) == 2)
        source.stop()
        assert await feed.join(5.0)
    tries = news.take_inits()
    assert [one.failed for one in tries] == [True, True, False]
    assert tries[0].duration_ms >= 50
    assert all(one.started_ms > 1_600_000_000_000 for one in tries)
    assert news.take_inits() == []


async def test_a_source_that_was_stopped_first_asks_nobody() -> None:
    sink = Sink()
    async with AsyncFakeUpstream(data("a")) as upstream:
        source = AsyncStreamingSource(
            streaming(upstream),
            filter=None,
            http=AsyncHttp(HttpSettings()),
            requester=ASKER,
            told=UpstreamNews(),
        )
        source.stop()
        source.stop()
        await source.run(sink)
        assert upstream.requests == []
        assert (sink.applied, sink.reports) == ([], [])


# --- a process at its limits ----------------------------------------------------------------------


class _Full:
    """A client that has no memory for the first that it gets."""

    def __init__(self) -> None:
        self.errors: list[SourceError] = []
        self.taken: list[ChangeSet] = []

    async def apply(self, changes: ChangeSet) -> None:
        if not self.errors:
            raise MemoryError
        self.taken.append(changes)

    async def report(self, state: SourceState, error: SourceError | None = None) -> None:
        assert state is SourceState.INTERRUPTED
        assert error is not None
        self.errors.append(error)


async def test_a_lack_of_memory_does_not_end_the_source() -> None:
    sink = _Full()
    async with AsyncFakeUpstream(data("a")) as upstream:
        http = AsyncHttp(HttpSettings())
        source = AsyncStreamingSource(
            streaming(upstream),
            filter=None,
            http=http,
            requester=ASKER,
            told=UpstreamNews(),
        )
        task = runtime.spawn("source", partial(source.run, sink))
        await until(lambda: bool(sink.taken))
        source.stop()
        assert await task.join(5)
        await http.aclose()
    assert [error.kind for error in sink.errors] == [SourceErrorKind.UNKNOWN]
    assert "there is no memory" in sink.errors[0].message
