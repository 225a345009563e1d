"""The fake upstream: what it serves, what it remembers, and every way in which it can go wrong."""

import gc
import gzip
import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import Message
from itertools import repeat
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import pytest

from flagkeep.testing import (
    AsyncFakeUpstream,
    FakeUpstream,
    Request,
    Scripted,
    TestData,
    UpstreamTimeout,
)
from tests.limits import check_within

FLAG = {"key": "f", "version": 1, "on": False}
SEGMENT = {"key": "s", "version": 1}
DATA = {"flags": {"f": FLAG}, "segments": {"s": SEGMENT}}


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream(DATA) as upstream:
        yield upstream


class Answer:
    """What a client got, whatever its status."""

    def __init__(self, status: int, headers: Message, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


def ask(upstream: FakeUpstream, path: str, body: bytes | None = None, **headers: str) -> Answer:
    url = upstream.uri + path
    request = urllib.request.Request(  # noqa: S310  it is http
        url, body, {name.replace("_", "-"): value for name, value in headers.items()}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as exc:
        with exc:
            return Answer(exc.code, exc.headers, exc.read())


class Listener:
    """A client of a stream."""

    def __init__(self, upstream: FakeUpstream, path: str = "/all") -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=5)
        self.connection.request("GET", path)
        self.answer = self.connection.getresponse()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.answer.close()
        self.connection.close()

    def event(self) -> tuple[str, Any]:
        """Read the next event."""
        name = self.answer.readline().decode().removeprefix("event: ").rstrip()
        data = self.answer.readline().removeprefix(b"data: ")
        assert self.answer.readline() == b"\n"
        return name, json.loads(data)


# --- streams -----------------------------------------------------------------------------------


def test_a_stream_begins_with_everything(upstream: FakeUpstream) -> None:
    with Listener(upstream) as listener:
        assert listener.answer.headers["Content-Type"] == "text/event-stream"
        assert listener.event() == ("put", {"path": "/", "data": DATA})


def test_changes_are_sent_to_open_streams_and_to_later_ones(upstream: FakeUpstream) -> None:
    newer = {**FLAG, "version": 2}
    with Listener(upstream) as listener:
        listener.event()
        upstream.patch("flags", newer)
        upstream.delete("segments", "s", 5)
        assert listener.event() == ("patch", {"path": "/flags/f", "data": newer})
        assert listener.event() == ("delete", {"path": "/segments/s", "version": 5})
        upstream.put({})
        assert listener.event()[1]["data"] == {"flags": {}, "segments": {}}
        upstream.patch("flags", newer)
    with Listener(upstream) as listener:
        assert listener.event()[1]["data"] == {"flags": {"f": newer}, "segments": {}}


def test_test_data_is_followed() -> None:
    data = TestData()
    data.update(data.flag("f"))
    data.delete("gone")
    with FakeUpstream(data) as upstream, Listener(upstream) as listener:
        assert list(listener.event()[1]["data"]["flags"]) == ["f"]
        data.update(data.flag("f").variation_for_all(False))
        name, event = listener.event()
        assert (name, event["path"], event["data"]["version"]) == ("patch", "/flags/f", 2)
        data.delete("f")
        assert listener.event() == ("delete", {"path": "/flags/f", "version": 3})
    data.update(data.flag("f"))  # nobody is there any more


def test_keys_are_whatever_they_are(upstream: FakeUpstream) -> None:
    odd = {"key": 'a "b"/ü\n', "version": 1}
    with Listener(upstream) as listener:
        listener.event()
        upstream.patch("flags", odd)
        assert listener.event() == ("patch", {"path": f"/flags/{odd['key']}", "data": odd})
    assert json.loads(ask(upstream, "/sdk/latest-all").body)["flags"][odd["key"]] == odd


def test_many_streams_get_everything_in_order(upstream: FakeUpstream) -> None:
    listeners = [Listener(upstream) for _ in range(100)]
    upstream.wait_for_streams(100)
    for version in range(2, 12):
        upstream.patch("flags", {**FLAG, "version": version})
    for listener in listeners:
        with listener:
            listener.event()
            seen = [listener.event()[1]["data"]["version"] for _ in range(10)]
        assert seen == list(range(2, 12))
    upstream.wait_for_streams(0)


def test_a_filter_has_its_own_data_once_it_was_given_some(upstream: FakeUpstream) -> None:
    name = "a b+!%&()"
    with (
        Listener(upstream) as everybody,
        Listener(upstream, f"/all?filter={quote(name)}") as filtered,
    ):
        assert everybody.event() == filtered.event()
        upstream.put({"g": FLAG}, filter_key=name)
        assert list(filtered.event()[1]["data"]["flags"]) == ["g"]
        upstream.patch("flags", FLAG)
        assert everybody.event()[0] == "patch"
    assert upstream.requests[1].query == {"filter": name}
    poll = ask(upstream, f"/sdk/latest-all?filter={quote(name)}")
    assert list(json.loads(poll.body)["flags"]) == ["g"]


def test_any_bytes_can_be_sent(upstream: FakeUpstream) -> None:
    with Listener(upstream) as listener:
        listener.event()
        upstream.send_raw(b"event: odd\ndata: {}\n\n")
        assert listener.event() == ("odd", {})


def test_streams_end_in_peace_in_the_middle_or_with_a_reset(upstream: FakeUpstream) -> None:
    with Listener(upstream) as listener:
        listener.event()
        upstream.end_streams()
        assert listener.answer.read() == b""
    with Listener(upstream) as listener:
        listener.event()
        upstream.drop_streams()
        with pytest.raises(http.client.IncompleteRead):
            listener.answer.read()
    with Listener(upstream) as listener:
        listener.event()
        upstream.drop_streams(reset=True)
        assert upstream.open_streams == 0
        with pytest.raises(ConnectionResetError):
            listener.answer.read()


def test_held_streams_are_answered_with_what_is_there_when_they_are_let_go(
    upstream: FakeUpstream,
) -> None:
    upstream.hold_streams()
    got: list[Any] = []

    def listen() -> None:
        with Listener(upstream) as listener:
            got.append(listener.event())

    thread = threading.Thread(target=listen)
    thread.start()
    upstream.wait_for_request("/all")
    assert (upstream.open_streams, upstream.requests[0].answered) == (0, None)
    upstream.put({"late": FLAG})
    upstream.release_streams()
    thread.join(5)
    assert list(got[0][1]["data"]["flags"]) == ["late"]


def test_a_client_that_goes_away_is_noticed(upstream: FakeUpstream) -> None:
    with Listener(upstream):
        upstream.wait_for_streams(1)
    upstream.wait_for_streams(0)
    upstream.wait_until(lambda: upstream.open_connections == 0)


# --- polls -------------------------------------------------------------------------------------


def test_a_poll_gets_everything_compressed_if_it_likes(upstream: FakeUpstream) -> None:
    assert json.loads(ask(upstream, "/sdk/latest-all").body) == DATA
    answer = ask(upstream, "/sdk/latest-all", Accept_Encoding="gzip, deflate")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(answer.body)) == DATA


