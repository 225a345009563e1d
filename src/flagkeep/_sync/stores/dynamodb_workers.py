"""How requests are made beside their askers, so that each of these waits no longer than it wants.

A request cannot be interrupted, whatever hangs. Who has no more time leaves it behind, and it goes
on by itself; who closes the store leaves them all.
"""

import math
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Generic, NamedTuple, TypeVar

from flagkeep._runtime import threads as runtime
from flagkeep._runtime import dynamodb_calls, fork
from flagkeep._runtime.dynamodb_calls import Call
from flagkeep._runtime.dynamodb_errors import TooSlow
from flagkeep._runtime.dynamodb_session import DynamoDBSession
from flagkeep.errors import StoreClosed, StoreError, StoreUnavailable

T = TypeVar("T")

# In asyncio so many requests at a time: one takes 1 ms of the interpreter's time and some more of
# the network's, so that more threads than these get no more of it done (see docs/decisions/0022).
# Who has waited for so long begins all the same, as those that are under way may be slow or hang.
_USUAL: Final = 8
_PATIENCE: Final = 0.05  # seconds
_NOTHING: Final = 0.001


class Limit(NamedTuple):
    """How long something may take.

    Attributes:
        seconds: for all of it, for errors; None: any number.
        ends: when they are over.
    """

    seconds: float | None
    ends: float


UNLIMITED: Final = Limit(None, math.inf)


