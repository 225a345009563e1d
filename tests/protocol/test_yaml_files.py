"""YAML environment files: what YAML can say and JSON cannot, each with its result."""

import json
import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagkeep.errors import InvalidFile
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import decode_flag
from flagkeep.protocol.files import read_files

pytestmark = pytest.mark.extras
pytest.importorskip("yaml")


def read(text: str, name: str = "env.yaml") -> ChangeSet:
    return read_files([(name, text.encode())])


def refusal(text: str) -> InvalidFile:
    with pytest.raises(InvalidFile) as info:
        read(text)
    return info.value


def value(yaml: str) -> object:
    return decode_flag(read(f"flagValues:\n  v: {yaml}\n").flags["v"].data).variations[0]


def problem(yaml: str) -> str:
    (bad,) = read(f"flagValues:\n  v: {yaml}\n  good: 1\n").bad
    assert bad.key == "v"
    return bad.problem


def test_yaml_and_json_give_the_same_items() -> None:
    document = {
        "flags": {"f": {"key": "f", "version": 2, "on": True}},
        "flagValues": {"v": [1, None]},
    }
    yaml = "flags:\n  f:\n    key: f\n    version: 2\n    on: true\nflagValues:\n  v: [1, ~]\n"
    assert read(yaml) == read_files([("env.json", json.dumps(document).encode())])


def test_json_may_stand_in_a_yaml_file() -> None:
    assert set(read('{"flagValues":\n\t{"v": "\\/"}}').flags) == {"v"}


@pytest.mark.parametrize("name", ["env.yaml", "env.YML", "env.conf", "env"])
def test_yaml_is_recognised_without_its_ending(name: str) -> None:
    assert set(read("flagValues: {v: 1}", name).flags) == {"v"}


def test_a_file_called_json_is_json() -> None:
    with pytest.raises(InvalidFile, match="not JSON"):
        read("flagValues: {v: 1}", "env.json")


@pytest.mark.parametrize("key", ["on", "yes", "2024", "1.50", "2024-01-01", "null", "~", "0x10"])
def test_a_key_is_the_text_that_is_written(key: str) -> None:
    assert set(read(f"flagValues:\n  {key}: 1\n").flags) == {key}


def test_on_is_the_property_on() -> None:
    assert decode_flag(read("flags: {f: {on: yes}}").flags["f"].data).on is True


@pytest.mark.parametrize(
    ("yaml", "expected"),
    [
        ("yes", True), ("Off", False), ("'yes'", "yes"), ("~", None), ("", None), ("12", 12),
        ("1e3", 1000.0), ("-0.5", -0.5), ("0x1F", 31), ("1_000", 1000), ("1.", 1.0),
        ("!!str 1", "1"), ("!!int '7'", 7), ("abc", "abc"), ("=", "="),
        ("'2024-01-01'", "2024-01-01"),
        ("|\n    a\n    b\n", "a\nb\n"), ("{a: [1, {b: no}]}", {"a": [1, {"b": False}]}),
    ],
)  # fmt: skip
def test_scalars(yaml: str, expected: object) -> None:
    assert value(yaml) == expected
    assert type(value(yaml)) is type(expected)


@pytest.mark.parametrize(
    ("yaml", "text"),
    [
        ("2024-01-01", "'2024-01-01' is a YAML timestamp and not JSON: put it in quotes"),
        ("2024-01-01T10:00:00Z", "timestamp"),
        ("!!binary aGk=", "binary"),
        ("!!set {a, b}", "set is not JSON"),
        ("!!omap [a: 1]", "omap is not JSON"),
        ("!local x", "!local"),
        ("!!python/object:os.system {}", "python/object:os.system is not JSON"),
        (".nan", ".nan is not a JSON number"),
        ("-.inf", "-.inf is not a JSON number"),
        ("1e999", "beyond the range"),
        ("!!int x", "'x' is not a YAML int"),
        ("9" * 5000, "digits"),
        ("{a: 1, a: 2}", "'a' is there twice, first in line 2"),
        ("[" * 1000 + "]" * 1000, "nested deeper than 100 levels"),
        ("{<<: 5}", "<< takes an object"),
    ],
)
def test_what_is_no_json_is_a_problem_of_its_item(yaml: str, text: str) -> None:
    assert text in problem(yaml)


