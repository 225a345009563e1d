import json
import time
from collections.abc import Mapping
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.model.tombstone import tombstone
from flagkeep.storage import consul_answers as answers
from flagkeep.storage import consul_layout as layout
from flagkeep.storage import consul_neighbours as neighbours
from flagkeep.storage.consul_answers import Everything, Pair, Why
from flagkeep.storage.consul_batches import MOST_BYTES, MOST_OPERATIONS, Limit, Replacement
from flagkeep.storage.contents import Tally, WriterRecord
from tests.limits import check_within

NAMES = layout.Names("p")
A, B, S = ItemRef(Kind.FLAG, "a"), ItemRef(Kind.FLAG, "b"), ItemRef(Kind.SEGMENT, "s")
ME = WriterRecord(writer="me")
NOTHING_STORED: Mapping[Kind, list[str]] = {Kind.FLAG: [], Kind.SEGMENT: []}
READ = {"x-consul-index": "7"}


def item(version: int, text: str = "") -> SerializedItem:
    return SerializedItem(
        version, deleted=False, data=b'{"version":%d%b}' % (version, text.encode())
    )


def texts() -> st.SearchStrategy[str]:
    return st.text(st.characters(codec="utf-8"))


# --- keys -----------------------------------------------------------------------------------------


def test_names_follow_the_prefix() -> None:
    for prefix in ("", "launchdarkly"):
        names = layout.Names(prefix)
        assert names.trees[Kind.FLAG] == "launchdarkly/features/"
        assert names.trees[Kind.SEGMENT] == "launchdarkly/segments/"
        assert names.marker == "launchdarkly/$inited"
        assert names.record == "flagkeep/NRQXK3TDNBSGC4TLNR4Q====/record"
    nested = layout.Names("env1/sub")
    assert nested.key(A) == "env1/sub/features/a"
    assert nested.key(S) == "env1/sub/segments/s"
    assert nested.ref("env1/sub/features/x/y") == ItemRef(Kind.FLAG, "x/y")
    assert nested.ref("env1/sub/segments/") == ItemRef(Kind.SEGMENT, "")
    assert nested.ref(nested.marker) is None
    assert nested.ref(nested.record) is None


def test_nothing_of_one_environment_begins_like_anything_of_another() -> None:
    prefixes = ("env1", "env10", "env1/sub", "env", "é", "env1:features")
    starts = {
        start: prefix
        for prefix in prefixes
        for start in (*layout.Names(prefix).trees.values(), layout.Names(prefix).own)
    }
    for one, its_own in starts.items():
        for other, belongs_to in starts.items():
            assert not other.startswith(one) or its_own == belongs_to


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("p/features/a.b-c_d~e", "p/features/a.b-c_d~e"),
        ("p/$inited", "p/%24inited"),
        ("p/features/ a", "p/features/%20a"),
        ("p/features/%00", "p/features/%2500"),
        ("p/features/a?b#c", "p/features/a%3Fb%23c"),
        ("p/features/a:b;c'\"\\", "p/features/a%3Ab%3Bc%27%22%5C"),
        ("p/features/.a/b./c.", "p/features/.a/b./c."),
    ],
)
def test_a_key_stands_in_a_path_in_escapes(key: str, path: str) -> None:
    assert layout.in_path(key) == path


@pytest.mark.parametrize(
    "key",
    [
        "p/features/", "p/features/a//b", "/p", "p/features/.", "p/features/..", "p/./a", "p/../a",
        "./a", "a\0b", "a\nb", "a\x7f", "é", "a\u200db", "x" * 4097, "",
        "p/features/...", "p/features/a..b", "p/features/a ", " p/features/a",
    ],
)  # fmt: skip
def test_what_a_path_does_not_carry_unharmed_has_none(key: str) -> None:
    assert layout.in_path(key) is None


