"""Reading a store that some other process fills, and noticing what it writes.

Until the first whole read an evaluation fetches what it needs itself, within its deadline. After
that memory answers, and this keeps memory fresh: by asking the store for changes every few
hundredths of a second where it can tell (push), and by a whole read when the cache's time is up.
What can go wrong with a store never reaches an evaluation that has something to answer with.
"""

import logging
import math
from collections.abc import Collection

from flagkeep._sync.environment import Environment
from flagkeep._sync.interfaces import FeatureStore
from flagkeep._sync.store_health import StoreHealth
from flagkeep._sync.work import Work
from flagkeep._runtime import threads as runtime
from flagkeep.config import CachePolicy, StorePolicy
from flagkeep.errors import StoreError, StoreMissing, StoreUnavailable
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, Kind
from flagkeep.storage.availability import RETRY_AFTER
from flagkeep.storage.contents import StoreContents, as_changes
from flagkeep.storage.dataset import checked

log = logging.getLogger("flagkeep.store")

PREFETCH_AFTER = 0.05  # seconds: lets the first evaluation of a new process go first
QUIET_POLLS = 250  # so many polls without news, and the next come less often
SLOWEST_POLL = 0.05


class StoreReader:
    """Keeps an environment equal to a store.

    Attributes:
        is_usable: whether evaluations may use what was read: data was there, or, in daemon mode,
            in any case.
    """

    def __init__(
        self,
        store: FeatureStore,
        environment: Environment,
        health: StoreHealth,
        work: Work,
        *,
        policy: StorePolicy,
        cache: CachePolicy,
        needs_marker: bool,
    ) -> None:
        self._store = store
        self._environment = environment
        self._health = health
        self._work = work
        self._policy = policy
        self._cache = cache
        self._needs_marker = needs_marker
        self._saw_marker = False
        self._is_waiting = False
        self._quiet_polls = 0
        self._look_again_at = 0.0
        self.complete = runtime.Event()
        self.is_usable = not needs_marker

    def start(self) -> None:
        """Schedule the first whole read and, where the store can tell of changes, the polls."""
        if self._policy.prefetch:
            self._work.later(PREFETCH_AFTER, self._first_refresh)
        if self._pushes:
            self._work.later(PREFETCH_AFTER, self._poll)

    def hurry(self) -> None:
        """Do the first whole read now."""
        if self._policy.prefetch and not self.complete.is_set() and not self._is_waiting:
            self._is_waiting = True
            self._work.soon(self._first_refresh)

    def wait_until_read(self, timeout: float) -> bool:
        """Wait for the first whole read, at most `timeout` seconds; returns whether it worked."""
        if not self._policy.prefetch:
            return self.refresh()
        self.hurry()
        return self.complete.wait(timeout)

    def fetch(self, refs: Collection[ItemRef], deadline: float) -> ChangeSet:
        """Read some items on the caller's time.

        Args:
            deadline: on the monotonic clock; shared by all reads of one evaluation.

        Raises:
            StoreError: it failed, is known to be down, or the deadline has passed.
        """
        now = runtime.monotonic()
        if not self._health.is_worth_a_try(now):
            raise StoreUnavailable(self._store.name, "get_many", "it is known to be down")
        if now >= deadline:
            reason = f"the evaluation's {self._policy.deadline} s are over"
            raise StoreUnavailable(self._store.name, "get_many", reason)
        try:
            found = runtime.within(
                deadline - now, self._store.name, self._store.get_many, refs
            )
        except StoreError as exc:
            self._health.failed(exc)
            raise
        self._health.succeeded()
        return checked(self._environment.data, ChangeSet.partial(found))

    def look(self) -> None:
        """See whether there is data by now; at most every half second."""
        now = runtime.monotonic()
        if now >= self._look_again_at:
            self._look_again_at = now + RETRY_AFTER
            self.refresh_unless_down()

    def read_what_is_there(self) -> None:
        """Read everything once, before a source delivers; no store yet is no failure."""
        try:
            if self._store.is_initialized():
                self.refresh()
        except StoreMissing:
            log.debug("%s is not there yet; the first write makes it", self._store.name)
        except StoreError as exc:
            self._health.failed(exc)

    def refresh_unless_down(self) -> None:
        """Read everything, but not again and again from a store that is known to be down."""
        if self._health.is_worth_a_try(runtime.monotonic()):
            self.refresh()

    def refresh(self) -> bool:
        """Read everything and make memory equal to it; returns whether that worked."""
        try:
            contents = self._store.get_all()
        except StoreError as exc:
            self._health.failed(exc)
            return False
        self._health.succeeded()
        if self._policy.keep_when_wiped and self._is_wiped(contents):
            if self._health.note_wiped(is_wiped=True):
                log.error("%s has lost its data; what was read before is served", self._store.name)
        else:
            self._adopt(contents)
        return True

    @property
    def _pushes(self) -> bool:
        return self._policy.push and self._store.poll_interval is not None

    def _first_refresh(self) -> None:
        self._is_waiting = True
        if self.complete.is_set():
            return
        worked = self.refresh()
        if not worked:
            self._work.later(RETRY_AFTER, self._first_refresh)
        elif 0 < self._cache.seconds < math.inf:
            self._work.later(self._cache.seconds, self._refresh_by_age)

    def _refresh_by_age(self) -> None:
        worked = self.refresh()
        self._work.later(self._cache.seconds if worked else RETRY_AFTER, self._refresh_by_age)

    def _poll(self) -> None:
        try:
            changes = self._store.poll_changes()
            if not self._health.is_up:
                self.refresh_unless_down()
            elif changes is not None:
                self._quiet_polls = 0
                self._apply(changes.refs)
            elif self.complete.is_set():
                self._quiet_polls += 1
                self._health.succeeded()  # nothing new is news too: memory is current
        except StoreError as exc:
            self._health.failed(exc)
            self._work.later(RETRY_AFTER, self._poll)
            return
        interval = self._store.poll_interval or SLOWEST_POLL
        is_quiet = self._quiet_polls > QUIET_POLLS
        self._work.later(max(interval, SLOWEST_POLL) if is_quiet else interval, self._poll)

    def _apply(self, refs: tuple[ItemRef, ...] | None) -> None:
        if refs is None or not self.complete.is_set():
            self.refresh()
            return
        found = self._store.get_many(refs)
        if len(found) < len(refs):  # a full replace dropped some: what else did it do?
            self.refresh()
            return
        received = checked(self._environment.data, ChangeSet.partial(found))
        self._environment.update(received, newer_wins=False)

    def _adopt(self, contents: StoreContents) -> None:
        self._health.note_wiped(is_wiped=False)
        self._saw_marker = self._saw_marker or contents.initialized
        self.is_usable = contents.initialized or not self._needs_marker
        if self.is_usable:
            self._environment.replace(checked(self._environment.data, as_changes(contents)))
            self.complete.set()

    def _is_wiped(self, contents: StoreContents) -> bool:
        """Whether data that this process has seen is gone without having been deleted.

        A kind that has no items any more is a loss, unless the record of who wrote last says that
        there are none.
        """
        if not self._saw_marker or not self.complete.is_set():
            return False
        if not contents.initialized:
            return True
        known = self._environment.data
        emptied = [kind for kind in Kind if known.of(kind) and not contents.of(kind)]
        if not emptied:
            return False
        try:
            record = self._store.read_record()
        except StoreError:
            record = None
        return record is None or any(record.counts.get(kind, 0) for kind in emptied)
