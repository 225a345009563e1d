"""The processes of the story: started, waited for, asked, killed."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).resolve().parent
TIMEOUT = 10.0  # seconds: far beyond what anything here takes, so that passing it means "never"


class StoryFailedError(Exception):
    """Something that the story was about to claim did not hold."""


class Child:
    """A process of the story: says and takes lines of JSON; what it logs is kept as well.

    Attributes:
        started: when it was asked for, on the monotonic clock (which all processes share).
        log: every line it logged.
    """

    def __init__(self, script: str, *args: str | Path, given: dict[str, str]) -> None:
        self.started = time.monotonic()
        self.log: list[str] = []
        self._name = script
        self._events: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / script), *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "PYTHONUTF8": "1", **given},
        )
        self._listeners = [
            self._listen(self._process.stdout, json.loads),
            self._listen(self._process.stderr, lambda line: {"event": "log", "line": line}),
        ]

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def wait_for(self, event: str, **wanted: object) -> dict[str, Any]:
        """Return the first event of that name and with these values that was not returned yet."""
        deadline = time.monotonic() + TIMEOUT
        with self._news:
            while True:
                for one in self._events:
                    if one["event"] == event and wanted.items() <= one.items():
                        self._events.remove(one)
                        return one
                left = deadline - time.monotonic()
                if left <= 0 or (self._process.poll() is not None and not self._is_heard()):
                    raise StoryFailedError(f"{self._name} never said {event} {wanted or ''}")
                self._news.wait(min(left, 0.5))

    def wait_for_log(self, *parts: str) -> str:
        """Return the next logged line that holds all `parts`."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            line: str = self.wait_for("log")["line"]
            if all(part in line for part in parts):
                return line
        raise StoryFailedError(f"{self._name} never logged {parts}")

    def ask(self, question: str) -> dict[str, Any]:
        """Send a line and return the answer."""
        if self._process.stdin is None:
            raise StoryFailedError(f"{self._name} cannot be asked")
        try:
            self._process.stdin.write(question + "\n")
            self._process.stdin.flush()
        except OSError as exc:
            raise StoryFailedError(f"{self._name} is gone: {exc}") from exc
        return self.wait_for(question)

    def kill(self) -> None:
        """End it in the middle of whatever it does: SIGKILL, or what Windows has for that."""
        self._process.kill()
        self._bury()

    def leave(self) -> None:
        """Let it end by itself; if it does not, kill it."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            with suppress(OSError):  # it has ended already
                self._process.stdin.close()
        try:
            self._process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._bury()

    def _bury(self) -> None:
        self._process.wait(TIMEOUT)
        for listener in self._listeners:
            listener.join(TIMEOUT)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with suppress(OSError):  # a line that nobody will read any more
                    pipe.close()

    def _is_heard(self) -> bool:
        return any(listener.is_alive() for listener in self._listeners)

    def _listen(
        self, pipe: IO[str] | None, understand: Callable[[str], dict[str, Any]]
    ) -> threading.Thread:
        def listen() -> None:
            for line in pipe or ():
                event = understand(line.rstrip("\n"))
                with self._news:
                    if event["event"] == "log":
                        self.log.append(event["line"])
                    self._events.append(event)
                    self._news.notify_all()

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        return thread


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    """Wait until something is so that nobody tells us of."""
    deadline = time.monotonic() + TIMEOUT
    while not is_so():
        if time.monotonic() > deadline:
            raise StoryFailedError(f"{what}: that never came")
        time.sleep(0.002)


def check(is_so: object, what: str) -> None:
    """Stop the story if something does not hold."""
    if not is_so:
        raise StoryFailedError(what)
