"""What goes wrong between us and a server, in words that say what to do.

No text of the driver, of OpenSSL or of a server is shown: there may be a secret in it.
"""

import errno
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpcore2

from flagkeep._runtime.http_exchange import BadAddress, BadAnswer, Exchange
from flagkeep._runtime.http_stop import Stop, Stopped, TooSlow
from flagkeep.errors import UpstreamUnavailable
from flagkeep.protocol.http import display, server_of

# What a server that had closed an idle connection looks like.
STALE: Final = (httpcore2.RemoteProtocolError, httpcore2.WriteError, ConnectionError)

_UNKNOWN_AUTHORITY: Final = (
    "its certificate comes from an authority that is not trusted here: if it is the right server,"
    " give the authority's certificate as ca_file"
)
# X509_V_ERR_…: OpenSSL's numbers for what is wrong with a certificate.
_CERTIFICATE: Final = {
    9: "its certificate is not valid yet: is this machine's clock right?",
    10: "its certificate has expired: it must be renewed, unless this machine's clock is wrong",
    18: _UNKNOWN_AUTHORITY,
    19: _UNKNOWN_AUTHORITY,
    20: _UNKNOWN_AUTHORITY,
    21: _UNKNOWN_AUTHORITY,
    62: "its certificate is for another name: use the one that it is for in the URL",
    64: "its certificate is for another name: use the one that it is for in the URL",
}
_REASONS: Final = {
    errno.ECONNREFUSED: "the connection was refused: does it run, and is the port right?",
    errno.ECONNRESET: "it broke the connection off",
    errno.EPIPE: "it broke the connection off",
    errno.ENETUNREACH: "there is no way to its network: is this machine connected?",
    errno.EHOSTUNREACH: "there is no way to its address: is this machine connected?",
    errno.ETIMEDOUT: "it does not answer at its address: is there a firewall between?",
    errno.EACCES: "this process may not connect there: look at the rules of the firewall",
    errno.EPERM: "this process may not connect there: look at the rules of the firewall",
    errno.EMFILE: "this process has too many open files: raise its limit",
    errno.ENFILE: "this machine has too many open files: raise its limit",
}


@contextmanager
def failures(exchange: Exchange, stop: Stop) -> Iterator[None]:
    """Raise UpstreamUnavailable for whatever goes wrong with a request, and nothing else."""
    try:
        yield
    except httpcore2.LocalProtocolError:
        # Without the cause, which shows the header.
        raise _unavailable(
            exchange, "a header of the request has a character that none may have"
        ) from None
    except (
        OSError,
        BadAddress,
        BadAnswer,
        Stopped,
        TooSlow,
        httpcore2.NetworkError,
        httpcore2.ProtocolError,
        httpcore2.ProxyError,
        httpcore2.TimeoutException,
    ) as exc:
        raise _unavailable(exchange, _reason(exc, stop)) from exc


def _unavailable(exchange: Exchange, reason: str) -> UpstreamUnavailable:
    server = server_of(exchange.url)
    shown = display(exchange.url).partition("://")[2].partition("/")[0]
    proxy = exchange.route.proxy
    if proxy is not None:
        reason = f"{reason} (through the proxy {display(proxy)})"
    return UpstreamUnavailable(f"{server.scheme}://{shown}", reason)


def _reason(exc: Exception, stop: Stop) -> str:
    if stop.is_set or isinstance(exc, Stopped):
        return "the connection was closed by this side"
    match exc:
        case TooSlow() | BadAnswer() | BadAddress():
            return str(exc)
        case ssl.SSLCertVerificationError():
            return _CERTIFICATE.get(exc.verify_code, "its certificate is not valid")
        case ssl.SSLError():
            return _tls_reason(exc)
        case socket.gaierror():
            return "its name cannot be looked up: is it right, and does the DNS answer?"
        case httpcore2.WriteError():
            return "it broke the connection off"
        case httpcore2.ProxyError():
            return _proxy_reason(str(exc))
        case httpcore2.RemoteProtocolError():
            return _protocol_reason(str(exc))
        case OSError():
            return _REASONS.get(exc.errno or 0, f"the network failed ({type(exc).__name__})")
    return f"the connection failed ({type(exc).__name__})"


def _tls_reason(exc: ssl.SSLError) -> str:
    what = (exc.reason or "").upper()
    if "WRONG_VERSION_NUMBER" in what or "HTTP_REQUEST" in what:
        return "it does not speak TLS: is it to be reached by http://?"
    if "CERTIFICATE_REQUIRED" in what or "HANDSHAKE_FAILURE" in what or "UNKNOWN_CA" in what:
        return "it refuses us: it may want a certificate of ours, see cert_file and key_file"
    if isinstance(exc, ssl.SSLEOFError):
        return "it broke the connection off while TLS was agreed on"
    return f"there is no agreement on TLS ({exc.reason or type(exc).__name__})"


def _proxy_reason(text: str) -> str:
    status = text.partition(" ")[0]
    if status == "407":
        return "the proxy wants a user and a password: http://user:password@host:port"
    number = f" (HTTP {status})" if status.isdecimal() else ""
    return f"the proxy does not let us through{number}: does it allow this server?"


def _protocol_reason(text: str) -> str:
    if "without sending" in text:  # of the body, or of anything
        return "its answer was cut off"
    return "it does not answer in HTTP/1.1: is the port right?"
