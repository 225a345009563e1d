"""The fake upstream over TLS: good and expired certificates, and those of clients."""

import gc
import http.client
import socket
import ssl
import threading
import time
from datetime import UTC, datetime

import pytest
import trustme

from flagkeep.testing import FakeUpstream
from tests.limits import check_within

DATA = {"flags": {"f": {"key": "f", "version": 1}}}
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_tls(authority: trustme.CA, until: datetime | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    since = None if until is None else until.replace(year=until.year - 1)
    issued = authority.issue_cert("127.0.0.1", not_before=since, not_after=until)
    issued.configure_cert(context)
    return context


def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def connect(upstream: FakeUpstream, tls: ssl.SSLContext) -> http.client.HTTPSConnection:
    return http.client.HTTPSConnection("127.0.0.1", upstream.port, timeout=5, context=tls)


def poll(client: http.client.HTTPSConnection) -> int:
    client.request("GET", "/sdk/latest-all")
    return client.getresponse().status


def test_streams_and_polls_go_over_tls(authority: trustme.CA) -> None:
    with FakeUpstream(DATA, tls=server_tls(authority)) as upstream:
        assert upstream.uri == f"https://127.0.0.1:{upstream.port}"
        polling, streaming = (connect(upstream, client_tls(authority)) for _ in range(2))
        polling.request("GET", "/sdk/latest-all")
        assert (
            polling.getresponse().read() == b'{"flags":{"f":{"key":"f","version":1}},"segments":{}}'
        )
        streaming.request("GET", "/all")
        stream = streaming.getresponse()
        assert stream.readline() == b"event: put\n"
        upstream.patch("flags", {"key": "f", "version": 2})
        assert [stream.readline() for _ in range(3)][2] == b"event: patch\n"
        upstream.drop_streams()
        with pytest.raises((http.client.IncompleteRead, OSError)):
            stream.read()
        polling.close()
        streaming.close()


def test_both_directions_are_busy_at_once(authority: trustme.CA) -> None:
    """Streams that end while others are written to: nobody waits for anybody."""
    with FakeUpstream(DATA, tls=server_tls(authority)) as upstream:

        def come_and_go() -> None:
            for _ in range(5):
                client = connect(upstream, client_tls(authority))
                client.request("GET", "/all")
                assert client.getresponse().readline() == b"event: put\n"
                client.close()

        threads = [threading.Thread(target=come_and_go) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            upstream.send_raw(b":\n" * 1000)
            time.sleep(0)
        assert len(upstream.requests_to("/all")) == 20
        upstream.wait_for_streams(0)


def test_a_certificate_can_have_expired(authority: trustme.CA) -> None:
    with FakeUpstream(tls=server_tls(authority, until=LONG_AGO)) as upstream:
        client = connect(upstream, client_tls(authority))
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
            client.request("GET", "/all")
        client.close()
        assert upstream.requests == []


def test_a_client_that_speaks_no_tls_harms_nobody(authority: trustme.CA) -> None:
    with FakeUpstream(tls=server_tls(authority)) as upstream:
        plain = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=5)
        plain.request("GET", "/all")
        with pytest.raises((http.client.HTTPException, OSError)):
            plain.getresponse()
        plain.close()
        client = connect(upstream, client_tls(authority))
        assert poll(client) == 200
        client.close()


def test_the_certificate_of_a_client_is_remembered(authority: trustme.CA) -> None:
    tls = server_tls(authority)
    authority.configure_trust(tls)
    tls.verify_mode = ssl.CERT_REQUIRED
    mine = client_tls(authority)
    authority.issue_cert("client@example.com").configure_cert(mine)
    with FakeUpstream(tls=tls) as upstream:
        client = connect(upstream, mine)
        assert poll(client) == 200
        client.close()
        certificate = upstream.requests[0].certificate
        assert certificate is not None
        assert ("email", "client@example.com") in certificate["subjectAltName"]
        stranger = connect(upstream, client_tls(authority))
        with pytest.raises((OSError, http.client.HTTPException)):
            poll(stranger)
        stranger.close()
        assert len(upstream.requests) == 1


def test_it_ends_in_the_midst_of_a_handshake(authority: trustme.CA) -> None:
    for _ in range(10):
        with socket.socket() as client:
            with FakeUpstream(tls=server_tls(authority)) as upstream:
                client.connect(("127.0.0.1", upstream.port))
                began = time.monotonic()
            check_within(1, since=began)
        gc.collect()