@pytest.mark.parametrize("prefix", ["p", "größe", "日本/ö v+%2F?#", "a..b", "x" * 5000])
def test_a_prefix_stands_in_a_path_however_it_is_written(prefix: str) -> None:
    names = layout.Names(prefix)
    paths = {names.marker: names.marker_path, names.record: names.record_path}
    paths |= {names.key(ref): names.path(ref) or "" for ref in (A, S)}
    assert {key: unquote(path) for key, path in paths.items()} == {key: key for key in paths}
    assert all(path.isascii() for path in paths.values())
    for key in ("é", "", "a/", "a//b", "..", "a..b", "a "):
        assert names.path(ItemRef(Kind.FLAG, key)) is None


@given(st.text(st.sampled_from("a. /é"), max_size=5000))
def test_long_keys_are_looked_at_in_no_time(key: str) -> None:
    begun = time.monotonic()
    layout.in_path(key)
    check_within(0.2, since=begun)


@given(st.lists(texts()).map("/".join))
def test_a_path_always_means_its_key(key: str) -> None:
    path = layout.in_path(key)
    if path is not None:
        assert unquote(path) == key
        assert not {"", ".", ".."} & set(path.split("/"))
        assert ".." not in path
        assert key == key.strip()
    assert unquote(layout.escaped(key)) == key
    assert layout.escaped(key).isascii()


@pytest.mark.parametrize("prefix", ["/p", "p/", "a//b", ".", "a/../b", "a\nb", "\ud800"])
def test_a_prefix_that_no_other_sdk_could_use_is_explained(prefix: str) -> None:
    assert layout.prefix_problem(prefix) is not None


@pytest.mark.parametrize(
    ("prefix", "said"),
    [
        ("env1/features", "where the environment 'env1' has its features"),
        ("a/featuresb/segments/c", "where the environment 'a/featuresb' has its segments"),
        ("features/features", "where the environment 'features' has its features"),
        ("flagkeep/a", "what is below flagkeep/ is flagkeep's own"),
        ("flagkeep/features", "where the environment 'flagkeep' has its features"),
    ],
)
def test_a_prefix_where_something_else_lies_is_explained(prefix: str, said: str) -> None:
    assert said in (layout.prefix_problem(prefix) or "")


@pytest.mark.parametrize(
    "prefix",
    ["p", "a/b/c", "env 1", "日本", "{ld}.x:", "...", "features", "segments/a", "a/features2",
     "flagkeep", "a/flagkeep/b"],
)  # fmt: skip
def test_any_other_prefix_is_fine(prefix: str) -> None:
    assert layout.prefix_problem(prefix) is None


def test_neighbours_are_told_apart_by_who_would_delete_them() -> None:
    names = layout.Names("env1/sub")
    markers = neighbours.markers_above(names)
    assert markers["env1/$inited"] == "env1"
    assert list(markers.values()) == ["env1/su", "env1/s", "env1", "env", "en", "e"]
    own = ["env1/sub/", "env1/sub/$inited", "env1/sub/features/", "env1/sub/segments/"]
    assert neighbours.complaints(names, [], own) == []
    said = neighbours.complaints(names, ["env1", "env"], [*own, "env1/sub/x/", "env1/sub2/"])
    assert ["every other SDK" in one for one in said] == [True, False, True, False]
    assert ["for Go, or the relay," in one for one in said] == [False, True, False, True]
    shown = ["'env1'", "'env'", "'env1/sub/x/' lies", "'env1/sub2/' lies"]
    assert [text in one for text, one in zip(shown, said, strict=True)] == [True] * 4


def test_of_a_long_prefix_the_nearest_neighbours_are_looked_for() -> None:
    assert neighbours.markers_above(layout.Names("p")) == {}
    found = neighbours.markers_above(layout.Names("x" * 200))
    assert len(found) == MOST_OPERATIONS
    assert found["x" * 199 + "/$inited"] == "x" * 199


# --- operations -----------------------------------------------------------------------------------


