"""The proxies in front of databases do to requests what they say, and nothing else."""

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import trustme

from tests.servers import consul, dynamodb
from tests.servers.certificates import server_context
from tests.servers.consul import ConsulServer
from tests.servers.consul_faults import ConsulFaults
from tests.servers.dynamodb import DynamoDBError, DynamoDBServer
from tests.servers.dynamodb_faults import DynamoDBFaults
from tests.servers.http_faults import Ask, Reply, Request
from tests.servers.server import LOOPBACK

GONE = (http.client.RemoteDisconnected, ConnectionResetError, http.client.IncompleteRead)


def key(name: str) -> dict[str, Any]:
    return {"namespace": {"S": "n"}, "key": {"S": name}}


class Table:
    """A table, seen through the proxy or as it is."""

    def __init__(self, faults: DynamoDBFaults, url: str, name: str) -> None:
        self.faults = faults
        self.url = url
        self.name = name

    def put(self, *names: str) -> list[str]:
        """Write these in a batch, and return what was not done."""
        puts = [{"PutRequest": {"Item": key(name)}} for name in names]
        answer = dynamodb.call(self.faults.url, "BatchWriteItem", RequestItems={self.name: puts})
        left = answer["UnprocessedItems"].get(self.name, [])
        return [one["PutRequest"]["Item"]["key"]["S"] for one in left]

    def get(self, *names: str) -> tuple[list[str], list[str]]:
        """Read these in a batch, and return what came and what did not."""
        wanted = {"Keys": [key(name) for name in names], "ConsistentRead": True}
        answer = dynamodb.call(self.faults.url, "BatchGetItem", RequestItems={self.name: wanted})
        left = answer["UnprocessedKeys"].get(self.name, {"Keys": [], "ConsistentRead": True})
        assert left["ConsistentRead"]
        came = [one["key"]["S"] for one in answer["Responses"].get(self.name, [])]
        return sorted(came), [one["key"]["S"] for one in left["Keys"]]

    def exists(self, **more: Any) -> bool:
        """Ask something small."""
        return "Item" in dynamodb.call(
            self.faults.url, "GetItem", TableName=self.name, Key=key("a"), **more
        )

    def error(self) -> DynamoDBError:
        """Return the error that a small question ends with."""
        with pytest.raises(DynamoDBError) as caught:
            self.exists()
        return caught.value

    def stored(self) -> list[str]:
        """Return what is really there."""
        return sorted(one["key"]["S"] for one in dynamodb.rows(self.url, self.name))


@pytest.fixture
def table(dynamodb_url: str, dynamodb_table: str) -> Iterator[Table]:
    with DynamoDBFaults(dynamodb_url) as faults:
        yield Table(faults, dynamodb_url, dynamodb_table)


@pytest.fixture
def proxied(consul_url: str) -> Iterator[ConsulFaults]:
    with ConsulFaults(consul_url) as faults:
        yield faults


def test_operations_are_passed_on_and_counted(table: Table) -> None:
    assert table.put("a", "b") == []
    assert table.get("a", "b", "c") == (["a", "b"], [])
    assert table.stored() == ["a", "b"]
    assert table.faults.counts == {"BatchWriteItem": 1, "BatchGetItem": 1}
    assert table.faults.reached == table.faults.counts
    assert [one.operation for one in table.faults.requests] == ["BatchWriteItem", "BatchGetItem"]


def test_writes_that_are_left_unprocessed_are_not_done(table: Table) -> None:
    table.faults.leave_unprocessed("BatchWriteItem", 2, times=2)
    assert table.put("a", "b", "c") == ["a", "b"]
    assert table.stored() == ["c"]
    with pytest.raises(DynamoDBError) as caught:
        table.put("a", "b")  # the real one, too, does something or says that it was too much
    assert caught.value.kind == "ProvisionedThroughputExceededException"
    assert table.put("a", "b") == []
    assert table.stored() == ["a", "b", "c"]
    table.faults.leave_unprocessed("BatchWriteItem", 1, last=True)
    assert table.put("d", "e") == ["e"]
    assert table.stored() == ["a", "b", "c", "d"]
    assert table.faults.counts["BatchWriteItem"] == 4
    assert table.faults.reached["BatchWriteItem"] == 3


def test_keys_that_are_left_unprocessed_are_not_read(table: Table) -> None:
    table.put("a", "b", "c")
    table.faults.leave_unprocessed("BatchGetItem", 2, times=1)
    assert table.get("a", "b", "c") == (["c"], ["a", "b"])
    assert table.get("a", "b") == (["a", "b"], [])


def test_few_of_a_batch_are_done_however_large_it_is(table: Table) -> None:
    table.faults.take_few("BatchWriteItem", 2)
    table.faults.take_few("BatchGetItem", 1)
    assert table.put("a", "b", "c") == ["c"]
    assert table.put("c") == []
    assert table.stored() == ["a", "b", "c"]
    assert table.get("a", "b", "c") == (["a"], ["b", "c"])


