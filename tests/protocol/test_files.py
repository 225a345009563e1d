"""Environment files: what is in them, what is wrong with them, and where."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagkeep.errors import InvalidFile, InvalidItem
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import decode_flag, decode_segment
from flagkeep.model.item import Kind
from flagkeep.model.values import frozen_value
from flagkeep.protocol import json_file
from flagkeep.protocol.files import make_item, read_file, read_files

FLAG = {
    "key": "f", "version": 3, "deleted": False, "on": True, "salt": "s", "variations": [1, 2],
    "offVariation": None, "fallthrough": {"variation": 0}, "prerequisites": [], "targets": [],
    "rules": [], "trackEvents": False, "trackEventsFallthrough": False,
}  # fmt: skip


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def read(text: str | bytes, name: str = "env.json") -> ChangeSet:
    return read_files([(name, text if isinstance(text, bytes) else text.encode())])


def refusal(text: str | bytes, name: str = "env.json") -> InvalidFile:
    with pytest.raises(InvalidFile) as info:
        read(text, name)
    return info.value


# --- what is in them ---------------------------------------------------------------------------


def test_a_complete_flag_keeps_its_text() -> None:
    text = compact(FLAG | {"unknown": {"kept": [1.50, "\u00e9"]}})
    changes = read(b'{"flags":{"f":' + text + b"}}")
    assert changes.full
    assert changes.flags["f"].data == text
    assert (changes.flags["f"].version, changes.flags["f"].deleted) == (3, False)


def test_an_indented_file_gives_the_same_items_as_a_compact_one() -> None:
    document = {
        "flags": {"f": FLAG},
        "segments": {"s": {"included": ["a"]}},
        "flagValues": {"v": []},
    }
    assert read(json.dumps(document, indent=3)) == read(compact(document))


FULL = compact(FLAG)[:-1] + b"%s}"


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (r'"\ud83d\ude00"', '"\U0001f600"'),
        (r'"gr\u00FC\u00dFe, \u65e5\u672c"', '"gr\u00fc\u00dfe, \u65e5\u672c"'),
        (r'{"\u00e9\u0041":{}}', '{"\u00e9A":{}}'),
        (r'"\\ud83d\\ude00 \\\u00e9\/"', r'"\\ud83d\\ude00 \\é\/"'),
        (r'"\u0022\u005C\u000a\u0000\u001f"', r'"\"\\\n\u0000\u001f"'),
        (r'"\ud83d\ude00\ud83d \ude00\ud83d"', '"\U0001f600\\ud83d \\ude00\\ud83d"'),
        ("[ 1.50 ,\t-0.0e3, 12345678901234567890123 ]", "[1.50,-0.0e3,12345678901234567890123]"),
        ('{ "a , b" : " : " }', '{"a , b":" : "}'),
    ],
)
@pytest.mark.parametrize("space", ["", " ", "\r\n\t"])
@pytest.mark.parametrize("odd", ["", r',"flagValues":{"odd":"\ud800"}'])
def test_items_are_compact_and_have_no_needless_escapes(
    written: str, kept: str, space: str, odd: str
) -> None:
    """Go's reader loses a character that is written as two escapes."""
    value = f'{space},{space}"mine"{space}:{space}{written}{space}'.encode()
    changes = read(b'{"flags":{"f":' + FULL % value + b"}" + odd.encode() + b"}")
    assert changes.flags["f"].data == FULL % (b',"mine":' + kept.encode())
    assert changes.flags.keys() == ({"f", "odd"} if odd else {"f"})


def test_keys_with_escapes_are_the_same_keys() -> None:
    changes = read(r'{"flags":{"\ud83d\ude00":{}},"segments":{"\u00e9":{}},"flagValues":{"\t":1}}')
    assert (set(changes.flags), set(changes.segments)) == ({"\U0001f600", "\t"}, {"\u00e9"})


def test_key_and_version_need_not_be_there() -> None:
    changes = read('{"flags":{"f":{"on":true}},"segments":{"s":{"included":["a"]}}}')
    flag = decode_flag(changes.flags["f"].data)
    segment = decode_segment(changes.segments["s"].data)
    assert (flag.key, flag.version, flag.on) == ("f", 1, True)
    assert (segment.key, segment.version, segment.included) == ("s", 1, ["a"])


def test_fix_items_without_a_key_of_their_own_are_told_apart() -> None:
    """FIX (data-sources.md 5): the official SDK takes two of them for one item, twice."""
    changes = read('{"flags":{"f":{"on":true},"g":{"on":true}},"segments":{"s":{},"t":{}}}')
    assert (set(changes.flags), set(changes.segments)) == ({"f", "g"}, {"s", "t"})


