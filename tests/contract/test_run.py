"""What `make contract` does around the harness, with a stand-in for its program."""

import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract import databases
from tests.contract.databases import PORTS, databases_for_the_harness, refuse_if_answered
from tests.contract.harness import ROOT, ServiceProcess, Tally, free_port_pairs, run_harness
from tests.contract.run import LONG
from tests.servers import prepare
from tests.servers.dynamodb import DynamoDBServer
from tests.servers.kept import NotMade
from tests.servers.redis import RedisServer
from tests.servers.server import Server, free_port

SAID = """sdk-test-harness v2
Connecting to test service at http://127.0.0.1:1.
[a]
[a/b (c)]
[a/b (c)/1]
[a/b (c)/2]
  some detail
  FAILED: a/b (c)/2
[a/{"x":"/y"}]
[a/may fail]
  FAILED (non-critical): a/may fail
  Explanation: somehow
[long]
[long/one]
  SKIPPED: long/one (use -enable-long-running-tests to run)
[other (x)]
  SKIPPED: other (x)
[else]
  SKIPPED: else (excluded by filter parameters)

Test Summary: 9 total, 2 skipped, 7 ran
"""


def tally_of(text: str) -> Tally:
    tally = Tally()
    for line in text.splitlines():
        tally.read(line)
    return tally


def test_tests_without_tests_inside_them_are_counted() -> None:
    tally = tally_of(SAID)
    assert tally.tests == ["a/b (c)/1", "a/b (c)/2", 'a/{"x":"/y"}', "a/may fail"]
    assert (tally.ran, tally.passed, tally.skipped) == (4, 2, 2)
    assert tally.failed == ["a/b (c)/2", "a/may fail"]
    assert str(tally) == "ran 4, passed 2, skipped 2, failed 2 in 0 s"
    assert not tally.is_good


def test_tests_of_one_name_and_those_done_again_with_an_old_user_count_each() -> None:
    tally = tally_of("[a]\n[a/x]\n[a/x/with old user]\n  FAILED: a/x\n[a]\n[a/x]\n")
    assert tally.tests == ["a/x", "a/x/with old user", "a/x"]
    assert (tally.ran, tally.passed, len(tally.failed)) == (3, 2, 1)


def test_a_run_is_good_if_tests_ran_to_the_end_and_none_failed() -> None:
    assert tally_of("[a]\n[a/b]\nTest Summary: 2 total").is_good
    assert not tally_of("[a]\n[a/b]\n").is_good
    assert "did not come to its end" in str(tally_of("[a]\n"))
    assert not tally_of("[a]\n  SKIPPED: a\nTest Summary: 1 total").is_good


@pytest.mark.slow
@pytest.mark.parametrize("code", [0, 3])
def test_the_program_is_given_the_service_and_ports_and_its_lines_are_counted(
    tmp_path: Path, code: int
) -> None:
    program = tmp_path / "harness"
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys, urllib.request\n"
        "print(*sys.argv[1:])\n"
        "print(urllib.request.urlopen(sys.argv[2]).status)\n"
        "print('[a]\\nTest Summary: 1 total')\n"
        f"sys.exit({code})\n"
    )
    program.chmod(stat.S_IRWXU)
    log = tmp_path / "log"
    with ServiceProcess("sync") as service:
        tally = run_harness(str(program), service, ["-debug"], port=8111, log=log)
        lines = log.read_text().splitlines()
        assert lines[0] == f"-url {service.url} -port 8111 -debug"
    assert lines[1] == "200"
    assert tally.ran == 1
    assert tally.is_good is (code == 0)  # a program that fails without a failed test has crashed


@pytest.mark.slow
@pytest.mark.parametrize("given", [(), ("--harness", ""), ("--harness", "/no/such/program")])
def test_without_the_program_it_says_so_and_fails(given: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "tests.contract.run", *given]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert "harness" in line
    assert ("HARNESS_V2=" in line) is not ("/no/such/program" in line)


def test_a_database_of_somebody_else_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = somebody.getsockname()[1]
        with pytest.raises(SystemExit) as refused:
            refuse_if_answered(port)
    assert refused.value.code == 2
    said = capsys.readouterr().err
    assert f"127.0.0.1 port {port}" in said
    assert "empty" in said
    refuse_if_answered(port)


@pytest.mark.parametrize("taken", range(len(PORTS)))
def test_one_port_that_answers_is_enough_to_be_refused(
    monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    monkeypatch.setattr(RedisServer, "start", pytest.fail)
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        ports = [free_port() for _ in PORTS]
        ports[taken] = somebody.getsockname()[1]
        monkeypatch.setattr(databases, "PORTS", ports)
        with pytest.raises(SystemExit) as refused, databases_for_the_harness():
            pass
    assert refused.value.code == 2


@pytest.mark.usefixtures("consul_here", "dynamodb_here")  # which is looked for first
@pytest.mark.parametrize("kind", [RedisServer, DynamoDBServer])
def test_without_a_database_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: type[Server]
) -> None:
    monkeypatch.setattr(kind, "programs", ("no-such-program",))
    monkeypatch.setattr(databases, "PORTS", ())
    with pytest.raises(SystemExit) as refused, databases_for_the_harness():
        pass
    assert refused.value.code == 2
    assert "no-such-program is not here: " in capsys.readouterr().err


def test_without_what_a_database_is_built_with_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def not_made() -> Path:
        raise NotMade("to build Consul, install Go")

    monkeypatch.setattr(databases, "PORTS", ())
    monkeypatch.setattr(prepare, "MADE_BY", {"dynamodb": Path, "consul": not_made})
    with pytest.raises(SystemExit) as refused, databases_for_the_harness():
        pass
    assert refused.value.code == 2
    assert "to build Consul, install Go" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("dynamodb_here", "consul_here")
def test_databases_listen_where_they_are_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("REDIS_PORT", "DYNAMODB_PORT", "CONSUL_PORT")
    ports = [free_port() for _ in names]
    for name, port in zip(names, ports, strict=True):
        monkeypatch.setattr(databases, name, port)
    monkeypatch.setattr(databases, "PORTS", ports)
    with databases_for_the_harness():
        for port in ports:
            socket.create_connection(("127.0.0.1", port), 5).close()
    for port in ports:
        refuse_if_answered(port)


def test_every_harness_gets_two_ports_of_its_own() -> None:
    ports = free_port_pairs(10)
    assert len({port + more for port in ports for more in (0, 1)}) == 20


def test_the_long_tests_are_named_once() -> None:
    assert len(set(LONG)) == len(LONG) == 13