def test_a_poll_that_knows_everything_is_told_so(upstream: FakeUpstream) -> None:
    etag = ask(upstream, "/sdk/latest-all").headers["ETag"]
    answer = ask(upstream, "/sdk/latest-all", If_None_Match=etag)
    assert (answer.status, answer.headers["ETag"], answer.body) == (304, etag, b"")
    upstream.patch("flags", {**FLAG, "version": 2})
    answer = ask(upstream, "/sdk/latest-all", If_None_Match=etag)
    assert (answer.status, answer.headers["ETag"] != etag) == (200, True)


def test_headers_are_added_to_streams_and_polls_only(upstream: FakeUpstream) -> None:
    upstream.headers = {"X-LD-EnvID": "env"}
    upstream.headers["X-More"] = "1"
    poll = ask(upstream, "/sdk/latest-all")
    assert (poll.headers["X-LD-EnvID"], poll.headers["X-More"]) == ("env", "1")
    assert ask(upstream, "/bulk", b"[]").headers["X-LD-EnvID"] is None
    with Listener(upstream) as listener:
        assert listener.answer.headers["X-LD-EnvID"] == "env"


def test_the_date_is_what_one_likes(upstream: FakeUpstream) -> None:
    assert ask(upstream, "/bulk", b"[]").headers["Date"].endswith("GMT")
    upstream.date = datetime(2024, 2, 29, 12, tzinfo=UTC)
    assert upstream.date.year == 2024
    assert ask(upstream, "/bulk", b"[]").headers["Date"] == "Thu, 29 Feb 2024 12:00:00 GMT"
    upstream.date = "yesterday"
    assert ask(upstream, "/bulk", b"[]").headers["Date"] == "yesterday"
    upstream.date = ""
    assert ask(upstream, "/bulk", b"[]").headers["Date"] is None


