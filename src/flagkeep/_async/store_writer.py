"""Filling a store from memory, beside the source and the evaluations.

Change sets are written in the order in which they came. After a failure single changes are no
longer worth keeping: the store gets the whole of memory as soon as it works again.
"""

import logging
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import msgspec

from flagkeep._async.environment import AsyncEnvironment
from flagkeep._async.interfaces import AsyncFeatureStore
from flagkeep._async.store_health import AsyncStoreHealth
from flagkeep._async.work import AsyncWork
from flagkeep._runtime import aio as runtime
from flagkeep._runtime import at_exit, process
from flagkeep.errors import as_store_error
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem
from flagkeep.storage.availability import RETRY_AFTER
from flagkeep.storage.contents import StoreContents, WriterRecord
from flagkeep.storage.dataset import DataSet
from flagkeep.storage.unfinished import Abandoned
from flagkeep.storage.unstored import without_place

log = logging.getLogger("flagkeep.store")

_UNWRITTEN: Final = "the process ends, and %s lacks the last changes: close the client"
_ABANDONED: Final = "%s: %s has stopped in the midst of a full set; it is written again"


class AsyncStoreWriter:
    """The one writer of a connected client.

    Attributes:
        idle: set while everything in memory is in the store.
        written: set by the owner: told what is in the store now, and what the store has in the
            place of those that were not newer.
        failed: set by the owner: told what could not be written.
    """

    def __init__(
        self,
        store: AsyncFeatureStore,
        environment: AsyncEnvironment,
        health: AsyncStoreHealth,
        work: AsyncWork,
        *,
        record: WriterRecord,
    ) -> None:
        self._store = store
        self._environment = environment
        self._health = health
        self._work = work
        self._record = record
        self._waiting: deque[ChangeSet] = deque()
        self._guard = runtime.Guard()
        self._is_waiting_to_retry = False
        self._announced = 0  # changes that are on their way from the source through memory to here
        self._wrote_at: float | None = None  # by the wall clock, as in the store's record
        self._has_record = False
        self._abandoned = Abandoned(runtime.draw())
        self.idle = runtime.Event()
        self.idle.set()
        self._owner = at_exit.this_process()  # whose end must wait; 0 once `stop` was called
        runtime.at_exit(self._finish, self._complain)
        self.written: Callable[[ChangeSet, Mapping[ItemRef, SerializedItem]], None]
        self.written = lambda _changes, _kept: None
        self.failed: Callable[[ChangeSet], None] = lambda _: None

    def forget_parent(self) -> None:
        """In the child of a fork: what waits is the parent's to write."""
        self._owner = at_exit.this_process()
        self._waiting.clear()
        self._announced = 0
        self._is_waiting_to_retry = False
        self._abandoned = Abandoned(runtime.draw())
        self._record = msgspec.structs.replace(self._record, writer=process.new_writer_id())
        self.idle.set()

    @contextmanager
    def announced(self) -> Iterator[None]:
        """Count as behind from before memory changes until that waits here to be written.

        Else somebody could see the change, close the client, and find nothing left to write.
        """
        with self._guard:
            self._announced += 1
            self.idle.clear()
        try:
            yield
        finally:
            with self._guard:
                self._announced -= 1
            self._settle()

    def write(self, changes: ChangeSet) -> None:
        """Write a change set by and by; a full one makes those before it superfluous."""
        with self._guard:
            if changes.full:
                self._waiting.clear()
            self._waiting.append(changes)
            self.idle.clear()
            is_coming = self._is_waiting_to_retry
        if not is_coming:
            self._work.soon(self._drain)

    def rewrite(self) -> None:
        """Write all of memory, if it is what a source said: the store has lost what it had."""
        if self._environment.is_of_source:
            self._health.note_stale(is_stale=True)
            self.write(self._environment.data.as_changes())

    async def compare(self) -> None:
        """Write everything again if the store has gone back behind what was last written here.

        So it does when its server comes back from an older copy. The record of the last write tells
        that something may be wrong, and then the items whether it is. And so it may when another
        writer has stopped in the midst of a full set: then readers have no more than a part of it.

        Raises:
            StoreError: it cannot be read now.
        """
        wrote_at = self._wrote_at
        if wrote_at is None or not self.idle.is_set():
            return
        record = await self._store.read_record()
        if record is not None and self._abandoned.is_due(record, runtime.monotonic()):
            log.warning(_ABANDONED, self._name, record.host or record.writer)
            self.rewrite()
            return
        changed_at = None if record is None else record.last_change
        if changed_at is None:
            if not self._has_record:  # this store keeps none
                return
        else:
            self._has_record = True
            if changed_at >= wrote_at:
                return
        contents = await self._store.get_all()
        if self._wrote_at != wrote_at or not self.idle.is_set() or contents.unfinished is not None:
            return  # somebody wrote meanwhile, or does
        self._wrote_at = changed_at  # a look at everything is enough, once
        if _is_behind(contents, self._environment.data, without_place(self._unstored)):
            log.warning("%s has older data than was written to it; it is written again", self._name)
            self.rewrite()

    async def stop(self, seconds: float) -> bool:
        """Wait until everything in memory is in the store, not at all for one that is down.

        Returns:
            Whether it is.
        """
        self._owner = 0
        return await self.idle.wait(seconds if self._health.is_up else 0.0)

    async def _finish(self, seconds: float) -> None:
        """The process ends, and nobody has called `stop`."""
        if self._owner == at_exit.this_process() and not await self.stop(seconds):
            log.warning(_UNWRITTEN, self._name)

    def _complain(self, _seconds: float) -> None:
        """The process ends, and so did whatever could call `stop`."""
        if self._owner == at_exit.this_process() and not self.idle.is_set():
            log.warning(_UNWRITTEN, self._name)

    @property
    def _name(self) -> str:
        return str(getattr(self._store, "label", self._store.name))

    @property
    def _unstored(self) -> tuple[BadItem, ...]:
        return tuple(getattr(self._store, "unstored", ()))

    async def _retry(self) -> None:
        self._is_waiting_to_retry = False
        await self._drain()

    def _first(self) -> ChangeSet | None:
        with self._guard:
            return self._waiting[0] if self._waiting else None

    async def _drain(self) -> None:
        if self._is_waiting_to_retry:
            return
        while (changes := self._first()) is not None:
            began = runtime.wall_time()
            try:
                kept: Mapping[ItemRef, SerializedItem] = {}
                if changes.full:
                    await self._store.replace(changes, self._record)
                else:
                    kept = await self._store.upsert(changes)
                unstored = self._unstored
            except Exception as exc:  # noqa: BLE001  a store may be somebody else's
                error = as_store_error(exc, self._store.name, "replace")
                self._health.failed(error, writing=True)
                self.failed(changes)
                self._health.note_stale(is_stale=True)
                self._start_over()
                self._is_waiting_to_retry = True
                self._work.later(RETRY_AFTER, self._retry)
                return
            self._wrote_at = began
            self._health.succeeded(writing=True)
            self._health.note_unstored(unstored)
            self.written(changes, kept)
            with self._guard:
                if self._waiting and self._waiting[0] is changes:
                    self._waiting.popleft()
        self._health.note_stale(is_stale=False)
        self._settle()

    def _settle(self) -> None:
        with self._guard:
            if not (self._waiting or self._announced):
                self.idle.set()

    def _start_over(self) -> None:
        """Put all of memory in the place of what waits, if it is all of what the source has.

        The source may add to it meanwhile: what it adds is in memory before, and comes after.
        """
        if not self._environment.is_of_source:
            return
        with self._guard:
            self._waiting.clear()
            self._waiting.appendleft(self._environment.data.as_changes())


def _is_behind(contents: StoreContents, data: DataSet, refused: Collection[ItemRef]) -> bool:
    """Whether a store lacks what is in memory, or has an older version of it.

    What it has `refused` is no sign of that.
    """
    for kind in Kind:
        found = contents.of(kind)
        unreadable = {bad.key for bad in contents.bad if bad.kind is kind}
        for key, item in data.of(kind).items():
            there = found.get(key)
            if there is None and (item.deleted or key in unreadable):
                continue
            is_older = there is None or there.version < item.version
            if is_older and (kind, key) not in refused:
                return True
    return False
