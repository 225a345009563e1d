"""Waiting with asyncio. `threads` has the same names; whoever changes one changes both.

The only module of the package that imports asyncio, so that the sync client needs none of it.
`Lock` may be held while waiting.
"""

import asyncio
import inspect
import logging
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, ParamSpec, Protocol, TypeVar

from flagkeep._runtime import at_exit as exits
from flagkeep._runtime import fork
from flagkeep._runtime.guard import Guard
from flagkeep.errors import StoreUnavailable

P = ParamSpec("P")
T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)

__all__ = [
    "IS_ASYNC", "SDK_NAME", "Call", "Event", "Guard", "Job", "Lock", "Task", "Worker", "at_exit",
    "beside", "both", "call_listener", "call_stage", "can_spawn", "can_spawn_in_hook", "draw",
    "here", "monotonic", "needs_pumping", "run_job", "spawn", "start_stage", "wall_time", "within",
]  # fmt: skip

log: Final = logging.getLogger("flagkeep.runtime")

LARGE: Final = 256 * 1024  # bytes; to read flags out of so many takes a millisecond

monotonic = time.monotonic
wall_time = time.time
IS_ASYNC: Final = True
SDK_NAME: Final = "python-server-sdk-async"  # what plugins and statistics know this colour by
Lock = asyncio.Lock
Job = Callable[[], Awaitable[None]]
Call = Callable[[], Awaitable[T]]


def draw() -> float:
    """Return a random number from 0 up to 1; the children of a fork get others."""
    return int.from_bytes(os.urandom(7)) / (1 << 56)


def can_spawn() -> bool:
    """Return whether `spawn` works here: there is a running event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def can_spawn_in_hook() -> bool:
    """Return whether `spawn` works in the child of a fork before the fork has returned: never."""
    return False


def here() -> object:
    """Return what runs the caller: its task."""
    return asyncio.current_task()


def needs_pumping() -> bool:
    """Return whether callers must do the background's work: never, the loop runs them all."""
    return False


async def run_job(job: Job) -> None:
    """Run a job; that something it waits for was cancelled does not cancel the caller.

    Raises:
        RuntimeError: that happened.
    """
    try:
        await job()
    except asyncio.CancelledError as exc:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RuntimeError("what the job waited for was cancelled") from exc


class Bounded(Protocol[R_co]):
    """A read of a store that takes a timeout."""

    def __call__(self, *, timeout: float | None = None) -> Awaitable[R_co]:
        """Return what was read."""
        ...


async def within(seconds: float, store: str, operation: str, read: Bounded[T]) -> T:
    """Return what `read` returns, if it does so in time.

    Raises:
        StoreUnavailable: it did not; what it began is cancelled.
    """
    try:
        async with asyncio.timeout(seconds):
            return await read(timeout=seconds)
    except TimeoutError:
        reason = f"no answer within {seconds:.3f} s"
        raise StoreUnavailable(store, operation, reason) from None
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise StoreUnavailable(store, operation, "its driver cancelled it") from None


class Event:
    """A flag to wait for. `set` and `clear` may be called from any thread.

    asyncio's own may not: its `set` touches futures of a loop that runs elsewhere.
    """

    __slots__ = ("__weakref__", "_up", "_waiting")

    def __init__(self) -> None:
        self._up = False
        self._waiting: set[asyncio.Future[None]] = set()
        fork.watch(self, fork.Rank.LOCK)

    def set(self) -> None:
        """Raise the flag and wake everybody who waits for it."""
        self._up = True
        # The copy is one step under the interpreter's lock, so no waiter can slip in between.
        for future in self._waiting.copy():
            _call_in_loop_of(future, partial(_wake, future))

    def clear(self) -> None:
        """Lower the flag."""
        self._up = False

    def is_set(self) -> bool:
        """Return whether the flag is up."""
        return self._up

    async def wait(self, timeout: float | None) -> bool:
        """Wait until the flag is up, for `timeout` seconds at most; return whether it is."""
        if self._up:
            return True
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            # Whoever raised the flag before it could see `future` is seen here.
            if not self._up:
                await asyncio.wait((future,), timeout=timeout)
            return future.done() or self.is_set()
        finally:
            self._waiting.discard(future)

    def after_fork(self) -> None:
        """Forget who waits in the parent."""
        self._waiting = set()


