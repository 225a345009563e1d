"""What is in Redis when we have written, byte for byte."""

import json
from pathlib import Path
from typing import Any

import pytest

from flagkeep import AsyncClient, Config
from flagkeep.model.codec import encode_json
from flagkeep.model.item import Kind
from tests._async.hand_source import AsyncHandSource, environment
from tests._async.waiting import until
from tests.interop import ours
from tests.interop.dataset import EVERYTHING
from tests.interop.items import DELETED_AT, DELETED_FLAGS, DELETED_SEGMENTS
from tests.interop.place import RedisPlace
from tests.interop.styles import GO_FLAG, GO_SEGMENT

pytestmark = [pytest.mark.extras, pytest.mark.slow]

HASHES = {Kind.FLAG: "launchdarkly:features", Kind.SEGMENT: "launchdarkly:segments"}
MARKER = "launchdarkly:$inited"


@pytest.fixture
def written(place: RedisPlace, tmp_path: Path) -> Any:
    """The database after everything was written, with the prefix that all SDKs have by default."""
    place = place.at("launchdarkly")
    with ours.written_by_hand(place, EVERYTHING, tmp_path):
        pass
    return place.raw


def test_keys_types_and_no_expiry(written: Any) -> None:
    types = {key.decode(): written.type(key) for key in written.scan_iter()}
    hashes = [*HASHES.values(), "launchdarkly:$flagkeep"]  # the last one is read by us alone
    assert types == {MARKER: b"string", **dict.fromkeys(hashes, b"hash")}
    assert written.get(MARKER) == b""
    assert {written.ttl(key) for key in types} == {-1}


def test_fields_are_the_keys_as_they_are(written: Any) -> None:
    flags, segments = EVERYTHING.after_changes()
    fields = {field.decode() for field in written.hkeys(HASHES[Kind.FLAG])}
    assert fields == {*(one["key"] for one in flags), *DELETED_FLAGS}
    fields = {field.decode() for field in written.hkeys(HASHES[Kind.SEGMENT])}
    assert fields == {*(one["key"] for one in segments), *DELETED_SEGMENTS}


def test_live_items_are_what_was_received_compact_and_unescaped(written: Any) -> None:
    for kind, items in zip(HASHES, EVERYTHING.after_changes(), strict=True):
        stored = written.hgetall(HASHES[kind])
        for one in items:
            assert stored[one["key"].encode()] == encode_json(one)
    assert b'{"key":"unknown-properties","version":3,' in stored[b"unknown-properties"]
    assert "größe-日本-😀".encode() in stored["größe-日本-😀".encode()]


@pytest.mark.parametrize(
    ("kind", "keys", "form"),
    [(Kind.FLAG, DELETED_FLAGS, GO_FLAG), (Kind.SEGMENT, DELETED_SEGMENTS, GO_SEGMENT)],
)
def test_tombstones_have_the_full_schema_and_the_real_key(
    written: Any, kind: Kind, keys: tuple[str, ...], form: str
) -> None:
    for key in keys:
        text = written.hget(HASHES[kind], key)
        assert json.loads(text) == json.loads(form % key)
        assert text == encode_json(json.loads(text))
        assert json.loads(text)["version"] == DELETED_AT


async def test_both_colours_write_the_same(written: Any, redis_url: str) -> None:
    place = RedisPlace(redis_url, "another", raw=written)
    source = AsyncHandSource()
    async with AsyncClient(Config(source=source), store=place.async_store()) as client:
        await source.deliver(environment(*EVERYTHING.flags, segments=tuple(EVERYTHING.segments)))
        for change in EVERYTHING.changes:
            await source.deliver(ours.as_change_set(*change))
        await until(place.is_written)
        assert (await client.aclose()).complete
    for kind in Kind:
        assert written.hgetall(place.hash(kind)) == written.hgetall(HASHES[kind])
    assert written.get(place.marker) == written.get(MARKER)
