"""gunicorn with --preload: the application is imported once, and the workers are forked."""

import pytest

from tests.forks.application import APPLICATION, Application, check_worker
from tests.forks.world import World

pytestmark = pytest.mark.slow


def gunicorn(*options: str) -> Application:
    listen = ("--bind", "ADDRESS", "--preload", "--workers", "1")
    return Application("-m", "gunicorn", *listen, *options, f"{APPLICATION}:application")


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("-k", "sync"), id="sync"),
        pytest.param(("-k", "gthread", "--threads", "2"), id="gthread"),
        pytest.param(("-k", "gevent"), id="gevent-patches-the-worker"),
        pytest.param(
            ("-k", "gevent", "-c", "python:tests.forks.programs.patched_before"),
            id="gevent-patched-before",
        ),
    ],
)
def test_a_worker_sees_changes_on_its_own(world: World, options: tuple[str, ...]) -> None:
    with gunicorn(*options) as application:
        check_worker(application, world, parent_listens=True)
