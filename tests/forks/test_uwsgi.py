"""uWSGI, which forks in C: with default options Python's hooks are never called."""

import fcntl
import os
import subprocess
import sys
from functools import cache
from typing import Final

import pytest

from benchmarks import interpreters
from tests import outward
from tests.forks.application import APPLICATION, Application, check_worker
from tests.forks.proc import paused
from tests.forks.world import World
from tests.limits import check_took
from tests.servers.server import not_here

pytestmark = pytest.mark.slow

RUN: Final = ("-c", "import sys, pyuwsgi; sys.argv[0] = 'uwsgi'; pyuwsgi.run()")
# Later ones always let threads run; there are wheels of it up to Python 3.12.
LAST_WITHOUT_THREADS: Final = "2.0.26"
BROKEN_ON_313: Final = pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="with this option uWSGI's workers die on it by themselves"
)
COMPLAINT: Final = "does not let threads run"


class UWSGI(Application):
    """A uWSGI that runs the application."""

    def __init__(self, *options: str) -> None:
        listen = (
            "--http-socket",
            "ADDRESS",
            "--need-app",
            "--module",
            f"{APPLICATION}:application",
        )
        super().__init__(*RUN, *listen, *options)

    def stop(self) -> None:
        """End it at once: in peace it takes a second."""
        self.kill()


@pytest.mark.parametrize(
    "options",
    [
        pytest.param((), id="default"),
        pytest.param(("--threads", "2"), id="threads"),
        pytest.param(("--gevent", "4"), id="gevent"),
        pytest.param(("--py-call-uwsgi-fork-hooks",), id="fork-hooks"),
        pytest.param(("--py-call-osafterfork",), id="child-hook", marks=BROKEN_ON_313),
    ],
)
def test_a_worker_sees_changes_on_its_own(world: World, options: tuple[str, ...]) -> None:
    with UWSGI("--master", *options) as application:
        # It forks without the interpreter's lock: a thread that held it would hold it for ever.
        assert application.ask()["threads_before"] == 0
        check_worker(application, world, parent_listens=False)
        assert COMPLAINT not in application.log()


def test_without_a_master_the_first_worker_is_the_process_that_forks(world: World) -> None:
    with UWSGI("--processes", "2") as application:
        one = application.ask()
        with paused(one["process"]):
            other = application.ask()
        parent, child = sorted(
            (one["process"], other["process"]), key=lambda pid: bool(pid != one["imported_by"])
        )
        assert parent == one["imported_by"] == other["imported_by"]
        assert child != parent
        world.check_apart(parent, child, lambda: application.see(world, child, "two"))
        with paused(child):
            application.see(world, parent, "three")
        with paused(child):
            assert application.ask("/close")["complete"]
        world.write("four")
        world.until_heard(child, "four")


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="uWSGI for it always lets threads run")
def test_where_threads_do_not_run_requests_refresh_flags(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{without_threads()}:{os.environ['PYTHONPATH']}")
    with UWSGI("--master") as application:
        first = application.ask()
        assert first["value"] == "one"
        assert first["threads_before"] == 0
        world.write("two")
        application.ask_until(lambda answer: bool(answer["value"] == "two"))

        def change() -> None:
            world.write("three")
            application.ask_until(lambda answer: bool(answer["value"] == "three"))

        world.check_apart(first["imported_by"], first["process"], change)
        answer = application.ask()
        assert answer["all"] == {"flag": "three", "other": "three"}
        assert answer["available"]
        check_took(answer["seconds"], 1.0)
        assert not [name for name in answer["threads"] if name.startswith("flagkeep")]
        assert application.ask("/close")["complete"]
        assert application.log().count(COMPLAINT) == 1


@cache
def without_threads() -> str:
    """Where a uWSGI is whose threads are off by default; it is installed at the first run."""
    interpreters.FOLDER.mkdir(exist_ok=True)
    with (interpreters.FOLDER / "uwsgi.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several processes may run the tests
        return _without_threads()


def _without_threads() -> str:
    python = interpreters.environment(f"uwsgi-{LAST_WITHOUT_THREADS}")
    where = "import pyuwsgi, os; print(os.path.dirname(pyuwsgi.__file__))"
    asked = subprocess.run([python, "-c", where], capture_output=True, text=True, check=False)
    if asked.returncode:
        try:
            with outward.opened():
                interpreters.install(python, f"pyuwsgi=={LAST_WITHOUT_THREADS}")
        except subprocess.CalledProcessError:
            not_here(f"pyuwsgi {LAST_WITHOUT_THREADS} cannot be installed: is there a network?")
        asked = subprocess.run([python, "-c", where], capture_output=True, text=True, check=True)
    return asked.stdout.strip()