def test_what_readers_in_other_languages_demand_is_filled_in() -> None:
    changes = read('{"flags":{"f":{"rules":null,"on":true}},"segments":{"s":{}}}')
    flag = json.loads(changes.flags["f"].data)
    assert flag.items() >= {"on": True, "salt": "", "offVariation": None, "fallthrough": {}}.items()
    assert flag["rules"] == flag["targets"] == flag["prerequisites"] == flag["variations"] == []
    segment = json.loads(changes.segments["s"].data)
    assert segment.items() >= {"deleted": False, "salt": "", "rules": [], "excluded": []}.items()


@pytest.mark.parametrize("value", ["true", "null", "1e400", '"x"', '{"a":[1,{"b":null}]}', "-0.50"])
def test_a_bare_value_becomes_a_flag_that_is_on(value: str) -> None:
    item = read('{"flagValues":{"v":' + value + "}}").flags["v"]
    assert b'"variations":[%s]' % value.encode() in item.data
    flag = decode_flag(item.data)
    assert (flag.key, flag.version, flag.on, flag.fallthrough.variation) == ("v", 1, True, 0)


def test_several_files_are_one_environment() -> None:
    files = [("a.json", b'{"flags":{"f":{}}}'), ("b.json", b'{"flagValues":{"v":1}}')]
    changes = read_files([*files, ("c.json", b'{"segments":{"f":{}}}')])
    assert set(changes.flags) == {"f", "v"}
    assert set(changes.segments) == {"f"}


@pytest.mark.parametrize("text", ["{}", '{"flags":null}', '{"$schema":"x","flags":{}}'])
def test_every_section_is_optional(text: str) -> None:
    assert read(text) == ChangeSet(full=True)


def test_a_tombstone_may_stand_in_a_file() -> None:
    item = read('{"flags":{"f":{"deleted":true,"version":9}}}').flags["f"]
    assert (item.version, item.deleted) == (9, True)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_any_unicode_encoding_is_read(encoding: str) -> None:
    changes = read('{"flagValues":{"gr\u00fc\u00dfe":"\u65e5\u672c"}}'.encode(encoding))
    assert decode_flag(changes.flags["gr\u00fc\u00dfe"].data).variations == ["\u65e5\u672c"]


def test_numbers_and_escapes_that_only_python_lets_in_do_not_stop_the_others() -> None:
    text = r'{"flagValues":{"a":"\ud800","b":1e999,"c":true},"flags":{"d":{"version":1.0}}}'
    assert set(read(text).flags) == {"a", "b", "c", "d"}


@pytest.mark.parametrize("odd", ["", r',"flags":{"odd":{"salt":"\ud800"}}'])
def test_a_number_of_thousands_of_digits_stops_its_item_only(odd: str) -> None:
    changes = read('{"flagValues":{"a":1,"many":' + "1" * 5000 + "}" + odd + "}")
    assert set(changes.flags) == ({"a", "odd"} if odd else {"a"})
    assert [(one.key, one.problem) for one in changes.bad] == [
        ("many", "it has a whole number of too many digits (env.json:1)")
    ]


# --- one bad item ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "path", "problem"),
    [
        ('{"on":"yes"}', "$.on", "Expected `bool`, got `str`"),
        ('{"rules":[{"clauses":[{"negate":1}]}]}', "$.rules[0].clauses[0].negate", "Expected"),
        ('{"version":-1}', "$.version", "negative"),
        ('{"version":true}', "$.version", "Expected"),
        ('{"key":"other"}', "$.key", "'other' and stands under 'bad'"),
        ('{"key":5}', "$.key", "Expected"),
        ("[]", "$", "must be an object"),
        ("7", "$", "must be an object"),
        ("null", "$", "must be an object"),
        ('{"variations":[NaN]}', "$", "NaN is not JSON"),
        ('{"variations":' + "[" * 1000 + "]" * 1000 + "}", "$", "nested"),
        ('{"variations":' + "[" * 99_000 + "]" * 99_000 + "}", "$", "nested"),
    ],
)
def test_a_bad_item_keeps_only_itself_out(item: str, path: str, problem: str) -> None:
    changes = read('{\n"flags":{\n"good":{},\n"bad":' + item + ',"fine":{}}}')
    assert set(changes.flags) == {"good", "fine"}
    (bad,) = changes.bad
    assert (bad.kind, bad.key, bad.path) == (Kind.FLAG, "bad", path)
    assert problem in bad.problem
    assert bad.problem.endswith("(env.json:4)")


