"""`flagkeep store dump`, `load` and `clear`: whole environments, and nothing lost unasked."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from flagkeep.model.item import Kind
from flagkeep.protocol.files import read_files
from flagkeep.storage.contents import WriterRecord
from tests.cli.conftest import ENVIRONMENT, AnyStore, Ended, Flagkeep, ask_redis

pytestmark = [pytest.mark.extras, pytest.mark.usefixtures("dynamodb_here", "consul_here")]


def write(file: Path, document: Any) -> Path:
    file.write_text(json.dumps(document))
    return file


def flag(version: int, **more: Any) -> dict[str, Any]:
    return {
        "version": version,
        "on": True,
        "variations": [1],
        "fallthrough": {"variation": 0},
    } | more


def load(flagkeep: Flagkeep, store: AnyStore, file: Path, *options: str) -> Ended:
    return flagkeep("store", "load", store.url, file, "--json", *options)


# --- dump ----------------------------------------------------------------------------------------


def test_a_dump_is_read_by_whatever_reads_files_and_keeps_every_text(
    flagkeep: Flagkeep, any_store: AnyStore, tmp_path: Path
) -> None:
    any_store.fill()
    file = tmp_path / "dump.json"
    ended = flagkeep("store", "dump", any_store.url, "--tombstones", "-o", file, "--json")
    assert ended.code == 0
    assert ended.json == {
        "file": str(file), "flags": 6, "segments": 1, "tombstones": 1, "bad": [],
    }  # fmt: skip
    changes = read_files([("dump.json", file.read_bytes())])
    texts = {f"{ref.kind} {ref.key}": item.data for ref, item in changes.items()}
    assert texts == any_store.texts()
    assert flagkeep("eval", "open", "-c", "ada", "-f", file, "--json").json[0]["value"] is True


def test_a_dump_goes_to_stdout_and_leaves_tombstones_out(
    flagkeep: Flagkeep, any_store: AnyStore
) -> None:
    any_store.fill()
    ended = flagkeep("store", "dump", any_store.url)
    assert (ended.code, ended.err) == (0, "")
    assert ended.json["flags"].keys() == {"beta", "broken", "open", "silent", "été"}
    assert ended.json["segments"].keys() == {"staff"}


def test_a_dump_loaded_into_another_store_is_the_same(
    flagkeep: Flagkeep, any_store: AnyStore, tmp_path: Path
) -> None:
    any_store.fill()
    file = tmp_path / "dump.json"
    flagkeep("store", "dump", any_store.url, "--tombstones", "-o", file)
    flagkeep("store", "load", any_store.url, file, "--prefix", "copy")
    assert any_store.texts("copy") == any_store.texts()


def test_what_no_file_can_hold_is_named_and_left_out(
    flagkeep: Flagkeep, any_store: AnyStore
) -> None:
    any_store.fill()
    any_store.put(Kind.FLAG, "half", b'{"version":')
    any_store.put(Kind.FLAG, "other", b'{"key":"another","version":1,"on":false}')
    ended = flagkeep("store", "dump", any_store.url)
    assert ended.code == 1
    assert "half" not in ended.json["flags"]
    assert "left out: flag 'half' at $: not JSON" in ended.err
    assert "left out: flag 'other' at $.key: it says 'another'" in ended.err
    assert "beta" in ended.json["flags"]


@pytest.mark.parametrize(
    "text",
    [
        b'{"version":7,"deleted":true}',
        b'{"key":"$deleted","on":false,"version":7,"deleted":true,"fallthrough":{}}',
    ],
)
def test_tombstones_of_any_writer_survive_the_way_through_a_file(
    flagkeep: Flagkeep, any_store: AnyStore, tmp_path: Path, text: bytes
) -> None:
    any_store.fill()
    any_store.put(Kind.FLAG, "gone", text)
    file = tmp_path / "dump.json"
    assert flagkeep("store", "dump", any_store.url, "--tombstones", "-o", file).code == 0
    items = read_files([("dump.json", file.read_bytes())]).flags
    assert (items["gone"].version, items["gone"].deleted) == (7, True)


def test_a_tombstone_that_only_its_row_knows_of_gets_a_text(
    flagkeep: Flagkeep, store_url: str, tmp_path: Path
) -> None:
    store = AnyStore(store_url)
    store.put(Kind.FLAG, "gone", b"null", version=7)  # as Java writes it to DynamoDB
    file = tmp_path / "dump.json"
    assert flagkeep("store", "dump", store_url, "--tombstones", "-o", file).code == 0
    item = read_files([("dump.json", file.read_bytes())]).flags["gone"]
    assert (item.version, item.deleted) == (7, True)


def test_an_empty_environment_is_dumped_and_a_missing_one_is_not(
    flagkeep: Flagkeep, any_store: AnyStore
) -> None:
    any_store.fill({"flags": {}})
    assert flagkeep("store", "dump", any_store.url).json == {"flags": {}, "segments": {}}
    ended = flagkeep("store", "dump", any_store.url, "--prefix", "other")
    assert (ended.code, ended.out) == (4, "")
    assert "under prefix 'other': check --prefix" in ended.err


def test_a_file_that_cannot_be_written_leaves_nothing_behind(
    flagkeep: Flagkeep, any_store: AnyStore, tmp_path: Path
) -> None:
    any_store.fill()
    ended = flagkeep("store", "dump", any_store.url, "-o", tmp_path / "no" / "dump.json")
    assert ended.code == 4
    folder = tmp_path / "folder"
    (folder / "dump.json").mkdir(parents=True)
    ended = flagkeep("store", "dump", any_store.url, "-o", folder / "dump.json")
    assert ended.code == 4
    assert ended.err.count("\n") == 1
    assert [one.name for one in folder.iterdir()] == ["dump.json"]


@pytest.mark.skipif(os.name == "nt", reason="no such pipes there")
def test_pipes_are_written_and_read_and_stay_pipes(
    flagkeep: Flagkeep, any_store: AnyStore, tmp_path: Path
) -> None:
    any_store.fill()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    assert flagkeep("store", "dump", any_store.url, "-o", pipe).code == 0
    reader.join()
    assert json.loads(read[0])["flags"].keys() >= {"beta", "open"}
    assert pipe.is_fifo()
    writer = threading.Thread(target=lambda: pipe.write_bytes(b'{"flagValues":{"a":1}}'))
    writer.start()
    assert flagkeep("store", "load", any_store.url, pipe, "--prefix", "copy").code == 0
    writer.join()


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_dump_goes_through_a_link_and_is_for_its_owner_alone(
    flagkeep: Flagkeep, any_store: AnyStore, tmp_path: Path
) -> None:
    any_store.fill()
    (tmp_path / "link").symlink_to("dump.json")
    assert flagkeep("store", "dump", any_store.url, "-o", tmp_path / "link").code == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "dump.json").stat().st_mode & 0o777 == 0o600


def test_a_summary_needs_a_file(flagkeep: Flagkeep, any_store: AnyStore) -> None:
    assert flagkeep("store", "dump", any_store.url, "--json").code == 2


# --- load ----------------------------------------------------------------------------------------


def test_a_file_fills_a_store_with_what_every_sdk_asks_for(
    flagkeep: Flagkeep, any_store: AnyStore, tmp_path: Path
) -> None:
    file = write(tmp_path / "f.json", {"flags": {"a": {"on": True}}, "flagValues": {"b": 1}})
    ended = load(flagkeep, any_store, file)
    assert (ended.json["flags"], ended.json["segments"], ended.json["kept"]) == (2, 0, [])
    item = flagkeep("store", "get", any_store.url, "a").json
    assert {"key", "version", "salt", "rules", "fallthrough", "trackEvents"} <= item.keys()
    assert flagkeep("store", "status", any_store.url, "--json").json["initialized"] is True


def test_a_store_that_holds_data_is_not_replaced_unasked(
    flagkeep: Flagkeep, any_store: AnyStore, tmp_path: Path
) -> None:
    any_store.fill()
    before = any_store.texts()
    file = write(tmp_path / "f.json", {"flagValues": {"b": 1}})
    ended = load(flagkeep, any_store, file)
    assert (ended.code, ended.out) == (2, "")
    assert "6 flags, 1 segment in " in ended.err
    assert "would be replaced: say --yes to go on; there is no terminal to ask on" in ended.err
    assert any_store.texts() == before
    assert load(flagkeep, any_store, file, "--yes").code == 0
    assert any_store.texts().keys() == {"flag b"}


def test_what_differs_counts_as_newer_and_what_does_not_is_left_alone(
    flagkeep: Flagkeep, any_store: AnyStore, tmp_path: Path
) -> None:
    any_store.fill({"flags": {"a": flag(7), "b": flag(7), "c": flag(7)}})
    before = any_store.texts()
    changed = {"flags": {"a": flag(1), "b": flag(1, on=False), "c": flag(9, on=False)}}
    load(flagkeep, any_store, write(tmp_path / "f.json", changed), "--yes")
    items = flagkeep("store", "list", any_store.url, "--json").json
    assert {one["key"]: one["version"] for one in items} == {"a": 7, "b": 8, "c": 9}
    assert any_store.texts()["flag a"] == before["flag a"]


def test_a_bad_item_is_named_and_the_last_good_one_stays(
    flagkeep: Flagkeep, any_store: AnyStore, tmp_path: Path
) -> None:
    any_store.fill({"flags": {"a": flag(3), "b": flag(3)}})
    document = {"flags": {"a": {"on": "yes"}, "new": {"on": 7}, "c": flag(1)}}
    ended = load(flagkeep, any_store, write(tmp_path / "f.json", document), "--yes")
    assert ended.code == 1
    assert "f.json:1: error: flag 'a' $.on: " in ended.err
    assert {one["key"] for one in ended.json["errors"]} == {"a", "new"}
    assert ended.json["kept"] == [{"kind": "flag", "key": "a", "version": 3}]
    assert ended.json["flags"] == 1
    assert any_store.texts().keys() == {"flag a", "flag c"}


def test_what_lint_calls_an_error_is_loaded_but_not_with_strict(
    flagkeep: Flagkeep, any_store: AnyStore, tmp_path: Path
) -> None:
    file = write(tmp_path / "f.json", {"flags": {"a": flag(1, offVariation=5)}})
    ended = load(flagkeep, any_store, file, "--strict")
    assert (ended.code, ended.out) == (1, "")
    assert "nothing was loaded" in ended.err
    ended = load(flagkeep, any_store, file)
    assert (ended.code, ended.json["flags"]) == (1, 1)
    assert any_store.texts().keys() == {"flag a"}


def test_an_update_writes_what_is_newer_and_asks_nobody(
    flagkeep: Flagkeep, any_store: AnyStore, tmp_path: Path
) -> None:
    any_store.fill({"flags": {"a": flag(3), "b": flag(3), "c": flag(3)}})
    document = {"flags": {"a": flag(4, on=False), "b": flag(3, on=False), "d": flag(1)}}
    ended = load(flagkeep, any_store, write(tmp_path / "f.json", document), "--update")
    assert (ended.code, ended.json["flags"]) == (0, 2)
    assert ended.json["kept"] == [{"kind": "flag", "key": "b", "version": 3}]
    items = flagkeep("store", "list", any_store.url, "--json").json
    assert {one["key"]: (one["version"], one["state"]) for one in items} == {
        "a": (4, "off"), "b": (3, "on"), "c": (3, "on"), "d": (1, "on"),
    }  # fmt: skip


def test_an_update_of_a_store_without_a_set_says_that_it_is_none(
    flagkeep: Flagkeep, redis_url: str, tmp_path: Path
) -> None:
    file = write(tmp_path / "f.json", {"flags": {"a": flag(1)}})
    ended = flagkeep("store", "load", redis_url, file, "--update")
    assert ended.code == 0
    assert "has no complete set" in ended.err


def test_the_record_goes_on_from_the_last_one(
    flagkeep: Flagkeep, any_store: AnyStore, tmp_path: Path
) -> None:
    store = any_store.open()
    changes = read_files([("f.json", json.dumps(ENVIRONMENT).encode())])
    store.replace(changes, WriterRecord(writer="another", epoch=5, source="streaming"))
    store.close()
    load(flagkeep, any_store, write(tmp_path / "f.json", {"flags": {}}), "--yes")
    record = flagkeep("store", "status", any_store.url, "--json").json["record"]
    assert (record["epoch"], record["replaces"], record["source"]) == (5, 2, "file")
    assert record["writer"] != "another"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "f.json:1:1: it is empty"),
        ("{", "f.json:1:2: not JSON"),
        ("[]", "f.json"),
        ('{"flags":{"a":{}},"flagValues":{"a":1}}', "flag 'a' is already defined"),
    ],
)
def test_files_that_are_no_environment_change_nothing(
    flagkeep: Flagkeep, any_store: AnyStore, tmp_path: Path, text: str, problem: str
) -> None:
    any_store.fill()
    before = any_store.texts()
    file = tmp_path / "f.json"
    file.write_text(text)
    ended = flagkeep("store", "load", any_store.url, file, "--yes")
    assert (ended.code, ended.out) == (4, "")
    assert problem in ended.err
    assert ended.err.count("\n") == 1
    assert any_store.texts() == before


def test_what_no_store_can_hold_is_named(
    flagkeep: Flagkeep, any_store: AnyStore, tmp_path: Path
) -> None:
    document = {"flags": {"a": flag(2**63), "b": flag(1)}, "flagValues": {"\ud800": 1}}
    ended = load(flagkeep, any_store, write(tmp_path / "f.json", document))
    assert ended.code == 1
    assert "a version over 63 bits cannot be stored" in ended.err
    assert "a key with a lone surrogate cannot be stored" in ended.err
    assert any_store.texts().keys() == {"flag b"}


def test_a_set_that_cannot_be_read_is_replaced_only_with_yes(
    flagkeep: Flagkeep, redis_url: str, tmp_path: Path
) -> None:
    ask_redis(redis_url, "SET", "launchdarkly:features", "no hash")
    file = write(tmp_path / "f.json", {"flagValues": {"a": 1}})
    ended = flagkeep("store", "load", redis_url, file)
    assert ended.code == 2
    assert "something that cannot be read" in ended.err
    assert flagkeep("store", "load", redis_url, file, "--yes").code == 0
    assert AnyStore(redis_url).texts().keys() == {"flag a"}


# --- clear ---------------------------------------------------------------------------------------


def test_clear_asks_and_takes_one_environment_only(flagkeep: Flagkeep, any_store: AnyStore) -> None:
    any_store.fill()
    any_store.fill(prefix="other")
    ended = flagkeep("store", "clear", any_store.url)
    assert ended.code == 2
    assert "6 flags, 1 segment in " in ended.err
    assert "would be removed: say --yes" in ended.err
    assert len(any_store.texts()) == 7
    ended = flagkeep("store", "clear", any_store.url, "--yes", "--json")
    assert (ended.code, ended.json["removed"]) == (0, "6 flags, 1 segment")
    status = flagkeep("store", "status", any_store.url, "--json").json
    assert (status["initialized"], status["flags"], status["record"]) == (False, 0, None)
    assert len(any_store.texts("other")) == 7


def test_clear_removes_exactly_four_keys_of_redis(flagkeep: Flagkeep, redis_url: str) -> None:
    file_like = {"flagValues": {"a": 1}}
    AnyStore(redis_url).fill(file_like)
    ask_redis(redis_url, "HSET", "launchdarkly:$flagkeep", "record", "{}")
    foreign = {b"launchdarkly:big_segments_synchronized_on", b"launchdarkly:features2", b"mine"}
    for key in foreign:
        ask_redis(redis_url, "SET", key, "1")
    assert flagkeep("store", "clear", redis_url, "--yes").code == 0
    assert set(ask_redis(redis_url, "KEYS", "*")) == foreign


def test_bad_items_are_something_to_lose(flagkeep: Flagkeep, redis_url: str) -> None:
    AnyStore(redis_url).put(Kind.FLAG, "half", b"{")
    ended = flagkeep("store", "clear", redis_url)
    assert ended.code == 2
    assert "0 flags, 0 segments, 1 bad item in " in ended.err


def test_clear_of_nothing_says_so(flagkeep: Flagkeep, redis_url: str) -> None:
    ended = flagkeep("store", "clear", redis_url)
    assert (ended.code, ended.out.endswith("held nothing\n")) == (0, True)
