"""`flagkeep store status` tells everything there is to know about a store."""

import json
from pathlib import Path

import pytest

from flagkeep._runtime.process import host_name
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import Kind
from flagkeep.version import VERSION
from tests.cli.conftest import AnyStore, Flagkeep, ask_redis

pytestmark = [pytest.mark.extras, pytest.mark.usefixtures("dynamodb_here", "consul_here")]


def test_a_store_that_a_command_has_filled_is_described(
    flagkeep: Flagkeep, any_store: AnyStore, flags_file: Path
) -> None:
    assert flagkeep("store", "load", any_store.url, flags_file).code == 1  # `broken` is an error
    shown = flagkeep("store", "status", any_store.url)
    assert (shown.code, shown.err) == (0, "")
    rows = dict(line.split("  ", 1) for line in shown.out.splitlines())
    rows = {name: value.strip() for name, value in rows.items()}
    assert rows["Reachable"] == rows["Initialized"] == rows["Record is right"] == "yes"
    assert (rows["Flags"], rows["Segments"], rows["Tombstones"]) == ("5", "1", "1")
    assert rows["Written by"].endswith(f" on {host_name()}, flagkeep {VERSION}, from file")
    assert "number 1" in rows["Last full set"]
    assert "(less than a second ago)" in rows["Last change"] or "second" in rows["Last change"]
    assert "biggest: flag beta " in rows["Size"]


def test_json_has_the_same_for_programs(
    flagkeep: Flagkeep, any_store: AnyStore, flags_file: Path
) -> None:
    flagkeep("store", "load", any_store.url, flags_file)
    status = flagkeep("store", "status", any_store.url, "--json").json
    assert (status["reachable"], status["initialized"], status["agrees"]) == (True, True, True)
    assert (status["flags"], status["segments"], status["tombstones"]) == (5, 1, 1)
    assert status["bytes"] == sum(map(len, any_store.texts().values()))
    assert status["biggest"][0]["key"] == "beta"
    assert len(status["biggest"]) == 5
    record = status["record"]
    assert (record["source"], record["host"], record["version"]) == ("file", host_name(), VERSION)
    assert (record["replaces"], record["epoch"], record["replacing"]) == (1, 0, False)
    assert record["counts"] == {"flag": 5, "segment": 1}
    assert 0 <= record["age"] < 60
    assert record["lastFullWrite"] == record["lastChange"]


def test_a_store_that_nobody_has_written_is_no_error(flagkeep: Flagkeep, redis_url: str) -> None:
    shown = flagkeep("store", "status", redis_url, "--prefix", "nobody's")
    assert shown.code == 0
    assert "no: nothing was ever written under this prefix" in shown.out
    assert flagkeep("store", "status", redis_url, "--json").json["record"] is None


def test_a_writer_without_a_record_is_no_error(flagkeep: Flagkeep, any_store: AnyStore) -> None:
    any_store.fill()
    shown = flagkeep("store", "status", any_store.url)
    assert shown.code == 0
    assert "nobody said" in shown.out
    assert flagkeep("store", "status", any_store.url, "--json").json["agrees"] is None


def test_data_that_others_changed_disagrees_with_the_record(
    flagkeep: Flagkeep, any_store: AnyStore, flags_file: Path
) -> None:
    flagkeep("store", "load", any_store.url, flags_file)
    any_store.put(Kind.FLAG, "open", b'{"key":"open","version":9,"on":false}')
    assert "somebody else wrote since" in flagkeep("store", "status", any_store.url).out
    any_store.put(Kind.FLAG, "new", b'{"key":"new","version":1,"on":false}')
    status = flagkeep("store", "status", any_store.url, "--json").json
    assert status["agrees"] is False
    assert status["differences"] == ["it counts 5 flags, there are 6"]


BAD = {
    "empty": b"",
    "half": b'{"key":"half","version":3,',
    "list": b"[1]",
    "null": b"null",
    "binary": b"\x00\xff\xfe",
    "latin": b'{"key":"latin","version":4,"on":true,"x":"\xe9"}',
    "wrong": b'{"key":"wrong","version":5,"on":"yes"}',
}


def test_every_bad_item_is_named_and_hides_no_other(
    flagkeep: Flagkeep, any_store: AnyStore
) -> None:
    any_store.fill()
    written = {key for key, text in BAD.items() if any_store.holds(text)}
    for key in written:
        any_store.put(Kind.FLAG, key, BAD[key])
    nameless = "\N{REPLACEMENT CHARACTER}" if any_store.kind == "consul" else "\\xff"
    if any_store.holds(b"\xff"):
        any_store.put(Kind.SEGMENT, b"\xff", b"{}")
        written.add(nameless)
    ended = flagkeep("store", "status", any_store.url, "--json")
    assert ended.code == 1
    assert ended.json["flags"] == 5
    bad = {one["key"]: one for one in ended.json["bad"]}
    assert bad.keys() == written
    assert all(one["problem"] and one["path"] for one in bad.values())
    assert bad["wrong"]["path"] == "$.on"
    assert bad["half"]["bytes"] == len(BAD["half"])
    if nameless in bad:
        assert bad[nameless] == {**bad[nameless], "kind": "segment", "bytes": None}
    shown = flagkeep("store", "status", any_store.url)
    for key in bad:
        assert f" {key} " in shown.out.replace("\\\\", "\\")
    assert f"{len(bad)}, see below" in shown.out


def test_the_placeholder_of_erlang_is_named_and_harmless(
    flagkeep: Flagkeep, redis_url: str
) -> None:
    store = AnyStore(redis_url)
    store.fill()
    for kind in Kind:
        store.put(kind, "null", b"null")
    shown = flagkeep("store", "status", redis_url)
    assert shown.code == 0
    assert shown.out.count("a placeholder that the Erlang SDK writes") == 2
    assert all(
        one["harmless"] for one in flagkeep("store", "status", redis_url, "--json").json["bad"]
    )


def test_characters_that_a_terminal_obeys_are_escaped(
    flagkeep: Flagkeep, any_store: AnyStore
) -> None:
    any_store.fill()
    any_store.put(Kind.FLAG, "\x1b[31mred\n", b"")
    for arguments in (["status"], ["list"]):
        shown = flagkeep("store", *arguments, any_store.url)
        assert "\x1b" not in shown.out
        assert "\\x1b[31mred\\n" in shown.out


def test_a_record_that_cannot_be_true_is_no_traceback(flagkeep: Flagkeep, redis_url: str) -> None:
    store = AnyStore(redis_url).open()
    store.replace(ChangeSet(full=True))
    store.close()
    record = {
        "writer": "\x1bw",
        "replacing": True,
        "last_change": 1e300,
        "counts": {"flag": -3},
        "digest": "??",
    }
    ask_redis(redis_url, "HSET", "launchdarkly:$flagkeep", "record", json.dumps(record))
    shown = flagkeep("store", "status", redis_url)
    assert shown.code == 0
    assert "at no time that there is" in shown.out
    assert "a full set: it is being written" in shown.out
    assert "it counts -3 flags, there are 0" in shown.out
