"""flagkeep as a writer and as a reader of a shared database."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from flagkeep import AsyncClient, CachePolicy, Client, Config, Context, FileSource, StorePolicy
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import encode_json, to_item
from flagkeep.model.detail import Detail
from flagkeep.model.item import ItemRef, Kind
from flagkeep.model.tombstone import tombstone
from flagkeep.testing import TestData
from tests._sync.hand_source import HandSource, environment
from tests.interop.dataset import EVERYTHING, DataSet
from tests.interop.items import Json
from tests.interop.peers import Seen
from tests.interop.place import Place
from tests.interop.waiting import PATIENCE, until

DEFAULT = "the default"


@cache
def expected(data: DataSet = EVERYTHING) -> Seen:
    """Return what everybody should see, from memory: no store has a part in it."""
    source = TestData()
    flags, segments = data.after_changes()
    for one in segments:
        source.update_segment(one)
    for one in flags:
        source.use_preconfigured_flag(one)
    with Client(Config(source=source)) as client:
        assert client.wait_until_ready(PATIENCE)
        return _seen(client, data)


def read(place: Place, data: DataSet = EVERYTHING, *, bad: int = 0) -> Seen:
    """Return what a `Client` reads that holds the whole environment, with so many bad items."""
    with Client(Config(daemon=True), store=place.store()) as client:
        assert client.wait_until_ready(PATIENCE)
        seen = _seen(client, data)
        assert len(client.status.bad_items) == bad, client.status.bad_items
        return seen


def read_one_by_one(place: Place, data: DataSet) -> Seen:
    """Return what a `Client` reads that has no memory and asks for every single item."""
    policy = StorePolicy(prefetch=False, deadline=PATIENCE)
    config = Config(daemon=True, cache=CachePolicy.off(), store_policy=policy)
    with Client(config, store=place.store()) as client:
        return _seen(client, data)


async def read_async(place: Place, data: DataSet = EVERYTHING) -> Seen:
    """Return what an `AsyncClient` reads that holds the whole environment."""
    async with AsyncClient(Config(daemon=True), store=place.async_store()) as client:
        assert await client.wait_until_ready(PATIENCE)
        contexts = [Context.from_dict(one) for one in data.contexts]
        all_flags = await client.all_flags(contexts[0])
        assert all_flags.valid
        details = [
            {key: plain(await client.variation_detail(key, context, DEFAULT)) for key in data.keys}
            for context in contexts
        ]
        return Seen(all_flags.to_values(), details)


@contextmanager
def written_by_hand(place: Place, data: DataSet, _folder: Path) -> Iterator[None]:
    """Fill the store as a stream would: everything, then each change with its own version."""
    source = HandSource()
    with Client(Config(source=source), store=place.store()) as client:
        source.deliver(environment(*data.flags, segments=tuple(data.segments)))
        for change in data.changes:
            source.deliver(as_change_set(*change))
        until(place.is_written)
        yield
        assert client.close().complete


@contextmanager
def written_from_file(place: Place, data: DataSet, folder: Path) -> Iterator[None]:
    """Fill the store from a file that is rewritten once; what is not in it any more is deleted."""
    file = folder / "flags.json"
    _write(file, data.flags, data.segments)
    source = FileSource(file, force_polling=True, poll_interval=0.02)
    with Client(Config(source=source), store=place.store()) as client:
        assert client.wait_until_ready(PATIENCE)
        _write(file, *data.after_changes())
        until(place.is_written)
        yield
        assert client.close().complete


def as_change_set(is_segment: bool, item: Json) -> ChangeSet:  # noqa: FBT001  it is `*change`
    """Return one change as a source delivers it."""
    kind, key = Kind.SEGMENT if is_segment else Kind.FLAG, item["key"]
    if item["deleted"]:
        return ChangeSet.partial({ItemRef(kind, key): tombstone(kind, key, item["version"])})
    return ChangeSet.partial({ItemRef(kind, key): to_item(kind, key, encode_json(item))})


def _write(file: Path, flags: Sequence[Json], segments: Sequence[Json]) -> None:
    """Write a file with all the white space and escapes that a store must not get."""
    by_key = {"flags": {one["key"]: one for one in flags}}
    by_key["segments"] = {one["key"]: one for one in segments}
    new = file.with_suffix(".new")
    new.write_text(json.dumps(by_key, indent=1), encoding="utf-8")
    new.replace(file)


def _seen(client: Client, data: DataSet) -> Seen:
    contexts = [Context.from_dict(one) for one in data.contexts]
    all_flags = client.all_flags(contexts[0])
    assert all_flags.valid
    details = [
        {key: plain(client.variation_detail(key, context, DEFAULT)) for key in data.keys}
        for context in contexts
    ]
    return Seen(all_flags.to_values(), details)


def plain(detail: Detail[Any]) -> list[Any]:
    """Return a detail as peers print it."""
    return [detail.value, detail.index, detail.reason.to_dict()]
