"""The store in DynamoDB when its table is throttled, slow, gone, or not what it should be."""

import itertools
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("boto3")

from flagkeep._async.stores import dynamodb_table
from flagkeep._async.stores.dynamodb import AsyncDynamoDBStore
from flagkeep._runtime import aio as runtime
from flagkeep.errors import StoreClosed, StoreCorrupt, StoreError, StoreMissing, StoreUnavailable
from flagkeep.storage import dynamodb_requests
from flagkeep.storage.contents import Tally
from tests._async.dynamodb_stores import ME, PATIENT, Table, many, store_at, value
from tests._async.store_suite import flag, flags, full, part, refs
from tests._async.waiting import until
from tests.limits import check_within
from tests.servers.dynamodb import (
    REGION,
    DynamoDBServer,
    call,
    create_table,
    drop_table,
    rows,
)
from tests.servers.dynamodb_faults import DynamoDBFaults
from tests.servers.http_faults import Ask as Asker
from tests.servers.http_faults import Reply, Request
from tests.servers.server import free_port

Open = Callable[..., AsyncDynamoDBStore]
Ask = Callable[[AsyncDynamoDBStore], Any]

ASKED: list[Ask] = [
    lambda store: store.get_many(refs("a")),
    lambda store: store.get_many(refs("a", "b")),
    lambda store: store.get_all(),
    lambda store: store.is_initialized(),
    lambda store: store.read_record(),
    lambda store: store.replace(full(flags(a=1)), ME),
    lambda store: store.upsert(part(flags(a=1))),
    lambda store: store.clear(),
]


@pytest.fixture
def table(dynamodb_url: str, dynamodb_table: str) -> Table:
    return Table(dynamodb_url, dynamodb_table)


@pytest.fixture
def faults(dynamodb_url: str) -> Iterator[DynamoDBFaults]:
    with DynamoDBFaults(dynamodb_url) as faults:
        yield faults


@pytest.fixture
def opened(table: Table, faults: DynamoDBFaults) -> Open:
    """Opens a store behind the proxy."""

    def opened(**more: Any) -> AsyncDynamoDBStore:
        return store_at(faults.url, table.name, prefix="p", **more)

    return opened


async def complaint(store: AsyncDynamoDBStore, ask: Ask) -> StoreError:
    """Return the error of a call, which must be one line without secrets."""
    with pytest.raises(StoreError) as caught:
        await ask(store)
    text = str(caught.value)
    assert "\n" not in text
    assert SECRET not in text
    assert store.label in text
    assert caught.value.__cause__ is None
    return caught.value


SECRET = "hunter2-%3A/secret"


# --- throttling -----------------------------------------------------------------------------------