def _call_in_loop_of(future: asyncio.Future[None], fn: Callable[[], object]) -> None:
    try:
        future.get_loop().call_soon_threadsafe(fn)
    except RuntimeError:
        log.debug("the event loop of somebody who waited has been closed")


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Task:
    """Something that runs beside its starter."""

    __slots__ = ("_task",)

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    @property
    def is_orphaned(self) -> bool:
        """Whether it never will take another step, as its event loop was closed under it."""
        return not self._task.done() and self._task.get_loop().is_closed()

    async def join(self, timeout: float | None) -> bool:
        """Wait for its end, for `timeout` seconds at most; return whether it has ended.

        Called from the task itself it returns False at once.
        """
        task, home = self._task, self._task.get_loop()
        if task is asyncio.current_task():
            return False
        if task.done() or self.is_orphaned:
            return True
        ended = Event()
        try:
            home.call_soon_threadsafe(task.add_done_callback, lambda _: ended.set())
        except RuntimeError:  # it was closed just now
            return True
        return await ended.wait(timeout)


def spawn(name: str, fn: Callable[[], Awaitable[object]]) -> Task:
    """Start `fn` beside the caller; what it raises is logged. The process may end before it."""

    async def body() -> None:
        try:
            await fn()
        except Exception:
            log.exception("%s ended with an error", name)

    return Task(asyncio.get_running_loop().create_task(body(), name=name))


class Worker:
    """Where blocking work is done: one thread of its own, made at first use.

    One thread keeps the calls in order, and is all that a driver without an asyncio form may cost.
    """

    __slots__ = ("__weakref__", "_name", "_pool")

    def __init__(self, name: str) -> None:
        self._name = name
        self._pool: ThreadPoolExecutor | None = None
        fork.watch(self, fork.Rank.LOCK)

    async def run(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `fn` returns.

        A caller that is cancelled stops waiting at once. What had begun is finished all the same,
        and the next call comes after it; what had not begun is dropped.
        """
        call = partial(fn, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._running_pool(), call)

    async def finish(self, fn: Callable[[], object]) -> None:
        """Do one last thing, even if the caller is cancelled, and let go of the thread."""
        last = self._running_pool().submit(fn)
        self.close()
        await asyncio.shield(asyncio.wrap_future(last))

    def close(self) -> None:
        """Let go of the thread once what it is doing is done; a later `run` makes a new one."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False)

    def after_fork(self) -> None:
        """Forget the thread, which only the parent has."""
        self._pool = None

    def _running_pool(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        return self._pool


async def beside(size: int, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what `fn` makes of `size` bytes; of many beside the loop, which stood still else."""
    if size < LARGE:
        return fn(*args, **kwargs)
    worker = Worker("flagkeep-read")
    try:
        return await worker.run(fn, *args, **kwargs)
    except RuntimeError:  # no more threads: then here
        return fn(*args, **kwargs)
    finally:
        worker.close()


def at_exit(
    finish: Callable[[float], Awaitable[None]],  # noqa: ARG001
    complain: Callable[[float], None],
) -> None:
    """Call `complain` at the end of the process: the event loop that could `finish` is gone then.

    Either is a method, not kept alive, and told how many seconds it has.
    """
    exits.register(complain)


async def call_listener(fn: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call foreign code, and await what it returns if it can be; what it raises is logged."""
    try:
        await call_stage(fn, *args, **kwargs)
    except Exception:
        log.exception("a listener failed: %r", fn)


async def call_stage(fn: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> Any:
    """Return what foreign code returns, awaited if it can be; what it raises is raised.

    Raises:
        RuntimeError: what it waits for was cancelled, and not the caller.
    """
    result = fn(*args, **kwargs)
    if not inspect.isawaitable(result):
        return result
    try:
        return await result
    except asyncio.CancelledError as exc:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RuntimeError("what it waits for was cancelled") from exc


def start_stage(name: str, fn: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call foreign code from a plain function; what it returns is awaited beside the caller.

    Raises:
        RuntimeError: there is something to await and no event loop here.
    """
    result = fn(*args, **kwargs)
    if not inspect.isawaitable(result):
        return
    if can_spawn():
        awaitable: Awaitable[object] = result
        spawn(name, lambda: awaitable)
        return
    if inspect.iscoroutine(result):
        result.close()
    raise RuntimeError("it has to be awaited, and no event loop runs where it was called")


async def both(first: Call[T], second: Call[T]) -> tuple[T, T]:
    """Return what two calls return that run at the same time; cancelled, both are."""
    one, other = await asyncio.gather(first(), second())
    return one, other
