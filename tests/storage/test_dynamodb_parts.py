import random
import zlib
from base64 import b64encode
from typing import Any

import pytest

from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem
from flagkeep.storage import dynamodb_parts as parts
from flagkeep.storage.dynamodb_layout import Names, Row
from flagkeep.storage.dynamodb_parts import PART_BYTES, Cut

NAMES = Names("p")
A = ItemRef(Kind.FLAG, "a")


def item(version: int, packed: int = 0) -> SerializedItem:
    """Return a flag whose text takes about so many bytes when it is packed."""
    noise = random.Random(1).randbytes(packed).hex()
    return SerializedItem(version, False, b'{"version":%d,"pad":"%b"}' % (version, noise.encode()))


def rows(cut: Cut) -> dict[int, Any]:
    """Return the rows that transactions put, by their numbers."""
    found = {}
    for one in cut.transactions("t", []):
        for operation in one["TransactItems"]:
            row = operation["Put"]["Item"]
            found[int(row["key"]["S"].rpartition("#")[2])] = row
    return found


def part(count: str = "1", version: str = "1", **attributes: Any) -> Row:
    return {"parts": {"N": count}, "version": {"N": version}, **attributes}


def test_a_text_comes_back_from_its_parts() -> None:
    for size in (0, 1000, PART_BYTES * 2):
        one = item(7, size)
        whole = rows(Cut(NAMES, A, one))
        assert parts.item_of(A, whole, 7) == one
        assert parts.count_of(whole, 7) == len(whole)
        assert all(len(row["item"]["B"]) <= PART_BYTES == 380 * 1024 for row in whole.values())
    assert len(whole) == 3


def test_parts_may_be_read_as_they_travel() -> None:
    one = item(7, PART_BYTES)
    whole = {
        at: {**row, "item": {"B": b64encode(row["item"]["B"]).decode()}}
        for at, row in rows(Cut(NAMES, A, one)).items()
    }
    assert len(whole) == 2
    assert parts.item_of(A, whole, 7) == one


def test_a_part_is_a_row_that_tells_version_and_number() -> None:
    (row,) = rows(Cut(NAMES, A, item(7))).values()
    assert row["namespace"] == {"S": "p:$flagkeep"}
    assert row["key"] == {"S": "features/a#0"}
    assert (row["version"], row["parts"]) == ({"N": "7"}, {"N": "1"})
    assert zlib.decompress(row["item"]["B"], wbits=31) == item(7).data  # gzip, for any reader


def test_parts_count_only_if_all_are_there_with_one_version() -> None:
    whole = rows(Cut(NAMES, A, item(7, PART_BYTES)))
    assert parts.item_of(A, whole, 8) is None
    assert parts.item_of(A, {1: whole[1]}, 7) is None
    assert parts.item_of(A, {0: whole[0]}, 7) is None
    assert parts.item_of(A, {0: whole[0], 1: {**whole[1], "version": {"N": "6"}}}, 7) is None
    assert parts.item_of(A, {0: whole[0], 1: {**whole[1], "parts": {"N": "3"}}}, 7) is None
    assert parts.item_of(A, {**whole, 2: whole[1]}, 7) == item(7, PART_BYTES)  # left over


@pytest.mark.parametrize(
    "attribute",
    [
        {},
        {"item": {"S": "x"}},
        {"item": {"B": b"no gzip"}},
        {"item": {"B": "="}},
        {"item": {"B": zlib.compress(b"{}", wbits=31)[:-1]}},
    ],
)
def test_parts_that_cannot_be_unpacked_are_named(attribute: dict[str, Any]) -> None:
    found = parts.item_of(A, {0: part(**attribute)}, 1)
    assert isinstance(found, BadItem)
    assert found.ref == A
    assert "unpacked" in found.problem


def test_parts_of_what_is_no_item_are_named() -> None:
    found = parts.item_of(A, {0: part(item={"B": zlib.compress(b"[]", wbits=31)})}, 1)
    assert isinstance(found, BadItem)


