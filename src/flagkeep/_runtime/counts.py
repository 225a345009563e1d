"""How often what was evaluated: every thread counts for itself, without a lock.

Rules: a thread writes to its own tally only; whoever drains takes the tally away by giving the
thread a new one, and reads the old one once more after the thread has used the new one. Then the
thread has left whatever it was doing with the old one, so that no count is ever lost, with or
without the interpreter's lock.
"""

from threading import local
from typing import Any, final
from weakref import ref

from flagkeep._runtime.guard import Guard
from flagkeep.evaluation.result import Result
from flagkeep.events.summary import Summary

Slot = tuple[str, tuple[str, ...], int | None, int | None]


@final
class Entry:
    """How often one thread saw one outcome of one flag for one kind of context.

    Attributes:
        count: of evaluations; only the thread writes it.
        last: the time of the last one, in seconds since the epoch.
        reported: how many of them are in a summary; only who drains writes it.
    """

    __slots__ = (
        "count", "default", "first", "key", "kinds", "last", "reported", "value", "variation",
        "version",
    )  # fmt: skip

    def __init__(
        self,
        key: str,
        kinds: tuple[str, ...],
        *,
        variation: int | None,
        version: int | None,
        value: Any,
        default: Any,
        now: float,
    ) -> None:
        self.key = key
        self.kinds = kinds
        self.variation = variation
        self.version = version
        self.value = value
        self.default = default
        self.first = self.last = now
        self.count = 1
        self.reported = 0


@final
class Tally:
    """What one thread has counted since the last summary.

    Attributes:
        kinds: by kind of context, and the very result, which is made once for a version of a flag.
        others: what has no such result, by what makes a counter.
    """

    __slots__ = ("kinds", "others")

    def __init__(self) -> None:
        self.kinds: dict[str, dict[Result, Entry]] = {}
        self.others: dict[Slot, Entry] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing was counted."""
        return not (self.kinds or self.others)

    def entries(self) -> list[Entry]:
        """Return everything that was counted; the thread may add to it meanwhile."""
        found = list(self.others.copy().values())
        for by_result in self.kinds.copy().values():
            found += by_result.copy().values()
        return found


@final
class Shelf:
    """Where one thread finds its tally.

    Attributes:
        tally: the one to write to.
        left: those that the thread may still be busy with.
        is_abandoned: whether the thread has ended.
    """

    __slots__ = ("is_abandoned", "left", "tally")

    def __init__(self) -> None:
        self.tally = Tally()
        self.left: list[Tally] = []
        self.is_abandoned = False


class _Token:
    """Lives as long as its thread."""

    __slots__ = ("__weakref__",)


class Counts:
    """The counts of one client.

    Attributes:
        mine: `mine.shelf` is the calling thread's; AttributeError where it has none yet.
    """

    def __init__(self) -> None:
        self.mine = local()
        self._guard = Guard()
        self._shelves: dict[int, tuple[Shelf, ref[_Token]]] = {}

    def tally(self) -> Tally:
        """Return where the calling thread counts."""
        try:
            shelf: Shelf = self.mine.shelf
        except AttributeError:
            shelf = self._new_shelf()
        return shelf.tally

    def drain(self, summary: Summary) -> None:
        """Add what was counted since the last time to `summary`."""
        with self._guard:
            for name, (shelf, _) in self._shelves.copy().items():
                is_over = shelf.is_abandoned  # first: what is counted before that is seen below
                done, current = shelf.left, shelf.tally
                if not current.is_empty:
                    shelf.tally = Tally()
                    shelf.left = [current]
                for tally in done:
                    _report(tally, summary)
                if not current.is_empty:
                    _report(current, summary)
                if is_over:
                    self._shelves.pop(name, None)

    def forget(self) -> None:
        """In the child of a fork: what was counted before is the parent's to send."""
        self._shelves = {}
        self.mine = local()

    def _new_shelf(self) -> Shelf:
        shelf, token = Shelf(), _Token()
        self.mine.shelf, self.mine.token = shelf, token

        def abandoned(_: object) -> None:
            shelf.is_abandoned = True

        self._shelves[id(shelf)] = (shelf, ref(token, abandoned))
        return shelf


def _report(tally: Tally, summary: Summary) -> None:
    for entry in tally.entries():
        count = entry.count
        new = count - entry.reported
        if new:
            entry.reported = count
            summary.add(
                entry.key,
                default=entry.default,
                kinds=entry.kinds,
                variation=entry.variation,
                version=entry.version,
                value=entry.value,
                count=new,
            )
            summary.extend(int(entry.first * 1000), int(entry.last * 1000))
