"""Reading a store, noticing what changes there, and when it does not answer.

With prefetch on, memory becomes equal to the store soon after the start, and this keeps it so: by
asking for changes every few hundredths of a second where the store can tell (push), and by a whole
read when the cache's time is up. Whoever learns that something changed says so to `changed`.

A store that does not answer is asked by nobody but a probe, until that succeeds. What can go wrong
with a store never reaches an evaluation that has something to answer with.
"""

import logging
import math
from collections.abc import Callable, Collection, Mapping
from functools import partial

from flagkeep._sync.environment import Environment
from flagkeep._sync.interfaces import FeatureStore
from flagkeep._sync.store_health import StoreHealth
from flagkeep._sync.work import Work
from flagkeep._runtime import threads as runtime
from flagkeep.config import CachePolicy, StorePolicy
from flagkeep.errors import StoreError, StoreMissing, StoreUnavailable, as_store_error
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.storage.availability import HEARTBEAT, RETRY_AFTER
from flagkeep.storage.contents import (
    StoreContents,
    WriterRecord,
    as_changes,
    emptied_kinds,
    with_kept,
)
from flagkeep.storage.dataset import checked
from flagkeep.storage.unfinished import Unfinished

log = logging.getLogger("flagkeep.store")

PREFETCH_AFTER = 0.05  # seconds: lets the first evaluation of a new process go first
QUIET_POLLS = 250  # so many polls without news, and the next come less often
SLOWEST_POLL = 0.05
WRITERS_HEARTBEAT = 0.8 * HEARTBEAT  # so that a loss is noticed and made good within HEARTBEAT


