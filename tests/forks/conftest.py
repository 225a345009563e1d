"""The store that a fork is tried with, and where programs find it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.forks.world import RedisWorld, SQLiteWorld, World

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(params=["sqlite", "redis"])
def world(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """A filled store; programs that are started now find it in their environment."""
    if request.param == "sqlite":
        made: World = SQLiteWorld(tmp_path)
    else:
        made = RedisWorld(tmp_path, request.getfixturevalue("redis_server"))
    monkeypatch.setenv("FORKS_STORE", made.url)
    monkeypatch.setenv("FORKS_HEARD", str(made.heard_file))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}:{ROOT}")
    yield made
    made.close()