def test_who_has_another_key_is_not_let_in() -> None:
    with FakeUpstream(DATA, sdk_key="right") as upstream:
        assert ask(upstream, "/sdk/latest-all").status == 401
        assert ask(upstream, "/sdk/latest-all", Authorization="wrong").status == 401
        assert ask(upstream, "/sdk/latest-all", Authorization="right").status == 200


# --- what was received ---------------------------------------------------------------------------


def test_events_are_collected_from_what_was_accepted(upstream: FakeUpstream) -> None:
    upstream.respond("/bulk", Scripted(503))
    for number in range(3):
        body = json.dumps([{"kind": "index", "n": number}, {"kind": "custom"}]).encode()
        ask(upstream, "/bulk", gzip.compress(body), Content_Encoding="gzip")
    ask(upstream, "/bulk", b"no JSON")
    ask(upstream, "/diagnostic", b'{"kind":"diagnostic-init"}')
    assert [event["n"] for event in upstream.events("index")] == [1, 2]
    assert [len(payload) for payload in upstream.payloads()] == [2, 2, 0]
    assert len(upstream.events()) == 4
    assert upstream.diagnostics == [{"kind": "diagnostic-init"}]
    refused = upstream.requests_to("/bulk")[0]
    assert (refused.answered, refused.json()[0]["n"]) == (503, 0)
    assert gzip.decompress(refused.raw_body) == refused.body
    upstream.forget_requests()
    assert (upstream.requests, upstream.events()) == ([], [])


def test_requests_are_kept_as_they_came(upstream: FakeUpstream) -> None:
    before = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", upstream.port)
    for path in ("/nowhere?a=1&a=2&b=", "/sdk/latest-all"):
        connection.putrequest("GET", path)
        connection.putheader("X-Twice", "1")
        connection.putheader("x-twice", "2")
        connection.endheaders()
        connection.getresponse().read()
    connection.close()
    first, second = upstream.requests
    assert (first.method, first.path, first.answered) == ("GET", "/nowhere", 404)
    assert (first.query, first.headers["x-twice"]) == ({"a": "2", "b": ""}, "1, 2")
    assert first.head.startswith(b"GET /nowhere?a=1&a=2&b= HTTP/1.1\r\n")
    assert before < first.time < second.time
    assert first.connection == second.connection
    assert first.certificate is None


def test_the_key_is_not_shown(upstream: FakeUpstream) -> None:
    ask(upstream, "/bulk", b'["secret"]', Authorization="secret")
    assert "secret" not in repr(upstream.requests)


