"""The store in DynamoDB when its table is throttled, slow, gone, or not what it should be."""

import itertools
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("boto3")

from flagkeep._sync.stores import dynamodb_table
from flagkeep._sync.stores.dynamodb import DynamoDBStore
from flagkeep._runtime import threads as runtime
from flagkeep.errors import StoreClosed, StoreCorrupt, StoreError, StoreMissing, StoreUnavailable
from flagkeep.storage import dynamodb_requests
from flagkeep.storage.contents import Tally
from tests._sync.dynamodb_stores import ME, PATIENT, Table, many, store_at, value
from tests._sync.store_suite import flag, flags, full, part, refs
from tests._sync.waiting import until
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

Open = Callable[..., DynamoDBStore]
Ask = Callable[[DynamoDBStore], Any]

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

    def opened(**more: Any) -> DynamoDBStore:
        return store_at(faults.url, table.name, prefix="p", **more)

    return opened


def complaint(store: DynamoDBStore, ask: Ask) -> StoreError:
    """Return the error of a call, which must be one line without secrets."""
    with pytest.raises(StoreError) as caught:
        ask(store)
    text = str(caught.value)
    assert "\n" not in text
    assert SECRET not in text
    assert store.label in text
    assert caught.value.__cause__ is None
    return caught.value


SECRET = "hunter2-%3A/secret"


# --- throttling -----------------------------------------------------------------------------------


