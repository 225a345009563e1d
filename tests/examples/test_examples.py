"""The examples run: each as a process of its own, as a reader would start it."""

import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import ask_redis
from tests.servers import aws, dynamodb
from tests.servers.consul import ConsulServer
from tests.servers.redis import RedisServer

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"

pytestmark = pytest.mark.slow


def run(*args: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, args)],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
        cwd=ROOT,
        env=surroundings(**environment),
    )


def surroundings(**environment: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "STORE"}
    return {**inherited, "PYTHONUTF8": "1", **environment}


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """A place for temporary files with a space in its name, where leftovers are seen."""
    folder = tmp_path / "with a space"
    folder.mkdir()
    return folder


def test_the_story_holds_and_leaves_nothing_behind(temporary: Path) -> None:
    told = run(EXAMPLES / "story.py", TMPDIR=str(temporary), TEMP=str(temporary))
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stderr == ""
    for act in range(1, 13):
        assert f"\n{act}. " in told.stdout
    assert "and that is how many there were." in " ".join(told.stdout.split())
    assert "\x1b" not in told.stdout
    assert list(temporary.iterdir()) == []


def test_the_story_holds_where_files_are_polled(temporary: Path) -> None:
    no_extra = temporary / "watchfiles.py"
    no_extra.write_text('raise ImportError("taken away by a test")')
    told = run(EXAMPLES / "story.py", PYTHONPATH=os.pathsep.join([str(temporary), *python_path()]))
    assert told.returncode == 0, told.stdout + told.stderr
    assert "looks at the file 20 times a second" in told.stdout


def python_path() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def test_the_story_needs_no_network_and_no_proxy(temporary: Path) -> None:
    nowhere = dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy"), "http://127.0.0.1:1")
    told = run(EXAMPLES / "story.py", TMPDIR=str(temporary), **nowhere)
    assert told.returncode == 0, told.stdout + told.stderr


def test_a_story_that_does_not_hold_says_so_and_fails(temporary: Path) -> None:
    told = run(EXAMPLES / "story.py", FLAGKEEP_PUSH="0", TMPDIR=str(temporary))
    assert told.returncode == 1
    assert "\nThis did not hold: changes are not pushed: is FLAGKEEP_PUSH set?\n" in told.stdout
    assert told.stderr == ""
    assert list(temporary.iterdir()) == []


def test_the_commands_to_try_next_work() -> None:
    told = run(EXAMPLES / "story.py")
    hints = told.stdout.partition("What to try next:\n")[2].splitlines()
    assert len(hints) >= 4
    for hint in hints:
        what = hint[27:]
        if what.startswith(("docs/", "examples/")):
            assert (ROOT / what).exists()
        elif not what.startswith("make "):
            tried = run(*shlex.split(what)[1:])
            assert tried.returncode == 0, tried.stderr


@pytest.mark.extras  # the story names a command only where the command line is installed
def test_the_store_of_the_story_can_be_chosen_and_stays(temporary: Path) -> None:
    database = temporary / "my flags.db"
    told = run(EXAMPLES / "story.py", STORE=f"sqlite:///{database}")
    assert told.returncode == 0, told.stdout + told.stderr
    assert database.stat().st_size > 0
    command = told.stdout.partition("what the store holds")[2].splitlines()[0]
    status = run(*shlex.split(command)[1:])
    assert status.returncode == 0, status.stderr
    again = run(EXAMPLES / "story.py", STORE=f"sqlite:///{database}")
    assert again.returncode == 2
    assert again.stderr == (
        f"STORE: {database} is there already, and the story would overwrite it: name a new file\n"
    )


