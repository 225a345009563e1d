"""Whether the store of one client works: keeps count, tells listeners, logs each change once."""

import logging
from collections.abc import Callable

from flagkeep._async.listeners import AsyncStatusListeners
from flagkeep._async.work import AsyncWork
from flagkeep._runtime import aio as runtime
from flagkeep.errors import StoreError
from flagkeep.model.status import StoreStatus
from flagkeep.storage.availability import Availability

log = logging.getLogger("flagkeep.store")


class AsyncStoreHealth:
    """The availability of a store, shared by all who use it.

    Attributes:
        listeners: of the status.
    """

    def __init__(
        self, name: str, work: AsyncWork, *, push: bool, changed: Callable[[], None]
    ) -> None:
        self._name = name
        self._changed = changed
        self._guard = runtime.Guard()
        self._availability = Availability(runtime.wall_time(), push=push)
        self.listeners = AsyncStatusListeners(work)

    @property
    def is_up(self) -> bool:
        """Whether the last operation worked."""
        return self._availability.is_up

    def is_worth_a_try(self, now: float) -> bool:
        """Whether an evaluation should ask the store at all."""
        return self._availability.is_worth_a_try(now)

    def failed(self, error: StoreError) -> None:
        """Note that an operation failed."""
        with self._guard:
            is_news = self._availability.failed(
                error.reason, now=runtime.monotonic(), wall_now=runtime.wall_time()
            )
        if is_news:
            self._name = error.store  # the driver knows best what to call it
            log.error("%s; what is in memory is served until it works again", error)
            self._tell()
        else:
            log.debug("still: %s", error)

    def succeeded(self) -> None:
        """Note that an operation worked."""
        if self._availability.is_up:
            self._availability.succeeded(now=runtime.monotonic(), wall_now=0.0)
            return
        with self._guard:
            down_for = self._availability.down_for(runtime.wall_time())
            is_news = self._availability.succeeded(
                now=runtime.monotonic(), wall_now=runtime.wall_time()
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

    def status(self) -> StoreStatus:
        """Return the state."""
        with self._guard:
            return self._availability.status(runtime.monotonic())

    def _tell(self) -> None:
        self._changed()
        self.listeners.tell(self.status())
