"""Items over DynamoDB's limit: kept in parts for flagkeep, and as they last fitted for others."""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("boto3")

from flagkeep._async.stores.dynamodb import AsyncDynamoDBStore
from flagkeep.errors import StoreUnavailable
from flagkeep.model.item import Kind, SerializedItem
from flagkeep.model.tombstone import tombstone
from flagkeep.storage.contents import Tally
from tests._async.dynamodb_stores import ME, Table, large, store_at, value
from tests._async.store_suite import flag, flags, full, part, refs
from tests.servers.dynamodb_faults import DynamoDBFaults

Open = Callable[..., AsyncDynamoDBStore]

REF = refs("big")[0]


@pytest.fixture
def table(dynamodb_url: str, dynamodb_table: str) -> Table:
    return Table(dynamodb_url, dynamodb_table)


@pytest.fixture
def opened(table: Table) -> Open:
    """Opens a store for the prefix `p`."""

    def opened(**more: Any) -> AsyncDynamoDBStore:
        return store_at(table.url, table.name, prefix="p", **more)

    return opened


@pytest.fixture
def faults(dynamodb_url: str) -> Iterator[DynamoDBFaults]:
    with DynamoDBFaults(dynamodb_url) as faults:
        yield faults


def own_keys(table: Table) -> set[str]:
    return {key for namespace, key in table.content() if namespace == "p:$flagkeep"}


async def check(store: AsyncDynamoDBStore, expected: SerializedItem | None) -> None:
    """Every way to read says the same, and the record counts it."""
    found = {} if expected is None else {REF: expected}
    assert await store.get_many([REF]) == found
    together = await store.get_many([REF, *refs("none", "other")])
    assert {ref: item for ref, item in together.items() if ref == REF} == found
    contents = await store.get_all()
    assert contents.flags.get("big") == expected
    assert contents.bad == ()
    record = await store.read_record()
    if record is not None:
        assert record.digest == Tally.of_set(full(contents.flags)).digest
        assert not record.replacing


