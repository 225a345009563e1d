"""Rows of a SQLite store that others wrote: other SDKs, older ones, people."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from flagkeep._sync.stores.sqlite import SQLiteStore
from flagkeep.errors import InvalidItem
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import decode
from flagkeep.model.item import ItemRef, Kind
from flagkeep.storage.contents import StoreChanges
from tests._sync.store_suite import flag, flags, full, part, refs

Cell = str | bytes | int | float | None

# Flag or segment `gone`, deleted at version 7, as each writer has it (stores spec, section 2.3).
TOMBSTONES: dict[str, tuple[str, str]] = {
    "python": ("features", '{"key": "gone", "version": 7, "deleted": true}'),
    "ruby": ("features", '{"key":"gone","version":7,"deleted":true}'),
    "node": ("features", '{"version":7,"deleted":true}'),
    "java on dynamodb": ("features", "null"),
    "go": (
        "features",
        (
            '{"key":"$deleted","on":false,"prerequisites":[],"targets":[]'
            ',"contextTargets":[],"rules":'
            '[],"fallthrough":{},"offVariation":null,"variations":[],"clientSide":false,"salt":"",'
            '"trackEvents":false,"trackEventsFallthrough":false,"debugEve'
            'ntsUntilDate":null,"version":'
            '7,"deleted":true}'
        ),
    ),
    "go segment": (
        "segments",
        (
            '{"key":"$deleted","included":[],"excluded":[],"includedConte'
            'xts":[],"excludedContexts":[],'
            '"salt":"","rules":[],"version":7,"generation":null,"deleted":true}'
        ),
    ),
    "go before 5": (
        "features",
        (
            '{"key":"","on":false,"prerequisites":null,"targets":null,"ru'
            'les":null,"fallthrough":{},'
            '"offVariation":null,"variations":null,"version":7,"deleted":true}'
        ),
    ),
    "rust": ("features", '{"version":7,"key":"$deleted","deleted":true}'),
    "haskell": ("segments", '{"deleted":true,"version":7}'),
    "erlang": (
        "features",
        '{"deleted":true,"key":"gone","on":true,"variations":[{"deleted":false}],"version":7}',
    ),
    "by hand": ("features", '\n{ "deleted" :\ttrue, "version" : 7.0 }\n'),
}

BAD_ROWS: dict[str, Cell] = {
    "empty": "",
    "blank": " \n",
    "broken": '{"key":"broken","version":1',
    "binary": b"\x00\xff\xfe",
    "array": "[1]",
    "number": "7",
    "text": '"text"',
    "nothing": None,
    "deleted by a word": '{"version":1,"deleted":"true"}',
}


def by_hand(path: Path, *rows: tuple[str, str, Cell, Cell]) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany("INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?)", rows)


def filled(path: Path) -> SQLiteStore:
    store = SQLiteStore(path)
    store.replace(full(flags(good=1), segments=["fine"]))
    return store


@pytest.mark.parametrize("writer", TOMBSTONES)
def test_every_form_of_tombstone_reads_as_deleted(writer: str, tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    store = filled(path)
    namespace, text = TOMBSTONES[writer]
    by_hand(path, (namespace, "gone", 7, text))
    kind = Kind.FLAG if namespace == "features" else Kind.SEGMENT
    contents = store.get_all()
    assert contents.bad == ()
    assert contents.flags["good"] == flag("good")
    found = contents.of(kind)["gone"]
    assert found.deleted
    assert found.version == 7
    assert store.get_many([ItemRef(kind, "gone")]) == {ItemRef(kind, "gone"): found}
    older = {"gone": flag("gone", 7)}
    changes = ChangeSet(
        full=False,
        flags=older if kind is Kind.FLAG else {},
        segments=older if kind is Kind.SEGMENT else {},
    )
    assert store.upsert(changes) == {ItemRef(kind, "gone"): found}
    store.close()


def test_bad_rows_are_named_and_never_hide_the_others(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    store = filled(path)
    by_hand(path, *[("features", key, 3, text) for key, text in BAD_ROWS.items()])
    contents = store.get_all()
    assert contents.flags == {"good": flag("good")}
    assert contents.segments == {"fine": flag("fine")}
    assert {bad.key for bad in contents.bad} == set(BAD_ROWS)
    assert all(bad.problem for bad in contents.bad)
    store.close()


def test_a_bad_row_asked_for_by_name_is_not_taken_for_a_deleted_one(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    store = filled(path)
    by_hand(path, *[("features", key, 3, text) for key, text in BAD_ROWS.items()])
    found = store.get_many(refs("good", *BAD_ROWS))
    assert found.pop(ItemRef(Kind.FLAG, "good")) == flag("good")
    assert {ref.key for ref in found} == set(BAD_ROWS)
    for ref, item in found.items():
        assert not item.deleted
        with pytest.raises(InvalidItem):
            decode(ref.kind, item.data, ref.key)
    store.close()


def test_a_bad_row_gives_way_to_any_version(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    store = filled(path)
    by_hand(path, *[("features", key, 3, text) for key, text in BAD_ROWS.items()])
    assert store.upsert(part({key: flag("k", 1) for key in BAD_ROWS})) == {}
    contents = store.get_all()
    assert contents.bad == ()
    assert contents.flags == {"good": flag("good"), **{key: flag("k", 1) for key in BAD_ROWS}}
    store.close()


def test_the_text_is_asked_where_the_column_has_no_version(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    store = filled(path)
    text = flag("a", 12).data.decode()
    by_hand(path, ("features", "a", None, text), ("features", "b", "x", text))
    by_hand(path, ("features", "c", None, '{"key":"c"}'), ("features", "d", None, "null"))
    contents = store.get_all()
    assert {key: item.version for key, item in contents.flags.items()} == {
        "a": 12,
        "b": 12,
        "good": 1,
    }
    assert {bad.key for bad in contents.bad} == {"c", "d"}
    store.close()


def test_a_key_that_is_not_utf_8_is_named_and_can_be_removed(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    store = filled(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO items VALUES ('features', CAST(x'61ff' AS TEXT), 1, '{}')")
    contents = store.get_all()
    assert contents.flags == {"good": flag("good")}
    assert [bad.key for bad in contents.bad] == ["a\\xff"]
    store.replace(full(flags(good=1)))
    assert (store.get_all()).bad == ()
    store.close()


def test_namespaces_of_others_are_ignored_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    store = filled(path)
    foreign = [
        ("configurationOverrides", "a", 1, "{}"),
        ("metrics", "a", 1, "not even JSON"),
        ("other:features", "a", 1, "{}"),
        ("features2", "a", 1, "{}"),
    ]
    by_hand(path, *foreign)
    assert (store.get_all()).flags == {"good": flag("good")}
    store.replace(full({}))
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT * FROM items WHERE key = 'a' ORDER BY 1").fetchall()
    assert sorted(rows) == sorted(foreign)
    store.close()


def test_the_layout_is_the_shared_one(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    store = SQLiteStore(path, prefix="p")
    store.replace(full(flags(a=1), segments=["s"]))
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT *, typeof(item) FROM items ORDER BY 1").fetchall()
        version = connection.execute("PRAGMA user_version").fetchone()
        mode = connection.execute("PRAGMA journal_mode").fetchone()
    assert rows == [
        ("p:$inited", "p:$inited", None, None, "null"),
        ("p:features", "a", 1, flag("a").data.decode(), "text"),
        ("p:segments", "s", 1, flag("s").data.decode(), "text"),
    ]
    assert version == (1,)
    assert mode == ("wal",)
    store.close()


def test_what_no_row_can_hold_is_left_out_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = SQLiteStore(tmp_path / "flags.db")
    changes = {"a": flag("a"), "\ud800": flag("k"), "huge": flag("huge", 2**63), "z": flag("z")}
    store.replace(full(changes))
    assert (store.get_all()).flags == {"a": flag("a"), "z": flag("z")}
    assert "lone surrogate" in caplog.text
    assert "63 bits" in caplog.text
    assert store.upsert(part(changes | {"a": flag("a", 2)})) == {
        ItemRef(Kind.FLAG, "z"): flag("z")
    }
    assert (store.get_all()).flags == {"a": flag("a", 2), "z": flag("z")}
    assert store.get_many(refs("\ud800", "a")) == {ItemRef(Kind.FLAG, "a"): flag("a", 2)}
    store.close()


def test_unchanged_rows_are_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    store = filled(path)
    reader = SQLiteStore(path)
    reader.get_all()
    store.replace(full(flags(good=1), segments=["fine"]))
    assert reader.poll_changes() is None
    store.close()
    reader.close()


def test_an_edit_by_hand_means_that_everything_has_to_be_checked(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    store = filled(path)
    assert store.poll_changes() is None
    by_hand(path, ("features", "new", 1, "{}"))
    assert store.poll_changes() == StoreChanges(None)
    assert store.poll_changes() is None
    store.close()


def test_a_journal_that_was_damaged_or_emptied_by_hand_recovers(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    store = filled(path)
    reader = SQLiteStore(path)
    reader.get_all()
    for statement in (
        "UPDATE meta SET value = 'x' WHERE key LIKE 'changed/%'",
        "DELETE FROM meta",
        "INSERT INTO meta VALUES ('$flagkeep', 'changed/zzz', 'x')",
    ):
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(statement)
        assert reader.poll_changes() == StoreChanges(None)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM meta")
    assert reader.poll_changes() == StoreChanges(None)
    store.upsert(part(flags(good=2)))
    assert reader.poll_changes() == StoreChanges(tuple(refs("good")))
    store.close()
    reader.close()
