"""A store at the end of a process that closes nothing: it has what evaluations had."""

import subprocess
import sys
from pathlib import Path

import pytest

from flagkeep.errors import StoreMissing
from flagkeep.stores import SQLiteStore
from flagkeep.testing import FakeUpstream
from tests.forks.world import until

pytestmark = pytest.mark.slow

SYNC = """
import sys, time
from flagkeep import Client, Config, Context
from flagkeep.config import Streaming
from flagkeep.stores import SQLiteStore

class SlowStore(SQLiteStore):
    def upsert(self, changes, *arguments, **options):
        time.sleep(float(seconds))
        return super().upsert(changes, *arguments, **options)

uri, path, seconds, way = sys.argv[1:]
config = Config(sdk_key="sdk-key", source=Streaming(base_uri=uri), send_events=False)
client = Client(config, store=SlowStore(path))
assert client.wait_until_ready(10)
print("ready", flush=True)
while client.variation("flag", Context.create("user-key"), None) != "two":
    time.sleep(0.001)
"""

ASYNC = """
import asyncio, sys
from flagkeep import AsyncClient, Config, Context
from flagkeep.config import Streaming
from flagkeep.stores import AsyncSQLiteStore

class SlowStore(AsyncSQLiteStore):
    async def upsert(self, changes, *arguments, **options):
        await asyncio.sleep(float(seconds))
        return await super().upsert(changes, *arguments, **options)

uri, path, seconds, way = sys.argv[1:]
config = Config(sdk_key="sdk-key", source=Streaming(base_uri=uri), send_events=False)
client = AsyncClient(config, store=SlowStore(path))

async def main():
    assert await client.wait_until_ready(10)
    print("ready", flush=True)
    while await client.variation("flag", Context.create("user-key"), None) != "two":
        await asyncio.sleep(0.001)
    if way == "closes":
        await client.aclose()

asyncio.run(main())
"""


def flag(version: int, value: str) -> dict[str, object]:
    return {
        "key": "flag",
        "version": version,
        "on": False,
        "offVariation": 0,
        "variations": [value],
        "salt": "",
    }


def end_after_change(program: str, path: Path, seconds: float, way: str = "leaves") -> str:
    """Let a program end as soon as it sees a change, which its store takes in so slowly."""
    with FakeUpstream() as upstream:
        upstream.put({"flag": flag(1, "one")})
        command = [sys.executable, "-c", program, upstream.uri, str(path), str(seconds), way]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
            assert running.stdout is not None
            assert running.stdout.readline() == b"ready\n"
            until(lambda: version_in(path) == 1)
            upstream.patch("flags", flag(2, "two"))
            _, said = running.communicate(timeout=30)
        assert running.returncode == 0, said
    return said.decode()


def version_in(path: Path) -> int | None:
    store = SQLiteStore(path)
    try:
        return store.get_all().flags["flag"].version
    except (StoreMissing, KeyError):
        return None
    finally:
        store.close()


@pytest.mark.parametrize(
    ("program", "way"), [(SYNC, "leaves"), (ASYNC, "closes")], ids=["sync", "async"]
)
def test_last_change_is_written(tmp_path: Path, program: str, way: str) -> None:
    assert end_after_change(program, tmp_path / "flags.db", 0.3, way) == ""
    assert version_in(tmp_path / "flags.db") == 2


@pytest.mark.parametrize("program", [SYNC, ASYNC], ids=["sync", "async"])
def test_what_is_not_written_in_time_is_told(tmp_path: Path, program: str) -> None:
    said = end_after_change(program, tmp_path / "flags.db", 5)
    assert "the process ends, and" in said
    assert f"{tmp_path / 'flags.db'} lacks the last changes: close the client" in said
    assert version_in(tmp_path / "flags.db") == 1
