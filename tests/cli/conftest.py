"""The command line called in this process: its output and its exit code."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from flagkeep.model.item import Kind
from flagkeep.protocol.files import read_files
from flagkeep.stores import RedisStore, SQLiteStore
from tests.servers.resp import RedisConnection

ENVIRONMENT = {
    "flags": {
        "beta": {
            "version": 7,
            "on": True,
            "salt": "saltyA",
            "variations": [True, False],
            "offVariation": 1,
            "prerequisites": [{"key": "open", "variation": 0}],
            "targets": [{"values": ["tina"], "variation": 0}],
            "rules": [
                {
                    "id": "staff",
                    "variation": 0,
                    "clauses": [{"attribute": "", "op": "segmentMatch", "values": ["staff"]}],
                }
            ],
            "fallthrough": {
                "rollout": {
                    "variations": [
                        {"variation": 0, "weight": 10_000},
                        {"variation": 1, "weight": 90_000},
                    ]
                }
            },
        },
        "broken": {"version": 1, "on": True, "variations": []},
        "silent": {"version": 1, "on": False, "variations": ["a"]},
        "gone": {"version": 9, "deleted": True},
    },
    "flagValues": {"open": True, "été": "née"},
    "segments": {
        "staff": {
            "version": 3,
            "salt": "salty",
            "included": ["ada"],
            "rules": [
                {"clauses": [{"attribute": "mail", "op": "endsWith", "values": ["@us.example"]}]}
            ],
        }
    },
}


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Flagkeep = Callable[..., Ended]


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is folded to the width of the terminal that the tests may have been started from."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def flagkeep(capsys: pytest.CaptureFixture[str]) -> Flagkeep:
    from flagkeep.cli.app import run  # noqa: PLC0415  needs the extra

    def call(*arguments: str | Path) -> Ended:
        capsys.readouterr()
        code = run([str(one) for one in arguments])
        return Ended(code, *capsys.readouterr())

    return call


@pytest.fixture
def flags_file(tmp_path: Path) -> Path:
    file = tmp_path / "flags.json"
    file.write_text(json.dumps(ENVIRONMENT))
    return file


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """A store with the same environment; under the prefix `empty` nothing was ever written."""
    path = tmp_path / "flags.db"
    store = SQLiteStore(path)
    changes = read_files([("flags.json", json.dumps(ENVIRONMENT).encode())])
    assert len(changes.of(Kind.FLAG)) == 6
    store.replace(changes)
    store.close()
    return f"sqlite:///{path}"


def ask_redis(url: str, *command: object) -> Any:
    """Send one command without a driver."""
    place = urlsplit(url)
    with RedisConnection((place.hostname or "localhost", place.port or 6379)) as connection:
        if place.password:
            connection.command("AUTH", place.username or "default", place.password)
        connection.command("SELECT", place.path.strip("/") or 0)
        return connection.command(*command)


class AnyStore:
    """A store of some kind, to be worked on by commands, by us, and behind everybody's back."""

    def __init__(self, url: str) -> None:
        self.url = url

    def open(self, prefix: str = "") -> SQLiteStore | RedisStore:
        if self.url.startswith("sqlite:"):
            return SQLiteStore(self.url.removeprefix("sqlite:///"), prefix=prefix)
        return RedisStore(self.url, prefix=prefix)

    def fill(self, document: Any = ENVIRONMENT, *, prefix: str = "") -> None:
        store = self.open(prefix)
        store.replace(read_files([("flags.json", json.dumps(document).encode())]))
        store.close()

    def put(self, kind: Kind, key: str | bytes, text: bytes, *, version: int | None = None) -> None:
        """Write a row as some other program would, under the default prefix."""
        name = "features" if kind is Kind.FLAG else "segments"
        if self.url.startswith("sqlite:"):
            database = sqlite3.connect(self.url.removeprefix("sqlite:///"))
            with database:
                row = (name, key, version, text)
                insert = (
                    "INSERT OR REPLACE INTO items VALUES (?, CAST(? AS TEXT), ?, CAST(? AS TEXT))"
                )
                database.execute(insert, row)
            database.close()
            return
        ask_redis(self.url, "HSET", f"launchdarkly:{name}", key, text)

    def texts(self, prefix: str = "") -> dict[str, bytes]:
        """Return what is stored, by kind and key."""
        store = self.open(prefix)
        contents = store.get_all()
        store.close()
        return {
            f"{kind} {key}": item.data for kind in Kind for key, item in contents.of(kind).items()
        }


@pytest.fixture(params=["sqlite", "redis"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> AnyStore:
    if request.param == "sqlite":
        return AnyStore(f"sqlite:///{tmp_path / 'flags.db'}")
    return AnyStore(request.getfixturevalue("redis_url"))
