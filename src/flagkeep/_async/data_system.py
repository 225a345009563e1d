"""Where a client's data comes from and goes to: source -> memory -> store, or store -> memory.

Connected: what the store holds is served until the source has delivered, then memory alone
answers, and the store is filled from it. Daemon mode: the store is read and nothing is written.
The store being down stops neither the source nor the evaluations.
"""

import logging
from collections.abc import Callable
from typing import Final

from flagkeep._async.environment import AsyncEnvironment
from flagkeep._async.interfaces import AsyncDataSource, AsyncFeatureStore
from flagkeep._async.listeners import AsyncListeners, AsyncStatusListeners
from flagkeep._async.reading import AsyncReading, AsyncReadThrough
from flagkeep._async.store_health import AsyncStoreHealth
from flagkeep._async.store_reader import AsyncStoreReader
from flagkeep._async.store_writer import AsyncStoreWriter
from flagkeep._async.work import AsyncWork
from flagkeep._runtime import aio as runtime
from flagkeep._runtime import process
from flagkeep.config import Config, StorePolicy
from flagkeep.evaluation.catalog import Catalog
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import BadItem, ItemRef, Kind
from flagkeep.model.status import ClientStatus, SourceError, SourceState
from flagkeep.protocol.source_state import SourceStateMachine
from flagkeep.storage.contents import WriterRecord
from flagkeep.storage.dataset import DataSet
from flagkeep.storage.versions import raise_versions
from flagkeep.version import VERSION

log = logging.getLogger("flagkeep.client")

_UPDATED: Final = frozenset({SourceState.VALID, SourceState.OFF})


