"""Events of a server's workers, whose client nobody closes: delivered at their end, and once."""

import os
import signal
import sys
import time
from collections.abc import Iterator

import pytest

from flagkeep.testing import FakeUpstream, Scripted
from tests.forks.application import Application
from tests.forks.test_uwsgi import without_threads
from tests.limits import check_within
from tests.runtime.exits.servers import Tasks, end, end_idle, gunicorn, uwsgi
from tests.runtime.exits.upstream import recorded
from tests.runtime.test_event_exit import ROOT
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.slow

REQUESTS = ("/one", "/two")


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeUpstream]:
    """Where the events of servers go that are started now."""
    with FakeUpstream() as made:
        monkeypatch.setenv("EXIT_UPSTREAM", made.uri)
        monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}:{ROOT}")
        yield made


def ask(application: Application) -> bool:
    """Record something, and return whether the worker has imported the application itself."""
    answers = [application.ask(path) for path in REQUESTS]
    assert len({answer["process"] for answer in answers}) == 1
    return bool(answers[0]["process"] == answers[0]["imported_by"])


def check(upstream: FakeUpstream) -> None:
    found = recorded(upstream)
    found.pop("ready", None)  # how often it was asked whether it is ready
    assert found == {"import": 1, "one": 1, "two": 1}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param((), id="imported-by-the-worker"),
        pytest.param(("--preload", "-k", "sync"), id="sync"),
        pytest.param(("--preload", "-k", "gthread", "--threads", "2"), id="gthread"),
        pytest.param(("--preload", "-k", "gevent"), id="gevent-patches-the-worker"),
        pytest.param(
            ("--preload", "-k", "gevent", "-c", "python:tests.forks.programs.patched_before"),
            id="gevent-patched-before",
        ),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_gunicorn(upstream: FakeUpstream, options: tuple[str, ...], number: signal.Signals) -> None:
    with gunicorn(*options) as application:
        ask(application)
        end_idle(application, number)
        assert "Traceback" not in application.log()
    check(upstream)


def test_a_worker_that_is_replaced(upstream: FakeUpstream) -> None:
    with gunicorn("--preload", "--max-requests", "2") as application:
        for number in range(6):
            application.ask(f"/{number}")
        end(application, signal.SIGTERM)
    found = recorded(upstream)
    found.pop("ready")
    assert found == {"import": 1, **{str(number): 1 for number in range(6)}}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("--master",), id="default"),
        pytest.param(("--master", "--threads", "2"), id="threads"),
        pytest.param(("--master", "--gevent", "4"), id="gevent"),
        pytest.param(("--master", "--lazy-apps"), id="imported-by-the-worker"),
        pytest.param((), id="no-master"),
    ],
)
def test_uwsgi(upstream: FakeUpstream, options: tuple[str, ...]) -> None:
    with uwsgi(*options) as application:
        ask(application)
        end_idle(application, signal.SIGINT)
        assert "Traceback" not in application.log()
    check(upstream)


def test_uwsgi_with_several_workers(upstream: FakeUpstream) -> None:
    with uwsgi("--master", "--processes", "3") as application:
        for number in range(30):
            application.ask(f"/{number}")
        end_idle(application, signal.SIGINT)
    found = recorded(upstream)
    found.pop("ready")
    assert found == {"import": 1, **{str(number): 1 for number in range(30)}}


def test_the_end_of_uwsgi_is_not_held_up_by_a_server_that_hangs(upstream: FakeUpstream) -> None:
    upstream.always("/bulk", Scripted(behaviour="hang"))
    with uwsgi("--master") as application:
        ask(application)
        begun = time.monotonic()
        end_idle(application, signal.SIGINT)
        check_within(6.0, since=begun)


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="uWSGI for it always lets threads run")
def test_uwsgi_where_threads_do_not_run(
    upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{without_threads()}:{os.environ['PYTHONPATH']}")
    with uwsgi("--master") as application:
        ask(application)
        end_idle(application, signal.SIGINT)
    check(upstream)


@pytest.mark.extras  # Celery's transport wants a newer redis-py than the lowest
def test_celery(
    upstream: FakeUpstream, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = f"redis://127.0.0.1:{redis_server.port}/1"
    monkeypatch.setenv("EXIT_BROKER", broker)
    monkeypatch.setenv("FORKS_BROKER", broker)
    with Tasks() as worker:
        assert not ask(worker)
        end(worker, signal.SIGTERM)
        assert "Traceback" not in worker.log()
    check(upstream)
