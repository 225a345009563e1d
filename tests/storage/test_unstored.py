"""What a store could not take is named for as long as that is so, and nothing else is."""

import threading

import pytest

from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem
from flagkeep.model.tombstone import tombstone
from flagkeep.storage.unstored import Unstored, without_place

A, B = ItemRef(Kind.FLAG, "a"), ItemRef(Kind.FLAG, "b")
S = ItemRef(Kind.SEGMENT, "a")  # a namesake
ITEM = SerializedItem(1, deleted=False, data=b"{}")
IN_PARTS = "kept in parts, which only flagkeep reads"


def part(*refs: ItemRef, item: SerializedItem = ITEM) -> ChangeSet:
    return ChangeSet.partial(dict.fromkeys(refs, item))


def full(*refs: ItemRef) -> ChangeSet:
    return ChangeSet(full=True).with_items(dict.fromkeys(refs, ITEM))


def too_large(ref: ItemRef) -> BadItem:
    return BadItem(*ref, "$", "too large")


def named(unstored: Unstored) -> list[tuple[ItemRef, str]]:
    return [(one.ref, one.problem) for one in unstored.items]


@pytest.fixture
def unstored() -> Unstored:
    unstored = Unstored()
    unstored.note(full(A, B, S), [too_large(S), too_large(A)])
    return unstored


def test_nothing_is_named_at_first() -> None:
    assert Unstored().items == ()


def test_they_are_sorted_and_say_what_happened(unstored: Unstored) -> None:
    assert unstored.items == (
        BadItem(Kind.FLAG, "a", "$", "not stored: too large"),
        BadItem(Kind.SEGMENT, "a", "$", "not stored: too large"),
    )


def test_an_item_that_is_stored_leaves_and_its_namesake_stays(unstored: Unstored) -> None:
    unstored.note(part(A))
    assert named(unstored) == [(S, "not stored: too large")]


def test_an_item_that_is_deleted_leaves(unstored: Unstored) -> None:
    unstored.note(part(A, item=tombstone(Kind.FLAG, "a", 2)))
    assert named(unstored) == [(S, "not stored: too large")]


def test_changes_of_others_leave_it_as_it_is(unstored: Unstored) -> None:
    before = unstored.items
    unstored.note(part())
    unstored.note(part(B))
    assert unstored.items == before
    unstored.note(part(B), [too_large(B)])
    assert named(unstored) == [(ref, "not stored: too large") for ref in (A, B, S)]


def test_a_full_set_takes_the_place_of_everything(unstored: Unstored) -> None:
    unstored.note(full(B), [too_large(B)])
    assert named(unstored) == [(B, "not stored: too large")]
    unstored.note(full(A))
    assert unstored.items == ()


def test_one_item_may_have_several_faults(unstored: Unstored) -> None:
    unstored.note(part(B), [BadItem(*B, "$.key", "odd"), BadItem(*B, "$.version", "huge")])
    assert [one.path for one in unstored.items if one.ref == B] == ["$.key", "$.version"]
    unstored.note(part(B), [too_large(B)])
    assert [one.path for one in unstored.items if one.ref == B] == ["$"]


def test_what_is_found_on_the_way_counts_last(unstored: Unstored) -> None:
    unstored.keep_in_parts([A, B])
    assert named(unstored) == [(A, IN_PARTS), (B, IN_PARTS), (S, "not stored: too large")]
    assert without_place(unstored.items) == {S}
    unstored.refuse(BadItem(*A, "$", "no parts either"))
    assert named(unstored)[0] == (A, "not stored: no parts either")
    assert without_place(unstored.items) == {A, S}


def test_a_tombstone_is_missed_only_where_there_may_be_an_item() -> None:
    unstored = Unstored()
    gone = part(A, item=tombstone(Kind.FLAG, "a", 2**63))
    unstored.note(gone, [BadItem(*A, "$.version", "huge")])
    assert named(unstored) == [(A, "not stored: huge")]  # others go on with the live one
    unstored.note(gone, [BadItem(*A, "$.key", "odd"), BadItem(*A, "$.version", "huge")])
    assert unstored.items == ()


def test_writes_of_different_items_do_not_disturb_each_other() -> None:
    unstored, errors = Unstored(), list[Exception]()
    refs = [ItemRef(Kind.FLAG, f"f{number}") for number in range(8)]

    def use(ref: ItemRef) -> None:
        try:
            for _ in range(500):
                unstored.note(part(ref), [too_large(ref)])
                assert ref in [one.ref for one in unstored.items]
                unstored.note(part(ref))
                assert ref not in [one.ref for one in unstored.items]
            unstored.refuse(too_large(ref))
        except Exception as exc:  # noqa: BLE001  whatever it is, the test is told
            errors.append(exc)

    threads = [threading.Thread(target=use, args=[ref]) for ref in refs]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert errors == []
    assert [one.ref for one in unstored.items] == refs
