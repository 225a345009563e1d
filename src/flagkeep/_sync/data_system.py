"""Where a client's data comes from and goes to: source -> memory -> store, or store -> memory.

Connected: what the store holds is served until the source has delivered, then memory alone
answers, and the store is filled from it; with `prefetch` off items are read through the store. In
daemon mode the store is read and nothing is written. The store being down stops neither the source
nor the evaluations.

In the child of a fork memory and listeners stay, and everything that works begins anew.
"""

import logging
import math
from collections.abc import Callable, Mapping
from typing import Final

from flagkeep._sync.environment import Environment
from flagkeep._sync.interfaces import DataSource, FeatureStore
from flagkeep._sync.item_cache import ItemCache
from flagkeep._sync.listeners import Listeners, StatusListeners
from flagkeep._sync.readiness import make_ready
from flagkeep._sync.reading import ItemReading
from flagkeep._sync.store_health import StoreHealth
from flagkeep._sync.store_reader import StoreReader
from flagkeep._sync.store_writer import StoreWriter
from flagkeep._sync.work import Work
from flagkeep._runtime import threads as runtime
from flagkeep._runtime import fork, process
from flagkeep.config import Config, StorePolicy
from flagkeep.evaluation.catalog import Catalog
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem
from flagkeep.model.status import ClientStatus, SourceError, SourceErrorKind, SourceState
from flagkeep.protocol.source_state import SourceStateMachine
from flagkeep.storage.availability import RETRY_AFTER
from flagkeep.storage.contents import WriterRecord
from flagkeep.storage.dataset import DataSet
from flagkeep.storage.versions import raise_versions
from flagkeep.version import VERSION

log = logging.getLogger("flagkeep.client")

MakeSource = Callable[[], DataSource]

NAMED: Final = 10  # bad items that are logged by name at a time
_UPDATED: Final = frozenset({SourceState.VALID, SourceState.OFF})


