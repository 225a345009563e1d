"""The official SDK, in an environment of its own, to compare with."""

import os
import subprocess
from pathlib import Path

import pytest

from benchmarks import interpreters
from tests import outward


@pytest.fixture(scope="session")
def official() -> Path:
    """The Python that has the official SDK."""
    try:
        with outward.opened():
            python = interpreters.official()
            with interpreters.alone("official"):
                if not has_aiohttp(python):
                    name, version = interpreters.OFFICIAL.split("==")
                    interpreters.install(python, f"{name}[async]=={version}")
    except (OSError, subprocess.CalledProcessError) as exc:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"{interpreters.OFFICIAL} cannot be installed here: {exc}")
    return python


def has_aiohttp(python: Path) -> bool:
    """Whether the official SDK's asyncio client can be used."""
    command = [str(python), "-c", "import aiohttp"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
