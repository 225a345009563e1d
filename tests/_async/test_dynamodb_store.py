"""What is particular to the store in DynamoDB; what it shares with others is in the suite."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("boto3")

from flagkeep._async.stores import dynamodb_records, dynamodb_table
from flagkeep._async.stores.dynamodb import AsyncDynamoDBStore
from flagkeep._runtime import aio as runtime
from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.model.tombstone import tombstone
from flagkeep.storage.contents import Tally
from tests._async.dynamodb_stores import ME, Table, many, store_at, value
from tests._async.store_suite import flag, flags, full, part, refs
from tests._async.test_stores_rows import BAD_ROWS, TOMBSTONES
from tests.servers.dynamodb_faults import DynamoDBFaults, error

Open = Callable[..., AsyncDynamoDBStore]
RECORD = "p:$flagkeep"
THEIRS = '{"writer":"they","replacing":true}'


@pytest.fixture
def table(dynamodb_url: str, dynamodb_table: str) -> Table:
    return Table(dynamodb_url, dynamodb_table)


@pytest.fixture
def opened(table: Table) -> Open:
    """Opens a store for a prefix."""

    def opened(prefix: str = "p", **more: Any) -> AsyncDynamoDBStore:
        return store_at(table.url, table.name, prefix=prefix, **more)

    return opened


@pytest.fixture
def faults(dynamodb_url: str) -> Iterator[DynamoDBFaults]:
    """A proxy in front of the server, which counts what is asked."""
    with DynamoDBFaults(dynamodb_url) as faults:
        yield faults


# --- the layout -----------------------------------------------------------------------------------


async def test_a_full_set_lies_where_every_sdk_looks_for_it(opened: Open, table: Table) -> None:
    store = opened("")
    gone = tombstone(Kind.FLAG, "gone", 7)
    await store.replace(full({"é": flag("é", 3), "gone": gone}, segments=["s"]))
    content = table.content()
    for place, item in (
        (("features", "é"), flag("é", 3)),
        (("features", "gone"), gone),
        (("segments", "s"), flag("s")),
    ):
        row = content.pop(place)
        assert row.pop("digest")["S"]  # which is ours alone
        assert row == {"version": {"N": str(item.version)}, "item": {"S": item.data.decode()}}
    assert content == {("$inited", "$inited"): {}}
    await store.replace(full({}), ME)
    assert table.keys() == {("$inited", "$inited"), ("$flagkeep", "record")}
    await store.aclose()


async def test_the_record_says_meanwhile_that_the_set_is_not_whole(
    opened: Open, table: Table, faults: DynamoDBFaults
) -> None:
    seen = []

    def look(request: Any, ask: Callable[[Any], Any]) -> Any:
        seen.append(json.loads(table.content()["p:$flagkeep", "record"]["item"]["S"]))
        return ask(request)

    store = opened(endpoint=faults.url)
    await store.replace(full(flags(a=1)), ME)
    first = await store.read_record()
    faults.on("BatchWriteItem", look)
    await store.replace(full(flags(a=2)), ME)
    assert [(one["writer"], one["replacing"], one["replaces"]) for one in seen] == [("me", True, 1)]
    assert first is not None
    assert seen[0]["digest"] == first.digest
    last = await store.read_record()
    assert last is not None
    assert (last.replacing, last.replaces) == (False, 2)
    assert table.content()["p:$flagkeep", "record"]["version"] == {"N": "4"}
    await store.aclose()


async def test_without_a_record_nobody_takes_half_a_set_for_a_whole_one(
    opened: Open, table: Table, faults: DynamoDBFaults
) -> None:
    seen = []

    def look(request: Any, ask: Callable[[Any], Any]) -> Any:
        seen.append(("p:$flagkeep", "record") in table.content())
        return ask(request)

    store = opened(endpoint=faults.url)
    await store.replace(full(flags(a=1)), ME)
    faults.on("BatchWriteItem", look)
    await store.replace(full(flags(a=2)))
    assert seen == [False]
    assert await store.read_record() is None
    await store.aclose()


async def test_everything_is_written_in_order_and_the_marker_last(
    opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened(endpoint=faults.url)
    await store.replace(full(flags(old=1)))
    faults.requests.clear()
    needs = flag("a", 2, prerequisites='[{"key":"z","variation":0}]')
    gone = tombstone(Kind.FLAG, "gone", 2)
    items = {"gone": gone, "a": needs, **many(30), "z": flag("z")}
    await store.replace(full(items, segments=["s"]), ME)
    done: list[str] = []
    for request in faults.requests:
        asked = json.loads(request.body)
        if request.operation == "PutItem":
            done.append("put " + asked["Item"]["key"]["S"])
        elif request.operation == "BatchWriteItem":
            (batch,) = asked["RequestItems"].values()
            assert len(batch) <= 25
            for one in batch:
                (row,) = one.values()
                done.append((row.get("Item") or row["Key"])["key"]["S"])
    order = ["put record", "s", "z", "a", *many(30), "gone", "old", "put record"]
    assert done == order
    await store.clear()
    faults.requests.clear()
    await store.replace(full(flags(a=1)), ME)
    writes = [request for request in faults.requests if request.operation == "PutItem"]
    last = [json.loads(request.body)["Item"]["key"]["S"] for request in writes]
    assert last == ["record", "p:$inited", "record"]
    await store.aclose()


async def test_what_belongs_to_others_stays(opened: Open, table: Table) -> None:
    others = [
        ("p:big_segments_user", "hash"),
        ("p:big_segments_metadata", "p:big_segments_metadata"),
        ("p:metrics", "m"),
        ("p", "a"),
        ("p:features:x", "a"),
        ("p1:features", "a"),
        ("features", "a"),
        ("$inited", "$inited"),
        ("p:$flagkeep", "lease"),
    ]
    for namespace, key in others:
        table.put(namespace, key)
    store = opened("p")
    await store.replace(full(flags(a=1), segments=["s"]), ME)
    await store.replace(full({}))
    assert table.keys() == {*others, ("p:$inited", "p:$inited")}
    await store.replace(full(flags(a=1)), ME)
    await store.clear()
    assert table.keys() == set(others) - {("p:$flagkeep", "lease")}
    await store.aclose()


async def test_an_item_that_no_row_can_take_is_named_and_hides_no_other(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened()
    odd = {"": flag(""), "x" * 1025: flag("x"), "\ud800": flag("?")}
    items = {**odd, "a": flag("a"), "bytes": SerializedItem(1, False, b'{"a":"\xff"}')}
    await store.replace(full(items), ME)
    contents = await store.get_all()
    assert (contents.flags, contents.bad) == (flags(a=1), ())
    assert await store.get_many(refs(*items)) == {refs("a")[0]: flag("a")}
    said = [entry.getMessage() for entry in caplog.records]
    assert len([line for line in said if "not stored" in line]) == 4
    assert any("empty key" in line for line in said)
    record = await store.read_record()
    assert record is not None
    assert record.digest == Tally.of_set(full(flags(a=1))).digest
    assert await store.upsert(part({**odd, "b": flag("b", 2)})) == {}
    assert (await store.get_all()).flags == flags(a=1, b=2)
    assert await store.upsert(part({"": flag("")})) == {}
    await store.aclose()


async def test_an_item_that_cannot_be_stored_any_more_keeps_its_last_good_row(
    opened: Open,
) -> None:
    store = opened()
    await store.replace(full(flags(a=1, b=1)), ME)
    await store.replace(full({"a": flag("a", 2**63), "b": flag("b", 2)}), ME)
    assert (await store.get_all()).flags == flags(a=1, b=2)
    record = await store.read_record()
    assert record is not None
    assert record.digest == Tally.of_set(full(flags(a=1, b=2))).digest
    await store.aclose()


# --- what other writers do ------------------------------------------------------------------------


@pytest.mark.parametrize("writer", TOMBSTONES)
async def test_tombstones_of_every_writer_are_read(writer: str, opened: Open, table: Table) -> None:
    namespace, text = TOMBSTONES[writer]
    kind = Kind.FLAG if namespace == "features" else Kind.SEGMENT
    store = opened()
    await store.replace(full(flags(a=1), segments=["s"]))
    table.put_item("gone", 7, text, f"p:{namespace}")
    found = SerializedItem(7, deleted=True, data=text.encode())
    contents = await store.get_all()
    assert contents.of(kind)["gone"] == found
    assert contents.bad == ()
    assert await store.get_many(refs("gone", kind=kind)) == {ItemRef(kind, "gone"): found}
    if kind is Kind.FLAG:
        late = part(flags(gone=7))
        assert await store.upsert(late) == {ItemRef(kind, "gone"): found}
        assert await store.upsert(part(flags(gone=8))) == {}
    await store.aclose()


@pytest.mark.parametrize("name", BAD_ROWS)
async def test_a_bad_row_is_named_and_hides_no_other(name: str, opened: Open, table: Table) -> None:
    cell = BAD_ROWS[name]
    store = opened()
    await store.replace(full(flags(a=1)), ME)
    item: dict[str, Any] = {"item": {"S": cell}} if isinstance(cell, str) else {}
    if isinstance(cell, bytes):
        item = {"item": {"B": "AP/+"}}
    table.put("p:features", "bad", version={"N": "5"}, **item)
    contents = await store.get_all()
    assert contents.flags == flags(a=1)
    if name != "deleted by a word":
        assert [bad.key for bad in contents.bad] == ["bad"]
    (found,) = (await store.get_many(refs("bad"))).values()
    assert not found.deleted
    # What cannot be read protects nothing, whatever version it claims to be.
    assert await store.upsert(part(flags(bad=1))) == {}
    assert (await store.get_all()).flags == flags(a=1, bad=1)
    record = await store.read_record()
    assert record is not None
    assert record.digest == Tally.of_set(full(flags(a=1, bad=1))).digest
    await store.aclose()


@pytest.mark.parametrize("name", sorted(BAD_ROWS))
async def test_a_full_set_mends_rows_that_cannot_be_read(
    name: str, opened: Open, table: Table
) -> None:
    cell = BAD_ROWS[name]
    store = opened()
    item: dict[str, Any] = {"item": {"S": cell}} if isinstance(cell, str) else {}
    if isinstance(cell, bytes):
        item = {"item": {"B": "AP/+"}}
    table.put("p:features", "a", version={"N": "5"}, **item)
    await store.replace(full(flags(a=5)))
    assert (await store.get_all()).flags == flags(a=5)
    await store.aclose()


@pytest.mark.parametrize(
    "version", [{}, {"version": {"S": "9"}}, {"version": {"NULL": True}}, {"version": {"N": "0.5"}}]
)
async def test_a_row_without_a_whole_version_is_read_by_its_text(
    version: dict[str, Any], opened: Open, table: Table
) -> None:
    store = opened()
    table.put("p:features", "a", item={"S": flag("a", 7).data.decode()}, **version)
    assert (await store.get_all()).flags == flags(a=7)
    assert await value(store) == 7
    assert await store.upsert(part(flags(a=1))) == {}
    assert await value(store) == 1
    await store.aclose()


async def test_the_row_names_the_item_and_not_its_text(opened: Open, table: Table) -> None:
    store = opened()
    table.put_item("real", 3, flag("other", 2).data.decode())
    found = SerializedItem(3, deleted=False, data=flag("other", 2).data)
    assert (await store.get_all()).flags == {"real": found}
    assert await store.get_many(refs("real", "other")) == {refs("real")[0]: found}
    await store.aclose()


async def test_any_marker_counts(opened: Open, table: Table) -> None:
    table.put("p:$inited", "p:$inited", extra={"S": "x"})
    store = opened()
    assert await store.is_initialized()
    assert (await store.get_all()).initialized
    await store.aclose()


async def test_a_foreign_tombstone_of_the_same_version_is_written_over(
    opened: Open, table: Table
) -> None:
    for text in ('{"version":5,"deleted":true}', '{"version": 5, "deleted": true}', "null"):
        store = opened()
        table.put_item("a", 5, text)
        await store.replace(full(flags(a=5)))
        assert (await store.get_all()).flags == flags(a=5)
        await store.aclose()


async def test_a_tombstone_of_the_same_version_is_written_over(opened: Open) -> None:
    store = opened()
    gone = tombstone(Kind.FLAG, "a", 5)
    for item in (flag("a", 5), gone, flag("a", 5), gone, gone):
        await store.replace(full({"a": item}))
        assert (await store.get_all()).flags == {"a": item}
    await store.replace(full(flags(a=5)))
    assert await store.upsert(part({"a": tombstone(Kind.FLAG, "a", 6)})) == {}
    await store.replace(full(flags(a=6)))
    assert (await store.get_all()).flags == flags(a=6)
    await store.aclose()


# --- much, and little -----------------------------------------------------------------------------


async def test_everything_is_read_and_written_page_by_page(
    opened: Open, table: Table, faults: DynamoDBFaults
) -> None:
    store = opened(endpoint=faults.url)
    items = many(260, size=12_000)  # three pages of 1 MB, and more than two batches of keys
    await store.replace(full(items), ME)
    contents = await store.get_all()
    assert contents.flags == items
    assert faults.counts["Query"] == 3 + (3 + 1 + 1)
    found = await store.get_many(refs(*items))
    assert {ref.key: item for ref, item in found.items()} == items
    await store.replace(full(many(2, version=2)))
    assert len(table.keys()) == 2 + 1
    await store.aclose()


async def test_a_full_set_in_which_nothing_changed_writes_nothing(
    opened: Open, faults: DynamoDBFaults
) -> None:
    items = {**many(30), "gone": tombstone(Kind.FLAG, "gone", 1)}
    store = opened(endpoint=faults.url)
    await store.replace(full(items, segments=["s"]), ME)
    faults.counts.clear()
    await store.replace(full(items, segments=["s"]), ME)
    assert faults.counts == {"BatchGetItem": 1, "Query": 3, "PutItem": 1}  # the record
    faults.counts.clear()
    await store.replace(full({**items, "f00003": flag("f00003", 2)}, segments=["s"]))
    assert faults.counts["BatchWriteItem"] == 1
    await store.aclose()
    other = opened(endpoint=faults.url)
    faults.requests.clear()
    await other.replace(full({**items, "f00003": flag("f00003", 2)}, segments=["s"]))
    writes = [one for one in faults.requests if one.operation == "BatchWriteItem"]
    assert writes == []
    await other.aclose()


async def test_a_full_set_in_which_nothing_changed_restores_a_lost_marker(
    opened: Open, table: Table
) -> None:
    store = opened()
    await store.replace(full(flags(a=1)), ME)
    table.delete("p:$inited", "p:$inited")
    assert not await store.is_initialized()
    await store.replace(full(flags(a=1)), ME)
    assert await store.is_initialized()
    record = await store.read_record()
    assert record is not None
    assert not record.replacing
    await store.aclose()


async def test_every_read_is_strongly_consistent(opened: Open, faults: DynamoDBFaults) -> None:
    store = opened(endpoint=faults.url)
    await store.replace(full(flags(a=1, b=1)), ME)
    await store.upsert(part(flags(a=2)))
    await store.get_all()
    await store.get_many(refs("a", "b"))
    await value(store)
    await store.is_initialized()
    await store.read_record()
    reads = []
    for request in faults.requests:
        if request.operation in {"GetItem", "BatchGetItem", "Query"}:
            asked = json.loads(request.body)
            reads += asked.get("RequestItems", {"": asked}).values()
    assert len(reads) > 10
    assert all(one["ConsistentRead"] is True for one in reads)
    await store.aclose()


async def test_one_item_costs_one_read(opened: Open, faults: DynamoDBFaults) -> None:
    store = opened(endpoint=faults.url)
    await store.replace(full(flags(a=1, b=1)))
    faults.counts.clear()
    assert await value(store) == 1
    assert faults.counts == {"GetItem": 1}
    assert len(await store.get_many(refs("a", "b", "a"))) == 2
    assert faults.counts == {"GetItem": 1, "BatchGetItem": 1}
    await store.aclose()


async def test_what_is_there_instead_comes_with_the_refusal(
    opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened(endpoint=faults.url)
    await store.replace(full(flags(a=3)))
    faults.counts.clear()
    assert await store.upsert(part(flags(a=2))) == {refs("a")[0]: flag("a", 3)}
    assert faults.counts == {"GetItem": 1, "PutItem": 1}
    await store.aclose()


async def test_a_server_that_says_no_more_than_no_is_asked_what_is_there(
    opened: Open, faults: DynamoDBFaults
) -> None:
    def forget(_: Any, __: Any) -> Any:
        return error("ConditionalCheckFailedException", "The conditional request failed")

    store = opened(endpoint=faults.url)
    await store.replace(full(flags(a=3)), ME)
    faults.on("PutItem", forget, times=1)
    assert await store.upsert(part(flags(a=2))) == {refs("a")[0]: flag("a", 3)}
    faults.on("PutItem", forget, times=2)
    assert await store.upsert(part(flags(a=4))) == {}
    assert await value(store) == 4
    faults.on("PutItem", forget, times=1, after=1)  # the record
    assert await store.upsert(part(flags(a=5))) == {}
    record = await store.read_record()
    assert record is not None
    assert record.digest == Tally.of_set(full(flags(a=5))).digest
    await store.aclose()


# --- records and others ---------------------------------------------------------------------------


async def test_a_record_of_somebody_who_writes_everything_stays(
    opened: Open, table: Table, faults: DynamoDBFaults
) -> None:
    store = opened(endpoint=faults.url)
    await store.replace(full(flags(a=1)), ME)

    def overtake(request: Any, ask: Callable[[Any], Any]) -> Any:
        table.put_item("record", 9, THEIRS, RECORD)
        return ask(request)

    faults.on("BatchWriteItem", overtake)
    await store.replace(full(flags(a=2)), ME)
    record = await store.read_record()
    assert record is not None
    assert (record.writer, record.replacing) == ("they", True)
    faults.pass_on()

    def remove(request: Any, ask: Callable[[Any], Any]) -> Any:
        table.delete("p:$flagkeep", "record")
        return ask(request)

    faults.on("BatchWriteItem", remove)
    await store.replace(full(flags(a=3)), ME)
    record = await store.read_record()
    assert record is not None
    assert (record.writer, record.replacing, record.replaces) == ("me", False, 1)
    await store.aclose()


async def test_a_record_says_now_and_then_that_a_full_set_goes_on(
    opened: Open, table: Table, faults: DynamoDBFaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb_records, "_SIGNED_AFTER", 0.0)
    monkeypatch.setattr(dynamodb_table, "_IN_A_ROW", -1.0)  # a batch at a time
    store = opened(endpoint=faults.url)
    seen = []

    def look(request: Any, ask: Callable[[Any], Any]) -> Any:
        record = json.loads(table.content()["p:$flagkeep", "record"]["item"]["S"])
        seen.append((record["writer"], record.get("progress", 0), record.get("last_change")))
        if len(seen) == 2:  # others write single items
            table.put_item("record", 9, json.dumps({**record, "last_change": 7.0}), RECORD)
        if len(seen) == 4:
            table.put_item("record", 99, THEIRS, RECORD)
        return ask(request)

    faults.on("BatchWriteItem", look)
    await store.replace(full(flags(**{f"f{n}": 1 for n in range(130)})), ME)
    before, after = [("me", 0, None), ("me", 1, None)], [("me", 2, 7.0), ("me", 3, 7.0)]
    assert seen == [*before, *after, ("they", 0, None), ("they", 0, None)]
    record = await store.read_record()
    assert record is not None
    assert (record.writer, record.replacing) == ("they", True)
    await store.aclose()


@pytest.mark.parametrize("problem", ["deny", "throttle", "lose_answers"])
async def test_a_full_set_goes_on_where_its_record_cannot_say_so(
    opened: Open, faults: DynamoDBFaults, monkeypatch: pytest.MonkeyPatch, problem: str
) -> None:
    monkeypatch.setattr(dynamodb_records, "_SIGNED_AFTER", 0.0)
    monkeypatch.setattr(dynamodb_table, "_WRITERS_PATIENCE", 0.2)
    store = opened(endpoint=faults.url)
    trouble = getattr(faults, problem)
    trouble("PutItem", where=lambda request: b"progress" in request.body)
    await store.replace(full(flags(a=1)), ME)
    assert faults.counts["PutItem"] > 3  # the record, the marker and the record again
    assert (await store.get_many(refs("a"))).keys() == set(refs("a"))
    record = await store.read_record()
    assert record is not None
    assert (record.replacing, record.progress, record.replaces) == (False, 0, 1)
    await store.aclose()


async def test_a_record_that_cannot_be_read_is_written_over_by_a_full_set_alone(
    opened: Open, table: Table
) -> None:
    store = opened()
    table.put("p:$flagkeep", "record", item={"S": "?"})
    assert await store.read_record() is None
    assert await store.upsert(part(flags(a=1))) == {}
    assert table.content()["p:$flagkeep", "record"] == {"item": {"S": "?"}}
    await store.replace(full(flags(a=1)), ME)
    assert await store.read_record() is not None
    await store.aclose()


async def test_many_who_write_at_once_agree_on_the_record(opened: Open) -> None:
    stores = [opened() for _ in range(4)]
    await stores[0].replace(full({}), ME)

    def writer(number: int) -> runtime.Job:
        async def write() -> None:
            for version in range(1, 6):
                await stores[number].upsert(part({f"own{number}": flag("x", version)}))
                await stores[number].upsert(part(flags(shared=version * 4 + number)))

        return write

    tasks = [runtime.spawn("writer", writer(number)) for number in range(4)]
    for task in tasks:
        assert await task.join(60)
    contents = await stores[0].get_all()
    assert contents.flags["shared"].version == 23
    record = await stores[0].read_record()
    assert record is not None
    assert record.digest == Tally.of_set(full(contents.flags)).digest
    assert record.counts[Kind.FLAG] == 5
    for store in stores:
        await store.aclose()


# --- how it is reached ----------------------------------------------------------------------------


def test_it_names_itself_without_secrets() -> None:
    store = AsyncDynamoDBStore(
        "flags",
        prefix="p",
        endpoint="http://user:hunter2@localhost:8000/",
        access_key_id="AKIA",
        secret_access_key="hunter2",
    )
    shown = "<AsyncDynamoDBStore dynamodb flags at http://localhost:8000 prefix='p'>"
    assert repr(store) == shown
    assert (store.name, store.poll_interval) == ("dynamodb", None)
    assert AsyncDynamoDBStore("flags").label == "dynamodb flags"


async def test_nothing_is_connected_before_it_is_needed(
    faults: DynamoDBFaults, opened: Open
) -> None:
    store = opened(endpoint=faults.url)
    assert not faults.counts
    await store.aclose()
    assert not faults.counts
