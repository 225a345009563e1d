"""Items that are read one by one from a store: how long they are fresh, and what stays of them.

With the cache off nothing is ever fresh, and every evaluation reads. With a cache time, an item is
answered from `catalog` until that time has passed. Whatever the cache, the last known good of every
item that was read is kept, and is the answer when a read fails. It lies in the environment's memory
where that is complete, and here where it is not.
"""

from collections.abc import Collection, Iterable, Mapping

from flagkeep._sync.environment import Environment
from flagkeep._sync.store_reader import StoreReader
from flagkeep._sync.work import Work
from flagkeep._runtime import threads as runtime
from flagkeep.errors import StoreError, StoreUnavailable
from flagkeep.evaluation.catalog import Catalog, ItemCatalog
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem
from flagkeep.storage.dataset import complaint_about
from flagkeep.storage.freshness import Freshness

Found = dict[ItemRef, SerializedItem | None]


class _Flight:
    """A read that is under way, for all who want the same items."""

    def __init__(self) -> None:
        self.landed = runtime.Event()
        self.found: Found | None = None
        self.error: StoreError | None = None


class ItemCache:
    """The items of one store as single reads found them.

    Attributes:
        caches: whether anything is ever fresh.
        catalog: what is fresh; it changes as items come and go.
        known: the last known good of what was read, where memory does not hold everything.

    Args:
        reader: of the store.
        environment: the memory beside it.
        work: where freshness ends.
        seconds: how long an item is fresh; 0: never, infinity: for ever.
        is_memory_ours: whether the memory holds what the store has, and not what a source says.
    """

    def __init__(
        self,
        reader: StoreReader,
        environment: Environment,
        work: Work,
        *,
        seconds: float,
        is_memory_ours: bool,
    ) -> None:
        self._reader = reader
        self._environment = environment
        self._work = work
        self.caches = seconds > 0
        self._is_memory_ours = is_memory_ours
        self._guard = runtime.Guard()
        self._freshness = Freshness(seconds)
        self._flights: dict[ItemRef, _Flight] = {}
        self._is_expiry_due = False
        self._replaced_at = 0
        self.known = ItemCatalog()
        self.catalog = ItemCatalog()

    @property
    def has_all(self) -> bool:
        """Whether `catalog` holds everything there is."""
        return self._freshness.has_all

    def load(self, refs: Collection[ItemRef], deadline: float) -> Found:
        """Return items as the store has them; the last known good of them if it does not answer.

        Raises:
            StoreError: the store does not answer, and one of them was never read.
        """
        if not self.caches:
            return self._read_or_remember(refs, deadline)
        with self._guard:
            found: Found = {ref: self.catalog.item(ref) for ref in refs if ref in self._freshness}
        wanted = [ref for ref in refs if ref not in found]
        return found | self._read_or_remember(wanted, deadline) if wanted else found

    def adopt(self, catalog: Catalog) -> None:
        """Give `catalog` its items compiled; they are compiled once, not at every read."""
        catalog.adopt(self._environment.catalog)
        catalog.adopt(self.known)

    def drop(self, refs: Iterable[ItemRef] | None) -> None:
        """Let these items, or all, be read again when they are wanted next."""
        with self._guard:
            # reads that are under way may bring what was there before
            for ref in list(self._flights) if refs is None else refs:
                self._flights.pop(ref, None)
            for ref in self._freshness.drop(refs):
                self.catalog.drop(ref)

    def knows_any(self, kind: Kind) -> bool:
        """Return whether anything live of this kind was read."""
        known = self.known.flag_items if kind is Kind.FLAG else self.known.segment_items
        return any(not item.deleted for item in list(known.values()))

    def take_all(self, began: int) -> None:
        """Go on from a read of everything, which memory has taken."""
        with self._guard:
            fills = self._environment.fills
            late = {ref: self.known.item(ref) for ref in fills.overlapping(began)}
            known, self.known = self.known, ItemCatalog()
        data = self._environment.data
        for kind, items in ((Kind.FLAG, known.flag_items), (Kind.SEGMENT, known.segment_items)):
            for key, item in items.items():
                ref = ItemRef(kind, key)
                if ref not in late:
                    self._environment.rollbacks.see(ref, item, data.item(ref))
        newer = {ref: item for ref, item in late.items() if item is not None}
        if newer:
            self._environment.take_some(ChangeSet.partial(newer), began)
        if self.caches:
            with self._guard:
                self._take_written(self._environment.data.as_changes(), {})

    def take_written(self, changes: ChangeSet, kept: Mapping[ItemRef, SerializedItem] = {}) -> None:
        """Take what is in the store now because it was written, or read as a whole.

        Args:
            changes: what was written.
            kept: what the store has in the place of those that were not newer.
        """
        with self._guard:
            self._take_written(changes, kept)

    def _take_written(self, changes: ChangeSet, kept: Mapping[ItemRef, SerializedItem]) -> None:
        items = {**dict(changes.items()), **kept}
        fills = self._environment.fills
        if changes.full:
            self._replaced_at = fills.begin()
            for ref in self._freshness.drop(None):
                self.catalog.drop(ref)
        if not self._is_memory_ours:
            if changes.full:
                self.known = ItemCatalog()
            for ref, item in items.items():
                self.known.put(ref, item)
            fills.ended(items)
        if self.caches:
            self._keep_fresh(items)
            self._freshness.has_all = changes.full or self._freshness.has_all

    def start(self) -> None:
        """Begin, or begin anew in the child of a fork."""
        with self._guard:
            self._flights.clear()
            self._is_expiry_due = False
            # a fork may have come in the middle of a change: nothing is fresh, all is known
            self._freshness.drop(None)
            self.catalog = ItemCatalog()

    # --- reading -------------------------------------------------------------------------------

    def _read_or_remember(self, refs: Collection[ItemRef], deadline: float) -> Found:
        try:
            if self.caches:
                return self._read_together(refs, deadline)
            return self._read(refs, deadline)
        except StoreError:
            known = self._last_known_good(refs)
            if known is None:
                raise
            return known

    def _read_together(self, refs: Collection[ItemRef], deadline: float) -> Found:
        """Read what nobody reads at this moment, and wait for what somebody does."""
        own = _Flight()
        with self._guard:
            others = {ref: self._flights[ref] for ref in refs if ref in self._flights}
            mine = [ref for ref in refs if ref not in others]
            self._flights.update(dict.fromkeys(mine, own))
        found: Found = {}
        if mine:
            try:
                found = own.found = self._read(mine, deadline, own)
            except StoreError as exc:
                own.error = exc
                raise
            finally:
                with self._guard:
                    for ref in mine:
                        if self._flights.get(ref) is own:
                            del self._flights[ref]
                own.landed.set()
        for ref, flight in others.items():
            found[ref] = (self._landed(ref, flight, deadline))[ref]
        return found

    def _landed(self, ref: ItemRef, flight: _Flight, deadline: float) -> Found:
        flight.landed.wait(max(0.0, deadline - runtime.monotonic()))
        if flight.found is not None:
            return flight.found
        if flight.error is not None:
            raise flight.error
        if flight.landed.is_set():  # its reader was cancelled
            return self._read_together((ref,), deadline)
        raise StoreUnavailable(self._reader.name, "get_many", "no answer within the deadline")

    def _read(
        self, refs: Collection[ItemRef], deadline: float, flight: _Flight | None = None
    ) -> Found:
        began = self._environment.fills.begin()
        read = self._reader.fetch(refs, deadline)
        found: Found = {}
        news: dict[ItemRef, SerializedItem] = {}
        bad: dict[ItemRef, BadItem] = {}
        vanished = []
        for ref in refs:
            item, known = read.get(ref), self._last(ref)
            if item == known:
                item = known  # the very same, so that nothing is compiled again
            elif item is None:
                if known is not None and not known.deleted:
                    vanished.append(ref)
            elif (complaint := complaint_about(ref, item)) is not None:
                bad[ref] = complaint
                item = known
            else:
                news[ref] = item
            found[ref] = item
        if vanished and self._reader.check_what_vanished(deadline):
            found.update({ref: self._last(ref) for ref in vanished})
        self._environment.note_bad(bad, [ref for ref in refs if ref not in bad])
        self._take(found, news, began, flight)
        if news:
            self._reader.note_rollbacks()
        return found

    def _take(
        self,
        found: Found,
        news: dict[ItemRef, SerializedItem],
        began: int,
        flight: _Flight | None,
    ) -> None:
        environment = self._environment
        is_in_memory = self._is_in_memory
        if is_in_memory:
            gone = [r for r, item in found.items() if item is None and environment.data.item(r)]
            if news or gone:
                environment.take_some(ChangeSet.partial(news), began, gone)
                found.update({ref: environment.data.item(ref) for ref in (*news, *gone)})
            if not self.caches:
                return
        with self._guard:
            if is_in_memory or not self._is_in_memory:
                if began < self._replaced_at:
                    return  # who knows what this read has seen of it
                if not is_in_memory:
                    self._remember(found, began)
                if self.caches:
                    fresh = {
                        ref: item
                        for ref, item in found.items()
                        if flight is None or self._flights.get(ref) is flight
                    }
                    self._keep_fresh(fresh)
                return
        self._take(found, news, began, flight)  # memory has got everything meanwhile

    @property
    def _is_in_memory(self) -> bool:
        return self._is_memory_ours and self._environment.catalog.complete

    def _remember(self, found: Found, began: int) -> None:
        """Keep the last known good; of overlapping reads the newer one."""
        fills, known = self._environment.fills, self.known
        for ref, item in list(found.items()):
            old = known.item(ref)
            if old is item and (item is not None or ref in known.absent):
                continue
            if not fills.may_fill(ref, began, old, item):
                found[ref] = old
                continue
            self._environment.rollbacks.see(ref, old, item)
            if item is not None or self.caches:
                known.put(ref, item)
            else:  # without a cache misses would pile up
                known.drop(ref)
        fills.ended([ref for ref, item in found.items() if item is not None])

    def _keep_fresh(self, found: Mapping[ItemRef, SerializedItem | None]) -> None:
        there = [ref for ref, item in found.items() if item is not None]
        missing = [ref for ref, item in found.items() if item is None]
        for ref, item in found.items():
            if item is None or self.catalog.item(ref) is not item:
                self.catalog.put(ref, item)
        for ref in self._freshness.note(there, missing, runtime.monotonic()):
            self.catalog.drop(ref)
            self.known.drop(ref)
        self._schedule_expiry()

    def _last(self, ref: ItemRef) -> SerializedItem | None:
        known, memory = self.known.item(ref), self._environment.data.item(ref)
        if known is None or (memory is not None and memory.version > known.version):
            return memory
        return known

    def _last_known_good(self, refs: Iterable[ItemRef]) -> Found | None:
        memory = self._environment.catalog
        known: Found = {}
        for ref in refs:
            if not (self.known.knows(ref) or memory.knows(ref)):
                return None
            known[ref] = self._last(ref)
        return known

    # --- the end of freshness ------------------------------------------------------------------

    def _schedule_expiry(self) -> None:
        due = self._freshness.next_expiry()
        if due is not None and not self._is_expiry_due:
            self._is_expiry_due = True
            self._work.at(due, self._expire)

    def _expire(self) -> None:
        with self._guard:
            for ref in self._freshness.expire(runtime.monotonic()):
                self.catalog.drop(ref)
                if self.known.item(ref) is None:
                    self.known.drop(ref)
            self._is_expiry_due = False
            self._schedule_expiry()