def test_errors_have_the_form_and_the_status_of_the_real_ones(table: Table) -> None:
    faults = table.faults
    faults.throttle("GetItem", times=1)
    faults.error("GetItem", "ThrottlingException", message="Rate exceeded", times=1)
    faults.error("GetItem", "RequestLimitExceeded", times=1)
    faults.fail("GetItem", times=1)
    faults.deny("GetItem", times=1)
    kinds = [table.error() for _ in range(5)]
    assert [one.kind for one in kinds] == [
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
        "InternalServerError",
        "AccessDeniedException",
    ]
    assert "Rate exceeded" in str(kinds[1])
    assert "is not authorized to perform: dynamodb:GetItem on resource" in str(kinds[4])
    assert table.name in str(kinds[4])
    assert not table.exists()
    assert (faults.counts["GetItem"], faults.reached["GetItem"]) == (6, 1)


def test_a_driver_understands_what_the_proxy_says(table: Table) -> None:
    boto3 = pytest.importorskip("boto3")
    botocore = pytest.importorskip("botocore")
    client = boto3.client(
        "dynamodb",
        endpoint_url=table.faults.url,
        region_name=dynamodb.REGION,
        aws_access_key_id=dynamodb.ACCESS_KEY_ID,
        aws_secret_access_key=dynamodb.SECRET_ACCESS_KEY,
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )
    table.faults.leave_unprocessed("BatchWriteItem", 1)
    table.faults.fail("GetItem", times=1)
    table.faults.throttle("GetItem")
    puts = [{"PutRequest": {"Item": key(name)}} for name in "ab"]
    answer = client.batch_write_item(RequestItems={table.name: puts})
    assert answer["UnprocessedItems"] == {table.name: puts[:1]}
    errors = []
    for _ in range(2):
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            client.get_item(TableName=table.name, Key=key("a"))
        response = caught.value.response
        errors.append((response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]))
    assert errors == [
        ("InternalServerError", 500),
        ("ProvisionedThroughputExceededException", 400),
    ]
    client.close()


def test_a_fault_can_come_later_and_choose_its_requests(table: Table) -> None:
    table.faults.throttle("GetItem", after=2, times=1)
    table.faults.deny(None, where=lambda request: b"ConsistentRead" in request.body)
    assert [table.exists() for _ in range(2)] == [False, False]
    assert table.error().kind == "ProvisionedThroughputExceededException"
    assert not table.exists()
    with pytest.raises(DynamoDBError, match="not authorized"):
        table.exists(ConsistentRead=True)
    table.faults.pass_on()
    assert not table.exists(ConsistentRead=True)


def test_a_fault_of_ones_own_sees_the_request_and_may_ask(table: Table) -> None:
    def twice(request: Request, ask: Ask) -> Reply:
        ask(request)
        return ask(request)

    table.faults.on("BatchWriteItem", twice)
    table.put("a")
    assert (table.faults.counts["BatchWriteItem"], table.faults.reached["BatchWriteItem"]) == (1, 2)


def test_what_hangs_is_not_passed_on_and_is_hung_up_on_in_the_end(table: Table) -> None:
    table.faults.hang("BatchWriteItem", times=1)
    outcome: list[BaseException] = []

    def write() -> None:
        try:
            table.put("a")
        except GONE as exc:
            outcome.append(exc)

    thread = threading.Thread(target=write)
    thread.start()
    table.faults.wait_for("BatchWriteItem")
    assert not table.exists()  # others are answered meanwhile
    assert not outcome
    table.faults.pass_on()
    thread.join(10)
    assert len(outcome) == 1
    assert table.stored() == []
    with pytest.raises(AssertionError, match="came 1 times only"):
        table.faults.wait_for("BatchWriteItem", 2, within=0.01)


def test_a_proxy_ends_while_something_hangs(dynamodb_url: str) -> None:
    with DynamoDBFaults(dynamodb_url) as faults:
        faults.hang("GetItem")
        place = (LOOPBACK, faults.port)
        idle, asking = socket.create_connection(place), socket.create_connection(place)
        asking.sendall(b"POST / HTTP/1.1\r\nX-Amz-Target: D.GetItem\r\n\r\n")
        faults.wait_for("GetItem")
    with idle, asking, pytest.raises(ConnectionRefusedError):
        socket.create_connection(place)


def test_an_answer_that_is_lost_was_a_write(table: Table) -> None:
    table.faults.lose_answers("BatchWriteItem", times=1)
    with pytest.raises(GONE):
        table.put("a")
    assert table.stored() == ["a"]


@pytest.mark.slow
def test_answers_are_cut_and_drip_and_come_late(table: Table) -> None:
    table.put("a")
    table.faults.cut("GetItem", after_bytes=5, times=1)
    table.faults.drip("GetItem", every=0.01, times=1)
    table.faults.delay("GetItem", 0.2, times=1)
    with pytest.raises(GONE):
        table.exists()
    for least in (0.3, 0.2):
        begun = time.monotonic()
        assert table.exists()
        assert time.monotonic() - begun >= least