class Turns:
    """Whose request may be under way; for any thread, task and event loop.

    Args:
        usual: how many there are at a time.
        most: how many there are where those take long.
    """

    def __init__(self, usual: int, most: int) -> None:
        self._usual = min(usual, most)
        self._most = most
        self._is_closed = False
        self._guard = runtime.Guard()
        self._begin()
        fork.watch(self, fork.Rank.STORE)

    def _begin(self) -> None:
        self._taken = 0
        self._waiting: deque[runtime.Event] = deque()

    def take(self, ends: float) -> bool:
        """Wait for a turn, until then at most; return whether it has come."""
        with self._guard:
            if self._taken < self._usual:
                self._taken += 1
                return True
            turn = runtime.Event()
            self._waiting.append(turn)
        try:
            while True:
                left = ends - runtime.monotonic()
                if turn.wait(max(0.0, min(left, _PATIENCE))):
                    return True
                has_come = self._decide(turn, is_over=left <= _PATIENCE)
                if has_come is not None:
                    return has_come
        except BaseException:
            if self._decide(turn, is_over=True):
                self.give()
            raise

    def give(self) -> None:
        """Let the next one have it."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._taken = max(0, self._taken - 1)  # 0 already: it was the parent's

    def is_wanted(self) -> bool:
        """Return whether somebody waits for a turn."""
        return bool(self._waiting)

    def close(self) -> None:
        """Let nobody wait much longer."""
        self._is_closed = True

    def after_fork(self) -> None:
        """Forget who asks and who waits in the parent."""
        self._begin()

    def _decide(self, turn: runtime.Event, *, is_over: bool) -> bool | None:
        """Return whether somebody who has waited has a turn; None: it waits on."""
        with self._guard:
            if turn.is_set():
                return True
            is_over = is_over or self._is_closed
            if not is_over and self._taken >= self._most:
                return None
            self._waiting.remove(turn)
            if not is_over:
                self._taken += 1
            return not is_over


class Asked(Generic[T]):
    """A request that is under way; one asker waits for its answer, or leaves it.

    Args:
        workers: who make it.
        operation: of the store, for errors.
        ask: the request.
        limit: on the answer.

    Attributes:
        call: the request.
        limit: on the answer.
    """

    __slots__ = ("_is_given_up", "_operation", "_over", "_workers", "call", "limit")

    def __init__(
        self, workers: "Workers", operation: str, ask: Callable[[float], T], limit: Limit
    ) -> None:
        self._workers = workers
        self._operation = operation
        self.limit = limit
        self._over = runtime.Event()
        self._is_given_up = False
        self.call = Call(partial(ask, limit.ends), self._end)

    def _end(self) -> None:
        self._workers.turns.give()
        self._over.set()

    def give_up(self) -> None:
        """Let nobody wait for it any more, unless it is over."""
        self._is_given_up = True
        self._over.set()

    def leave(self) -> None:
        """Do not wait for it any more."""
        self._workers.leave(self)

    def answer(self) -> T:
        """Return the answer, or raise the error.

        Raises:
            StoreError: there was none in time, or it was a refusal, or the store was closed.
        """
        call = self.call
        try:
            if not call.is_over:
                left = self.limit.ends - runtime.monotonic()
                self._over.wait(None if left == math.inf else max(0.0, left))
        finally:
            self.leave()
        if not call.is_over:
            raise self._workers.closed(self._operation) if self._is_given_up else self.late()
        try:
            return call.result()
        except TooSlow:
            raise self.late() from None

    def late(self) -> StoreError:
        """Return what to say where there was no answer in time."""
        return self._workers.session.late(self._operation, self.limit.seconds or 0.0)


class Workers:
    """Makes the requests of one session.

    Args:
        session: what they go through.
        most: how many may be under way at a time.

    Attributes:
        session: likewise.
        turns: of the requests.
    """

    def __init__(self, session: DynamoDBSession, most: int) -> None:
        self.session = session
        self.turns = Turns(_USUAL if runtime.IS_ASYNC else most, most)
        self._worker = runtime.Worker("flagkeep-dynamodb")
        # Changed in single steps, by any thread.
        self._awaited: set[Asked[Any]] = set()
        self._is_closed = False
        fork.watch(self, fork.Rank.STORE)

    def begin(
        self, operation: str, ask: Callable[[float], T], limit: Limit = UNLIMITED
    ) -> Asked[T]:
        """Begin a request; return what to wait for.

        Args:
            operation: of the store, for errors.
            ask: makes it; is told when it must be over.
            limit: on all of what it is a part of.

        Raises:
            StoreError: it could not be begun in time.
        """
        if not fork.MARK[0]:
            fork.settle()
        asked = Asked(self, operation, ask, self._bounded(limit))
        left = len(self.session.calls.left)
        if left >= dynamodb_calls.MOST_LEFT:
            reason = f"{left} earlier calls hang, in the DNS, the credentials or the table"
            raise StoreUnavailable(self.session.label, operation, reason)
        if not self.turns.take(asked.limit.ends):
            raise self.closed(operation) if self._is_closed else asked.late()
        if runtime.needs_pumping() or not self.session.calls.begin(asked.call):
            self._run_here(operation, asked.call)
            return asked
        self._awaited.add(asked)
        if self._is_closed:  # since it was looked at last
            asked.give_up()
        return asked

    def leave(self, asked: Asked[Any]) -> None:
        """Wait for a request no more; it goes on if it is not over."""
        self._awaited.discard(asked)
        self.session.calls.leave(asked.call)

    def closed(self, operation: str) -> StoreClosed:
        """Return what to say where the store was closed meanwhile."""
        return StoreClosed(self.session.label, operation)

    def work(self, fn: Callable[[], T]) -> T:
        """Return what `fn` makes of much data, beside the event loop where there is one."""
        try:
            return self._worker.run(fn)
        finally:
            if self._is_closed:  # meanwhile: what was left to do has made a thread anew
                self._worker.close()

    def close(self) -> None:
        """Tell at once whoever waits for an answer: the process may be about to end."""
        self._is_closed = True
        self.turns.close()
        for asked in list(self._awaited):
            asked.give_up()
        self._worker.close()

    def after_fork(self) -> None:
        """Forget who waits in the parent."""
        self._awaited = set()

    def _bounded(self, limit: Limit) -> Limit:
        """Return a limit with an end that is not over yet."""
        now, longest = runtime.monotonic(), self.session.longest
        if limit.seconds is not None:
            return Limit(limit.seconds, max(limit.ends, now + _NOTHING))
        return UNLIMITED if longest is None else Limit(longest, now + longest)

    def _run_here(self, operation: str, call: Call[T]) -> None:
        """Make a request on the caller's time, as no thread can be had."""
        if runtime.IS_ASYNC:
            self.turns.give()
            reason = "no thread can begin: the process has as many as it may have"
            raise StoreUnavailable(self.session.label, operation, reason)
        call.run()
        call.tell()