@pytest.mark.parametrize(
    ("store", "problem"),
    [
        (
            "mysql://u:s3cr3t@localhost",
            "name sqlite:///flags.db, redis://localhost:6379/0, dynamodb://table?region=eu-west-1",
        ),
        (
            "redis://:s3cr3t@127.0.0.1:1/0",
            "redis 127.0.0.1:1/0 cannot be used: ",
        ),
        ("sqlite:///", "a path is missing: sqlite:///flags.db, or sqlite:////var/lib/flags.db"),
        ("sqlite:////no/such/place/flags.db", "/no/such/place is not a folder"),
        ("consul://127.0.0.1:1/shop", "consul 127.0.0.1:1 cannot be used: "),
        ("consul://u:s3cr3t@127.0.0.1:1", "url cannot be used: it has a user; a token is given as"),
        ("consul://127.0.0.1:1?token=s3cr3t", "after ? it may have dc, namespace, partition, "),
        ("dynamodb://a:s3cr3t@flags", "dynamodb:// takes no keys: set AWS_ACCESS_KEY_ID"),
        ("dynamodb://flags?secret=s3cr3t", "after ? it may have region, endpoint, profile, role"),
        pytest.param(
            "dynamodb://flags?region=eu-west-1&endpoint=http://127.0.0.1:1",
            "dynamodb flags at http://127.0.0.1:1 cannot be used: ",
            marks=pytest.mark.extras,
        ),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="the paths are written as POSIX has them")
def test_a_store_that_cannot_be_is_refused_in_one_line(store: str, problem: str) -> None:
    told = run(EXAMPLES / "story.py", STORE=store)
    assert (told.returncode, told.stdout, told.stderr.count("\n")) == (2, "", 1)
    assert told.stderr.startswith(f"STORE: {problem}")
    assert "s3cr3t" not in told.stderr


@pytest.mark.extras
def test_the_story_is_told_on_redis_and_leaves_there_what_was_there(temporary: Path) -> None:
    with RedisServer(password="s3cr3t") as server:
        server.cli("SET", "launchdarkly:$inited", "somebody's")
        server.cli("SET", "flagkeep-story-", "somebody's")
        url = server.url.replace("://", "://:s3cr3t@")
        told = run(EXAMPLES / "story.py", STORE=url, TMPDIR=str(temporary))
        assert set(server.cli("KEYS", "*")) == {b"launchdarkly:$inited", b"flagkeep-story-"}
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stderr == ""
    for act in range(1, 13):
        assert f"\n{act}. " in told.stdout
    assert "the reader's way to it. Its connections\n" in told.stdout
    assert "s3cr3t" not in told.stdout
    assert list(temporary.iterdir()) == []


@pytest.fixture
def _at_aws(dynamodb_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in aws.variables(dynamodb_url).items():
        monkeypatch.setenv(name, value)


@pytest.mark.extras
@pytest.mark.usefixtures("_at_aws")
@pytest.mark.parametrize("prefix", ["", "shop"])
def test_the_story_is_told_on_dynamodb_and_leaves_there_what_was_there(
    temporary: Path, dynamodb_url: str, dynamodb_table: str, prefix: str
) -> None:
    row = {"namespace": {"S": "shop:features"}, "key": {"S": "somebody's"}}
    dynamodb.call(dynamodb_url, "PutItem", TableName=dynamodb_table, Item=row)
    store = f"dynamodb://{dynamodb_table}?endpoint={dynamodb_url}&prefix={prefix}"
    told = run(EXAMPLES / "story.py", STORE=store, TMPDIR=str(temporary))
    check_told(told, f"are in DynamoDB, under the prefix {prefix and 'shop:'}flagkeep-story-")
    assert list(dynamodb.rows(dynamodb_url, dynamodb_table)) == [row]
    assert list(temporary.iterdir()) == []


@pytest.mark.extras
@pytest.mark.usefixtures("_at_aws")
def test_a_story_on_a_table_that_is_missing_ends_with_what_makes_it() -> None:
    told = run(EXAMPLES / "story.py", STORE="dynamodb://not-there")
    assert (told.returncode, told.stdout, told.stderr.count("\n")) == (2, "", 1)
    assert "aws dynamodb create-table --table-name not-there" in told.stderr


@pytest.mark.extras
@pytest.mark.usefixtures("_at_aws")
def test_where_the_way_to_dynamodb_cannot_be_cut_the_story_says_so(dynamodb_table: str) -> None:
    told = run(EXAMPLES / "story.py", STORE=f"dynamodb://{dynamodb_table}")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "only a way by plain HTTP (endpoint=http://…) can be cut here." in told.stdout


@pytest.mark.extras
@pytest.mark.usefixtures("consul_here")
@pytest.mark.parametrize(
    ("path", "variable"), [("", "CONSUL_HTTP_TOKEN"), ("/shop", "FLAGKEEP_CONSUL_TOKEN")]
)
def test_the_story_is_told_on_consul_and_leaves_there_what_was_there(
    temporary: Path, path: str, variable: str
) -> None:
    with ConsulServer(acl=True) as server:
        place = server.url.partition("://")[2]
        server.put("shop/features/a", "somebody's")
        token = str(server.token)
        store = f"consul://{place}{path}?dc=dc1"
        given = {"STORE": store, "TMPDIR": str(temporary), variable: token}
        told = run(EXAMPLES / "story.py", **given)
        assert server.content() == {"shop/features/a": b"somebody's"}
    check_told(told, f"are in Consul, under the prefix {path and 'shop/'}flagkeep-story-")
    assert token not in told.stdout
    assert list(temporary.iterdir()) == []


def check_told(told: subprocess.CompletedProcess[str], claim: str) -> None:
    """Check that a story was told to its end."""
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stderr == ""
    for act in range(1, 13):
        assert f"\n{act}. " in told.stdout
    assert claim in told.stdout
    assert "the reader's way to it. Its connections\n" in told.stdout


@pytest.mark.extras
def test_where_the_way_to_redis_cannot_be_cut_the_story_says_so(redis_server: RedisServer) -> None:
    redis_server.cli("FLUSHDB")
    told = run(EXAMPLES / "story.py", STORE=redis_server.unix_url)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "Not this time: only a way by plain TCP (redis://) can be cut here." in told.stdout
    assert redis_server.cli("KEYS", "*") == []


@pytest.mark.extras
def test_a_story_on_redis_that_does_not_hold_cleans_up_too(redis_server: RedisServer) -> None:
    redis_server.cli("FLUSHDB")
    told = run(EXAMPLES / "story.py", STORE=redis_server.url, FLAGKEEP_MAX_AGE="never")
    assert told.returncode == 1
    assert "This did not hold: " in told.stdout
    assert redis_server.cli("KEYS", "*") == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("redis", marks=pytest.mark.extras)])
