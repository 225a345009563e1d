import hashlib
from typing import Any

import pytest

from flagkeep.errors import ConfigError
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem
from flagkeep.storage import dynamodb_layout as layout
from flagkeep.storage.contents import WriterRecord
from flagkeep.storage.dynamodb_layout import Known, Names

NAMES = Names("p")
A = ItemRef(Kind.FLAG, "a")
TEXT = '{"version":4}'
HINT: dict[str, Any] = {"partsVersion": {"N": "5"}, "parts": {"N": "2"}}
GONE = SerializedItem(7, deleted=True, data=b"null")


def item(version: int, text: str = "") -> SerializedItem:
    data = b'{"version":%d%b}' % (version, text.encode())
    return SerializedItem(version, deleted=False, data=data)


def row(key: str = "a", **attributes: Any) -> dict[str, Any]:
    return {"namespace": {"S": "p:features"}, "key": {"S": key}, **attributes}


# --- names ----------------------------------------------------------------------------------------


def test_names_follow_the_prefix() -> None:
    names = Names("env:1")
    assert names.namespaces == {Kind.FLAG: "env:1:features", Kind.SEGMENT: "env:1:segments"}
    assert names.marker == ("env:1:$inited", "env:1:$inited")
    assert names.record == ("env:1:$flagkeep", "record")
    assert names.item(A) == ("env:1:features", "a")
    assert names.part(ItemRef(Kind.SEGMENT, "s/#1"), 2) == ("env:1:$flagkeep", "segments/s/#1#2")


def test_without_a_prefix_names_begin_with_nothing() -> None:
    names = Names("")
    assert names.namespaces == {Kind.FLAG: "features", Kind.SEGMENT: "segments"}
    assert (names.marker.namespace, names.own) == ("$inited", "$flagkeep")


@pytest.mark.parametrize("prefix", ["\ud800", 7, None, "x" * 2048])
def test_a_prefix_that_cannot_be_stored_is_refused(prefix: Any) -> None:
    with pytest.raises(ConfigError, match="prefix"):
        Names(prefix)


def test_the_longest_prefix_leaves_room_for_every_namespace() -> None:
    longest = "é" * 1013
    Names(longest)
    for name in ("features", "$flagkeep", "big_segments_user", "big_segments_metadata"):
        assert len(f"{longest}:{name}".encode()) <= 2048
    with pytest.raises(ConfigError, match="2026 bytes"):
        Names(longest + "x")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("features/a#0", (A, 0)),
        ("segments/a/b#1#12", (ItemRef(Kind.SEGMENT, "a/b#1"), 12)),
        ("features/#3", (ItemRef(Kind.FLAG, ""), 3)),
        ("features/a", None),
        ("features/a#", None),
        ("features/a#x", None),
        ("features/a#²", None),
        ("features#1", None),
        ("metrics/a#1", None),
        ("record", None),
    ],
)
def test_parts_are_told_by_their_names(key: str, expected: object) -> None:
    assert layout.part_of(key) == expected


# --- what can be stored ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("a", None),
        ("x" * 1024, None),
        ("é" * 512, None),
        (" \0", None),
        ("", "empty"),
        ("x" * 1025, "1024 bytes"),
        ("é" * 513, "1024 bytes"),
        ("a\ud800", "surrogate"),
    ],
)
def test_keys_that_no_row_can_have_are_named(key: str, problem: str | None) -> None:
    assert layout.can_be_stored(key) is (problem is None)
    changes = ChangeSet(full=True, flags={key: item(1), "b": item(2)}, segments={"s": item(3)})
    kept, bad = layout.storable(changes)
    if problem is None:
        assert (kept, bad) == (changes, ())
        return
    assert kept.full
    assert (kept.flags, kept.segments) == ({"b": item(2)}, {"s": item(3)})
    (complaint,) = bad
    assert (complaint.ref, complaint.path) == ((Kind.FLAG, key), "$.key")
    assert problem in complaint.problem


def test_a_text_that_is_not_utf_8_cannot_be_stored() -> None:
    odd = SerializedItem(1, deleted=False, data=b'{"a":"\xed\xa0\x80"}')
    fine = item(1, ',"a":"é"')
    kept, bad = layout.storable(ChangeSet(full=False, flags={"odd": odd, "fine": fine}))
    assert kept.flags == {"fine": fine}
    assert not kept.full
    assert [(one.key, one.path) for one in bad] == [("odd", "$")]


def test_versions_that_no_store_takes_are_named_too() -> None:
    _, bad = layout.storable(ChangeSet(full=True, flags={"a": item(2**63), "": item(1)}))
    assert [one.path for one in bad] == ["$.version", "$.key"]


def test_a_row_has_room_for_so_much_and_no_more() -> None:
    names = Names("é")
    overhead = (
        100 + len("namespacekeyversionitem") + len("é:features".encode()) + len("ключ".encode()) + 2
    )
    fits = SerializedItem(10, deleted=False, data=b"x" * (layout.ROW_BYTES - overhead))
    over = SerializedItem(10, deleted=False, data=fits.data + b"x")
    ref = ItemRef(Kind.FLAG, "ключ")
    assert names.has_room_for(ref, fits)
    assert not names.has_room_for(ref, over)
    assert layout.ROW_BYTES < 409_600 - 100  # the limit of the service, and three short attributes


# --- rows -----------------------------------------------------------------------------------------


