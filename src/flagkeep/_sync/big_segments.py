"""Asking a Big Segment store, and knowing how far its answers can be trusted.

The store may be anybody's, and need not know of timeouts. So each question runs beside its asker,
who waits no longer than the evaluation's deadline. In threads that costs more than a good answer
takes: a store that keeps to a timeout, and has answered last time, is asked on the asker's own. All
who ask the same wait for one answer. A store that did not answer in time is asked by nobody but a
trial in the background, until that gets an answer soon enough; meanwhile evaluations use what was
known last, at once, and say STORE_ERROR.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from functools import partial
from typing import Any, Final, TypeVar

from flagkeep._sync.interfaces import BigSegmentStore
from flagkeep._sync.listeners import StatusListeners
from flagkeep._sync.readiness import make_ready
from flagkeep._sync.work import Work
from flagkeep._runtime import threads as runtime
from flagkeep._runtime import fork
from flagkeep.config import BigSegmentSettings
from flagkeep.errors import StoreError, as_store_error
from flagkeep.evaluation.inputs import Membership
from flagkeep.storage.big_segments import (
    UNAVAILABLE,
    BigSegmentMetadata,
    BigSegmentStoreStatus,
    MembershipCache,
    hash_of,
    status_of,
    trust,
)

T = TypeVar("T")

log = logging.getLogger("flagkeep.bigsegments")

LONGEST: Final = 5.0  # seconds
LONGEST_OF_ALL: Final = 600.0  # ... for questions after many that were given up
TRY_AGAIN: Final = 0.5  # seconds between two trials of a store that fell silent
REPORT_EVERY: Final = 60.0  # seconds; failures in between are logged at debug
_SHORTEST: Final = 0.001  # seconds; no store understands less
_THREAD: Final = "flagkeep-big-segments"


class _Question:
    """A question to the store, which several may wait for.

    Attributes:
        key: of the context; None asks how old the data is.
        began: on the monotonic clock.
        over: set once there is an answer or a failure.
        included: the answer to a question for a context.
    """

    __slots__ = ("began", "included", "key", "over")

    def __init__(self, key: str | None, began: float) -> None:
        self.key = key
        self.began = began
        self.over = runtime.Event()
        self.included: Mapping[str, bool] | None = None


class BigSegments:
    """The Big Segments of one client.

    Attributes:
        name: of the store.
        listeners: of its status; told of each change after the first status.
        remembered: the memberships that need no question, as inputs of an evaluation.

    Args:
        store: may be somebody else's; it is closed by `stop`. If it has a method `after_fork`,
            that is called in a child whose parent used it. If its `takes_timeout` is true, its
            methods take an argument `timeout`, and keep to it. If it has a method `prepare`, that
            is called at once: it makes ready for the first question, and must not wait.
        patience: seconds that an evaluation may wait for all that it needs.
        max_age: how long, in seconds, memberships are used while the store fails; None: for ever.
        longest: seconds after which a question is given up.
    """

    def __init__(
        self,
        store: BigSegmentStore,
        settings: BigSegmentSettings,
        work: Work,
        *,
        patience: float = 1.0,
        max_age: float | None = None,
        longest: float = LONGEST,
    ) -> None:
        own_name = getattr(store, "name", type(store).__name__)
        self.name: str = getattr(store, "label", own_name)
        self.listeners = StatusListeners(work)
        self.remembered: Mapping[str, Membership] = _Remembered(self)
        self._store = store
        self._takes_timeout: bool = getattr(store, "takes_timeout", False)
        self._settings = settings
        self._work = work
        self._too_slow = patience / 2  # seconds; who is asked when little is left is not at fault
        self._guard = runtime.Guard()
        self._cache = MembershipCache(
            settings.context_cache_size, settings.context_cache_time, max_age=max_age
        )
        self._asked: dict[str | None, _Question] = {}
        self._status: BigSegmentStoreStatus | None = None
        self._is_started = False
        self._is_first_poll = True
        self._is_silent = False
        self._suspect: str | None = None  # what it did not answer
        self._longest = self._limit = longest
        self._report_at = 0.0
        self._closed: runtime.Event | None = None
        if hasattr(store, "after_fork"):
            fork.watch(store, fork.Rank.STORE)
        make_ready(store)

    def start(self) -> None:
        """Begin to ask how old the data is; at most once in a process has an effect."""
        if not self._is_started:
            self._is_started = True
            self._is_first_poll = self._status is None
            self._work.soon(self._poll)

    def forget_parent(self) -> None:
        """In the child of a fork: what the parent asks, nobody answers here. Memory stays."""
        self._asked = {}
        self._is_started = self._is_silent = False
        self._limit = self._longest

    def stop(self, timeout: float) -> bool:
        """Close the store, within `timeout` seconds; returns whether that worked."""
        with self._guard:
            is_first, closed = self._closed is None, self._closed or runtime.Event()
            self._closed = closed
        if is_first:
            try:
                self._beside(partial(self._close, closed))
            except RuntimeError:  # the interpreter is ending
                self._close(closed)
        return closed.wait(timeout)

    # --- what evaluations ask ------------------------------------------------------------------

    def memberships(self, keys: Iterable[str], deadline: float) -> dict[str, Membership]:
        """Return what is known of these context keys; never raises for what a store does.

        Args:
            keys: of contexts; of whatever kind.
            deadline: on the monotonic clock; there is an answer by then.
        """
        keys, now = tuple(keys), runtime.monotonic()
        with self._guard:
            found = {key: self._cache.get(key, now) for key in keys}
        questions: list[_Question] = []
        if self._may_ask:
            wanted: list[str | None] = [key for key in found if found[key] is None]
            if self._status is None:
                wanted.append(None)
            ends = deadline if self._may_ask_here(wanted, deadline - now) else None
            questions = [self._ask(key, ends) for key in wanted]
        for question in questions:
            if self._wait(question, deadline) and question.key is not None:
                found[question.key] = question.included
        status = self._status
        return {key: self._membership(key, found[key], status) for key in found}

    def recall(self, key: str) -> Membership | None:
        """Return a membership that was asked for lately; None if it has to be asked for."""
        status = self._status
        if status is None:
            return None
        with self._guard:
            included = self._cache.get(key, runtime.monotonic())
        return None if included is None else Membership(trust(status, is_known=True), included)

    def fresh_keys(self) -> list[str]:
        """Return the context keys that `recall` answers."""
        with self._guard:
            fresh = self._cache.fresh_keys(runtime.monotonic())
        return [] if self._status is None else fresh

    def status(self) -> BigSegmentStoreStatus:
        """Return the state of the store; the first time, ask it."""
        if self._status is None and self._closed is None:
            question = self._ask(None)
            question.over.wait(self._longest)
        return self._status or UNAVAILABLE

    @property
    def _may_ask(self) -> bool:
        return not self._is_silent and self._closed is None

    def _may_ask_here(self, wanted: Sized, left: float) -> bool:
        """Return whether the caller asks itself, with so many seconds left.

        In asyncio it does not: a task costs little, and outlives a caller that is cancelled.
        """
        if not self._takes_timeout or self._work.is_pumped:
            return self._takes_timeout
        status = self._status
        is_well = status is not None and status.available and left > self._too_slow
        return is_well and len(wanted) == 1 and not runtime.IS_ASYNC

    def _membership(
        self, key: str, included: Mapping[str, bool] | None, status: BigSegmentStoreStatus | None
    ) -> Membership:
        is_known = included is not None
        if included is None:
            included = self._cache.last_known(key, runtime.monotonic())
        return Membership(trust(status, is_known=is_known), included)

    def _wait(self, question: _Question, deadline: float) -> bool:
        """Wait for the answer; returns whether it came."""
        left = deadline - runtime.monotonic()
        if question.over.is_set() or (left > 0 and question.over.wait(left)):
            return True
        if runtime.monotonic() - question.began >= self._too_slow:
            self._fell_silent(question)
        return False

    # --- asking --------------------------------------------------------------------------------

    def _poll(self) -> None:
        if self._closed is not None:
            return
        self._work.later(self._settings.status_poll_interval, self._poll)
        if self._is_first_poll:  # an evaluation may have been quicker
            self._is_first_poll = False
            question = self._ask(None)
        else:
            question = self._ask_anew(None)
        if not question.over.is_set():
            self._work.later(self._longest, partial(self._check, question))

    def _check(self, question: _Question) -> None:
        """Do not wait for ever to be told how old the data is."""
        if not question.over.is_set():
            self._fell_silent(question)

    def _try_again(self) -> None:
        """Ask a silent store once more what it did not answer."""
        if self._is_silent and self._closed is None:
            self._work.later(TRY_AGAIN, self._try_again)
            self._ask_anew(self._suspect)

    def _ask(self, key: str | None, ends: float | None = None) -> _Question:
        """Begin to ask, unless somebody does so, or has just got the answer.

        Args:
            key: of the context.
            ends: on the monotonic clock: until then the caller asks itself; None: beside it.
        """
        with self._guard:
            known = self._just_answered(key)
            question, is_new = (known, False) if known is not None else self._begin(key)
        return self._put(question, ends) if is_new else question

    def _ask_anew(self, key: str | None) -> _Question:
        """Begin to ask, unless somebody does so."""
        with self._guard:
            question, is_new = self._begin(key)
        return self._put(question) if is_new else question

    def _begin(self, key: str | None) -> tuple[_Question, bool]:
        """Return the question that is under way, or a new one; and whether it is new."""
        now = runtime.monotonic()
        question = self._asked.get(key)
        if question is not None:
            if now - question.began < self._limit:
                return question, False
            # Its thread may hang for ever. The longer it goes on, the fewer of them.
            self._limit = min(self._limit * 2, LONGEST_OF_ALL)
        question = self._asked[key] = _Question(key, now)
        return question, True

    def _just_answered(self, key: str | None) -> _Question | None:
        now = runtime.monotonic()
        included = None if key is None else self._cache.get(key, now)
        if included is None and (key is not None or self._status is None):
            return None
        question = _Question(key, now)
        question.included = included
        question.over.set()
        return question

    def _put(self, question: _Question, ends: float | None = None) -> _Question:
        if ends is not None:
            self._answer(question, max(_SHORTEST, ends - runtime.monotonic()))
            return question
        try:
            self._beside(partial(self._answer, question, self._longest))
        except RuntimeError as exc:  # the process has all the threads it may have, or is ending
            self._failed(question, exc)
            self._finish(question)
        return question

    def _beside(self, job: runtime.Job) -> None:
        """Run a job that may hang beside the caller; on its own time where nothing else runs."""
        if self._work.is_pumped:
            job()
        else:
            self._work.aside(_THREAD, job)

    def _answer(self, question: _Question, seconds: float) -> None:
        try:
            if question.key is None:
                self._read_metadata(question, seconds)
            else:
                self._read_membership(question, question.key, seconds)
        except Exception as exc:  # noqa: BLE001  a store may be somebody else's
            self._failed(question, exc)
        else:
            self._answered(question)
        finally:
            self._finish(question)

    def _finish(self, question: _Question) -> None:
        with self._guard:
            if self._is_current(question):
                del self._asked[question.key]
        question.over.set()

    def _read_metadata(self, question: _Question, seconds: float) -> None:
        metadata = runtime.within(
            seconds,
            self.name,
            "get_metadata",
            lambda timeout=None: self._call(self._store.get_metadata, timeout=timeout),
        )
        if not isinstance(metadata, BigSegmentMetadata):
            raise TypeError
        status = status_of(
            metadata, wall_now=runtime.wall_time(), stale_after=self._settings.stale_after
        )
        if self._is_current(question):
            self._note(status)

    def _read_membership(self, question: _Question, key: str, seconds: float) -> None:
        hashed = hash_of(key)
        included = runtime.within(
            seconds,
            self.name,
            "get_membership",
            lambda timeout=None: self._call(self._store.get_membership, hashed, timeout=timeout),
        )
        question.included = {} if included is None else dict(included)
        if self._is_current(question):
            with self._guard:
                self._cache.put(key, question.included, runtime.monotonic())

    def _call(self, method: Callable[..., T], *args: object, timeout: float | None) -> T:
        return method(*args, timeout=timeout) if self._takes_timeout else method(*args)

    def _is_current(self, question: _Question) -> bool:
        return self._asked.get(question.key) is question

    # --- how it is doing -----------------------------------------------------------------------

    def _answered(self, question: _Question) -> None:
        is_alike = (question.key is None) is (self._suspect is None)
        is_soon = runtime.monotonic() - question.began < self._too_slow
        if self._is_silent and is_alike and is_soon and self._closed is None:
            self._is_silent = False
            self._limit = self._longest
            log.warning("%s answers again", self.name)

    def _failed(self, question: _Question, exc: Exception) -> None:
        if self._closed is not None:
            return
        operation = "get_metadata" if question.key is None else "get_membership"
        error = as_store_error(exc, self.name, operation)
        if runtime.monotonic() - question.began >= self._too_slow:
            self._fell_silent(question)
        if question.key is None:
            if self._is_current(question):
                self._note(UNAVAILABLE, error)
        else:
            self._report(error)

    def _report(self, error: StoreError) -> None:
        now = runtime.monotonic()
        if now >= self._report_at:
            self._report_at = now + REPORT_EVERY
            log.error("%s; what was known last is used", error)
        else:
            log.debug("still: %s", error)

    def _fell_silent(self, question: _Question) -> None:
        """Ask no more on the time of evaluations, until it is seen to answer."""
        if question.key is None and self._is_current(question):
            self._note(UNAVAILABLE)
        with self._guard:
            if self._closed is not None or self._is_silent:
                return
            self._is_silent = True
            self._suspect = question.key
        log.error("%s does not answer; what was known last is used until it does", self.name)
        self._work.later(TRY_AGAIN, self._try_again)

    def _note(self, status: BigSegmentStoreStatus, error: StoreError | None = None) -> None:
        """Take note of the status, and tell of it if it is another one."""
        if self._closed is not None:
            return
        with self._guard:
            before, self._status = self._status, status
        if status == before:
            if error is not None:
                log.debug("still: %s", error)
            return
        if error is not None:
            log.error("%s; what was known last is used until it works again", error)
        elif status.stale:
            log.warning("%s: its data is stale: is something writing to it?", self.name)
        elif status.available and before is not None:
            log.warning("%s is up to date again", self.name)
        if before is not None:
            self.listeners.tell(status)

    def _close(self, closed: runtime.Event) -> None:
        try:
            self._store.close()
        except Exception:
            log.exception("%s could not be closed", self.name)
        finally:
            closed.set()


class _Remembered(Mapping[str, Membership]):
    """What need not be asked for, as it is in the moment in which somebody looks."""

    def __init__(self, big_segments: BigSegments) -> None:
        self._recall = big_segments.recall
        self._keys = big_segments.fresh_keys

    def get(self, key: str, default: Any = None) -> Any:
        """Return a membership, None if it has to be asked for."""
        return self._recall(key) or default

    def __getitem__(self, key: str) -> Membership:
        found = self._recall(key)
        if found is None:
            raise KeyError(key)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys())

    def __len__(self) -> int:
        return len(self._keys())
