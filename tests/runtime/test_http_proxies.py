"""HTTP proxies, as the settings or the environment name them."""

from pathlib import Path

import pytest
import trustme

from flagkeep.errors import UpstreamUnavailable
from tests.runtime.http_colours import Maker, problem_of
from tests.servers.certificates import server_context
from tests.servers.http_proxy import HttpProxy
from tests.servers.raw import OK, Holds, RawServer, says
from tests.servers.server import LOOPBACK, free_port

EMPTY = OK + b"Content-Length: 0\r\n\r\n"
ANY = "0.0.0.0"  # noqa: S104  this machine, but not loopback by its number


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return str(tmp_path / "ca.pem")


def test_proxy_with_user_and_password_passes_http_on(new_http: Maker) -> None:
    with HttpProxy("me@x", "p:ss/") as proxy, RawServer(says(EMPTY)) as server:
        http = new_http(proxy=f"http://me%40x:p%3Ass%2F@{LOOPBACK}:{proxy.port}")
        url = f"{server.url}path?q=1"
        assert http.request("GET", url, {"authorization": "key"}).status == 200
        assert proxy.asked == [f"GET {url} HTTP/1.1"]
        assert b"authorization: key" in server.heads[0]


def test_proxy_with_user_and_password_passes_https_on(
    new_http: Maker, authority: trustme.CA, ca_file: str
) -> None:
    tls = server_context(authority, LOOPBACK)
    with HttpProxy("me", "secret") as proxy, RawServer(says(EMPTY), tls=tls) as server:
        http = new_http(proxy=f"http://me:secret@{LOOPBACK}:{proxy.port}", ca_file=ca_file)
        assert http.request("GET", server.url, {}).status == 200
        assert proxy.asked == [f"CONNECT {LOOPBACK}:{server.port} HTTP/1.1"]
        assert b"roxy-" not in server.heads[0]


def test_proxy_that_is_reached_by_tls_passes_https_on(
    new_http: Maker, authority: trustme.CA, ca_file: str
) -> None:
    tls = server_context(authority, LOOPBACK)
    with HttpProxy(tls=tls) as proxy, RawServer(says(EMPTY), tls=tls) as server:
        http = new_http(proxy=f"https://{LOOPBACK}:{proxy.port}", ca_file=ca_file)
        assert http.request("GET", server.url, {}).status == 200
        assert proxy.asked == [f"CONNECT {LOOPBACK}:{server.port} HTTP/1.1"]


def test_stream_goes_through_the_proxy_and_is_stopped(new_http: Maker) -> None:
    held = Holds(OK + b"\r\none")
    with HttpProxy() as proxy, RawServer(held) as server:
        stream = new_http(proxy=f"http://{LOOPBACK}:{proxy.port}").stream(server.url, {}, silence=5)
        stream.open()
        assert stream.read() == b"one"
        stream.stop()
        assert held.is_ended.wait(1)
        stream.close()
        assert len(proxy.asked) == 1


def test_proxy_that_wants_a_password_says_so(new_http: Maker) -> None:
    with HttpProxy("me", "secret") as proxy:
        http = new_http(proxy=f"http://me:wrong@{LOOPBACK}:{proxy.port}", verify=False)
        with pytest.raises(UpstreamUnavailable, match="user and a password") as caught:
            http.request("GET", f"https://{LOOPBACK}:1/", {})
        assert "wrong" not in str(caught.value)
        assert http.request("GET", f"http://{LOOPBACK}:1/", {}).status == 407


def test_proxy_that_forbids_a_server_says_so(new_http: Maker) -> None:
    with HttpProxy(forbids=True) as proxy:
        http = new_http(proxy=f"http://{LOOPBACK}:{proxy.port}", verify=False)
        assert "does not let us through (HTTP 403)" in problem_of(http, f"https://{LOOPBACK}:1/")


def test_proxy_that_is_not_there_is_named_without_its_password(new_http: Maker) -> None:
    port = free_port()
    http = new_http(proxy=f"http://me:secret@{LOOPBACK}:{port}")
    problem = rf"refused.*through the proxy http://127\.0\.0\.1:{port}"
    with pytest.raises(UpstreamUnavailable, match=problem) as caught:
        http.request("GET", "http://example.com/", {})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY"])
def test_environment_names_the_proxy(
    new_http: Maker, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """FIX (data-sources.md 9): names in upper case count as well."""
    with HttpProxy("me", "secret") as proxy, RawServer(says(EMPTY)) as server:
        monkeypatch.setenv(name, f"http://me:secret@{LOOPBACK}:{proxy.port}")
        http = new_http()
        url = f"http://{ANY}:{server.port}/"
        assert http.request("GET", url, {}).status == 200
        assert len(proxy.asked) == 1
        monkeypatch.setenv("no_proxy", f"{ANY}:{server.port}")
        assert http.request("GET", url, {}).status == 200
        assert len(proxy.asked) == 1


@pytest.mark.parametrize("host", [LOOPBACK, "localhost"])
def test_loopback_is_never_behind_the_proxy_of_the_environment(
    new_http: Maker, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    with HttpProxy() as proxy, RawServer(says(EMPTY)) as server:
        monkeypatch.setenv("http_proxy", f"http://{LOOPBACK}:{proxy.port}")
        url = f"http://{host}:{server.port}/"
        assert new_http().request("GET", url, {}).status == 200
        assert proxy.asked == []
        given = new_http(proxy=f"http://{LOOPBACK}:{proxy.port}")
        assert given.request("GET", url, {}).status == 200
        assert len(proxy.asked) == 1


def test_setting_outranks_the_environment(new_http: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://{LOOPBACK}:{free_port()}")
    monkeypatch.setenv("no_proxy", "*")
    with HttpProxy() as proxy, RawServer(says(EMPTY)) as server:
        http = new_http(proxy=f"http://{LOOPBACK}:{proxy.port}")
        assert http.request("GET", server.url, {}).status == 200
        assert len(proxy.asked) == 1


def test_proxy_of_an_unknown_kind_is_an_error(
    new_http: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"socks5://{LOOPBACK}:1")
    assert "must begin with http" in problem_of(new_http(), f"http://{ANY}:1/")
