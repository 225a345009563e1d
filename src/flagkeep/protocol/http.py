"""Requests to the three services: who asks, where, and what an answer means.

It knows URLs, headers and statuses (data source spec, sections 2 to 4, 8 and 9), and hides them
from the driver, which moves the bytes. Nothing here shows a key or a password.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from flagkeep.config import Application, Wrapper
from flagkeep.model.status import SourceErrorKind
from flagkeep.protocol.backoff import Failure, failure_of
from flagkeep.version import VERSION

REDIRECTS_ALLOWED: Final = 3
JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"
NOT_MODIFIED: Final = 304

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
_URL: Final = re.compile(
    r"(?P<scheme>[a-z]+)://(?:[^/?#]*@)?(?P<host>\[[^\]/?#]*\]|[^:/?#]*)(?::(?P<port>\d{0,5}))?"
    r"(?P<path>[^?#]*)",
    re.IGNORECASE,
)
_LOOPBACK: Final = frozenset({"localhost", "::1", "0:0:0:0:0:0:0:1"})
_LOOPBACK_V4: Final = re.compile(r"(?:::ffff:)?127(?:\.\d{1,3}){3}")
_HIDDEN: Final = re.compile(r"[^ -~]")  # what cannot be in a header
_RESERVED: Final = re.compile(rb"[^A-Za-z0-9._~-]")
_ADVICE: Final[Mapping[int, str]] = {
    204: "there is nothing at this address: check the base URI",
    401: "the SDK key is not valid here: check it, and the base URI",
    403: "the SDK key is not allowed here: check it, and the base URI",
    404: "there is no such service at this address: check the base URI",
    405: "there is no such service at this address: check the base URI",
    407: "the proxy wants a user and a password: http://user:password@host:port",
    408: "the request did not reach the server in time",
    429: "too many requests",
}


def user_agent(*, is_async: bool) -> str:
    """Return what this SDK calls itself."""
    return f"{'PythonAsyncClient' if is_async else 'PythonClient'}/{VERSION}"


class Requester(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: one client.

    Attributes:
        instance_id: of this client alone, even where others share its configuration.
    """

    sdk_key: str
    user_agent: str
    instance_id: str
    application: Application = Application()
    wrapper: Wrapper = Wrapper()

    def __repr__(self) -> str:
        return f"Requester(user_agent={self.user_agent!r}, instance_id={self.instance_id!r})"

    def headers(self) -> dict[str, str]:
        """Return what every request carries (data source spec, section 8)."""
        headers = {
            "Authorization": self.sdk_key,
            "User-Agent": self.user_agent,
            "X-LaunchDarkly-Instance-Id": self.instance_id,
        }
        tags = [
            f"application-{name}/{value}"
            for name, value in (("id", self.application.id), ("version", self.application.version))
            if value
        ]
        if tags:
            headers["X-LaunchDarkly-Tags"] = " ".join(tags)
        name, version = (_in_header(one) for one in (self.wrapper.name, self.wrapper.version))
        if name:
            headers["X-LaunchDarkly-Wrapper"] = f"{name}/{version}" if version else name
        return headers

    def stream_headers(self, last_event_id: str = "") -> dict[str, str]:
        """Return the headers of a request for the stream."""
        headers = {**self.headers(), "Accept": EVENT_STREAM, "Cache-Control": "no-cache"}
        if last_event_id and not _HIDDEN.search(last_event_id):
            headers["Last-Event-ID"] = last_event_id
        return headers

    def poll_headers(self) -> dict[str, str]:
        """Return the headers of a poll; those of `Etags` come in addition."""
        return {**self.headers(), "Content-Type": JSON, "Accept-Encoding": "gzip"}

    def post_headers(self) -> dict[str, str]:
        """Return the headers of a post of JSON."""
        return {**self.headers(), "Content-Type": JSON}


def _in_header(text: str) -> str:
    return _HIDDEN.sub("", text).strip()


# --- where --------------------------------------------------------------------------------------


def stream_url(base: str, payload_filter: str | None = None) -> str:
    """Return the URL of the stream of an environment, or of what a filter leaves of it."""
    return _at(base, "/all") + _query(payload_filter)


def poll_url(base: str, payload_filter: str | None = None) -> str:
    """Return the URL at which the environment is fetched whole."""
    return _at(base, "/sdk/latest-all") + _query(payload_filter)


def events_url(base: str) -> str:
    """Return the URL that takes analytics events."""
    return _at(base, "/bulk")


def diagnostic_url(base: str) -> str:
    """Return the URL that takes diagnostic events."""
    return _at(base, "/diagnostic")


def _at(base: str, path: str) -> str:
    return base.rstrip("/") + path


def _query(payload_filter: str | None) -> str:
    if not payload_filter:
        return ""
    escaped = _RESERVED.sub(lambda found: b"%%%02X" % ord(found.group()), payload_filter.encode())
    return f"?filter={escaped.decode()}"


class Server(NamedTuple):
    """Which server a URL leads to; two are the same if scheme, host and port are."""

    scheme: str
    host: str
    port: int