def test_bodies_may_come_in_chunks_and_after_a_question(upstream: FakeUpstream) -> None:
    with socket.create_connection(("127.0.0.1", upstream.port)) as client:
        client.sendall(
            b"POST http://elsewhere/bulk HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
            b"Expect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        assert client.recv(100).startswith(b"HTTP/1.1 100 ")
        client.sendall(b'2\r\n[{\r\n3;x=y\r\n"a"\r\n4\r\n:1}]\r\n0\r\nTrailer: 1\r\n\r\n')
        assert client.recv(100).startswith(b"HTTP/1.1 202 ")
    assert upstream.events() == [{"a": 1}]


@pytest.mark.parametrize("rubbish", [b"\x16\x03\x01\r\n\r\n", b"GET\r\n\r\n", b"half a he"])
def test_a_client_that_speaks_no_http_harms_nobody(upstream: FakeUpstream, rubbish: bytes) -> None:
    with socket.create_connection(("127.0.0.1", upstream.port)) as client:
        client.sendall(rubbish)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b""
    assert ask(upstream, "/sdk/latest-all").status == 200


# --- scripts -------------------------------------------------------------------------------------


def test_scripted_answers_are_given_once_each(upstream: FakeUpstream) -> None:
    upstream.respond("/sdk", Scripted(503), Scripted(200, {"X-A": "1"}, "text"))
    answers = [ask(upstream, "/sdk/latest-all") for _ in range(3)]
    assert [answer.status for answer in answers] == [503, 200, 200]
    assert (answers[1].headers["X-A"], answers[1].body) == ("1", b"text")
    assert json.loads(answers[2].body) == DATA


def test_an_answer_can_be_for_ever(upstream: FakeUpstream) -> None:
    upstream.always("/bulk", Scripted(429))
    upstream.respond("/bulk", Scripted(401))
    assert [ask(upstream, "/bulk", b"[]").status for _ in range(3)] == [401, 429, 429]
    assert ask(upstream, "/diagnostic", b"{}").status == 202
    upstream.always("/bulk", None)
    assert ask(upstream, "/bulk", b"[]").status == 202


def test_a_function_can_decide(upstream: FakeUpstream) -> None:
    def by_size(request: Request) -> Scripted | None:
        upstream.patch("flags", {**FLAG, "version": 9})  # it may use the upstream
        return Scripted(413) if len(request.body) > 5 else None

    upstream.always("/bulk", by_size)
    assert ask(upstream, "/bulk", b"[1,2,3]").status == 413
    assert ask(upstream, "/bulk", b"[]").status == 202


def test_a_function_that_fails_fails_the_test() -> None:
    def broken(_: Request) -> Scripted:
        raise ZeroDivisionError("my own mistake")

    def run() -> None:
        with FakeUpstream() as upstream:
            upstream.respond("/bulk", broken)
            assert ask(upstream, "/bulk", b"[]").status == 500
            with pytest.raises(UpstreamTimeout, match="a responder raised ZeroDivisionError"):
                upstream.wait_for_streams(1, timeout=0)

    with pytest.raises(ZeroDivisionError, match="my own mistake"):
        run()


def test_an_answer_can_be_late(upstream: FakeUpstream) -> None:
    upstream.respond("/sdk", Scripted(503, delay=0.05))
    start = time.monotonic()
    assert ask(upstream, "/sdk/latest-all").status == 503
    assert time.monotonic() - start >= 0.05


def test_a_redirect_can_have_no_end(upstream: FakeUpstream) -> None:
    upstream.always("/all", Scripted.redirect("/all", 307))
    with Listener(upstream) as listener:
        assert (listener.answer.status, listener.answer.headers["Location"]) == (307, "/all")
    upstream.always("/sdk", Scripted.redirect(upstream.uri + "/sdk/latest-all"))
    assert "infinite loop" in ask_reason(upstream, "/sdk/latest-all")


def ask_reason(upstream: FakeUpstream, path: str) -> str:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(upstream.uri + path, timeout=5)  # noqa: S310
    with caught.value:
        return str(caught.value)


def test_a_scripted_stream_stays_and_gets_what_follows(upstream: FakeUpstream) -> None:
    upstream.respond("/all", Scripted.stream("event: put\ndata: {}\n\n"))
    with Listener(upstream) as listener:
        assert listener.event() == ("put", {})
        upstream.patch("flags", FLAG)
        assert listener.event()[0] == "patch"


def test_half_an_event_and_the_connection_is_gone(upstream: FakeUpstream) -> None:
    upstream.respond("/all", Scripted.stream(b'event: put\ndata: {"pa', "cut"))
    with Listener(upstream) as listener:
        assert listener.answer.readline() == b"event: put\n"
        with pytest.raises(http.client.IncompleteRead) as caught:
            listener.answer.read()
        assert caught.value.partial == b'data: {"pa'
    assert upstream.open_streams == 0


def test_an_answer_can_come_byte_by_byte(upstream: FakeUpstream) -> None:
    upstream.respond("/sdk", Scripted(body="abcdef", behaviour="drip", interval=0.005, piece=2))
    connection = http.client.HTTPConnection("127.0.0.1", upstream.port)
    connection.request("GET", "/sdk/latest-all")
    answer = connection.getresponse()
    start = time.monotonic()
    assert [answer.read1() for _ in range(3)] == [b"ab", b"cd", b"ef"]
    assert time.monotonic() - start >= 0.009
    connection.close()


def test_a_stream_can_drip_for_ever(upstream: FakeUpstream) -> None:
    beats = Scripted.stream(lambda: repeat(b":\n"), "drip")
    upstream.respond("/all", beats)
    with Listener(upstream) as listener:
        assert listener.answer.read1(1) == b":"


def test_nothing_may_come_at_all(upstream: FakeUpstream) -> None:
    upstream.respond("/sdk", Scripted(behaviour="hang"), Scripted(behaviour="close"))
    upstream.respond("/sdk", Scripted(behaviour="reset"))
    client = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=0.05)
    client.request("GET", "/sdk/latest-all")
    with pytest.raises(TimeoutError):
        client.getresponse()
    client.close()
    for error in (http.client.RemoteDisconnected, ConnectionResetError):
        client = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=5)
        client.request("GET", "/sdk/latest-all")
        with pytest.raises(error) as caught:
            client.getresponse()
        assert caught.type is error
        client.close()
    assert [request.answered for request in upstream.requests] == [None, None, None]
    upstream.wait_until(lambda: upstream.open_connections == 0)


