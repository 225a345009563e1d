"""One Redis, several SDKs: who writes and who reads makes no difference.

The data set has every feature of the model once and ends with changes, refused changes and
deletions. All readers are asked for every flag for each of 200 contexts, and say value, index and
the whole reason. What they say differently is listed in `explained.py`, one by one. Older SDKs
know users only; they get the part of the data set that does.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from tests._sync.waiting import until
from tests.interop import ours
from tests.interop.comparing import assert_same, assert_same_values, comparable
from tests.interop.dataset import EVERYTHING, OF_USERS, DataSet
from tests.interop.explained import READERS, WRITERS
from tests.interop.items import DELETED_FLAGS
from tests.interop.peers import OLDER, PEERS, Peer
from tests.interop.place import Place
from tests.interop.service import streaming

# Needs package registries once; the other Pythons need not repeat it.
pytestmark = [pytest.mark.extras, pytest.mark.slow, pytest.mark.timeout(300)]

NOT_FOUND = [ours.DEFAULT, None, {"kind": "ERROR", "errorKind": "FLAG_NOT_FOUND"}]
ONE_BY_ONE = 10  # contexts for readers that ask Redis for every single item
Feed = Callable[[Place, DataSet, Path], AbstractContextManager[None]]

BOTH = [*((peer, EVERYTHING) for peer in PEERS), *((peer, OF_USERS) for peer in OLDER)]
peers = pytest.mark.parametrize(("peer", "data"), BOTH, ids=[peer.name for peer, _ in BOTH])
feeds = pytest.mark.parametrize("feed", [ours.written_by_hand, ours.written_from_file])


@pytest.mark.parametrize(("data", "flags"), [(EVERYTHING, 130), (OF_USERS, 100)])
def test_the_data_sets_are_worth_comparing(data: DataSet, flags: int) -> None:
    seen = ours.expected(data)
    assert len(seen.details) == 200
    assert len(seen.details[0]) > flags
    outcomes = {key: {str(one[key]) for one in seen.details} for key in data.keys}
    assert sum(len(different) > 1 for different in outcomes.values()) > flags / 2
    for key in (*DELETED_FLAGS, "never-heard-of"):
        assert outcomes[key] == {str(NOT_FOUND)}


@peers
def test_they_write_and_we_read(peer: Peer, data: DataSet, place: Place) -> None:
    with streaming(data) as stream, peer.writing(place, stream):
        until(place.is_written)
    explained = WRITERS[peer.name]
    wanted = ours.expected(data)
    assert_same(wanted, ours.read(place, data), explained)
    assert_same(wanted, asyncio.run(ours.read_async(place, data)), explained)
    few = replace(data, contexts=data.contexts[:ONE_BY_ONE])
    one_by_one = ours.read_one_by_one(place, few)
    assert_same_values(wanted.all_flags, one_by_one.all_flags, explained)
    for want, seen in zip(wanted.details, one_by_one.details, strict=False):
        for key in want.keys() - explained.keys():
            assert comparable(seen[key]) == comparable(want[key]), key


@peers
@feeds
def test_we_write_and_they_read(
    peer: Peer, data: DataSet, feed: Feed, place: Place, tmp_path: Path
) -> None:
    with feed(place, data, tmp_path):
        seen = peer.evaluate(place, data)
    assert_same(seen, ours.expected(data), READERS[peer.name])
    for detail in seen.details:
        for key in DELETED_FLAGS:
            assert comparable(detail[key]) == comparable(NOT_FOUND)