async def test_what_was_left_undone_is_done_before_anything_else(
    opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    faults.leave_unprocessed("BatchWriteItem", 20, times=2)
    faults.leave_unprocessed("BatchWriteItem", 3, last=True, times=3, after=2)
    faults.throttle("BatchWriteItem", times=2, after=4)
    await store.replace(full(many(60), segments=["s"]), ME)
    faults.pass_on()
    contents = await store.get_all()
    assert (contents.initialized, contents.flags) == (True, many(60))
    written = []
    for request in faults.requests:
        if request.operation == "BatchWriteItem":
            (batch,) = json.loads(request.body)["RequestItems"].values()
            written.append({one["PutRequest"]["Item"]["key"]["S"] for one in batch})
    first = written[0]
    beginning = [batch for batch in written if batch & first]
    assert beginning == written[: len(beginning)]
    assert len(beginning) > 1
    assert faults.requests[-1].operation != "BatchWriteItem"
    await store.aclose()


@pytest.mark.parametrize("ask", ASKED)
async def test_a_throttled_table_is_asked_again(
    ask: Ask, opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    await store.replace(full(flags(b=2)), ME)
    kinds = (
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
    )
    for kind in kinds:
        faults.error(None, kind, times=1)
    faults.fail(None, times=1, after=2, where=is_read)
    await ask(store)
    assert sum(faults.counts.values()) > len(kinds)
    await store.aclose()


def is_read(request: Any) -> bool:
    return request.operation in {"GetItem", "BatchGetItem", "Query"}


async def test_keys_left_unread_are_read(opened: Open, faults: DynamoDBFaults) -> None:
    store = opened()
    await store.replace(full(many(130)))
    faults.leave_unprocessed("BatchGetItem", 40, times=4)
    found = await store.get_many(refs(*many(130)))
    assert {ref.key: item for ref, item in found.items()} == many(130)
    await store.aclose()


async def test_throttling_without_end_is_told_and_the_marker_not_written(
    opened: Open,
    table: Table,
    faults: DynamoDBFaults,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(dynamodb_table, "_WRITERS_PATIENCE", 0.4)
    store = opened()
    faults.throttle("BatchWriteItem", after=1)
    error = await complaint(store, lambda store: store.replace(full(many(60)), ME))
    assert isinstance(error, StoreUnavailable)
    assert "throttled" in error.reason
    assert "capacity" in error.reason
    assert len([key for namespace, key in table.content() if namespace == "p:features"]) == 25
    assert not await store.is_initialized()
    record = await store.read_record()
    assert record is not None
    assert record.replacing
    slow = [one for one in caplog.records if "more slowly" in one.getMessage()]
    assert len(slow) == 1
    faults.pass_on()
    await store.replace(full(many(60)), ME)
    assert (await store.get_all()).flags == many(60)
    await store.aclose()


async def test_a_table_that_takes_a_little_at_a_time_is_asked_more_slowly_and_without_end(
    opened: Open,
    faults: DynamoDBFaults,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(dynamodb_table, "_WRITERS_PATIENCE", 0.05)
    monkeypatch.setattr(dynamodb_table, "_LONGEST_WHILE_IT_GOES_ON", 0.2)
    store = opened()
    for left in range(24, 0, -1):  # one of 25 is done at a time
        faults.leave_unprocessed("BatchWriteItem", left, times=1)
    began = runtime.monotonic()
    await store.replace(full(many(25)), ME)
    assert runtime.monotonic() - began > 22 * 0.1  # the first two are shorter
    assert any("goes on more slowly" in one.getMessage() for one in caplog.records)
    faults.pass_on()
    assert (await store.get_all()).flags == many(25)
    await store.aclose()


async def test_patience_begins_anew_with_everything_that_is_done(
    opened: Open, faults: DynamoDBFaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb_table, "_WRITERS_PATIENCE", 0.4)
    monkeypatch.setattr(dynamodb_table, "_LONGEST_WHILE_IT_GOES_ON", 0.2)
    monkeypatch.setattr(dynamodb_table, "_LONGEST_PAUSE", 0.1)
    store = opened()
    for left in range(24, 15, -1):  # one is done at a time, for longer than patience lasts
        faults.leave_unprocessed("BatchWriteItem", left, times=1)
    faults.on("BatchWriteItem", undone, times=2)
    began = runtime.monotonic()
    await store.replace(full(many(25)), ME)
    assert runtime.monotonic() - began > 0.4
    faults.pass_on()
    assert (await store.get_all()).flags == many(25)
    faults.leave_unprocessed("BatchWriteItem", 20, times=1)
    faults.throttle("BatchWriteItem")
    began = runtime.monotonic()
    error = await complaint(store, lambda store: store.replace(full(many(25, 2)), ME))
    assert "throttled" in error.reason
    check_within(5, since=began)
    await store.aclose()


async def test_a_full_set_has_no_end_of_patience_while_batches_are_written(
    opened: Open, faults: DynamoDBFaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb_table, "_WRITERS_PATIENCE", 0.4)
    monkeypatch.setattr(dynamodb_table, "_LONGEST_WHILE_IT_GOES_ON", 0.05)
    store = opened()
    turns = itertools.count()

    def is_every_other(_: Request) -> bool:
        return next(turns) % 2 == 1

    troubles: list[Callable[[], None]] = [
        lambda: faults.throttle("BatchWriteItem", where=is_every_other),
        lambda: faults.fail("BatchWriteItem", where=is_every_other),
        lambda: faults.lose_answers("BatchWriteItem", where=is_every_other),
        lambda: faults.on("BatchWriteItem", undone, where=is_every_other),
    ]
    for version, trouble in enumerate(troubles):
        trouble()
        await store.replace(full(many(250, version)), ME)
        faults.pass_on()
        assert (await store.get_all()).flags == many(250, version)
    await store.aclose()


def undone(request: Request, _: Asker) -> Reply:
    """Do nothing of a batch, and say so, as services do that only speak like DynamoDB."""
    left = json.loads(request.body)["RequestItems"]
    body = json.dumps({"UnprocessedItems": left}).encode()
    return Reply(200, body, {"Content-Type": "application/x-amz-json-1.0"})


async def test_a_read_is_not_tried_again_for_longer_than_it_is_waited_for(
    opened: Open, faults: DynamoDBFaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    assert await value(store) is None
    faults.throttle(None)
    began = runtime.monotonic()
    with pytest.raises(StoreUnavailable, match="throttled"):
        await value(store, timeout=0.3)
    check_within(0.3 + 1, since=began)
    monkeypatch.setattr(dynamodb_table, "_PATIENCE", 0.2)
    with pytest.raises(StoreUnavailable, match="throttled"):
        await store.get_all()
    await store.aclose()


async def test_closing_ends_a_pause(opened: Open, faults: DynamoDBFaults) -> None:
    store = opened()
    faults.throttle("BatchWriteItem")
    ended: list[StoreError] = []

    async def write() -> None:
        try:
            await store.replace(full(flags(a=1)))
        except StoreError as exc:
            ended.append(exc)

    task = runtime.spawn("writer", write)
    await until(lambda: faults.counts["BatchWriteItem"] >= 4)
    await store.aclose()
    assert await task.join(5)
    assert [type(one) for one in ended] == [StoreClosed]


async def test_a_write_that_is_given_up_ends_with_the_request_under_way(
    opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    await store.replace(full({}))
    is_asked, goes_on = threading.Event(), threading.Event()

    def hold(request: Request, ask: Asker) -> Reply:
        is_asked.set()
        assert goes_on.wait(20)
        return ask(request)

    faults.counts.clear()
    faults.on("BatchWriteItem", hold, times=1)
    ended: list[StoreError] = []

    async def write() -> None:
        try:
            await store.replace(full(many(200)))
        except StoreError as exc:
            ended.append(exc)

    task = runtime.spawn("writer", write)
    await until(is_asked.is_set)
    await store.aclose()
    assert await task.join(5)
    goes_on.set()
    assert [type(one) for one in ended] == [StoreClosed]
    other = opened()
    assert len((await other.get_all()).flags) <= 25
    assert faults.counts["BatchWriteItem"] == 1
    await other.aclose()


async def test_a_read_passes_between_the_batches_of_a_full_set(
    opened: Open, faults: DynamoDBFaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb_table, "_IN_A_ROW", 60.0)
    store = opened(max_connections=1)
    await store.replace(full(flags(a=1)))
    is_asked, goes_on = threading.Event(), threading.Event()

    def hold(request: Request, ask: Asker) -> Reply:
        is_asked.set()
        assert goes_on.wait(20)
        return ask(request)

    faults.on("BatchWriteItem", hold, times=1)
    read: list[int | None] = []

    async def write() -> None:
        await store.replace(full({**many(200), **flags(a=2)}))

    async def look() -> None:
        read.append(await value(store))

    writer = runtime.spawn("writer", write)
    await until(is_asked.is_set)
    faults.requests.clear()
    reader = runtime.spawn("reader", look)
    await until(store._table._workers.turns.is_wanted)
    goes_on.set()
    assert await reader.join(20)
    assert await writer.join(20)
    assert read in ([1], [2])
    operations = [one.operation for one in faults.requests]
    assert operations[:2] == ["GetItem", "BatchWriteItem"]
    assert (await store.get_all()).flags == {**many(200), **flags(a=2)}
    await store.aclose()


# --- page after page ------------------------------------------------------------------------------


@pytest.fixture
def paged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a page have ten rows."""
    monkeypatch.setattr(dynamodb_requests, "_ROWS_PER_PAGE", 10)


@pytest.mark.usefixtures("paged")
async def test_one_page_is_asked_for_while_the_rows_of_the_last_are_taken(
    opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    await store.replace(full(many(35)))
    faults.counts.clear()
    taken: list[list[str]] = []
    table = store._table

    def take(page: list[Any]) -> None:
        taken.append([row["key"]["S"] for row in page])
        expected = min(len(taken) + 1, 4)
        faults.wait_for("Query", expected)
        assert faults.counts["Query"] == expected

    await table.pages("get_all", table.requests.query, "p:features", take)
    assert [len(page) for page in taken] == [10, 10, 10, 5]
    assert sorted(key for page in taken for key in page) == list(many(35))
    await store.aclose()


@pytest.mark.usefixtures("paged")
async def test_what_happens_to_the_next_page_is_told_after_the_rows_of_this_one(
    opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    await store.replace(full(many(35)))
    table = store._table
    taken: list[Any] = []

    async def read(**more: float) -> None:
        taken.clear()
        limit = table.limit(more.get("timeout"))
        await table.pages("get_all", table.requests.query, "p:features", taken.extend, limit)

    faults.deny("Query", after=1)
    with pytest.raises(StoreUnavailable, match="denies"):
        await read()
    assert len(taken) == 10
    faults.pass_on()
    faults.throttle("Query", times=2, after=1)
    faults.lose_answers("Query", times=1, after=2)
    await read()
    assert len(taken) == 35
    faults.pass_on()
    faults.hang("Query", after=1)
    began = runtime.monotonic()
    with pytest.raises(StoreUnavailable, match=r"no answer within 0\.3 s"):
        await read(timeout=0.3)
    check_within(0.3 + 2, since=began)
    assert len(taken) == 10
    faults.pass_on()
    await read()
    assert len(taken) == 35
    await store.aclose()


@pytest.mark.usefixtures("paged")
async def test_who_cannot_take_a_page_does_not_wait_for_the_next(
    opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    await store.replace(full(many(35)))
    table = store._table
    faults.hang("Query", after=1)

    def take(_: list[Any]) -> None:
        faults.wait_for("Query", 2)
        raise ZeroDivisionError

    faults.counts.clear()
    began = runtime.monotonic()
    with pytest.raises(ZeroDivisionError):
        await table.pages("get_all", table.requests.query, "p:features", take)
    check_within(2, since=began)
    assert nobody_waits(store)
    faults.pass_on()
    assert (await store.get_all()).flags == many(35)
    await store.aclose()


def nobody_waits(store: AsyncDynamoDBStore) -> bool:
    return not store._table._workers._awaited


@pytest.mark.usefixtures("paged")
@pytest.mark.parametrize("count", [0, 9, 10, 11, 19, 20, 21, 35, 100])
async def test_read_from_both_ends_every_row_is_there(
    count: int, opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    items = {**many(count), "\uffff": flag("\uffff"), "🚀": flag("🚀")}
    await store.replace(full(items))
    faults.counts.clear()
    taken: list[Any] = []
    await store._table.pages_from_both_ends("replace", "p:features", taken.extend)
    assert {row["key"]["S"] for row in taken} == items.keys()
    assert len(taken) < len(items) + 10
    assert faults.counts["Query"] <= len(items) // 10 + 3
    await store.aclose()


@pytest.mark.usefixtures("paged")
async def test_read_from_both_ends_two_pages_are_asked_for_at_a_time(
    opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    await store.replace(full(many(60)))
    faults.counts.clear()
    taken: list[list[str]] = []

    def take(page: list[Any]) -> None:
        taken.append([row["key"]["S"] for row in page])
        if len(taken) < 4:
            faults.wait_for("Query", len(taken) + 2)

    await store._table.pages_from_both_ends("replace", "p:features", take)
    keys = list(many(60))
    assert taken[:3] == [keys[:10], keys[10:20], keys[:-11:-1]]
    await store.aclose()


@pytest.mark.usefixtures("paged")
async def test_where_the_ends_meet_a_row_may_be_gone(
    opened: Open, table: Table, faults: DynamoDBFaults
) -> None:
    store = opened()
    await store.replace(full(many(40)))
    keys = list(many(40))

    def delete(request: Request, ask: Asker) -> Reply:
        reply = ask(request)
        table.delete("p:features", keys[-10])
        return reply

    faults.on("Query", delete, where=lambda request: b"ScanIndexForward" in request.body, times=1)
    taken: list[Any] = []
    await store._table.pages_from_both_ends("replace", "p:features", taken.extend)
    assert {row["key"]["S"] for row in taken} == set(keys)
    await store.aclose()


@pytest.mark.usefixtures("paged")
@pytest.mark.parametrize("backwards", [False, True])
async def test_what_happens_at_one_end_ends_the_read_from_both(
    backwards: bool,  # noqa: FBT001  a parameter of the test
    opened: Open,
    faults: DynamoDBFaults,
) -> None:
    store = opened()
    await store.replace(full(many(60)))

    def is_there(request: Request) -> bool:
        return (b"ScanIndexForward" in request.body) is backwards

    async def read() -> None:
        await store._table.pages_from_both_ends("replace", "p:features", lambda _: None)

    faults.deny("Query", where=is_there, after=1)
    with pytest.raises(StoreUnavailable, match="denies"):
        await read()
    assert nobody_waits(store)
    faults.pass_on()
    faults.hang("Query", where=is_there, after=1)
    ended: list[StoreError] = []

    async def read_on() -> None:
        try:
            await read()
        except StoreError as exc:
            ended.append(exc)

    faults.counts.clear()
    task = runtime.spawn("reader", read_on)
    await until(lambda: faults.counts["Query"] >= 3)
    await store.aclose()
    assert await task.join(5)
    assert [type(one) for one in ended] == [StoreClosed]


@pytest.mark.usefixtures("paged")
async def test_closing_between_two_pages_ends_the_read(
    opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    await store.replace(full(many(35)))
    faults.hang("Query", after=1)
    faults.counts.clear()
    ended: list[StoreError] = []

    async def read() -> None:
        try:
            await store.get_all()
        except StoreError as exc:
            ended.append(exc)

    task = runtime.spawn("reader", read)
    await until(lambda: faults.counts["Query"] >= 2)
    began = runtime.monotonic()
    await store.aclose()
    assert await task.join(10)
    check_within(2, since=began)
    assert [type(one) for one in ended] == [StoreClosed]
    faults.pass_on()


# --- trouble on the way ---------------------------------------------------------------------------


@pytest.mark.parametrize("ask", ASKED)
async def test_a_lost_connection_is_replaced_once(
    ask: Ask, opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    await store.replace(full(flags(b=2)), ME)
    faults.lose_answers(None, times=1, where=lambda request: request.operation != "PutItem")
    await ask(store)
    faults.lose_answers(None)
    error = await complaint(store, ask)
    assert "closed before there was an answer" in error.reason
    await store.aclose()


async def test_a_change_whose_answer_was_lost_is_not_taken_for_a_refused_one(
    opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    await store.replace(full(flags(a=1)), ME)
    faults.lose_answers("PutItem", times=1)
    error = await complaint(store, lambda store: store.upsert(part(flags(a=2))))
    assert "closed before there was an answer" in error.reason
    assert await value(store) == 2
    faults.fail("PutItem", times=1)  # nothing was done
    assert await store.upsert(part(flags(a=3))) == {}
    faults.lose_answers("PutItem", times=1, after=1)  # the record's
    assert await store.upsert(part(flags(a=4))) == {}
    await store.replace(full(flags(a=4)), ME)
    assert await store.upsert(part(flags(a=5))) == {}
    faults.fail("PutItem", times=1, after=1)
    assert await store.upsert(part(flags(a=6))) == {}
    record = await store.read_record()
    assert record is not None
    assert record.digest == Tally.of_set(full(flags(a=6))).digest
    await store.aclose()


async def test_a_record_that_cannot_be_written_fails_no_change(
    opened: Open, faults: DynamoDBFaults, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    store = opened()
    await store.replace(full(flags(a=1)), ME)
    faults.deny("PutItem", after=1)
    assert await store.upsert(part(flags(a=2))) == {}
    faults.pass_on()
    assert await value(store) == 2
    said = [one for one in caplog.records if "does not count the last change" in one.getMessage()]
    assert [one.levelname for one in said] == ["INFO"]
    await store.aclose()


async def test_what_was_written_before_an_error_is_counted(
    opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    await store.replace(full(flags(a=1)), ME)
    faults.deny("PutItem", times=1, after=2)
    error = await complaint(store, lambda store: store.upsert(part(flags(a=2, b=1, c=1))))
    assert "denies" in error.reason
    contents, record = await store.get_all(), await store.read_record()
    assert record is not None
    assert record.digest != Tally.of_set(full(flags(a=1))).digest
    assert record.digest == Tally.of_set(full(contents.flags)).digest
    await store.aclose()


async def test_many_who_write_at_once_fail_nowhere(opened: Open) -> None:
    stores = [opened() for _ in range(12)]
    await stores[0].replace(full({}), ME)
    failed: list[StoreError] = []

    def writer(number: int) -> runtime.Job:
        async def write() -> None:
            try:
                for version in range(1, 6):
                    await stores[number].upsert(part({f"own{number}": flag("x", version)}))
            except StoreError as exc:
                failed.append(exc)

        return write

    tasks = [runtime.spawn("writer", writer(number)) for number in range(12)]
    for task in tasks:
        assert await task.join(60)
    assert not failed
    contents, record = await stores[0].get_all(), await stores[0].read_record()
    assert {item.version for item in contents.flags.values()} == {5}
    assert record is not None
    assert record.digest == Tally.of_set(full(contents.flags)).digest
    for store in stores:
        await store.aclose()


async def test_others_who_are_always_faster_are_told_of(
    opened: Open,
    table: Table,
    faults: DynamoDBFaults,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(dynamodb_table, "_SHORT_PAUSE", 0.0001)
    store = opened()
    await store.replace(full(flags(a=1)), ME)
    number = iter(range(100, 1000))

    def overtake(request: Any, ask: Callable[[Any], Any]) -> Any:
        text = '{"writer":"they"}'
        table.put("p:$flagkeep", "record", version={"N": str(next(number))}, item={"S": text})
        return ask(request)

    faults.on("PutItem", overtake, where=lambda request: b'"record"' in request.body)
    assert await store.upsert(part(flags(a=2))) == {}
    (said,) = [one for one in caplog.records if "others wrote the same" in one.getMessage()]
    assert (said.levelname, await value(store)) == ("INFO", 2)
    faults.pass_on()

    def break_anew(request: Any, ask: Callable[[Any], Any]) -> Any:
        table.put("p:features", "a", version={"N": str(next(number))}, item={"S": "?"})
        return ask(request)

    faults.on("PutItem", break_anew)
    error = await complaint(store, lambda store: store.upsert(part(flags(a=3))))
    assert "others wrote the same" in error.reason
    await store.aclose()


async def test_a_large_item_that_others_always_change_first_is_told_of(
    opened: Open, table: Table, faults: DynamoDBFaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests._async.dynamodb_stores import large  # noqa: PLC0415

    monkeypatch.setattr(dynamodb_table, "_SHORT_PAUSE", 0.0001)
    store = opened()
    number = iter(range(100, 1000))

    def change(request: Any, ask: Callable[[Any], Any]) -> Any:
        table.put_item("big", next(number), flag("big").data.decode())
        return ask(request)

    faults.on("TransactWriteItems", change)
    big = large("big", 2000)
    for ask in (
        lambda store: store.upsert(part({"big": big})),
        lambda store: store.replace(full({"big": big})),
    ):
        error = await complaint(store, ask)
        assert "others wrote the same" in error.reason
    await store.aclose()


@pytest.mark.parametrize("ask", ASKED)
async def test_a_server_that_hangs_is_waited_for_so_long(
    ask: Ask, opened: Open, faults: DynamoDBFaults
) -> None:
    patient = opened()
    await patient.replace(full(flags(a=1)), ME)
    store = opened(timeout=0.3)
    faults.hang(None)
    began = runtime.monotonic()
    error = await complaint(store, ask)
    assert "no answer within 0.3 s" in error.reason
    check_within(0.3 + 3, since=began)
    faults.pass_on()
    await ask(patient)
    for one in (store, patient):
        await one.aclose()


@pytest.mark.parametrize("ask", ["get_all", "is_initialized", "one", "several"])
async def test_a_timeout_bounds_all_of_a_read(
    ask: str, opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    await store.replace(full(flags(a=1)), ME)
    asked: dict[str, Callable[..., Any]] = {
        "get_all": store.get_all,
        "is_initialized": store.is_initialized,
        "one": lambda **more: store.get_many(refs("a"), **more),
        "several": lambda **more: store.get_many(refs("a", "b"), **more),
    }
    faults.hang(None)
    began = runtime.monotonic()
    with pytest.raises(StoreUnavailable, match=r"no answer within 0\.2\d* s"):
        await asked[ask](timeout=0.2)
    check_within(0.2 + 2, since=began)
    faults.pass_on()
    assert await asked[ask](timeout=PATIENT)
    await store.aclose()


async def test_closing_does_not_wait_for_what_hangs(opened: Open, faults: DynamoDBFaults) -> None:
    store = opened()
    assert await value(store) is None
    faults.hang(None)
    ended: list[StoreError] = []

    async def read() -> None:
        try:
            await store.get_all()
        except StoreError as exc:
            ended.append(exc)

    task = runtime.spawn("reader", read)
    await until(lambda: faults.counts["BatchGetItem"] >= 1)
    began = runtime.monotonic()
    await store.aclose()
    check_within(2, since=began)
    with pytest.raises(StoreClosed):
        await value(store)
    faults.pass_on()
    assert await task.join(10)
    assert len(ended) == 1


async def test_answers_that_drip_are_waited_for(opened: Open, faults: DynamoDBFaults) -> None:
    store = opened(timeout=PATIENT)
    await store.replace(full(flags(a=1)))
    faults.drip("GetItem", every=0.002)
    assert await value(store) == 1
    faults.pass_on()
    faults.drip("GetItem", every=0.2)
    with pytest.raises(StoreUnavailable, match="no answer within"):
        await value(store, timeout=0.4)
    await store.aclose()


@pytest.mark.parametrize("after", [0, 5])
async def test_an_answer_that_is_cut_off_is_no_answer(
    after: int, opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    await store.replace(full(flags(a=1)))
    faults.cut("GetItem", after_bytes=after)
    await complaint(store, value)
    faults.pass_on()
    assert await value(store) == 1
    await store.aclose()


@pytest.mark.usefixtures("dynamodb_here")
async def test_a_server_that_comes_back_is_used_again() -> None:
    with DynamoDBServer(on_disk=True) as server:
        create_table(server.url, "flags")
        store = store_at(server.url, "flags", timeout=PATIENT)
        await store.replace(full(flags(a=1)), ME)
        server.kill()
        error = await complaint(store, value)
        assert "refused" in error.reason or "closed" in error.reason
        error = await complaint(store, lambda store: store.replace(full(flags(a=2))))
        assert "refused" in error.reason
        server.start()
        assert await value(store) == 1
        assert await store.upsert(part(flags(a=2))) == {}
        assert (await store.get_all()).flags == flags(a=2)
        await store.aclose()


# --- what is not there, or is something else ------------------------------------------------------


@pytest.mark.parametrize("ask", ASKED)
async def test_a_table_that_is_not_there_is_named_with_what_makes_it(
    ask: Ask, dynamodb_url: str
) -> None:
    store = store_at(dynamodb_url, "not-there", secret_access_key=SECRET)
    error = await complaint(store, ask)
    # Of the marker alone a client would take that for a store that the first write makes.
    assert isinstance(error, StoreMissing) is (error.operation != "is_initialized")
    command = (
        "aws dynamodb create-table --table-name not-there --attribute-definitions"
        " AttributeName=namespace,AttributeType=S AttributeName=key,AttributeType=S --key-schema"
        " AttributeName=namespace,KeyType=HASH AttributeName=key,KeyType=RANGE --billing-mode"
        f" PAY_PER_REQUEST --region {REGION} --endpoint-url {dynamodb_url}"
    )
    assert error.reason.endswith(f": {command}")
    await store.aclose()


async def test_a_table_that_is_made_later_is_used_at_once(dynamodb_url: str) -> None:
    store = store_at(dynamodb_url, "flagkeep-made-later")
    await complaint(store, value)
    create_table(dynamodb_url, "flagkeep-made-later")
    await store.replace(full(flags(a=1)))
    assert await value(store) == 1
    drop_table(dynamodb_url, "flagkeep-made-later")
    assert isinstance(await complaint(store, value), StoreMissing)
    await store.aclose()


WRONG: dict[str, dict[str, Any]] = {
    "one key": {"keys": (("namespace", "HASH"),)},
    "another key": {"keys": (("id", "HASH"),)},
    "other names": {"keys": (("ns", "HASH"), ("key", "RANGE"))},
    "turned round": {"keys": (("key", "HASH"), ("namespace", "RANGE"))},
    "numbers": {"key_type": "N"},
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_table_with_another_key_is_never_written_to(wrong: str, dynamodb_url: str) -> None:
    name = f"flagkeep-wrong-{wrong.replace(' ', '-')}"
    create_table(dynamodb_url, name, **WRONG[wrong])
    store = store_at(dynamodb_url, name, secret_access_key=SECRET)
    asked: list[Ask] = [
        lambda store: store.replace(full(flags(a=1)), ME),
        lambda store: store.get_all(),
        lambda store: store.is_initialized(),
    ]
    if wrong != "turned round":  # single rows can be read and written then as they should be
        asked += [value, lambda store: store.upsert(part(flags(a=1)))]
    for ask in asked:
        error = await complaint(store, ask)
        assert isinstance(error, StoreCorrupt)
        assert "partition key namespace (String)" in error.reason
        assert "delete it or take another name, then: aws dynamodb create-table" in error.reason
    assert Table(dynamodb_url, name).content() == {}
    drop_table(dynamodb_url, name)
    await store.aclose()


async def test_rows_of_a_table_with_another_key_are_not_removed(dynamodb_url: str) -> None:
    name = "flagkeep-wrong-with-rows"
    create_table(dynamodb_url, name, keys=(("namespace", "HASH"), ("id", "RANGE")))
    row = {"namespace": {"S": "features"}, "id": {"S": "a"}}
    call(dynamodb_url, "PutItem", TableName=name, Item=row)
    store = store_at(dynamodb_url, name, secret_access_key=SECRET)
    error = await complaint(store, lambda store: store.clear())
    assert isinstance(error, StoreCorrupt)
    assert "partition key namespace (String)" in error.reason
    assert list(rows(dynamodb_url, name)) == [row]
    drop_table(dynamodb_url, name)
    await store.aclose()


REFUSALS = {
    "AccessDeniedException": "dynamodb:",
    "ExpiredTokenException": "session token has expired",
    "UnrecognizedClientException": "does not know the access key",
    "InvalidSignatureException": "check the secret key",
    "MissingAuthenticationTokenException": "not signed",
    "NewlyInventedException": "NewlyInventedException",
    "ValidationException": "refuses the request (ValidationException): anything",
}


@pytest.mark.parametrize("kind", REFUSALS)
async def test_a_refusal_is_told_with_what_to_do(
    kind: str, opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened(secret_access_key=SECRET)
    faults.error(None, kind, message="anything")
    for ask in ASKED:
        error = await complaint(store, ask)
        assert isinstance(error, StoreUnavailable)
        assert REFUSALS[kind] in error.reason
    assert max(faults.counts.values()) < 10  # refused once is enough
    await store.aclose()


async def test_a_denial_says_which_permissions_are_needed(
    opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    await store.replace(full(flags(a=1)))
    faults.deny("BatchWriteItem")
    error = await complaint(store, lambda store: store.replace(full(flags(a=2))))
    assert "(dynamodb:BatchWriteItem)" in error.reason
    for action in ("GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem", "DeleteItem"):
        assert action in error.reason
    assert await value(store) == 1
    await store.aclose()


async def test_what_is_no_dynamodb_is_told_apart(opened: Open, faults: DynamoDBFaults) -> None:
    store = opened()
    page = {"Content-Type": "text/html"}
    for status, body, headers in (
        (200, b"<html>hello</html>", page),
        (404, b"<html>not found</html>", page),
        (400, b"{}", {}),
        (200, b"[1]", {}),
    ):
        faults.answer(None, status, body, headers)
        for ask in (value, lambda store: store.get_all()):
            error = await complaint(store, ask)
            assert "not DynamoDB" in error.reason
        faults.pass_on()
    await store.aclose()


async def test_what_speaks_another_language_is_told_of() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        store = store_at(f"http://127.0.0.1:{port}", "flags", timeout=0.3)
        assert "no answer within 0.3 s" in (await complaint(store, value)).reason
        await store.aclose()
    store = store_at(f"http://127.0.0.1:{free_port()}", "flags")
    assert "refused" in (await complaint(store, value)).reason
    await store.aclose()
    store = store_at("http://no-such-host.invalid", "flags", secret_access_key=SECRET)
    assert "unknown" in (await complaint(store, value)).reason
    await store.aclose()


async def test_tls_where_there_is_none_is_told_of(
    dynamodb_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    store = store_at(dynamodb_url.replace("http:", "https:"), "flags", timeout=2.0)
    assert "TLS" in (await complaint(store, value)).reason
    await store.aclose()


async def test_a_status_of_trouble_is_told(
    opened: Open, faults: DynamoDBFaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb_table, "_PATIENCE", 0.2)
    store = opened()
    faults.fail(None)
    assert "problem of its own" in (await complaint(store, value)).reason
    faults.pass_on()
    for body in (b"", b"<html>Unsupported method</html>", b"[]"):
        faults.answer(None, 501, body, {"Content-Type": "text/html"})
        reason = (await complaint(store, value)).reason
        assert reason.endswith("is it DynamoDB? Check the endpoint (status 501)")
        faults.pass_on()
    await store.aclose()
