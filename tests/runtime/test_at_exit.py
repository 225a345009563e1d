"""Duties at the end of a process; that they are called at every end is tested by real ends."""

import logging
import os
import sys
from types import SimpleNamespace

import pytest

from flagkeep._runtime.at_exit import PATIENCE, _Exit


class Dutiful:
    """Has one duty."""

    def __init__(self, *, fails: bool = False) -> None:
        self._fails = fails
        self.seconds: list[float] = []

    def leave(self, seconds: float) -> None:
        self.seconds.append(seconds)
        if self._fails:
            raise RuntimeError("meant to be")


def test_duties_are_called_once_and_share_the_time() -> None:
    end, one, other = _Exit(), Dutiful(), Dutiful()
    end.register(one.leave)
    end.register(other.leave)
    end.run()
    end.run()
    assert len(one.seconds) == len(other.seconds) == 1
    assert PATIENCE >= one.seconds[0] >= other.seconds[0] > 0


def test_a_duty_that_fails_does_not_keep_others_from_theirs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    end, one, other = _Exit(), Dutiful(fails=True), Dutiful()
    end.register(one.leave)
    end.register(other.leave)
    end.run()
    assert len(other.seconds) == 1
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("flagkeep.runtime", logging.ERROR)


def test_nobody_is_kept_alive_for_a_duty() -> None:
    end, other = _Exit(), Dutiful()
    end.register(Dutiful().leave)
    end.register(other.leave)
    gone = Dutiful()
    end.register(gone.leave)
    del gone
    end.run()
    assert len(other.seconds) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_has_an_end_of_its_own() -> None:
    end, one = _Exit(), Dutiful()
    end.register(one.leave)
    end.run()
    process = os.fork()
    if process == 0:
        end.before_fork()
        end.run()
        os._exit(len(one.seconds))
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 2


@pytest.mark.parametrize("fails", [True, False])
def test_what_uwsgi_was_to_do_at_the_end_is_done_first(
    monkeypatch: pytest.MonkeyPatch,
    fails: bool,  # noqa: FBT001  a parameter of a test
) -> None:
    order: list[str] = []

    def others() -> None:
        order.append("others")
        if fails:
            raise RuntimeError("meant to be")

    uwsgi = SimpleNamespace(atexit=others)
    monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)
    end, one = _Exit(), Dutiful()
    end.register(one.leave)
    end.prepare()
    if fails:
        with pytest.raises(RuntimeError, match="meant to be"):
            uwsgi.atexit()
    else:
        uwsgi.atexit()
    assert order == ["others"]
    assert len(one.seconds) == 1
