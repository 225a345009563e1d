"""Waiting with threads. `aio` has the same names; whoever changes one changes both.

Nothing here is awaited; everything else about a name is the same in both modules. `Lock` may be
held while waiting.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from functools import cache
from types import CoroutineType
from typing import Any, Final, Generic, ParamSpec, Protocol, TypeVar

from flagkeep._runtime import at_exit as exits
from flagkeep._runtime import fork
from flagkeep._runtime.greenlets import ThreadOfOneProcess
from flagkeep._runtime.guard import Guard

P = ParamSpec("P")
T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)

__all__ = [
    "IS_ASYNC", "SDK_NAME", "Call", "Event", "Guard", "Job", "Lock", "Task", "Worker", "at_exit",
    "beside", "both", "call_listener", "call_stage", "can_spawn", "can_spawn_in_hook", "draw",
    "here", "monotonic", "needs_pumping", "run_job", "spawn", "start_stage", "wall_time", "within",
]  # fmt: skip

log: Final = logging.getLogger("flagkeep.runtime")

monotonic = time.monotonic
wall_time = time.time
IS_ASYNC: Final = False
SDK_NAME: Final = "python-server-sdk"  # what plugins and statistics know this colour by
Lock = threading.Lock
Job = Callable[[], None]
Call = Callable[[], T]


def draw() -> float:
    """Return a random number from 0 up to 1; the children of a fork get others."""
    return int.from_bytes(os.urandom(7)) / (1 << 56)


def can_spawn() -> bool:
    """Return whether `spawn` works here: always."""
    return True


def can_spawn_in_hook() -> bool:
    """Return whether `spawn` works in the child of a fork before the fork has returned.

    Not where gevent is about: if it has replaced threads, its hub is made anew only after the fork;
    and if the child is going to replace them, a thread that runs meanwhile can block it for ever,
    both waiting for an import of the other.
    """
    return "gevent" not in sys.modules


def here() -> object:
    """Return what runs the caller: its thread."""
    return threading.current_thread()


def needs_pumping() -> bool:
    """Return whether callers must do the background's work, as no thread can.

    A worker of uWSGI before 2.0.27 holds the interpreter's lock between requests unless it is told
    not to. And where C code is about to fork there must be no threads: the child would wait for
    ever for what one of them holds.
    """
    if getattr(sys.modules.get("uwsgi"), "has_threads", 1) == 0:
        _say_that_threads_do_not_run()
        return True
    return fork.is_imminent()


@cache
def _say_that_threads_do_not_run() -> None:
    """Say it once: the workers of uWSGI inherit that it was said."""
    log.error(
        "uWSGI does not let threads run here: flag data is refreshed by the requests, on their"
        " time. Set enable-threads = true in uWSGI's configuration"
    )


def run_job(job: Job) -> None:
    """Run a job."""
    job()


class Bounded(Protocol[R_co]):
    """A read of a store that takes a timeout."""

    def __call__(self, *, timeout: float | None = None) -> R_co:
        """Return what was read."""
        ...


def within(seconds: float, store: str, operation: str, read: Bounded[T]) -> T:  # noqa: ARG001
    """Return what `read` returns; the driver bounds it."""
    return read(timeout=seconds)


def _bounded(timeout: float | None) -> float | None:
    """Return a time that threads can wait for: they refuse infinity, and over 292 years."""
    return None if timeout is None else min(timeout, threading.TIMEOUT_MAX)


class Event:
    """A flag to wait for. `set` and `clear` may be called from any thread."""

    __slots__ = ("__weakref__", "_event")

    def __init__(self) -> None:
        self._event = threading.Event()
        fork.watch(self, fork.Rank.LOCK)

    def set(self) -> None:
        """Raise the flag and wake everybody who waits for it."""
        self._event.set()

    def clear(self) -> None:
        """Lower the flag."""
        self._event.clear()

    def is_set(self) -> bool:
        """Return whether the flag is up."""
        return self._event.is_set()

    def wait(self, timeout: float | None) -> bool:
        """Wait until the flag is up, for `timeout` seconds at most; return whether it is."""
        return self._event.wait(_bounded(timeout))

    def after_fork(self) -> None:
        """Forget who waits in the parent."""
        was_up, self._event = self._event.is_set(), threading.Event()
        if was_up:
            self._event.set()


class Task:
    """Something that runs beside its starter."""

    __slots__ = ("_thread",)

    def __init__(self, thread: threading.Thread) -> None:
        self._thread = thread

    @property
    def is_orphaned(self) -> bool:
        """Whether it never will take another step though it has not ended: not a thread."""
        return False

    def join(self, timeout: float | None) -> bool:
        """Wait for its end, for `timeout` seconds at most; return whether it has ended.

        Called from the task itself it returns False at once.
        """
        if self._thread is threading.current_thread():
            return False
        self._thread.join(_bounded(timeout))
        return not self._thread.is_alive()


def spawn(name: str, fn: Callable[[], object]) -> Task:
    """Start `fn` beside the caller; what it raises is logged. The process may end before it."""

    def body() -> None:
        exits.leave_signals_to_others()
        try:
            with ThreadOfOneProcess():
                fn()
        except Exception:
            log.exception("%s ended with an error", name)

    thread = threading.Thread(target=body, name=name, daemon=True)
    thread.start()
    return Task(thread)


class Worker:
    """Where blocking work is done: here, on the calling thread."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def run(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `fn` returns."""
        return fn(*args, **kwargs)

    def finish(self, fn: Callable[[], object]) -> None:
        """Do one last thing."""
        fn()

    def close(self) -> None:
        """Let go of the thread, which here there is none of."""


