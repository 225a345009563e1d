"""Whom we trust, who we are, and what is said where that does not fit."""

import re
import socket
from pathlib import Path

import pytest
import trustme

from flagkeep.config import HttpSettings
from flagkeep.errors import ConfigError
from tests.runtime.http_colours import AnyHttp, Maker, problem_of
from tests.servers.certificates import expired, nameless_context, server_context, write_certificates
from tests.servers.raw import OK, RawServer, says
from tests.servers.server import LOOPBACK

EMPTY = OK + b"Content-Length: 0\r\n\r\n"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return str(tmp_path / "ca.pem")


def problem_at(http: AnyHttp, server: RawServer, host: str = LOOPBACK) -> str:
    return problem_of(http, f"https://{host}:{server.port}/")


def status_at(http: AnyHttp, server: RawServer, host: str = LOOPBACK) -> int:
    return http.request("GET", f"https://{host}:{server.port}/", {}).status


def test_authority_of_ones_own_is_trusted(
    new_http: Maker, authority: trustme.CA, ca_file: str
) -> None:
    with RawServer(says(EMPTY), tls=server_context(authority, LOOPBACK)) as server:
        assert status_at(new_http(ca_file=ca_file), server) == 200


def test_certificate_with_a_common_name_only_is_trusted(
    new_http: Maker, authority: trustme.CA, ca_file: str, tmp_path: Path
) -> None:
    tls = nameless_context(authority, "localhost", tmp_path)
    with RawServer(says(EMPTY), tls=tls) as server:
        assert status_at(new_http(ca_file=ca_file), server, "localhost") == 200


def test_unknown_authority_is_refused(new_http: Maker, authority: trustme.CA) -> None:
    with RawServer(says(EMPTY), tls=server_context(authority, LOOPBACK)) as server:
        assert "give the authority's certificate as ca_file" in problem_at(new_http(), server)
        assert not server.heads


def test_unknown_authority_is_accepted_where_nothing_is_verified(
    new_http: Maker, authority: trustme.CA
) -> None:
    tls = server_context(authority, "other.example.com", **expired())
    with RawServer(says(EMPTY), tls=tls) as server:
        assert status_at(new_http(verify=False), server) == 200


def test_expired_certificate_says_so(new_http: Maker, authority: trustme.CA, ca_file: str) -> None:
    with RawServer(says(EMPTY), tls=server_context(authority, LOOPBACK, **expired())) as server:
        assert "has expired" in problem_at(new_http(ca_file=ca_file), server)


def test_certificate_for_another_name_says_so(
    new_http: Maker, authority: trustme.CA, ca_file: str
) -> None:
    with RawServer(says(EMPTY), tls=server_context(authority, "localhost")) as server:
        http = new_http(ca_file=ca_file)
        assert "for another name" in problem_at(http, server, LOOPBACK)
        assert status_at(http, server, "localhost") == 200


def test_own_certificate_is_shown_in_both_colours(
    new_http: Maker, authority: trustme.CA, ca_file: str, tmp_path: Path
) -> None:
    """FIX (data-sources.md 9): the official sync client ignores its client certificate."""
    ours = authority.issue_cert("client@example.com")
    both, alone, key = tmp_path / "both.pem", tmp_path / "cert.pem", tmp_path / "key.pem"
    ours.private_key_and_cert_chain_pem.write_to_path(both)
    ours.cert_chain_pems[0].write_to_path(alone)
    ours.private_key_pem.write_to_path(key)
    tls = server_context(authority, LOOPBACK, wants_certificate=True)
    with RawServer(says(EMPTY), tls=tls) as server:
        assert status_at(new_http(ca_file=ca_file, cert_file=both), server) == 200
        assert status_at(new_http(ca_file=ca_file, cert_file=alone, key_file=key), server) == 200
        assert "cert_file and key_file" in problem_at(new_http(ca_file=ca_file), server)


def test_files_that_cannot_work_are_refused_at_once(new_http: Maker, tmp_path: Path) -> None:
    write_certificates(tmp_path)
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("nothing")
    with pytest.raises(ConfigError, match="ca_file"):
        new_http(ca_file=nothing)
    with pytest.raises(ConfigError, match="cert_file, key_file and key_password"):
        new_http(cert_file=tmp_path / "client.pem", key_file=tmp_path / "server.key")
    with pytest.raises(ConfigError, match="cert_file, key_file and key_password"):
        new_http(cert_file=tmp_path / "client.pem")


def test_server_without_tls_says_so(new_http: Maker) -> None:
    with RawServer(says(EMPTY)) as server:
        assert "does not speak TLS" in problem_at(new_http(verify=False), server)


def test_server_that_wants_tls_says_so(new_http: Maker, authority: trustme.CA) -> None:
    with RawServer(says(EMPTY), tls=server_context(authority, LOOPBACK)) as server:
        problem = problem_of(new_http(), server.url.replace("https", "http"))
        assert "broke" in problem or "cut off" in problem


def test_large_bodies_are_whole_when_encrypted(
    new_http: Maker, authority: trustme.CA, ca_file: str
) -> None:
    data = bytes(range(256)) * 20_000
    received: list[bytes] = []

    def echo(sock: socket.socket) -> None:
        size = int(re.search(rb"content-length: (\d+)", server.heads[0])[1])  # type: ignore[index]  # it is there
        body = server.heads[0].partition(b"\r\n\r\n")[2]
        while len(body) < size:
            body += sock.recv(65_536)
        received.append(body)
        sock.sendall(OK + b"Content-Length: %d\r\n\r\n" % size + body)

    with RawServer(echo, tls=server_context(authority, LOOPBACK)) as server:
        http = new_http(ca_file=ca_file)
        assert http.request("POST", server.url, {}, data).body == data
        assert received == [data]


def test_settings_show_no_password() -> None:
    settings = HttpSettings(proxy="http://user:secret@127.0.0.1:1", key_password="secret")
    assert "secret" not in repr(settings)