def test_operations_are_what_consul_wants_to_read() -> None:
    operations = [
        NAMES.put("k", b"\xff"),
        NAMES.put("k", b""),
        NAMES.put_over("k", b"v", 0),
        NAMES.put_over("k", b"v", 2**63),
        NAMES.get('a"\0é'),
        NAMES.get_present("k"),
        NAMES.delete("k"),
    ]
    assert json.loads(layout.transaction(operations)) == [
        {"KV": {"Verb": "set", "Key": "k", "Value": "/w=="}},
        {"KV": {"Verb": "set", "Key": "k", "Value": ""}},
        {"KV": {"Verb": "cas", "Key": "k", "Value": "dg==", "Index": 0}},
        {"KV": {"Verb": "cas", "Key": "k", "Value": "dg==", "Index": 2**63}},
        {"KV": {"Verb": "get-or-empty", "Key": 'a"\0é'}},
        {"KV": {"Verb": "get", "Key": "k"}},
        {"KV": {"Verb": "delete", "Key": "k"}},
    ]
    read = [(one.verb, one.key) for one in NAMES.get_everything()]
    trees = ["p/features/", "p/segments/"]
    assert read == [("get-tree", "p/$inited"), *(("get-tree", tree) for tree in trees)]
    record = NAMES.get_record()
    assert (record.verb, record.key) == ("get-tree", NAMES.record)
    removed = [(one.verb, one.key) for one in NAMES.delete_everything()]
    alone = [("delete", "p/$inited"), ("delete", NAMES.record)]
    assert removed == [*(("delete-tree", tree) for tree in trees), *alone]


def test_every_operation_says_where_its_key_is() -> None:
    names = layout.Names("p", namespace="team", partition="east")
    read = [*names.get_everything(), names.get_record()]
    operations = [*read, names.put("k", b""), names.put_over("k", b"", 1)]
    for one in json.loads(layout.transaction(operations)):
        assert (one["KV"]["Namespace"], one["KV"]["Partition"]) == ("team", "east")


@given(texts(), st.binary(), st.none() | st.integers(0, 2**64 - 1), texts())
def test_an_operation_is_never_longer_than_it_says(
    key: str, value: bytes, index: int | None, place: str
) -> None:
    names = layout.Names("p", namespace=place, partition=place)
    operation = names.put(key, value) if index is None else names.put_over(key, value, index)
    assert len(layout.transaction([operation])) <= operation.most_bytes
    assert len(layout.transaction([operation] * 3)) <= 3 * operation.most_bytes
    assert len(layout.transaction([names.get(key)])) <= names.get(key).most_bytes


# --- batches --------------------------------------------------------------------------------------


def puts(*sizes: int) -> list[layout.Operation]:
    return [NAMES.put(str(number), b"x" * size) for number, size in enumerate(sizes)]


@given(st.lists(st.integers(0, 400_000), min_size=1, max_size=200))
def test_batches_hold_everything_in_order_and_within_the_limits(sizes: list[int]) -> None:
    steps, limit, place = puts(*sizes), Limit(), 0
    while place < len(steps):
        batch = limit.batch(steps, place)
        assert batch == steps[place : place + len(batch)]
        assert 1 <= len(batch) <= MOST_OPERATIONS
        if len(batch) > 1 or limit.allows(batch):
            assert limit.allows(batch)
            assert len(layout.transaction(batch)) <= MOST_BYTES
        place += len(batch)
        if len(batch) < MOST_OPERATIONS and place < len(steps):  # not one too few
            assert not limit.allows([*batch, steps[place]])
    assert place == len(steps)


def test_a_transaction_has_64_operations_at_most() -> None:
    steps = puts(*[1] * 130)
    assert [len(Limit().batch(steps, place)) for place in (0, 64, 128)] == [64, 64, 2]
    assert len(Limit().batch(steps, 0, 63)) == 63
    assert Limit().allows(steps[:64])
    assert not Limit().allows(steps[:65])


