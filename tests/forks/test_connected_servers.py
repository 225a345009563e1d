"""Clients with a stream and events, in real servers: every worker has its own of both.

Workers are looked at one after the other, while those that are known stand still.
"""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Final

import pytest

from tests.forks.application import Application
from tests.forks.family import Family
from tests.forks.proc import HAS_PROC, blocks, paused, threads, until_idle
from tests.forks.test_celery import OPTIONS, CeleryWorker
from tests.forks.test_uwsgi import RUN, without_threads
from tests.forks.world import until
from tests.runtime.exits.servers import end_idle
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.slow

APPLICATION: Final = "tests.forks.programs.connected:application"
WORKERS: Final = 2


def gunicorn(*options: str) -> Application:
    listen = ("--bind", "ADDRESS", "--preload", "--workers", str(WORKERS))
    return Application("-m", "gunicorn", *listen, *options, APPLICATION)


def uwsgi(*options: str) -> Application:
    listen = ("--http-socket", "ADDRESS", "--need-app", "--processes", str(WORKERS))
    return Application(*RUN, *listen, "--module", APPLICATION, *options)


def workers(application: Application) -> list[dict[str, Any]]:
    """Return what each worker says."""
    found: list[dict[str, Any]] = []
    with ExitStack() as standing_still:
        while len(found) < WORKERS:
            found.append(application.ask())
            standing_still.enter_context(paused(found[-1]["process"]))
    return found


def check(application: Application, family: Family, *, parent_streams: bool) -> None:
    """Every process has a stream and events of its own, from its beginning to its end."""
    asked = workers(application)
    assert [(answer["ready"], answer["value"]) for answer in asked] == [(True, "one")] * WORKERS
    first, other = (answer["process"] for answer in asked)
    parents = {answer["imported_by"] for answer in asked} if parent_streams else set()
    assert not parents & {first, other}
    processes = len(parents) + WORKERS
    family.check_streams(processes)
    assert {answer["instance"] for answer in asked} <= set(family.instances())
    value = family.change_reaches({first, other, *parents})
    assert {answer["value"] for answer in workers(application)} == {value}

    with paused(other):
        closed = application.ask("/close")
    assert closed == {"process": first, "complete": True, "lost": {}}
    family.check_streams(processes - 1, ever=processes)
    family.change_reaches({other, *parents})

    os.kill(first, signal.SIGKILL)  # another one takes its place
    with paused(other):
        third = application.ask()
    assert third["process"] not in {first, other, *parents}
    family.check_streams(processes, ever=processes + 1)
    family.change_reaches({other, third["process"], *parents})


def check_end(application: Application, family: Family, number: signal.Signals) -> None:
    """What the processes have done is delivered, and nobody is left."""
    value = family.value
    end_idle(application, number)
    family.upstream.wait_for_streams(0)
    family.check_events()
    family.check_store(value)
    assert "Traceback" not in application.log()


STREAMING, SQLITE, REDIS = "streaming", "streaming sqlite", "streaming redis"
PATCHED_BEFORE = ("-k", "gevent", "-c", "python:tests.forks.programs.patched_before")


@pytest.mark.parametrize(
    ("family", "options"),
    [
        pytest.param(STREAMING, ("-k", "sync"), id="sync"),
        pytest.param(SQLITE, ("-k", "sync"), id="sync-sqlite"),
        pytest.param(REDIS, ("-k", "gthread", "--threads", "2"), id="gthread-redis"),
        pytest.param(STREAMING, ("-k", "gevent"), id="gevent-patches-the-worker"),
        pytest.param(SQLITE, ("-k", "gevent"), id="gevent-patches-the-worker-sqlite"),
        pytest.param(STREAMING, PATCHED_BEFORE, id="gevent-patched-before"),
        pytest.param(REDIS, PATCHED_BEFORE, id="gevent-patched-before-redis"),
    ],
    indirect=["family"],
)
def test_gunicorn(family: Family, options: tuple[str, ...]) -> None:
    with gunicorn(*options) as application:
        check(application, family, parent_streams=True)
        check_end(application, family, signal.SIGTERM)


@pytest.mark.parametrize(
    ("family", "options"),
    [
        pytest.param(STREAMING, (), id="default"),
        pytest.param(SQLITE, (), id="default-sqlite"),
        pytest.param(REDIS, ("--enable-threads", "--threads", "2"), id="threads-redis"),
        pytest.param(STREAMING, ("--gevent", "4"), id="gevent"),
        pytest.param(STREAMING, ("--lazy-apps",), id="imported-by-the-worker"),
    ],
    indirect=["family"],
)
def test_uwsgi(family: Family, options: tuple[str, ...]) -> None:
    with uwsgi("--master", *options) as application:
        check(application, family, parent_streams=False)
        check_end(application, family, signal.SIGINT)


@pytest.mark.skipif(not HAS_PROC, reason="needs /proc")
@pytest.mark.usefixtures("family")
def test_uwsgi_ends_on_no_thread_of_ours() -> None:
    """It ends in a signal's handler: a thread that ran it could not do what is waited for there."""
    with uwsgi("--master", "--enable-threads") as application:
        for process in [answer["process"] for answer in workers(application)]:
            ours = set(threads(process)) - {process}
            assert ours
            assert all(blocks(thread, signal.SIGINT) for thread in ours)
            assert not blocks(process, signal.SIGINT)


@pytest.mark.parametrize("family", [STREAMING, SQLITE], indirect=True)
def test_uwsgi_without_a_master(family: Family) -> None:
    """The first worker is the process that forks the other one."""
    with uwsgi() as application:
        parent, child = sorted(
            (answer["process"], answer["imported_by"]) for answer in workers(application)
        )
        assert parent[0] == parent[1] == child[1]
        family.check_streams(2)
        family.change_reaches({parent[0], child[0]})
        until_idle(child[0])
        os.kill(child[0], signal.SIGINT)
        family.check_streams(1, ever=2)
        family.change_reaches({parent[0]})
        check_end(application, family, signal.SIGINT)


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="uWSGI for it always lets threads run")
def test_uwsgi_where_threads_do_not_run(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes over the stream is seen by the requests after it."""
    monkeypatch.setenv("PYTHONPATH", f"{without_threads()}:{os.environ['PYTHONPATH']}")
    with uwsgi("--master") as application:
        asked = workers(application)
        assert [(answer["ready"], answer["value"]) for answer in asked] == [(True, "one")] * WORKERS
        family.check_streams(WORKERS)
        family.set("two")
        until(lambda: {answer["value"] for answer in workers(application)} == {"two"})
        check_end(application, family, signal.SIGINT)
        assert len(family.instances()) == WORKERS


class Tasks(CeleryWorker):
    """Celery's prefork pool with one child."""

    def command(self) -> Sequence[str]:
        pool = ("--pool", "prefork", "--concurrency", "1")
        return (
            "-m",
            "celery",
            "-A",
            "tests.forks.programs.connected_tasks",
            "worker",
            *pool,
            *OPTIONS,
        )


@pytest.mark.extras  # Celery's transport wants a newer redis-py than the lowest
@pytest.mark.parametrize("family", [STREAMING, SQLITE], indirect=True)
def test_celery(family: Family, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORKS_BROKER", f"redis://127.0.0.1:{redis_server.port}/1")
    with Tasks() as application:
        answer = application.ask()
        assert answer["value"] == "one"
        both = {answer["imported_by"], answer["process"]}
        assert len(both) == 2
        family.check_streams(2)
        value = family.change_reaches(both)
        assert application.ask()["value"] == value
        check_end(application, family, signal.SIGTERM)
