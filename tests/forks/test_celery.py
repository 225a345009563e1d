"""Celery's prefork pool: tasks run in children of the process that imported the application."""

from collections.abc import Sequence
from typing import Any, Final

import pytest
from celery import Celery

from tests.forks.application import Application, check_worker
from tests.forks.world import PATIENCE, World
from tests.servers.redis import RedisServer

pytestmark = [pytest.mark.slow, pytest.mark.extras]

OPTIONS: Final = ("--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "INFO")


class CeleryWorker(Application):
    """A pool of one child.

    Args:
        broker: the database through which tasks and results go.
    """

    def __init__(self, broker: str) -> None:
        super().__init__()
        self._broker = broker

    def command(self) -> Sequence[str]:
        pool = ("--pool", "prefork", "--concurrency", "1")
        return ("-m", "celery", "-A", "tests.forks.programs.tasks", "worker", *pool, *OPTIONS)

    def is_ready(self) -> bool:
        return " ready." in self.log()

    def ask(self, path: str = "/") -> dict[str, Any]:
        with Celery("forks", broker=self._broker, backend=self._broker) as app:
            answer: dict[str, Any] = app.send_task("ask", (path,)).get(timeout=PATIENCE)
            return answer

    def see(self, world: World, worker: int, value: str) -> None:
        """A task would have to come from the parent, which may be standing still."""
        world.write(value)
        world.until_heard(worker, value)


def test_a_worker_sees_changes_on_its_own(
    world: World, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = f"redis://127.0.0.1:{redis_server.port}/1"
    monkeypatch.setenv("FORKS_BROKER", broker)
    with CeleryWorker(broker) as worker:
        check_worker(worker, world, parent_listens=True)