def beside(size: int, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:  # noqa: ARG001
    """Return what `fn` makes of `size` bytes, here: no other thread has to wait for that."""
    return fn(*args, **kwargs)


def at_exit(
    finish: Callable[[float], None],
    complain: Callable[[float], None],  # noqa: ARG001
) -> None:
    """Call `finish` at the end of the process.

    Either is a method, not kept alive, and told how many seconds it has.
    """
    exits.register(finish)


def call_listener(fn: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call foreign code; what it raises is logged and goes no further."""
    try:
        fn(*args, **kwargs)
    except Exception:
        log.exception("a listener failed: %r", fn)


def call_stage(fn: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> Any:
    """Return what foreign code returns; what it raises is raised.

    Raises:
        TypeError: it is a coroutine function, which only the other client can call.
    """
    result = fn(*args, **kwargs)
    if isinstance(result, CoroutineType):
        result.close()
        raise TypeError("it is a coroutine function, which only AsyncClient awaits")
    return result


def start_stage(
    name: str,  # noqa: ARG001
    fn: Callable[P, object],
    *args: P.args,
    **kwargs: P.kwargs,
) -> None:
    """Call foreign code.

    Raises:
        TypeError: it is a coroutine function, which only the other client can call.
    """
    call_stage(fn, *args, **kwargs)


def both(first: Call[T], second: Call[T]) -> tuple[T, T]:
    """Return what two calls return that run at the same time: the second in a thread of its own.

    That one sees the context variables of the caller. Where no thread can run, the first goes
    first. What either raises is raised, once both have ended.
    """
    if needs_pumping():
        return first(), second()
    beside = _Beside(second)
    thread = threading.Thread(
        target=copy_context().run, args=(beside.run,), name="flagkeep-both", daemon=True
    )
    try:
        thread.start()
    except RuntimeError:  # the process has all the threads it may have, or is ending
        return first(), second()
    try:
        one = first()
    finally:
        thread.join()
    return one, beside.result()


class _Beside(Generic[T]):
    """A call on another thread, and what came of it."""

    def __init__(self, call: Call[T]) -> None:
        self._call = call
        self._results: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._results.append(self._call())
        except BaseException as exc:  # noqa: BLE001  raised again where the caller is
            self._error = exc

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._results[0]
