"""What the page on Big Segments says of the stores is what they are."""

import inspect
import re
from pathlib import Path

import pytest

from flagkeep._runtime.redis_errors import BIG_SEGMENTS_ACL
from flagkeep.stores import (
    AsyncRedisBigSegmentStore,
    AsyncSQLiteBigSegmentStore,
    RedisBigSegmentStore,
    RedisStore,
    SQLiteBigSegmentStore,
)

PAGE = (Path(__file__).resolve().parents[2] / "docs/big-segments.md").read_text(encoding="utf-8")


def test_the_rights_that_a_user_of_redis_needs_are_those_of_the_error() -> None:
    assert f"\n{BIG_SEGMENTS_ACL.replace('~P:', '~launchdarkly:')}\n" in PAGE


def test_the_arguments_are_those_of_the_other_store() -> None:
    wanted = inspect.signature(RedisStore.__init__).parameters
    for store in (RedisBigSegmentStore, AsyncRedisBigSegmentStore):
        found = inspect.signature(store.__init__).parameters
        assert list(found) == list(wanted)
        assert [one.default for one in found.values()] == [one.default for one in wanted.values()]


@pytest.mark.parametrize("store", [SQLiteBigSegmentStore, AsyncSQLiteBigSegmentStore])
def test_the_arguments_of_the_store_in_sqlite_are_described(store: type) -> None:
    shown = re.search(r"`SQLiteBigSegmentStore\((.*?)\)`", PAGE)
    assert shown
    described = re.findall(r"(\w+)(?:=[^,]+)?(?:, |$)", shown.group(1).replace("*, ", ""))
    assert described == list(inspect.signature(store).parameters)