class DataSystem:
    """The data of one client, and the sink of its source.

    Attributes:
        listeners: of flag changes.
        source_listeners: of the source's status.
        abandoned: set by the owner: told that the event loop is gone in which everything ran.
        began: set by the owner: told of each beginning of the work, in the child of a fork again.
        work: the queue of everything that this client does by and by.
        settled: set once there is no point in waiting longer for the first data.
    """

    def __init__(
        self,
        config: Config,
        policy: StorePolicy,
        *,
        make_source: MakeSource | None,
        store: FeatureStore | None,
        publish: Callable[[Catalog], None],
    ) -> None:
        self._config = config
        self._policy = policy
        self._make_source = make_source
        self._source = None if make_source is None else make_source()
        self._store = store
        self._publish = publish
        self.work = Work()
        self.work.lost = self._refresh_short_way
        self._feed: runtime.Task | None = None
        self._is_started = self._lacked_threads = False
        self._try_again_at = -math.inf
        self._start_guard = runtime.Guard()
        self._publish_guard = runtime.Guard()
        self._everything: runtime.Event | None = None  # set when the whole read under way ends
        self._machine = SourceStateMachine(runtime.wall_time())
        self.source_listeners = StatusListeners(self.work)
        self._received = False
        self._lost_touch: float | None = None
        self._complained_of: set[tuple[SourceErrorKind, int | None]] = set()
        self._has_said = False
        self.settled = runtime.Event()
        self.began: Callable[[], None] = lambda: None
        self.abandoned: Callable[[], None] = lambda: None
        self.listeners = Listeners(self.work)
        self._environment = Environment(self._swapped, fetches=make_source is None)
        self._cache: ItemCache | None = None
        self.health: StoreHealth | None = None
        self._reader: StoreReader | None = None
        self._writer: StoreWriter | None = None
        if store is not None:
            self._use_store(store)

    def _use_store(self, store: FeatureStore) -> None:
        if hasattr(store, "after_fork"):
            fork.watch(store, fork.Rank.STORE)
        make_ready(store)
        push = self._policy.push and store.poll_interval is not None and self._source is None
        name = getattr(store, "label", store.name)
        self.health = StoreHealth(name, self.work, push=push, changed=self._refresh_short_way)
        self._reader = StoreReader(
            store,
            self._environment,
            self.health,
            self.work,
            policy=self._policy,
            cache=self._config.cache,
            needs_marker=not self._config.daemon,
            follows=self._source is None,
        )
        self._reader.is_listened = lambda: self.listeners.any
        if self._source is None or not self._policy.prefetch:
            self._use_cache(self._reader)
        if self._source is not None:
            record = WriterRecord(
                writer=process.new_writer_id(),
                host=process.host_name(),
                source=self._source.name,
                version=VERSION,
            )
            self._writer = StoreWriter(
                store, self._environment, self.health, self.work, record=record
            )
            self._writer.written = self._was_written
            if self._policy.repair:
                self._reader.lost = self._writer.rewrite
                self._reader.compare = self._writer.compare
            if self._cache is not None and self._config.cache.seconds == math.inf:
                self._writer.failed = self._cache.take_written

    def _was_written(self, changes: ChangeSet, kept: Mapping[ItemRef, SerializedItem]) -> None:
        if changes.full and self._reader is not None:
            self._reader.saw_marker()
        if self._cache is not None:
            self._cache.take_written(changes, kept)

    def _use_cache(self, reader: StoreReader) -> None:
        is_wanted = not self._policy.prefetch and not self._config.cache.is_off
        cache = ItemCache(
            reader,
            self._environment,
            self.work,
            seconds=self._config.cache.seconds if is_wanted else 0.0,
            is_memory_ours=self._source is None,
        )
        reader.dropped = cache.drop
        reader.took_all = cache.take_all
        reader.knows_any = cache.knows_any
        self._cache = cache

    # --- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; does nothing when it was called before."""
        if (self._is_started and not self.work.is_lost) or not self._start_work():
            return
        if fork.is_imminent():
            fork.expect()
        if self._cache is not None:
            self._cache.start()
        if self._reader is not None:
            self._reader.start()
        if self._make_source is not None and not fork.is_imminent():
            if self._source is None:
                self._source = self._make_source()
            if not self._received:  # what the store has may be of any age
                self._lost_touch = runtime.monotonic()
            self._begin_to_feed()
        self.began()
        self._refresh_short_way()

    def _start_work(self) -> bool:
        """Begin what everything else needs; returns whether it is this call that did."""
        with self._start_guard:
            if self.work.is_lost:  # with the event loop in which it ran
                self.stop_source()
                self.forget_parent()
                self.abandoned()
            if self._is_started or runtime.monotonic() < self._try_again_at:
                return False
            self._is_started = True
        try:
            self.work.start()
        except RuntimeError as exc:  # no more threads; evaluations answer from memory meanwhile
            self._is_started, self._try_again_at = False, runtime.monotonic() + RETRY_AFTER
            self._complain_of_threads(exc)
        return self._is_started

    def _begin_to_feed(self) -> None:
        try:
            self._feed = runtime.spawn("flagkeep-feed", self._run_source)
        except RuntimeError as exc:  # no more threads
            self._complain_of_threads(exc)

            def try_again() -> None:
                self._begin_to_feed()

            self.work.later(RETRY_AFTER, try_again)

    def _complain_of_threads(self, exc: RuntimeError) -> None:
        if not self._lacked_threads:
            self._lacked_threads = True
            log.error("the client cannot work in the background yet, it tries again: %s", exc)

    def pump(self, deadline: float) -> None:
        """Do on the caller's time what is due, where nobody else does it."""
        if self.work.is_pumped:
            self.work.run_due(deadline)

    def forget_parent(self) -> bool:
        """In the child of a fork: let go of all that works for the parent, so as to start anew.

        Returns:
            Whether it had been started.
        """
        was_started, self._is_started = self._is_started, False
        self.work.forget_parent()
        self.listeners.forget_parent()
        self._feed = None
        if self._make_source is not None:
            self._source = None
        if self._writer is not None:
            self._writer.forget_parent()
        self._refresh_short_way()
        return was_started

    def wait_until_ready(self, timeout: float) -> bool:
        """Wait for data, at most `timeout` seconds; returns whether evaluations have any."""
        self._try_again_at = -math.inf
        self.start()
        if self._make_source is not None:
            # before a fork nothing comes
            if not fork.is_imminent() and not self.settled.wait(timeout):
                self._say_what_is_served(timeout)
        elif self._reader is not None:
            return self._reader.wait_until_read(timeout)
        return self.is_ready

    def _say_what_is_served(self, waited: float) -> None:
        """Tell, once, who waited for a source that has said nothing yet, not even an error."""
        if self.is_ready and not self._has_said and self._machine.status.error is None:
            self._has_said = True
            log.warning(
                "nothing has come from the source in %.1f s: what the store holds is served", waited
            )

    def stop_source(self) -> None:
        """Take in nothing any more; returns at once."""
        if self._source is not None:
            self._source.stop()

    def stop(self, timeout: float) -> bool:
        """End within `timeout` seconds; returns whether everything came to its end."""
        give_up = runtime.monotonic() + timeout
        self.stop_source()
        self.pump(give_up)
        is_written = True
        if self._writer is not None:
            is_written = self._writer.stop(timeout)
        self.work.stop()
        ended = self.work.join(max(0.0, give_up - runtime.monotonic()))
        if self._feed is not None:
            left = max(0.0, give_up - runtime.monotonic())
            ended = self._feed.join(left) and ended
        if self._store is not None:
            try:
                self._store.close()
            except Exception:
                log.exception("the store could not be closed")
                ended = False
        self.report(SourceState.OFF)
        return ended and is_written

    def _run_source(self) -> None:
        source = self._source
        if source is None:  # spawned for a source only
            return
        if self._reader is not None and not self._received:
            self._read_first(self._reader)
        try:
            source.run(self)
        except Exception as exc:
            if source is not self._source:  # its event loop is gone, and another one took its place
                return
            log.exception("the source %s ended with an error; no more changes come", source.name)
            problem = f"the source ended with {type(exc).__name__}: see the log, then start anew"
            kind = SourceErrorKind.UNKNOWN
            error = SourceError(kind, problem, runtime.wall_time())
            self._complained_of.add((kind, None))
            self.report(SourceState.INTERRUPTED, error)

    def _read_first(self, reader: StoreReader) -> None:
        """Read the store: it serves until the source delivers, and its versions are gone on from.

        A store that hangs may take its time, but not the source's.
        """
        was_read = runtime.Event()

        def read() -> None:
            try:
                reader.read_what_is_there()
            finally:
                was_read.set()

        self.work.soon(read)
        was_read.wait(self._policy.deadline)

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
        if self.work.is_pumped or self.work.is_lost or not self._is_started:
            return True
        return self._cache is not None and self._config.cache.is_off

    @property
    def catalog(self) -> Catalog:
        """What is in memory now: everything, or what was read one by one."""
        if self._cache is not None and not self._environment.catalog.complete:
            return self._cache.known
        return self._environment.catalog

    def new_reading(self) -> ItemReading | None:
        """Return what one evaluation reads from, if it is not memory alone.

        While the store lacks what the source has said, memory alone knows.
        """
        if self._cache is None or self._answers_from_memory:
            return None
        if self._writer is not None and not self._writer.idle.is_set():
            return None
        return ItemReading(self._cache)

    def store_changed(self, refs: tuple[ItemRef, ...] | None) -> None:
        """Read again, on the caller's time, what somebody in this process has written."""
        if self._reader is not None and self._reader.can_read:
            self._reader.changed(refs)

    def look_for_data(self, timeout: float) -> None:
        """See whether the store has data by now, as long as nobody else has delivered any."""
        if self._reader is not None and not self._received:
            self._reader.look(timeout)

    def whole_catalog(self, timeout: float) -> Catalog:
        """Return everything, read anew where memory does not hold it."""
        if self._reader is not None and self._cache is not None and self._make_source is None:
            is_known = self._cache.has_all or self._answers_from_memory
            if not is_known and self._reader.can_read:
                self._read_everything(self._reader, timeout)
        return self._environment.catalog

    def _read_everything(self, reader: StoreReader, timeout: float) -> None:
        """Read everything, or wait for somebody else's read where there is a cache."""
        if self._config.cache.is_off:
            reader.refresh(timeout)
            return
        with self._publish_guard:
            others, own = self._everything, runtime.Event()
            if others is None:
                self._everything = own
        if others is not None:
            others.wait(timeout)
            return
        try:
            reader.refresh(timeout)
        finally:
            self._everything = None
            own.set()

    @property
    def _answers_from_memory(self) -> bool:
        """Whether memory holds everything and is kept up to date, so that nothing is read."""
        if self._config.cache.is_off or not self._policy.prefetch:
            return False
        return self._environment.catalog.complete

    def _is_too_old(self) -> bool:
        if self._policy.max_age is None:
            return False
        age = self.data_age()
        return age is not None and age > self._policy.max_age

    # --- the sink of the source ----------------------------------------------------------------

    def apply(self, changes: ChangeSet) -> None:
        """Take a change set of the source into memory, and from there into the store."""
        known = self._environment.data
        if changes.full and self._source is not None and not self._source.has_versions:
            changes = ChangeSet(
                full=True,
                flags=raise_versions(known.flags, changes.flags),
                segments=raise_versions(known.segments, changes.segments),
                bad=changes.bad,
            )
        if self._writer is None:
            self._take_in(changes)
        else:
            with self._writer.announced():
                self._writer.write(self._take_in(changes))
        _complain_of_items(changes.bad)
        if self._received:  # single items before everything else are no environment
            self.report(SourceState.VALID)

    def _take_in(self, changes: ChangeSet) -> ChangeSet:
        """Take a change set into memory; returns what the store lacks then."""
        if not changes.full:
            self._environment.update(changes)
            return changes
        # with the last good versions of bad items, which the store must not lose either
        return self._environment.replace(changes).as_changes()

    def report(self, state: SourceState, error: SourceError | None = None) -> None:
        """Take a report of the source's health."""
        if self._source is None:
            return
        if state is SourceState.VALID:
            if self._complained_of and self._lost_touch is not None:
                silent_for = runtime.monotonic() - self._lost_touch
                log.warning("the source works again after %.1f s", silent_for)
            self._lost_touch = None
            self._complained_of.clear()
        elif self._lost_touch is None:
            self._lost_touch = runtime.monotonic()
        if error is not None:
            self._complain(error)
        is_news = self._machine.report(state, error, runtime.wall_time())
        self._refresh_short_way()
        if state in _UPDATED or not self._source.keeps_trying_to_start:
            self.settled.set()
        if is_news:
            self.source_listeners.tell(self._machine.status)

    def _complain(self, error: SourceError) -> None:
        """Log a failure; each kind once, until the source works again."""
        kind = (error.kind, error.status_code)
        if kind in self._complained_of:
            log.debug("still: %s", error.message)
            return
        self._complained_of.add(kind)
        if self._received:
            served = "; what was received before is served"
        elif self._reader is not None and self._reader.is_usable:
            served = "; what the store holds is served"
        else:
            served = ""
        log.error("%s%s", error.message, served)

    # --- status --------------------------------------------------------------------------------

    def data_age(self) -> float | None:
        """Return seconds since the data was last known to be current; None while it is."""
        now = runtime.monotonic()
        if self._make_source is not None:
            return None if self._lost_touch is None else now - self._lost_touch
        if self.health is None or (self.health.is_up and not self.health.is_wiped):
            return None
        status = self.health.status()
        return status.age if not status.available or status.wiped else None

    def status(self) -> ClientStatus:
        """Return everything that is known of the health of source and store."""
        data = self._environment.data
        return ClientStatus(
            ready=self.is_ready,
            source=self._machine.status if self._make_source is not None else None,
            store=None if self.health is None else self.health.status(),
            bad_items=tuple(data.bad.values()),
            warnings=_warnings(self._environment.catalog),
            data_age=self.data_age(),
        )

    def _refresh_short_way(self) -> None:
        reads_items = self._cache is not None and not self._policy.prefetch
        with self._publish_guard:
            cache = self._cache
            self._publish(cache.catalog if cache and reads_items else self._environment.catalog)

    def _swapped(self, old: DataSet, new: DataSet, refs: frozenset[ItemRef]) -> None:
        if self._environment.is_of_source:  # here: the data is there, and nobody was told yet
            self._received = True
        self._refresh_short_way()
        self.listeners.swapped(old, new, refs, self._environment.catalog)


def _complain_of_items(bad: tuple[BadItem, ...]) -> None:
    for one in bad[:NAMED]:
        log.error("%s; its last good version stays, the others apply", one)
    if len(bad) > NAMED:
        log.error("... and %d more like that; the client's status names them", len(bad) - NAMED)


def _warnings(catalog: Catalog) -> tuple[BadItem, ...]:
    """Return what in the items compiled so far can never match."""
    found = []
    for flag in list(catalog.flags.values()):
        found += [BadItem(Kind.FLAG, flag.facts.key, "$", one) for one in flag.facts.problems]
    for segment in list(catalog.segments.values()):
        found += [BadItem(Kind.SEGMENT, segment.key, "$", one) for one in segment.problems]
    return tuple(found)
