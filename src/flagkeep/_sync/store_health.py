"""Whether the store of one client works: keeps count, tells listeners, logs each change once."""

import logging
import math
from collections.abc import Callable
from typing import Final

from flagkeep._sync.listeners import StatusListeners
from flagkeep._sync.work import Work
from flagkeep._runtime import threads as runtime
from flagkeep.errors import StoreError
from flagkeep.model.item import BadItem
from flagkeep.model.status import StoreStatus
from flagkeep.storage.availability import Availability
from flagkeep.storage.contents import WriterRecord

log = logging.getLogger("flagkeep.store")

_PARTIAL: Final = (
    "%s has a part of a full set only, which %s is writing or has stopped writing; it is served"
    " until the rest is there"
)


class StoreHealth:
    """The availability of a store, shared by all who use it.

    Attributes:
        listeners: of the status.
    """

    def __init__(
        self, name: str, work: Work, *, push: bool, changed: Callable[[], None]
    ) -> None:
        self._name = name
        self._changed = changed
        self._guard = runtime.Guard()
        self._availability = Availability(runtime.wall_time(), push=push)
        self.listeners = StatusListeners(work)

    @property
    def is_up(self) -> bool:
        """Whether nothing is known to fail."""
        return self._availability.is_up

    @property
    def can_read(self) -> bool:
        """Whether anybody should ask the store at all; the probe alone does so in any case."""
        return self._availability.can_read

    @property
    def is_wiped(self) -> bool:
        """Whether the store is known to have lost data."""
        return self._availability.is_wiped

    def failed(self, error: StoreError, *, writing: bool = False) -> bool:
        """Note that an operation failed; returns whether reads are no longer worth a try by it."""
        with self._guard:
            was_readable = self._availability.can_read
            is_news = self._availability.failed(
                error.reason, writing=writing, wall_now=runtime.wall_time()
            )
        if is_news:
            self._name = error.store  # the driver knows best what to call it
            log.error("%s; what is in memory is served until it works again", error)
            self._tell()
        else:
            log.debug("still: %s", error)
        return was_readable and not writing

    def succeeded(self, *, writing: bool = False) -> None:
        """Note that an operation worked."""
        if self._availability.is_up:
            self._availability.touched(runtime.monotonic())
            return
        with self._guard:
            down_for = self._availability.down_for(runtime.wall_time())
            is_news = self._availability.succeeded(
                writing=writing, now=runtime.monotonic(), wall_now=runtime.wall_time()
            )
        if is_news:
            log.warning("%s works again after %.1f s", self._name, down_for)
            self._tell()

    def note_wiped(self, *, is_wiped: bool) -> bool:
        """Note whether data was lost; returns whether that is news."""
        with self._guard:
            is_news = self._availability.note(wiped=is_wiped)
        if is_news:
            self._tell()
        return is_news

    def note_stale(self, *, is_stale: bool) -> None:
        """Note whether the store lacks what is in memory."""
        with self._guard:
            is_news = self._availability.note(stale=is_stale)
        if is_news:
            self._tell()

    def note_rolled_back(self, *, is_rolled_back: bool) -> None:
        """Note whether the store went back to older versions."""
        with self._guard:
            is_news = self._availability.note(rolled_back=is_rolled_back)
        if is_news and is_rolled_back:
            log.warning("%s has older versions than before; they are served", self._name)
        if is_news:
            self._tell()

    def note_partial(self, unfinished: WriterRecord | None) -> None:
        """Note of whom it is if what was read is a part of a full set; None: it is whole."""
        with self._guard:
            is_news = self._availability.note(partial=unfinished is not None)
        if is_news and unfinished is not None:
            log.warning(_PARTIAL, self._name, unfinished.host or unfinished.writer)
        if is_news:
            self._tell()

    def note_unstored(self, unstored: tuple[BadItem, ...]) -> None:
        """Note what the store did not take; it has said so in the log itself."""
        with self._guard:
            is_news = self._availability.note(unstored=unstored)
        if is_news:
            self._tell()

    def silent_for(self) -> float:
        """Return for how many seconds nothing has been heard of the store."""
        age = self._availability.age(runtime.monotonic())
        return math.inf if age is None else age

    def status(self) -> StoreStatus:
        """Return the state."""
        with self._guard:
            return self._availability.status(runtime.monotonic())

    def _tell(self) -> None:
        self._changed()
        self.listeners.tell(self.status())
