import random
import zlib
from base64 import b64encode
from typing import Any

import pytest

from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem
from flagkeep.model.tombstone import tombstone
from flagkeep.storage import dynamodb_parts as parts
from flagkeep.storage.dynamodb_layout import KEY_BYTES, Names, Row, row_of
from flagkeep.storage.dynamodb_parts import PART_BYTES, PARTS_PER_TRANSACTION, Cut

NAMES = Names("p")
A = ItemRef(Kind.FLAG, "a")
SEEN: Row = {"key": {"S": "a"}, "version": {"N": "3"}}


def item(version: int, packed: int = 0) -> SerializedItem:
    """Return a flag whose text takes about so many bytes when it is packed."""
    noise = random.Random(1).randbytes(packed).hex()
    return SerializedItem(version, False, b'{"version":%d,"pad":"%b"}' % (version, noise.encode()))


def rows(cut: Cut) -> dict[int, Any]:
    """Return the rows that transactions put, by their numbers."""
    found = {}
    for one in cut.transactions("t", SEEN, keep_newer=False):
        for operation in one["TransactItems"]:
            if "Put" not in operation:
                continue
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


def test_parts_count_only_if_all_of_one_text_are_there() -> None:
    whole = rows(Cut(NAMES, A, item(7, PART_BYTES)))
    assert parts.item_of(A, whole, 8) is None
    assert parts.item_of(A, {1: whole[1]}, 7) is None
    assert parts.item_of(A, {0: whole[0]}, 7) is None
    assert parts.item_of(A, {0: whole[0], 1: {**whole[1], "version": {"N": "6"}}}, 7) is None
    assert parts.item_of(A, {0: whole[0], 1: {**whole[1], "parts": {"N": "3"}}}, 7) is None
    assert parts.item_of(A, {0: whole[0], 1: {**whole[1], "digest": {"S": "x"}}}, 7) is None
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


# --- transactions ---------------------------------------------------------------------------------


def test_all_of_it_is_written_at_once_where_that_is_possible() -> None:
    cut = Cut(NAMES, A, item(7, PART_BYTES * 2))
    for keep_newer in (False, True):
        (only,) = cut.transactions("t", SEEN, keep_newer=keep_newer)
        keys = [one["Put"]["Item"]["key"]["S"] for one in only["TransactItems"][:-1]]
        assert keys == ["features/a#2", "features/a#1", "features/a#0"]
        assert "Update" in only["TransactItems"][-1]
        assert all("ConditionExpression" not in one["Put"] for one in only["TransactItems"][:-1])


def test_a_transaction_has_room_for_the_row_of_the_item_before_and_after() -> None:
    part, row = PART_BYTES + KEY_BYTES + 2_048 + 200, 409_600
    assert PARTS_PER_TRANSACTION * part + 2 * row <= 4_000_000


@pytest.mark.parametrize(("count", "sizes"), [(8, [9]), (9, [1, 9]), (18, [8, 2, 9])])
def test_what_is_too_much_for_one_transaction_ends_with_the_first_part(
    count: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", 100)
    noise = random.Random(1).randbytes(100 * count - 60)
    cut = Cut(NAMES, A, SerializedItem(7, False, noise))
    assert cut.count == count
    several = [one["TransactItems"] for one in cut.transactions("t", SEEN, keep_newer=True)]
    assert [len(one) for one in several] == sizes
    puts = [one["Put"] for transaction in several for one in transaction if "Put" in one]
    assert [one["Item"]["key"]["S"] for one in puts] == [
        f"features/a#{at}" for at in reversed(range(count))
    ]
    early = puts[: sum(sizes[:-1])]
    assert all(one["ExpressionAttributeValues"][":v"] == {"N": "7"} for one in early)
    assert not any("ConditionExpression" in one for one in puts[len(early) :])
    assert "Update" in several[-1][-1]
    for transaction in cut.transactions("t", SEEN, keep_newer=False):
        steps = transaction["TransactItems"]
        assert not any("ConditionExpression" in one.get("Put", {}) for one in steps)


def naming(seen: Row | None) -> Any:
    """Return what is done to the item's row, in the place of which this was seen."""
    (only,) = Cut(NAMES, A, item(7)).transactions("t", seen, keep_newer=True)
    return only["TransactItems"][-1]


@pytest.mark.parametrize("version", ["3", "7"])
def test_the_row_names_the_parts_if_it_is_what_was_seen(version: str) -> None:
    update = naming({"key": {"S": "a"}, "version": {"N": version}})["Update"]
    assert update["UpdateExpression"] == "SET #w = :version, #p = :parts"
    assert update["ExpressionAttributeValues"] == {
        ":v": {"N": version},
        ":version": {"N": "7"},
        ":parts": {"N": "1"},
    }
    assert update["ExpressionAttributeNames"]["#w"] == "partsVersion"
    assert "attribute_exists(#k)" in update["ConditionExpression"]


@pytest.mark.parametrize(
    ("seen", "condition"),
    [
        (None, "attribute_not_exists(#k)"),
        (
            {"key": {"S": "a"}, "version": {"N": "8"}},
            "attribute_exists(#k) AND #v = :v AND attribute_not_exists(#w)",
        ),
    ],
)
def test_without_a_row_that_may_stay_there_is_a_tombstone_for_others(
    seen: Row | None, condition: str
) -> None:
    put = naming(seen)["Put"]
    assert put["ConditionExpression"] == condition
    named = {"partsVersion": {"N": "7"}, "parts": {"N": "1"}}
    assert put["Item"] == row_of(NAMES.item(A), tombstone(*A, 7)) | named
