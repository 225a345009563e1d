"""What tests fetch or build is made once for all of them, and its absence is said in one line."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers import consul, dynamodb, prepare
from tests.servers.consul import ConsulServer
from tests.servers.dynamodb import DynamoDBServer
from tests.servers.kept import ROOT, NotMade, kept, once, place_of, run
from tests.servers.server import Server

# Makes what takes a while, and says who has made it.
MAKER = """
import os, pathlib, sys, time
from tests.servers.kept import kept, place_of

def make(folder):
    (folder / "maker").write_text(str(os.getpid()))
    print("making", flush=True)
    time.sleep(float(sys.argv[1]))

place = kept(place_of("thing", []), make)
print((place / "maker").read_text(), flush=True)
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "flagkeep-tests"


def start_making(seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MAKER, str(seconds)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def write(text: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / "text").write_text(text)

    return make


@pytest.mark.slow
def test_of_several_processes_one_makes_it_and_the_others_wait() -> None:
    makers = [start_making(0.3) for _ in range(3)]
    said = [maker.communicate(timeout=60)[0].split() for maker in makers]
    assert sorted(map(len, said)) == [1, 1, 2]
    assert len({words[-1] for words in said}) == 1


@pytest.mark.slow
def test_what_a_killed_process_left_unfinished_is_made_anew(cache: Path) -> None:
    with start_making(600) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "making\n"
        killed.send_signal(signal.SIGKILL)
    assert [one.name for one in cache.glob("*.unfinished")] != []
    place = kept(place_of("thing", []), write("whole"))
    assert [one.name for one in place.iterdir()] == ["text"]
    assert list(cache.glob("*.unfinished")) == []


def test_what_could_not_be_made_is_not_there(cache: Path) -> None:
    place = place_of("thing", [])

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise NotMade("no")

    with pytest.raises(NotMade):
        kept(place, fail)
    assert not place.exists()
    assert (kept(place, write("whole")) / "text").read_text() == "whole"
    assert (kept(place, fail) / "text").read_text() == "whole"
    assert place.parent == cache


def test_it_is_made_anew_when_what_it_is_made_from_changes(tmp_path: Path) -> None:
    wanted = tmp_path / "wanted"
    wanted.write_text("1")
    first = kept(place_of("thing", [wanted]), write("1"))
    wanted.write_text("2")
    second = kept(place_of("thing", [wanted]), write("2"))
    assert [(one / "text").read_text() for one in (first, second)] == ["1", "2"]


def test_a_failure_is_repeated_and_not_tried_again() -> None:
    tried = []

    @once
    def make() -> Path:
        tried.append(1)
        raise NotMade("no")

    for _ in range(2):
        with pytest.raises(NotMade, match="no"):
            make()
    assert tried == [1]


def test_what_a_failing_program_said_is_told_and_the_way_out_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLAGKEEP_TEST_HTTPS_PROXY", "http://proxy.invalid")
    said = "echo $https_proxy $EXTRA; exit 3"
    with pytest.raises(NotMade, match=r"sh failed.*http://proxy\.invalid extra$"):
        run(["sh", "-c", said], tmp_path, {"EXTRA": "extra"})
    assert os.environ["https_proxy"] == "http://127.0.0.1:9"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "patience", "events"),
    [("mvn", 15, ["in", "out", "in", "out"]), ("npm", 2000, ["in", "in", "out", "out"])],
)
def test_programs_that_are_not_made_for_it_run_one_at_a_time(
    name: str, patience: int, events: list[str], tmp_path: Path
) -> None:
    script = f"""
        echo in >>events
        tries=0
        while [ $tries -lt {patience} ] && [ $(grep -c in events) = 1 ]; do
            sleep 0.02
            tries=$((tries + 1))
        done
        echo out >>events"""
    program(tmp_path, name, script)
    text = "import pathlib, sys; from tests.servers.kept import run; "
    text += "run([sys.argv[1]], pathlib.Path(sys.argv[2]))"
    command = [sys.executable, "-c", text, str(tmp_path / name), str(tmp_path)]
    running = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]
    assert [one.wait(60) for one in running] == [0, 0]
    assert (tmp_path / "events").read_text().split() == events


def program(folder: Path, name: str, script: str = "") -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o700)


@pytest.mark.parametrize(
    ("kind", "present", "install"),
    [
        (DynamoDBServer, {}, "apt-get install default-jdk-headless"),
        (DynamoDBServer, {"java": ""}, "apt-get install maven"),
        (DynamoDBServer, {"java": "", "mvn": "echo offline; exit 1"}, "offline"),
        (ConsulServer, {}, "install Go 1.22 or later"),
        (ConsulServer, {"go": "echo go1.21.9"}, "install Go 1.22 or later"),
        (ConsulServer, {"go": "[ $1 = build ] && exit 1; echo go1.22.1"}, "go failed"),
    ],
)
def test_a_missing_tool_skips_on_a_laptop_and_fails_in_ci(
    kind: type[Server],
    present: dict[str, str],
    install: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, script in present.items():
        program(programs, name, script)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(dynamodb, "jars", once(dynamodb.jars.__wrapped__))  # type: ignore[attr-defined]  # of `wraps`
    monkeypatch.setattr(consul, "program", once(consul.program.__wrapped__))  # type: ignore[attr-defined]  # likewise
    for ci, outcome in ((None, pytest.skip.Exception), ("true", pytest.fail.Exception)):
        if ci is None:
            monkeypatch.delenv("CI", raising=False)
        else:
            monkeypatch.setenv("CI", ci)
        with pytest.raises(outcome, match=install) as caught, kind():
            pass
        assert "\n" not in str(caught.value)


def test_fixtures_say_what_must_be_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLAGKEEP_TEST_CONSUL_URL", raising=False)
    monkeypatch.delenv("FLAGKEEP_TEST_DYNAMODB_URL", raising=False)
    assert prepare.needed_by(["tmp_path", "consul_url"]) == {"consul"}
    assert prepare.needed_by(["dynamodb_server", "consul_cluster"]) == {"dynamodb", "consul"}
    monkeypatch.setenv("FLAGKEEP_TEST_CONSUL_URL", "http://consul")
    assert prepare.needed_by(["consul_server", "consul_url"]) == set()
    assert prepare.needed_by(["consul_cluster"]) == {"consul"}


def test_nothing_is_prepared_before_it_is_asked_for(cache: Path) -> None:
    assert prepare.missing() == {"dynamodb", "consul"}
    place = cache / dynamodb.place().name
    place.mkdir(parents=True)
    assert prepare.missing() == {"consul"}


@pytest.mark.parametrize(("ci", "status"), [("", 0), ("true", 1)])
def test_the_command_says_what_cannot_be_had(ci: str, status: int, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.servers.prepare", "dynamodb"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PATH": str(empty), "CI": ci},
    )
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith("dynamodb: mvn is not here")
