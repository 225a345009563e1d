"""Requests: URLs, headers, proxies of the environment, and what answers mean."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagkeep.config import Application, Wrapper
from flagkeep.model.status import SourceErrorKind
from flagkeep.protocol.backoff import Failure
from flagkeep.protocol.http import (
    Etags,
    Problem,
    Requester,
    Server,
    check_poll_response,
    check_stream_response,
    diagnostic_url,
    display,
    events_url,
    is_redirect,
    poll_url,
    proxy_for,
    server_of,
    stream_url,
    user_agent,
)
from flagkeep.version import VERSION

BASE = "https://stream.example.com"


def requester(
    *, application: Application | None = None, wrapper: Wrapper | None = None
) -> Requester:
    return Requester(
        sdk_key="sdk-secret",
        user_agent="PythonClient/1",
        instance_id="one",
        application=application or Application(),
        wrapper=wrapper or Wrapper(),
    )


# --- headers -------------------------------------------------------------------------------------


def test_every_request_says_who_asks() -> None:
    assert requester().headers() == {
        "Authorization": "sdk-secret",
        "User-Agent": "PythonClient/1",
        "X-LaunchDarkly-Instance-Id": "one",
    }


def test_user_agents_name_the_colour_and_version() -> None:
    assert user_agent(is_async=False) == f"PythonClient/{VERSION}"
    assert user_agent(is_async=True) == f"PythonAsyncClient/{VERSION}"


def test_fix_the_instance_is_the_clients_and_not_the_configurations() -> None:
    """FIX (data-sources.md 8): clients that share settings do not share an id."""
    application, wrapper = Application(id="shop"), Wrapper(name="flask")
    headers = [
        Requester(
            sdk_key="k",
            user_agent="a",
            instance_id=instance,
            application=application,
            wrapper=wrapper,
        ).headers()
        for instance in ("one", "two")
    ]
    assert [one["X-LaunchDarkly-Instance-Id"] for one in headers] == ["one", "two"]
    assert headers[0]["X-LaunchDarkly-Tags"] == headers[1]["X-LaunchDarkly-Tags"]


@pytest.mark.parametrize(
    ("application", "tags"),
    [
        (Application(), None),
        (Application(id="shop"), "application-id/shop"),
        (Application(version="1.2"), "application-version/1.2"),
        (Application(id="shop", version="1.2"), "application-id/shop application-version/1.2"),
    ],
)
def test_tags_name_what_there_is_of_the_application(
    application: Application, tags: str | None
) -> None:
    headers = requester(application=application).headers()
    assert headers.get("X-LaunchDarkly-Tags") == tags


@pytest.mark.parametrize(
    ("wrapper", "header"),
    [
        (Wrapper(), None),
        (Wrapper(version="1"), None),
        (Wrapper(name="flask"), "flask"),
        (Wrapper(name="flask", version="1.2"), "flask/1.2"),
        (Wrapper(name="a\r\nEvil: 1", version="é\n1"), "aEvil: 1/1"),
        (Wrapper(name="\n"), None),
    ],
)
def test_a_wrapper_is_named_and_cannot_add_headers(wrapper: Wrapper, header: str | None) -> None:
    assert requester(wrapper=wrapper).headers().get("X-LaunchDarkly-Wrapper") == header


def test_a_stream_is_asked_for_as_such() -> None:
    own = requester().stream_headers().items() - requester().headers().items()
    assert dict(own) == {"Accept": "text/event-stream", "Cache-Control": "no-cache"}


@pytest.mark.parametrize(
    ("last", "sent"), [("", None), ("7", "7"), ("é", None), ("a\nb", None), ("a b", "a b")]
)
def test_the_last_event_is_named_if_a_header_can(last: str, sent: str | None) -> None:
    assert requester().stream_headers(last).get("Last-Event-ID") == sent


def test_polls_take_compressed_json() -> None:
    own = requester().poll_headers().items() - requester().headers().items()
    assert dict(own) == {"Content-Type": "application/json", "Accept-Encoding": "gzip"}


def test_posts_are_json() -> None:
    own = requester().post_headers().items() - requester().headers().items()
    assert dict(own) == {"Content-Type": "application/json"}


def test_the_key_is_not_shown() -> None:
    assert "secret" not in repr(requester())


# --- urls ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [BASE, BASE + "/", BASE + "//"])
def test_each_service_has_its_path_once(base: str) -> None:
    assert stream_url(base) == BASE + "/all"
    assert poll_url(base) == BASE + "/sdk/latest-all"
    assert events_url(base) == BASE + "/bulk"
    assert diagnostic_url(base) == BASE + "/diagnostic"


def test_a_base_may_have_a_path_of_its_own() -> None:
    assert stream_url("http://relay:8030/ld/") == "http://relay:8030/ld/all"


@pytest.mark.parametrize(
    ("key", "query"),
    [
        (None, ""),
        ("", ""),
        ("only-mine_1.2~", "?filter=only-mine_1.2~"),
        ("a b+!%&()", "?filter=a%20b%2B%21%25%26%28%29"),
        ("é", "?filter=%C3%A9"),
    ],
)
def test_a_filter_is_escaped(key: str | None, query: str) -> None:
    assert stream_url(BASE, key) == f"{BASE}/all{query}"
    assert poll_url(BASE, key) == f"{BASE}/sdk/latest-all{query}"


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("http://a.example.com/x", Server("http", "a.example.com", 80)),
        ("HTTPS://A.Example.com.", Server("https", "a.example.com", 443)),
        ("https://user:p%40ss@host:8443/x@y:1", Server("https", "host", 8443)),
        ("https://user:p@ss@host", Server("https", "host", 443)),
        ("http://[::1]:8080/", Server("http", "::1", 8080)),
        ("http://[::1]", Server("http", "::1", 80)),
        ("http://host:/x", Server("http", "host", 80)),
        ("http://host?x=http://b:1", Server("http", "host", 80)),
        ("other://host", Server("other", "host", 0)),
        ("host:80", Server("", "", 0)),
        ("http://host:" + "9" * 5_000, Server("http", "host", 99_999)),
    ],
)
def test_the_server_of_a_url(url: str, server: Server) -> None:
    assert server_of(url) == server


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:secret@host:1/a/b?token=secret#secret", "https://host:1/a/b"),
        ("http://user:sec@ret@host", "http://host"),
        ("http://[::1]:8/a", "http://[::1]:8/a"),
        ("secret@host", "an address that is not a URL"),
    ],
)
def test_a_url_is_shown_without_secrets(url: str, shown: str) -> None:
    assert display(url) == shown


@given(st.text(max_size=60))
def test_any_text_can_be_shown(text: str) -> None:
    assert display(text)
    assert server_of(text).port >= 0


# --- proxies -------------------------------------------------------------------------------------

HTTP, HTTPS = "http://a.example.com/x", "https://a.example.com/x"


@pytest.mark.parametrize(
    ("environment", "http", "https"),
    [
        ({}, None, None),
        ({"http_proxy": "http://p:1"}, "http://p:1", None),
        ({"https_proxy": "http://p:1"}, None, "http://p:1"),
        ({"https_proxy": "http://user:pass@p:1"}, None, "http://user:pass@p:1"),
        ({"http_proxy": "p:1"}, "http://p:1", None),
        ({"http_proxy": " "}, None, None),
    ],
)
def test_the_proxy_goes_by_the_scheme(
    environment: dict[str, str], http: str | None, https: str | None
) -> None:
    assert (proxy_for(HTTP, environment), proxy_for(HTTPS, environment)) == (http, https)


def test_fix_names_in_upper_case_count() -> None:
    """FIX (data-sources.md 9): `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` are not ignored."""
    environment = {"HTTP_PROXY": "http://p:1", "HTTPS_PROXY": "http://p:2"}
    assert proxy_for(HTTP, environment) == "http://p:1"
    assert proxy_for(HTTPS, environment) == "http://p:2"
    assert proxy_for(HTTPS, {**environment, "NO_PROXY": "example.com"}) is None


def test_names_in_lower_case_outrank_their_twins_even_if_empty() -> None:
    upper = {"HTTPS_PROXY": "http://upper:1", "NO_PROXY": "*"}
    assert proxy_for(HTTPS, {**upper, "https_proxy": "http://p:1", "no_proxy": ""}) == "http://p:1"
    assert proxy_for(HTTPS, {**upper, "https_proxy": "", "no_proxy": ""}) is None


def test_a_request_header_does_not_choose_the_proxy_of_a_cgi_program() -> None:
    cgi = {"REQUEST_METHOD": "GET", "HTTP_PROXY": "http://evil:1", "HTTPS_PROXY": "http://p:1"}
    assert proxy_for(HTTP, cgi) is None
    assert proxy_for(HTTP, {**cgi, "http_proxy": "http://p:1"}) == "http://p:1"
    assert proxy_for(HTTPS, cgi) == "http://p:1"


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("*", "http://anything"),
        ("other, *", "http://anything"),
        ("example.com", "http://example.com"),
        ("example.com", "http://a.b.example.com"),
        (".example.com", "http://a.example.com"),
        (".example.com", "http://example.com"),
        ("*.example.com", "http://a.example.com"),
        ("EXAMPLE.com", "http://a.Example.COM"),
        ("example.com.", "http://a.example.com"),
        ("x , example.com", "http://example.com"),
        ("x example.com", "http://example.com"),
        ("example.com:8080", "http://a.example.com:8080"),
        ("example.com:443", "https://example.com"),
        ("192.0.2.1", "http://192.0.2.1:8111"),
        ("2001:db8::1", "http://[2001:db8::1]:8111"),
        ("[2001:db8::1]", "http://[2001:db8::1]:8111"),
        ("[2001:db8::1]:8111", "http://[2001:db8::1]:8111"),
    ],
)
def test_no_proxy_names_servers_to_reach_directly(no_proxy: str, url: str) -> None:
    assert proxy_for(url, {**PROXIES, "no_proxy": no_proxy}) is None


PROXIES = {"http_proxy": "http://p:1", "https_proxy": "http://p:1"}


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("", "http://example.com"),
        (",", "http://example.com"),
        (".", "http://example.com"),
        ("a.example.com", "http://example.com"),
        ("com.example", "http://example.com"),
        ("example.com:8080", "http://example.com"),
        ("example.com:80", "https://example.com"),
        (":80", "http://example.com"),
        ("2001:db8::1", "http://[2001:db8::2]"),
        ("[2001:db8::1]:80", "http://[2001:db8::1]:81"),
        ("2.0.2.1", "http://192.0.2.1"),
        ("example.com:²", "http://example.com"),
    ],
)
def test_all_others_are_reached_through_the_proxy(no_proxy: str, url: str) -> None:
    assert proxy_for(url, {**PROXIES, "no_proxy": no_proxy}) == "http://p:1"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "127.0.0.1", "127.8.9.10", "[::1]", "[::ffff:127.0.0.1]"]
)
@pytest.mark.parametrize("no_proxy", ["", "example.com"])
def test_fix_loopback_is_reached_directly(host: str, no_proxy: str) -> None:
    """FIX: the proxy has a loopback of its own, where our Consul or relay does not listen."""
    environment = {**PROXIES, "no_proxy": no_proxy}
    for url in (f"http://{host}:8500/v1/kv", f"https://{host}/"):
        assert proxy_for(url, environment) is None


@pytest.mark.parametrize(
    "host",
    [
        "localhost.example.com",
        "mylocalhost",
        "128.0.0.1",
        "127.0.0.1.example.com",
        "0.0.0.0",  # noqa: S104  nothing is bound
        "[::]",
    ],
)
def test_what_only_looks_like_loopback_is_not(host: str) -> None:
    assert proxy_for(f"http://{host}:8500/", PROXIES) == "http://p:1"


def test_fix_a_host_does_not_cover_one_that_merely_ends_like_it() -> None:
    """FIX (data-sources.md 9): `example.com` does not mean `badexample.com`."""
    environment = {**PROXIES, "no_proxy": "example.com"}
    assert proxy_for("http://badexample.com", environment) == "http://p:1"


# --- answers -------------------------------------------------------------------------------------

STREAM = {"content-type": "text/event-stream"}


@pytest.mark.parametrize("status", [200, 206, 299])
@pytest.mark.parametrize("content_type", ["text/event-stream", "Text/Event-Stream; charset=UTF-8"])
def test_a_stream_is_one(status: int, content_type: str) -> None:
    assert check_stream_response(status, {"content-type": content_type}) is None


@pytest.mark.parametrize(
    "headers", [{"content-type": "text/html"}, {}, {"content-type": "\x1b[31m"}]
)
def test_what_is_no_stream_says_what_it_is(headers: dict[str, str]) -> None:
    problem = check_stream_response(200, headers)
    assert problem is not None
    assert problem.kind is SourceErrorKind.INVALID_DATA
    assert problem.failure is Failure.NORMAL
    assert problem.status_code is None
    assert "not text/event-stream: check the base URI" in problem.message
    assert problem.message.isprintable()


@pytest.mark.parametrize(
    ("status", "failure", "advice"),
    [
        (204, Failure.NORMAL, "check the base URI"),
        (302, Failure.NORMAL, "redirects"),
        (304, Failure.NORMAL, "check the base URI"),
        (400, Failure.NORMAL, "check the base URI"),
        (401, Failure.UNEXPECTED, "the SDK key is not valid"),
        (403, Failure.UNEXPECTED, "the SDK key is not allowed"),
        (404, Failure.UNEXPECTED, "no such service"),
        (405, Failure.UNEXPECTED, "no such service"),
        (407, Failure.UNEXPECTED, "user and a password"),
        (418, Failure.UNEXPECTED, "refuses"),
        (429, Failure.NORMAL, "too many requests"),
        (500, Failure.NORMAL, "cannot answer now"),
        (503, Failure.NORMAL, "cannot answer now"),
    ],
)
def test_a_refusal_says_what_to_do(status: int, failure: Failure, advice: str) -> None:
    problem = check_stream_response(status, STREAM)
    assert isinstance(problem, Problem)
    assert (problem.kind, problem.failure) == (SourceErrorKind.ERROR_RESPONSE, failure)
    assert problem.status_code == status
    assert re.match(rf"HTTP {status}: .*{advice}", problem.message)


def test_a_poll_is_answered_with_data_or_that_there_is_nothing_new() -> None:
    assert check_poll_response(200) is None
    assert check_poll_response(304) is None


@pytest.mark.parametrize("status", [201, 204, 302, 401, 500])
def test_other_answers_to_a_poll_are_refusals(status: int) -> None:
    problem = check_poll_response(status)
    assert problem is not None
    assert problem.status_code == status


@pytest.mark.parametrize(
    ("status", "expected"),
    [(300, False), (301, True), (302, True), (303, True), (304, False), (307, True), (308, True)],
)
def test_which_answers_send_elsewhere(status: int, expected: bool) -> None:  # noqa: FBT001
    assert is_redirect(status) is expected


# --- etags ---------------------------------------------------------------------------------------


def test_an_etag_is_sent_back_to_where_it_came_from() -> None:
    etags = Etags()
    assert etags.header_for("a") == {}
    etags.remember("a", {"etag": '"1"'})
    etags.remember("b", {"etag": 'W/"2"'})
    assert etags.header_for("a") == {"If-None-Match": '"1"'}
    assert etags.header_for("b") == {"If-None-Match": 'W/"2"'}


@pytest.mark.parametrize("headers", [{}, {"etag": ""}, {"etag": "é"}, {"etag": "a\r\nb"}])
def test_data_without_a_usable_etag_is_asked_for_whole(headers: dict[str, str]) -> None:
    etags = Etags()
    etags.remember("a", {"etag": '"1"'})
    etags.remember("a", headers)
    assert etags.header_for("a") == {}
