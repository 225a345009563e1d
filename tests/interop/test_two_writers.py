"""Two SDKs write the same flags at the same time: the newest version of each flag stays."""

import json
import threading
from typing import Any, Self

import pytest

from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import encode_json, to_item
from flagkeep.model.item import ItemRef, Kind
from flagkeep.stores import RedisStore
from tests._sync.waiting import until
from tests.interop import dataset
from tests.interop.dataset import Json, flag
from tests.interop.peers import PEERS, Peer
from tests.interop.service import streaming

pytestmark = [pytest.mark.extras, pytest.mark.slow, pytest.mark.timeout(300)]

PREFIX = "interop"
FEATURES = f"{PREFIX}:features"
KEYS = [f"größe-{number}" for number in range(10)]
ROUNDS = 60
# Theirs are odd and ours are even; one flag is last written by us, the next one by them.
THEIR_LAST = 2 * ROUNDS + 1
OUR_LAST = {key: THEIR_LAST + (1 if number % 2 else -1) for number, key in enumerate(KEYS)}
NEWEST = {key: max(ours, THEIR_LAST) for key, ours in OUR_LAST.items()}


@pytest.mark.parametrize("peer", PEERS, ids=[peer.name for peer in PEERS])
def test_the_newest_of_each_stays(peer: Peer, redis_url: str, raw: Any) -> None:
    theirs = [(False, flag(key, version=3 + 2 * n)) for n in range(ROUNDS) for key in KEYS]
    theirs.append((False, flag(dataset.LAST)))
    with (
        streaming([flag(key, version=1) for key in KEYS], [], theirs) as stream,
        RedisStoreThread(redis_url, raw) as we,
        peer.writing(redis_url, PREFIX, stream),
    ):
        until(lambda: bool(raw.hexists(FEATURES, dataset.LAST)))
        we.finish()
    stored = {key.decode(): json.loads(text) for key, text in raw.hgetall(FEATURES).items()}
    assert {key: stored[key]["version"] for key in KEYS} == NEWEST
    assert {key: stored[key].get("byUs", False) for key in KEYS} == {
        key: OUR_LAST[key] > THEIR_LAST for key in KEYS
    }


class RedisStoreThread(threading.Thread):
    """Writes its versions of all flags, never more than a round ahead of the others."""

    def __init__(self, url: str, raw: Any) -> None:
        super().__init__()
        self._store = RedisStore(url, prefix=PREFIX)
        self._raw = raw

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.join()
        self._store.close()

    def finish(self) -> None:
        """Wait until everything is written."""
        self.join()

    def run(self) -> None:
        until(lambda: bool(self._raw.exists(f"{PREFIX}:$inited")))
        for n in range(ROUNDS + 1):
            self._wait_for(1 + 2 * n)
            for key in KEYS:
                if (version := 2 + 2 * n) <= OUR_LAST[key]:
                    self._write(flag(key, version=version, byUs=True))

    def _write(self, item: Json) -> None:
        key = item["key"]
        one = {ItemRef(Kind.FLAG, key): to_item(Kind.FLAG, key, encode_json(item))}
        self._store.upsert(ChangeSet.partial(one))

    def _wait_for(self, version: int) -> None:
        """Wait until the first flag has this version, of theirs, at least."""
        until(lambda: bool(json.loads(self._raw.hget(FEATURES, KEYS[0]))["version"] >= version))