@pytest.mark.slow
@pytest.mark.usefixtures("dynamodb_here")
@pytest.mark.faults
def test_a_proxy_hangs_up_while_its_server_is_gone_which_comes_back_empty() -> None:
    with DynamoDBServer() as server, DynamoDBFaults(server.url) as faults:
        dynamodb.create_table(faults.url, "table")
        server.kill()
        with pytest.raises(GONE):
            dynamodb.call(faults.url, "ListTables")
        server.start()
        assert dynamodb.call(faults.url, "ListTables") == {"TableNames": []}


def test_a_proxy_speaks_tls(dynamodb_url: str) -> None:
    authority = trustme.CA()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with DynamoDBFaults(dynamodb_url, tls=server_context(authority, LOOPBACK)) as faults:
        assert faults.url == f"https://{LOOPBACK}:{faults.port}"
        assert status_over(trusting, faults.port) == 400
        with pytest.raises(ssl.SSLCertVerificationError):
            status_over(ssl.create_default_context(), faults.port)


def status_over(context: ssl.SSLContext, port: int) -> int:
    connection = http.client.HTTPSConnection(LOOPBACK, port, context=context)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    finally:
        connection.close()


def ask(faults: ConsulFaults, path: str = "/v1/kv/a", method: str = "GET") -> tuple[int, bytes]:
    answer = consul.call(faults.url, method, path, timeout=10)
    return answer.status, answer.body


def test_consuls_requests_are_passed_on_and_counted(
    proxied: ConsulFaults, consul_prefix: str
) -> None:
    key = f"/v1/kv/{consul_prefix}/%24inited"
    assert ask(proxied, key) == (404, b"")
    written = consul.call(proxied.url, "PUT", key, b"x" * 100_000)
    assert (written.status, written.body.strip()) == (200, b"true")
    read = consul.call(proxied.url, "GET", f"{key}?raw")
    assert (read.status, read.body) == (200, b"x" * 100_000)
    assert int(read.headers["X-Consul-Index"]) > 0
    assert consul.call(proxied.url, "PUT", "/v1/txn", []).status == 200
    assert ask(proxied, key, "DELETE")[0] == 200
    assert proxied.counts == {"GET kv": 2, "PUT kv": 1, "PUT txn": 1, "DELETE kv": 1}


def test_consul_says_what_it_says_in_trouble(proxied: ConsulFaults) -> None:
    proxied.lose_leader("GET kv", times=1)
    proxied.lose_connection("GET kv", times=1)
    proxied.refuse_size("GET kv", times=1)
    proxied.throttle("GET kv", times=1)
    proxied.throttle_leader("GET kv", times=1)
    proxied.deny("GET kv", "key:read", times=1)
    proxied.garble("GET kv", times=1)
    answers = [ask(proxied) for _ in range(8)]
    assert [status for status, _ in answers] == [500, 500, 413, 429, 503, 403, 200, 404]
    assert answers[0][1] == b"No cluster leader"
    assert b"lacks permission 'key:read' on \"a\"" in answers[5][1]
    with pytest.raises(json.JSONDecodeError):
        json.loads(answers[6][1])
    assert proxied.reached == {"GET kv": 1}


def test_the_proxys_words_are_the_real_ones(
    consul_server: ConsulServer, proxied: ConsulFaults
) -> None:
    proxied.refuse_size("PUT kv")
    real = consul_server.call("PUT", "/v1/kv/a", b"x" * 600_000)
    ours = consul.call(proxied.url, "PUT", "/v1/kv/a", b"x" * 600_000)
    assert (ours.status, real.body.startswith(ours.body)) == (real.status, True)
    assert ours.headers["Content-Type"] == real.headers["Content-Type"]


@pytest.mark.slow
def test_who_waits_for_a_change_is_waited_for(proxied: ConsulFaults, consul_prefix: str) -> None:
    key = f"/v1/kv/{consul_prefix}/a"
    consul.call(proxied.url, "PUT", key, "1")
    index = consul.call(proxied.url, "GET", key).headers["X-Consul-Index"]
    path = f"{key}?wait=60s&index={index}"
    came: list[bytes] = []
    waiting = threading.Thread(
        target=lambda: came.append(consul.call(proxied.url, "GET", path, timeout=60).body)
    )
    waiting.start()
    proxied.wait_for("GET kv", 2)
    assert not came
    assert ask(proxied, key)[0] == 200  # meanwhile
    consul.call(proxied.url, "PUT", key, "2")
    waiting.join(10)
    assert json.loads(came[0])[0]["Value"] == "Mg=="


@pytest.mark.slow
def test_who_stops_waiting_for_a_change_ends_the_wait_at_the_server(
    proxied: ConsulFaults, consul_prefix: str
) -> None:
    key = f"/v1/kv/{consul_prefix}/a"
    consul.call(proxied.url, "PUT", key, "1")
    index = consul.call(proxied.url, "GET", key).headers["X-Consul-Index"]
    with pytest.raises(TimeoutError):
        consul.call(proxied.url, "GET", f"{key}?wait=300s&index={index}", timeout=0.2)
    give_up = time.monotonic() + 10
    while proxied._sockets:
        assert time.monotonic() < give_up
        time.sleep(0.01)