def test_an_interrupted_story_takes_its_processes_and_data_with_it(
    temporary: Path, request: pytest.FixtureRequest, kind: str, number: signal.Signals
) -> None:
    url = request.getfixturevalue("redis_url") if kind == "redis" else ""
    story = subprocess.Popen(
        [sys.executable, str(EXAMPLES / "story.py")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=surroundings(TMPDIR=str(temporary), STORE=url),
    )
    watchdog = threading.Timer(60, story.kill)
    watchdog.start()
    try:
        assert story.stdout is not None
        lines = iter(story.stdout)
        pids = [pid_in(line) for line in lines_until(lines, "It had its first value")]
        story.send_signal(number)
        assert story.wait() == 128 + number
        story.communicate()
    finally:
        watchdog.cancel()
        story.kill()
    assert list(temporary.iterdir()) == []
    if url:
        assert ask_redis(url, "KEYS", "*") == []
    children = [pid for pid in pids if pid is not None]
    assert len(children) == 2
    for pid in children:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def lines_until(lines: Iterator[str], wanted: str) -> list[str]:
    found = []
    for line in lines:
        found.append(line)
        if wanted in line:
            return found
    raise AssertionError(f"{wanted!r} is not in {found}")


def pid_in(line: str) -> int | None:
    words = line.split()
    return int(words[1].rstrip(",")) if words[:1] == ["Process"] else None


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("quickstart.py", "Items in a cart: 100\n"),
        ("quickstart_async.py", "Items in a cart: 100\nAll flags: 37\n"),
    ],
)
def test_quickstarts_say_what_the_shop_says(script: str, said: str) -> None:
    shown = run(EXAMPLES / script)
    assert shown.returncode == 0, shown.stderr
    assert said in shown.stdout
    assert shown.stderr == ""


def test_the_example_of_a_test_passes() -> None:
    plugins = ("-p", "no:randomly", "-p", "no:cacheprovider")
    tested = run("-m", "pytest", "-q", *plugins, EXAMPLES / "test_with_testdata.py")
    assert tested.returncode == 0, tested.stdout
    assert "3 passed" in tested.stdout
