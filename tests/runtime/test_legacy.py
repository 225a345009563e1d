"""What was recorded before a fork belongs to one process, whoever forks."""

import os
import sys
from types import SimpleNamespace

import pytest

from flagkeep._runtime.legacy import Legacy

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


@pytest.fixture
def _uwsgi(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process look like uWSGI's while it loads the application."""
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(worker_id=lambda: 0))


def heirs(legacy: Legacy, children: int) -> int:
    """Fork, and count the children that say it is theirs."""
    found = 0
    for _ in range(children):
        process = os.fork()
        if process == 0:
            os._exit(legacy.is_mine())
        found += os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return found


def test_it_stays_with_the_process_that_recorded_it() -> None:
    legacy = Legacy()
    legacy.prepare()
    assert heirs(legacy, 3) == 0
    assert legacy.is_mine()
    assert legacy.is_mine()


@pytest.mark.usefixtures("_uwsgi")
def test_one_worker_of_uwsgi_inherits_it() -> None:
    legacy = Legacy()
    legacy.prepare()
    legacy.prepare()
    assert heirs(legacy, 4) == 1


@pytest.mark.usefixtures("_uwsgi")
@pytest.mark.parametrize("is_first", [True, False])
def test_without_a_master_it_stays_or_goes_but_is_never_in_two_places(
    is_first: bool,  # noqa: FBT001  a parameter of a test
) -> None:
    legacy = Legacy()
    legacy.prepare()
    if is_first:
        assert legacy.is_mine()
        assert heirs(legacy, 2) == 0
    else:
        assert heirs(legacy, 2) == 1
        assert not legacy.is_mine()


@pytest.mark.usefixtures("_uwsgi")
def test_what_an_heir_records_is_its_own_in_later_forks() -> None:
    legacy = Legacy()
    legacy.prepare()
    assert legacy.is_mine()
    assert heirs(legacy, 2) == 0
    assert legacy.is_mine()