async def test_an_item_over_the_limit_is_kept_for_us_and_its_last_row_for_others(
    opened: Open, table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened()
    await store.replace(full(flags(big=1, other=1)), ME)
    big = large("big", 2, 500_000)
    await store.replace(full({"big": big, **flags(other=2)}), ME)
    await check(store, big)
    content = table.content()
    row = content["p:features", "big"]
    assert row["item"]["S"] == flag("big", 1).data.decode()
    assert row["version"] == {"N": "1"}
    assert own_keys(table) == {"record", "features/big#0", "features/big#1"}
    (said,) = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert "'big'" in said.getMessage()
    assert table.name in said.getMessage()
    await store.replace(full({"big": big, **flags(other=2)}), ME)
    assert len([entry for entry in caplog.records if entry.levelno == logging.ERROR]) == 1
    other = opened()
    await check(other, big)
    await other.replace(full({"big": big, **flags(other=2)}), ME)
    await check(other, big)
    for one in (store, other):
        await one.aclose()


async def test_an_item_that_never_fitted_is_a_tombstone_for_others(
    opened: Open, table: Table
) -> None:
    store = opened()
    await store.replace(full({"big": large("big", 2)}), ME)
    row = table.content()["p:features", "big"]
    assert row["item"]["S"] == tombstone(Kind.FLAG, "big", 2).data.decode()
    assert row["version"] == {"N": "2"}
    await check(store, large("big", 2))
    await store.upsert(part({"big": large("big", 3), "more": large("more", 1)}))
    await check(store, large("big", 3))
    assert await value(store, "more") == 1
    await store.replace(full({}), ME)
    await check(store, None)
    assert own_keys(table) == {"record"}
    await store.aclose()


async def test_segments_and_tombstones_may_be_too_large_too(opened: Open) -> None:
    store = opened()
    text = large("gone", 4).data.replace(b'"deleted":false', b'"deleted":true')
    gone = SerializedItem(4, deleted=True, data=text)
    segment = large("s", 2)
    changes = full({"gone": gone})
    for _ in range(2):
        await store.replace(full({"gone": gone}), ME)
        assert (await store.get_all()).flags == {"gone": gone}
    assert await store.upsert(part(flags(gone=4))) == {refs("gone")[0]: gone}
    both = type(changes)(full=True, flags={"gone": gone}, segments={"s": segment})
    await store.replace(both, ME)
    contents = await store.get_all()
    assert (contents.flags, contents.segments) == ({"gone": gone}, {"s": segment})
    await store.aclose()


@pytest.mark.parametrize("is_full", [False, True])
async def test_an_item_that_fits_again_leaves_no_parts(
    opened: Open, table: Table, *, is_full: bool
) -> None:
    store = opened()

    async def write(version: int, item: SerializedItem) -> None:
        assert item.version == version
        if is_full:
            await store.replace(full({"big": item}), ME)
        else:
            assert await store.upsert(part({"big": item})) == {}
        await check(store, item)

    await store.replace(full({}), ME)
    for start in (1, 11):  # without a row at first, then with one
        await write(start, large("big", start, 900_000))
        assert len(own_keys(table)) == 4
        await write(start + 1, large("big", start + 1, 500_000))
        assert len(own_keys(table)) == 3
        await write(start + 2, large("big", start + 2))
        assert len(own_keys(table)) == 2
        await write(start + 3, flag("big", start + 3))
        assert own_keys(table) == {"record"}
        assert table.content()["p:features", "big"].keys() == {"version", "item", "digest"}
        await write(start + 4, large("big", start + 4))
        await write(start + 5, tombstone(Kind.FLAG, "big", start + 5))
        assert own_keys(table) == {"record"}
    await store.aclose()


async def test_parts_keep_older_updates_out(opened: Open) -> None:
    store = opened()
    for before in ({}, flags(big=1)):
        await store.replace(full(before), ME)
        big = large("big", 5)
        assert await store.upsert(part({"big": big})) == {}
        for late in (flag("big", 4), flag("big", 5), large("big", 4), large("big", 5)):
            assert await store.upsert(part({"big": late})) == {REF: big}
            await check(store, big)
        assert await store.upsert(part({"big": flag("big", 6)})) == {}
        await check(store, flag("big", 6))
        assert await store.upsert(part({"big": big})) == {REF: flag("big", 6)}
    await store.aclose()


async def test_a_full_set_goes_over_newer_parts_and_rows(opened: Open, table: Table) -> None:
    store = opened()
    await store.replace(full(flags(big=3)), ME)
    await store.replace(full({"big": large("big", 9)}), ME)
    await store.replace(full({"big": large("big", 5)}), ME)
    await check(store, large("big", 5))
    assert table.content()["p:features", "big"]["version"] == {"N": "3"}
    await store.replace(full({"big": flag("big", 3)}), ME)
    await check(store, flag("big", 3))
    await store.replace(full({"big": flag("big", 9)}), ME)
    await store.replace(full({"big": large("big", 5)}), ME)
    await check(store, large("big", 5))
    row = table.content()["p:features", "big"]  # was newer than what is true
    assert row["item"]["S"] == tombstone(Kind.FLAG, "big", 5).data.decode()
    await store.aclose()


async def test_a_full_set_goes_over_a_row_with_a_version_in_its_text_alone(
    opened: Open, table: Table
) -> None:
    store = opened()
    text = flag("big", 9).data.decode()
    table.put("p:features", "big", item={"S": text})
    assert await value(store, "big") == 9
    for _ in range(2):
        await store.replace(full({"big": large("big", 5)}), ME)
        await check(store, large("big", 5))
        assert table.content()["p:features", "big"]["item"] == {"S": text}
    assert await store.upsert(part(flags(big=5))) == {REF: large("big", 5)}
    assert await store.upsert(part(flags(big=6))) == {}
    await check(store, flag("big", 6))
    await store.aclose()


async def test_what_others_write_over_counts(opened: Open, table: Table) -> None:
    store = opened()
    await store.replace(full(flags(big=1)), ME)
    await store.upsert(part({"big": large("big", 5)}))
    for version in (6, 3):  # a newer state, or a whole set of one who has older data
        table.put_item("big", version, flag("big", version).data.decode())
        assert (await store.get_all()).flags == flags(big=version)
        assert await value(store, "big") == version
    await store.replace(full({"big": large("big", 5)}), ME)
    await check(store, large("big", 5))
    table.put_item("big", 3, flag("big", 3).data.decode())
    assert await store.upsert(part({"big": large("big", 7)})) == {}
    assert await value(store, "big") == 7
    await store.aclose()


@pytest.mark.parametrize("was_there", [False, True])
async def test_what_others_delete_is_gone_and_does_not_come_back(
    opened: Open, table: Table, *, was_there: bool
) -> None:
    store = opened()
    await store.replace(full(flags(big=1) if was_there else {}))
    await store.upsert(part({"big": large("big", 5)}))
    table.put_item("big", 6, flag("big", 6).data.decode())
    table.delete("p:features", "big")
    await check(store, None)
    assert await store.upsert(part(flags(big=4))) == {}
    await check(store, flag("big", 4))
    table.delete("p:features", "big")
    assert await store.upsert(part({"big": large("big", 3)})) == {}  # over newer parts, left over
    await check(store, large("big", 3))
    await store.replace(full(flags(big=1)))
    assert own_keys(table) == set()
    await store.aclose()


async def test_parts_that_are_not_whole_leave_the_last_row_in_force(
    opened: Open, table: Table
) -> None:
    store = opened()
    await store.replace(full(flags(big=1)))
    await store.upsert(part({"big": large("big", 5, 500_000)}))
    table.delete("p:$flagkeep", "features/big#1")
    assert (await store.get_all()).flags == flags(big=1)
    assert await value(store, "big") == 1
    assert await store.upsert(part(flags(big=2))) == {}
    await check(store, flag("big", 2))
    await store.replace(full(flags(big=2)))
    assert own_keys(table) == set()
    await store.aclose()


async def test_parts_go_with_the_next_version(opened: Open, table: Table) -> None:
    store = opened()
    await store.replace(full({}))
    await store.upsert(part({"big": large("big", 5)}))
    assert await store.upsert(part(flags(big=7))) == {}
    assert own_keys(table) == set()
    await check(store, flag("big", 7))
    await store.aclose()


async def test_parts_that_no_row_names_go_with_the_next_full_set(
    opened: Open, table: Table
) -> None:
    store = opened()
    await store.replace(full({}))
    await store.upsert(part({"big": large("big", 5)}))
    table.put_item("big", 6, flag("big", 6).data.decode())
    assert await store.upsert(part(flags(big=7))) == {}
    await check(store, flag("big", 7))
    await store.replace(full(flags(big=8)))
    assert own_keys(table) == set()
    await check(store, flag("big", 8))
    await store.aclose()


@pytest.mark.parametrize("is_full", [False, True])
async def test_credentials_that_expire_fail_it_as_anything_else(
    opened: Open, faults: DynamoDBFaults, *, is_full: bool
) -> None:
    store = opened(endpoint=faults.url)
    await store.replace(full(flags(big=1)), ME)
    faults.error("TransactWriteItems", "ExpiredTokenException", message="?")
    big = {"big": large("big", 2)}
    with pytest.raises(StoreUnavailable, match="the session token has expired"):
        await (store.replace(full(big), ME) if is_full else store.upsert(part(big)))
    faults.pass_on()
    await store.replace(full(big), ME)
    await check(store, large("big", 2))
    await store.aclose()


async def test_parts_are_written_all_at_once(opened: Open, faults: DynamoDBFaults) -> None:
    reader, store = opened(), opened(endpoint=faults.url)
    await store.replace(full(flags(big=1)), ME)
    await store.upsert(part({"big": large("big", 2, 900_000)}))
    await check(reader, large("big", 2, 900_000))
    sent = [json.loads(one.body) for one in faults.requests if one.operation[0] == "T"]
    assert {len(one["TransactItems"]) for one in sent} == {4}
    for one in (reader, store):
        await one.aclose()


async def test_where_it_is_unclear_what_was_done_everything_has_to_be_written_again(
    opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened(endpoint=faults.url)
    await store.replace(full(flags(big=1)), ME)
    big = large("big", 3)
    faults.lose_answers("TransactWriteItems", times=1)
    with pytest.raises(StoreUnavailable, match="closed before there was an answer"):
        await store.upsert(part({"big": big}))
    assert await value(store, "big") == 3
    await store.replace(full({"big": big}), ME)
    await check(store, big)
    faults.fail("TransactWriteItems", times=1)  # which has not done it
    assert await store.upsert(part({"big": large("big", 4)})) == {}
    await check(store, large("big", 4))
    faults.lose_answers("TransactWriteItems", times=1)
    await store.replace(full({"big": large("big", 5)}), ME)
    await check(store, large("big", 5))
    await store.aclose()


async def test_more_than_a_transaction_takes_is_written_in_several(
    opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened(endpoint=faults.url)
    await store.replace(full(flags(big=1)), ME)
    huge = large("big", 2, 4_400_000)
    assert await store.upsert(part({"big": huge})) == {}
    await check(store, huge)
    assert faults.counts["TransactWriteItems"] == 2
    faults.fail("TransactWriteItems", times=1, after=1)
    await store.replace(full({"big": large("big", 3, 4_400_000)}), ME)
    await check(store, large("big", 3, 4_400_000))
    await store.replace(full(flags(big=4)), ME)
    await check(store, flag("big", 4))
    await store.aclose()


@pytest.mark.parametrize("is_full", [False, True])
async def test_an_item_that_changes_meanwhile_is_looked_at_again(
    opened: Open, table: Table, faults: DynamoDBFaults, *, is_full: bool
) -> None:
    store = opened(endpoint=faults.url)
    for before in ({}, flags(big=1)):
        await store.replace(full(before), ME)

        def change(request: Any, ask: Callable[[Any], Any]) -> Any:
            table.put_item("big", 2, flag("big", 2).data.decode())
            return ask(request)

        faults.on("TransactWriteItems", change, times=1)
        big = large("big", 5)
        if is_full:
            await store.replace(full({"big": big}), ME)
        else:
            assert await store.upsert(part({"big": big})) == {}
        assert await value(store, "big") == 5
        assert table.content()["p:features", "big"]["version"] == {"N": "2"}
    await store.aclose()


async def test_a_newer_item_that_comes_first_wins(
    opened: Open, table: Table, faults: DynamoDBFaults
) -> None:
    store, other = opened(endpoint=faults.url), opened()
    await store.replace(full({}), ME)
    fast = large("big", 8, 500_000)

    def overtake(request: Any, ask: Callable[[Any], Any]) -> Any:
        table.put_item("big", 8, flag("big", 8).data.decode())
        return ask(request)

    faults.on("TransactWriteItems", overtake, times=1)
    assert await store.upsert(part({"big": large("big", 5)})) == {REF: flag("big", 8)}
    await store.replace(full({}), ME)
    assert await other.upsert(part({"big": fast})) == {}
    assert await store.upsert(part({"big": large("big", 5)})) == {REF: fast}
    await check(store, fast)
    for one in (store, other):
        await one.aclose()


async def test_what_cannot_be_kept_in_parts_either_is_named_and_holds_nothing_up(
    opened: Open, faults: DynamoDBFaults, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened(endpoint=faults.url)
    await store.replace(full(flags(big=1)), ME)
    refusals = {
        "UnknownOperationException": "does not know",
        "AccessDeniedException": "denies",
        "ValidationException": "too large, says the server",
    }
    for kind, expected in refusals.items():
        faults.error("TransactWriteItems", kind, message="too large, says the server")
        caplog.clear()
        await store.replace(full({"big": large("big", 2), **flags(a=2)}), ME)
        contents = await store.get_all()
        assert contents.initialized
        assert contents.flags == flags(big=1, a=2)
        record = await store.read_record()
        assert record is not None
        assert record.digest == Tally.of_set(full(contents.flags)).digest
        assert await store.upsert(part({"big": large("big", 2), "a": flag("a", 3)})) == {}
        assert (await store.get_all()).flags == flags(big=1, a=3)
        said = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
        assert len(said) == 2
        assert all(expected in line for line in said)
        faults.pass_on()
        await store.replace(full(flags(big=1)), ME)
    await store.aclose()


async def test_a_key_too_long_for_parts_is_named_and_hides_no_other(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened()
    key = "x" * 1020
    await store.replace(full({key: flag(key)}), ME)
    await store.replace(full({key: large(key, 2), **flags(a=1)}), ME)
    assert (await store.get_all()).flags == {key: flag(key), **flags(a=1)}
    assert await store.get_many(refs(key, "y" * 1020)) == {refs(key)[0]: flag(key)}
    assert await store.upsert(part({key: flag(key, 3)})) == {}
    assert "too long for keeping parts" in caplog.text
    await store.aclose()


async def test_ordinary_reads_cost_no_more_for_all_that(
    opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened(endpoint=faults.url)
    await store.replace(full({"big": large("big", 2), **flags(a=1, b=1)}), ME)
    faults.counts.clear()
    assert await value(store) == 1
    assert faults.counts == {"GetItem": 1}
    assert len(await store.get_many(refs("a", "b"))) == 2
    assert faults.counts == {"GetItem": 1, "BatchGetItem": 1}
    faults.counts.clear()
    assert await value(store, "none") is None
    assert faults.counts == {"GetItem": 1}
    assert await value(store, "big") == 2
    await store.aclose()


# --- what is named for as long as it is so ------------------------------------------------------

IN_PARTS = "kept in parts, which only flagkeep reads"


def named(store: AsyncDynamoDBStore) -> dict[str, str]:
    return {one.key: one.problem for one in store.unstored}


async def test_what_only_we_can_read_is_named_until_it_fits(opened: Open) -> None:
    store, other = opened(), opened()
    await store.replace(full({"big": large("big", 1), **flags(a=1)}), ME)
    assert named(store) == {"big": IN_PARTS}
    await store.replace(full({"big": large("big", 1), **flags(a=1)}), ME)  # writes nothing of it
    assert named(store) == {"big": IN_PARTS}
    await other.replace(full({"big": large("big", 1), **flags(a=1)}), ME)
    assert named(other) == {"big": IN_PARTS}
    await store.upsert(part({"more": large("more", 1), **flags(a=2)}))
    assert named(store) == {"big": IN_PARTS, "more": IN_PARTS}
    await other.upsert(part({"more": large("more", 1)}))  # is there
    assert named(other) == {"big": IN_PARTS, "more": IN_PARTS}
    await store.upsert(part({"big": flag("big", 2)}))
    await store.upsert(part({"more": tombstone(Kind.FLAG, "more", 2)}))
    assert named(store) == {}
    refused = await other.upsert(part({"big": large("big", 2)}))  # somebody's that fits is there
    assert refused == {REF: flag("big", 2)}
    assert named(other) == {"more": IN_PARTS}
    await other.replace(full(flags(a=1)), ME)
    assert named(other) == {}
    for one in (store, other):
        await one.aclose()


@pytest.mark.parametrize("is_full", [False, True])
async def test_what_is_not_even_kept_in_parts_is_named_as_not_stored(
    opened: Open, faults: DynamoDBFaults, *, is_full: bool
) -> None:
    store = opened(endpoint=faults.url)
    await store.replace(full(flags(a=1)), ME)
    faults.error("TransactWriteItems", "ValidationException", message="too large, it says")
    items = {"big": large("big", 2), **flags(a=2)}
    if is_full:
        await store.replace(full(items), ME)
    else:
        await store.upsert(part(items))
    (bad,) = store.unstored
    assert bad.ref == REF
    assert bad.problem.startswith("not stored: over 409000 bytes, and cannot be kept in parts: ")
    assert "too large, it says" in bad.problem
    faults.pass_on()
    await store.upsert(part({"big": large("big", 3)}))
    assert named(store) == {"big": IN_PARTS}
    await store.aclose()


async def test_keys_that_no_row_can_have_are_named(opened: Open) -> None:
    store, long = opened(), "x" * 1025
    unsplit = "y" * 1020  # too long for the keys of parts
    odd = {"": flag("k"), long: flag("k"), unsplit: large(unsplit, 2)}
    await store.replace(full({**flags(a=1), **odd}), ME)
    said = named(store)
    assert said.keys() == odd.keys()
    assert all(problem.startswith("not stored: ") for problem in said.values())
    assert "empty key" in said[""]
    assert "1024 bytes" in said[long]
    assert "too long for keeping parts" in said[unsplit]
    gone = {key: tombstone(Kind.FLAG, key, 3) for key in odd}
    await store.upsert(part(gone))
    assert named(store) == {}
    await store.aclose()