def test_what_was_too_large_is_halved_until_it_is_one() -> None:
    steps, limit = puts(*[100] * 8), Limit()
    lengths = []
    while len(batch := limit.batch(steps, 0)) > 1:
        lengths.append(len(batch))
        limit.lower_below(batch)
    assert lengths == [8, 4, 2]
    assert limit.allows(batch)
    limit.lower_below(batch)
    assert not limit.allows(batch)
    assert limit.allows([NAMES.put("0", b"x" * 90)])  # what is smaller may fit yet
    assert limit.batch(steps, 0) == batch
    limit.lower_below(steps)
    assert not limit.allows(batch)  # it never grows


def test_a_large_item_is_left_to_itself() -> None:
    steps = puts(10, 500_000, 10, 10)
    assert [len(Limit().batch(steps, place)) for place in (0, 1, 2)] == [1, 1, 2]
    assert not Limit().allows(steps[1:2])


# --- a full set -----------------------------------------------------------------------------------


def replacement(
    changes: ChangeSet,
    stored: Mapping[Kind, list[str]] = NOTHING_STORED,
    old: bytes | None = None,
    record: WriterRecord | None = ME,
) -> Replacement:
    return Replacement(NAMES, changes, stored, old_record=old, record=record, now=5.0)


def shown(steps: list[layout.Operation] | None) -> list[tuple[str, str]]:
    assert steps is not None
    return [(step.verb, step.key.removeprefix("p/")) for step in steps]


def record_in(step: layout.Operation) -> WriterRecord:
    assert step.key == NAMES.record
    record = WriterRecord.decode(step.value)
    assert record is not None
    return record


WHOLE = ChangeSet(
    full=True,
    flags={
        "a": item(1, ',"prerequisites":[{"key":"b"}]'),
        "b": item(1),
        "gone": tombstone(Kind.FLAG, "gone", 3),
    },
    segments={"s": item(1)},
)
STORED = {
    Kind.FLAG: ["p/features/a", "p/features/old", "p/features/x/y", "p/features/"],
    Kind.SEGMENT: ["p/segments/s", "p/segments/a"],
}
ITEMS = [("set", "segments/s"), ("set", "features/b"), ("set", "features/a")]
TOMBSTONES = [("set", "features/gone")]
DELETIONS = [
    ("delete", "features/old"), ("delete", "features/x/y"), ("delete", "features/"),
    ("delete", "segments/a"),
]  # fmt: skip


def test_a_set_is_written_in_order_then_the_rest_goes_then_the_marker_comes() -> None:
    plan = replacement(WHOLE, STORED, record=None)
    assert shown(plan.at_once(Limit())) == [*ITEMS, *TOMBSTONES, *DELETIONS, ("set", "$inited")]
    assert shown(plan.first()) == [*ITEMS, *TOMBSTONES, *DELETIONS]
    assert shown(plan.last({})) == [("set", "$inited")]
    assert plan.last({})[0].value == b""


def test_the_record_says_from_the_first_step_to_the_last_that_it_goes_on() -> None:
    plan = replacement(WHOLE, STORED)
    first, *others = plan.first()
    assert shown(others) == [*ITEMS, *TOMBSTONES, *DELETIONS]
    assert record_in(first) == WriterRecord(writer="me", replacing=True)
    marker, last = plan.last({})
    assert marker.key == "p/$inited"
    done = record_in(last)
    assert (done.replacing, done.replaces, done.last_full_write) == (False, 1, 5.0)
    assert done.digest == Tally.of_set(WHOLE).digest
    assert done.counts == {Kind.FLAG: 2, Kind.SEGMENT: 1}
    at_once = plan.at_once(Limit())
    assert at_once is not None
    assert [record_in(step) for step in at_once if step.key == NAMES.record] == [done]


def test_in_a_long_set_the_record_says_now_and_then_that_it_goes_on() -> None:
    items = {str(n): SerializedItem(1, deleted=False, data=b"x") for n in range(1001)}
    steps = replacement(ChangeSet(full=True, flags=items)).first()
    signed = [place for place, step in enumerate(steps) if step.key == NAMES.record]
    assert signed == [0, 501, 1002]
    assert [record_in(steps[place]).progress for place in signed] == [0, 1, 2]
    assert all(record_in(steps[place]).replacing for place in signed)
    assert len(steps) == 1001 + 3
    assert shown(replacement(ChangeSet(full=True)).first()) == [("set", NAMES.record)]


