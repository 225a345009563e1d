"""Consul in trouble: an HTTP proxy in front of a real one."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from tests.servers.http_faults import Ask, HttpFaults, Reply, Request

TEXT: Final = {"Content-Type": "text/plain; charset=utf-8"}
TOO_LARGE: Final = b"Request body(600000 bytes) too large, max size: 524288 bytes."
NO_LEADER: Final = b"No cluster leader"
UNREACHABLE: Final = (
    b"rpc error getting client: failed to get conn: "
    b"dial tcp 127.0.0.1:0->127.0.0.1:8300: connect: connection refused"
)
TOO_FAST: Final = b"rate limit exceeded, try again later or against a different server"
TOO_FAST_FOR_THE_LEADER: Final = (
    b"rate limit exceeded for operation that can only be performed by the leader, try again later"
)
ACCESSOR: Final = "00000000-0000-0000-0000-00000000000a"


class ConsulFaults(HttpFaults):
    """Passes requests on, but for those that a fault is set for.

    Operations are method and endpoint: `GET kv`, `PUT kv`, `DELETE kv`, `PUT txn`, `GET status`,
    `PUT session`. See `HttpFaults` for faults that every server has and for what `when` takes:
    `times`, `after`, `where`.
    """

    def operation_of(self, method: str, path: str, headers: Mapping[str, str]) -> str:
        """Return method and endpoint."""
        del headers
        return f"{method} {urlsplit(path).path.removeprefix('/v1/').partition('/')[0]}"

    def say(self, operation: str | None, status: int, text: bytes, **when: Any) -> None:
        """Answer with an error as Consul does: a status and a line of text."""
        self.answer(operation, status, text, TEXT, **when)

    def lose_leader(self, operation: str | None, **when: Any) -> None:
        """Answer that the cluster has no leader."""
        self.say(operation, 500, NO_LEADER, **when)

    def lose_connection(self, operation: str | None, **when: Any) -> None:
        """Answer that the leader cannot be reached: it has just died."""
        self.say(operation, 500, UNREACHABLE, **when)

    def refuse_size(self, operation: str | None, **when: Any) -> None:
        """Answer that the body is too large."""
        self.say(operation, 413, TOO_LARGE, **when)

    def throttle(self, operation: str | None, **when: Any) -> None:
        """Answer that too much is asked of this server."""
        self.say(operation, 429, TOO_FAST, **when)

    def throttle_leader(self, operation: str | None, **when: Any) -> None:
        """Answer that too much is asked of the leader."""
        self.say(operation, 503, TOO_FAST_FOR_THE_LEADER, **when)

    def deny(self, operation: str | None, permission: str = "key:read", **when: Any) -> None:
        """Answer that the token does not allow it.

        In a transaction the real one answers otherwise; a `ConsulServer(acl=True)` shows it.
        """

        def fault(request: Request, _: Ask) -> Reply:
            key = unquote(urlsplit(request.path).path).removeprefix("/v1/kv/")
            text = (
                f"Permission denied: token with AccessorID '{ACCESSOR}' lacks permission "
                f"'{permission}' on \"{key}\""
            )
            return Reply(403, text.encode(), TEXT)

        self.on(operation, fault, **when)

    def garble(
        self, operation: str | None, body: bytes = b"<html>hello</html>", **when: Any
    ) -> None:
        """Answer 200 with what is no JSON: something else is there, or stands between."""
        self.answer(operation, 200, body, {"Content-Type": "text/html"}, **when)
