"""How many requests are under way at a time: an agent takes few connections from one address."""

from collections import deque

from flagkeep._runtime import threads as runtime
from flagkeep._runtime import fork


class Turns:
    """A number of turns, taken in the order of asking; for any thread, task and event loop.

    Args:
        most: turns at a time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._guard = runtime.Guard()
        self._begin()
        fork.watch(self, fork.Rank.STORE)

    def _begin(self) -> None:
        self._free = self._most
        self._waiting: deque[runtime.Event] = deque()

    def take(self, seconds: float) -> bool:
        """Wait for a turn, so many seconds at most; return whether it has come."""
        with self._guard:
            if self._free > 0:
                self._free -= 1
                return True
            turn = runtime.Event()
            self._waiting.append(turn)
        try:
            has_come = turn.wait(seconds)
        except BaseException:
            if not self._is_withdrawn(turn):
                self.give()
            raise
        return has_come or not self._is_withdrawn(turn)

    def give(self) -> None:
        """Let the next one have it."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1

    def _is_withdrawn(self, turn: runtime.Event) -> bool:
        """Wait no more; return False if the turn has come already."""
        with self._guard:
            if turn.is_set():
                return False
            self._waiting.remove(turn)
            return True

    def after_fork(self) -> None:
        """Forget who asks and who waits in the parent."""
        self._begin()
