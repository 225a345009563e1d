"""How commands reach a Redis, what they say when they do not, and that no password is shown."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import AnyStore, Flagkeep
from tests.servers.redis import RedisServer
from tests.servers.server import free_port

pytestmark = pytest.mark.extras

SECRET = "s3cr3t"
VARIABLE = "FLAGKEEP_REDIS_PASSWORD"
COMMANDS = [
    ["store", "status"],
    ["store", "status", "--json"],
    ["store", "get", "beta"],
    ["store", "list"],
    ["store", "dump"],
    ["store", "load", "good.json", "--yes"],
    ["store", "clear", "--yes"],
    ["eval", "beta", "-c", "ada"],
    ["explain", "beta", "-c", "ada"],
]


def with_url(command: list[str], url: str, *options: str) -> list[str]:
    """Put the URL where the command expects it."""
    if command[0] == "store":
        return [*command[:2], url, *command[2:], *options]
    return [*command, "--store", url, *options]


@pytest.fixture(scope="module")
def guarded() -> Iterator[RedisServer]:
    with RedisServer(password=SECRET) as server:
        server.cli("ACL", "SETUSER", "ann", "on", f">{SECRET}2", "~*", "+@all")
        yield server


@pytest.fixture(scope="module")
def encrypted() -> Iterator[RedisServer]:
    with RedisServer(tls=True, client_certificates=True) as server:
        yield server


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags_file: Path) -> None:
    assert flags_file.parent == tmp_path
    monkeypatch.chdir(tmp_path)
    Path("good.json").write_text('{"flagValues": {"beta": true}}')


def credentials(url: str, given: str) -> str:
    return url.replace("://", f"://{given}@")


@pytest.mark.parametrize("given", [f":{SECRET}", f"default:{SECRET}", f"ann:{SECRET}2"])
def test_user_and_password_of_the_url_are_used_and_not_shown(
    flagkeep: Flagkeep, guarded: RedisServer, given: str
) -> None:
    guarded.cli("FLUSHALL")
    url = credentials(guarded.url, given)
    AnyStore(url).fill()
    for command in COMMANDS:
        ended = flagkeep(*with_url(command, url))
        assert (ended.code, ended.err) == (0, "")
        assert SECRET not in ended.out + ended.err
        AnyStore(url).fill()


def test_the_password_may_come_from_the_environment(
    flagkeep: Flagkeep, guarded: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)
    assert flagkeep("store", "status", guarded.url).code == 0
    assert flagkeep("store", "status", credentials(guarded.url, f"ann:{SECRET}2")).code == 0
    monkeypatch.setenv(VARIABLE, f"{SECRET}2")
    assert flagkeep("store", "status", credentials(guarded.url, "ann")).code == 0
    assert flagkeep("store", "status", guarded.url).code == 4


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_password_is_one_line_without_it(
    flagkeep: Flagkeep, guarded: RedisServer, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv(VARIABLE, "s3cr3t from the environment")
    urls = [guarded.url, credentials(guarded.url, ":s3cr3ts"), credentials(guarded.url, "s3cr3t:x")]
    for url in urls:
        ended = flagkeep(*with_url(command, url))
        assert ended.code == 4
        assert ended.err.count("\n") == 1
        assert "s3cr3t" not in ended.out + ended.err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_server_that_is_down_is_one_line(flagkeep: Flagkeep, command: list[str]) -> None:
    port = free_port()
    ended = flagkeep(*with_url(command, f"redis://:s3cr3t@127.0.0.1:{port}/3"))
    assert ended.code == 4
    assert ended.err.count("\n") == 1
    assert ended.err.startswith(f"flagkeep: redis 127.0.0.1:{port}/3: ")
    assert "refused" in ended.err
    assert "s3cr3t" not in ended.out + ended.err
    if "--json" in command:
        assert ended.json["reachable"] is False
        assert "refused" in ended.json["reason"]


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_given_up(flagkeep: Flagkeep) -> None:
    with RedisServer() as server:
        server.pause()
        ended = flagkeep("store", "status", server.url, "--timeout", "0.2")
        server.resume()
    assert ended.code == 4
    assert "0.2 s" in ended.err


def test_a_socket_is_a_way_too(flagkeep: Flagkeep, redis_server: RedisServer) -> None:
    redis_server.cli("FLUSHDB")
    assert flagkeep("store", "load", redis_server.unix_url, "flags.json").code == 1
    status = flagkeep("store", "status", redis_server.unix_url, "--json").json
    assert status["store"].startswith("redis /")
    assert status["flags"] == 5


def test_certificates_are_options(flagkeep: Flagkeep, encrypted: RedisServer) -> None:
    encrypted.cli("FLUSHALL")
    own = ["--tls-cert", encrypted.cert_file, "--tls-key", encrypted.key_file]
    trust = ["--tls-ca", encrypted.ca_file]
    assert flagkeep("store", "load", encrypted.url, "flags.json", *own, *trust).code == 1
    for command in COMMANDS[:5]:
        ended = flagkeep(*with_url(command, encrypted.url, *own, *trust))
        assert (ended.code, ended.err) == (0, "")
    assert flagkeep("store", "status", encrypted.url, *own, "--tls-insecure").code == 0
    for too_few in (own, trust, []):
        ended = flagkeep("store", "status", encrypted.url, *too_few)
        assert ended.code == 4
        assert ended.err.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("url", "options", "problem"),
    [
        ("flags.db", [], "a store is given as a URL: sqlite:///"),
        ("mysql://u:s3cr3t@h/x", [], "stores of kind 'mysql' are not known: use sqlite:///"),
        ("redis://", [], "the host is missing"),
        ("redis://:s3cr3t@", [], "the host is missing"),
        ("redis://u:s3/cr3t@h", [], "its host or port cannot be read"),
        ("redis://:s3cr3t@h:99999", [], "its host or port cannot be read"),
        ("redis://:s3cr3t@h/zero", [], "the database is a number"),
        ("redis://h?password=s3cr3t", [], "it has 'password' after ?"),
        ("unix://s3cr3t", [], "the path of the socket begins with a third slash"),
        ("redis://h", ["--tls-insecure"], "tls needs a url that begins with rediss://"),
        ("rediss://h", ["--tls-ca", "/no/ca.pem"], "there is no file '/no/ca.pem'"),
        ("rediss://h", ["--tls-key", "flags.json"], "key_file needs cert_file"),
        (
            "sqlite:///x.db",
            ["--tls-ca", "x"],
            "--tls-ca goes with rediss:// and consul+https://, not with sqlite",
        ),
        ("sqlite:///x.db", ["--timeout", "inf"], "Invalid value for '--timeout'"),
        ("redis://h", ["--timeout", "0"], "Invalid value for '--timeout'"),
    ],
)
def test_a_wrong_url_is_one_line_that_says_what_to_write(
    flagkeep: Flagkeep, command: list[str], url: str, options: list[str], problem: str
) -> None:
    ended = flagkeep(*with_url(command, url, *options))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("\n") == 1
    assert problem in ended.err
    assert not any(part in ended.err for part in ("s3cr3t", "cr3t@"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["store", "status", "sqlite:///x.db", "redis://:s3cr3t@h"],
        ["store", "redis://u:s3cr3t@h"],
        ["redis://u:s3cr3t@h/0"],
        ["store", "list", "sqlite:///x.db", "--kind", "redis://u:s3/c@r3t@h"],
        ["store", "list", "sqlite:///x.db", "--kind", "redis://h?x=y&password=s3cr3t"],
        ["store", "dump", "sqlite:///x.db", "-o", "redis://:s3cr3t@h"],
        ["store", "load", "sqlite:///x.db", "redis://:s3cr3t@h"],
        ["eval", "x", "-c", "a", "-f", "redis://:s3cr3t@h"],
        ["eval", "x", "-c", "@redis://:s3cr3t@h"],
        ["lint", "redis://:s3cr3t@h"],
    ],
)
def test_a_url_in_the_wrong_place_does_not_show_its_password(
    flagkeep: Flagkeep, arguments: list[str]
) -> None:
    ended = flagkeep(*arguments)
    assert ended.code in {2, 4}
    assert not any(part in ended.out + ended.err for part in ("s3cr3t", "r3t@"))


@pytest.mark.slow
@pytest.mark.parametrize("command", [["store", "status"], ["eval", "x", "-c", "a"]])
@pytest.mark.parametrize(
    ("driver", "url", "said"),
    [
        (
            "redis",
            "redis://:s3cr3t@localhost",
            "a store in Redis needs an extra: pip install 'flagkeep[redis]'",
        ),
        (
            "boto3",
            "dynamodb://flags?region=eu-west-1",
            "a store in DynamoDB needs an extra: pip install 'flagkeep[dynamodb]'",
        ),
    ],
)
def test_a_missing_extra_says_what_to_install(
    command: list[str], driver: str, url: str, said: str
) -> None:
    code = f"import sys; sys.modules[{driver!r}] = None; from flagkeep.__main__ import main;"
    ended = subprocess.run(
        [sys.executable, "-c", f"{code} sys.exit(main())", *with_url(command, url)],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout) == (5, "")
    assert ended.stderr == f"flagkeep: {said}\n"
