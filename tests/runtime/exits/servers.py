"""Real servers around `application`, which forks or imports it, and ends in peace."""

import os
import signal
import subprocess
from collections.abc import Sequence
from typing import Final

from tests.forks.application import Application
from tests.forks.proc import children, until_idle
from tests.forks.test_celery import OPTIONS, CeleryWorker

APPLICATION: Final = "tests.runtime.exits.application:application"
UWSGI: Final = ("-c", "import sys, pyuwsgi; sys.argv[0] = 'uwsgi'; pyuwsgi.run()")
END_WITHIN: Final = 20.0


def gunicorn(*options: str) -> Application:
    return Application(
        "-m", "gunicorn", "--bind", "ADDRESS", "--workers", "1", *options, APPLICATION
    )


def uwsgi(*options: str) -> Application:
    return Application(
        *UWSGI, "--http-socket", "ADDRESS", "--need-app", "--module", APPLICATION, *options
    )


class Tasks(CeleryWorker):
    """Celery's prefork pool."""

    def command(self) -> Sequence[str]:
        pool = ("--pool", "prefork", "--concurrency", "1")
        return ("-m", "celery", "-A", "tests.runtime.exits.tasks", "worker", *pool, *OPTIONS)


def end(application: Application, number: signal.Signals) -> None:
    """Send it a signal, and wait until it and its workers have gone."""
    assert application.pid is not None
    os.kill(application.pid, number)
    process = application._process
    assert process is not None
    try:
        process.wait(END_WITHIN)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"it goes on: {application.log()[-3000:]}") from None


def end_idle(application: Application, number: signal.Signals) -> None:
    """The same, once nobody is busy: uWSGI ends in a signal's handler, at once where it is busy."""
    assert application.pid is not None
    for process in [application.pid, *children(application.pid)]:
        until_idle(process)
    end(application, number)
