"""DynamoDB in trouble: an HTTP proxy in front of DynamoDB Local."""

import http.client
import json
import uuid
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from tests.servers.http_faults import Ask, Fault, HttpFaults, Reply, Request

Json = Mapping[str, Any]
Split = Callable[[Sequence[Any]], tuple[list[Any], list[Any]]]  # into what is done, and undone

OF_DYNAMODB: Final = "com.amazonaws.dynamodb.v20120810"
OF_ALL_SERVICES: Final = "com.amazon.coral.service"
OF_THE_GATE: Final = "com.amazon.coral.availability"
SPACES: Final[Mapping[str, str]] = {
    "AccessDeniedException": OF_ALL_SERVICES,
    "ExpiredTokenException": OF_ALL_SERVICES,
    "UnrecognizedClientException": OF_ALL_SERVICES,
    "ThrottlingException": OF_THE_GATE,
}
TOO_FAST: Final = (
    "The level of configured provisioned throughput for the table was exceeded. Consider "
    "increasing your provisioning level with the UpdateTable API."
)
ACCOUNT: Final = "123456789012"


class DynamoDBFaults(HttpFaults):
    """Passes operations on, but for those that a fault is set for.

    Operations go by their names in the API, such as `BatchWriteItem`. See `HttpFaults` for faults
    that every server has and for what `when` takes: `times`, `after`, `where`.
    """

    def operation_of(self, method: str, path: str, headers: Mapping[str, str]) -> str:
        """Return the operation's name; method and path where there is none."""
        return headers.get("x-amz-target", f"{method} {path}").rpartition(".")[2]

    def error(
        self,
        operation: str | None,
        kind: str,
        *,
        status: int = 400,
        message: str = "",
        **when: Any,
    ) -> None:
        """Answer with an error of the API, such as `RequestLimitExceeded`."""
        self.on(operation, lambda _, __: error(kind, message, status), **when)

    def throttle(self, operation: str | None, **when: Any) -> None:
        """Answer that the table is asked too much."""
        self.error(operation, "ProvisionedThroughputExceededException", message=TOO_FAST, **when)

    def fail(self, operation: str | None, **when: Any) -> None:
        """Answer that something went wrong inside."""
        self.error(
            operation, "InternalServerError", status=500, message="Internal server error", **when
        )

    def deny(self, operation: str | None, **when: Any) -> None:
        """Answer that the credentials do not allow it."""

        def fault(request: Request, _: Ask) -> Reply:
            action = f"dynamodb:{request.operation}"
            tables = json.loads(request.body).get("TableName", "*")
            return error(
                "AccessDeniedException",
                f"User: arn:aws:iam::{ACCOUNT}:user/tests is not authorized to perform: {action} "
                f"on resource: arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/{tables} because no "
                f"identity-based policy allows the {action} action",
            )

        self.on(operation, fault, **when)

    def leave_unprocessed(
        self, operation: str, count: int, *, last: bool = False, **when: Any
    ) -> None:
        """Leave some requests of a batch undone, and say so.

        Like the real one, this answers with an error where nothing of a batch would be done.

        Args:
            operation: `BatchWriteItem` or `BatchGetItem`.
            count: how many of them for each table.
            last: the last ones, not the first.
        """
        self.on(operation, _PARTLY[operation](partial(_leave, count, last=last)), **when)

    def take_few(self, operation: str, count: int, **when: Any) -> None:
        """Do no more than so many requests of a batch, for each table; leave the others undone."""
        self.on(operation, _PARTLY[operation](partial(_take, count)), **when)


def error(kind: str, message: str, status: int = 400) -> Reply:
    """Return an error of the API."""
    space = SPACES.get(kind, OF_DYNAMODB)
    return _reply(status, {"__type": f"{space}#{kind}", "message": message})


def _reply(status: int, content: Mapping[str, Any]) -> Reply:
    body = json.dumps(content).encode()
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "x-amzn-RequestId": uuid.uuid4().hex.upper(),
        "x-amz-crc32": str(zlib.crc32(body)),
    }
    return Reply(status, body, headers)


def _partly_written(split_up: Split) -> Fault:
    def fault(request: Request, ask: Ask) -> Reply:
        asked = json.loads(request.body)
        split = {table: split_up(writes) for table, writes in asked["RequestItems"].items()}
        done = {table: kept for table, (kept, _) in split.items() if kept}
        left = {table: undone for table, (_, undone) in split.items() if undone}
        return _partly(request, ask, done=done, left=left, name="UnprocessedItems")

    return fault


def _partly_read(split_up: Split) -> Fault:
    def fault(request: Request, ask: Ask) -> Reply:
        asked = json.loads(request.body)
        done, left = {}, {}
        for table, wanted in asked["RequestItems"].items():
            kept, undone = split_up(wanted["Keys"])
            if kept:
                done[table] = {**wanted, "Keys": kept}
            if undone:
                left[table] = {**wanted, "Keys": undone}
        return _partly(request, ask, done=done, left=left, name="UnprocessedKeys")

    return fault


_PARTLY: Final = {"BatchWriteItem": _partly_written, "BatchGetItem": _partly_read}


def _take(count: int, all_of_them: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Return what is done, and what is left undone."""
    return list(all_of_them[:count]), list(all_of_them[count:])


def _leave(count: int, all_of_them: Sequence[Any], *, last: bool) -> tuple[list[Any], list[Any]]:
    """Return what is done, and what is left undone."""
    if last:
        at = max(0, len(all_of_them) - count)
        return list(all_of_them[:at]), list(all_of_them[at:])
    return list(all_of_them[count:]), list(all_of_them[:count])


def _partly(request: Request, ask: Ask, *, done: Json, left: Json, name: str) -> Reply:
    if not done:
        return error("ProvisionedThroughputExceededException", TOO_FAST)
    asked = {**json.loads(request.body), "RequestItems": done}
    reply = ask(request._replace(body=json.dumps(asked).encode()))
    if reply.status != http.client.OK:
        return reply
    content = json.loads(reply.body)
    content[name] = {**content.get(name, {}), **left}
    return _reply(reply.status, content)
