"""Celery's prefork pool: tasks run in children of the process that imported the application."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Final, Self

import pytest

from tests.forks.application import Application, check_worker
from tests.forks.world import World
from tests.servers.redis import RedisServer

# Its Redis transport wants a newer redis-py than the lowest that flagkeep works with.
pytestmark = [pytest.mark.slow, pytest.mark.extras]

OPTIONS: Final = ("--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "INFO")


class CeleryWorker(Application):
    """A pool of one child, and another process that sends it tasks."""

    def __init__(self) -> None:
        super().__init__()
        self._sender: subprocess.Popen[str] | None = None

    def command(self) -> Sequence[str]:
        pool = ("--pool", "prefork", "--concurrency", "1")
        return ("-m", "celery", "-A", "tests.forks.programs.tasks", "worker", *pool, *OPTIONS)

    def is_ready(self) -> bool:
        return " ready." in self.log()

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.forks.programs.send"]
        self._sender = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return super().__enter__()

    def remove(self) -> None:
        if self._sender is not None:
            self._sender.kill()
            self._sender.communicate()
        super().remove()

    def ask(self, path: str = "/") -> dict[str, Any]:
        assert self._sender is not None
        assert self._sender.stdin is not None
        assert self._sender.stdout is not None
        print(path, file=self._sender.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._sender.stdout.readline())
        return answer

    def see(self, world: World, worker: int, value: str) -> None:
        """A task would have to come from the parent, which may be standing still."""
        world.write(value)
        world.until_heard(worker, value)


def test_a_worker_sees_changes_on_its_own(
    world: World, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORKS_BROKER", f"redis://127.0.0.1:{redis_server.port}/1")
    with CeleryWorker() as worker:
        check_worker(worker, world, parent_listens=True)
