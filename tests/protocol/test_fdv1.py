"""The first protocol: what events and polls change, and which broken ones end the stream."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagkeep.errors import InvalidData
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import to_item
from flagkeep.model.item import Kind
from flagkeep.model.tombstone import tombstone
from flagkeep.protocol.fdv1 import DELETE, PATCH, PUT, read_event, read_poll
from flagkeep.protocol.sse import Event
from tests import strategies

FLAG = b'{"key":"f","version":3,"on":true,"unknown":{"kept":[1.50]}}'
SEGMENT = b'{"key":"s","version":2,"included":["u"]}'
DEEP = b"[" * 300 + b"]" * 300
BOTTOMLESS = b"[" * 100_000 + b"]" * 100_000


def event(name: str, data: bytes) -> ChangeSet | None:
    return read_event(Event(name, data))


def put(data: bytes) -> ChangeSet:
    changes = event(PUT, data)
    assert changes is not None
    return changes


def put_flags(**flags: bytes) -> ChangeSet:
    texts = b",".join(b'"%b":%b' % (key.encode(), text) for key, text in flags.items())
    return put(b'{"path":"/","data":{"flags":{%b},"segments":{}}}' % texts)


def patch(text: bytes, path: str = "/flags/f") -> ChangeSet:
    changes = event(PATCH, b'{"path":"%b","data":%b}' % (path.encode(), text))
    assert changes is not None
    return changes


def refusal(name: str, data: bytes) -> InvalidData:
    with pytest.raises(InvalidData) as info:
        event(name, data)
    return info.value


# --- put and poll --------------------------------------------------------------------------------


def test_a_put_is_the_whole_environment_and_every_text_stays_as_it_is() -> None:
    changes = put(b'{"path":"/","data":{"flags":{"f": %b},"segments":{"s":%b }}}' % (FLAG, SEGMENT))
    assert changes.full
    assert changes.selector is None
    assert dict(changes.flags) == {"f": to_item(Kind.FLAG, "f", FLAG)}
    assert changes.flags["f"].data == FLAG
    assert dict(changes.segments) == {"s": to_item(Kind.SEGMENT, "s", SEGMENT)}
    assert changes.bad == ()


@pytest.mark.parametrize("path", [b"", b'"path":"/",', b'"path":"",', b'"path":null,'])
def test_a_put_is_for_the_root_path_or_none(path: bytes) -> None:
    assert dict(put(b'{%b"data":{"flags":{"f":%b}}}' % (path, FLAG)).flags)


def test_a_put_for_another_path_changes_nothing() -> None:
    assert event(PUT, b'{"path":"/cats","data":{}}') is None
    lone = b'{"path":"/cats","data":{"flags":{"f":{"salt":"\\ud800"}}}}'
    assert event(PUT, lone) is None


@pytest.mark.parametrize("data", [b"{}", b'{"message":"sign in"}', b'{"x":"\\ud800"}'])
def test_what_names_neither_flags_nor_segments_is_no_environment(data: bytes) -> None:
    """An answer of somebody else must not empty what is known."""
    with pytest.raises(InvalidData, match="neither flags nor segments"):
        read_poll(data)
    with pytest.raises(InvalidData, match="neither flags nor segments"):
        put(b'{"path":"/","data":%b}' % data)


@pytest.mark.parametrize(
    "data", [b'{"segments":{}}', b'{"flags":null}', b'{"flags":{},"segments":null}']
)
def test_one_section_need_not_be_there(data: bytes) -> None:
    expected = ChangeSet(full=True)
    assert put(b'{"path":"/","data":%b}' % data) == expected
    assert read_poll(data) == expected


def test_a_poll_is_the_whole_environment() -> None:
    changes = read_poll(b'{"flags":{"f":%b},"segments":{"s":%b}}' % (FLAG, SEGMENT))
    assert changes == put(
        b'{"path":"/","data":{"flags":{"f":%b},"segments":{"s":%b}}}' % (FLAG, SEGMENT)
    )


def test_a_deleted_item_in_a_put_is_a_tombstone() -> None:
    item = put_flags(f=b'{"version":3,"deleted":true}').flags["f"]
    assert (item.version, item.deleted) == (3, True)


# --- patch and delete ----------------------------------------------------------------------------


def test_a_patch_is_one_item() -> None:
    assert patch(FLAG) == ChangeSet(full=False, flags={"f": to_item(Kind.FLAG, "f", FLAG)})
    changes = patch(SEGMENT, "/segments/s")
    assert changes == ChangeSet(full=False, segments={"s": to_item(Kind.SEGMENT, "s", SEGMENT)})


def test_white_space_around_the_item_of_a_patch_is_not_part_of_it() -> None:
    changes = event(PATCH, b' { "data" :  %b  , "path" : "/flags/f" } ' % FLAG)
    assert changes == patch(FLAG)


def test_the_key_is_all_that_follows_the_kind() -> None:
    assert list(patch(FLAG, "/flags/a/b%20c").flags) == ["a/b%20c"]


def test_a_delete_is_a_tombstone_in_full_even_of_what_is_not_known() -> None:
    changes = event(DELETE, b'{"path":"/flags/f","version":7}')
    assert changes == ChangeSet(full=False, flags={"f": tombstone(Kind.FLAG, "f", 7)})
    changes = event(DELETE, b'{"path":"/segments/s","version":0}')
    assert changes == ChangeSet(full=False, segments={"s": tombstone(Kind.SEGMENT, "s", 0)})


@pytest.mark.parametrize("version", [b"7.0", b"7e0"])
def test_fix_a_whole_number_may_be_written_with_a_fraction(version: bytes) -> None:
    """FIX (data-model.md 4): versions and weights as `7.0` are taken for what they are."""
    changes = event(DELETE, b'{"path":"/flags/f","version":%b}' % version)
    assert changes == event(DELETE, b'{"path":"/flags/f","version":7}')
    assert patch(b'{"key":"f","version":%b}' % version).flags["f"].version == 7
    assert put_flags(f=b'{"key":"f","version":%b}' % version).flags["f"].version == 7


@pytest.mark.parametrize("name", [PATCH, DELETE])
@pytest.mark.parametrize("path", ["/cats/Jack", "flags/f", "/flags", "/flags/", "/segments/", ""])
def test_other_paths_are_for_others(name: str, path: str) -> None:
    assert event(name, json.dumps({"path": path, "data": {}, "version": 1}).encode()) is None
    assert event(name, json.dumps({"path": path}).encode()) is None


# --- other events --------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"{}", b"not JSON", b"", b"\xff"])
@pytest.mark.parametrize("name", ["whatever", "message", "PUT", "put-object"])
def test_unknown_events_are_not_opened(name: str, data: bytes) -> None:
    assert event(name, data) is None


# --- what ends the stream ------------------------------------------------------------------------

BROKEN = [
    *(b"{sorry", b"", b"{", b'{"path":"/","data":{"flags":{}}', b"{} x", b"\xff", b'{"a":\xff}'),
    b'{"data":{"flags":{"\xff":1}},"flags":{"\xff":1}}',
    b'{"data":{"flags":{"f":%b' % BOTTOMLESS[:100_000],
    b'{"path":"\\ud800","flags":',
    b'{"x":%b,"flags":,"data":{}}' % BOTTOMLESS,
]


@pytest.mark.parametrize("data", BROKEN)
@pytest.mark.parametrize("name", [PUT, PATCH, DELETE])
def test_broken_json_is_refused(name: str, data: bytes) -> None:
    refusal(name, data)


@pytest.mark.parametrize("data", [*BROKEN, b"[]", b"1", b'{"flags":[]}', b'{"segments":true}'])
def test_a_poll_that_is_no_environment_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidData):
        read_poll(data)


@pytest.mark.parametrize(
    ("name", "data", "path"),
    [
        (PUT, b'{"data":{"flags": true, "segments":{}}}', "$.data.flags"),
        (PUT, b'{"data":{"segments": [1]}}', "$.data.segments"),
        (PUT, b'{"data":true}', "$.data"),
        (PUT, b'{"data":null}', "$.data"),
        (PUT, b'{"path":1,"data":{}}', "$.path"),
        (PUT, b'{"path":"/"}', "$"),
        (PUT, b"[]", "$"),
        (PUT, b'{"path":1,"x":"\\ud800","data":{}}', "$.path"),
        (PUT, b'{"data":{"flags":true,"x":"\\ud800"}}', "$.data.flags"),
        (PUT, b'{"x":"\\ud800"}', "$.data"),
        (PATCH, b'{"path":"/flags/x","data":true}', "$.data"),
        (PATCH, b'{"path":"/flags/x","data":null}', "$.data"),
        (PATCH, b'{"path":"/flags/x","data":[{}]}', "$.data"),
        (PATCH, b'{"path":"/flags/x"}', "$.data"),
        (PATCH, b'{"data":{}}', "$.path"),
        (PATCH, b'{"path":7,"data":{}}', "$.path"),
        (PATCH, b"[]", "$"),
        (DELETE, b'{"path":"/flags/x","version":"no"}', "$.version"),
        (DELETE, b'{"path":"/flags/x","version":true}', "$.version"),
        (DELETE, b'{"path":"/flags/x","version":1.5}', "$.version"),
        (DELETE, b'{"path":"/flags/x","version":1e400}', "$.version"),
        (DELETE, b'{"path":"/flags/x","version":-1}', "$.version"),
        (DELETE, b'{"path":"/flags/x","version":-1.0}', "$.version"),
        (DELETE, b'{"path":"/flags/x","version":null}', "$.version"),
        (DELETE, b'{"path":"/flags/x"}', "$.version"),
        (DELETE, b'{"version":1}', "$.path"),
        (DELETE, b"1", "$"),
    ],
)
def test_what_is_not_of_the_shape_is_refused_with_its_place(
    name: str, data: bytes, path: str
) -> None:
    assert refusal(name, data).path == path


def test_much_garbage_is_refused_without_reading_it_into_memory() -> None:
    data = b'{"path":"/","data":{"flags":{"f":[' + b"{}," * 1_000_000
    tracemalloc.start()
    try:
        refusal(PUT, data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(data)


# --- what costs one item only --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (b'{"key":"f","version":1,"on":"yes"}', "$.on"),
        (b'{"key":"f","on":true}', "$"),
        (b'{"key":"f","version":-1}', "$.version"),
        (b'{"key":"f","version":true}', "$.version"),
        (b'{"key":"f","version":1,"variations":[1,%b]}' % DEEP, "$.variations[1]"),
        (b'{"key":"f","version":1,"variations":[%b]}' % BOTTOMLESS, "$"),
        (
            b'{"key":"f","version":1,"rules":[{"clauses":[{"values":[%b]}]}]}' % DEEP,
            "$.rules[0].clauses[0].values[0]",
        ),
        (b'{"key":"f","version":1,"salt":"\xff"}', "$"),
    ],
)
def test_a_bad_item_keeps_itself_out_alone_and_is_named(text: bytes, path: str) -> None:
    changes = put_flags(a=FLAG, f=text, z=FLAG)
    assert list(changes.flags) == ["a", "z"]
    assert [(one.kind, one.key, one.path) for one in changes.bad] == [(Kind.FLAG, "f", path)]
    only = patch(text)
    assert (only.full, only.flags, only.bad) == (False, {}, changes.bad)


@pytest.mark.parametrize("text", [b"true", b"null", b"[]", b"1"])
def test_what_is_no_object_among_items_keeps_itself_out_alone(text: bytes) -> None:
    changes = put_flags(a=FLAG, f=text)
    assert list(changes.flags) == ["a"]
    assert [one.ref for one in changes.bad] == [(Kind.FLAG, "f")]


def test_a_bad_segment_is_named_as_one() -> None:
    changes = read_poll(b'{"flags":{"f":%b},"segments":{"s":{"version":"1"}}}' % FLAG)
    assert list(changes.flags) == ["f"]
    assert [(one.kind, one.key) for one in changes.bad] == [(Kind.SEGMENT, "s")]


@pytest.mark.parametrize(
    "text",
    [
        b'{"key":"f","version":1,"salt":"\\ud800"}',  # which the fast decoder takes for broken
        b'{"key":"f","version":1,"salt":"\\udfff\\ud800"}',
        b'{"key":"f","version":1,"variations":[1e400]}',
        b'{"key":"f","version":1,"variations":[%b]}' % (b"9" * 400),
        b'{"key":"f","version":1,"variations":[{"a":[1]}]}',
        b'{"key":"f","version":1,"rules":[{"clauses":[{"values":[[1],{}]}]}]}',
        b'{"key":"f","version":1,"offVariation":null,"rules":null}',
    ],
)
def test_odd_items_are_let_in_beside_others(text: bytes) -> None:
    """FIX (data-model.md 4): one such item does not make the whole payload fail."""
    changes = put_flags(a=FLAG, f=text)
    assert changes.bad == ()
    assert {key: one.data for key, one in changes.flags.items()} == {"a": FLAG, "f": text}
    assert patch(text).flags["f"].data == text


def test_keys_may_hold_what_utf_8_cannot() -> None:
    changes = put(b'{"data":{"flags":{"\\ud800":%b}}}' % FLAG)
    assert list(changes.flags) == ["\ud800"]
    changes = patch(FLAG, "/flags/\\ud800")
    assert list(changes.flags) == ["\ud800"]
    deleted = event(DELETE, b'{"path":"/flags/\\ud800","version":1}')
    assert deleted is not None
    assert list(deleted.flags) == ["\ud800"]


# --- laws ----------------------------------------------------------------------------------------


@given(strategies.flags("f"), strategies.segments("s"))
def test_items_are_read_as_the_codec_reads_them(flag: Any, segment: Any) -> None:
    texts = [json.dumps(one).encode() for one in (flag, segment)]
    changes = read_poll(b'{"flags":{"f":%b},"segments":{"s":%b}}' % (texts[0], texts[1]))
    assert changes.bad == ()
    assert changes.flags["f"] == to_item(Kind.FLAG, "f", texts[0])
    assert changes.segments["s"] == to_item(Kind.SEGMENT, "s", texts[1])
    assert patch(texts[0]).flags == changes.flags


@given(st.sampled_from([PUT, PATCH, DELETE]), strategies.any_json)
def test_any_json_is_read_or_refused(name: str, value: Any) -> None:
    try:
        event(name, json.dumps(value).encode())
    except InvalidData as exc:
        assert exc.problem  # noqa: PT017  either is right


@given(
    st.sampled_from([PUT, PATCH, DELETE]),
    st.sampled_from(["/", "/flags/f", "/segments/s", "/x"]),
    strategies.any_json,
)
def test_any_data_is_read_or_refused(name: str, path: str, data: Any) -> None:
    text = json.dumps({"path": path, "data": data, "version": data}).encode()
    try:
        event(name, text)
    except InvalidData as exc:
        assert exc.problem  # noqa: PT017  either is right


@given(st.sampled_from([PUT, PATCH, DELETE]), st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(name: str, data: bytes) -> None:
    try:
        event(name, b'{"path":"/flags/f","version":1,"data":' + data)
    except InvalidData as exc:
        assert exc.problem  # noqa: PT017  either is right
