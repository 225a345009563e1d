"""The command line called in this process: its output and its exit code."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from flagkeep.model.item import Kind
from flagkeep.protocol.files import read_files
from flagkeep.stores import SQLiteStore

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
