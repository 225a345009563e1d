"""The application of `programs`, behind a real server."""

import http.client
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, Final

from tests.forks.proc import children
from tests.forks.world import PATIENCE, World, until
from tests.limits import check_took
from tests.servers.server import LOOPBACK, Server

APPLICATION: Final = "tests.forks.programs.application"


class Application(Server):
    """A server whose first process imports the application and then forks.

    Args:
        *arguments: for Python.
        environment: variables to set for it.
    """

    programs: ClassVar[Sequence[str]] = (sys.executable,)
    install: ClassVar[str] = "Python"

    def __init__(self, *arguments: str) -> None:
        super().__init__()
        self._arguments = arguments

    def command(self) -> Sequence[str]:
        address = f"{LOOPBACK}:{self.port}"
        return [argument.replace("ADDRESS", address) for argument in self._arguments]

    def is_ready(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            return bool(self.ask())
        return False

    def stop(self) -> None:
        with self._and_its_workers():
            super().stop()

    def kill(self) -> None:
        with self._and_its_workers():
            super().kill()

    def remove(self) -> None:
        """Let it end in peace, and delete its folder."""
        self.stop()
        super().remove()

    @contextmanager
    def _and_its_workers(self) -> Iterator[None]:
        workers = [] if self.pid is None else children(self.pid)
        yield
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)

    def ask(self, path: str = "/") -> dict[str, Any]:
        """Return what the application answers."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
            assert response.status == http.HTTPStatus.OK, self.log()[-3000:]
            answer: dict[str, Any] = json.loads(body)
            return answer
        finally:
            connection.close()

    def ask_until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first answer that is as it should be."""

        def answer() -> dict[str, Any] | None:
            given = self.ask()
            return given if condition(given) else None

        found = until(answer)
        assert found is not None
        return found

    def see(self, world: World, worker: int, value: str) -> None:
        """Let flags have a value, and wait until the worker sees it."""
        world.write(value)
        self.ask_until(lambda answer: bool(answer["all"] == {"flag": value, "other": value}))
        world.until_heard(worker, value)

    def log(self) -> str:
        """What it has written so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")


def check_worker(application: Application, world: World, *, parent_listens: bool) -> None:
    """A worker lives as if it had made its client itself, and its parent does not notice."""
    first = application.ask()
    parent, worker = first["imported_by"], first["process"]
    assert parent != worker
    assert first["before"] == "one"
    assert first["value"] == "one"
    application.see(world, worker, "two")
    if parent_listens:
        world.until_heard(parent, "two")
    world.check_apart(parent, worker, lambda: application.see(world, worker, "three"))
    answer = application.ask()
    assert answer["all"] == {"flag": "three", "other": "three"}
    assert answer["available"]
    closed = application.ask("/close")
    assert closed["complete"]
    check_took(closed["seconds"], 2.0)
    assert application.ask()["value"] == "three"
    world.write("four")
    if parent_listens:
        world.until_heard(parent, "four")
    assert application.ask()["value"] == "three"
    assert (worker, "flag", "four") not in world.heard()