def test_the_path_inside_of_the_item_is_named() -> None:
    (bad,) = read("flags:\n  f:\n    rules:\n    - id: a\n    - id: 2024-01-01\n").bad
    assert (bad.key, bad.path) == ("f", "$.rules[1].id")
    assert bad.problem.endswith("(env.yaml:5)")


def test_a_bad_item_is_named_with_its_line() -> None:
    (bad,) = read("flags:\n  good: {}\n  f:\n    on: 5\n").bad
    assert (bad.key, bad.path) == ("f", "$.on")
    assert bad.problem.endswith("(env.yaml:3)")


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("flags: [1,\n  b\n", 3, "not YAML"),
        ("a: b: c", 1, "mapping values are not allowed"),
        ("flags:\n\tf: {}", 2, "not YAML"),
        ("flags:\n  f: \x01\n", 2, "not YAML"),
        ("flags: {f: {}}\n---\nflags: {}\n", 2, "more than one YAML document"),
        ("flags:\n  f: {}\n  f: {}\n", 3, "'f' is there twice, first in line 2"),
        ("flags: {}\nflags: {}\n", 2, "'flags' is there twice, first in line 1"),
        ("flags:\n  ? [a]\n  : {}\n", 2, "a key must be text"),
        ("flagValues:\n  v: *nothing\n", 2, "there is no &nothing"),
        ("flagValues:\n  v: &a [*a]\n", 2, "stands inside of what it refers to"),
        ("- flags", 1, "must be an object"),
        ("just text", 1, "must be an object"),
        ("# nothing\n", 1, "it is empty"),
        ("flagValues: {v: " + "[" * 20_000, 1, "nested deeper than 10000"),
        ("flags: " + "[" * 200, 1, "(at $.flags[0])"),
        ("flags: 2024-01-01", 1, "timestamp"),
    ],
)
def test_a_whole_file_that_cannot_be_used(text: str, line: int, part: str) -> None:
    error = refusal(text)
    assert error.line == line
    assert part in str(error)


def test_a_section_of_another_type_is_named() -> None:
    assert refusal("flags: [1]").path == "$.flags"


def test_a_key_in_two_files_names_both_lines() -> None:
    files = [("a.yaml", b"flags:\n  f: {}\n"), ("b.json", b'{"flagValues":{"f":1}}')]
    with pytest.raises(InvalidFile, match=r"already defined in a\.yaml:2:3"):
        read_files(files)


def test_anchors_and_merge_keys_work() -> None:
    flags = read(
        "flags:\n  a: &base {on: true, salt: x}\n  b:\n    salt: y\n    <<: *base\n"
        "  c:\n    <<: [{salt: z}, *base]\n"
    ).flags
    assert [decode_flag(flags[key].data).on for key in "abc"] == [True, True, True]
    assert [decode_flag(flags[key].data).salt for key in "abc"] == ["x", "y", "z"]


def test_an_alias_may_be_a_key() -> None:
    assert set(read("flagValues:\n  a: &name b\n  *name : 1\n").flags) == {"a", "b"}


def test_a_quoted_merge_key_is_a_name() -> None:
    assert value('{"<<": 1}') == {"<<": 1}


def test_few_lines_cannot_stand_for_gigabytes() -> None:
    lines = ["flagValues:", "  a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 20)]
    assert "aliases stand for over" in refusal("\n".join(lines)).problem


@given(st.text(alphabet="-?:,[]{}#&*!|>'\"%@` \nabflgs01<", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(InvalidFile):  # and nothing else
        read(text)


def test_without_pyyaml_the_error_says_what_to_install() -> None:
    program = """
import sys
sys.modules["yaml"] = None  # what an import of something that is not installed meets
from flagkeep.errors import MissingExtra
from flagkeep.protocol.files import read_files
assert read_files([("a.yaml", b'{"flagValues":{"v":1}}')]).flags
try:
    read_files([("a.yaml", b"flagValues: {v: 1}")])
except MissingExtra as error:
    print(error)
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "pip install 'flagkeep[files]'" in result.stdout
