"""DynamoDB Local and Consul do what the tests of our stores rely on."""

import base64
import ssl
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.servers import consul, dynamodb
from tests.servers.consul import ConsulCluster, ConsulMember, ConsulServer
from tests.servers.dynamodb import DynamoDBError, DynamoDBServer


def row(key: str, **others: Any) -> dict[str, Any]:
    return {"namespace": {"S": "n"}, "key": {"S": key}, **others}


@pytest.fixture
def put(dynamodb_url: str, dynamodb_table: str) -> Callable[[dict[str, Any]], Any]:
    def put(item: dict[str, Any]) -> Any:
        return dynamodb.call(dynamodb_url, "PutItem", TableName=dynamodb_table, Item=item)

    return put


def test_a_table_has_the_keys_of_the_sdks_and_takes_rows(
    dynamodb_url: str, dynamodb_table: str, put: Callable[[dict[str, Any]], Any]
) -> None:
    described = dynamodb.call(dynamodb_url, "DescribeTable", TableName=dynamodb_table)["Table"]
    assert described["TableStatus"] == "ACTIVE"
    assert described["KeySchema"] == [
        {"AttributeName": "namespace", "KeyType": "HASH"},
        {"AttributeName": "key", "KeyType": "RANGE"},
    ]
    assert list(dynamodb.rows(dynamodb_url, dynamodb_table)) == []
    put(row("größe", version={"N": "1"}))
    assert list(dynamodb.rows(dynamodb_url, dynamodb_table)) == [row("größe", version={"N": "1"})]


def test_tables_of_other_keys_can_be_had_and_all_can_be_dropped(dynamodb_url: str) -> None:
    dynamodb.create_table(dynamodb_url, "others", keys=[("id", "HASH")], key_type="N")
    described = dynamodb.call(dynamodb_url, "DescribeTable", TableName="others")["Table"]
    assert described["AttributeDefinitions"] == [{"AttributeName": "id", "AttributeType": "N"}]
    dynamodb.drop_table(dynamodb_url, "others")
    dynamodb.drop_table(dynamodb_url, "others")
    with pytest.raises(DynamoDBError) as caught:
        dynamodb.call(dynamodb_url, "DescribeTable", TableName="others")
    assert caught.value.kind == "ResourceNotFoundException"


def test_dynamodb_has_its_limits_here_too(
    dynamodb_url: str, dynamodb_table: str, put: Callable[[dict[str, Any]], Any]
) -> None:
    with pytest.raises(DynamoDBError, match="exceeded the maximum allowed size"):
        put(row("large", item={"S": "x" * 409_600}))
    for number in range(4):
        put(row(str(number), item={"S": "x" * 400_000}))
    assert len(list(dynamodb.rows(dynamodb_url, dynamodb_table))) == 4
    page = dynamodb.call(
        dynamodb_url,
        "Query",
        TableName=dynamodb_table,
        KeyConditionExpression="namespace = :n",
        ExpressionAttributeValues={":n": {"S": "n"}},
    )
    assert len(page["Items"]) == 3  # a page ends behind the row that makes it 1 MB
    assert page["LastEvaluatedKey"] == row("2")
    puts = [{"PutRequest": {"Item": row(str(number))}} for number in range(26)]
    with pytest.raises(DynamoDBError, match="Too many items"):
        dynamodb.call(dynamodb_url, "BatchWriteItem", RequestItems={dynamodb_table: puts})


def test_a_condition_that_does_not_hold_is_an_error(
    dynamodb_url: str, dynamodb_table: str, put: Callable[[dict[str, Any]], Any]
) -> None:
    put(row("a", version={"N": "2"}))
    with pytest.raises(DynamoDBError) as caught:
        dynamodb.call(
            dynamodb_url,
            "PutItem",
            TableName=dynamodb_table,
            Item=row("a", version={"N": "1"}),
            ConditionExpression="attribute_not_exists(version) or :v > version",
            ExpressionAttributeValues={":v": {"N": "1"}},
        )
    assert caught.value.kind == "ConditionalCheckFailedException"


@pytest.mark.usefixtures("dynamodb_here")
@pytest.mark.slow
@pytest.mark.faults
def test_a_restarted_dynamodb_has_what_was_on_disk() -> None:
    with DynamoDBServer(on_disk=True) as server:
        dynamodb.create_table(server.url, "table")
        server.call("PutItem", TableName="table", Item=row("a"))
        server.kill()
        server.start()
        assert list(dynamodb.rows(server.url, "table")) == [row("a")]


def test_a_paused_dynamodb_answers_when_it_goes_on(dynamodb_server: DynamoDBServer) -> None:
    dynamodb_server.pause()
    try:
        with pytest.raises(TimeoutError):
            dynamodb.call(dynamodb_server.url, "ListTables", timeout=0.1)
    finally:
        dynamodb_server.resume()
    assert "TableNames" in dynamodb_server.call("ListTables")


