"""What is to be done before a process ends, in whichever way it ends.

`atexit` is enough for most: scripts, gunicorn's workers, children that were spawned. Others end
without it, and have their own way to say that the end has come:

    multiprocessing, forked      finalizers of `multiprocessing.util`, which a child begins without
    billiard, of Celery          finalizers of `billiard.util`, likewise
    a worker of Celery's pool    the signal `worker_process_shutdown`; it runs no finalizers
    uWSGI                        `uwsgi.atexit`

`os._exit` and a signal that nobody handles end a process without a word; nothing helps there.
"""

import atexit
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakMethod

from flagkeep._runtime import fork

log: Final = logging.getLogger("flagkeep.runtime")

PATIENCE: Final = 2.0  # seconds, for all duties together

_FINALIZERS: Final = ("multiprocessing.util", "billiard.util")
_LAST: Final = -1000  # priority of finalizers; queues and pools have small numbers

Duty = Callable[[float], None]


def this_process() -> int:
    """Return the number of this process: another in the child of a fork."""
    return os.getpid()


def leave_signals_to_others() -> None:
    """Let this thread, one of ours, get no signal under uWSGI, which ends the process in a handler.

    The duties would wait there for what only the thread does that they are called on.
    """
    if "uwsgi" in sys.modules and threading.get_native_id() != os.getpid():  # no greenlet of gevent
        ends = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_BLOCK, ends)


class _Exit:
    """The end of this process."""

    def __init__(self) -> None:
        self._duties: list[WeakMethod[Duty]] = []
        self._ended = 0  # the process that has come to its end
        self._hooked: set[str] = set()
        self._finalized: set[tuple[int, str]] = set()

    def register(self, duty: Duty) -> None:
        self._duties = [known for known in self._duties if known() is not None]
        self._duties.append(WeakMethod(duty))
        self.prepare()

    def prepare(self) -> None:
        """Let whoever ends this process, or a child to come, call us."""
        for name in _FINALIZERS:
            util = sys.modules.get(name)
            if util is not None and hasattr(util, "register_after_fork"):
                self._finalize(name)
                if name not in self._hooked:
                    self._hooked.add(name)
                    util.register_after_fork(self, _finalizer_of(name))
        self._hook_celery()
        self._hook_uwsgi()

    def before_fork(self) -> None:
        """Prepare for what was imported since."""
        if self._duties:
            self.prepare()

    def _finalize(self, name: str) -> None:
        known = (os.getpid(), name)
        if known not in self._finalized:
            self._finalized.add(known)
            sys.modules[name].Finalize(None, self.run, exitpriority=_LAST)

    def _hook_celery(self) -> None:
        signals = sys.modules.get("celery.signals")
        if signals is not None and "celery" not in self._hooked:
            self._hooked.add("celery")
            signals.worker_process_shutdown.connect(self._on_signal, weak=False)

    def _hook_uwsgi(self) -> None:
        uwsgi: Any = sys.modules.get("uwsgi")
        if uwsgi is None or "uwsgi" in self._hooked:
            return
        self._hooked.add("uwsgi")
        others: Callable[[], object] | None = getattr(uwsgi, "atexit", None)

        def leave() -> None:
            try:
                if others is not None:
                    others()
            finally:
                self.run()

        uwsgi.atexit = leave

    def _on_signal(self, **_: object) -> None:
        self.run()

    def run(self) -> None:
        """Do the duties, once in a process."""
        if self._ended == os.getpid():
            return
        self._ended = os.getpid()
        give_up = time.monotonic() + PATIENCE
        for method in self._duties:
            duty = method()
            if duty is None:
                continue
            try:
                duty(max(0.0, give_up - time.monotonic()))
            except Exception:
                log.exception("%r failed at the end of the process", duty)


def _finalizer_of(name: str) -> Callable[[_Exit], None]:
    def add(end: _Exit) -> None:
        end._finalized.discard((os.getpid(), name))
        end._finalize(name)

    return add


_EXIT: Final = _Exit()
fork.watch(_EXIT, fork.Rank.LOCK)
atexit.register(_EXIT.run)


def register(duty: Duty) -> None:
    """Call a method at the end of the process, in the children of this one, too.

    Args:
        duty: a bound method, which is not kept alive; it is told how many seconds it has.
    """
    _EXIT.register(duty)
