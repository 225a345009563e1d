"""Running the harness' program, and counting what it says."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import ClassVar, Final
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from tests.servers.server import LOOPBACK, STOP_WITHIN, Server, free_port, is_free

ROOT: Final = Path(__file__).resolve().parents[2]

SKIPPED: Final = "  SKIPPED: "
FAILED: Final = ("  FAILED: ", "  FAILED (non-critical): ")
SUMMARY: Final = "Test Summary: "
TWIN: Final = "with old user"
UNWANTED: Final = "(excluded by filter parameters)"


class ServiceProcess(Server):
    """The service, in a process of its own."""

    programs: ClassVar[Sequence[str]] = (sys.executable,)
    install: ClassVar[str] = "it runs us"

    def __init__(self, colour: str) -> None:
        super().__init__()
        self._colour = colour
        self.url = f"http://{LOOPBACK}:{self.port}"

    def command(self) -> Sequence[str]:
        """Return the arguments of the interpreter; it runs in another folder."""
        run = f"import sys; sys.path.insert(0, {str(ROOT)!r})"
        run += "; from tests.contract.service import main; main()"
        return ["-W", "error", "-c", run, "--colour", self._colour, "--port", str(self.port)]

    def is_ready(self) -> bool:
        """Return whether it answers."""
        try:
            with build_opener(ProxyHandler({})).open(self.url, timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def wait(self) -> int:
        """Wait for its end, and return its exit code."""
        assert self._process is not None
        return self._process.wait(STOP_WITHIN)

    @property
    def log(self) -> str:
        """What it has written."""
        return self._log.read_text(errors="replace")


class _Fate(Enum):
    PASSED = auto()
    FAILED = auto()
    SKIPPED = auto()
    UNWANTED = auto()  # by whoever has picked some tests


@dataclass
class _Begun:
    path: str
    fate: _Fate = _Fate.PASSED


@dataclass
class Tally:
    """What became of the tests, from the lines of the harness.

    Some of its tests have the same name, and each counts. Groups do not count; a test that is done
    once more with an old user, inside itself, does.

    Attributes:
        failed: the paths of tests that failed, those that the harness forgives included.
        is_complete: whether the harness came to its end.
        seconds: how long that took.
    """

    failed: list[str] = field(default_factory=list)
    is_complete: bool = False
    seconds: float = 0.0
    _begun: list[_Begun] = field(default_factory=list)

    def read(self, line: str) -> None:
        """Take note of a line."""
        if line.startswith("[") and line.endswith("]"):
            self._begun.append(_Begun(line[1:-1]))
        elif line.startswith(SKIPPED):
            # The reason stands behind the path, in parentheses, and both may have some themselves.
            said = line.removeprefix(SKIPPED)
            test = self._last(lambda path: said == path or said.startswith(f"{path} ("))
            test.fate = _Fate.UNWANTED if said.endswith(UNWANTED) else _Fate.SKIPPED
        for mark in FAILED:
            if line.startswith(mark):
                self.failed.append(line.removeprefix(mark))
                self._last(self.failed[-1].__eq__).fate = _Fate.FAILED
        self.is_complete |= line.startswith(SUMMARY)

    def _last(self, is_meant: Callable[[str], bool]) -> _Begun:
        """Return the test that a line is about; a run that begins with one is none of ours."""
        return next(one for one in reversed(self._begun) if is_meant(one.path))

    @property
    def tests(self) -> list[str]:
        """The paths of the tests that ran."""
        return [one.path for one in self._counted()]

    @property
    def ran(self) -> int:
        """How many tests ran."""
        return len(self._counted())

    @property
    def passed(self) -> int:
        """How many of them passed."""
        return sum(one.fate is _Fate.PASSED for one in self._counted())

    @property
    def skipped(self) -> int:
        """How many the harness has skipped by itself, groups counted as one."""
        return sum(one.fate is _Fate.SKIPPED for one in self._begun)

    @property
    def is_good(self) -> bool:
        """Whether tests ran, to the end, and none failed."""
        return self.is_complete and self.ran > 0 and not self.failed

    def __str__(self) -> str:
        text = f"ran {self.ran}, passed {self.passed}, skipped {self.skipped}"
        text += f", failed {len(self.failed)} in {self.seconds:.0f} s"
        return text if self.is_complete else f"{text}; the harness did not come to its end"

    def _counted(self) -> list[_Begun]:
        following = [*self._begun[1:], _Begun("")]
        return [
            one
            for one, then in zip(self._begun, following, strict=True)
            if one.fate in _RAN and not _is_group(one.path, then.path)
        ]


_RAN: Final = frozenset({_Fate.PASSED, _Fate.FAILED})


def _is_group(path: str, then: str) -> bool:
    """Whether a test is only there for the tests inside it, the first of which begins next."""
    return then.startswith(f"{path}/") and then != f"{path}/{TWIN}"


def run_harness(
    program: str,
    service: ServiceProcess,
    arguments: Sequence[str],
    *,
    port: int,
    log: Path,
) -> Tally:
    """Run the harness against a service, to its end.

    Args:
        port: the first of two that are free.
        log: where what it says is written.
    """
    tally = Tally()
    begun = time.monotonic()
    command = [program, "-url", service.url, "-port", str(port), *arguments]
    with (
        log.open("w", encoding="utf-8") as copy,
        subprocess.Popen(
            command,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                copy.write(line)
                tally.read(line.rstrip("\n"))
        except BaseException:
            process.kill()
            raise
    tally.seconds = time.monotonic() - begun
    if process.returncode != 0 and not tally.failed:
        tally.is_complete = False
    return tally


def _environment() -> dict[str, str]:
    """Return ours without what sends the drivers of databases to other places."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "CONSUL_"))
    }


def free_port_pairs(count: int) -> list[int]:
    """Return ports that are free, each with the one behind it: the harness takes both."""
    pairs: list[int] = []
    while len(pairs) < count:
        port = free_port()
        if all(abs(port - other) > 1 for other in pairs) and is_free(port + 1):
            pairs.append(port)
    return pairs
