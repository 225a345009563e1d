"""What all servers have in common: a free port, a start, a check that it is ready, an end."""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import ClassVar, Final, NoReturn, Self

LOOPBACK: Final = "127.0.0.1"
STOP_WITHIN: Final = 10.0
# Above them a system looks for those of its clients. No two of a process are the same, and those of
# two processes hardly.
_PORTS: Final = cycle(random.SystemRandom().sample(range(10_000, 32_768), 22_768))


def free_port() -> int:
    """Return a port of loopback that nobody listens on, and that no client is given meanwhile."""
    return next(port for port in _PORTS if is_free(port))


def is_free(port: int) -> bool:
    """Whether nobody has a port of loopback."""
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def not_here(what: str) -> NoReturn:
    """Skip the test on a laptop; with CI=true it is an error."""
    import pytest  # noqa: PLC0415  the benchmarks use the servers without it

    if os.environ.get("CI"):
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


class Server(ABC):
    """A server of its own for one test or all of them; start it from the main thread.

    It is ended by its process id, by the kernel too when this process dies without a word.

    Attributes:
        port: where it listens; stays the same when it is started again.
        folder: its working directory; gone with the block.
    """

    programs: ClassVar[Sequence[str]]  # the first that is there is taken
    install: ClassVar[str]  # how to get one of them
    start_within: ClassVar[float] = 30.0

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="flagkeep-"))  # short: it holds a Unix socket
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return the arguments to start it with, after the program."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Return whether it answers."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    @property
    def pid(self) -> int | None:
        """Its process id; None while it does not run."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it, on the port it had before; returns when it answers."""
        assert self._process is None, "it runs already"
        command = [*_until_we_die(), self._program(), *self.command()]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        give_up = time.monotonic() + self.start_within
        while not self.is_ready():
            if self._process.poll() is not None or time.monotonic() > give_up:
                self.kill()
                last_words = self._log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{command[-1]} did not start: {last_words}")
            time.sleep(0.005)

    def stop(self) -> None:
        """Ask it to end, and wait for that; does nothing when it does not run."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)  # it may be paused
        self._process.terminate()
        try:
            self._process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._ended()

    def kill(self) -> None:
        """End it without giving it a chance to say anything."""
        if self._process is not None:
            self._process.kill()
            self._ended()

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Let it hang: connections are accepted by the kernel, nothing is ever answered."""
        self._signal(signal.SIGSTOP)
        if self.pid is not None and hasattr(os, "waitid"):  # one of its threads must take it
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def resume(self) -> None:
        """Let it go on after `pause`; it answers what has piled up."""
        self._signal(signal.SIGCONT)

    def remove(self) -> None:
        """End it and delete its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _log(self) -> Path:
        return self.folder / "server.log"

    def _program(self) -> str:
        for program in self.programs:
            if (path := shutil.which(program)) is not None:
                return path
        not_here(f"{self.programs[0]} is not here: {self.install}")

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "it does not run"
        self._process.send_signal(number)

    def _ended(self) -> None:
        assert self._process is not None
        self._process.wait()
        self._process = None


def _until_we_die() -> list[str]:
    """Return what in front of a command makes the kernel end it with us; nothing where none can."""
    setpriv = shutil.which("setpriv")
    return [] if setpriv is None else [setpriv, "--pdeathsig", "KILL"]
