"""Two SDKs write the same flags at the same time: the newest version of each flag stays."""

import threading
from typing import Self

import pytest

from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import encode_json, to_item
from flagkeep.model.item import ItemRef, Kind
from tests.interop.dataset import DataSet
from tests.interop.items import LAST, Json, flag
from tests.interop.peers import Peer, of_pairs
from tests.interop.place import Place
from tests.interop.service import streaming
from tests.interop.waiting import until

pytestmark = [
    pytest.mark.extras,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("dynamodb_here", "consul_here"),
]

KEYS = [f"größe-{number}" for number in range(10)]
ROUNDS = 30
# Theirs are odd and ours are even; one flag is last written by us, the next one by them.
THEIR_LAST = 2 * ROUNDS + 1
OUR_LAST = {key: THEIR_LAST + (1 if number % 2 else -1) for number, key in enumerate(KEYS)}
NEWEST = {key: max(ours, THEIR_LAST) for key, ours in OUR_LAST.items()}


@of_pairs()
def test_the_newest_of_each_stays(peer: Peer, place: Place) -> None:
    peer.commands[place.database]()  # installs what is missing, for which our thread would not wait
    theirs = [(False, flag(key, version=3 + 2 * n)) for n in range(ROUNDS) for key in KEYS]
    data = DataSet([flag(key, version=1) for key in KEYS], [], [*theirs, (False, flag(LAST))], [])
    with streaming(data, place) as stream, OurThread(place) as we, peer.writing(place, stream):
        until(place.is_written)
        we.join()
    stored = place.items(Kind.FLAG)
    assert {key: stored[key]["version"] for key in KEYS} == NEWEST
    assert {key: stored[key]["variations"][0] for key in KEYS} == {
        key: "ours" if OUR_LAST[key] > THEIR_LAST else "no" for key in KEYS
    }


class OurThread(threading.Thread):
    """Writes its versions of all flags, never more than a round ahead of the others."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place
        self._store = place.store()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.join()
        self._store.close()

    def run(self) -> None:
        until(self._place.is_marked)
        for n in range(ROUNDS + 1):
            self._wait_for(1 + 2 * n)
            for key in KEYS:
                if (version := 2 + 2 * n) <= OUR_LAST[key]:
                    self._write(flag(key, version=version, variations=["ours"]))

    def _write(self, item: Json) -> None:
        key = item["key"]
        one = {ItemRef(Kind.FLAG, key): to_item(Kind.FLAG, key, encode_json(item))}
        self._store.upsert(ChangeSet.partial(one))

    def _wait_for(self, version: int) -> None:
        """Wait until the first flag has this version, of theirs, at least."""
        until(lambda: bool(self._place.items(Kind.FLAG)[KEYS[0]]["version"] >= version))
