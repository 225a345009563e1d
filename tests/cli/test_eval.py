"""`flagkeep eval`: values from files and stores, for people and for programs."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from flagkeep.stores import SQLiteStore
from tests.cli.conftest import Flagkeep

pytestmark = pytest.mark.extras


def test_a_value_is_shown_with_its_reason(flagkeep: Flagkeep, flags_file: Path) -> None:
    ended = flagkeep("eval", "beta", "--context", "ada", "--file", flags_file)
    assert ended.code == 0
    assert ended.err == ""
    _, _, row = ended.out.strip().splitlines()
    assert row.split() == ["beta", "ada", "true", "rule", "0", "(staff)"]


def test_json_has_everything(flagkeep: Flagkeep, store_url: str) -> None:
    ended = flagkeep("eval", "beta", "-c", "ada", "--store", store_url, "--json")
    assert ended.json == [
        {
            "flag": "beta",
            "context": {"kind": "user", "key": "ada"},
            "value": True,
            "variation": 0,
            "version": 7,
            "reason": {"kind": "RULE_MATCH", "ruleIndex": 0, "ruleId": "staff"},
        }
    ]


def test_all_shows_every_live_flag_for_every_context(flagkeep: Flagkeep, store_url: str) -> None:
    ended = flagkeep("eval", "--all", "-c", "ada", "-c", "bob", "--store", store_url, "--json")
    assert [(one["flag"], one["context"]["key"]) for one in ended.json] == [
        (flag, key)
        for flag in ("beta", "broken", "open", "silent", "été")
        for key in ("ada", "bob")
    ]
    assert ended.code == 1  # one of them cannot be evaluated


def test_detail_shows_variation_version_and_full_reason(
    flagkeep: Flagkeep, flags_file: Path
) -> None:
    ended = flagkeep("eval", "beta", "-c", "tina", "-f", flags_file, "--detail")
    row = ended.out.strip().splitlines()[-1]
    assert row.split() == ["beta", "tina", "true", "0", "7", '{"kind":', '"TARGET_MATCH"}']


@pytest.mark.parametrize(
    ("default", "value"), [("[1, 2]", [1, 2]), ("some text", "some text"), ("null", None)]
)
def test_the_default_stands_where_there_is_no_value(
    flagkeep: Flagkeep, flags_file: Path, default: str, value: Any
) -> None:
    command = ("eval", "silent", "-c", "a", "-f", flags_file, "--default", default)
    ended = flagkeep(*command, "--json")
    assert (ended.code, ended.json[0]["value"], ended.json[0]["variation"]) == (0, value, None)
    assert "(default)" in flagkeep(*command).out


def test_a_flag_that_cannot_be_evaluated_gives_the_default_and_says_so(
    flagkeep: Flagkeep, flags_file: Path
) -> None:
    ended = flagkeep("eval", "broken", "-c", "a", "-f", flags_file)
    assert ended.code == 1
    assert "error: malformed flag" in ended.out


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("betta", "did you mean 'beta'?"),
        ("xyz", "--all shows every flag there is"),
        ("gone", "flag 'gone' was deleted, at version 9"),
    ],
)
def test_a_flag_that_is_not_there_has_an_exit_code_of_its_own(
    flagkeep: Flagkeep, store_url: str, key: str, problem: str
) -> None:
    ended = flagkeep("eval", key, "-c", "a", "--store", store_url)
    assert (ended.code, ended.out) == (3, "")
    assert problem in ended.err


@pytest.mark.parametrize(
    ("written", "keys"),
    [
        ('{"kind":"user","key":"j"}', ["j"]),
        (' [{"kind":"user","key":"j"}, {"kind":"org","key":"k"}]', ["j", "k"]),
        ("{plain", None),
    ],
)
def test_contexts_are_keys_or_json(
    flagkeep: Flagkeep, flags_file: Path, written: str, keys: list[str] | None
) -> None:
    ended = flagkeep("eval", "open", "-c", written, "-f", flags_file, "--json")
    if keys is None:
        assert (ended.code, ended.out) == (2, "")
    else:
        assert [one["context"]["key"] for one in ended.json] == keys


@pytest.mark.parametrize(
    ("document", "suffix", "keys"),
    [
        ({"kind": "user", "key": "a"}, "", ["a"]),
        ([{"kind": "user", "key": "a"}, {"kind": "user", "key": "b"}], "", ["a", "b"]),
        ({"x": {"kind": "user", "key": "a"}, "y": {"kind": "org", "key": "b"}}, "", ["a", "b"]),
        ({"x": {"kind": "user", "key": "a"}, "y": {"kind": "org", "key": "b"}}, "#y", ["b"]),
    ],
)
def test_a_file_holds_one_context_or_several(
    flagkeep: Flagkeep, flags_file: Path, document: Any, suffix: str, keys: list[str]
) -> None:
    file = flags_file.with_name("contexts.json")
    file.write_text(json.dumps(document))
    ended = flagkeep("eval", "open", "-c", f"@{file}{suffix}", "-f", flags_file, "--json")
    assert [one["context"]["key"] for one in ended.json] == keys


def test_a_bad_item_is_left_out_and_named(flagkeep: Flagkeep, tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    file.write_text('{"flags": {"bad": {"on": 5}}, "flagValues": {"good": 1}}')
    ended = flagkeep("eval", "good", "-c", "a", "-f", file)
    assert ended.code == 0
    assert ended.err.startswith("flagkeep: left out: flag 'bad' at $.on: ")
    ended = flagkeep("eval", "bad", "-c", "a", "-f", file)
    assert ended.code == 1
    assert "flagkeep lint" in ended.err


def test_a_bad_row_is_left_out_and_named(flagkeep: Flagkeep, store_url: str) -> None:
    database = sqlite3.connect(store_url.removeprefix("sqlite:///"))
    with database:
        item = '{"version":1,"rules":5}'
        database.execute("UPDATE items SET item = ? WHERE key = 'beta'", (item,))
    database.close()
    ended = flagkeep("eval", "--all", "-c", "a", "--store", store_url, "--json")
    assert "beta" not in [one["flag"] for one in ended.json]
    assert "left out: flag 'beta' at $.rules" in ended.err


def test_prefixes_are_environments(flagkeep: Flagkeep, store_url: str) -> None:
    ended = flagkeep("eval", "beta", "-c", "a", "--store", store_url, "--prefix", "other")
    assert ended.code == 4
    assert "flags.db under prefix 'other': check" in ended.err


def test_nothing_is_written_to_the_store(flagkeep: Flagkeep, store_url: str) -> None:
    store = SQLiteStore(store_url.removeprefix("sqlite:///"))
    store.get_all()
    flagkeep("eval", "--all", "-c", "a", "--store", store_url)
    assert store.poll_changes() is None
    store.close()


def test_control_characters_do_not_reach_the_terminal(flagkeep: Flagkeep, tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    file.write_text(json.dumps({"flagValues": {"k\x1b[2J": "\x1b[31mred [bold]x"}}))
    ended = flagkeep("eval", "--all", "-c", "a\x07", "-f", file)
    assert "\x1b" not in ended.out
    assert "\x07" not in ended.out
    assert r'"\u001b[31mred [bold]x"' in ended.out
