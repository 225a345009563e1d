"""Big Segment stores in the child of a bare fork: what they have open stays the parent's."""

import os
from pathlib import Path

import pytest

from flagkeep.storage.big_segments import hash_of
from tests.runtime.test_forked_big_segments import FLAGS
from tests.runtime.test_forked_clients import run
from tests.servers.big_segments import DynamoDBWriter, RedisWriter, SQLiteWriter, Writer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
]

PROGRAM = """
from flagkeep.storage.big_segments import hash_of

settings = BigSegmentSettings(status_poll_interval=0.02, stale_after=1e9)
patient = StorePolicy(deadline=30)  # the machine may be busy
config = Config(source=flags, big_segments=settings, store_policy=patient)
client = Client(config, big_segment_store=store)
assert client.wait_until_ready(10)
assert client.variation("f", USER, None) is True

def child():
    assert client.variation("f", USER, None) is True          # memory stays
    detail = client.variation_detail("f", OTHER, None)
    assert (detail.value, detail.reason.big_segments_status) == (False, "HEALTHY"), detail
    assert store.get_membership(hash_of("user-key")) == {"s.g1": True}
    client.close()

children = [in_child(child) for _ in range(4)]
for number in range(50):
    detail = client.variation_detail("f", Context.create(str(number)), None)
    assert (detail.value, detail.reason.big_segments_status) == (False, "HEALTHY"), detail
for one in children:
    wait(one)
assert store.get_membership(hash_of("user-key")) == {"s.g1": True}
assert client.close().complete
"""


def fill(writer: Writer) -> None:
    writer.put(hash_of("user-key"), ["s.g1"], [])
    writer.synchronized("1700000000000")


def test_the_children_of_a_client_with_redis_ask_over_connections_of_their_own(
    tmp_path: Path, redis_url: str
) -> None:
    fill(RedisWriter(redis_url, "launchdarkly"))
    store = f"""
from flagkeep.stores import RedisBigSegmentStore
store = RedisBigSegmentStore({redis_url!r})
"""
    run(tmp_path, FLAGS + store + PROGRAM)


def test_the_children_of_a_client_with_sqlite_open_the_file_anew(tmp_path: Path) -> None:
    fill(SQLiteWriter(tmp_path / "members.db", ""))
    store = f"""
from flagkeep.stores import SQLiteBigSegmentStore
store = SQLiteBigSegmentStore({str(tmp_path / "members.db")!r})
"""
    run(tmp_path, FLAGS + store + PROGRAM)


@pytest.mark.extras
def test_the_children_of_a_client_with_dynamodb_make_clients_of_their_own(
    tmp_path: Path, dynamodb_url: str, dynamodb_table: str
) -> None:
    fill(DynamoDBWriter(dynamodb_url, dynamodb_table, ""))
    store = f"""
from flagkeep.stores import DynamoDBBigSegmentStore
store = DynamoDBBigSegmentStore(
    {dynamodb_table!r}, endpoint={dynamodb_url!r}, region="us-east-1",
    access_key_id="dummy", secret_access_key="dummy",
)
store.get_metadata()  # the driver is loaded
"""
    run(tmp_path, FLAGS + store + PROGRAM)
