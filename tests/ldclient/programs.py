"""Programs that run in an interpreter of their own, where `install` may do its work."""

import subprocess
import sys
from typing import Final

PATIENCE: Final = 60.0


def run(program: str, *arguments: str, given: str = "") -> str:
    """Run a program and return what it printed; it must succeed, without any warning."""
    done = attempt(program, *arguments, given=given)
    assert done.returncode == 0, done.stderr
    return done.stdout


def attempt(program: str, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program that may fail. Warnings are errors in it."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        input=given,
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