def test_a_text_of_any_size_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_LARGEST_TEXT", 1000)
    assert parts.joined([zlib.compress(b" " * 1001, wbits=31)]) is None
    assert parts.joined([zlib.compress(b" " * 1000, wbits=31)]) == b" " * 1000
    assert not parts.can_be_cut(NAMES, A, SerializedItem(1, False, b" " * 1001))


def test_parts_need_a_name_that_is_not_too_long() -> None:
    assert parts.can_be_cut(NAMES, ItemRef(Kind.FLAG, "x" * 1010), item(1))
    assert not parts.can_be_cut(NAMES, ItemRef(Kind.FLAG, "x" * 1011), item(1))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (part("2", "5"), (5, 2)),
        (part("0"), None),
        (part("1001"), None),
        (part("x"), None),
        ({"parts": {"N": "2"}}, None),
        ({"version": {"N": "2"}}, None),
    ],
)
def test_the_first_part_says_what_belongs_together(row: Row, expected: object) -> None:
    assert parts.said_by(row) == expected


def test_how_many_parts_there_may_be_is_said_by_rows_of_either_kind() -> None:
    assert parts.number_said_by(part("2")) == 2
    assert parts.number_said_by(part("-1")) == 0
    assert parts.number_said_by({}) == 0
    assert parts.number_said_by(None) == 0


# --- transactions ---------------------------------------------------------------------------------


def test_all_of_it_is_written_at_once_where_that_is_possible() -> None:
    cut = Cut(NAMES, A, item(7, PART_BYTES * 2))
    (only,) = cut.transactions("t", [{"Delete": {}}])
    keys = [one["Put"]["Item"]["key"]["S"] for one in only["TransactItems"][:-1]]
    assert keys == ["features/a#2", "features/a#1", "features/a#0"]
    assert only["TransactItems"][-1] == {"Delete": {}}
    assert all("ConditionExpression" not in one["Put"] for one in only["TransactItems"][:-1])


@pytest.mark.parametrize(("count", "sizes"), [(9, [10]), (10, [1, 10]), (20, [9, 2, 10])])
def test_what_is_too_much_for_one_transaction_ends_with_the_first_part(
    count: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", 100)
    noise = random.Random(1).randbytes(100 * count - 60)
    cut = Cut(NAMES, A, SerializedItem(7, False, noise))
    assert cut.count == count
    several = [one["TransactItems"] for one in cut.transactions("t", [{"Delete": {}}], {"x": 1})]
    assert [len(one) for one in several] == sizes
    puts = [one["Put"] for transaction in several for one in transaction if "Put" in one]
    assert [one["Item"]["key"]["S"] for one in puts] == [
        f"features/a#{at}" for at in reversed(range(count))
    ]
    assert all(one["x"] == 1 for one in puts)
    assert several[-1][-1] == {"Delete": {}}


def test_the_row_is_marked_if_it_is_what_was_seen() -> None:
    cut = Cut(NAMES, A, item(7))
    seen = {"key": {"S": "a"}, "version": {"N": "3"}}
    update = cut.mark("t", seen)["Update"]
    assert update["UpdateExpression"] == "SET #w = :version, #p = :parts"
    assert update["ExpressionAttributeValues"] == {
        ":v": {"N": "3"},
        ":version": {"N": "7"},
        ":parts": {"N": "1"},
    }
    assert update["ExpressionAttributeNames"]["#w"] == "partsVersion"
    assert "attribute_exists(#k)" in update["ConditionExpression"]
    assert (
        cut.mark("t", None)["ConditionCheck"]["ConditionExpression"] == "attribute_not_exists(#k)"
    )
    assert cut.removal("t")["Delete"]["Key"] == NAMES.item(A).as_key()
    assert cut.unless_newer()["ExpressionAttributeValues"][":v"] == {"N": "7"}
