"""flagkeep as a writer and as a reader of a shared Redis."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from flagkeep import AsyncClient, CachePolicy, Client, Config, Context, FileSource, StorePolicy
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import encode_json, to_item
from flagkeep.model.detail import Detail
from flagkeep.model.item import ItemRef, Kind
from flagkeep.storage.items import tombstone
from flagkeep.stores import AsyncRedisStore, RedisStore
from flagkeep.testing import TestData
from tests._sync.hand_source import HandSource, environment
from tests._sync.waiting import until
from tests.interop import dataset
from tests.interop.dataset import KEYS, Json
from tests.interop.peers import Seen

DEFAULT = "the default"
IsThere = Callable[[], bool]


@cache
def expected() -> Seen:
    """Return what everybody should see, from memory: no store has a part in it."""
    flags, segments = dataset.after_changes()
    data = TestData()
    for one in segments:
        data.update_segment(one)
    for one in flags:
        data.use_preconfigured_flag(one)
    with Client(Config(source=data)) as client:
        assert client.wait_until_ready()
        return _seen(client, dataset.contexts())


def read(url: str, prefix: str, *, bad: int = 0) -> Seen:
    """Return what a `Client` reads that holds the whole environment, with so many bad items."""
    with Client(Config(daemon=True), store=RedisStore(url, prefix=prefix)) as client:
        assert client.wait_until_ready()
        seen = _seen(client, dataset.contexts())
        assert len(client.status.bad_items) == bad, client.status.bad_items
        return seen


def read_one_by_one(url: str, prefix: str, contexts: int) -> Seen:
    """Return what a `Client` without any memory reads, for the first contexts only."""
    policy = StorePolicy(prefetch=False)
    config = Config(daemon=True, cache=CachePolicy.off(), store_policy=policy)
    with Client(config, store=RedisStore(url, prefix=prefix)) as client:
        return _seen(client, dataset.contexts()[:contexts])


async def read_async(url: str, prefix: str) -> Seen:
    """Return what an `AsyncClient` reads that holds the whole environment."""
    store = AsyncRedisStore(url, prefix=prefix)
    async with AsyncClient(Config(daemon=True), store=store) as client:
        assert await client.wait_until_ready()
        contexts = [Context.from_dict(one) for one in dataset.contexts()]
        all_flags = await client.all_flags(contexts[0])
        assert all_flags.valid
        details = [
            {key: plain(await client.variation_detail(key, context, DEFAULT)) for key in KEYS}
            for context in contexts
        ]
        return Seen(all_flags.to_values(), details)


@contextmanager
def written_by_hand(url: str, prefix: str, _folder: Path, is_there: IsThere) -> Iterator[None]:
    """Fill the store as a stream would: everything, then each change with its own version."""
    source = HandSource()
    config = Config(source=source)
    with Client(config, store=RedisStore(url, prefix=prefix)) as client:
        source.deliver(environment(*dataset.FLAGS, segments=tuple(dataset.SEGMENTS)))
        for is_segment, item in dataset.CHANGES:
            source.deliver(_change(Kind.SEGMENT if is_segment else Kind.FLAG, item))
        until(is_there)
        yield
        assert client.close().complete


@contextmanager
def written_from_file(url: str, prefix: str, folder: Path, is_there: IsThere) -> Iterator[None]:
    """Fill the store from a file that is rewritten once; what is not in it any more is deleted."""
    file = folder / "flags.json"
    _write(file, dataset.FLAGS, dataset.SEGMENTS)
    source = FileSource(file, force_polling=True, poll_interval=0.02)
    with Client(Config(source=source), store=RedisStore(url, prefix=prefix)) as client:
        assert client.wait_until_ready()
        _write(file, *dataset.after_changes())
        until(is_there)
        yield
        assert client.close().complete


def _write(file: Path, flags: list[Json], segments: list[Json]) -> None:
    by_key = {"flags": {one["key"]: one for one in flags}}
    by_key["segments"] = {one["key"]: one for one in segments}
    new = file.with_suffix(".new")
    new.write_text(json.dumps(by_key), encoding="utf-8")
    new.replace(file)


def _change(kind: Kind, item: Json) -> ChangeSet:
    key = item["key"]
    if item["deleted"]:
        return ChangeSet.partial({ItemRef(kind, key): tombstone(kind, key, item["version"])})
    return ChangeSet.partial({ItemRef(kind, key): to_item(kind, key, encode_json(item))})


def _seen(client: Client, contexts: list[Json]) -> Seen:
    them = [Context.from_dict(one) for one in contexts]
    all_flags = client.all_flags(them[0])
    assert all_flags.valid
    details = [
        {key: plain(client.variation_detail(key, context, DEFAULT)) for key in KEYS}
        for context in them
    ]
    return Seen(all_flags.to_values(), details)


def plain(detail: Detail[Any]) -> list[Any]:
    """Return a detail as peers print it."""
    return [detail.value, detail.index, detail.reason.to_dict()]
