"""Streams: pieces as they arrive, silence, and an end at once from any thread."""

import gzip
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
import trustme

from flagkeep.errors import UpstreamUnavailable
from tests.limits import check_within
from tests.runtime.http_colours import AnyStream, Maker, problem_of
from tests.servers.certificates import server_context
from tests.servers.raw import OK, Answer, Holds, RawServer, drips, says
from tests.servers.server import LOOPBACK

HEAD = OK + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
PROMPTLY = 0.25  # it is 1 ms; the machine may be busy with other tests


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def test_pieces_are_read_as_they_arrive(new_http: Maker) -> None:
    wire = (HEAD, chunk(b"one"), chunk(b"two"), chunk(b""))
    with RawServer(says(*wire, every=0.05)) as server:
        stream = new_http().stream(server.url, {"accept": "text/event-stream"}, silence=5)
        assert stream.status == 0
        stream.open()
        assert stream.status == 200
        assert stream.headers["content-type"] == "text/event-stream"
        assert [stream.read() for _ in range(4)] == [b"one", b"two", b"", b""]
        stream.close()
        assert b"accept: text/event-stream" in server.heads[0]


def test_stream_that_breaks_off_is_an_error(new_http: Maker) -> None:
    with RawServer(says(HEAD, chunk(b"one"))) as server:
        stream = new_http().stream(server.url, {}, silence=5)
        stream.open()
        assert stream.read() == b"one"
        with pytest.raises(UpstreamUnavailable, match="cut off"):
            stream.read()
        stream.close()


def test_silence_ends_a_stream(new_http: Maker) -> None:
    with RawServer(Holds(HEAD, chunk(b"one"))) as server:
        stream = new_http(read_timeout=0.01).stream(server.url, {}, silence=0.3)
        stream.open()
        assert stream.read() == b"one"
        with pytest.raises(UpstreamUnavailable, match=r"nothing came for 0\.3 s"):
            stream.read()
        stream.close()


def test_stream_outlives_the_read_timeout_of_requests(new_http: Maker) -> None:
    with RawServer(says(HEAD, chunk(b"one"), every=0.1)) as server:
        stream = new_http(read_timeout=0.01).stream(server.url, {}, silence=5)
        stream.open()
        assert stream.read() == b"one"
        stream.close()


def test_head_that_drips_in_ends(new_http: Maker) -> None:
    with RawServer(drips(OK + b"X-Endless: ", every=0.01)) as server:
        stream = new_http(connect_timeout=0.1).stream(server.url, {}, silence=0.1)
        with pytest.raises(UpstreamUnavailable, match="no complete answer"):
            stream.open()
        stream.close()


def test_compressed_stream_is_unpacked(new_http: Maker) -> None:
    head = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
    data = b"x" * 5_000_000
    with RawServer(says(head, chunk(gzip.compress(data)), chunk(b""))) as server:
        stream = new_http().stream(server.url, {}, silence=5)
        stream.open()
        pieces = []
        while piece := stream.read():
            pieces.append(piece)
        assert b"".join(pieces) == data
        assert max(map(len, pieces)) <= 1 << 20
        stream.close()


def test_redirects_of_a_stream_are_followed_three_times(new_http: Maker) -> None:
    moved = b"HTTP/1.1 307 Moved\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"
    with RawServer(says(moved), says(moved), says(moved), Holds(HEAD)) as server:
        stream = new_http().stream(server.url, {}, silence=5)
        stream.open()
        assert stream.status == 200
        stream.close()
    with RawServer(says(moved)) as server:
        stream = new_http().stream(server.url, {}, silence=5)
        stream.open()
        assert (stream.status, len(server.heads)) == (307, 4)
        stream.close()


def test_large_event_is_read_fast(new_http: Maker) -> None:
    """11 MB take about 20 ms when nothing else runs."""
    size = 11_000_000
    with RawServer(says(HEAD, chunk(b"x" * size), chunk(b""))) as server:
        stream = new_http().stream(server.url, {}, silence=5)
        stream.open()
        began, got = time.monotonic(), 0
        while piece := stream.read():
            got += len(piece)
        assert got == size
        check_within(2, since=began)
        stream.close()


# --- stop ---------------------------------------------------------------------------------------


def stop_while(stream: AnyStream, wait: Callable[[], object], *, after: threading.Event) -> float:
    """Return how long `wait` goes on after the stream is stopped by another thread."""
    times: list[float] = []

    def stop() -> None:
        after.wait(5)
        time.sleep(0.02)  # until `wait` has come to wait
        times.append(time.monotonic())
        stream.stop()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(UpstreamUnavailable, match="closed by this side"):
        wait()
    ended = time.monotonic()
    thread.join()
    return ended - times[0]


