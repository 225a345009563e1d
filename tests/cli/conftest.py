"""The command line called in this process: its output and its exit code."""

import json
import sqlite3
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from flagkeep.model.item import Kind
from flagkeep.protocol.files import read_files
from flagkeep.stores import ConsulStore, DynamoDBStore, RedisStore, SQLiteStore
from tests.servers import aws, consul, dynamodb
from tests.servers.dynamodb import REGION
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
def flagkeep(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Flagkeep:
    from flagkeep.cli.app import run  # noqa: PLC0415  needs the extra

    monkeypatch.delenv("COLUMNS", raising=False)  # where tests run at the same time, it is there

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
        self.kind, _, self._place = url.partition("://")

    def open(self, prefix: str = "") -> SQLiteStore | RedisStore | DynamoDBStore | ConsulStore:
        match self.kind:
            case "sqlite":
                return SQLiteStore(self._place[1:], prefix=prefix)
            case "dynamodb":
                table, endpoint = self._table()
                return DynamoDBStore(table, prefix=prefix, region=REGION, endpoint=endpoint)
            case "consul":
                return ConsulStore(self.url, prefix=prefix)
        return RedisStore(self.url, prefix=prefix)

    def fill(self, document: Any = ENVIRONMENT, *, prefix: str = "") -> None:
        store = self.open(prefix)
        store.replace(read_files([("flags.json", json.dumps(document).encode())]))
        store.close()

    def put(self, kind: Kind, key: str | bytes, text: bytes, *, version: int | None = None) -> None:
        """Write a row as some other program would, under the default prefix."""
        name = "features" if kind is Kind.FLAG else "segments"
        match self.kind:
            case "sqlite":
                row = (name, key, version, text)
                insert = (
                    "INSERT OR REPLACE INTO items VALUES (?, CAST(? AS TEXT), ?, CAST(? AS TEXT))"
                )
                database = sqlite3.connect(self._place[1:])
                with database:
                    database.execute(insert, row)
                database.close()
            case "dynamodb":
                self._put_row(name, as_text(key), as_text(text), version)
            case "consul":
                self._put_pair(name, key, text)
            case _:
                ask_redis(self.url, "HSET", f"launchdarkly:{name}", key, text)

    def holds(self, text: str | bytes) -> bool:
        """Whether a key or text can be there at all."""
        if self.kind != "dynamodb" or isinstance(text, str):
            return True
        return text.decode(errors="replace").encode() == text

    def texts(self, prefix: str = "") -> dict[str, bytes]:
        """Return what is stored, by kind and key."""
        store = self.open(prefix)
        contents = store.get_all()
        store.close()
        return {
            f"{kind} {key}": item.data for kind in Kind for key, item in contents.of(kind).items()
        }

    def _table(self) -> tuple[str, str]:
        table, _, query = self._place.partition("?")
        return table, dict(parse_qsl(query))["endpoint"]

    def _put_row(self, namespace: str, key: str, text: str, version: int | None) -> None:
        table, endpoint = self._table()
        row = {"namespace": {"S": namespace}, "key": {"S": key}, "item": {"S": text}}
        with suppress(ValueError, TypeError, KeyError, RecursionError):
            version = version or json.loads(text)["version"]
        if version is not None:
            row["version"] = {"N": str(version)}
        dynamodb.call(endpoint, "PutItem", TableName=table, Item=row)

    def _put_pair(self, name: str, key: str | bytes, text: bytes) -> None:
        method, path, body = "PUT", f"/v1/kv/launchdarkly/{name}/{quote(key)}", text
        if isinstance(key, str):  # which may have characters that no path may have
            pair = {"Key": f"launchdarkly/{name}/{key}", "Value": b64encode(text).decode()}
            path = "/v1/txn"
            body = json.dumps([{"KV": {"Verb": "set", **pair}}]).encode()
        assert consul.call(f"http://{self._place}", method, path, body).status == HTTPStatus.OK


def as_text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()


@pytest.fixture(params=["sqlite", "redis", "dynamodb", "consul"])
def any_store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AnyStore:
    match request.param:
        case "sqlite":
            return AnyStore(f"sqlite:///{tmp_path / 'flags.db'}")
        case "redis":
            return AnyStore(request.getfixturevalue("redis_url"))
        case "consul":
            server = request.getfixturevalue("consul_server")
            consul.remove(server.url, "")
            return AnyStore(server.url.replace("http://", "consul://"))
    url, table = (request.getfixturevalue(f"dynamodb_{one}") for one in ("url", "table"))
    for name, value in aws.variables(url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL_DYNAMODB")
    return AnyStore(f"dynamodb://{table}?region={REGION}&endpoint={url}")
