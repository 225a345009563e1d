"""`flagkeep lint`: files and lines of what is wrong."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Flagkeep

pytestmark = pytest.mark.extras

SHOP = Path(__file__).parents[2] / "examples" / "shop" / "flags.json"

FLAWED = """{
  "flags": {
    "f": {
      "on": true,
      "variations": [1, 2],
      "fallthrough": {"variation": 7},
      "rules": [
        {"clauses": [
          {"attribute": "n", "op": "in", "values": [1]},
          {"attribute": "n", "op": "lessThan", "values": [
            1,
            "2"
          ]}
        ], "variation": 0},
        {"clauses": [], "id": "x", "id": "y", "variation": 0}
      ]
    },
    "g": {"on": "yes"}
  },
  "segments": {"s": {}}
}
"""
NO_VARIATION = "there is no variation 7: they go from 0 to 1"
NO_NUMBER = "lessThan never matches '2': it takes a number"
TWICE = "it is there twice, first in line 15: only the last one counts"


def findings_of(text: str) -> list[str]:
    return [line.partition("flags.")[2] for line in text.splitlines()[:-1]]


def test_the_shop_is_clean(flagkeep: Flagkeep) -> None:
    ended = flagkeep("lint", SHOP, "--strict")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("nothing found in 1 file (")


def test_findings_have_file_and_line(flagkeep: Flagkeep, tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    file.write_text(FLAWED)
    ended = flagkeep("lint", file)
    assert ended.code == 1
    assert findings_of(ended.out) == [
        f"json:6: error: flag 'f' $.fallthrough.variation: {NO_VARIATION}",
        f"json:12: warning: flag 'f' $.rules[0].clauses[1].values[1]: {NO_NUMBER}",
        f"json:15: error: $.flags.f.rules[1].id: {TWICE}",
        "json:18: error: flag 'g' $.on: Expected `bool`, got `str`",
        "json:20: info: segment 's': no flag and no other segment uses it",
    ]
    summary = ended.out.splitlines()[-1]
    assert summary == "3 errors, 1 warning, 1 note in 1 file (1 flag, 1 segment)"


def test_json_has_the_same(flagkeep: Flagkeep, tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    file.write_text(FLAWED)
    ended = flagkeep("lint", file, "--json")
    assert (ended.code, ended.json["errors"], ended.json["warnings"]) == (1, 3, 1)
    assert ended.json["findings"][1] == {
        "file": str(file),
        "line": 12,
        "kind": "flag",
        "key": "f",
        "path": "$.rules[0].clauses[1].values[1]",
        "severity": "warning",
        "message": "lessThan never matches '2': it takes a number",
    }


def test_warnings_count_only_if_strict(flagkeep: Flagkeep, tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    rules = [{"clauses": [], "variation": 0}] * 2
    flag = {"on": True, "variations": [1], "fallthrough": {"variation": 0}, "rules": rules}
    file.write_text(json.dumps({"flags": {"f": flag}}))
    assert flagkeep("lint", file).code == 0
    assert flagkeep("lint", file, "--strict").code == 1


def test_several_files_are_one_environment(flagkeep: Flagkeep, tmp_path: Path) -> None:
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    clause = {"attribute": "", "op": "segmentMatch", "values": ["s"]}
    flag = {
        "on": True,
        "variations": [1],
        "fallthrough": {"variation": 0},
        "rules": [{"clauses": [clause], "variation": 0}],
    }
    one.write_text(json.dumps({"flags": {"f": flag}}))
    other.write_text('{"segments": {"s": {}},\n "flagValues": {"x": 1}}')
    assert flagkeep("lint", one).code == 1
    assert flagkeep("lint", one, other).code == 0
    one.write_text('{"flagValues": {"x": 1}}')
    ended = flagkeep("lint", other, one)
    assert f"flag 'x': flag 'x' is already defined in {other}:2" in ended.out


def test_a_file_that_cannot_be_read_hides_no_other(flagkeep: Flagkeep, tmp_path: Path) -> None:
    broken, other = tmp_path / "broken.json", tmp_path / "other.json"
    broken.write_text('{"flags": {\n]')
    other.write_text('{"flags": {"g": {"on": 5}}}')
    ended = flagkeep("lint", broken, other)
    assert ended.code == 1
    first, second, summary = ended.out.splitlines()
    assert first.startswith(f"{broken}:2: error: not JSON")
    assert second.startswith(f"{other}:1: error: flag 'g' $.on: ")
    assert "was not looked at" in summary


def test_a_file_that_is_not_there_is_no_finding(flagkeep: Flagkeep, tmp_path: Path) -> None:
    ended = flagkeep("lint", tmp_path / "none.json")
    assert (ended.code, ended.out) == (4, "")
    assert ended.err == f"flagkeep: {tmp_path / 'none.json'}: No such file or directory\n"


def test_yaml_has_the_line_of_the_item(flagkeep: Flagkeep, tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    file = tmp_path / "flags.yaml"
    file.write_text("flags:\n  f:\n    on: true\n    variations: [1]\n")
    assert f"{file}:2: error: flag 'f' $.fallthrough" in flagkeep("lint", file).out


@pytest.mark.parametrize("text", ['{"flagValues": {"x": 1}}', '{"flags": {"t": {"version": 1}}}'])
def test_clean_files_of_every_form(flagkeep: Flagkeep, tmp_path: Path, text: str) -> None:
    file = tmp_path / "flags.json"
    file.write_text(text)
    assert flagkeep("lint", file, "--strict").code == 0


def test_tombstones_are_not_looked_into(flagkeep: Flagkeep, tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    gone = {"version": 2, "deleted": True}
    file.write_text(json.dumps({"flags": {"f": gone}, "segments": {"s": gone}}))
    assert flagkeep("lint", file, "--strict").code == 0