def test_meanwhile_the_record_says_what_the_one_before_said_of_the_set() -> None:
    old = WriterRecord(
        writer="you", replaces=7, last_full_write=1.0, last_change=2.0,
        counts={Kind.FLAG: 3}, digest="ab", replacing=True,
    )  # fmt: skip
    plan = replacement(WHOLE, old=old.encode())
    meanwhile = record_in(plan.first()[0])
    assert (meanwhile.writer, meanwhile.replacing, meanwhile.replaces) == ("me", True, 7)
    assert (meanwhile.last_full_write, meanwhile.last_change) == (1.0, 2.0)
    assert (meanwhile.counts, meanwhile.digest) == ({Kind.FLAG: 3}, "ab")
    assert record_in(plan.last({})[1]).replaces == 8


def test_without_a_record_the_old_one_goes_first() -> None:
    plan = replacement(WHOLE, old=b"?", record=None)
    forgotten = ("delete", NAMES.record)
    assert shown(plan.first())[0] == forgotten
    assert shown(plan.last({})) == [("set", "$inited"), forgotten]


def test_what_could_not_be_written_counts_as_what_is_there() -> None:
    kept = {A: item(9).data, B: None, S: b"?"}
    done = record_in(replacement(WHOLE).last(kept)[1])
    left = ChangeSet(full=True, flags={"a": item(9), "gone": WHOLE.flags["gone"]})
    assert done.digest == Tally.of_set(left).digest
    assert done.counts == {Kind.FLAG: 1, Kind.SEGMENT: 0}


def test_only_what_one_transaction_can_do_is_done_at_once() -> None:
    def of(count: int, size: int) -> Replacement:
        items = {str(n): SerializedItem(1, deleted=False, data=b"x" * size) for n in range(count)}
        return replacement(ChangeSet(full=True, flags=items))

    at_once = of(62, 100).at_once(Limit())
    assert at_once is not None
    assert len(at_once) == 64
    assert of(63, 100).at_once(Limit()) is None
    assert of(65, 100).at_once(Limit()) is None
    assert of(2, 200_000).at_once(Limit()) is None


# --- answers --------------------------------------------------------------------------------------

REPLY = b"""
{
    "Results": [
        {"KV": {"LockIndex": 0, "Key": "p/features/a", "Flags": 0, "Value": "e30=",
                "CreateIndex": 1, "ModifyIndex": 7, "Session": "x"}},
        {"KV": {"LockIndex": 0, "Key": "p/$inited", "Flags": 0, "Value": null,
                "CreateIndex": 2, "ModifyIndex": 8}},
        {"KV": {"LockIndex": 0, "Key": "p/features/none", "Flags": 0, "Value": null,
                "CreateIndex": 0, "ModifyIndex": 0}}
    ],
    "Errors": null, "Index": 1, "KnownLeader": true, "ResultsFilteredByACLs": false
}"""


def test_a_reply_names_keys_with_values_and_those_that_are_not_there() -> None:
    reply = answers.reply(REPLY)
    assert not reply.failures
    assert not reply.is_denied
    found = reply.pairs()
    assert {key: pair.text for key, pair in found.items()} == {
        "p/features/a": b"{}",
        "p/$inited": b"",
        "p/features/none": None,
    }
    assert found["p/features/a"].modify_index == 7
    refs = [A, ItemRef(Kind.FLAG, "none")]
    assert answers.texts(NAMES, refs, found) == {refs[0]: b"{}", refs[1]: None}


def failed(*what: str) -> answers.Reply:
    problems = [{"OpIndex": number, "What": one} for number, one in enumerate(what)]
    return answers.reply(json.dumps({"Results": None, "Errors": problems}).encode())


