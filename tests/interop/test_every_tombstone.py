"""One environment that holds what every writer leaves behind where it deletes, and worse.

On DynamoDB and Consul; `test_styles.py` has each of them alone on Redis.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest

from flagkeep import AsyncClient, CachePolicy, Client, Config, Context, StorePolicy
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import encode_json, to_item
from flagkeep.model.item import ItemRef, Kind
from tests.interop import items, ours
from tests.interop.place import DynamoDBPlace, Place
from tests.interop.styles import TOMBSTONES, VERSION
from tests.interop.waiting import PATIENCE

pytestmark = [
    pytest.mark.extras,
    pytest.mark.slow,
    pytest.mark.usefixtures("dynamodb_here", "consul_here"),
    pytest.mark.parametrize("database", ["redis", "dynamodb", "consul"], indirect=True),
]

USER = Context.create("user-1")
NOT_FOUND: Final = [ours.DEFAULT, None, {"kind": "ERROR", "errorKind": "FLAG_NOT_FOUND"}]
TEXTS: Final = {
    **{f"deleted by {name}": written for name, written in TOMBSTONES.items()},
    # Of old Relay, C and others that may not know the flag.
    "deleted without a key": '{"version":7,"deleted":true}',
}
# What no SDK should write, and what must not hide the rest.
BROKEN: Final = {
    "empty": "",
    "null": "null",
    "cut": '{"key":"cut","version":7',
    "a text": '"text"',
    "a list": "[]",
    "a number": "7",
    "no version": '{"key":"no version","on":false}',
}
# What Java and .NET leave in DynamoDB, and rows that are no items.
NULL: Final = {"version": {"N": "7"}, "item": {"S": "null"}}
ROWS: Final[Mapping[str, Mapping[str, Any]]] = {
    "without item": {"version": {"N": "7"}},
    "without anything": {},
    "item is binary": {"version": {"N": "7"}, "item": {"B": "AAEC"}},
    "item is a map": {"version": {"N": "7"}, "item": {"M": {}}},
    "version is a text": {"version": {"S": "seven"}, "item": {"S": ""}},
}
LIVE: Final = [
    items.flag("needs it", prerequisites=[{"key": "deleted by Rust", "variation": 0}]),
    items.ruled("asks segment", items.in_segment("deleted by Go and its relay")),
    items.flag("other", fallthrough={"variation": items.YES}),
]
EXPECTED: Final = {
    "needs it": ["off", 2, {"kind": "PREREQUISITE_FAILED", "prerequisiteKey": "deleted by Rust"}],
    "asks segment": ["no", 0, {"kind": "FALLTHROUGH"}],
    "other": ["yes", 1, {"kind": "FALLTHROUGH"}],
}


@pytest.fixture
def gone(place: Place) -> list[str]:
    """The keys of flags that are deleted; in the environment are also segments, and live flags."""
    flags = {key: text.replace('"gone"', json.dumps(key)) for key, text in _texts("flag").items()}
    segments = {
        key: text.replace('"gone-segment"', json.dumps(key))
        for key, text in _texts("segment").items()
    }
    live = {one["key"]: json.dumps(one) for one in LIVE}
    place.put(Kind.FLAG, {**flags, **live})
    place.put(Kind.SEGMENT, segments)
    if isinstance(place, DynamoDBPlace):
        for kind in Kind:
            place.put_row(kind, "deleted by Java", **NULL)
        flags["deleted by Java"] = "null"
    place.mark("")
    return [*flags]


def _texts(kind: str) -> dict[str, str]:
    return {
        key: text if isinstance(text, str) else getattr(text, kind) for key, text in TEXTS.items()
    }


@pytest.fixture
def broken(place: Place) -> set[str]:
    """The keys of flags and segments that nobody can read."""
    if isinstance(place, DynamoDBPlace):
        texts = {key: {"version": {"N": "7"}, "item": {"S": text}} for key, text in BROKEN.items()}
        del texts["null"]  # is a tombstone
        del texts["no version"]  # has one, in an attribute of its own
        rows = {**texts, **ROWS, "no version at all": {"item": {"S": BROKEN["no version"]}}}
        for key, row in rows.items():
            for kind in Kind:
                place.put_row(kind, key, **row)
        return {*rows}
    for kind in Kind:
        place.put(kind, BROKEN)
    return {*BROKEN}


def whole(place: Place, see: Callable[[Client], None]) -> None:
    """Let a client that holds everything be looked at."""
    with Client(Config(daemon=True), store=place.store()) as client:
        assert client.wait_until_ready(PATIENCE)
        client.all_flags(USER)
        see(client)


def one_by_one(place: Place, see: Callable[[Client], None]) -> None:
    """Let a client be looked at that asks for every single item."""
    policy = StorePolicy(prefetch=False, deadline=PATIENCE)
    config = Config(daemon=True, cache=CachePolicy.off(), store_policy=policy)
    with Client(config, store=place.store()) as client:
        see(client)


def expect(client: Client, gone: list[str]) -> None:
    assert client.all_flags(USER).to_values().keys() == EXPECTED.keys()
    expected = {**EXPECTED, **dict.fromkeys(gone, NOT_FOUND)}
    seen = {key: ours.plain(client.variation_detail(key, USER, ours.DEFAULT)) for key in expected}
    assert seen == expected


@pytest.mark.parametrize("reader", [whole, one_by_one])
def test_tombstones_are_no_items(reader: Any, gone: list[str], place: Place) -> None:
    def see(client: Client) -> None:
        expect(client, gone)
        assert client.status.bad_items == ()

    reader(place, see)


def test_nor_are_they_for_asyncio(gone: list[str], place: Place) -> None:
    async def see() -> None:
        async with AsyncClient(Config(daemon=True), store=place.async_store()) as client:
            assert await client.wait_until_ready(PATIENCE)
            assert (await client.all_flags(USER)).to_values().keys() == EXPECTED.keys()
            for key in gone:
                detail = await client.variation_detail(key, USER, ours.DEFAULT)
                assert ours.plain(detail) == NOT_FOUND
            assert client.status.bad_items == ()

    asyncio.run(see())


@pytest.mark.parametrize("reader", [whole, one_by_one])
def test_what_cannot_be_read_is_named_and_hides_nothing(
    reader: Any, gone: list[str], broken: set[str], place: Place
) -> None:
    def see(client: Client) -> None:
        for key in broken:
            detail = client.variation_detail(key, USER, ours.DEFAULT)
            assert detail.value == ours.DEFAULT
            assert detail.reason.to_dict()["kind"] == "ERROR"
        expect(client, gone)
        named = {(item.kind, item.key) for item in client.status.bad_items}
        assert named == {(kind, key) for kind in Kind for key in broken}

    reader(place, see)


@pytest.mark.parametrize("kind", list(Kind))
def test_tombstones_have_versions(kind: Kind, gone: list[str], place: Place) -> None:
    before = place.texts(kind)
    store = place.store()
    try:
        for version in (VERSION - 1, VERSION):
            kept = store.upsert(changes(kind, gone, version))
            assert {ref.key for ref in kept} == {*gone}
            assert {(one.version, one.deleted) for one in kept.values()} == {(VERSION, True)}
        assert place.texts(kind) == before
        newer = changes(kind, gone, VERSION + 1)
        assert store.upsert(newer) == {}
        assert store.get_many([ItemRef(kind, key) for key in gone]).keys() == {
            ItemRef(kind, key) for key in gone
        }
    finally:
        store.close()
    after = place.items(kind)
    assert {after[key]["version"] for key in gone} == {VERSION + 1}


def changes(kind: Kind, keys: list[str], version: int) -> ChangeSet:
    make = items.flag if kind is Kind.FLAG else items.segment
    made = {key: encode_json(make(key, version=version)) for key in keys}
    return ChangeSet.partial(
        {ItemRef(kind, key): to_item(kind, key, one) for key, one in made.items()}
    )
