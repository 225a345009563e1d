"""Programs of their own, one way of theirs at a time."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import pytest

from tests.forks.proc import HAS_PROC, children

# Forking a process with threads is what is tested here; Python 3.12 and later warn about it.
FORKS: Final = ("-W", "ignore:This process:DeprecationWarning")


class Program:
    """A way of a program that runs."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        self.running = running
        self._said: list[dict[str, Any]] = []

    def said(self, who: str) -> dict[str, Any]:
        """Return the next that somebody says, or has said."""
        for number, line in enumerate(self._said):
            if line["who"] == who:
                return self._said.pop(number)
        assert self.running.stdout is not None
        while text := self.running.stdout.readline():
            facts: dict[str, Any] = json.loads(text)
            if facts["who"] == who:
                return facts
            self._said.append(facts)
        pytest.fail(f"ended without a word of {who}; there is: {self._said}")

    def ended(self, children: int = 1) -> None:
        """Wait for the end of children, which must be a good one."""
        assert [self.said("end")["code"] for _ in range(children)] == [0] * children

    def go_on(self) -> None:
        assert self.running.stdin is not None
        self.running.stdin.write("\n")
        self.running.stdin.flush()


@contextmanager
def run(module: str, way: str) -> Iterator[Program]:
    """Run a way of a module of `programs` to its end; nobody may complain."""
    command = [sys.executable, *FORKS, "-m", f"tests.forks.programs.{module}", way]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            yield Program(running)
            _, complaints = running.communicate(timeout=30)
        except BaseException as exc:
            exc.add_note(_last_words(running))
            raise
        finally:
            running.kill()
    assert running.returncode == 0, complaints
    assert "Traceback" not in complaints, complaints


def _last_words(running: subprocess.Popen[str]) -> str:
    """Abort a program, so that it says where its threads are; return all it complained of."""
    for process in [running.pid, *(children(running.pid) if HAS_PROC else [])]:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGABRT)
    with suppress(subprocess.TimeoutExpired):
        return running.communicate(timeout=5)[1]
    return "it does not end"
