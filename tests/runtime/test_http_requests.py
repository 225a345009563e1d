"""Whole requests: what is sent, what comes back, and what is not waited or held for."""

import gzip
import socket
import threading
import time
import zlib

import pytest

from flagkeep.errors import UpstreamUnavailable
from tests.limits import check_within
from tests.runtime.http_colours import Maker, problem_of
from tests.servers.raw import OK, Holds, RawServer, drips, says
from tests.servers.server import free_port

EMPTY = OK + b"Content-Length: 0\r\n\r\n"


def body_of(data: bytes, *headers: bytes) -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return OK + lines + b"Content-Length: %d\r\n\r\n" % len(data) + data


def moved(target: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Moved\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode()


def test_answer_has_status_headers_in_lower_case_and_body(new_http: Maker) -> None:
    wire = b"HTTP/1.1 418 Tea\r\nX-One: 1\r\nVary: a\r\nVARY: b\r\nContent-Length: 2\r\n\r\nhi"
    with RawServer(says(wire)) as server:
        answer = new_http().request("GET", server.url, {})
    assert (answer.status, answer.body) == (418, b"hi")
    assert answer.headers == {"x-one": "1", "vary": "a, b", "content-length": "2"}


def test_request_is_sent_as_it_was_given(new_http: Maker) -> None:
    with RawServer(says(EMPTY)) as server:
        url = f"{server.url}a b/c?filter=x%20y&q=1"
        new_http().request("POST", url, {"X-Key": "secret"}, b"payload")
        head = server.heads[0].decode()
    line, *lines = head.split("\r\n\r\n")[0].split("\r\n")
    assert line == "POST /a%20b/c?filter=x%20y&q=1 HTTP/1.1"
    assert lines == [f"host: 127.0.0.1:{server.port}", "x-key: secret", "content-length: 7"]


def test_connection_is_used_again(new_http: Maker) -> None:
    kept = Holds(EMPTY)

    def twice(sock: socket.socket) -> None:
        says(EMPTY)(sock)
        sock.recv(65_536)
        kept(sock)

    with RawServer(twice) as server:
        http = new_http()
        for _ in range(2):
            assert http.request("GET", server.url, {}).status == 200
        assert len(server.heads) == 1


def test_server_that_closed_an_idle_connection_is_asked_again(new_http: Maker) -> None:
    def until_asked_again(sock: socket.socket) -> None:
        says(EMPTY)(sock)
        sock.recv(1)

    with RawServer(until_asked_again, says(EMPTY)) as server:
        http = new_http()
        for _ in range(2):
            assert http.request("POST", server.url, {}, b"x").status == 200
        assert len(server.heads) == 2


def test_request_that_a_new_connection_broke_is_not_sent_again(new_http: Maker) -> None:
    with RawServer(says()) as server:
        with pytest.raises(UpstreamUnavailable, match="cut off"):
            new_http().request("POST", server.url, {}, b"x")
        assert len(server.heads) == 1


# --- redirects ----------------------------------------------------------------------------------


def test_redirects_are_followed(new_http: Maker) -> None:
    with RawServer(says(moved("/b", 301)), says(moved("c?d#e", 308)), says(EMPTY)) as server:
        assert new_http().request("GET", server.url, {"Authorization": "key"}).status == 200
        lines = [head.split(b" ")[1] for head in server.heads]
        assert lines == [b"/", b"/b", b"/c?d"]
        assert all(b"authorization: key" in head for head in server.heads)


def test_redirect_loop_ends_after_three(new_http: Maker) -> None:
    with RawServer(says(moved("/"))) as server:
        assert new_http().request("GET", server.url, {}).status == 302
        assert len(server.heads) == 4


def test_another_server_does_not_learn_the_key(new_http: Maker) -> None:
    with RawServer(says(EMPTY)) as other, RawServer(says(moved(other.url))) as server:
        headers = {"Authorization": "key", "X-Kept": "1"}
        assert new_http().request("GET", server.url, headers).status == 200
        assert b"x-kept: 1" in other.heads[0]
        assert b"key" not in other.heads[0]


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/x", "file:///etc/passwd", "http://"])
def test_redirect_that_leads_nowhere_is_the_answer(new_http: Maker, target: str) -> None:
    with RawServer(says(moved(target))) as server:
        assert new_http().request("GET", server.url, {}).status == 302


def test_post_is_not_redirected(new_http: Maker) -> None:
    with RawServer(says(moved("/b"))) as server:
        assert new_http().request("POST", server.url, {}, b"x").status == 302
        assert len(server.heads) == 1


# --- compressed answers -------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"x-gzip"])
def test_compressed_answer_is_unpacked(new_http: Maker, encoding: bytes) -> None:
    data = b"flags " * 100_000
    packed = zlib.compress(data) if encoding == b"deflate" else gzip.compress(data, mtime=0)
    with RawServer(says(body_of(packed, b"Content-Encoding: " + encoding))) as server:
        assert new_http().request("GET", server.url, {}).body == data


def test_gzip_files_one_after_the_other_are_one_answer(new_http: Maker) -> None:
    packed = gzip.compress(b"one", mtime=0) + gzip.compress(b"two")
    with RawServer(says(body_of(packed, b"Content-Encoding: gzip"))) as server:
        assert new_http().request("GET", server.url, {}).body == b"onetwo"


def test_small_answer_that_unpacks_to_a_huge_one_is_refused(new_http: Maker) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000, mtime=0)
    with RawServer(says(body_of(bomb, b"Content-Encoding: gzip"))) as server:
        http = new_http(max_response_bytes=1_000_000)
        assert "more than 1000000 bytes" in problem_of(http, server.url)