def test_bad_segments_and_values_are_named_too() -> None:
    changes = read('{"segments":{"s":{"included":5}},"flagValues":{"v":Infinity,"":1}}')
    assert {(bad.kind, bad.key) for bad in changes.bad} == {
        (Kind.SEGMENT, "s"), (Kind.FLAG, "v"), (Kind.FLAG, ""),
    }  # fmt: skip


def test_a_hundred_levels_are_fine_and_one_more_is_not() -> None:
    fits = "[" * 98 + "]" * 98
    make_item(Kind.FLAG, "f", f'{{"variations":[{fits}]}}'.encode())
    with pytest.raises(InvalidItem, match="deeper than 100 levels"):
        make_item(Kind.FLAG, "f", f'{{"variations":[[{fits}]]}}'.encode())


def test_brackets_in_strings_are_no_levels() -> None:
    make_item(Kind.FLAG, "f", compact({"variations": ['"\\"[' * 200, "]"]}))


# --- a whole file that cannot be used ----------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ('{"flags":{\n"f":{"on":tru}}}', 2, 11),
        ('{"flags":{"f":{}},\n}', None, None),
        ('{"flags":{"f":{}}', 1, 18),
        ('{"flags":{"f":{', 1, 16),
        ("flags", 1, 1),
        ("{} {}", 1, 4),
        (r'{"flagValues":{"a":\u0031}}', 1, 20),
        (r'{"flagValues":{"a":"\u00zz"}}', 1, 22),
    ],
)
def test_broken_json_is_named_with_its_place(
    text: str, line: int | None, column: int | None
) -> None:
    error = refusal(text)
    assert error.file == "env.json"
    assert "not JSON" in error.problem
    if line is not None:
        assert (error.line, error.column) == (line, column)
        assert str(error).startswith(f"env.json:{line}:{column}: ")


DEEP = "[" * 99_000 + "]" * 99_000


@pytest.mark.parametrize(
    "after",
    [
        "", "}", "}} x", ',"b"}}', ',"b" 1}}', ',"b":}}', ' "b":1}}', ",b:1}}", ',"b":[1}}',
        ',"\t":1}}', ',"b":tru}}', "]}}", ",}}",
    ],
)  # fmt: skip
def test_broken_json_is_found_behind_what_is_too_deep_to_check(after: str) -> None:
    error = refusal('{"flagValues":{"good":1,\n"a":' + DEEP + after)
    assert (error.problem, error.line) == ("not JSON from here on", 2)


def test_what_stands_behind_an_item_that_is_too_deep_is_read() -> None:
    changes = read('{"x":' + DEEP + ',"flagValues":{"a":' + DEEP + ' , "b" : 1 } } ')
    assert set(changes.flags) == {"b"}
    assert [bad.key for bad in changes.bad] == ["a"]


def test_half_of_what_is_too_deep_is_refused() -> None:
    assert refusal('{"flagValues":{"a":' + DEEP[:150_000]).problem == "not JSON from here on"


@pytest.mark.parametrize("text", ["", " \n\t", "\ufeff", b"\xff\xfe"])
@pytest.mark.parametrize("name", ["env.json", "env.yaml", "env"])
def test_an_empty_file_is_no_environment(text: str | bytes, name: str) -> None:
    assert refusal(text, name).problem == "it is empty"


@pytest.mark.parametrize("text", ["[]", "5", '"x"', "null", "true"])
def test_a_file_that_is_no_object_is_refused(text: str) -> None:
    assert refusal(text).problem == "it must be an object with flags, flagValues or segments"


def test_odd_files_are_checked_like_others() -> None:
    odd = '"flagValues":{"x":"\\ud800"}'
    assert refusal("{" + odd + ',\n"flags":5}').path == "$.flags"
    assert set(read('{"flags":null,"other":5,' + odd + "}").flags) == {"x"}


@pytest.mark.parametrize("section", ["flags", "segments", "flagValues"])
@pytest.mark.parametrize("value", ["[]", "true", '"x"', "0"])
def test_a_section_of_another_type_is_named(section: str, value: str) -> None:
    error = refusal(f'{{\n "{section}": {value}}}')
    assert (error.path, error.line) == (f"$.{section}", 2)


