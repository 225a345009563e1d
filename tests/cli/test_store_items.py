"""`flagkeep store get` and `list` show items as they are stored."""

import json

import pytest

from flagkeep.model.item import Kind
from tests.cli.conftest import AnyStore, Flagkeep

pytestmark = [pytest.mark.extras, pytest.mark.usefixtures("dynamodb_here", "consul_here")]

ODD = '{"key":"odd","version":8,"on":true,"big":12345678901234567890123,"t":1.50,"ü":"\\u00e9"}'


def test_an_item_is_printed_with_the_text_of_its_numbers_and_strings(
    flagkeep: Flagkeep, any_store: AnyStore
) -> None:
    any_store.fill()
    any_store.put(Kind.FLAG, "odd", ODD.encode())
    shown = flagkeep("store", "get", any_store.url, "odd")
    assert (shown.code, shown.err) == (0, "")
    assert "".join(line.strip() for line in shown.out.splitlines()).replace(": ", ":") == ODD
    whole = flagkeep("store", "get", any_store.url, "odd", "--json")
    assert '"big": 12345678901234567890123' in whole.out
    assert whole.json == {
        "kind": "flag",
        "key": "odd",
        "version": 8,
        "state": "on",
        "bytes": len(ODD.encode()),
        "problem": None,
        "item": json.loads(ODD),
    }


def test_a_segment_is_asked_for_by_its_kind(flagkeep: Flagkeep, any_store: AnyStore) -> None:
    any_store.fill()
    shown = flagkeep("store", "get", any_store.url, "staff", "--kind", "segment")
    assert shown.json["included"] == ["ada"]


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("betta", "did you mean 'beta'?"),
        ("staff", "there is a segment of that key: --kind segment"),
        ("xyz", "flagkeep store list shows what there is"),
        ("", "there is no flag ''"),
        ("\udcff", "there is no flag '\\udcff'"),
    ],
)
def test_a_key_that_is_not_there_has_an_exit_code_of_its_own(
    flagkeep: Flagkeep, any_store: AnyStore, key: str, problem: str
) -> None:
    any_store.fill()
    ended = flagkeep("store", "get", any_store.url, key)
    assert (ended.code, ended.out) == (3, "")
    assert problem in ended.err


def test_an_empty_store_says_to_check_the_prefix(flagkeep: Flagkeep, redis_url: str) -> None:
    ended = flagkeep("store", "get", redis_url, "beta", "--prefix", "other")
    assert ended.code == 3
    assert "under prefix 'other': nothing was ever written there, check --prefix" in ended.err


def test_a_tombstone_is_printed_and_is_no_flag(flagkeep: Flagkeep, any_store: AnyStore) -> None:
    any_store.fill()
    ended = flagkeep("store", "get", any_store.url, "gone")
    assert ended.code == 3
    assert ended.json["deleted"] is True
    assert "flag 'gone' was deleted, at version 9" in ended.err


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b'{"x', '{"x'),
        (b"", ""),
        (b"\x00\xff", "\\x00\\xff"),
        (b'{"key":"odd","version":1,"on":true,"x":"\xe9"}', '"x":"\\xe9"}'),
    ],
)
def test_an_item_that_cannot_be_used_is_shown_and_said_to_be_bad(
    flagkeep: Flagkeep, any_store: AnyStore, text: bytes, shown: str
) -> None:
    if not any_store.holds(text):
        pytest.skip("no such text can be there")
    any_store.fill()
    any_store.put(Kind.FLAG, "odd", text)
    ended = flagkeep("store", "get", any_store.url, "odd")
    assert ended.code == 1
    assert ended.out.endswith(f"{shown}\n")
    assert "it cannot be used: flag 'odd' at $" in ended.err
    whole = flagkeep("store", "get", any_store.url, "odd", "--json")
    assert whole.code == 1
    assert (whole.json["state"], whole.json["bytes"]) == ("bad", len(text))


def test_nesting_without_end_is_no_traceback(flagkeep: Flagkeep, any_store: AnyStore) -> None:
    any_store.fill()
    deep = b"[" * 5000 + b"]" * 5000
    any_store.put(Kind.FLAG, "deep", b'{"version":3,"on":true,"x":%b}' % deep)
    any_store.put(Kind.FLAG, "gone", b'{"version":3,"deleted":true,"x":%b}' % deep)
    for key in ("deep", "gone"):
        ended = flagkeep("store", "get", any_store.url, key)
        # Python 3.13 and later can show it; before, it is too deep.
        assert ended.code in {0, 1, 3}
        assert ended.err.count("\n") == bool(ended.code)
        assert flagkeep("store", "get", any_store.url, key, "--json").code == ended.code
    assert flagkeep("store", "list", any_store.url).code == 0


def test_a_terminal_is_not_obeyed_and_json_stays_json(
    flagkeep: Flagkeep, any_store: AnyStore
) -> None:
    any_store.fill()
    text = '{"key":"odd","version":1,"on":true,"x":"\x9b31m\u202eé"}'
    any_store.put(Kind.FLAG, "odd", text.encode())
    shown = flagkeep("store", "get", any_store.url, "odd")
    assert '"\\u009b31m\\u202eé"' in shown.out
    assert shown.json == json.loads(text)


def test_the_list_has_every_item(flagkeep: Flagkeep, any_store: AnyStore) -> None:
    any_store.fill()
    any_store.put(Kind.FLAG, "odd", b'{"version":4,')
    items = flagkeep("store", "list", any_store.url, "--json").json
    found = {one["key"]: (one["kind"], one["version"], one["state"]) for one in items}
    assert found == {
        "beta": ("flag", 7, "on"),
        "broken": ("flag", 1, "on"),
        "gone": ("flag", 9, "deleted"),
        "odd": ("flag", 4, "bad"),
        "open": ("flag", 1, "on"),
        "silent": ("flag", 1, "off"),
        "staff": ("segment", 3, "live"),
        "été": ("flag", 1, "on"),
    }
    sizes = {one["key"]: one["bytes"] for one in items}
    assert sizes["beta"] == len(any_store.texts()["flag beta"])
    shown = flagkeep("store", "list", any_store.url)
    assert shown.code == 0
    assert len([line for line in shown.out.splitlines() if " flag " in line]) == 7


@pytest.mark.parametrize(
    ("filters", "keys"),
    [
        (["--kind", "segment"], ["staff"]),
        (["--state", "off", "--state", "deleted"], ["gone", "silent"]),
        (["--match", "b*"], ["beta", "broken"]),
        (["--match", "B*"], []),
        (["--match", "[x"], []),
        (["--kind", "flag", "--state", "on", "--match", "*n"], ["broken", "open"]),
    ],
)
def test_filters_are_ands(
    flagkeep: Flagkeep, any_store: AnyStore, filters: list[str], keys: list[str]
) -> None:
    any_store.fill()
    items = flagkeep("store", "list", any_store.url, *filters, "--json").json
    assert [one["key"] for one in items] == keys
    shown = flagkeep("store", "list", any_store.url, *filters)
    assert (shown.code, bool(shown.out)) == (0, bool(keys))


def test_reading_commands_write_nothing(flagkeep: Flagkeep, any_store: AnyStore) -> None:
    any_store.fill()
    before = any_store.texts()
    for arguments in (["status"], ["list"], ["dump"]):
        flagkeep("store", *arguments, any_store.url)
    flagkeep("store", "get", any_store.url, "beta")
    assert any_store.texts() == before
    assert len(before) == 7
