import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import decode, to_item
from flagkeep.model.item import BadItem, Kind, SerializedItem
from flagkeep.model.tombstone import tombstone
from flagkeep.storage.items import is_newer, item_from_row, row_as_it_is, without_unstorable


def item(version: int, *, deleted: bool = False) -> SerializedItem:
    return SerializedItem(version, deleted, b"{}")


@pytest.mark.parametrize(
    ("existing", "candidate", "newer"),
    [
        (None, item(0), True),
        (item(1), item(2), True),
        (item(1), item(1), False),
        (item(2), item(1), False),
        (item(2, deleted=True), item(2), False),
        (item(2, deleted=True), item(3), True),
        (item(2), item(3, deleted=True), True),
    ],
)
def test_strictly_greater_wins(
    existing: SerializedItem | None,
    candidate: SerializedItem,
    newer: bool,  # noqa: FBT001  a parameter of the table above
) -> None:
    assert is_newer(existing, candidate) is newer


@pytest.mark.parametrize("kind", Kind)
def test_a_tombstone_has_the_full_schema_and_the_real_key(kind: Kind) -> None:
    dead = tombstone(kind, "gone", 7)
    assert dead == to_item(kind, "gone", dead.data)
    decoded = decode(kind, dead.data)
    assert (decoded.key, decoded.version, decoded.deleted) == ("gone", 7, True)
    names = set(json.loads(dead.data))
    flag_names = {"on", "variations", "fallthrough", "offVariation", "trackEvents", "clientSide"}
    segment_names = {"included", "excluded", "includedContexts", "generation"}
    assert names >= {"key", "version", "deleted", "salt", "rules"}
    assert names >= (flag_names if kind is Kind.FLAG else segment_names)
    assert b" " not in dead.data


def test_a_tombstone_may_have_any_key() -> None:
    dead = tombstone(Kind.FLAG, 'é"\ud800', 1)
    assert json.loads(dead.data)["key"] == 'é"\ud800'


@pytest.mark.parametrize(
    "text",
    [
        '{"version":3}',
        '{"version":3,"deleted":false}',
        '{"version":3,"deleted" : false }',
        '{"deleted":false,"variations":[{"deleted":true}],"version":3}',
        '{"version":3,"variations":["\\"deleted\\":true"]}',
        ' {"version":3,"deleted":false}\n',
        '{"version":3,"deleted":null}',
    ],
)
def test_live_rows(text: str) -> None:
    expected = SerializedItem(3, deleted=False, data=text.encode())
    assert item_from_row(Kind.FLAG, "a", 3, text.encode()) == expected


@given(
    st.fixed_dictionaries(
        {"version": st.integers(0, 9)},
        optional={
            "deleted": st.booleans(),
            "variations": st.lists(st.sampled_from([{"deleted": True}, '"deleted":true', 1])),
            "a": st.just({"deleted": False}),
        },
    ),
    st.permutations(["version", "deleted", "variations", "a"]),
    st.booleans(),
)
def test_deletion_is_found_wherever_it_stands(
    tree: dict[str, object],
    order: list[str],
    spaced: bool,  # noqa: FBT001  generated
) -> None:
    tree = {name: tree[name] for name in order if name in tree}
    text = json.dumps(tree, separators=None if spaced else (",", ":")).encode()
    found = item_from_row(Kind.FLAG, "a", tree["version"], text)
    assert isinstance(found, SerializedItem)
    assert found.deleted is tree.get("deleted", False)


@pytest.mark.parametrize(
    ("version", "data"),
    [
        (1, None),
        (1, 7),
        (1, b""),
        (1, b"[]"),
        (1, b"{"),
        (None, b"{}"),
        (None, b"null"),
        (1, b"\xff"),
    ],
)
def test_bad_rows_say_why(version: object, data: object) -> None:
    found = item_from_row(Kind.SEGMENT, "s", version, data)
    assert isinstance(found, BadItem)
    assert found.key == "s"
    assert found.problem
    as_it_is = row_as_it_is(Kind.SEGMENT, "s", version, data)
    assert as_it_is.data == (data if isinstance(data, bytes) else b"")
    assert not as_it_is.deleted


def test_what_no_database_takes_is_left_out() -> None:
    good = {"a": item(1), "é": item(2**63 - 1)}
    bad = {"\ud800": item(1), "big": item(2**63)}
    kept, complaints = without_unstorable(ChangeSet(full=True, flags=good | bad, segments=good))
    assert kept == ChangeSet(full=True, flags=good, segments=good, bad=complaints)
    assert [complaint.path for complaint in complaints] == ["$.key", "$.version"]
    assert without_unstorable(kept) == (kept, ())
