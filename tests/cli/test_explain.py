"""`flagkeep explain`: the tree for people, the nested objects for programs."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Flagkeep

pytestmark = pytest.mark.extras


def words(text: str) -> list[str]:
    """Return the lines of a tree without its branches."""
    return [line.lstrip("│├└─ ") for line in text.splitlines()]


def test_the_tree_says_what_decided(flagkeep: Flagkeep, store_url: str) -> None:
    ended = flagkeep("explain", "beta", "-c", "ada", "--store", store_url)
    assert ended.code == 0
    assert words(ended.out) == [
        "beta (version 7) for ada: true (variation 0, rule 0 (staff))",
        "prerequisite open must be on and give variation 0: satisfied",
        "open (version 1): true (variation 0, fallthrough)",
        "fallthrough, no rule matches: variation 0",
        "rule 0 (staff): matches",
        'segmentMatch "staff": matches',
        "segment staff (version 3): has the context (listed in included)",
        "gives: variation 0",
    ]


def test_the_tree_shows_clauses_and_buckets(flagkeep: Flagkeep, flags_file: Path) -> None:
    context = '{"kind":"user","key":"bob","mail":"b@x"}'
    shown = words(flagkeep("explain", "beta", "-c", context, "-f", flags_file).out)
    clause = 'user mail endsWith "@us.example": does not match (the context has "b@x")'
    assert clause in shown
    assert 'rollout: bucket 0.302938 (by user key "bob")' in shown
    assert shown[-2:] == [
        "0.000000 to 0.100000 variation 0 (weight 10000)",
        "0.100000 to 1.000000 variation 1 (weight 90000): chosen",
    ]


def test_the_tree_shows_targets_and_off(flagkeep: Flagkeep, flags_file: Path) -> None:
    tree = flagkeep("explain", "beta", "-c", "tina", "-f", flags_file)
    assert 'targets[0] has user key "tina": variation 0' in words(tree.out)
    tree = flagkeep("explain", "silent", "-c", "tina", "-f", flags_file)
    assert words(tree.out)[1:] == ["targeting: off", "off variation: none: the caller's default"]


def test_what_is_wrong_is_said_and_has_an_exit_code(flagkeep: Flagkeep, flags_file: Path) -> None:
    ended = flagkeep("explain", "broken", "-c", "a", "-f", flags_file)
    assert ended.code == 1
    problem = "problem: there is neither a variation nor a rollout"
    assert problem in words(ended.out)


def test_json_has_the_same_as_objects(flagkeep: Flagkeep, flags_file: Path) -> None:
    ended = flagkeep("explain", "beta", "-c", "ada", "-f", flags_file, "--json")
    (one,) = ended.json
    assert one["context"] == {"kind": "user", "key": "ada"}
    assert one["prerequisites"][0]["flag"]["value"] is True
    (clause,) = one["rules"][0]["clauses"]
    assert clause["segments"][0]["decidedBy"] == "included"
    assert one["outcome"] == {"variation": 0}


def test_several_contexts_have_a_tree_each(flagkeep: Flagkeep, flags_file: Path) -> None:
    ended = flagkeep("explain", "open", "-c", "a", "-c", "b", "-f", flags_file)
    assert [line for line in ended.out.splitlines() if line.startswith("open")] == [
        "open (version 1) for a: true (variation 0, fallthrough)",
        "open (version 1) for b: true (variation 0, fallthrough)",
    ]


def test_a_missing_flag_is_named(flagkeep: Flagkeep, flags_file: Path) -> None:
    assert flagkeep("explain", "openn", "-c", "a", "-f", flags_file).code == 3


def test_hundreds_of_levels_are_too_deep_to_show(flagkeep: Flagkeep, tmp_path: Path) -> None:
    flags = {
        f"f{n}": {
            "on": True,
            "variations": [1],
            "fallthrough": {"variation": 0},
            "prerequisites": [{"key": f"f{n + 1}", "variation": 0}],
        }
        for n in range(2000)
    }
    file = tmp_path / "flags.json"
    file.write_text(json.dumps({"flags": flags}))
    ended = flagkeep("explain", "f0", "-c", "a", "-f", file)
    assert (ended.code, ended.out) == (1, "")
    assert "too deep" in ended.err
    ended = flagkeep("eval", "f0", "-c", "a", "-f", file, "--json")
    assert ended.code == 1
    assert ended.json[0]["reason"] == {"kind": "ERROR", "errorKind": "EXCEPTION"}
