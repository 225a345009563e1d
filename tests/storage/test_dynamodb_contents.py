from typing import Any

from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.storage.contents import StoreContents, WriterRecord
from flagkeep.storage.dynamodb_contents import Gathering
from flagkeep.storage.dynamodb_layout import Names, record_row, row_of
from flagkeep.storage.dynamodb_parts import Cut

NAMES = Names("")


def item(version: int, text: str = "") -> SerializedItem:
    return SerializedItem(version, False, f'{{"version":{version}{text}}}'.encode())


def row(key: str, one: SerializedItem, parts: tuple[int, int] | None = None) -> dict[str, Any]:
    found = row_of(NAMES.item(ItemRef(Kind.FLAG, key)), one)
    if parts is not None:
        found |= {"partsVersion": {"N": str(parts[0])}, "parts": {"N": str(parts[1])}}
    return found


def part_rows(key: str, one: SerializedItem) -> list[dict[str, Any]]:
    return [
        operation["Put"]["Item"]
        for transaction in Cut(NAMES, ItemRef(Kind.FLAG, key), one).transactions(
            "t", None, keep_newer=False
        )
        for operation in transaction["TransactItems"]
        if operation["Put"]["Item"]["namespace"]["S"] == NAMES.own
    ]


def gathered(
    rows: list[dict[str, Any]], own: list[dict[str, Any]], last: StoreContents | None = None
) -> tuple[StoreContents, list[ItemRef]]:
    gathering = Gathering() if last is None else Gathering(last)
    for one in rows:
        gathering.take(Kind.FLAG, [one])
    gathering.take_own(own)
    unsettled = gathering.settle()
    return gathering.contents(initialized=True, record=None), unsettled


def test_rows_of_both_kinds_are_told_apart() -> None:
    gathering = Gathering()
    gathering.take(Kind.SEGMENT, [row("a", item(2))])
    gathering.take(Kind.FLAG, [row("a", item(1)), row("b", item(3))])
    assert gathering.settle() == []
    contents = gathering.contents(initialized=False, record=None)
    assert contents == StoreContents(False, {"a": item(1), "b": item(3)}, {"a": item(2)})


def test_a_bad_row_hides_no_other() -> None:
    broken = {**row("bad", item(1)), "item": {"B": b"x"}}
    contents, _ = gathered([broken, row("good", item(1))], [])
    assert contents.flags == {"good": item(1)}
    assert [one.key for one in contents.bad] == ["bad"]


def test_items_that_are_as_they_were_are_the_very_same() -> None:
    last, _ = gathered([row("a", item(1)), row("b", item(1)), row("c", item(1))], [])
    other = {**row("c", item(1)), "version": {"N": "2"}}
    now, _ = gathered([row("a", item(1)), row("b", item(2)), other], [], last)
    assert now.flags["a"] is last.flags["a"]
    assert now.flags["b"] == item(2)
    assert now.flags["c"].version == 2


def test_parts_take_the_place_of_the_row_that_names_them() -> None:
    for version in (1, 5):  # the last one that fitted, or a tombstone as there was none
        contents, unsettled = gathered([row("a", item(version), (5, 1))], part_rows("a", item(5)))
        assert (contents.flags, unsettled) == ({"a": item(5)}, [])


def test_parts_that_no_row_names_do_not_count() -> None:
    assert gathered([], part_rows("a", item(5)))[0].flags == {}


def test_a_set_that_somebody_is_replacing_is_told() -> None:
    half = WriterRecord(writer="w", replaces=1, replacing=True)
    done = WriterRecord(writer="w", replaces=2)
    for before, after, expected in ((None, None, None), (half, done, done), (done, half, half)):
        gathering = Gathering()
        if after is not None:
            gathering.take_own([record_row(NAMES.record, after, None)])
        assert gathering.contents(initialized=True, record=before).unfinished == expected


def test_parts_that_somebody_else_has_written_over_do_not_count() -> None:
    own = part_rows("a", item(5))
    assert gathered([row("a", item(3))], own)[0].flags == {"a": item(3)}
    bad = {**row("a", item(3)), "item": {"S": ""}}
    contents, _ = gathered([bad], own)
    assert (contents.flags, len(contents.bad)) == ({}, 1)
    assert gathered([row("a", item(6), (5, 1))], own)[0].flags == {"a": item(6)}


def test_parts_that_are_not_whole_have_to_be_read_again() -> None:
    contents, unsettled = gathered([row("a", item(1), (5, 1))], part_rows("a", item(4)))
    assert (contents.flags, unsettled) == ({"a": item(1)}, [ItemRef(Kind.FLAG, "a")])
    own = [{**part_rows("a", item(5))[0], "parts": {"N": "2"}}]
    contents, unsettled = gathered([row("a", item(1), (5, 1))], own)
    assert (contents.flags, unsettled) == ({"a": item(1)}, [ItemRef(Kind.FLAG, "a")])


def test_parts_that_cannot_be_unpacked_leave_the_row_in_force() -> None:
    own = [{**part_rows("a", item(5))[0], "item": {"B": b"x"}}]
    contents, unsettled = gathered([row("a", item(1), (5, 1))], own)
    assert (contents.flags, unsettled) == ({"a": item(1)}, [])
    assert [one.key for one in contents.bad] == ["a"]


def test_what_was_read_again_takes_the_place_of_what_was_bad() -> None:
    gathering = Gathering()
    ref = ItemRef(Kind.FLAG, "a")
    gathering.take(Kind.FLAG, [{**row("a", item(1), (5, 1)), "item": {"S": ""}}])
    assert gathering.settle() == [ref]
    gathering.put(ref, item(5))
    contents = gathering.contents(initialized=True, record=None)
    assert (contents.flags, contents.bad) == ({"a": item(5)}, ())