@pytest.mark.parametrize(
    ("packed", "encoding", "problem"),
    [
        (gzip.compress(b"x" * 1000, mtime=0)[:-10], b"gzip", "cut off"),
        (b"this is no gzip", b"gzip", "damaged"),
        (b"x", b"br", "not asked for"),
    ],
)
def test_answer_that_cannot_be_unpacked_is_an_error(
    new_http: Maker, packed: bytes, encoding: bytes, problem: str
) -> None:
    with RawServer(says(body_of(packed, b"Content-Encoding: " + encoding))) as server:
        assert problem in problem_of(new_http(), server.url)


def test_compressed_answer_of_no_bytes_is_empty(new_http: Maker) -> None:
    with RawServer(says(body_of(b"", b"Content-Encoding: gzip"))) as server:
        assert new_http().request("GET", server.url, {}).body == b""


# --- too much, too slow, too little -------------------------------------------------------------


def test_endless_body_ends_at_the_limit(new_http: Maker) -> None:
    def endless(sock: socket.socket) -> None:
        says(OK + b"\r\n")(sock)
        while True:
            sock.sendall(b"x" * 65_536)

    with RawServer(endless) as server:
        assert "more than 1000000 bytes" in problem_of(
            new_http(max_response_bytes=1_000_000), server.url
        )


def test_endless_head_ends_at_a_limit(new_http: Maker) -> None:
    def endless(sock: socket.socket) -> None:
        says(OK)(sock)
        while True:
            sock.sendall(b"X-Many: " + b"x" * 65_536)

    with RawServer(endless) as server:
        assert "HTTP/1.1" in problem_of(new_http(), server.url)


def test_announced_length_beyond_the_limit_is_refused_at_once(new_http: Maker) -> None:
    with RawServer(Holds(OK + b"Content-Length: 999999999999\r\n\r\n")) as server:
        assert "more than 1000 bytes" in problem_of(new_http(max_response_bytes=1000), server.url)


