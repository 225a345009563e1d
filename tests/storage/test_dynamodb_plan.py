import random
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.storage import dynamodb_layout as layout
from flagkeep.storage.dynamodb_layout import Names, Place
from flagkeep.storage.dynamodb_parts import Cut
from flagkeep.storage.dynamodb_plan import Existing, Replacement, Sorted
from flagkeep.storage.dynamodb_requests import Arguments

NAMES = Names("p")
A, B, S = ItemRef(Kind.FLAG, "a"), ItemRef(Kind.FLAG, "b"), ItemRef(Kind.SEGMENT, "s")
LARGE = 500_000


def item(version: int, text: str = "", *, deleted: bool = False) -> SerializedItem:
    gone = ',"deleted":true' if deleted else ""
    return SerializedItem(version, deleted, f'{{"version":{version}{gone}{text}}}'.encode())


def large(version: int) -> SerializedItem:
    noise = random.Random(version).randbytes(LARGE).hex()
    return item(version, f',"pad":"{noise}"')


def changes(flags: dict[str, SerializedItem], **segments: SerializedItem) -> ChangeSet:
    return ChangeSet(full=True, flags=flags, segments=segments)


def row(key: str, one: SerializedItem, parts: tuple[int, int] | None = None) -> dict[str, Any]:
    """Return a row as it is read without its text."""
    found = dict(layout.row_of(NAMES.item(ItemRef(Kind.FLAG, key)), one))
    del found["item"]
    if parts is not None:
        found |= {"partsVersion": {"N": str(parts[0])}, "parts": {"N": str(parts[1])}}
    return found


def part_rows(ref: ItemRef, one: SerializedItem) -> list[dict[str, Any]]:
    """Return the rows of an item's parts as they are read without their texts."""
    return [
        {name: value for name, value in operation["Put"]["Item"].items() if name != "item"}
        for transaction in Cut(NAMES, ref, one).transactions("t", None, keep_newer=False)
        for operation in transaction["TransactItems"]
        if operation["Put"]["Item"]["namespace"]["S"] == NAMES.own
    ]


class Found(NamedTuple):
    """What is in a table: rows by kind, and rows of our own namespace."""

    rows: dict[Kind, list[dict[str, Any]]]
    own: list[dict[str, Any]]


def planned(wanted: ChangeSet, found: Found) -> Replacement:
    sorted_ = Sorted(NAMES, wanted)
    existing = Existing(sorted_)
    for kind, rows in found.rows.items():
        existing.take_rows(kind, rows)
    existing.take_own(found.own)
    return Replacement(NAMES, sorted_, existing)


def there(
    flags: dict[str, int], segments: Mapping[str, int] = {}, own: Iterable[dict[str, Any]] = ()
) -> Found:
    rows = {
        kind: [row(key, item(version)) for key, version in versions.items()]
        for kind, versions in ((Kind.FLAG, flags), (Kind.SEGMENT, segments))
    }
    return Found(rows, list(own))


def there_as(*rows: dict[str, Any], own: Iterable[dict[str, Any]] = ()) -> Found:
    """Return flags' rows as they are, and rows of our own namespace."""
    return Found({Kind.FLAG: list(rows)}, list(own))


def names_in(batch: list[Arguments] | tuple[ItemRef, SerializedItem]) -> list[str]:
    """Return what a step does, in words."""
    if isinstance(batch, tuple):
        return [f"parts {batch[0].key}"]
    found = []
    for one in batch:
        if "PutRequest" in one:
            found.append("put " + one["PutRequest"]["Item"]["key"]["S"])
        else:
            found.append("delete " + one["DeleteRequest"]["Key"]["key"]["S"])
    return found


def steps(plan: Replacement) -> list[list[str]]:
    return [names_in(step) for step in plan.steps()]


# --- what there is --------------------------------------------------------------------------------


def test_a_set_is_sorted_by_what_a_table_can_do_with_it() -> None:
    long = "x" * 1020
    wanted = Sorted(NAMES, changes({"a": item(1), "b": large(2), long: large(3), "": item(4)}))
    assert wanted.changes.flags.keys() == {"a", "b"}
    assert wanted.large.keys() == {B}
    assert {one.key for one in wanted.bad} == {long, ""}
    assert any("too long for keeping parts" in one.problem for one in wanted.bad)


def test_a_text_that_is_just_not_too_large_gets_a_row() -> None:
    fits = item(1, f',"pad":"{"x" * (layout.ROW_BYTES - 300)}"')
    assert Sorted(NAMES, changes({"a": fits})).large == {}


# --- what is to be done ---------------------------------------------------------------------------


def test_rows_that_are_right_stay_untouched() -> None:
    plan = planned(
        changes({"a": item(1), "b": item(3)}, s=item(1)), there({"a": 1, "b": 2}, {"s": 1})
    )
    assert steps(plan) == [["put b"]]


def test_a_full_set_goes_over_higher_versions() -> None:
    assert steps(planned(changes({"a": item(1)}), there({"a": 9}))) == [["put a"]]


def test_what_is_gone_is_deleted_last_flags_before_segments() -> None:
    plan = planned(changes({"b": item(1)}), there({"a": 1}, {"s": 1}))
    assert steps(plan) == [["put b"], ["delete a", "delete s"]]


def test_what_cannot_be_replaced_stays() -> None:
    existing = there({"a": 1}, own=part_rows(A, item(1)))
    plan = planned(changes({"a": item(2**63)}), existing)
    assert (plan.puts, plan.deletes) == ([], [])


def test_a_version_that_is_no_number_is_replaced() -> None:
    existing = there_as({"key": {"S": "a"}})
    assert steps(planned(changes({"a": item(0)}), existing)) == [["put a"]]


