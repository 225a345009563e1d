"""Items and tombstones as the SDKs write them that do not run here: Go, Ruby, .NET and others."""

import asyncio
import json
from typing import Any

import pytest

from flagkeep import AsyncClient, Client, Config, Context
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import encode_json, to_item
from flagkeep.model.item import ItemRef, Kind
from flagkeep.stores import AsyncRedisStore, RedisStore
from tests.interop import dataset, ours
from tests.interop.comparing import assert_same
from tests.interop.styles import FLAG, SEGMENT, STYLES, TOMBSTONES, VERSION

pytestmark = [pytest.mark.extras, pytest.mark.slow]

PREFIX = "interop"
USER = Context.create("user-1")
GONE = {Kind.FLAG: "gone", Kind.SEGMENT: "gone-segment"}
HASHES = {Kind.FLAG: f"{PREFIX}:features", Kind.SEGMENT: f"{PREFIX}:segments"}


@pytest.mark.parametrize("language", STYLES)
def test_live_items(language: str, redis_url: str, raw: Any) -> None:
    style = STYLES[language]
    flags, segments = dataset.after_changes()
    for kind, items, fields in ((Kind.SEGMENT, segments, SEGMENT), (Kind.FLAG, flags, FLAG)):
        rows = {one["key"]: style.write(one, fields) for one in items}
        raw.hset(HASHES[kind], mapping={**rows, **dict(style.extra)})
    if style.marker is not None:
        raw.set(f"{PREFIX}:$inited", style.marker)
    expected = ours.expected()
    assert_same(expected, ours.read(redis_url, PREFIX, bad=2 * len(style.extra)), {})
    seen = asyncio.run(ours.read_async(redis_url, PREFIX))
    assert_same(expected, seen, {})


@pytest.fixture(params=TOMBSTONES)
def deleted(request: pytest.FixtureRequest, raw: Any) -> str:
    """A small environment with one tombstone of each kind, in the form of one language."""
    written = TOMBSTONES[request.param]
    needs = dataset.flag("needs-it", prerequisites=[{"key": "gone", "variation": 0}])
    asks = dataset.ruled("asks-segment", dataset.in_segment("gone-segment"))
    other = dataset.flag("other", fallthrough={"variation": dataset.YES})
    live = {one["key"]: json.dumps(one) for one in (needs, asks, other)}
    raw.hset(HASHES[Kind.FLAG], mapping={**live, "gone": written.flag})
    raw.hset(HASHES[Kind.SEGMENT], "gone-segment", written.segment)
    raw.set(f"{PREFIX}:$inited", "")
    return str(request.param)


EXPECTED = {
    "gone": [ours.DEFAULT, None, {"kind": "ERROR", "errorKind": "FLAG_NOT_FOUND"}],
    "needs-it": ["off", 2, {"kind": "PREREQUISITE_FAILED", "prerequisiteKey": "gone"}],
    "asks-segment": ["no", 0, {"kind": "FALLTHROUGH"}],
    "other": ["yes", 1, {"kind": "FALLTHROUGH"}],
}


@pytest.mark.usefixtures("deleted")
def test_tombstones_are_no_items(redis_url: str) -> None:
    with Client(Config(daemon=True), store=RedisStore(redis_url, prefix=PREFIX)) as client:
        for key, expected in EXPECTED.items():
            assert ours.plain(client.variation_detail(key, USER, ours.DEFAULT)) == expected
        assert client.all_flags(USER).to_values().keys() == EXPECTED.keys() - {"gone"}
        assert client.status.bad_items == ()


@pytest.mark.usefixtures("deleted")
async def test_tombstones_are_no_items_for_async_clients(redis_url: str) -> None:
    store = AsyncRedisStore(redis_url, prefix=PREFIX)
    async with AsyncClient(Config(daemon=True), store=store) as client:
        for key, expected in EXPECTED.items():
            assert ours.plain(await client.variation_detail(key, USER, ours.DEFAULT)) == expected
        assert (await client.all_flags(USER)).to_values().keys() == EXPECTED.keys() - {"gone"}
        assert client.status.bad_items == ()


@pytest.mark.usefixtures("deleted")
@pytest.mark.parametrize("kind", list(Kind))
def test_tombstones_have_versions(kind: Kind, redis_url: str, raw: Any) -> None:
    key = GONE[kind]
    before = raw.hget(HASHES[kind], key)
    make = dataset.flag if kind is Kind.FLAG else dataset.segment
    store = RedisStore(redis_url, prefix=PREFIX)
    try:
        for version in (VERSION - 1, VERSION):
            item = to_item(kind, key, encode_json(make(key, version=version)))
            kept = store.upsert(ChangeSet.partial({ItemRef(kind, key): item}))
            assert kept[ItemRef(kind, key)].version == VERSION
            assert kept[ItemRef(kind, key)].deleted
            assert raw.hget(HASHES[kind], key) == before
        item = to_item(kind, key, encode_json(make(key, version=VERSION + 1)))
        assert store.upsert(ChangeSet.partial({ItemRef(kind, key): item})) == {}
        assert raw.hget(HASHES[kind], key) == item.data
    finally:
        store.close()