@pytest.mark.parametrize("start", [b"", OK, OK + b"\r\n"], ids=["nothing", "head", "body"])
def test_answer_that_drips_in_ends_at_the_timeout(new_http: Maker, start: bytes) -> None:
    with RawServer(drips(start, every=0.02)) as server:
        began = time.monotonic()
        assert "within 0.2 s" in problem_of(new_http(), server.url, timeout=0.2)
        check_within(1, since=began)


def test_body_that_stops_coming_ends_at_the_read_timeout(new_http: Maker) -> None:
    with RawServer(Holds(OK + b"Content-Length: 10\r\n\r\nhalf")) as server:
        assert "nothing came for 0.1 s" in problem_of(new_http(read_timeout=0.1), server.url)


def test_server_that_takes_nothing_in_ends_at_the_read_timeout(new_http: Maker) -> None:
    is_over = threading.Event()

    def takes_nothing(_: socket.socket) -> None:
        is_over.wait(10)

    with RawServer(takes_nothing) as server:
        http = new_http(read_timeout=0.1)
        with pytest.raises(UpstreamUnavailable, match="too long"):
            http.request("POST", server.url, {}, b"x" * 20_000_000)
        is_over.set()


@pytest.mark.parametrize(
    "wire",
    [
        OK + b"Content-Length: 10\r\n\r\nhalf",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhalf",
        OK + b"Content-Le",
        b"",
    ],
    ids=["length", "chunk", "head", "nothing"],
)
def test_answer_that_is_cut_off_is_an_error(new_http: Maker, wire: bytes) -> None:
    with RawServer(says(wire)) as server:
        assert "cut off" in problem_of(new_http(), server.url)


def test_more_than_was_announced_is_no_part_of_the_answer(new_http: Maker) -> None:
    with RawServer(says(body_of(b"four") + b"and more")) as server:
        http = new_http()
        assert [http.request("GET", server.url, {}).body for _ in range(2)] == [b"four", b"four"]


@pytest.mark.parametrize("wire", [b"220 smtp ready\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x28"])
def test_what_is_no_http_is_an_error(new_http: Maker, wire: bytes) -> None:
    with RawServer(says(wire)) as server:
        assert "does not answer in HTTP" in problem_of(new_http(), server.url)


# --- no server ----------------------------------------------------------------------------------


def test_refused_connection_says_what_to_look_at(new_http: Maker) -> None:
    url = f"http://user:secret@127.0.0.1:{free_port()}/path?key=secret"
    with pytest.raises(UpstreamUnavailable, match="refused: does it run") as caught:
        new_http().request("GET", url, {"authorization": "secret"})
    assert "secret" not in str(caught.value)
    assert caught.value.server == f"http://127.0.0.1:{url.rpartition(':')[2].partition('/')[0]}"


def test_name_that_cannot_be_looked_up_says_so(new_http: Maker) -> None:
    assert "cannot be looked up" in problem_of(new_http(), "http://nowhere.invalid/")


@pytest.mark.parametrize("url", ["http://a b:x/", "http:///x", "nothing", "http://[::1/"])
def test_what_is_no_url_is_an_error(new_http: Maker, url: str) -> None:
    with pytest.raises(UpstreamUnavailable):
        new_http().request("GET", url, {})


def test_header_that_cannot_be_sent_is_not_shown(new_http: Maker) -> None:
    http, headers = new_http(), {"authorization": "secret\r\nx: y"}
    with RawServer(says(EMPTY)) as server, pytest.raises(UpstreamUnavailable) as caught:
        http.request("GET", server.url, headers)
    assert "a header of the request" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_all_addresses_of_a_name_are_tried(new_http: Maker) -> None:
    """`localhost` is often ::1 first, where nothing listens here."""
    with RawServer(says(EMPTY)) as server:
        url = f"http://localhost:{server.port}/"
        assert new_http().request("GET", url, {}).status == 200


def test_nothing_is_sent_after_close(new_http: Maker) -> None:
    with RawServer(says(EMPTY)) as server:
        http = new_http()
        http.close()
        assert "closed by this side" in problem_of(http, server.url)
        assert not server.heads
