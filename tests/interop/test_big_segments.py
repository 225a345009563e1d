"""Big Segments that were written by hand, as the official SDKs and as we see them."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import interpreters
from flagkeep import Client, Config, Context, StorePolicy
from flagkeep.model.item import Kind
from flagkeep.storage.big_segments import hash_of
from tests.interop import packages
from tests.interop.place import Place
from tests.interop.waiting import PATIENCE
from tests.servers.big_segments import Writer

pytestmark = [
    pytest.mark.extras,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("dynamodb_here"),
]

PROGRAM = Path(__file__).with_name("python") / "big_segments.py"
KEYS = ("in", "out", "both", "ruled in", "ruled in and out", "nobody", "größe-日本-😀", "other")
SEGMENT = {
    "key": "s",
    "version": 1,
    "unbounded": True,
    "generation": 7,
    "included": ["nobody"],
    "excluded": [],
    "rules": [{
        "id": "by-name",
        "clauses": [{
            "attribute": "key", "op": "startsWith", "values": ["ruled"], "negate": False,
            "contextKind": "user",
        }],
    }],
    "salt": "s",
    "deleted": False,
}  # fmt: skip
FLAG = {
    "key": "f",
    "version": 1,
    "on": True,
    "variations": ["no", "yes"],
    "offVariation": 0,
    "fallthrough": {"variation": 0},
    "targets": [],
    "prerequisites": [],
    "rules": [{
        "id": "r", "variation": 1,
        "clauses": [{"attribute": "", "op": "segmentMatch", "values": ["s"], "negate": False}],
    }],
    "salt": "f",
    "deleted": False,
}  # fmt: skip


def fill(place: Place, writer: Writer, age: float | None) -> None:
    place.put(Kind.FLAG, {"f": json.dumps(FLAG)})
    place.put(Kind.SEGMENT, {"s": json.dumps(SEGMENT)})
    place.mark("")
    writer.put(hash_of("in"), ["s.g7", "other.g1"], [])
    writer.put(hash_of("out"), [], ["s.g7"])
    writer.put(hash_of("both"), ["s.g7"], ["s.g7", "other.g1"])
    writer.put(hash_of("ruled in and out"), [], ["s.g7"])
    writer.put(hash_of("größe-日本-😀"), ["s.g7"], [])
    writer.put(hash_of("other"), ["s.g6", "s"], ["s.g8"])
    writer.synchronized(None if age is None else str(int((time.time() - age) * 1000)))


def python() -> list[str]:
    return [packages.python()[0], str(PROGRAM)]


def go() -> list[str]:
    return [*packages.go(), "members"]


def theirs(command: list[str], place: Place) -> Any:
    done = subprocess.run(
        command,
        check=False,
        input=json.dumps({**place.asked(), "keys": KEYS, "flag": "f"}) + "\n",
        capture_output=True,
        encoding="utf-8",
        env=interpreters.clean_environment(),
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def ours(place: Place, members: Any) -> Any:
    said: dict[str, Any] = {
        "time": members.get_metadata().last_up_to_date_ms,
        "memberships": {key: members.get_membership(hash_of(key)) or None for key in KEYS},
    }
    config = Config(daemon=True, store_policy=StorePolicy(deadline=PATIENCE))
    with Client(config, store=place.store(), big_segment_store=members) as client:
        details = {key: client.variation_detail("f", Context.create(key), "?") for key in KEYS}
    said["details"] = {key: [one.value, one.reason.to_dict()] for key, one in details.items()}
    return said


@pytest.mark.parametrize("database", ["redis", "dynamodb"], indirect=True)
@pytest.mark.parametrize("command", [python, go])
@pytest.mark.parametrize(("age", "status"), [(0.0, "HEALTHY"), (500.0, "STALE"), (None, "STALE")])
def test_the_official_sdk_and_we_see_the_same(
    command: Callable[[], list[str]], place: Place, age: float | None, status: str
) -> None:
    fill(place, place.big_segments(), age)
    seen = ours(place, place.big_segment_store())
    assert seen == theirs(command(), place)
    values = [value for value, _ in seen["details"].values()]
    assert values == ["yes", "no", "yes", "yes", "no", "no", "yes", "no"]
    assert {reason["bigSegmentsStatus"] for _, reason in seen["details"].values()} == {status}
    assert (seen["time"] is None) is (age is None)
