from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.storage import updates
from flagkeep.storage.contents import Tally, WriterRecord
from flagkeep.storage.updates import Update

A, B, S = ItemRef(Kind.FLAG, "a"), ItemRef(Kind.FLAG, "b"), ItemRef(Kind.SEGMENT, "s")


def item(version: int) -> SerializedItem:
    return SerializedItem(version, deleted=False, data=b'{"version":%d}' % version)


def test_an_update_takes_what_is_newer_and_keeps_count() -> None:
    old = WriterRecord(writer="w").encode()
    texts = {A: item(2).data, B: item(2).data, S: b"?"}
    new = ChangeSet(full=False, flags={"a": item(3), "b": item(2)}, segments={"s": item(1)})
    update = Update(new, texts, old, now=5.0)
    assert update.items == {A: (item(2).data, item(3)), S: (b"?", item(1))}
    assert update.refused == {B: item(2)}
    assert update.record is not None
    record = WriterRecord.decode(update.record)
    assert record is not None
    assert record.last_change == 5.0
    expected = Tally()
    expected.remove(A, item(2))
    for ref, one in ((A, item(3)), (S, item(1))):
        expected.add(ref, one)
    assert record.digest == expected.digest
    assert Update(new, texts, None, now=5.0).record is None
    assert Update(new, texts, b"?", now=5.0).record is None


def test_what_is_found_is_handed_on_even_if_nobody_can_read_it() -> None:
    found = updates.found_items({A: item(7).data, B: None, S: b"?"})
    assert found == {A: item(7), S: SerializedItem(0, deleted=False, data=b"?")}


def test_some_of_a_change_set_can_be_left_out() -> None:
    changes = ChangeSet(full=True, flags={"a": item(1), "b": item(1)}, segments={"s": item(1)})
    assert updates.without(changes, [A, S]) == ChangeSet.partial({B: item(1)})


def test_lone_surrogates_have_no_form() -> None:
    assert updates.can_be_stored("é")
    assert not updates.can_be_stored("\ud800")
