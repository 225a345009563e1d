"""Big Segments in DynamoDB: the suite, what is particular, and a client with one in trouble."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from flagkeep._sync.stores.dynamodb_big_segments import DynamoDBBigSegmentStore
from flagkeep._runtime import threads as runtime
from flagkeep.errors import ConfigError, StoreCorrupt, StoreMissing, StoreUnavailable
from flagkeep.model.context import Context
from tests._sync.big_segment_backends import (
    at,
    client_of,
    in_dynamodb,
    now_ms,
    seen_by,
    until_seen,
)
from tests._sync.big_segment_suite import CHECKS, HASH, NAMES
from tests.limits import check_within
from tests.servers import dynamodb
from tests.servers.big_segments import DynamoDBWriter
from tests.servers.dynamodb_faults import DynamoDBFaults

pytestmark = pytest.mark.extras
SECRET = "hunter2-%3A/secret"


@pytest.mark.parametrize("name", NAMES)
def test_dynamodb(name: str, dynamodb_url: str, dynamodb_table: str) -> None:
    CHECKS[NAMES.index(name)](in_dynamodb(dynamodb_url, dynamodb_table))


@pytest.fixture
def door(dynamodb_url: str) -> Iterator[DynamoDBFaults]:
    """What stands between a store and its DynamoDB."""
    with DynamoDBFaults(dynamodb_url) as faults:
        yield faults


def test_nothing_but_one_strong_read_of_one_row_is_asked(
    dynamodb_table: str, door: DynamoDBFaults
) -> None:
    store = DynamoDBBigSegmentStore(dynamodb_table, prefix="p", **at(door.url))
    assert store.get_membership(HASH) == {}
    assert (store.get_metadata()).last_up_to_date_ms is None
    assert not store.get_membership("x" * 1025)  # no key is so long
    asked = [json.loads(request.body) for request in door.requests]
    name = {"S": "p:big_segments_metadata"}
    for one, key in zip(
        asked,
        (
            {"namespace": {"S": "p:big_segments_user"}, "key": {"S": HASH}},
            {"namespace": name, "key": name},
        ),
        strict=True,
    ):
        assert one["Key"] == key
        assert one["ConsistentRead"] is True
    assert door.counts == {"GetItem": 2}
    store.close()


def test_a_table_that_is_missing_is_named_with_what_makes_it(dynamodb_url: str) -> None:
    store = DynamoDBBigSegmentStore("no-such-table", **at(dynamodb_url))
    for ask in (store.get_metadata, lambda: store.get_membership(HASH)):
        with pytest.raises(StoreMissing, match="create-table --table-name no-such-table"):
            ask()
    store.close()


def test_a_table_with_another_key_is_named(dynamodb_url: str) -> None:
    name = "another-programs"
    dynamodb.create_table(dynamodb_url, name, keys=[("id", "HASH")])
    store = DynamoDBBigSegmentStore(name, **at(dynamodb_url))
    with pytest.raises(StoreCorrupt, match="partition key namespace"):
        store.get_membership(HASH)
    store.close()
    dynamodb.drop_table(dynamodb_url, name)


def test_a_permission_that_is_missing_is_said(
    dynamodb_table: str, door: DynamoDBFaults
) -> None:
    door.deny("GetItem")
    store = DynamoDBBigSegmentStore(dynamodb_table, **at(door.url))
    with pytest.raises(StoreUnavailable, match="dynamodb:GetItem"):
        store.get_membership(HASH)
    store.close()


@pytest.mark.slow
def test_a_read_that_is_throttled_is_tried_again_while_it_is_worth_it(
    dynamodb_url: str, dynamodb_table: str, door: DynamoDBFaults
) -> None:
    DynamoDBWriter(dynamodb_url, dynamodb_table, "p").put(HASH, ["a.g1"], [])
    store = DynamoDBBigSegmentStore(dynamodb_table, prefix="p", **at(door.url))
    door.throttle("GetItem", times=2)
    door.fail("GetItem", times=1)
    assert store.get_membership(HASH, timeout=10.0) == {"a.g1": True}
    assert door.counts == {"GetItem": 4}
    door.throttle("GetItem")
    begun = runtime.monotonic()
    with pytest.raises(StoreUnavailable, match="throttled"):
        store.get_membership(HASH, timeout=0.5)
    check_within(10.0, since=begun)
    assert door.counts["GetItem"] > 5
    door.pass_on()
    assert store.get_membership(HASH, timeout=10.0) == {"a.g1": True}
    store.close()


def test_a_dynamodb_that_hangs_is_not_waited_for_beyond_the_timeout(
    dynamodb_table: str, door: DynamoDBFaults
) -> None:
    store = DynamoDBBigSegmentStore(dynamodb_table, timeout=30.0, **at(door.url))
    assert not store.get_membership(HASH)
    door.hang("GetItem")
    begun = runtime.monotonic()
    with pytest.raises(StoreUnavailable, match=r"no answer within 0\.1 s"):
        store.get_membership(HASH, timeout=0.1)
    check_within(10.0, since=begun)
    door.pass_on()
    assert not store.get_membership(HASH)
    store.close()


def test_no_secret_of_dynamodb_is_shown(dynamodb_table: str, door: DynamoDBFaults) -> None:
    door.error("GetItem", "UnrecognizedClientException", message="hunter2 is wrong")
    given = {**at(door.url), "secret_access_key": SECRET, "session_token": SECRET}
    store = DynamoDBBigSegmentStore(dynamodb_table, prefix="p", **given)
    with pytest.raises(StoreUnavailable) as caught:
        store.get_membership(HASH)
    error = caught.value
    said = [repr(store), repr(vars(store)), str(error), repr(error.args), repr(vars(error))]
    assert "hunter2" not in "".join(said)
    assert error.__suppress_context__
    assert repr(store).startswith("<DynamoDBBigSegmentStore dynamodb ")
    assert repr(store).endswith(" prefix='p'>")
    store.close()


@pytest.mark.parametrize(
    "given", [{"table": "a/b"}, {"prefix": "\ud800"}, {"timeout": 0}, {"role": "x"}]
)
def test_what_cannot_work_in_dynamodb_is_refused_at_once(given: Any) -> None:
    with pytest.raises(ConfigError, match=next(iter(given))):
        DynamoDBBigSegmentStore(**{"table": "flags", **given})


@pytest.mark.slow
def test_a_dynamodb_in_trouble_leaves_what_was_known_and_is_found_again(
    dynamodb_url: str, dynamodb_table: str, door: DynamoDBFaults
) -> None:
    writer = DynamoDBWriter(dynamodb_url, dynamodb_table, "")
    writer.put(HASH, ["s.g1"], [])
    writer.synchronized(now_ms())
    store = DynamoDBBigSegmentStore(dynamodb_table, **at(door.url))
    assert (store.get_metadata()).last_up_to_date_ms  # the driver is loaded
    client = client_of(store, context_cache_time=0.001, status_poll_interval=0.05)
    assert seen_by(client) == (True, "HEALTHY")
    for begin in (door.lose_answers, door.hang, door.throttle, door.fail):
        begin("GetItem")
        until_seen(client, (True, "STORE_ERROR"))
        assert seen_by(client, Context.create("never asked")) == (False, "STORE_ERROR")
        door.pass_on()
        until_seen(client, (True, "HEALTHY"))
    writer.synchronized(None)
    until_seen(client, (True, "STALE"))
    assert (client.close()).complete
