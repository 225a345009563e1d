"""Items and tombstones as the SDKs write them that do not run here: Go, Ruby, .NET and others."""

import asyncio
import json

import pytest

from flagkeep import AsyncClient, Client, Config, Context
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import encode_json, to_item
from flagkeep.model.item import ItemRef, Kind
from tests.interop import items, ours
from tests.interop.comparing import assert_same
from tests.interop.dataset import EVERYTHING
from tests.interop.place import Place
from tests.interop.styles import FLAG, SEGMENT, STYLES, TOMBSTONES, VERSION

pytestmark = [pytest.mark.extras, pytest.mark.slow]

DATA = EVERYTHING.of_some(40)  # more contexts would read the same texts
USER = Context.create("user-1")
GONE = {Kind.FLAG: "gone", Kind.SEGMENT: "gone-segment"}


@pytest.mark.parametrize("language", STYLES)
def test_live_items(language: str, place: Place) -> None:
    style = STYLES[language]
    flags, segments = DATA.after_changes()
    for kind, live, fields in ((Kind.SEGMENT, segments, SEGMENT), (Kind.FLAG, flags, FLAG)):
        rows = {one["key"]: style.write(one, fields) for one in live}
        place.put(kind, {**rows, **dict(style.extra)})
    if style.marker is not None:
        place.mark(style.marker)
    expected = ours.expected(DATA)
    assert_same(expected, ours.read(place, DATA, bad=2 * len(style.extra)), {})
    assert_same(expected, asyncio.run(ours.read_async(place, DATA)), {})


@pytest.fixture(params=TOMBSTONES)
def deleted(request: pytest.FixtureRequest, place: Place) -> str:
    """A small environment with one tombstone of each kind, in the form of one language."""
    written = TOMBSTONES[request.param]
    needs = items.flag("needs-it", prerequisites=[{"key": "gone", "variation": 0}])
    asks = items.ruled("asks-segment", items.in_segment("gone-segment"))
    other = items.flag("other", fallthrough={"variation": items.YES})
    live = {one["key"]: json.dumps(one) for one in (needs, asks, other)}
    place.put(Kind.FLAG, {**live, "gone": written.flag})
    place.put(Kind.SEGMENT, {"gone-segment": written.segment})
    place.mark("")
    return str(request.param)


EXPECTED = {
    "gone": [ours.DEFAULT, None, {"kind": "ERROR", "errorKind": "FLAG_NOT_FOUND"}],
    "needs-it": ["off", 2, {"kind": "PREREQUISITE_FAILED", "prerequisiteKey": "gone"}],
    "asks-segment": ["no", 0, {"kind": "FALLTHROUGH"}],
    "other": ["yes", 1, {"kind": "FALLTHROUGH"}],
}


@pytest.mark.usefixtures("deleted")
def test_tombstones_are_no_items(place: Place) -> None:
    with Client(Config(daemon=True), store=place.store()) as client:
        for key, expected in EXPECTED.items():
            assert ours.plain(client.variation_detail(key, USER, ours.DEFAULT)) == expected
        assert client.all_flags(USER).to_values().keys() == EXPECTED.keys() - {"gone"}
        assert client.status.bad_items == ()


@pytest.mark.usefixtures("deleted")
async def test_tombstones_are_no_items_for_async_clients(place: Place) -> None:
    async with AsyncClient(Config(daemon=True), store=place.async_store()) as client:
        for key, expected in EXPECTED.items():
            assert ours.plain(await client.variation_detail(key, USER, ours.DEFAULT)) == expected
        assert (await client.all_flags(USER)).to_values().keys() == EXPECTED.keys() - {"gone"}
        assert client.status.bad_items == ()


@pytest.mark.usefixtures("deleted")
@pytest.mark.parametrize("kind", list(Kind))
def test_tombstones_have_versions(kind: Kind, place: Place) -> None:
    key = GONE[kind]
    before = place.text(kind, key)
    make = items.flag if kind is Kind.FLAG else items.segment
    store = place.store()
    try:
        for version in (VERSION - 1, VERSION):
            item = to_item(kind, key, encode_json(make(key, version=version)))
            kept = store.upsert(ChangeSet.partial({ItemRef(kind, key): item}))
            assert kept[ItemRef(kind, key)].version == VERSION
            assert kept[ItemRef(kind, key)].deleted
            assert place.text(kind, key) == before
        item = to_item(kind, key, encode_json(make(key, version=VERSION + 1)))
        assert store.upsert(ChangeSet.partial({ItemRef(kind, key): item})) == {}
        assert place.text(kind, key) == item.data
    finally:
        store.close()