def server_of(url: str) -> Server:
    """Return the server of an absolute URL; the port is the scheme's where the URL has none."""
    found = _URL.match(url)
    if found is None:
        return Server("", "", 0)
    scheme = found["scheme"].lower()
    port = int(found["port"]) if found["port"] else _PORTS.get(scheme, 0)
    return Server(scheme, found["host"].strip("[]").lower().rstrip("."), port)


def display(url: str) -> str:
    """Return a URL as it may be shown: without user, password, query and fragment."""
    found = _URL.match(url)
    if found is None:
        return "an address that is not a URL"
    port = f":{found['port']}" if found["port"] else ""
    return f"{found['scheme']}://{found['host']}{port}{found['path']}"


# --- proxies ------------------------------------------------------------------------------------


def proxy_for(url: str, environment: Mapping[str, str]) -> str | None:
    """Return the proxy that the environment names for `url`; None: go there directly.

    `http_proxy` and `https_proxy`, by the scheme of `url`, and `no_proxy`. A name in lower case
    outranks its upper-case twin, even if it is empty. `HTTP_PROXY` does not count in a CGI
    program, where anybody sets it by a request header (CVE-2016-5385).

    Nothing of this is for loopback, as in Go: a proxy has another one, and an agent of Consul, or
    a relay beside us, is asked there by default.
    """
    server = server_of(url)
    if _is_loopback(server.host):
        return None
    proxy = _variable(environment, f"{server.scheme}_proxy")
    if not proxy or _is_exempt(server, _variable(environment, "no_proxy")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _variable(environment: Mapping[str, str], name: str) -> str:
    if name in environment:
        return environment[name].strip()
    if name == "http_proxy" and "REQUEST_METHOD" in environment:
        return ""
    return environment.get(name.upper(), "").strip()


def _is_loopback(host: str) -> bool:
    """Whether a host is this machine, by name or by number."""
    return host in _LOOPBACK or bool(_LOOPBACK_V4.fullmatch(host))


def _is_exempt(server: Server, no_proxy: str) -> bool:
    return any(_covers(entry, server) for entry in re.split(r"[\s,]+", no_proxy.lower()))


def _covers(entry: str, server: Server) -> bool:
    """Whether an entry of `no_proxy` means a server: `*`, a host or its parent, with a port or not.

    `example.com` and `.example.com` cover `a.example.com`, and not `badexample.com`.
    """
    if entry == "*":
        return True
    host, colon, port = entry.rpartition(":")
    if not colon or not port.isdecimal() or (":" in host and not host.endswith("]")):
        host, port = entry, ""
    host = host.strip("[]").removeprefix("*").strip(".")
    if not host or (port and int(port) != server.port):
        return False
    return server.host == host or server.host.endswith(f".{host}")


# --- answers ------------------------------------------------------------------------------------


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with an answer.

    Attributes:
        failure: which regime of waiting follows.
        status_code: None where the status itself was good.
    """

    kind: SourceErrorKind
    failure: Failure
    message: str
    status_code: int | None = None


NO_MEMORY: Final = Problem(
    SourceErrorKind.UNKNOWN, Failure.NORMAL, "there is no memory for what the server sends"
)


def is_redirect(status: int) -> bool:
    """Whether the answer sends the request elsewhere."""
    return status in _REDIRECTS


def check_stream_response(status: int, headers: Mapping[str, str]) -> Problem | None:
    """Return why an answer is not a stream; None if it is one. Names of headers are lower case."""
    if not 200 <= status <= 299 or status == 204:  # noqa: PLR2004  2xx with content
        return _refused(status)
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == EVENT_STREAM:
        return None
    what = _in_header(content_type)[:80] or "of no type"
    message = f"the answer is {what}, not {EVENT_STREAM}: check the base URI, or a proxy between"
    return Problem(SourceErrorKind.INVALID_DATA, Failure.NORMAL, message)


def check_poll_response(status: int) -> Problem | None:
    """Return why an answer to a poll has no data; None for data, and for "as before" (304)."""
    return None if status in (200, NOT_MODIFIED) else _refused(status)


def _refused(status: int) -> Problem:
    if is_redirect(status):
        advice = f"over {REDIRECTS_ALLOWED} redirects, or one that leads nowhere"
    elif status >= 500:  # noqa: PLR2004  all of 5xx
        advice = "the server cannot answer now"
    else:
        advice = _ADVICE.get(status, "the server refuses this request: check the base URI")
    message = f"HTTP {status}: {advice}"
    return Problem(SourceErrorKind.ERROR_RESPONSE, failure_of(status), message, status)


class Etags:
    """By URL, the name that a server gave to what it sent last."""

    def __init__(self) -> None:
        self._by_url: dict[str, str] = {}

    def remember(self, url: str, headers: Mapping[str, str]) -> None:
        """Take note of an answer with data, once that is in force; header names are lower case."""
        etag = headers.get("etag", "")
        if etag and not _HIDDEN.search(etag):
            self._by_url[url] = etag
        else:
            self._by_url.pop(url, None)

    def header_for(self, url: str) -> dict[str, str]:
        """Return the header that asks for data only if it is another."""
        return {"If-None-Match": self._by_url[url]} if url in self._by_url else {}