def test_stop_ends_a_read_and_the_connection(new_http: Maker) -> None:
    held = Holds(HEAD)
    with RawServer(held) as server:
        stream = new_http().stream(server.url, {}, silence=60)
        stream.open()
        assert stop_while(stream, stream.read, after=held.is_sent) < PROMPTLY
        assert held.is_ended.wait(1)
        stream.close()


def test_stop_closes_the_connection_while_nobody_reads(new_http: Maker) -> None:
    held = Holds(HEAD)
    with RawServer(held) as server:
        stream = new_http().stream(server.url, {}, silence=60)
        stream.open()
        stream.stop()
        assert held.is_ended.wait(1)
        stream.close()


def test_stop_ends_waiting_for_the_head(new_http: Maker) -> None:
    held = Holds(OK)
    with RawServer(held) as server:
        stream = new_http().stream(server.url, {}, silence=60)
        assert stop_while(stream, stream.open, after=held.is_sent) < PROMPTLY
        stream.close()
        assert held.is_ended.wait(1)


def test_stop_ends_connecting(new_http: Maker) -> None:
    """The queue of the listener is full, so that the kernel does not answer."""
    now = threading.Event()
    now.set()
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = []
        for _ in range(4):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex((LOOPBACK, port))
            waiting.append(sock)
        stream = new_http().stream(f"http://{LOOPBACK}:{port}/", {}, silence=60)
        assert stop_while(stream, stream.open, after=now) < PROMPTLY
        stream.close()
        http = new_http(connect_timeout=0.1)
        assert "no connection within 0.1 s" in problem_of(http, f"http://{LOOPBACK}:{port}/")
        for sock in waiting:
            sock.close()


def test_stop_ends_a_tls_handshake(new_http: Maker) -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        is_connected = threading.Event()
        accepted: list[socket.socket] = []

        def accept() -> None:
            accepted.append(listener.accept()[0])
            is_connected.set()

        thread = threading.Thread(target=accept)
        thread.start()
        stream = new_http(verify=False).stream(f"https://{LOOPBACK}:{port}/", {}, silence=60)
        assert stop_while(stream, stream.open, after=is_connected) < PROMPTLY
        stream.close()
        thread.join()
        accepted[0].close()


def test_handshake_that_drips_in_ends_at_the_connect_timeout(new_http: Maker) -> None:
    """Each byte of a TLS record comes in time, and all of them never do."""

    def serve() -> None:
        sock, _ = listener.accept()
        with sock, suppress(OSError):
            sock.sendall(b"\x16\x03\x03\x40\x00")
            while True:
                sock.sendall(b"\0")
                time.sleep(0.02)

    with socket.create_server((LOOPBACK, 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        http = new_http(verify=False, connect_timeout=0.2)
        began = time.monotonic()
        assert "no agreement on TLS within 0.2 s" in problem_of(
            http, f"https://{LOOPBACK}:{listener.getsockname()[1]}/"
        )
        check_within(1, since=began)
        thread.join()


def test_stop_ends_an_encrypted_read(new_http: Maker) -> None:
    held = Holds(HEAD)
    with RawServer(held, tls=server_context(trustme.CA(), LOOPBACK)) as server:
        stream = new_http(verify=False).stream(server.url, {}, silence=60)
        stream.open()
        assert stop_while(stream, stream.read, after=held.is_sent) < PROMPTLY
        assert held.is_ended.wait(1)
        stream.close()


def test_stream_that_was_stopped_before_does_not_open(new_http: Maker) -> None:
    with RawServer(Holds(HEAD)) as server:
        stream = new_http().stream(server.url, {}, silence=60)
        stream.stop()
        with pytest.raises(UpstreamUnavailable, match="closed by this side"):
            stream.open()
        stream.close()
        stream.stop()
        assert not server.heads


def test_close_ends_a_request_that_is_under_way(new_http: Maker) -> None:
    held: Answer = Holds(OK)
    with RawServer(held) as server:
        http = new_http()
        problems: list[str] = []

        def ask() -> None:
            with pytest.raises(UpstreamUnavailable) as caught:
                http.request("GET", server.url, {})
            problems.append(caught.value.reason)

        thread = threading.Thread(target=ask)
        thread.start()
        assert isinstance(held, Holds)
        held.is_sent.wait(5)
        http.close()
        thread.join(1)
        assert problems == ["the connection was closed by this side"]
        assert held.is_ended.wait(1)


def test_close_leaves_streams_alone(new_http: Maker) -> None:
    with RawServer(says(HEAD, chunk(b"one"), chunk(b"two"), every=0.1)) as server:
        http = new_http()
        stream = http.stream(server.url, {}, silence=5)
        stream.open()
        http.close()
        assert [stream.read() for _ in range(2)] == [b"one", b"two"]
        stream.close()
