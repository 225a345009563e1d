"""Which failed tests CI runs once more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.failed import main

pytest_plugins = ["pytester"]


def keep(cache: Path, names: list[str]) -> None:
    (cache / "v" / "cache").mkdir(parents=True)
    text = json.dumps(dict.fromkeys(names, True))
    (cache / "v" / "cache" / "lastfailed").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(("count", "code"), [(0, 1), (1, 0), (3, 0), (4, 1), (300, 1)])
def test_few_are_run_again_and_all_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], count: int, code: int
) -> None:
    names = [f"tests/test_it.py::test[{number}]" for number in range(count)]
    keep(tmp_path, names)
    assert main(str(tmp_path)) == code
    said = capsys.readouterr().out
    assert f"failed: {count};" in said
    assert all(name in said for name in names)


def test_where_pytest_broke_off_nothing_is_run_again(tmp_path: Path) -> None:
    assert main(str(tmp_path / "cache")) == 1


def test_pytest_keeps_what_failed_where_we_look(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(): assert 0\ndef test_other(): pass")
    pytester.runpytest_subprocess("-o", "cache_dir=kept", "-q")
    assert main("kept") == 0
    again = ("-o", "cache_dir=kept", "--last-failed", "--last-failed-no-failures=none")
    pytester.runpytest_subprocess(*again).assert_outcomes(failed=1)
    pytester.makepyfile("def test_it(): pass\ndef test_other(): pass")
    pytester.runpytest_subprocess(*again).assert_outcomes(passed=1)
    assert main("kept") == 1
