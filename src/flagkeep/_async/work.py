"""One queue of deadlines for everything a client does by and by: polls, writes, notices.

In threads it is the client's one `work` thread, in asyncio a task. Jobs must be short. What runs
foreign code, which may take as long as it likes, goes through `notify`: a short-lived thread of
its own, in order, so that no poll waits for somebody's listener.
"""

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from itertools import count

from flagkeep._runtime import aio as runtime

log = logging.getLogger("flagkeep.client")


class AsyncWork:
    """Runs jobs when they are due. `at`, `soon`, `notify` and `stop` may be called anywhere.

    Attributes:
        lost: set by the owner: told of that.
        is_pumped: whether there is nobody to run the jobs but who calls `run_due`.
    """

    def __init__(self) -> None:
        self._queue: list[tuple[float, int, runtime.Job]] = []  # heappush is atomic
        self._order = count()
        self._wakeup = runtime.Event()
        self._task: runtime.Task | None = None
        self._stopping = False
        self._notices: deque[runtime.Job] = deque()
        self._notice_guard = runtime.Guard()
        self._is_noticing = False
        self._is_pumping = False
        self.is_pumped = False
        self._is_lost = False
        self.lost: Callable[[], None] = lambda: None

    @property
    def is_over(self) -> bool:
        """Whether it was told to end."""
        return self._stopping

    @property
    def is_lost(self) -> bool:
        """Whether it ended without having been told to, as its event loop did."""
        return self._is_lost or (self._task is not None and self._task.is_orphaned)

    def start(self) -> None:
        """Begin; at most once in a process."""
        self.is_pumped = runtime.needs_pumping()
        if not self.is_pumped:
            self._task = runtime.spawn("flagkeep-work", self._run)

    def forget_parent(self) -> None:
        """In the child of a fork: what was to be done is the parent's to do."""
        self._queue = []
        self._task = None
        self._notices.clear()
        self._is_noticing = self._is_pumping = self._is_lost = False

    async def run_due(self, give_up: float) -> None:
        """Run what is due, on the caller's time, unless somebody else does so already.

        Args:
            give_up: on the monotonic clock; no job begins after it.
        """
        with self._notice_guard:
            if self._is_pumping:
                return
            self._is_pumping = True
        try:
            while self._queue and self._queue[0][0] <= runtime.monotonic() < give_up:
                await self._run_job(heappop(self._queue)[2])
        finally:
            self._is_pumping = False

    def at(self, due: float, job: runtime.Job) -> None:
        """Run `job` when the monotonic clock says `due`."""
        heappush(self._queue, (due, next(self._order), job))
        self._wakeup.set()

    def soon(self, job: runtime.Job) -> None:
        """Run `job` after those that are due already."""
        self.at(runtime.monotonic(), job)

    def later(self, seconds: float, job: runtime.Job) -> None:
        """Run `job` in so many seconds."""
        self.at(runtime.monotonic() + seconds, job)

    def notify(self, job: runtime.Job) -> None:
        """Run `job`, which calls foreign code, beside the queue; in order of the calls."""
        if self.is_pumped:
            self.soon(job)
            return
        with self._notice_guard:
            self._notices.append(job)
            if self._is_noticing:
                return
            self._is_noticing = True
        try:
            runtime.spawn("flagkeep-notices", self._run_notices)
        except RuntimeError:  # no more threads, as the interpreter or its machine has no room
            self.soon(self._run_notices)

    def aside(self, name: str, job: runtime.Job) -> None:
        """Run `job` now, beside the queue: it may wait for somebody else as long as it likes.

        In threads it gets a short-lived one of its own.
        """
        if self.is_pumped:
            self.soon(job)
        else:
            runtime.spawn(name, partial(self._run_job, job))

    def stop(self) -> None:
        """End after the job that is running; what is not due yet is dropped."""
        self._stopping = True
        self._wakeup.set()

    async def join(self, timeout: float) -> bool:
        """Wait for the end, at most `timeout` seconds; returns whether it came."""
        return self._task is None or await self._task.join(timeout)

    async def _run(self) -> None:
        queue = self._queue
        try:
            await self._run_jobs()
        finally:
            # after a fork it is another one's end: that of what gevent let go on in the child
            if not self._stopping and self._queue is queue:
                self._is_lost = True
                self.lost()

    async def _run_jobs(self) -> None:
        while not self._stopping:
            self._wakeup.clear()
            wait = self._queue[0][0] - runtime.monotonic() if self._queue else None
            if wait is None or wait > 0:
                await self._wakeup.wait(wait)
            else:
                await self._run_job(heappop(self._queue)[2])

    async def _run_notices(self) -> None:
        try:
            while not self._stopping:
                with self._notice_guard:
                    if not self._notices:
                        self._is_noticing = False
                        return
                    job = self._notices.popleft()
                await self._run_job(job)
        except BaseException:  # a listener has ended its thread: the next news gets another one
            self._is_noticing = False
            raise

    async def _run_job(self, job: runtime.Job) -> None:
        try:
            await runtime.run_job(job)
        except Exception:
            log.exception("a background job failed; the client goes on")