def test_a_failed_transaction_says_why() -> None:
    denied = "Permission denied: token with AccessorID 'x' lacks permission 'key:write' on \"p/a\""
    reply = failed(
        'failed to set key "p/a", index is stale',
        'key "p/a" doesn\'t exist',
        "unknown KV operation: get-or-empty",
        denied,
    )
    assert reply.pairs() == {}
    problems = reply.failures or []
    assert [one.op_index for one in problems] == [0, 1, 2, 3]
    facts = [(one.is_stale, one.is_absent, one.is_unknown, one.is_denied) for one in problems]
    assert facts == [tuple(number == place for place in range(4)) for number in range(4)]
    assert reply.is_denied
    assert not failed("failed to set key, index is stale").is_denied
    filtered = b'{"Results":[],"Errors":null,"ResultsFilteredByACLs":true}'
    assert answers.reply(filtered).is_denied


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{}", b"<html>", b"\xff", b'{"Results":[1]}', b"[" * 10_000]
)
def test_what_is_no_reply_comes_from_something_else(body: bytes) -> None:
    with pytest.raises(answers.NotConsul):
        answers.reply(body)


def test_lists_of_keys_and_of_pairs_are_read() -> None:
    assert answers.keys(b'["p/features/a", "p/features/\\u0000"]') == [
        "p/features/a",
        "p/features/\0",
    ]
    (pair,) = answers.pairs(b'[{"Key":"k","Value":"e30=","ModifyIndex":3,"Flags":0}]')
    assert (pair.key, pair.text, pair.modify_index) == ("k", b"{}", 3)
    for read in (answers.keys, answers.pairs):
        with pytest.raises(answers.NotConsul):
            read(b'{"Results":[]}')


def test_contents_are_sorted_by_kind_and_bad_ones_are_named() -> None:
    found = [
        Pair("p/$inited", None, 1),
        Pair("p/features/a", item(1).data, 2),
        Pair("p/features/null", b"null", 2),
        Pair("p/features/empty", None, 2),
        Pair("p/features/x/", None, 2),
        Pair("p/segments/", None, 2),
        Pair("p/features/", item(4).data, 2),
        Pair("p/segments/a", tombstone(Kind.SEGMENT, "a", 3).data, 2),
        Pair("p/elsewhere", b"x", 2),
    ]
    contents = answers.contents(NAMES, Everything(found, None))
    assert contents.initialized
    assert contents.flags == {"a": item(1), "": item(4)}
    assert contents.segments == {"a": tombstone(Kind.SEGMENT, "a", 3)}
    assert [(one.kind, one.key) for one in contents.bad] == [
        (Kind.FLAG, "null"),
        (Kind.FLAG, "empty"),
        (Kind.FLAG, "x/"),
        (Kind.SEGMENT, ""),
    ]
    assert ["web interface" in one.problem for one in contents.bad] == [False, False, True, True]
    later = [Pair("p/features/a", item(1).data, 9), Pair("p/features/", item(5).data, 9)]
    again = answers.contents(NAMES, Everything(later, None), contents)
    assert again.flags["a"] is contents.flags["a"]
    assert again.flags[""] == item(5)
    assert not again.initialized
    assert answers.contents(NAMES, Everything([], None)) == answers.NOTHING


@pytest.mark.parametrize("is_replacing", [True, False])
def test_a_record_of_the_same_moment_says_that_a_set_is_half_written(*, is_replacing: bool) -> None:
    record = WriterRecord(writer="me", replacing=is_replacing)
    found = [Pair("p/features/a", item(1).data, 2), Pair(NAMES.record, record.encode(), 3)]
    everything = answers.as_of_one_moment(NAMES, found, is_sure=True)
    assert everything == (found, record if is_replacing else None, True)
    contents = answers.contents(NAMES, everything)
    assert contents.unfinished == everything.unfinished
    assert (contents.flags, contents.segments, contents.bad) == ({"a": item(1)}, {}, ())