class AsyncDataSystem:
    """The data of one client, and the sink of its source.

    Attributes:
        listeners: of flag changes.
        source_listeners: of the source's status.
        settled: set once there is no point in waiting longer for the first data.
    """

    def __init__(
        self,
        config: Config,
        policy: StorePolicy,
        *,
        source: AsyncDataSource | None,
        store: AsyncFeatureStore | None,
        publish: Callable[[Catalog], None],
    ) -> None:
        self._config = config
        self._policy = policy
        self._source = source
        self._store = store
        self._publish = publish
        self._work = AsyncWork()
        self._feed: runtime.Task | None = None
        self._is_started = False
        self._machine = SourceStateMachine(runtime.wall_time())
        self.source_listeners = AsyncStatusListeners(self._work)
        self._received = False
        self._lost_touch: float | None = None
        self.settled = runtime.Event()
        self.listeners = AsyncListeners(self._work)
        self._environment = AsyncEnvironment(self._swapped, fetches=source is None)
        self.health: AsyncStoreHealth | None = None
        self._reader: AsyncStoreReader | None = None
        self._writer: AsyncStoreWriter | None = None
        if store is not None:
            self._use_store(store)

    def _use_store(self, store: AsyncFeatureStore) -> None:
        push = self._policy.push and store.poll_interval is not None and self._source is None
        self.health = AsyncStoreHealth(
            store.name, self._work, push=push, changed=self._refresh_short_way
        )
        self._reader = AsyncStoreReader(
            store,
            self._environment,
            self.health,
            self._work,
            policy=self._policy,
            cache=self._config.cache,
            needs_marker=not self._config.daemon,
        )
        if self._source is not None:
            record = WriterRecord(
                writer=process.new_writer_id(),
                host=process.host_name(),
                source=self._source.name,
                version=VERSION,
            )
            self._writer = AsyncStoreWriter(
                store, self._environment, self.health, self._work, record=record
            )

    # --- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; does nothing when it was called before."""
        if self._is_started:
            return
        self._is_started = True
        self._work.start()
        if self._source is not None:
            self._feed = runtime.spawn("flagkeep-feed", self._run_source)
        elif self._reader is not None:
            self._reader.start()

    async def wait_until_ready(self, timeout: float) -> bool:
        """Wait for data, at most `timeout` seconds; returns whether evaluations have any."""
        self.start()
        if self._source is not None:
            await self.settled.wait(timeout)
        elif self._reader is not None:
            return await self._reader.wait_until_read(timeout)
        return self.is_ready

    async def stop(self, timeout: float) -> bool:
        """End within `timeout` seconds; returns whether everything came to its end."""
        give_up = runtime.monotonic() + timeout
        if self._source is not None:
            self._source.stop()
        is_written = True
        if self._writer is not None and self.health is not None:
            is_written = await self._writer.idle.wait(timeout if self.health.is_up else 0.0)
        self._work.stop()
        ended = await self._work.join(max(0.0, give_up - runtime.monotonic()))
        if self._feed is not None:
            left = max(0.0, give_up - runtime.monotonic())
            ended = await self._feed.join(left) and ended
        if self._store is not None:
            await self._store.aclose()
        await self.report(SourceState.OFF)
        return ended and is_written

    async def _run_source(self) -> None:
        source = self._source
        if source is None:  # spawned for a source only
            return
        if self._reader is not None:
            await self._reader.read_what_is_there()  # it serves until the source delivers
        await source.run(self)

    # --- what evaluations use ------------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        """Whether evaluations use real data."""
        if self._is_too_old():
            return False
        return self._received or (self._reader is not None and self._reader.is_usable)

    @property
    def needs_long_way(self) -> bool:
        """Whether every evaluation must be looked at: the store is asked, or age counts."""
        if self._policy.max_age is not None and self.data_age() is not None:
            return True
        return self._reads_through

    @property
    def catalog(self) -> Catalog:
        """What is in memory now."""
        return self._environment.catalog

    def new_reading(self) -> AsyncReading:
        """Return what one evaluation reads from."""
        reader = None if self._source is not None else self._reader
        if self._reads_through:
            return AsyncReadThrough(self._environment, reader)
        return AsyncReading(self._environment, reader)

    async def look_for_data(self) -> None:
        """See whether the store has data by now, where nobody else would deliver any."""
        if self._reader is not None and self._source is None:
            await self._reader.look()

    async def load_all(self) -> None:
        """Make sure that memory holds everything, or has tried to."""
        if self._reader is None or self._source is not None:
            return
        if self._reads_through or not self._reader.complete.is_set():
            await self._reader.refresh_unless_down()

    @property
    def _reads_through(self) -> bool:
        return self._reader is not None and self._source is None and self._config.cache.is_off

    def _is_too_old(self) -> bool:
        if self._policy.max_age is None:
            return False
        age = self.data_age()
        return age is not None and age > self._policy.max_age

    # --- the sink of the source ----------------------------------------------------------------

    async def apply(self, changes: ChangeSet) -> None:
        """Take a change set of the source into memory, and from there into the store."""
        known = self._environment.data
        if changes.full and self._source is not None and not self._source.has_versions:
            changes = ChangeSet(
                full=True,
                flags=raise_versions(known.flags, changes.flags),
                segments=raise_versions(known.segments, changes.segments),
                bad=changes.bad,
            )
        self._received = True
        if changes.full:
            data = self._environment.replace(changes)
            # with the last good versions of bad items, which the store must not lose either
            written = ChangeSet(full=True, flags=data.flags, segments=data.segments)
        else:
            self._environment.update(changes, newer_wins=True)
            written = changes
        if self._writer is not None:
            self._writer.write(written)
        for bad in changes.bad:
            log.error("%s; its last good version stays, the others apply", bad)
        await self.report(SourceState.VALID)

    async def report(self, state: SourceState, error: SourceError | None = None) -> None:
        """Take a report of the source's health."""
        if self._source is None:
            return
        is_news = self._machine.report(state, error, runtime.wall_time())
        if state is SourceState.VALID:
            self._lost_touch = None
        elif self._lost_touch is None:
            self._lost_touch = runtime.monotonic()
        self._refresh_short_way()
        if error is not None:
            log.error("%s", error.message)
        if state in _UPDATED or not self._source.keeps_trying_to_start:
            self.settled.set()
        if is_news:
            self.source_listeners.tell(self._machine.status)

    # --- status --------------------------------------------------------------------------------

    def data_age(self) -> float | None:
        """Return seconds since the data was last known to be current; None while it is."""
        now = runtime.monotonic()
        if self._source is not None:
            return None if self._lost_touch is None else now - self._lost_touch
        if self.health is None:
            return None
        status = self.health.status()
        return status.age if not status.available or status.wiped else None

    def status(self) -> ClientStatus:
        """Return everything that is known of the health of source and store."""
        data = self._environment.data
        return ClientStatus(
            ready=self.is_ready,
            source=self._machine.status if self._source is not None else None,
            store=None if self.health is None else self.health.status(),
            bad_items=tuple(data.bad.values()),
            warnings=_warnings(self._environment.catalog),
            data_age=self.data_age(),
        )

    def _refresh_short_way(self) -> None:
        self._publish(self._environment.catalog)

    def _swapped(self, old: DataSet, new: DataSet, refs: frozenset[ItemRef]) -> None:
        self._refresh_short_way()
        self.listeners.swapped(old, new, refs, self._environment.catalog)


def _warnings(catalog: Catalog) -> tuple[BadItem, ...]:
    """Return what in the items compiled so far can never match."""
    found = []
    for flag in list(catalog.flags.values()):
        found += [BadItem(Kind.FLAG, flag.facts.key, "$", one) for one in flag.facts.problems]
    for segment in list(catalog.segments.values()):
        found += [BadItem(Kind.SEGMENT, segment.key, "$", one) for one in segment.problems]
    return tuple(found)
