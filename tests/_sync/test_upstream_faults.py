"""Every way in which an upstream can go wrong, met by a client that has data.

In each cell: the old data stays, the status says what happened, the next try comes when it should,
the log has one line for the trouble and one for its end, and the client then follows again. What
it costs in memory is measured in `tests/runtime/test_source_memory.py`.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
import trustme

from flagkeep._sync.client import Client
from flagkeep._runtime import threads as runtime
from flagkeep.config import HttpSettings
from flagkeep.model.status import SourceErrorKind, SourceState
from flagkeep.testing import FakeUpstream, Scripted
from tests._sync.connecting import (
    USER,
    ScaledPolling,
    ScaledStreaming,
    client_of,
    data,
    error_of,
    levels_of,
    polling,
    status_of,
    streaming,
    until_state,
)
from tests._sync.waiting import pause, until, until_value
from tests.limits import check_took, check_within

STREAM: Final = "/all"
POLL: Final = "/sdk/latest-all"
LIMIT: Final = 100_000  # bytes of an answer, or of an event
LARGE: Final = 100_000_000
DELAY: Final = 0.05  # seconds before the first new try
SILENCE: Final = 0.4
PROMPT: Final = 1.0  # seconds that a busy machine may need for what is done at once
INVALID, NETWORK = SourceErrorKind.INVALID_DATA, SourceErrorKind.NETWORK_ERROR
RESPONSE: Final = SourceErrorKind.ERROR_RESPONSE


@dataclass(frozen=True)
class Fault:
    """One way to go wrong.

    Attributes:
        answer: what every request gets.
        says: a part of what the status says.
        lasts: seconds that each try takes at least.
    """

    name: str
    answer: Scripted
    kind: SourceErrorKind
    says: str
    lasts: float = 0.0
    status_code: int | None = None


def event(text: bytes, name: bytes = b"put") -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name, text)


def stream(text: bytes) -> Scripted:
    return Scripted.stream(text)


HALF: Final = b'event: put\ndata: {"path":"/","data":{"flags":{"f":{"key":"f","vers'
SLOW: Final = Scripted(
    200,
    {"Content-Type": "text/event-stream"},
    HALF * 100,
    behaviour="drip",
    interval=0.05,
)
SLOW_POLL: Final = Scripted(200, {}, "{" + " " * 1000, behaviour="drip", interval=0.05)

STREAM_FAULTS: Final = (
    Fault("broken JSON", stream(event(b'{"path":')), INVALID, "put"),
    Fault("no JSON", stream(event(b"<html>")), INVALID, "put"),
    Fault("no text", stream(event(b"\xff\xfe")), INVALID, "put"),
    Fault("wrong type", stream(event(b'{"path":"/","data":{"flags":[1]}}')), INVALID, "flags"),
    Fault("wrong patch", stream(event(b'{"path":"/flags/f"}', b"patch")), INVALID, "patch"),
    Fault("wrong delete", stream(event(b'{"path":"/flags/f"}', b"delete")), INVALID, "delete"),
    Fault("deep", stream(event(b'{"path":"/","data":' + b"[" * 50_000)), INVALID, "put"),
    Fault("endless line", Scripted.large(LARGE, start=b"data: "), INVALID, "exceeds 100,000 bytes"),
    Fault("endless name", Scripted.large(LARGE, start=b"event: "), INVALID, "exceeds 65,536 bytes"),
    Fault(
        "endless lines",
        Scripted.large(LARGE, start=b"event: put\n", filler=b"data: x\n"),
        INVALID,
        "exceeds 100,000 bytes",
    ),
    Fault("half an event", Scripted.stream(HALF, "cut"), NETWORK, ""),
    Fault("half an event and the end", Scripted.stream(HALF, "answer"), NETWORK, "closed"),
    Fault("nothing and the end", Scripted.stream(b"", "answer"), NETWORK, "closed"),
    Fault(
        "wrong content type",
        Scripted(200, {"Content-Type": "text/html"}, b"hi"),
        INVALID,
        "html",
    ),
    Fault("no content type", Scripted(200, {"Content-Type": ""}, b"hi"), INVALID, "of no type"),
    Fault("no content", Scripted(204), RESPONSE, "base URI", status_code=204),
    Fault("redirect loop", Scripted.redirect(STREAM), RESPONSE, "redirects", status_code=302),
    Fault("redirect to nowhere", Scripted(301), RESPONSE, "redirects", status_code=301),
    Fault(
        "redirect elsewhere",
        Scripted.redirect("ftp://127.0.0.1/"),
        RESPONSE,
        "redirects",
        status_code=302,
    ),
    Fault("unavailable", Scripted(503), RESPONSE, "503", status_code=503),
    Fault("closed", Scripted(behaviour="close"), NETWORK, ""),
    Fault("reset", Scripted(behaviour="reset"), NETWORK, ""),
    Fault("nothing at all", Scripted(behaviour="hang"), NETWORK, "", lasts=SILENCE),
    Fault("nothing after the head", stream(b""), NETWORK, "", lasts=SILENCE),
    Fault("half an event and silence", stream(HALF), NETWORK, "", lasts=SILENCE),
    Fault("one byte a minute", SLOW, NETWORK, "slowly", lasts=SILENCE),
    Fault(
        "one comment a minute",
        Scripted.stream(b":\n" * 1000, "drip"),
        NETWORK,
        "slowly",
        lasts=SILENCE,
    ),
)

POLL_FAULTS: Final = (
    Fault("broken JSON", Scripted(body='{"flags":'), INVALID, ""),
    Fault("no JSON", Scripted(body="<html>", headers={"Content-Type": "text/html"}), INVALID, ""),
    Fault("wrong type", Scripted(body='{"flags":[1]}'), INVALID, "flags"),
    Fault("nothing and the end", Scripted(), INVALID, ""),
    Fault("deep", Scripted(body='{"flags":' + "[" * 50_000), INVALID, ""),
    Fault("endless", Scripted.large(LARGE, start=b'{"flags":'), NETWORK, "100000 bytes"),
    Fault("too large", Scripted(body=b" " * (LIMIT + 1)), NETWORK, "100000 bytes"),
    Fault(
        "damaged compression",
        Scripted(200, {"Content-Encoding": "gzip"}, b"this is none"),
        NETWORK,
        "damaged",
    ),
    Fault("half an answer", Scripted(body=b'{"flags":{}', behaviour="cut"), NETWORK, "cut off"),
    Fault("redirect loop", Scripted.redirect(POLL), RESPONSE, "redirects", status_code=302),
    Fault("no content", Scripted(204), RESPONSE, "base URI", status_code=204),
    Fault("unavailable", Scripted(503), RESPONSE, "503", status_code=503),
    Fault("closed", Scripted(behaviour="close"), NETWORK, ""),
    Fault("nothing at all", Scripted(behaviour="hang"), NETWORK, "", lasts=0.2),
    Fault("one byte a minute", SLOW_POLL, NETWORK, "", lasts=SILENCE),
)


def name_of(fault: Fault) -> str:
    return fault.name


def meet(client: Client, upstream: FakeUpstream, path: str, fault: Fault) -> None:
    """Let a fault happen to a client that has data, twice at least, and then end."""
    begun = len(upstream.requests_to(path))
    upstream.always(path, fault.answer)
    upstream.drop_streams()
    until(lambda: _is_seen(client, fault))
    tries = 4 if fault.status_code in {301, 302} else 2  # a loop is followed three times
    upstream.wait_for_request(path, begun + tries)
    assert status_of(client).state is SourceState.INTERRUPTED
    assert fault.says in error_of(client).message
    assert client.variation("f", USER, None) == "a"
    assert client.status.data_age is not None
    upstream.always(path, None)
    upstream.drop_streams()
    upstream.put(data("b", version=2)["flags"])
    until_value(client, "f", USER, "b")
    until_state(client, SourceState.VALID)
    assert client.status.data_age is None


def _is_seen(client: Client, fault: Fault) -> bool:
    error = status_of(client).error
    return error is not None and (error.kind, error.status_code) == (fault.kind, fault.status_code)


@pytest.mark.slow
@pytest.mark.parametrize("fault", STREAM_FAULTS, ids=name_of)
def test_a_stream(fault: Fault, caplog: pytest.LogCaptureFixture) -> None:
    with FakeUpstream(data("a")) as upstream:
        http = HttpSettings(max_response_bytes=LIMIT)
        source = ScaledStreaming(upstream, SILENCE if fault.lasts else 60.0, http=http)
        with client_of(source) as client:
            assert client.wait_until_ready()
            upstream.wait_for_streams(1)
            begun = runtime.monotonic()
            meet(client, upstream, STREAM, fault)
            assert runtime.monotonic() - begun >= fault.lasts
    _check_log(caplog, fault)


@pytest.mark.slow
@pytest.mark.parametrize("fault", POLL_FAULTS, ids=name_of)
def test_a_poll(fault: Fault, caplog: pytest.LogCaptureFixture) -> None:
    with FakeUpstream(data("a")) as upstream:
        source = ScaledPolling(upstream, SILENCE, max_bytes=LIMIT)
        with client_of(source) as client:
            assert client.wait_until_ready()
            meet(client, upstream, POLL, fault)
        source.http.close()
    _check_log(caplog, fault)


def _check_log(caplog: pytest.LogCaptureFixture, fault: Fault) -> None:
    """One line for the trouble, one for its end; before it the stream was dropped, by the test."""
    levels = levels_of(caplog)
    was_dropped_first = fault.kind is not NETWORK and levels.count("ERROR") == 2
    expected = ["ERROR", "ERROR", "WARNING"] if was_dropped_first else ["ERROR", "WARNING"]
    assert levels == expected, caplog.text


# --- when the next try comes ---------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer",
    [
        Scripted(503),
        Scripted.stream(b"", "answer"),
        Scripted(behaviour="close"),
        Scripted.stream(event(b"{")),
        Scripted(200, {"Content-Type": "text/html"}),
    ],
    ids=["refused", "ended", "closed", "broken data", "wrong content type"],
)
def test_a_stream_that_fails_is_tried_again_ever_more_seldom(answer: Scripted) -> None:
    with FakeUpstream(data("a")) as upstream:
        upstream.always(STREAM, answer)
        with client_of(streaming(upstream, delay=DELAY)):
            upstream.wait_for_request(STREAM, 5)
        times = [request.time for request in upstream.requests]
    for number, (before, after) in enumerate(pairwise(times)):
        longest = DELAY * 2**number
        assert longest / 2 <= after - before <= longest + PROMPT


# --- certificates --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("settings", [streaming, polling])
def test_a_certificate_that_expires(
    settings: Callable[[FakeUpstream], Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    good = authority.issue_cert("127.0.0.1")
    old = authority.issue_cert(
        "127.0.0.1",
        not_before=datetime(2001, 1, 1, tzinfo=UTC),
        not_after=datetime(2002, 1, 1, tzinfo=UTC),
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    good.configure_cert(tls)
    with FakeUpstream(data("a"), tls=tls) as upstream:
        http = HttpSettings(ca_file=str(tmp_path / "ca.pem"))
        with client_of(settings(upstream), http=http) as client:
            assert client.wait_until_ready()
            old.configure_cert(tls)
            _hang_up(upstream)
            until_state(client, SourceState.INTERRUPTED)
            until(lambda: "expired" in error_of(client).message)
            assert error_of(client).kind is NETWORK
            assert client.variation("f", USER, None) == "a"
            good.configure_cert(tls)
            upstream.put(data("b", version=2)["flags"])
            until_value(client, "f", USER, "b")
            until_state(client, SourceState.VALID)
    assert levels_of(caplog) == ["ERROR", "WARNING"]


def _hang_up(upstream: FakeUpstream) -> None:
    """Close every connection, so that the next request needs a new one."""
    upstream.drop_streams()
    upstream.stop_listening()
    upstream.start_listening()


# --- the wall clock ------------------------------------------------------------------------------

DAY: Final = 86_400.0


@pytest.mark.slow
@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_a_wall_clock_that_jumps_breaks_no_wait_of_a_stream(
    jump: float,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    real = runtime.wall_time
    with (
        FakeUpstream(data("a")) as upstream,
        client_of(streaming(upstream, delay=0.4)) as client,
    ):
        assert client.wait_until_ready()
        upstream.wait_for_streams(1)
        upstream.drop_streams()
        until_state(client, SourceState.INTERRUPTED)
        dropped = runtime.monotonic()
        monkeypatch.setattr(runtime, "wall_time", lambda: real() + jump)
        age = client.status.data_age
        assert age is not None
        assert age < PROMPT
        until_state(client, SourceState.VALID)
        assert runtime.monotonic() - dropped >= 0.1
        check_within(0.4 + PROMPT, since=dropped)
        assert abs(status_of(client).since - (real() + jump)) < 60.0
        upstream.patch("flags", {**data("b", version=2)["flags"]["f"]})
        until_value(client, "f", USER, "b")
        assert (client.close()).complete
    (_, _), (_, recovery) = [(one.levelname, one.getMessage()) for one in caplog.records]
    assert float(recovery.rpartition("after ")[2].removesuffix(" s")) < PROMPT


@pytest.mark.slow
@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_a_wall_clock_that_jumps_breaks_no_interval_of_polls(
    jump: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = runtime.wall_time
    with FakeUpstream(data("a")) as upstream:
        with client_of(polling(upstream, interval=0.3)) as client:
            assert client.wait_until_ready()
            monkeypatch.setattr(runtime, "wall_time", lambda: real() + jump)
            upstream.wait_for_request(POLL, 3)
            monkeypatch.setattr(runtime, "wall_time", real)
            upstream.wait_for_request(POLL, 5)
            assert status_of(client).error is None
        times = [request.time for request in upstream.requests]
    assert all(0.3 <= after - before <= 0.3 + PROMPT for before, after in pairwise(times))


# --- floods --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_client_keeps_answering_while_changes_pour_in() -> None:
    count = 3000
    with FakeUpstream(data("a")) as upstream, client_of(streaming(upstream)) as client:
        assert client.wait_until_ready()
        flag = data("a")["flags"]["f"]
        for version in range(2, count):
            upstream.patch("flags", {**flag, "version": version})
        upstream.patch("flags", {**flag, "version": count, "variations": ["last"]})
        slowest = 0.0
        while True:
            begun = runtime.monotonic()
            seen = client.variation("f", USER, None)
            slowest = max(slowest, runtime.monotonic() - begun)
            if seen == "last":
                break
            assert seen == "a"
            pause()
        check_took(slowest, PROMPT)
