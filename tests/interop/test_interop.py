"""One database, several SDKs: who writes and who reads makes no difference.

The data set has every feature of the model once and ends with changes, refused changes and
deletions. All readers are asked for every flag for each of 200 contexts (on DynamoDB and Consul for
40 of them), and say value, index and the whole reason. What they say differently is listed in
`explained.py`, one by one. Older SDKs know users only; they get the part of the data set that does.
"""

import asyncio
from pathlib import Path

import pytest

from tests.interop import ours
from tests.interop.comparing import assert_same, assert_same_values, comparable
from tests.interop.dataset import EVERYTHING, OF_USERS, DataSet
from tests.interop.explained import READERS, WRITERS
from tests.interop.items import DELETED_FLAGS
from tests.interop.peers import Peer, Seen, of_pairs
from tests.interop.place import Place
from tests.interop.service import streaming
from tests.interop.waiting import until

# Needs package registries once; the other Pythons need not repeat it.
pytestmark = [
    pytest.mark.extras,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("dynamodb_here", "consul_here"),
]

NOT_FOUND = [ours.DEFAULT, None, {"kind": "ERROR", "errorKind": "FLAG_NOT_FOUND"}]
SOME = {data: data.of_some(40) for data in (EVERYTHING, OF_USERS)}
ONE_BY_ONE = 3  # contexts for readers that ask for every single item


@pytest.mark.parametrize(("data", "flags"), [(EVERYTHING, 130), (OF_USERS, 100)])
def test_the_data_sets_are_worth_comparing(data: DataSet, flags: int) -> None:
    seen = ours.expected(data)
    assert len(seen.details) == 200
    assert len(seen.details[0]) > flags
    outcomes = {key: {str(one[key]) for one in seen.details} for key in data.keys}
    assert sum(len(different) > 1 for different in outcomes.values()) > flags / 2
    for key in (*DELETED_FLAGS, "never-heard-of"):
        assert outcomes[key] == {str(NOT_FOUND)}


@of_pairs()
def test_they_write_and_we_read(peer: Peer, place: Place) -> None:
    data = data_of(peer, place)
    with streaming(data, place) as stream, peer.writing(place, stream):
        until(place.is_written)
    explained = WRITERS[peer.name]
    wanted = ours.expected(data)
    assert_same(wanted, ours.read(place, data), explained)
    some = SOME[peer.data]
    assert_same(ours.expected(some), asyncio.run(ours.read_async(place, some)), explained)
    few = data.of_some(ONE_BY_ONE)
    one_by_one = ours.read_one_by_one(place, few)
    assert_same_values(wanted.all_flags, one_by_one.all_flags, explained)
    for want, seen in zip(wanted.details, one_by_one.details, strict=False):
        for key in want.keys() - explained.keys():
            assert comparable(seen[key]) == comparable(want[key]), key


@of_pairs()
def test_we_write_and_they_read(peer: Peer, place: Place, tmp_path: Path) -> None:
    data = data_of(peer, place)
    with ours.written_by_hand(place, data, tmp_path):
        seen = peer.evaluate(place, data)
    assert_seen(seen, peer, data)


@of_pairs()
def test_we_write_from_a_file_and_they_read(peer: Peer, place: Place, tmp_path: Path) -> None:
    data = data_of(peer, place)
    with ours.written_from_file(place, data, tmp_path):
        seen = peer.evaluate(place, data)
    assert_seen(seen, peer, data)


def data_of(peer: Peer, place: Place) -> DataSet:
    """All contexts are compared on Redis; what is evaluated is the same everywhere."""
    return peer.data if place.database == "redis" else SOME[peer.data]


def assert_seen(seen: Seen, peer: Peer, data: DataSet) -> None:
    assert_same(seen, ours.expected(data), READERS[peer.name])
    for detail in seen.details:
        for key in DELETED_FLAGS:
            assert comparable(detail[key]) == comparable(NOT_FOUND)