def test_binary_data_is_refused_with_its_place() -> None:
    error = refusal(b'{"flags":\n  "\xff\xfe\x80"}')
    assert (error.line, error.column) == (2, 4)
    assert "not UTF-8 text" in error.problem
    refusal(bytes(range(256)))
    refusal(b"\0" * 4096)


# --- the same key twice ------------------------------------------------------------------------


def test_a_key_twice_in_one_section_names_both_lines() -> None:
    error = refusal('{"flags":{\n "f":{},\n "g":{},\n\n "f":{"on":true}}}')
    assert (error.path, error.line, error.column) == ("$.flags.f", 5, 2)
    assert error.problem == "'f' is there twice, first in line 2"


def test_a_key_twice_is_seen_in_odd_files_too() -> None:
    error = refusal('{"flagValues":{\n "x":"\\ud800",\n "f":1,\n "f":2}}')
    assert (error.path, error.line) == ("$.flagValues.f", 4)
    assert error.problem == "'f' is there twice, first in line 3"


def test_keys_are_compared_as_text_not_as_they_are_spelt() -> None:
    assert "twice" in refusal(r'{"flags":{"A":{},"\u0041":{}}}').problem


def test_a_section_twice_is_refused() -> None:
    error = refusal('{"flags":{"f":{}},\n"flags":{"g":{}}}')
    assert (error.path, error.line) == ("$.flags", 2)


def test_a_key_in_two_files_names_both_places() -> None:
    with pytest.raises(InvalidFile) as info:
        read_files([("a.json", b'{\n"flags":{"f":{}}}'), ("b.json", b'{"flags":\n{\n"f":{}}}')])
    assert (info.value.file, info.value.line, info.value.column) == ("b.json", 3, 1)
    assert info.value.problem == "flag 'f' is already defined in a.json:2:10"


def test_flags_and_values_share_their_keys() -> None:
    error = refusal('{"flagValues":{"f":1},\n"flags":{"f":{}}}')
    assert error.problem == "flag 'f' is already defined in env.json:2:10"
    assert (error.line, error.column) == (1, 16)


def test_bad_items_count_when_keys_are_compared() -> None:
    with pytest.raises(InvalidFile, match="already defined"):
        read_files([("a.json", b'{"flags":{"f":5}}'), ("b.json", b'{"flags":{"f":{}}}')])


def test_names_twice_inside_of_an_item_are_found_on_demand() -> None:
    text = (
        '{"flags":{"f":{"on":true,"rules":[{},{"id":"a",\n"id":"b"}],\n"on":false}},"x":["x","x"]}'
    )
    found = list(json_file.find_duplicates(text))
    assert [(path, first.line, second.line) for path, first, second in found] == [
        ("$.flags.f.rules[1].id", 1, 2),
        ("$.flags.f.on", 1, 3),
    ]


# --- laws --------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
ENVIRONMENTS = st.fixed_dictionaries(
    {}, optional={name: st.dictionaries(KEYS, JSON) for name in ("flags", "segments", "flagValues")}
)


@given(ENVIRONMENTS, st.sampled_from([None, 0, 2]), st.sampled_from(["ascii", "utf-8"]))
def test_the_fast_and_the_slow_way_cut_alike(
    document: Any, indent: int | None, charset: str
) -> None:
    data = json.dumps(document, indent=indent, ensure_ascii=charset == "ascii").encode()
    fast, slow = json_file.read_json("e", data), json_file._read_slowly("e", data)
    assert fast.items == slow.items
    assert fast.places() == slow.places()
    for section, items in fast.items.items():
        given = document.get(section, {})
        assert items == {key: compact(value) for key, value in given.items()}
        assert {key: json.loads(text) for key, text in items.items()} == given
    lines = data.decode().split("\n")
    for (_, key), place in fast.places().items():
        assert lines[place.line - 1][place.column - 1 :].startswith(
            json.dumps(key, ensure_ascii=charset == "ascii")
        )


@given(JSON, st.sampled_from([None, 1, 4]))
def test_making_an_item_compact_changes_no_value(value: Any, indent: int | None) -> None:
    text = json.dumps({"on": True, "mine": value}, indent=indent)
    data = make_item(Kind.FLAG, "f", text.encode()).data
    assert frozen_value(json.loads(data)["mine"]) == frozen_value(value)
    assert b"\n" not in data


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(InvalidFile):  # and nothing else
        read_file("env.json", data)


@given(st.text(alphabet='{}[]:,"\\ \n0e-flagsntru', max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(InvalidFile):  # and nothing else
        read(text)
