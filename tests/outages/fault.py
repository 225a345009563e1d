"""One thing that happens to a store, and what clients notice of it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.outages.place import Place


class Mode(StrEnum):
    """Where the client under test has its data from."""

    DAEMON = "daemon"  # the store, which somebody else fills
    FED = "fed"  # a file; it fills the store


class Back(StrEnum):
    """What the store holds when the fault is over."""

    SAME = "same"
    EMPTY = "empty"
    OLD = "old"


@dataclass(frozen=True)
class Fault:
    """One thing that happens to a store.

    Attributes:
        place: makes where it happens, of the servers that tests share if it needs some.
        begin: makes it happen.
        end: undoes it.
        usual: the mode and the cache with which the quick tests meet it.
        stops_reads: whether a client that reads notices.
        stops_writes: whether a client that writes notices; None: that depends on how long it
            lasts.
        back: what is there afterwards.
        cold: whether the quick tests let a client start during it too.
        deadline: of an evaluation, in seconds.
        settings: of the store, beside those of its place.
        only: the modes and caches that notice it, where that is not all of them.
        noticed_within: seconds; what may pass by itself is tried again for some time.
    """

    name: str
    place: Callable[..., Place]
    begin: Callable[[Any], None]
    end: Callable[[Any], None]
    usual: tuple[Mode, str]
    stops_reads: bool = True
    stops_writes: bool | None = True
    back: Back = Back.SAME
    cold: bool = False
    deadline: float = 0.5
    settings: Mapping[str, Any] = field(default_factory=dict)
    only: frozenset[tuple[Mode, str]] = frozenset()
    noticed_within: float = 10.0

    @contextmanager
    def at(self, place: Place) -> Iterator[Callable[[], None]]:
        """Let it happen to a place; yields what ends it, if the block is to go on after that."""
        is_over = False

        def end() -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                self.end(place)

        self.begin(place)
        try:
            yield end
        finally:
            end()


DAEMON, FED = Mode.DAEMON, Mode.FED
