"""Where a store is: how other processes use it, and what a fault test needs of it."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self


class Place(ABC):
    """A real store, alone on its server or in its folder; empty at first.

    What tests do here goes around every fault, as another process would that has none.

    Attributes:
        settings: the arguments with which clients open it.
        kind: which database it is.
        pushes: whether readers learn of every change soon, whatever their cache.
    """

    kind: ClassVar[str]
    settings: dict[str, Any]
    pushes: bool

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(self, *_: object) -> None: ...

    @abstractmethod
    def write(self, generation: int) -> None:
        """Put a generation in the place of everything."""

    @abstractmethod
    def generation(self) -> int | None:
        """Return which one is there; None if there is none, or not all of one."""

    @abstractmethod
    def keep_a_copy(self) -> None:
        """Remember what is there now: some faults bring it back later."""