def test_what_was_left_undone_is_done_before_anything_else(
    opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    faults.leave_unprocessed("BatchWriteItem", 20, times=2)
    faults.leave_unprocessed("BatchWriteItem", 3, last=True, times=3, after=2)
    faults.throttle("BatchWriteItem", times=2, after=4)
    store.replace(full(many(60), segments=["s"]), ME)
    faults.pass_on()
    contents = store.get_all()
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
    store.close()


@pytest.mark.parametrize("ask", ASKED)
def test_a_throttled_table_is_asked_again(
    ask: Ask, opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    store.replace(full(flags(b=2)), ME)
    kinds = (
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
    )
    for kind in kinds:
        faults.error(None, kind, times=1)
    faults.fail(None, times=1, after=2, where=is_read)
    ask(store)
    assert sum(faults.counts.values()) > len(kinds)
    store.close()


def is_read(request: Any) -> bool:
    return request.operation in {"GetItem", "BatchGetItem", "Query"}


def test_keys_left_unread_are_read(opened: Open, faults: DynamoDBFaults) -> None:
    store = opened()
    store.replace(full(many(130)))
    faults.leave_unprocessed("BatchGetItem", 40, times=4)
    found = store.get_many(refs(*many(130)))
    assert {ref.key: item for ref, item in found.items()} == many(130)
    store.close()


def test_throttling_without_end_is_told_and_the_marker_not_written(
    opened: Open,
    table: Table,
    faults: DynamoDBFaults,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(dynamodb_table, "_WRITERS_PATIENCE", 0.4)
    store = opened()
    faults.throttle("BatchWriteItem", after=1)
    error = complaint(store, lambda store: store.replace(full(many(60)), ME))
    assert isinstance(error, StoreUnavailable)
    assert "throttled" in error.reason
    assert "capacity" in error.reason
    assert len([key for namespace, key in table.content() if namespace == "p:features"]) == 25
    assert not store.is_initialized()
    record = store.read_record()
    assert record is not None
    assert record.replacing
    slow = [one for one in caplog.records if "more slowly" in one.getMessage()]
    assert len(slow) == 1
    faults.pass_on()
    store.replace(full(many(60)), ME)
    assert (store.get_all()).flags == many(60)
    store.close()


def test_a_table_that_takes_a_little_at_a_time_is_asked_more_slowly_and_without_end(
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
    store.replace(full(many(25)), ME)
    assert runtime.monotonic() - began > 22 * 0.1  # the first two are shorter
    assert any("goes on more slowly" in one.getMessage() for one in caplog.records)
    faults.pass_on()
    assert (store.get_all()).flags == many(25)
    store.close()


def test_patience_begins_anew_with_everything_that_is_done(
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
    store.replace(full(many(25)), ME)
    assert runtime.monotonic() - began > 0.4
    faults.pass_on()
    assert (store.get_all()).flags == many(25)
    faults.leave_unprocessed("BatchWriteItem", 20, times=1)
    faults.throttle("BatchWriteItem")
    began = runtime.monotonic()
    error = complaint(store, lambda store: store.replace(full(many(25, 2)), ME))
    assert "throttled" in error.reason
    check_within(5, since=began)
    store.close()


def test_a_full_set_has_no_end_of_patience_while_batches_are_written(
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
        store.replace(full(many(250, version)), ME)
        faults.pass_on()
        assert (store.get_all()).flags == many(250, version)
    store.close()


def undone(request: Request, _: Asker) -> Reply:
    """Do nothing of a batch, and say so, as services do that only speak like DynamoDB."""
    left = json.loads(request.body)["RequestItems"]
    body = json.dumps({"UnprocessedItems": left}).encode()
    return Reply(200, body, {"Content-Type": "application/x-amz-json-1.0"})


def test_a_read_is_not_tried_again_for_longer_than_it_is_waited_for(
    opened: Open, faults: DynamoDBFaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    assert value(store) is None
    faults.throttle(None)
    began = runtime.monotonic()
    with pytest.raises(StoreUnavailable, match="throttled"):
        value(store, timeout=0.3)
    check_within(0.3 + 1, since=began)
    monkeypatch.setattr(dynamodb_table, "_PATIENCE", 0.2)
    with pytest.raises(StoreUnavailable, match="throttled"):
        store.get_all()
    store.close()


def test_closing_ends_a_pause(opened: Open, faults: DynamoDBFaults) -> None:
    store = opened()
    faults.throttle("BatchWriteItem")
    ended: list[StoreError] = []

    def write() -> None:
        try:
            store.replace(full(flags(a=1)))
        except StoreError as exc:
            ended.append(exc)

    task = runtime.spawn("writer", write)
    until(lambda: faults.counts["BatchWriteItem"] >= 4)
    store.close()
    assert task.join(5)
    assert [type(one) for one in ended] == [StoreClosed]


def test_a_write_that_is_given_up_ends_with_the_request_under_way(
    opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    store.replace(full({}))
    is_asked, goes_on = threading.Event(), threading.Event()

    def hold(request: Request, ask: Asker) -> Reply:
        is_asked.set()
        assert goes_on.wait(20)
        return ask(request)

    faults.counts.clear()
    faults.on("BatchWriteItem", hold, times=1)
    ended: list[StoreError] = []

    def write() -> None:
        try:
            store.replace(full(many(200)))
        except StoreError as exc:
            ended.append(exc)

    task = runtime.spawn("writer", write)
    until(is_asked.is_set)
    store.close()
    assert task.join(5)
    goes_on.set()
    assert [type(one) for one in ended] == [StoreClosed]
    other = opened()
    assert len((other.get_all()).flags) <= 25
    assert faults.counts["BatchWriteItem"] == 1
    other.close()


def test_a_read_passes_between_the_batches_of_a_full_set(
    opened: Open, faults: DynamoDBFaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb_table, "_IN_A_ROW", 60.0)
    store = opened(max_connections=1)
    store.replace(full(flags(a=1)))
    is_asked, goes_on = threading.Event(), threading.Event()

    def hold(request: Request, ask: Asker) -> Reply:
        is_asked.set()
        assert goes_on.wait(20)
        return ask(request)

    faults.on("BatchWriteItem", hold, times=1)
    read: list[int | None] = []

    def write() -> None:
        store.replace(full({**many(200), **flags(a=2)}))

    def look() -> None:
        read.append(value(store))

    writer = runtime.spawn("writer", write)
    until(is_asked.is_set)
    faults.requests.clear()
    reader = runtime.spawn("reader", look)
    until(store._table._workers.turns.is_wanted)
    goes_on.set()
    assert reader.join(20)
    assert writer.join(20)
    assert read in ([1], [2])
    operations = [one.operation for one in faults.requests]
    assert operations[:2] == ["GetItem", "BatchWriteItem"]
    assert (store.get_all()).flags == {**many(200), **flags(a=2)}
    store.close()


# --- page after page ------------------------------------------------------------------------------


@pytest.fixture
def paged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a page have ten rows."""
    monkeypatch.setattr(dynamodb_requests, "_ROWS_PER_PAGE", 10)


@pytest.mark.usefixtures("paged")
def test_one_page_is_asked_for_while_the_rows_of_the_last_are_taken(
    opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    store.replace(full(many(35)))
    faults.counts.clear()
    taken: list[list[str]] = []
    table = store._table

    def take(page: list[Any]) -> None:
        taken.append([row["key"]["S"] for row in page])
        expected = min(len(taken) + 1, 4)
        faults.wait_for("Query", expected)
        assert faults.counts["Query"] == expected

    table.pages("get_all", table.requests.query, "p:features", take)
    assert [len(page) for page in taken] == [10, 10, 10, 5]
    assert sorted(key for page in taken for key in page) == list(many(35))
    store.close()


@pytest.mark.usefixtures("paged")
def test_what_happens_to_the_next_page_is_told_after_the_rows_of_this_one(
    opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    store.replace(full(many(35)))
    table = store._table
    taken: list[Any] = []

    def read(**more: float) -> None:
        taken.clear()
        limit = table.limit(more.get("timeout"))
        table.pages("get_all", table.requests.query, "p:features", taken.extend, limit)

    faults.deny("Query", after=1)
    with pytest.raises(StoreUnavailable, match="denies"):
        read()
    assert len(taken) == 10
    faults.pass_on()
    faults.throttle("Query", times=2, after=1)
    faults.lose_answers("Query", times=1, after=2)
    read()
    assert len(taken) == 35
    faults.pass_on()
    faults.hang("Query", after=1)
    began = runtime.monotonic()
    with pytest.raises(StoreUnavailable, match=r"no answer within 0\.3 s"):
        read(timeout=0.3)
    check_within(0.3 + 2, since=began)
    assert len(taken) == 10
    faults.pass_on()
    read()
    assert len(taken) == 35
    store.close()


@pytest.mark.usefixtures("paged")
def test_who_cannot_take_a_page_does_not_wait_for_the_next(
    opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    store.replace(full(many(35)))
    table = store._table
    faults.hang("Query", after=1)

    def take(_: list[Any]) -> None:
        faults.wait_for("Query", 2)
        raise ZeroDivisionError

    faults.counts.clear()
    began = runtime.monotonic()
    with pytest.raises(ZeroDivisionError):
        table.pages("get_all", table.requests.query, "p:features", take)
    check_within(2, since=began)
    assert nobody_waits(store)
    faults.pass_on()
    assert (store.get_all()).flags == many(35)
    store.close()


def nobody_waits(store: DynamoDBStore) -> bool:
    return not store._table._workers._awaited


@pytest.mark.usefixtures("paged")
@pytest.mark.parametrize("count", [0, 9, 10, 11, 19, 20, 21, 35, 100])
def test_read_from_both_ends_every_row_is_there(
    count: int, opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    items = {**many(count), "\uffff": flag("\uffff"), "🚀": flag("🚀")}
    store.replace(full(items))
    faults.counts.clear()
    taken: list[Any] = []
    store._table.pages_from_both_ends("replace", "p:features", taken.extend)
    assert {row["key"]["S"] for row in taken} == items.keys()
    assert len(taken) < len(items) + 10
    assert faults.counts["Query"] <= len(items) // 10 + 3
    store.close()


@pytest.mark.usefixtures("paged")
def test_read_from_both_ends_two_pages_are_asked_for_at_a_time(
    opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    store.replace(full(many(60)))
    faults.counts.clear()
    taken: list[list[str]] = []

    def take(page: list[Any]) -> None:
        taken.append([row["key"]["S"] for row in page])
        if len(taken) < 4:
            faults.wait_for("Query", len(taken) + 2)

    store._table.pages_from_both_ends("replace", "p:features", take)
    keys = list(many(60))
    assert taken[:3] == [keys[:10], keys[10:20], keys[:-11:-1]]
    store.close()


@pytest.mark.usefixtures("paged")
def test_where_the_ends_meet_a_row_may_be_gone(
    opened: Open, table: Table, faults: DynamoDBFaults
) -> None:
    store = opened()
    store.replace(full(many(40)))
    keys = list(many(40))

    def delete(request: Request, ask: Asker) -> Reply:
        reply = ask(request)
        table.delete("p:features", keys[-10])
        return reply

    faults.on("Query", delete, where=lambda request: b"ScanIndexForward" in request.body, times=1)
    taken: list[Any] = []
    store._table.pages_from_both_ends("replace", "p:features", taken.extend)
    assert {row["key"]["S"] for row in taken} == set(keys)
    store.close()


@pytest.mark.usefixtures("paged")
@pytest.mark.parametrize("backwards", [False, True])
def test_what_happens_at_one_end_ends_the_read_from_both(
    backwards: bool,  # noqa: FBT001  a parameter of the test
    opened: Open,
    faults: DynamoDBFaults,
) -> None:
    store = opened()
    store.replace(full(many(60)))

    def is_there(request: Request) -> bool:
        return (b"ScanIndexForward" in request.body) is backwards

    def read() -> None:
        store._table.pages_from_both_ends("replace", "p:features", lambda _: None)

    faults.deny("Query", where=is_there, after=1)
    with pytest.raises(StoreUnavailable, match="denies"):
        read()
    assert nobody_waits(store)
    faults.pass_on()
    faults.hang("Query", where=is_there, after=1)
    ended: list[StoreError] = []

    def read_on() -> None:
        try:
            read()
        except StoreError as exc:
            ended.append(exc)

    faults.counts.clear()
    task = runtime.spawn("reader", read_on)
    until(lambda: faults.counts["Query"] >= 3)
    store.close()
    assert task.join(5)
    assert [type(one) for one in ended] == [StoreClosed]


@pytest.mark.usefixtures("paged")
def test_closing_between_two_pages_ends_the_read(
    opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    store.replace(full(many(35)))
    faults.hang("Query", after=1)
    faults.counts.clear()
    ended: list[StoreError] = []

    def read() -> None:
        try:
            store.get_all()
        except StoreError as exc:
            ended.append(exc)

    task = runtime.spawn("reader", read)
    until(lambda: faults.counts["Query"] >= 2)
    began = runtime.monotonic()
    store.close()
    assert task.join(10)
    check_within(2, since=began)
    assert [type(one) for one in ended] == [StoreClosed]
    faults.pass_on()


# --- trouble on the way ---------------------------------------------------------------------------


@pytest.mark.parametrize("ask", ASKED)
def test_a_lost_connection_is_replaced_once(
    ask: Ask, opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    store.replace(full(flags(b=2)), ME)
    faults.lose_answers(None, times=1, where=lambda request: request.operation != "PutItem")
    ask(store)
    faults.lose_answers(None)
    error = complaint(store, ask)
    assert "closed before there was an answer" in error.reason
    store.close()


def test_a_change_whose_answer_was_lost_is_not_taken_for_a_refused_one(
    opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    store.replace(full(flags(a=1)), ME)
    faults.lose_answers("PutItem", times=1)
    error = complaint(store, lambda store: store.upsert(part(flags(a=2))))
    assert "closed before there was an answer" in error.reason
    assert value(store) == 2
    faults.fail("PutItem", times=1)  # nothing was done
    assert store.upsert(part(flags(a=3))) == {}
    faults.lose_answers("PutItem", times=1, after=1)  # the record's
    assert store.upsert(part(flags(a=4))) == {}
    store.replace(full(flags(a=4)), ME)
    assert store.upsert(part(flags(a=5))) == {}
    faults.fail("PutItem", times=1, after=1)
    assert store.upsert(part(flags(a=6))) == {}
    record = store.read_record()
    assert record is not None
    assert record.digest == Tally.of_set(full(flags(a=6))).digest
    store.close()


def test_a_record_that_cannot_be_written_fails_no_change(
    opened: Open, faults: DynamoDBFaults, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    store = opened()
    store.replace(full(flags(a=1)), ME)
    faults.deny("PutItem", after=1)
    assert store.upsert(part(flags(a=2))) == {}
    faults.pass_on()
    assert value(store) == 2
    said = [one for one in caplog.records if "does not count the last change" in one.getMessage()]
    assert [one.levelname for one in said] == ["INFO"]
    store.close()


def test_what_was_written_before_an_error_is_counted(
    opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    store.replace(full(flags(a=1)), ME)
    faults.deny("PutItem", times=1, after=2)
    error = complaint(store, lambda store: store.upsert(part(flags(a=2, b=1, c=1))))
    assert "denies" in error.reason
    contents, record = store.get_all(), store.read_record()
    assert record is not None
    assert record.digest != Tally.of_set(full(flags(a=1))).digest
    assert record.digest == Tally.of_set(full(contents.flags)).digest
    store.close()


def test_many_who_write_at_once_fail_nowhere(opened: Open) -> None:
    stores = [opened() for _ in range(12)]
    stores[0].replace(full({}), ME)
    failed: list[StoreError] = []

    def writer(number: int) -> runtime.Job:
        def write() -> None:
            try:
                for version in range(1, 6):
                    stores[number].upsert(part({f"own{number}": flag("x", version)}))
            except StoreError as exc:
                failed.append(exc)

        return write

    tasks = [runtime.spawn("writer", writer(number)) for number in range(12)]
    for task in tasks:
        assert task.join(60)
    assert not failed
    contents, record = stores[0].get_all(), stores[0].read_record()
    assert {item.version for item in contents.flags.values()} == {5}
    assert record is not None
    assert record.digest == Tally.of_set(full(contents.flags)).digest
    for store in stores:
        store.close()


def test_others_who_are_always_faster_are_told_of(
    opened: Open,
    table: Table,
    faults: DynamoDBFaults,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(dynamodb_table, "_SHORT_PAUSE", 0.0001)
    store = opened()
    store.replace(full(flags(a=1)), ME)
    number = iter(range(100, 1000))

    def overtake(request: Any, ask: Callable[[Any], Any]) -> Any:
        text = '{"writer":"they"}'
        table.put("p:$flagkeep", "record", version={"N": str(next(number))}, item={"S": text})
        return ask(request)

    faults.on("PutItem", overtake, where=lambda request: b'"record"' in request.body)
    assert store.upsert(part(flags(a=2))) == {}
    (said,) = [one for one in caplog.records if "others wrote the same" in one.getMessage()]
    assert (said.levelname, value(store)) == ("INFO", 2)
    faults.pass_on()

    def break_anew(request: Any, ask: Callable[[Any], Any]) -> Any:
        table.put("p:features", "a", version={"N": str(next(number))}, item={"S": "?"})
        return ask(request)

    faults.on("PutItem", break_anew)
    error = complaint(store, lambda store: store.upsert(part(flags(a=3))))
    assert "others wrote the same" in error.reason
    store.close()


def test_a_large_item_that_others_always_change_first_is_told_of(
    opened: Open, table: Table, faults: DynamoDBFaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests._sync.dynamodb_stores import large  # noqa: PLC0415

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
        error = complaint(store, ask)
        assert "others wrote the same" in error.reason
    store.close()


@pytest.mark.parametrize("ask", ASKED)
def test_a_server_that_hangs_is_waited_for_so_long(
    ask: Ask, opened: Open, faults: DynamoDBFaults
) -> None:
    patient = opened()
    patient.replace(full(flags(a=1)), ME)
    store = opened(timeout=0.3)
    faults.hang(None)
    began = runtime.monotonic()
    error = complaint(store, ask)
    assert "no answer within 0.3 s" in error.reason
    check_within(0.3 + 3, since=began)
    faults.pass_on()
    ask(patient)
    for one in (store, patient):
        one.close()


@pytest.mark.parametrize("ask", ["get_all", "is_initialized", "one", "several"])
def test_a_timeout_bounds_all_of_a_read(
    ask: str, opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    store.replace(full(flags(a=1)), ME)
    asked: dict[str, Callable[..., Any]] = {
        "get_all": store.get_all,
        "is_initialized": store.is_initialized,
        "one": lambda **more: store.get_many(refs("a"), **more),
        "several": lambda **more: store.get_many(refs("a", "b"), **more),
    }
    faults.hang(None)
    began = runtime.monotonic()
    with pytest.raises(StoreUnavailable, match=r"no answer within 0\.2\d* s"):
        asked[ask](timeout=0.2)
    check_within(0.2 + 2, since=began)
    faults.pass_on()
    assert asked[ask](timeout=PATIENT)
    store.close()


def test_closing_does_not_wait_for_what_hangs(opened: Open, faults: DynamoDBFaults) -> None:
    store = opened()
    assert value(store) is None
    faults.hang(None)
    ended: list[StoreError] = []

    def read() -> None:
        try:
            store.get_all()
        except StoreError as exc:
            ended.append(exc)

    task = runtime.spawn("reader", read)
    until(lambda: faults.counts["BatchGetItem"] >= 1)
    began = runtime.monotonic()
    store.close()
    check_within(2, since=began)
    with pytest.raises(StoreClosed):
        value(store)
    faults.pass_on()
    assert task.join(10)
    assert len(ended) == 1


def test_answers_that_drip_are_waited_for(opened: Open, faults: DynamoDBFaults) -> None:
    store = opened(timeout=PATIENT)
    store.replace(full(flags(a=1)))
    faults.drip("GetItem", every=0.002)
    assert value(store) == 1
    faults.pass_on()
    faults.drip("GetItem", every=0.2)
    with pytest.raises(StoreUnavailable, match="no answer within"):
        value(store, timeout=0.4)
    store.close()


@pytest.mark.parametrize("after", [0, 5])
def test_an_answer_that_is_cut_off_is_no_answer(
    after: int, opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    store.replace(full(flags(a=1)))
    faults.cut("GetItem", after_bytes=after)
    complaint(store, value)
    faults.pass_on()
    assert value(store) == 1
    store.close()


@pytest.mark.usefixtures("dynamodb_here")
def test_a_server_that_comes_back_is_used_again() -> None:
    with DynamoDBServer(on_disk=True) as server:
        create_table(server.url, "flags")
        store = store_at(server.url, "flags", timeout=PATIENT)
        store.replace(full(flags(a=1)), ME)
        server.kill()
        error = complaint(store, value)
        assert "refused" in error.reason or "closed" in error.reason
        error = complaint(store, lambda store: store.replace(full(flags(a=2))))
        assert "refused" in error.reason
        server.start()
        assert value(store) == 1
        assert store.upsert(part(flags(a=2))) == {}
        assert (store.get_all()).flags == flags(a=2)
        store.close()


# --- what is not there, or is something else ------------------------------------------------------


@pytest.mark.parametrize("ask", ASKED)
def test_a_table_that_is_not_there_is_named_with_what_makes_it(
    ask: Ask, dynamodb_url: str
) -> None:
    store = store_at(dynamodb_url, "not-there", secret_access_key=SECRET)
    error = complaint(store, ask)
    # Of the marker alone a client would take that for a store that the first write makes.
    assert isinstance(error, StoreMissing) is (error.operation != "is_initialized")
    command = (
        "aws dynamodb create-table --table-name not-there --attribute-definitions"
        " AttributeName=namespace,AttributeType=S AttributeName=key,AttributeType=S --key-schema"
        " AttributeName=namespace,KeyType=HASH AttributeName=key,KeyType=RANGE --billing-mode"
        f" PAY_PER_REQUEST --region {REGION} --endpoint-url {dynamodb_url}"
    )
    assert error.reason.endswith(f": {command}")
    store.close()


def test_a_table_that_is_made_later_is_used_at_once(dynamodb_url: str) -> None:
    store = store_at(dynamodb_url, "flagkeep-made-later")
    complaint(store, value)
    create_table(dynamodb_url, "flagkeep-made-later")
    store.replace(full(flags(a=1)))
    assert value(store) == 1
    drop_table(dynamodb_url, "flagkeep-made-later")
    assert isinstance(complaint(store, value), StoreMissing)
    store.close()


WRONG: dict[str, dict[str, Any]] = {
    "one key": {"keys": (("namespace", "HASH"),)},
    "another key": {"keys": (("id", "HASH"),)},
    "other names": {"keys": (("ns", "HASH"), ("key", "RANGE"))},
    "turned round": {"keys": (("key", "HASH"), ("namespace", "RANGE"))},
    "numbers": {"key_type": "N"},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_table_with_another_key_is_never_written_to(wrong: str, dynamodb_url: str) -> None:
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
        error = complaint(store, ask)
        assert isinstance(error, StoreCorrupt)
        assert "partition key namespace (String)" in error.reason
        assert "delete it or take another name, then: aws dynamodb create-table" in error.reason
    assert Table(dynamodb_url, name).content() == {}
    drop_table(dynamodb_url, name)
    store.close()


def test_rows_of_a_table_with_another_key_are_not_removed(dynamodb_url: str) -> None:
    name = "flagkeep-wrong-with-rows"
    create_table(dynamodb_url, name, keys=(("namespace", "HASH"), ("id", "RANGE")))
    row = {"namespace": {"S": "features"}, "id": {"S": "a"}}
    call(dynamodb_url, "PutItem", TableName=name, Item=row)
    store = store_at(dynamodb_url, name, secret_access_key=SECRET)
    error = complaint(store, lambda store: store.clear())
    assert isinstance(error, StoreCorrupt)
    assert "partition key namespace (String)" in error.reason
    assert list(rows(dynamodb_url, name)) == [row]
    drop_table(dynamodb_url, name)
    store.close()


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
def test_a_refusal_is_told_with_what_to_do(
    kind: str, opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened(secret_access_key=SECRET)
    faults.error(None, kind, message="anything")
    for ask in ASKED:
        error = complaint(store, ask)
        assert isinstance(error, StoreUnavailable)
        assert REFUSALS[kind] in error.reason
    assert max(faults.counts.values()) < 10  # refused once is enough
    store.close()


def test_a_denial_says_which_permissions_are_needed(
    opened: Open, faults: DynamoDBFaults
) -> None:
    store = opened()
    store.replace(full(flags(a=1)))
    faults.deny("BatchWriteItem")
    error = complaint(store, lambda store: store.replace(full(flags(a=2))))
    assert "(dynamodb:BatchWriteItem)" in error.reason
    for action in ("GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem", "DeleteItem"):
        assert action in error.reason
    assert value(store) == 1
    store.close()


def test_what_is_no_dynamodb_is_told_apart(opened: Open, faults: DynamoDBFaults) -> None:
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
            error = complaint(store, ask)
            assert "not DynamoDB" in error.reason
        faults.pass_on()
    store.close()


def test_what_speaks_another_language_is_told_of() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        store = store_at(f"http://127.0.0.1:{port}", "flags", timeout=0.3)
        assert "no answer within 0.3 s" in (complaint(store, value)).reason
        store.close()
    store = store_at(f"http://127.0.0.1:{free_port()}", "flags")
    assert "refused" in (complaint(store, value)).reason
    store.close()
    store = store_at("http://no-such-host.invalid", "flags", secret_access_key=SECRET)
    assert "unknown" in (complaint(store, value)).reason
    store.close()


def test_tls_where_there_is_none_is_told_of(
    dynamodb_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    store = store_at(dynamodb_url.replace("http:", "https:"), "flags", timeout=2.0)
    assert "TLS" in (complaint(store, value)).reason
    store.close()


def test_a_status_of_trouble_is_told(
    opened: Open, faults: DynamoDBFaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb_table, "_PATIENCE", 0.2)
    store = opened()
    faults.fail(None)
    assert "problem of its own" in (complaint(store, value)).reason
    faults.pass_on()
    for body in (b"", b"<html>Unsupported method</html>", b"[]"):
        faults.answer(None, 501, body, {"Content-Type": "text/html"})
        reason = (complaint(store, value)).reason
        assert reason.endswith("is it DynamoDB? Check the endpoint (status 501)")
        faults.pass_on()
    store.close()
