"""Calls on other threads, which are kept for the next calls: to begin one takes as long as a call.

Any thread may use what is here at any time. What is shared is changed in single steps, so that a
fork cannot leave anything half done; the child has none of the threads and makes its own.
"""

import sys
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, Final, Generic, TypeVar

from flagkeep._runtime import at_exit as exits
from flagkeep._runtime import fork
from flagkeep._runtime.greenlets import ThreadOfOneProcess

T = TypeVar("T")

MOST_LEFT: Final = 50  # calls that hang; before there are more, the others fail at once
KEPT: Final = 8  # threads
IDLE: Final = 2.0  # seconds; then a thread ends
NAME: Final = "flagkeep-dynamodb-call"


class Call(Generic[T]):
    """Something that is done once, on another thread, and what came of it.

    Args:
        ask: is called there, with the context of whoever makes this, for those who trace calls.
        tell: is called there after that.
    """

    __slots__ = ("__weakref__", "_answers", "_ask", "_context", "_error", "_tell", "is_over")

    def __init__(self, ask: Callable[[], T], tell: Callable[[], object]) -> None:
        self._context = copy_context()
        self._ask = ask
        self._tell = tell
        self._answers: list[T] = []
        self._error: BaseException | None = None
        self.is_over = False

    def run(self) -> None:
        """Do it; what it raises is kept."""
        try:
            self._answers.append(self._context.run(self._ask))
        except BaseException as exc:  # noqa: BLE001  raised again where the caller is
            self._error = exc
        self.is_over = True

    def tell(self) -> None:
        """Say that it is over."""
        tell, self._tell = self._tell, int  # which may know this
        tell()

    def result(self) -> T:
        """Return what it has returned, or raise what it has raised."""
        error, self._error = self._error, None
        if error is None:
            return self._answers.pop()
        try:
            raise error
        finally:
            del error  # it knows this frame


class Calls:
    """The calls of one session, and its threads: each has one call at a time.

    Attributes:
        left: calls that nobody waits for any more, though they go on.
    """

    def __init__(self) -> None:
        self._idle: list[_Hand] = []
        self._is_closed = False
        self.left: set[Call[Any]] = set()
        fork.watch(self, fork.Rank.STORE)

    def begin(self, call: Call[T]) -> bool:
        """Begin a call; return whether a thread could be had."""
        if sys.is_finalizing():  # nothing wakes a thread any more
            return False
        try:
            hand = self._idle.pop()
        except IndexError:
            return self._begin_on_new(call)
        hand.call = call
        hand.wake.release()
        return True

    def leave(self, call: Call[T]) -> None:
        """Let a call go on that nobody waits for."""
        left = self.left
        if not call.is_over:
            left.add(call)
            if call.is_over:  # meanwhile
                left.discard(call)

    def close(self) -> None:
        """Let go of the threads, of those that are busy once they are not."""
        self._is_closed = True
        self._dismiss()

    def after_fork(self) -> None:
        """Forget the threads, which only the parent has."""
        self._idle, self.left = [], set()

    def _begin_on_new(self, call: Call[T]) -> bool:
        hand = _Hand(call)
        idle = self._idle
        thread = threading.Thread(target=self._work, args=(hand, idle), name=NAME, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the process has all the threads it may have, or is ending
            return False
        return True

    def _work(self, hand: "_Hand", idle: "list[_Hand]") -> None:
        exits.leave_signals_to_others()
        with ThreadOfOneProcess():
            while True:
                call, hand.call = hand.call, None
                if call is None:
                    return
                call.run()
                is_kept = len(idle) < KEPT and not self._is_closed
                if is_kept:  # before anybody is told, who may have the next call
                    idle.append(hand)
                    if self._is_closed:  # meanwhile
                        self._dismiss()
                self.left.discard(call)
                call.tell()
                del call
                if not is_kept or not hand.is_wanted(idle):
                    return

    def _dismiss(self) -> None:
        idle = self._idle
        while idle:
            try:
                hand = idle.pop()
            except IndexError:  # somebody else was faster
                return
            hand.wake.release()


class _Hand:
    """A thread.

    Attributes:
        call: what it does next; None: nothing any more.
        wake: released when there is something to do, or it has to end.
    """

    __slots__ = ("call", "wake")

    def __init__(self, call: Call[Any]) -> None:
        self.call: Call[Any] | None = call
        self.wake = threading.Lock()
        self.wake.acquire()

    def is_wanted(self, idle: "list[_Hand]") -> bool:
        """Wait; return False if nobody has wanted anything for long."""
        if self.wake.acquire(timeout=IDLE):
            return True
        try:
            idle.remove(self)
        except ValueError:  # somebody has taken it just now
            self.wake.acquire()
            return True
        return False