def test_a_row_is_what_every_sdk_writes_and_a_digest() -> None:
    assert layout.row_of(NAMES.item(A), item(7)) == {
        "namespace": {"S": "p:features"},
        "key": {"S": "a"},
        "version": {"N": "7"},
        "item": {"S": '{"version":7}'},
        "digest": {"S": hashlib.blake2b(b'{"version":7}', digest_size=8).hexdigest()},
    }


def test_a_row_comes_back_as_it_was_written() -> None:
    for written in (
        item(7, ',"é":"🚀"'),
        SerializedItem(3, deleted=True, data=b'{"deleted":true,"version":3}'),
    ):
        assert layout.item_of(Kind.FLAG, layout.row_of(NAMES.item(A), written)) == written


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"version": {"N": "7"}, "item": {"S": "null"}}, GONE),
        ({"item": {"S": TEXT}}, SerializedItem(4, False, TEXT.encode())),
        ({"version": {"S": "9"}, "item": {"S": TEXT}}, SerializedItem(4, False, TEXT.encode())),
        ({"version": {"N": "5"}, "item": {"S": TEXT}}, SerializedItem(5, False, TEXT.encode())),
        ({"version": {"N": "5"}}, "no text"),
        ({"version": {"N": "5"}, "item": {"B": b"{}"}}, "no text"),
        ({"version": {"N": "5"}, "item": {"NULL": True}}, "no text"),
        ({"version": {"N": "5"}, "item": {"M": {"version": {"N": "5"}}}}, "no text"),
        ({"version": {"N": "5"}, "item": {"S": ""}}, "empty"),
        ({"item": {"S": "null"}}, "not a JSON object"),
        ({"version": {"N": "5"}, "item": {"S": '{"deleted":'}}, "JSON"),
    ],
)  # fmt: skip
def test_rows_of_every_writer_are_read(attributes: dict[str, Any], expected: object) -> None:
    found = layout.item_of(Kind.FLAG, row(**attributes))
    if isinstance(expected, SerializedItem):
        assert found == expected
        assert layout.item_as_it_is(A, row(**attributes)) == expected
        return
    assert isinstance(found, BadItem)
    assert found.ref == A
    assert str(expected) in found.problem
    assert not layout.item_as_it_is(A, row(**attributes)).deleted


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        ("7", 7), ("-7", -7), ("7.0", 7), ("1E+3", 1000), ("1e3", 1000), ("9" * 38, int("9" * 38)),
        ("12E-1", None), ("7.5", None), ("NaN", None), ("Infinity", None), ("x", None), ("", None),
    ],
)  # fmt: skip
def test_numbers_of_every_writer_are_read(digits: str, expected: int | None) -> None:
    assert layout.number(row(version={"N": digits}), "version") == expected


def test_what_is_no_number_is_none() -> None:
    assert layout.number(row(version={"S": "7"}), "version") is None
    assert layout.number(row(), "version") is None


def test_a_lone_surrogate_in_a_row_hides_no_other_row() -> None:
    found = layout.item_of(Kind.FLAG, row(version={"N": "1"}, item={"S": '{"a":"\ud800"}'}))
    assert isinstance(found, SerializedItem)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, Known(None)),
        ({"version": {"N": "3"}}, Known(3)),
        ({"version": {"N": "3"}, **HINT}, Known(3, None, (5, 2))),
        ({"version": {"N": "3"}, "digest": {"S": "0a"}}, Known(3, "0a")),
        ({"version": {"N": "3"}, "digest": {"B": b"x"}}, Known(3)),
        ({"partsVersion": {"N": "5"}}, Known(None)),
        ({"partsVersion": {"S": "5"}, "parts": {"N": "2"}}, Known(None)),
        ({"partsVersion": {"N": "5"}, "parts": {"N": "0"}}, Known(None)),
        ({"partsVersion": {"N": "5"}, "parts": {"N": "1001"}}, Known(None)),
        ({"version": {"N": "3"}, "parts": {"N": "2"}}, Known(3)),
    ],
)  # fmt: skip
def test_a_row_tells_its_version_and_what_has_overtaken_it(
    attributes: dict[str, Any], expected: Known
) -> None:
    assert layout.known_of(row(**attributes)) == expected


def test_parts_that_a_row_names_outrank_it_unless_they_are_older() -> None:
    def overtaken(version: int, **attributes: Any) -> tuple[int, int] | None:
        found = row(version={"N": str(version)}, **attributes)
        return layout.overtaken_by(found, item(version))

    assert overtaken(4, **HINT) == (5, 2)
    assert overtaken(5, **HINT) == (5, 2)
    assert overtaken(6, **HINT) is None
    assert overtaken(4) is None
    assert layout.overtaken_by(row(**HINT), item(6)) == (5, 2)  # has its version in its text alone
    assert layout.overtaken_by(row(**HINT), BadItem(*A, "$", "broken")) == (5, 2)


def test_a_record_counts_how_often_it_was_written() -> None:
    record = WriterRecord(writer="w")
    first = layout.record_row(NAMES.record, record, None)
    assert first == {
        "namespace": {"S": "p:$flagkeep"},
        "key": {"S": "record"},
        "version": {"N": "1"},
        "item": {"S": '{"writer":"w"}'},
    }
    assert layout.record_row(NAMES.record, record, first)["version"] == {"N": "2"}
    assert layout.record_row(NAMES.record, record, row())["version"] == {"N": "1"}
    assert layout.record_in(first) == record
    assert layout.record_in(None) is None
    assert layout.record_in(row(item={"S": "?"})) is None
