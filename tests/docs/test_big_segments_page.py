"""What the page on Big Segments says of the stores is what they are."""

import inspect
import re
from pathlib import Path

import pytest

from flagkeep._runtime.redis_errors import BIG_SEGMENTS_ACL
from flagkeep.stores import (
    AsyncDynamoDBBigSegmentStore,
    AsyncRedisBigSegmentStore,
    AsyncSQLiteBigSegmentStore,
    DynamoDBBigSegmentStore,
    DynamoDBStore,
    RedisBigSegmentStore,
    RedisStore,
    SQLiteBigSegmentStore,
)

PAGE = (Path(__file__).resolve().parents[2] / "docs/big-segments.md").read_text(encoding="utf-8")


def test_the_rights_that_a_user_of_redis_needs_are_those_of_the_error() -> None:
    assert f"\n{BIG_SEGMENTS_ACL.replace('~P:', '~launchdarkly:')}\n" in PAGE


@pytest.mark.parametrize(
    ("store", "other"),
    [
        (RedisBigSegmentStore, RedisStore),
        (AsyncRedisBigSegmentStore, RedisStore),
        (DynamoDBBigSegmentStore, DynamoDBStore),
        (AsyncDynamoDBBigSegmentStore, DynamoDBStore),
    ],
)
def test_the_arguments_are_those_of_the_other_store(store: type, other: type) -> None:
    found, wanted = (inspect.signature(one).parameters for one in (store, other))
    assert list(found) == list(wanted)
    assert [one.default for one in found.values()] == [one.default for one in wanted.values()]


@pytest.mark.parametrize("store", [SQLiteBigSegmentStore, AsyncSQLiteBigSegmentStore])
def test_the_arguments_of_the_store_in_sqlite_are_described(store: type) -> None:
    shown = re.search(r"`SQLiteBigSegmentStore\((.*?)\)`", PAGE)
    assert shown
    described = re.findall(r"(\w+)(?:=[^,]+)?(?:, |$)", shown.group(1).replace("*, ", ""))
    assert described == list(inspect.signature(store).parameters)
