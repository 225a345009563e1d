"""One Redis, several SDKs: who writes and who reads makes no difference.

The data set has every feature of the model once and ends with changes, refused changes and
deletions. All readers are asked for every flag for each of 200 contexts, and say value, index and
the whole reason. What they say differently is listed in `explained.py`, one by one.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests._sync.waiting import until
from tests.interop import dataset, ours
from tests.interop.comparing import assert_same, assert_same_values, comparable
from tests.interop.explained import READERS, WRITERS
from tests.interop.peers import PEERS, Peer
from tests.interop.service import streaming

# Needs package registries once; the other Pythons need not repeat it.
pytestmark = [pytest.mark.extras, pytest.mark.slow, pytest.mark.timeout(300)]

PREFIX = "größe:interop"
FEATURES, SEGMENTS = f"{PREFIX}:features", f"{PREFIX}:segments"
ONE_BY_ONE = 10  # contexts for readers that ask Redis for every single item
NOT_FOUND = {"kind": "ERROR", "errorKind": "FLAG_NOT_FOUND"}
Feed = Callable[[str, str, Path, Callable[[], bool]], AbstractContextManager[None]]

peers = pytest.mark.parametrize("peer", PEERS, ids=[peer.name for peer in PEERS])


def test_the_data_set_is_worth_comparing() -> None:
    seen = ours.expected()
    assert len(seen.details) == 200
    assert len(seen.details[0]) > 130
    outcomes = {key: {str(one[key]) for one in seen.details} for key in dataset.KEYS}
    assert sum(len(different) > 1 for different in outcomes.values()) > 75
    for key in (*dataset.DELETED_FLAGS, "never-heard-of"):
        assert outcomes[key] == {str([ours.DEFAULT, None, NOT_FOUND])}


@peers
def test_they_write_and_we_read(peer: Peer, redis_url: str, raw: Any) -> None:
    fed = (dataset.FLAGS, dataset.SEGMENTS, dataset.CHANGES)
    with streaming(*fed) as stream, peer.writing(redis_url, PREFIX, stream):
        until(lambda: bool(raw.hexists(FEATURES, dataset.LAST)))
    explained = WRITERS[peer.name]
    expected = ours.expected()
    assert_same(expected, ours.read(redis_url, PREFIX), explained)
    assert_same(expected, asyncio.run(ours.read_async(redis_url, PREFIX)), explained)
    one_by_one = ours.read_one_by_one(redis_url, PREFIX, ONE_BY_ONE)
    assert_same_values(expected.all_flags, one_by_one.all_flags, explained)
    for wanted, seen in zip(expected.details, one_by_one.details, strict=False):
        for key in wanted.keys() - explained.keys():
            assert comparable(seen[key]) == comparable(wanted[key]), key


@peers
@pytest.mark.parametrize("feed", [ours.written_by_hand, ours.written_from_file])
def test_we_write_and_they_read(
    peer: Peer, feed: Feed, redis_url: str, raw: Any, tmp_path: Path
) -> None:
    with feed(redis_url, PREFIX, tmp_path, lambda: bool(raw.hexists(FEATURES, dataset.LAST))):
        seen = peer.evaluate(redis_url, PREFIX, dataset.KEYS, dataset.contexts())
    assert_same(seen, ours.expected(), READERS[peer.name])
    for detail in seen.details:
        for key in dataset.DELETED_FLAGS:
            assert comparable(detail[key]) == comparable([ours.DEFAULT, None, NOT_FOUND])
