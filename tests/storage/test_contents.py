import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem
from flagkeep.storage.contents import StoreContents, Tally, WriterRecord, as_changes

REFS = st.builds(ItemRef, st.sampled_from(Kind), st.sampled_from(["a", "b", "\ud800"]))
ITEMS = st.builds(SerializedItem, st.integers(0, 5), st.booleans(), st.just(b"{}"))


@given(st.lists(st.tuples(REFS, ITEMS)))
def test_a_tally_kept_up_to_date_equals_one_counted_anew(
    writes: list[tuple[ItemRef, SerializedItem]],
) -> None:
    kept, held = Tally(), dict[ItemRef, SerializedItem]()
    for ref, item in writes:
        if ref in held:
            kept.remove(ref, held[ref])
        kept.add(ref, item)
        held[ref] = item
    anew = Tally()
    for ref, item in held.items():
        anew.add(ref, item)
    assert kept.digest == anew.digest
    assert kept.counts == anew.counts
    assert sum(kept.counts.values()) == sum(not item.deleted for item in held.values())


def test_the_digest_tells_kinds_keys_and_versions_apart() -> None:
    digests = set()
    for kind in Kind:
        for key in ("a", "1 a"):
            for version in (1, 11):
                tally = Tally()
                tally.add(ItemRef(kind, key), SerializedItem(version, deleted=False, data=b""))
                digests.add(tally.digest)
    assert len(digests) == 8


def test_a_record_survives_its_text() -> None:
    tally = Tally()
    tally.add(ItemRef(Kind.FLAG, "a"), SerializedItem(1, deleted=False, data=b""))
    record = WriterRecord(writer="w", host="h", epoch=2, source="file", version="1.0")
    first = record.after_replace(None, tally, now=10.0)
    assert (first.replaces, first.last_full_write, first.last_change) == (1, 10.0, 10.0)
    assert WriterRecord.decode(first.encode()) == first
    assert record.after_replace(first, tally, now=11.0).replaces == 2
    assert Tally.of_record(first).digest == tally.digest
    later = first.after_change(tally, now=12.0)
    assert (later.replaces, later.last_full_write, later.last_change) == (1, 10.0, 12.0)


@pytest.mark.parametrize("text", [None, 7, b"", b"\xff", b"[]", b"{}", "x", b"[" * 9999])
def test_a_record_that_cannot_be_read_is_none(text: object) -> None:
    assert WriterRecord.decode(text) is None


def test_a_record_of_a_later_release_is_read_as_far_as_it_is_known() -> None:
    assert WriterRecord.decode(b'{"writer":"w","new":1}') == WriterRecord(writer="w")
    assert Tally.of_record(WriterRecord(writer="w", digest="?")).digest == "0" * 16


def test_contents_as_a_full_set() -> None:
    item = SerializedItem(1, deleted=False, data=b"{}")
    bad = (BadItem(Kind.FLAG, "b", "$", "it is empty"),)
    contents = StoreContents(initialized=True, flags={"a": item}, segments={"s": item}, bad=bad)
    assert as_changes(contents) == ChangeSet(
        full=True, flags={"a": item}, segments={"s": item}, bad=bad
    )
    assert contents.of(Kind.FLAG) == {"a": item}
    assert contents.of(Kind.SEGMENT) == {"s": item}


@given(st.dictionaries(REFS, ITEMS))
def test_a_set_is_counted_as_a_whole_as_one_by_one(items: dict[ItemRef, SerializedItem]) -> None:
    anew = Tally()
    for ref, item in items.items():
        anew.add(ref, item)
    counted = Tally.of_set(ChangeSet.partial(items))
    assert (counted.digest, counted.counts) == (anew.digest, anew.counts)


def test_a_record_of_a_set_in_the_making_says_what_was_there_before() -> None:
    record = WriterRecord(writer="w", host="h")
    assert record.before_replace(None) == WriterRecord(writer="w", host="h", replacing=True)
    previous = record.after_replace(None, Tally(), 7.0)
    begun = record.before_replace(previous)
    assert begun.replacing
    assert begun == msgspec.structs.replace(previous, replacing=True)