def test_consul_takes_keys_and_shows_them(consul_server: ConsulServer, consul_prefix: str) -> None:
    assert consul_server.content(consul_prefix) == {}
    assert consul_server.get(f"{consul_prefix}/a") is None
    consul_server.put(f"{consul_prefix}/größe/$inited", b"")
    consul_server.put(f"{consul_prefix}/a", "x")
    assert consul_server.get(f"{consul_prefix}/a") == b"x"
    assert consul_server.content(consul_prefix) == {
        f"{consul_prefix}/größe/$inited": b"",
        f"{consul_prefix}/a": b"x",
    }
    consul_server.delete(f"{consul_prefix}/g")
    assert list(consul_server.content(consul_prefix)) == [f"{consul_prefix}/a"]


def test_records_of_one_environment_are_removed(
    consul_server: ConsulServer, consul_prefix: str
) -> None:
    name = base64.b32encode(consul_prefix.encode()).decode()
    others = "flagkeep/" + base64.b32encode(f"{consul_prefix}-2".encode()).decode()
    consul_server.put(f"flagkeep/{name.rstrip('=').lower()}/record", "x")
    consul_server.put(f"flagkeep/{name}/lease", "x")
    consul_server.put(others, "x")
    consul_server.put("flagkeep/not-base32!", "x")
    before = set(consul_server.content("flagkeep/"))
    consul.remove_records(consul_server.url, consul_prefix)
    after = set(consul_server.content("flagkeep/"))
    assert before - after == {
        f"flagkeep/{name.rstrip('=').lower()}/record",
        f"flagkeep/{name}/lease",
    }
    assert {others, "flagkeep/not-base32!"} <= after
    for key in (others, "flagkeep/not-base32!"):
        consul_server.delete(key)
    consul_server.delete("flagkeep/")


def test_consul_has_its_limits(consul_server: ConsulServer, consul_prefix: str) -> None:
    def transaction(*values: bytes) -> consul.Answer:
        operations = [
            {
                "KV": {
                    "Verb": "set",
                    "Key": f"{consul_prefix}/{number}",
                    "Value": base64.b64encode(value).decode(),
                }
            }
            for number, value in enumerate(values)
        ]
        return consul_server.call("PUT", "/v1/txn", operations)

    assert transaction(*[b""] * 128).status == 200
    assert transaction(*[b""] * 129).status == 413
    assert transaction(*[b"x" * 9000] * 64).status == 413
    large = consul_server.call("PUT", f"/v1/kv/{consul_prefix}/large", b"x" * 524_289)
    assert large.status == 413
    assert b"kv_max_value_size" in large.body


@pytest.mark.usefixtures("consul_here")
def test_a_consul_with_tokens_refuses_who_may_not() -> None:
    with ConsulServer(acl=True) as server:
        server.put("launchdarkly/a", "x")
        reader = server.new_token('key_prefix "launchdarkly/" { policy = "read" }')
        url, path = server.url, "/v1/kv/launchdarkly/a"
        assert consul.call(url, "GET", path, token=reader).status == 200
        refused = consul.call(url, "PUT", path, "y", token=reader)
        assert (refused.status, b"lacks permission 'key:write'" in refused.body) == (403, True)
        assert consul.call(url, "GET", path).status == 403
        unknown = consul.call(url, "GET", path, token="no-such-token")
        assert (unknown.status, unknown.body) == (403, b"ACL not found")


@pytest.mark.usefixtures("consul_here")
def test_consul_can_ask_for_a_certificate_of_the_client() -> None:
    with ConsulServer(tls=True, client_certificates=True) as server:
        server.put("a", "x")
        nameless = ssl.create_default_context(cafile=server.ca_file)
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            consul.call(server.url, "GET", "/v1/kv/a", tls=nameless)


@pytest.mark.usefixtures("consul_here")
@pytest.mark.slow
@pytest.mark.faults
def test_a_restarted_consul_is_empty_or_has_what_was_on_disk() -> None:
    with ConsulServer() as server:
        server.put("a", "x")
        server.kill()
        server.start()
        assert server.content() == {}
    with ConsulServer(on_disk=True) as server:
        server.put("a", "x")
        server.kill()
        server.start()
        assert server.content() == {"a": b"x"}


@pytest.mark.usefixtures("consul_here")
def test_settings_reach_consul() -> None:
    with ConsulServer({"limits": {"kv_max_value_size": 10}}) as server:
        assert server.call("PUT", "/v1/kv/a", b"x" * 11).status == 413


@pytest.mark.slow
@pytest.mark.faults
def test_a_cluster_goes_on_without_its_leader_and_stops_without_two(
    consul_cluster: ConsulCluster,
) -> None:
    first = consul_cluster.leader()
    other = consul_cluster.followers()[0]
    other.put("a", "1")
    assert first.get("a") == b"1"
    first.kill()
    second = consul_cluster.leader()
    assert second is not first
    assert second.get("a") == b"1"
    second.put("a", "2")
    second.kill()
    (third,) = [one for one in consul_cluster.members if one.pid is not None]
    assert has_no_leader(third)
    assert third.call("PUT", "/v1/kv/a", "3").status == 500
    first.start()
    assert consul_cluster.leader().get("a") == b"2"


def has_no_leader(member: ConsulMember) -> bool:
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        answer = member.call("GET", "/v1/kv/a")
        if (answer.status, answer.body) == (500, b"No cluster leader"):
            return True
        time.sleep(0.05)
    return False