class StoreReader:
    """Everything that a client reads from its store.

    Attributes:
        name: of the store.
        complete: set once memory holds what the store does.
        is_usable: whether evaluations may use what was read: data was there, or, in daemon mode,
            in any case.
        is_listened: set by the owner: whether anybody wants to know of changes.
        dropped: set by the owner: told which single items, or None for all, must be read again.
        lost: set by the owner: told that the store lost its data, or may have while it was down;
            a writer then fills it again.
        compare: set by the owner: called now and then to compare the store with what was written.
        took_all: set by the owner: told of each read of everything, and when it began.

    Args:
        follows: whether memory is to be what the store has; not if it is what a source says.
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
        follows: bool,
    ) -> None:
        self.name = getattr(store, "label", store.name)
        self._store = store
        self._environment = environment
        self._health = health
        self._work = work
        self._policy = policy
        self._cache = cache
        self._needs_marker = needs_marker
        self._follows = follows
        self._saw_marker = False
        self._is_hurrying = False
        self._is_inherited = False
        self._quiet_polls = 0
        self._look_again_at = 0.0
        self._patience: float | None = None
        self._has_marker: bool | None = None
        self._suspects: tuple[ItemRef, ...] = ()  # whose reading failed, and must work again
        self._unfinished = Unfinished(policy.deadline)
        self._awaits_whole = False
        self.knows_any: Callable[[Kind], bool] = lambda _: False
        self.complete = runtime.Event()
        self.is_usable = not needs_marker
        self.is_listened: Callable[[], bool] = lambda: False
        self.dropped: Callable[[Collection[ItemRef] | None], None] = lambda _: None
        self.took_all: Callable[[int], None] = lambda _: None
        self.lost: Callable[[], None] = lambda: None
        self.compare: runtime.Job = _nothing

    def start(self) -> None:
        """Schedule what is done by and by; in the child of a fork, again."""
        self._is_hurrying = False
        self._awaits_whole = False
        self._is_inherited = self.complete.is_set()  # and may be as old as the cache allows
        # Where callers do this work, it may take no longer than they would wait.
        self._patience = self._policy.deadline if self._work.is_pumped else None
        if self._follows:
            if self._policy.prefetch:
                self._work.later(PREFETCH_AFTER, self._prefetch)
            if self._pushes:
                self._work.later(PREFETCH_AFTER, self._poll)
        if self._refresh_interval < math.inf and (self._follows or self._serves_without_source):
            self._work.later(PREFETCH_AFTER + self._refresh_interval, self._refresh_by_age)
        self._work.later(HEARTBEAT if self._prefetches else PREFETCH_AFTER, self._heartbeat)
        if not self._health.can_read:
            self._work.soon(self._probe_until_back)

    @property
    def can_read(self) -> bool:
        """Whether the store is not known to be down."""
        return self._health.can_read

    def hurry(self) -> None:
        """Do the first whole read now."""
        if self._prefetches and not self.complete.is_set() and not self._is_hurrying:
            self._is_hurrying = True
            self._work.soon(self._prefetch)

    def wait_until_read(self, timeout: float) -> bool:
        """Wait for the first whole read, at most `timeout` seconds; returns whether it worked."""
        if not self._prefetches:
            return self._probe(timeout)
        if self._work.is_pumped:
            return self.refresh(timeout)
        self.hurry()
        return self.complete.wait(timeout)

    # --- reading on the caller's time ----------------------------------------------------------

    def fetch(
        self, refs: Collection[ItemRef], deadline: float
    ) -> dict[ItemRef, SerializedItem]:
        """Read some items.

        Args:
            deadline: on the monotonic clock; shared by all reads of one evaluation.

        Raises:
            StoreError: it failed, is known to be down, or the deadline has passed.
        """
        if not self._health.can_read:
            raise StoreUnavailable(self.name, "get_many", "it is known to be down")
        left = deadline - runtime.monotonic()
        if left <= 0:
            reason = f"the evaluation's {self._policy.deadline} s are over"
            raise StoreUnavailable(self.name, "get_many", reason)
        try:
            read = partial(self._store.get_many, refs)
            found = runtime.within(left, self.name, "get_many", read)
            _check_items(found)
        except Exception as exc:  # noqa: BLE001  a store may be somebody else's
            self._suspects = tuple(refs)
            raise self._failed(exc, "get_many") from None
        self._health.succeeded()
        self.hurry()
        return found

    def check_what_vanished(self, deadline: float) -> bool:
        """Find out whether items that are gone were lost with others; returns if memory knows.

        What the source says is the truth, whatever the store has. Without a source memory knows
        after another read of everything, unless lost data is to be forgotten.
        """
        if not self._policy.keep_when_wiped:
            return False
        if self._follows and not self._health.is_wiped:
            self.refresh(max(0.001, deadline - runtime.monotonic()))
        return True

    def look(self, timeout: float) -> None:
        """See whether there is data by now; at most every half second."""
        now = runtime.monotonic()
        if now >= self._look_again_at and self._health.can_read:
            self._look_again_at = now + RETRY_AFTER
            (self.refresh(timeout) if self._policy.prefetch else self._probe(timeout))

    def refresh(self, timeout: float | None = None) -> bool:
        """Read everything and make memory equal to it; returns whether that worked.

        Args:
            timeout: seconds that a caller waits; half of a set is better for it than nothing. None:
                nobody waits.
        """
        is_urgent = timeout is not None and not self._has_whole
        began = self._environment.fills.begin()
        timeout = timeout or self._patience
        try:
            if timeout is None:
                contents = self._store.get_all()
            else:
                read = self._store.get_all
                contents = runtime.within(timeout, self.name, "get_all", read)
            _check_contents(contents)
        except Exception as exc:  # noqa: BLE001
            self._failed(exc, "get_all")
            return False
        self._health.succeeded()
        if not self._takes(contents.unfinished, is_urgent=is_urgent):
            return True
        self._has_marker = contents.initialized
        lost = self._lost(contents, timeout) if self._policy.keep_when_wiped else ()
        if lost:
            self._saw_that_data_is_lost()
            if contents.initialized and len(lost) < len(Kind) and self.complete.is_set():
                self._take(with_kept(contents, lost, self._environment.data.as_changes()), began)
        else:
            self._adopt(contents, began)
        if contents.unfinished is None:
            self._health.note_partial(None)
        return True

    def read_what_is_there(self) -> None:
        """Read everything once, before a source delivers; no store yet is no failure."""
        try:
            if self._store.is_initialized(timeout=self._patience):
                self.saw_marker()
                if self._policy.prefetch:
                    self.refresh()
        except StoreMissing:
            log.debug("%s is not there yet; the first write makes it", self.name)
        except Exception as exc:  # noqa: BLE001
            self._failed(exc, "is_initialized")

    def saw_marker(self) -> None:
        """Take note that a full set is in the store; what memory is to hold is read first."""
        self._saw_marker = True
        if not self._serves_without_source:
            self.is_usable = True

    # --- what changed --------------------------------------------------------------------------

    def changed(self, refs: tuple[ItemRef, ...] | None) -> None:
        """Take note that these items changed in the store; None: anything may have.

        Whoever can tell calls this: the poll, the cache's time, the end of an outage.
        """
        self.dropped(refs)
        if not self._prefetches:
            return
        if refs is None or not self.complete.is_set() or self._health.is_wiped:
            self.refresh()
            return
        began = self._environment.fills.begin()
        try:
            found = self._store.get_many(refs, timeout=self._patience)
        except Exception as exc:  # noqa: BLE001
            self._failed(exc, "get_many")
            return
        if len(found) < len(refs):  # a full replace dropped some: what else did it do?
            self.refresh()
            return
        received = checked(self._environment.data, ChangeSet.partial(found))
        self._environment.take_some(received, began)
        self.note_rollbacks()

    def note_rollbacks(self) -> None:
        """Tell the status whether items have come back in older versions."""
        self._health.note_rolled_back(is_rolled_back=bool(self._environment.rollbacks))

    @property
    def _prefetches(self) -> bool:
        """Whether memory is to become equal to the store."""
        return self._follows and (self._policy.prefetch or self.is_listened())

    @property
    def _pushes(self) -> bool:
        return self._policy.push and self._store.poll_interval is not None

    @property
    def _refresh_interval(self) -> float:
        """Seconds between two whole reads; with the cache off only listeners need them."""
        return HEARTBEAT if self._cache.is_off else self._cache.seconds

    @property
    def _refreshes(self) -> bool:
        """Whether everything is read again when its time is up."""
        return self.is_listened() if self._cache.is_off else self._prefetches

    def _prefetch(self) -> None:
        self._is_hurrying = True
        is_needed = self._is_inherited or not self.complete.is_set()
        self._is_inherited = False
        if is_needed and self._health.can_read:
            self.refresh()

    def _refresh_by_age(self) -> None:
        if not self._follows:
            self._refresh_until_the_source_delivers()
            return
        self._work.later(self._refresh_interval, self._refresh_by_age)
        if self._refreshes and self._health.can_read:
            self.changed(None)

    def _refresh_until_the_source_delivers(self) -> None:
        if self._serves_without_source:
            self._work.later(self._refresh_interval, self._refresh_by_age)
            if self._saw_marker and self._health.can_read:
                self.refresh()

    def _poll(self) -> None:
        interval = self._store.poll_interval or SLOWEST_POLL
        if self._health.can_read:
            try:
                changes = self._store.poll_changes()
                if changes is not None:
                    self._quiet_polls = 0
                    self.changed(changes.refs)
                elif self.complete.is_set():
                    self._quiet_polls += 1
                    self._health.succeeded()  # nothing new is news too: memory is current
            except Exception as exc:  # noqa: BLE001
                self._failed(exc, "poll_changes")
        if self._quiet_polls > QUIET_POLLS:
            interval = max(interval, SLOWEST_POLL)
        self._work.later(interval, self._poll)

    # --- full sets in the making ---------------------------------------------------------------

    def _takes(self, unfinished: WriterRecord | None, *, is_urgent: bool) -> bool:
        """Return whether to use what was read; if it is a half, the rest is looked for.

        The status says that a half is served before it is, and no more once the rest is there.
        """
        now, has_other = runtime.monotonic(), self._has_whole
        is_taken = self._unfinished.takes(
            unfinished, now, has_other=has_other, is_urgent=is_urgent and not has_other
        )
        if unfinished is not None:
            if is_taken:
                self._health.note_partial(unfinished)
            self._await_whole_later()
        return is_taken

    @property
    def _has_whole(self) -> bool:
        """Whether memory holds a set, which is kept up to date and may go on to be served."""
        return self.complete.is_set() and (self._refreshes or not self._follows)

    def _await_whole_later(self) -> None:
        if not self._awaits_whole:
            self._awaits_whole = True
            self._work.later(self._unfinished.retry_after(runtime.monotonic()), self._await_whole)

    def _await_whole(self) -> None:
        """Read everything once nobody is replacing it any more, or has stopped in the midst."""
        self._awaits_whole = False
        if self._environment.is_of_source:  # what is served is whole, whatever the store has
            self._health.note_partial(None)
            return
        if not self._health.can_read:
            return
        try:
            record = self._store.read_record()
        except Exception as exc:  # noqa: BLE001
            self._failed(exc, "read_record")
            return
        now, has_other = runtime.monotonic(), self.complete.is_set()
        if self._unfinished.is_worth_a_look(record, now, has_other=has_other):
            self.refresh()
        else:
            self._await_whole_later()

    # --- whether it answers --------------------------------------------------------------------

    def _failed(self, exc: Exception, operation: str) -> StoreError:
        """Take note of a failure, but for those that come of our own end; returns it."""
        error = as_store_error(exc, self.name, operation)
        if not self._work.is_over and self._health.failed(error):
            self._work.later(self._probe_interval, self._probe_until_back)
        return error

    @property
    def _probe_interval(self) -> float:
        return HEARTBEAT if self._work.is_pumped else RETRY_AFTER

    def _probe_until_back(self) -> None:
        if self._health.can_read:
            return
        try:
            self._probe()
        finally:
            if not self._health.can_read:
                self._work.later(self._probe_interval, self._probe_until_back)

    def _heartbeat(self) -> None:
        """Ask a store that nobody has asked lately."""
        is_due = not self._saw_marker or self._health.silent_for() >= HEARTBEAT
        try:
            if (is_due or self._health.is_wiped or not self._follows) and self._health.can_read:
                self._probe()
        finally:
            self._work.later(self._next_heartbeat(), self._heartbeat)

    def _next_heartbeat(self) -> float:
        if self._serves_without_source and not self._saw_marker:  # somebody waits for the data
            return HEARTBEAT / 10
        if not self._follows:  # that writes work proves nothing: is what was there still there?
            return WRITERS_HEARTBEAT
        silent_for = self._health.silent_for()
        wait = HEARTBEAT - silent_for if silent_for < HEARTBEAT else HEARTBEAT
        return max(wait, HEARTBEAT / 10)

    def _probe(self, timeout: float | None = None) -> bool:
        """Ask for the marker, which costs least; returns whether there was an answer."""
        was_down = not self._health.can_read
        try:
            has_marker = self._store.is_initialized(timeout=timeout or self._patience)
            if was_down and self._suspects:  # the marker alone proves nothing
                read = partial(self._store.get_many, self._suspects)
                _check_items(
                    runtime.within(self._policy.deadline, self.name, "get_many", read)
                )
            self._suspects = ()
        except Exception as exc:  # noqa: BLE001
            if self._follows or not isinstance(exc, StoreMissing):
                self._failed(exc, "is_initialized")
                return False
            has_marker = False  # the first write makes it
        had_marker = self._saw_marker
        if has_marker:
            self.saw_marker()
        if not self._follows:
            if not self._look_after(
                has_marker=has_marker, is_new=was_down or not had_marker, was_down=was_down
            ):
                return False
        elif (
            was_down or has_marker is not self._has_marker or (has_marker and self._health.is_wiped)
        ):
            is_first, self._has_marker = self._has_marker is None, has_marker
            if is_first and not was_down and not self._prefetches:
                self._health.succeeded()
                return True
            self.dropped(None)
            if self._prefetches or has_marker is self._health.is_wiped:
                return self.refresh()
        self._health.succeeded()
        return True

    def _look_after(self, *, has_marker: bool, is_new: bool, was_down: bool) -> bool:
        """See whether the store still has what was written to it; returns whether it answers.

        Args:
            is_new: whether it is not known what the store holds.
        """
        self._note_marker(has_marker=has_marker)
        if was_down or (self._saw_marker and not has_marker):
            self.lost()
        if self._serves_without_source and has_marker and is_new:
            return self.refresh()
        if has_marker and not is_new:
            try:
                self.compare()
            except Exception as exc:  # noqa: BLE001
                self._failed(exc, "read_record")
                return False
        return True

    @property
    def _serves_without_source(self) -> bool:
        """Whether the store is all there is, as long as the source has not delivered."""
        return not self._follows and self._policy.prefetch and not self._environment.is_of_source

    def _note_marker(self, *, has_marker: bool) -> None:
        if has_marker:
            self._health.note_wiped(is_wiped=False)
        elif self._saw_marker:
            self._saw_that_data_is_lost()

    def _saw_that_data_is_lost(self) -> None:
        if self._health.note_wiped(is_wiped=True):
            log.error("%s has lost its data; what was read before is served", self.name)

    def _adopt(self, contents: StoreContents, began: int) -> None:
        self._health.note_wiped(is_wiped=False)
        self._saw_marker = self._saw_marker or contents.initialized
        self.is_usable = contents.initialized or not self._needs_marker
        if self.is_usable:
            self._take(contents, began)

    def _take(self, contents: StoreContents, began: int) -> None:
        read = checked(self._environment.data, as_changes(contents))
        self._environment.take_all(read, began)
        self.complete.set()
        self.took_all(began)
        self.note_rollbacks()

    def _lost(self, contents: StoreContents, timeout: float | None) -> Collection[Kind]:
        """Return the kinds whose items this process has seen, gone without having been deleted.

        A kind that has no items any more is a loss, unless the record of who wrote last says that
        there are none.
        """
        if not self._saw_marker:
            return ()
        if not contents.initialized:
            return tuple(Kind)
        emptied = emptied_kinds(contents, [kind for kind in Kind if self._knows_live(kind)])
        if not emptied:
            return ()
        try:
            record = runtime.within(
                timeout or self._policy.deadline,
                self.name,
                "read_record",
                lambda timeout=None: self._store.read_record(),  # noqa: ARG005
            )
        except Exception:  # noqa: BLE001
            record = None
        return [kind for kind in emptied if record is None or record.counts.get(kind, 0)]

    def _knows_live(self, kind: Kind) -> bool:
        known = self._environment.data.of(kind)
        return any(not item.deleted for item in known.values()) or self.knows_any(kind)


def _nothing() -> None:
    """Do nothing."""


def _check_items(found: Mapping[ItemRef, SerializedItem]) -> None:
    """Raise TypeError if a store of somebody else returned what is no answer."""
    for item in found.values():
        if item is not None and not isinstance(item, SerializedItem):
            raise TypeError


def _check_contents(contents: StoreContents) -> None:
    if not isinstance(contents, StoreContents):
        raise TypeError