def test_a_large_body_is_never_in_memory(upstream: FakeUpstream) -> None:
    upstream.respond("/all", Scripted.large(100_000_000, start=b"data: "))
    tracemalloc.start()
    with Listener(upstream) as listener:
        assert listener.answer.headers["Content-Type"] == "text/event-stream"
        size = len(listener.answer.read(6))
        while part := listener.answer.read(500_000):
            size += len(part)
            assert part.count(b"x") == len(part)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == 100_000_000
    assert most < 5_000_000


def test_an_odd_status_and_no_body(upstream: FakeUpstream) -> None:
    upstream.respond("/sdk", Scripted(204), Scripted(299, {"Connection": "close"}))
    assert [ask(upstream, "/sdk/latest-all").status for _ in range(2)] == [204, 299]
    connection = http.client.HTTPConnection("127.0.0.1", upstream.port)
    connection.request("HEAD", "/all")
    assert connection.getresponse().status == 404
    connection.close()


# --- the whole server ----------------------------------------------------------------------------


def test_it_can_refuse_connections_and_come_back_on_the_same_port(upstream: FakeUpstream) -> None:
    idle = http.client.HTTPConnection("127.0.0.1", upstream.port)
    idle.request("GET", "/sdk/latest-all")
    idle.getresponse().read()
    with Listener(upstream) as listener:
        listener.event()
        upstream.stop_listening()
        upstream.stop_listening()
        with pytest.raises(urllib.error.URLError, match="refused"):
            ask(upstream, "/sdk/latest-all")
        assert idle.sock.recv(1) == b""
        upstream.patch("flags", FLAG)
        assert listener.event()[0] == "patch"
    idle.close()
    upstream.start_listening()
    upstream.start_listening()
    assert ask(upstream, "/sdk/latest-all").status == 200


def test_it_ends_whatever_is_open() -> None:
    with FakeUpstream() as upstream:
        upstream.respond("/sdk", Scripted(behaviour="hang"), Scripted(delay=60))
        upstream.respond("/bulk", Scripted(body="abc", behaviour="drip", interval=60))
        upstream.hold_streams()
        clients = [
            http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=5) for _ in range(4)
        ]
        for client, path in zip(
            clients, ("/sdk/latest-all", "/sdk/latest-all", "/bulk", "/all"), strict=True
        ):
            client.request("GET", path)
        upstream.wait_until(lambda: len(upstream.requests) == 4)
        start = time.monotonic()
    check_within(1, since=start)
    for client in clients:
        with pytest.raises((http.client.HTTPException, OSError)):
            client.getresponse().read()
        client.close()
    upstream.stop()
    with pytest.raises(RuntimeError, match="does not run"):
        upstream.send_raw(b"")


def knock(port: int, count: int = 3) -> list[socket.socket]:
    """Begin connections, and wait for none."""
    knocking = [socket.socket() for _ in range(count)]
    for sock in knocking:
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", port))
    return knocking


def leave(knocking: list[socket.socket]) -> None:
    """Close them, and let whatever was forgotten on the other side warn."""
    for sock in knocking:
        sock.close()
    gc.collect()


def test_who_comes_as_it_ends_leaves_nothing_behind() -> None:
    for _ in range(30):
        with FakeUpstream() as upstream:
            knocking = knock(upstream.port)
        leave(knocking)


def test_who_comes_as_it_begins_to_refuse_leaves_nothing_behind() -> None:
    with FakeUpstream() as upstream:
        for _ in range(30):
            knocking = knock(upstream.port)
            upstream.stop_listening()
            upstream.start_listening()
            leave(knocking)


