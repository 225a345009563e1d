"""Wrong input of every kind: one line that says what and what to do, and an exit code."""

import sqlite3
from pathlib import Path

import pytest

from flagkeep.version import VERSION
from tests.cli.conftest import Flagkeep

pytestmark = pytest.mark.extras

STORE_COMMANDS = [f"store {name}" for name in ("status", "get", "list", "dump", "load", "clear")]
COMMANDS = ["eval", "explain", "lint", *STORE_COMMANDS]


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["--nope"], 2, "No such option"),
        (["nope"], 2, ": see flagkeep --help"),
        (["eval", "f"], 2, "Missing option '--context' / '-c': see flagkeep eval --help"),
        (["eval", "-c", "a"], 2, "name one FLAG, or give --all"),
        (["eval", "f", "--all", "-c", "a"], 2, "name one FLAG, or give --all"),
        (["eval", "f", "-c", "a"], 2, "say where the flags are: either --store or"),
        (["eval", "f", "-c", ""], 2, "--context: a key: the key of a context must not be empty"),
        (["eval", "f", "-c", "[]"], 2, "--context: give at least one, such as"),
        (["eval", "f", "-c", "{"], 2, "--context: the JSON given: not JSON: "),
        (["eval", "f", "-c", '{"key":"a"}'], 2, "a context must have a kind"),
        (["eval", "f", "-c", "@/nowhere.json"], 4, "/nowhere.json: No such file or directory"),
        (["eval", "f", "-c", "a", "-f", "/nowhere.json"], 4, "/nowhere.json: No such file"),
        (["eval", "f", "-c", "a", "-f", "x", "--prefix", "p"], 2, "--prefix goes with --store"),
        (["eval", "f", "-c", "a", "-f", "x", "--store", "sqlite:///y"], 2, "either --store or"),
        (["eval", "f", "-c", "a", "--store", "flags.db"], 2, "a store is given as a URL: sqlite"),
        (["eval", "f", "-c", "a", "--store", "sqlite://flags.db"], 2, "three slashes come before"),
        (["eval", "f", "-c", "a", "--store", "sqlite:///"], 2, "the path is missing"),
        (
            ["eval", "f", "-c", "a", "--store", "mysql://u:pw@h"],
            2,
            "stores of kind 'mysql' are not known",
        ),
        (["eval", "f", "-c", "a", "--store", "sqlite:////no/where.db"], 4, "holds no store yet"),
        (["eval", "f", "-c", "a", "--store", "sqlite:///:memory:"], 2, "must be a plain path"),
        (["explain", "f"], 2, "Missing option '--context' / '-c': see flagkeep explain --help"),
        (["lint"], 2, "Missing argument 'FILE...': see flagkeep lint --help"),
    ],
)
def test_wrong_usage_is_one_line(
    flagkeep: Flagkeep, arguments: list[str], code: int, problem: str
) -> None:
    ended = flagkeep(*arguments)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith("flagkeep: ")
    assert ended.err.count("\n") == 1
    assert problem in ended.err


def test_passwords_in_store_urls_are_not_repeated(flagkeep: Flagkeep) -> None:
    ended = flagkeep("eval", "f", "-c", "a", "--store", "redis://user:secret@host/0")
    assert "secret" not in ended.err


def test_a_file_that_is_no_database_is_left_alone(flagkeep: Flagkeep, tmp_path: Path) -> None:
    file = tmp_path / "junk.db"
    file.write_text("no database " * 500)
    ended = flagkeep("eval", "f", "-c", "a", "--store", f"sqlite:///{file}")
    assert ended.code == 4
    assert ended.err.count("\n") == 1
    assert "is damaged or not a SQLite database" in ended.err
    assert file.read_text() == "no database " * 500


def test_a_newer_layout_says_what_to_do(flagkeep: Flagkeep, store_url: str) -> None:
    database = sqlite3.connect(store_url.removeprefix("sqlite:///"))
    database.execute("PRAGMA user_version = 99")
    database.close()
    ended = flagkeep("eval", "beta", "-c", "a", "--store", store_url)
    assert ended.code == 4
    assert ended.err.count("\n") == 1
    assert "upgrade flagkeep" in ended.err


def test_broken_files_have_line_and_column(flagkeep: Flagkeep, tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    file.write_text('{"flags":\n {]}')
    ended = flagkeep("eval", "f", "-c", "a", "-f", file)
    assert ended.code == 4
    assert ended.err.startswith(f"flagkeep: {file}:2:3: not JSON")


def test_a_store_with_half_a_set_is_read_with_a_warning(flagkeep: Flagkeep, store_url: str) -> None:
    database = sqlite3.connect(store_url.removeprefix("sqlite:///"))
    with database:
        database.execute("DELETE FROM items WHERE namespace = key")
    database.close()
    ended = flagkeep("eval", "open", "-c", "a", "--store", store_url)
    assert ended.code == 0
    assert "no complete set yet" in ended.err


def test_version_and_help(flagkeep: Flagkeep) -> None:
    assert flagkeep("--version") == (0, f"flagkeep {VERSION}\n", "")
    shown = flagkeep("--help")
    assert shown.code == 0
    assert "Exit codes:" in shown.out
    assert flagkeep().code == 2
    shown = flagkeep("store")
    assert (shown.code, "clear" in shown.out) == (2, True)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(flagkeep: Flagkeep, command: str) -> None:
    shown = flagkeep(*command.split(), "--help")
    assert (shown.code, shown.err) == (0, "")
    assert "--json" in shown.out


def test_the_documentation_has_every_command_option_and_exit_code(flagkeep: Flagkeep) -> None:
    from flagkeep.cli.failures import ExitCode  # noqa: PLC0415  needs the extra

    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    for command in COMMANDS:
        assert f"\n## flagkeep {command}\n" in page
        for word in flagkeep(*command.split(), "--help").out.split():
            if word.startswith("--") and word != "--help":
                assert f"`{word.rstrip(',.)')}" in page, word
    for code in ExitCode:
        assert f"| {code.value} |" in page
