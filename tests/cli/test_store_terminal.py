"""The store commands on a real terminal: they ask, and show a bar when something takes long."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.cli.conftest import AnyStore
from tests.servers.redis import RedisServer

pytestmark = [
    pytest.mark.extras,
    pytest.mark.usefixtures("dynamodb_here", "consul_here"),
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="no pseudo-terminals there"),
]

COMMAND = [sys.executable, "-W", "error", "-m", "flagkeep"]


def on_terminal(arguments: list[str], typed: str = "") -> tuple[int, str]:
    """Run a command on a terminal of its own; returns its exit code and all it showed."""
    ours, theirs = os.openpty()
    shown: list[bytes] = []

    def read() -> None:
        try:
            while data := os.read(ours, 4096):
                shown.append(data)
        except OSError:  # how a terminal says that nobody has it open any more
            return

    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "200"},
    )
    os.close(theirs)
    listener = threading.Thread(target=read)
    listener.start()
    os.write(ours, typed.encode())
    code = process.wait(60)
    listener.join()
    os.close(ours)
    return code, b"".join(shown).decode()


@pytest.mark.parametrize(
    ("command", "typed", "code", "said"),
    [
        ("clear", "y\n", 0, "removed: 6 flags, 1 segment"),
        ("clear", "n\n", 1, "nothing was changed"),
        ("clear", "\n", 1, "nothing was changed"),
        ("clear", "\x04", 130, "interrupted"),
        ("load", "y\n", 0, "1 flag and 0 segments written"),
        ("load", "n\n", 1, "nothing was changed"),
    ],
)
def test_it_asks_before_something_is_lost(
    any_store: AnyStore, tmp_path: Path, command: str, typed: str, *, code: int, said: str
) -> None:
    any_store.fill()
    before = any_store.texts()
    file = tmp_path / "f.json"
    file.write_text('{"flagValues": {"a": 1}}')
    arguments = ["store", command, any_store.url, *([str(file)] if command == "load" else [])]
    ended, shown = on_terminal(arguments, typed)
    assert (ended, said in shown) == (code, True), shown
    assert "Go on? [y/N]" in shown
    assert "6 flags, 1 segment in " in shown
    assert (any_store.texts() == before) == (code != 0)


def test_what_takes_long_shows_a_bar() -> None:
    with RedisServer() as server:
        server.pause()
        code, shown = on_terminal(["store", "status", server.url, "--timeout", "1.5"])
        server.resume()
    assert code == 4
    assert re.search(r"reading +━", shown)
    assert "0:00:01" in shown
    # Its line is gone before anything else is said.
    assert shown.splitlines()[-1].startswith("\x1b[1A\x1b[2Kflagkeep: redis ")


def test_what_does_not_take_long_shows_none(any_store: AnyStore) -> None:
    if any_store.kind == "dynamodb":
        pytest.skip("a busy machine takes long to import boto3")
    any_store.fill()
    code, shown = on_terminal(["store", "status", any_store.url])
    assert code == 0
    assert "━" not in shown
    assert "\x1b[?25l" not in shown  # the cursor is not hidden either