def test_it_starts_once_and_can_start_again() -> None:
    upstream = FakeUpstream()
    upstream.put({"f": FLAG})
    with upstream:
        with pytest.raises(RuntimeError, match="already"):
            upstream.start()
        assert list(json.loads(ask(upstream, "/sdk/latest-all").body)["flags"]) == ["f"]
    with upstream:
        assert ask(upstream, "/sdk/latest-all").status == 200


def test_a_program_that_forgets_it_ends_all_the_same() -> None:
    program = (
        "from flagkeep.testing import FakeUpstream; import urllib.request as u\n"
        "up = FakeUpstream({'flags': {}}).start()\n"
        "s = u.urlopen(up.uri + '/all'); print(s.readline())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "b'event: put\\n'\n", "")


def test_a_fork_keeps_no_stream_open_and_cannot_stop_it() -> None:
    program = """
import http.client, os, urllib.request
from flagkeep.testing import FakeUpstream
with FakeUpstream({"flags": {}}) as upstream:
    stream = urllib.request.urlopen(upstream.uri + "/all", timeout=5)
    stream.readline()
    end, wait = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(wait)
        try:
            upstream.put({})
        except RuntimeError:
            upstream.stop()
            os.read(end, 1)
            os._exit(7)
        os._exit(1)
    upstream.put({})
    upstream.drop_streams()
    try:
        stream.read()
    except http.client.IncompleteRead:
        print("the stream is gone")
    os.close(wait)
    print("the child ended with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "the stream is gone\nthe child ended with 7\n"


def test_asyncio_is_imported_only_for_the_upstream() -> None:
    program = (
        "import sys; from flagkeep.testing import TestData; print('asyncio' in sys.modules);"
        "from flagkeep.testing import FakeUpstream; print('asyncio' in sys.modules)"
    )
    said = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert said.split() == ["False", "True"]


# --- waiting -------------------------------------------------------------------------------------


def test_what_did_not_happen_is_said_together_with_what_did(upstream: FakeUpstream) -> None:
    ask(upstream, "/bulk", b"[]")
    seen = "the upstream saw 1 x POST /bulk -> 202; open streams: 0$"
    with pytest.raises(UpstreamTimeout, match="fewer than 2 requests to /bulk within 0 s; " + seen):
        upstream.wait_for_request("/bulk", 2, timeout=0)
    with pytest.raises(UpstreamTimeout, match="not 1 open streams within 0 s; " + seen):
        upstream.wait_for_streams(1, timeout=0)
    with pytest.raises(UpstreamTimeout, match="fewer than 1 events of kind index within 0 s"):
        upstream.wait_for_events("index", timeout=0)
    with pytest.raises(AssertionError, match=r"no peace within 0\.01 s; " + seen):
        upstream.wait_until(lambda: False, 0.01, what="no peace")


def test_waiting_ends_when_it_happens(upstream: FakeUpstream) -> None:
    later = threading.Timer(0.02, ask, (upstream, "/bulk", b'[{"kind":"index"}]'))
    later.start()
    assert upstream.wait_for_request("/bulk").method == "POST"
    assert upstream.wait_for_events("index") == [{"kind": "index"}]
    later.join()


async def test_waiting_in_an_event_loop_lets_others_run() -> None:
    async with AsyncFakeUpstream(DATA) as upstream:
        import asyncio  # noqa: PLC0415

        reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
        writer.write(b"GET /all HTTP/1.1\r\n\r\n")
        request = await upstream.wait_for_request("/all")
        await upstream.wait_for_streams(1)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.write(b"")
        writer.close()
        await upstream.wait_for_streams(0)
        await upstream.wait_until(lambda: request.answered == 200)
        with pytest.raises(UpstreamTimeout, match="fewer than 1 events"):
            await upstream.wait_for_events(timeout=0.01)


# --- documentation ------------------------------------------------------------------------------


def test_everything_it_can_do_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
    public = [AsyncFakeUpstream, Scripted, Request, UpstreamTimeout]
    names = {name for one in public for name in vars(one) if not name.startswith("_")}
    names |= {name for name in dir(FakeUpstream) if not name.startswith("_")}
    names |= {one.__name__ for one in public}
    names -= {"add_note", "with_traceback", "args", "parts"}
    assert {name for name in names if not re.search(rf"\b{name}\b", page)} == set()
