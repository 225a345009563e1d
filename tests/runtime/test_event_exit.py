"""Events of a client that nobody closed: delivered at the end of the process, and once."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flagkeep.testing import FakeUpstream, Scripted
from tests.limits import check_within
from tests.runtime.exits.upstream import recorded

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
# Forking a process with threads is what is tested here; Python 3.12 and later warn about it.
PROGRAM = ("-W", "ignore:This process:DeprecationWarning", "-m", "tests.runtime.exits.processes")


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeUpstream]:
    """Where the events of programs go that are started now."""
    with FakeUpstream() as made:
        monkeypatch.setenv("EXIT_UPSTREAM", made.uri)
        monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}:{ROOT}")
        yield made


def run(way: str, code: int = 0) -> str:
    """Let a program end in a way of `exits.processes`, and return what it said."""
    command = [sys.executable, *PROGRAM, way]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(("way", "code"), [("by_itself", 0), ("by_exit", 3), ("closed", 0)])
def test_a_program_that_ends(upstream: FakeUpstream, way: str, code: int) -> None:
    begun = time.monotonic()
    assert run(way, code) == ""
    check_within(5.0, since=begun)
    assert recorded(upstream) == {"import": 1, "parent": 1}


def test_a_program_that_fails(upstream: FakeUpstream) -> None:
    assert "meant to be" in run("by_an_error", 1)
    assert recorded(upstream) == {"import": 1, "parent": 1}


def test_a_thread_that_outlives_the_main_one(upstream: FakeUpstream) -> None:
    assert run("of_a_thread") == ""
    assert recorded(upstream) == {"import": 1, "thread": 1}


def test_the_end_is_not_held_up_by_a_server_that_hangs(upstream: FakeUpstream) -> None:
    upstream.always("/bulk", Scripted(behaviour="hang"))
    begun = time.monotonic()
    said = run("by_itself")
    check_within(6.0, since=begun)
    assert "4 events are lost" in said  # index, two custom ones, a summary


def test_the_end_is_not_held_up_by_a_server_that_is_away(upstream: FakeUpstream) -> None:
    upstream.stop_listening()
    begun = time.monotonic()
    said = run("by_itself")
    check_within(6.0, since=begun)
    assert "4 events are lost" in said


@pytest.mark.parametrize(
    "way",
    [
        "bare_fork",
        "fork",
        "fork_with_its_own",
        "forkserver",
        "pool",
        "executor",
        "billiard",
        "imported_late",
    ],
)
def test_a_child_and_its_parent(upstream: FakeUpstream, way: str) -> None:
    assert run(way) == ""
    found = recorded(upstream)
    assert found.pop("child") == 1
    if way == "forkserver":  # each child of it imports the application
        assert found.pop("import") >= 2
        assert found == {}
    else:
        assert found == {"import": 1}


def test_a_child_that_is_spawned(upstream: FakeUpstream) -> None:
    assert run("spawn") == ""
    assert recorded(upstream) == {"import": 2, "child": 1}


def test_a_child_that_fails(upstream: FakeUpstream) -> None:
    assert "meant to be" in run("fork_that_fails")
    assert recorded(upstream) == {"import": 1, "child": 1}


def test_a_child_of_a_child(upstream: FakeUpstream) -> None:
    assert run("fork_of_a_fork") == ""
    assert recorded(upstream) == {"import": 1, "child": 2}


def test_a_child_that_does_nothing(upstream: FakeUpstream) -> None:
    assert run("bare_fork_unused") == ""
    assert recorded(upstream) == {"import": 1}


def test_a_child_that_is_forked_while_events_are_under_way(upstream: FakeUpstream) -> None:
    upstream.respond("/bulk", Scripted(202, delay=0.3))
    command = [sys.executable, *PROGRAM, "bare_fork_while_sending"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        upstream.wait_for_request("/bulk", timeout=20)
        _, said = program.communicate("go\n", timeout=60)
    assert (program.returncode, said) == (0, "")
    assert recorded(upstream) == {"import": 1, "child": 1}


def test_an_event_loop_that_closes_its_client(upstream: FakeUpstream) -> None:
    assert run("asyncio_closed") == ""
    assert recorded_by_asyncio(upstream) == ["coroutine"]


def test_an_event_loop_that_leaves_its_client_is_told_how_much_is_lost(
    upstream: FakeUpstream,
) -> None:
    said = run("asyncio_left")
    assert "3 events are lost" in said
    assert "aclose()" in said
    assert recorded_by_asyncio(upstream) == []


def recorded_by_asyncio(upstream: FakeUpstream) -> list[str]:
    return [one["key"] for one in upstream.events("custom") if one["key"] != "import"]