def test_another_text_of_the_same_version_is_written_over() -> None:
    live, gone = item(1), item(1, deleted=True)
    for found, wanted in ((live, gone), (gone, live), (item(1, ',"on":true'), live)):
        assert steps(planned(changes({"a": wanted}), there_as(row("a", found)))) == [["put a"]]
        assert steps(planned(changes({"a": found}), there_as(row("a", found)))) == []


def test_a_row_that_comes_twice_counts_as_it_came_last() -> None:
    right, other = row("a", item(1)), row("a", item(1, ',"on":true'))
    assert steps(planned(changes({"a": item(1)}), there_as(other, right))) == []
    assert steps(planned(changes({"a": item(1)}), there_as(right, other))) == [["put a"]]
    assert steps(planned(changes({}), there_as(right, right))) == [["delete a"]]


def test_a_row_that_somebody_else_has_written_is_put_anew() -> None:
    foreign = {name: value for name, value in row("a", item(1)).items() if name != "digest"}
    assert steps(planned(changes({"a": item(1)}), there_as(foreign))) == [["put a"]]


def test_batches_are_full_and_keep_the_order() -> None:
    flags = {f"f{number:02}": item(1) for number in range(60)}
    existing = there({f"g{number:02}": 1 for number in range(30)})
    plan = planned(changes(flags, s=item(1)), existing)
    done = steps(plan)
    assert [len(step) for step in done] == [25, 25, 11, 25, 5]
    puts = [word for step in done[:3] for word in step]
    assert puts == ["put s", *(f"put {key}" for key in flags)]


def test_prerequisites_come_first_whatever_is_there_already() -> None:
    needs_b = item(1, ',"prerequisites":[{"key":"b"}]')
    needs_c = item(2, ',"prerequisites":[{"key":"c"}]')
    wanted = changes({"a": needs_b, "b": needs_c, "c": item(1)})
    assert steps(planned(wanted, there({}))) == [["put c", "put b", "put a"]]
    assert steps(planned(wanted, there({"c": 1}))) == [["put b", "put a"]]


# --- parts ----------------------------------------------------------------------------------------


def test_what_is_too_large_is_written_alone_at_its_place() -> None:
    wanted = changes({"a": item(1), "b": large(1), "c": item(1)})
    plan = planned(wanted, there({}))
    assert steps(plan) == [["put a"], ["parts b"], ["put c"]]
    assert [one for one in plan.steps() if isinstance(one, tuple)] == [(B, large(1))]


PARTS = part_rows(B, large(2))
GONE = item(2, deleted=True)


@pytest.mark.parametrize("one", [item(1), item(2), GONE])
def test_parts_that_are_right_stay_untouched(one: SerializedItem) -> None:
    own = [*PARTS, {"key": {"S": "record"}}]
    existing = there_as(row("b", one, (2, 2)), own=own)
    assert len(PARTS) == 2
    assert steps(planned(changes({"b": large(2)}), existing)) == []


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [row("b", item(1))],  # somebody else has put it in the place of one that named them
        [row("b", item(1), (2, 3))],
        [row("b", item(1), (1, 2))],
        [row("b", item(3), (2, 2))],
    ],
)
def test_parts_are_written_again_unless_the_row_names_them(rows: list[dict[str, Any]]) -> None:
    existing = there_as(*rows, own=PARTS)
    assert steps(planned(changes({"b": large(2)}), existing)) == [["parts b"]]


def test_a_row_without_a_version_may_name_parts() -> None:
    named = row("b", item(0), (2, 2))
    del named["version"]
    assert steps(planned(changes({"b": large(2)}), there_as(named, own=PARTS))) == []


@pytest.mark.parametrize(
    "found",
    [
        part_rows(B, large(1)),
        PARTS[1:],
        [*PARTS, {"key": {"S": "features/b#2"}}],
        [{**one, "digest": {"S": "of another text"}} for one in PARTS],
    ],
)
def test_parts_of_another_text_or_number_are_written_again(found: list[dict[str, Any]]) -> None:
    existing = there_as(row("b", item(1), (2, 2)), own=found)
    assert steps(planned(changes({"b": large(2)}), existing)) == [["parts b"]]


def test_parts_of_what_fits_again_or_is_gone_are_deleted_last() -> None:
    existing = there({"a": 1, "b": 1}, own=[*part_rows(A, item(1)), *part_rows(B, item(1))])
    plan = planned(changes({"a": item(2)}), existing)
    assert steps(plan) == [["put a"], ["delete b", "delete features/a#0", "delete features/b#0"]]
    assert plan.deletes[-1] == Place("p:$flagkeep", "features/b#0")


def test_a_row_that_was_overtaken_is_put_anew_though_its_version_is_right() -> None:
    existing = there_as(row("a", item(1), (2, 1)))
    assert steps(planned(changes({"a": item(1)}), existing)) == [["put a"]]


# --- laws -----------------------------------------------------------------------------------------

KEYS = st.sampled_from(["a", "b", "c", "d"])
VERSIONS = st.integers(0, 3)


@given(st.dictionaries(KEYS, VERSIONS), st.dictionaries(KEYS, VERSIONS))
def test_a_plan_leads_from_any_rows_to_any_set(
    before: dict[str, int], after: dict[str, int]
) -> None:
    plan = planned(changes({key: item(version) for key, version in after.items()}), there(before))
    rows = dict(before)
    for step in plan.steps():
        assert isinstance(step, list)
        for one in step:
            if "PutRequest" in one:
                put = one["PutRequest"]["Item"]
                rows[put["key"]["S"]] = int(put["version"]["N"])
            else:
                del rows[one["DeleteRequest"]["Key"]["key"]["S"]]
    assert rows == after
    written = {ref.key for ref, _ in plan.puts}
    assert written == {key for key, version in after.items() if before.get(key) != version}