@pytest.mark.parametrize("text", [b"", b"{}", b"null", b"\xff", b'{"replacing":true}'])
def test_a_record_that_nobody_can_read_says_nothing(text: bytes) -> None:
    found = [Pair(NAMES.record, text, 3)]
    assert answers.as_of_one_moment(NAMES, found, is_sure=True) == (found, None, True)


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, READ, b"x"),
        (200, {}, b"true"),
        (404, READ, b""),
        (409, {"content-type": "application/json"}, b'{"Results":null}'),
    ],
)
def test_an_answer_is_one(status: int, headers: dict[str, str], body: bytes) -> None:
    assert answers.refusal(status, headers, body) is None


@pytest.mark.parametrize(
    ("status", "headers", "body", "why", "said"),
    [
        (404, {}, b"", Why.OTHER, "not a Consul"),
        (405, {}, b"", Why.OTHER, "not a Consul"),
        (404, {**READ, "x-consul-results-filtered-by-acls": "true"}, b"", Why.DENIED, "not read"),
        (409, {"content-type": "text/html"}, b"", Why.OTHER, "HTTP 409"),
        (413, {}, b"Request body(9) too large", Why.TOO_LARGE, "size"),
        (429, {}, b"rate limit exceeded", Why.BUSY, "429"),
        (503, {}, b"rate limit exceeded for operation", Why.BUSY, "asked too much (HTTP 503)"),
        (503, {"retry-after": "1"}, b"", Why.BUSY, "asked too much (HTTP 503)"),
        (503, {}, b"<html>no server is available", Why.OTHER, "cannot answer now"),
        (500, {}, b'invalid key name, keys should respect the "x" format', Why.NAME, "1.21.5"),
        (403, {}, b"ACL not found", Why.UNKNOWN, "not known"),
        (403, {}, b"Permission denied: anonymous token lacks x", Why.DENIED, "none was given"),
        (403, {}, b"rpc error making call: Permission denied: x", Why.DENIED, "may not"),
        (403, {}, b"Access is restricted", Why.NO_WRITES, "allow_write_http_from"),
        (403, {}, b"Endpoint is blocked by agent configuration", Why.NO_WRITES, "block_endpoints"),
        (500, {}, b"No cluster leader", Why.OTHER, "no leader"),
        (500, {}, b"rpc error making call: No cluster leader", Why.OTHER, "no leader"),
        (500, {}, b"No known Consul servers", Why.OTHER, "joined"),
        (500, {}, b"No path to datacenter", Why.OTHER, "datacenter"),
        (500, {}, b"rpc error getting client: failed to get conn", Why.OTHER, "reach"),
        (400, {}, b"Namespaces are a Consul Enterprise feature", Why.OTHER, "Enterprise"),
        (400, {}, b"Client sent an HTTP request to an HTTPS server.", Why.OTHER, "https://"),
        (301, {"location": "https://x"}, b"", Why.OTHER, "https://"),
        (401, {}, b"", Why.OTHER, "password"),
        (403, {}, b"<html>Forbidden", Why.OTHER, "in front of it does not let"),
        (407, {}, b"", Why.OTHER, "a proxy on the way"),
        (502, {}, b"secret", Why.OTHER, "HTTP 502: what stands in front"),
        (504, {}, b"", Why.OTHER, "HTTP 504: what stands in front"),
        (500, {}, b"secret", Why.OTHER, "HTTP 500: the log of its agent"),
    ],
)
def test_a_refusal_says_in_words_what_to_do(
    status: int, headers: dict[str, str], body: bytes, why: Why, said: str
) -> None:
    refusal = answers.refusal(status, headers, body)
    assert refusal is not None
    assert refusal.why is why
    assert said in refusal.reason
    assert "secret" not in refusal.reason


@pytest.mark.parametrize(
    ("header", "pause"), [("2", 2.0), ("9999", 60.0), ("", None), ("-1", None), ("soon", None)]
)
def test_a_server_may_say_how_long_to_wait(header: str, pause: float | None) -> None:
    refusal = answers.refusal(429, {"retry-after": header}, b"")
    assert refusal is not None
    assert refusal.pause == pause


def test_only_a_consul_counts_its_writes() -> None:
    assert answers.is_read(READ)
    assert not answers.is_read({"content-type": "text/html"})
