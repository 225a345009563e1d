"""What becomes of payloads of events: which goes when, and what an answer means for it.

One payload is in flight at a time; the others wait, oldest first. An answer is one of these
(events spec, section 8):

    DELIVERED   below 300                         done
    TROUBLE     no answer, 3xx, 400, 408, 429,    kept: once more after a second, then with growing
                5xx                               waits up to a minute, under the same id, which
                                                  tells the service if it had it already
    REFUSED     401, 403                          kept: again in 5 minutes, growing to an hour, for
                                                  somebody must repair it; nothing is given up
    TOO_LARGE   413                               sent in two halves; a single event is dropped
    REJECTED    any other 4xx                     dropped

Rules: waits belong to the service, so that nothing is sent while it is in trouble; and to the
payload, so that one that the service stumbles over does not hold up the others. What waits is
bounded by bytes: the oldest gives way, never the newest. An id that was sent stands for the same
events for ever; what was never sent takes in what comes later. Whatever is dropped is counted.

Time, randomness and ids are passed in; nothing here waits.
"""

import math
from bisect import insort_left
from collections.abc import Callable
from enum import StrEnum
from typing import Final, Protocol, final

from flagkeep.events.losses import Loss, Losses

RETRY_AFTER: Final = 1.0
MAX_WAIT: Final = 60.0
MERGED_BYTES: Final = 1024 * 1024  # what waits is merged up to this size, or an eighth of the bound

_PASSING: Final = frozenset({400, 408, 429})
_REFUSALS: Final = frozenset({401, 403})
_TOO_LARGE: Final = 413


class Outcome(StrEnum):
    """What an answer means."""

    DELIVERED = "delivered"
    TROUBLE = "trouble"
    REFUSED = "refused"
    TOO_LARGE = "too_large"
    REJECTED = "rejected"


def outcome_of(status: int | None) -> Outcome:
    """Return what an HTTP status means; None: there was no answer."""
    if status is None:
        return Outcome.TROUBLE
    if status < 300:  # noqa: PLR2004  successes of any sort
        return Outcome.DELIVERED
    if status in _REFUSALS:
        return Outcome.REFUSED
    if status == _TOO_LARGE:
        return Outcome.TOO_LARGE
    is_final = 400 <= status <= 499 and status not in _PASSING  # noqa: PLR2004  all of 4xx
    return Outcome.REJECTED if is_final else Outcome.TROUBLE


class Waits(Protocol):
    """Waits that grow with each failure."""

    def next_wait(self) -> float:
        """Return how many seconds to wait after one more failure."""
        ...

    def restart(self) -> None:
        """Begin with the first wait again."""
        ...


@final
class Payload:
    """Events that are sent together.

    Attributes:
        id: tells the service whether it has had them.
        events: encoded, oldest first.
        size: bytes of them.
        flush: number of the flush that the first of them came with.
        was_sent: whether the service may have seen the id.
        failures: how often it was sent in vain.
        due: when it may be sent; on the clock that is passed in.
    """

    __slots__ = ("due", "events", "failures", "flush", "id", "size", "was_sent")

    def __init__(self, name: str, events: list[bytes], flush: int) -> None:
        self.id = name
        self.events = events
        self.size = sum(map(len, events))
        self.flush = flush
        self.was_sent = False
        self.failures = 0
        self.due = -math.inf

    def body(self) -> bytes:
        """Return what is sent: a JSON array."""
        return b"[" + b",".join(self.events) + b"]"


@final
class Delivery:
    """The payloads of one client. For one user at a time: the shell holds its guard.

    Args:
        max_bytes: of what waits; a single payload may be larger.
        new_id: makes an id that nobody else has.
        normal: waits in trouble, after the first second.
        extended: waits after a refusal.

    Attributes:
        losses: events that were dropped.
    """

    __slots__ = (
        "_extended", "_in_flight", "_is_refused", "_max_bytes", "_max_merged", "_new_id", "_normal",
        "_resume", "_waiting", "_was_in_trouble", "losses",
    )  # fmt: skip

    def __init__(
        self, max_bytes: int, *, new_id: Callable[[], str], normal: Waits, extended: Waits
    ) -> None:
        self._max_bytes = max_bytes
        self._max_merged = min(MERGED_BYTES, max_bytes // 8)
        self._new_id = new_id
        self._normal = normal
        self._extended = extended
        self._waiting: list[Payload] = []  # by number of the flush
        self._in_flight: Payload | None = None
        self._resume = -math.inf
        self._was_in_trouble = self._is_refused = False
        self.losses = Losses()

    @property
    def size(self) -> int:
        """Bytes of all events that are not delivered yet."""
        return sum(payload.size for payload in self._all())

    @property
    def events(self) -> int:
        """How many events are not delivered yet."""
        return sum(len(payload.events) for payload in self._all())

    def holds(self, flush: int) -> bool:
        """Whether there is still something of a flush or of one before it."""
        return any(payload.flush <= flush for payload in self._all())

    def offer(self, events: list[bytes], flush: int) -> int:
        """Take in the events of a flush; numbers of flushes only grow.

        Returns:
            How many older events had to give way.
        """
        if not events:
            return 0
        last = self._waiting[-1] if self._waiting else None
        size = sum(map(len, events))
        if last is not None and not last.was_sent and last.size + size <= self._max_merged:
            last.events += events
            last.size += size
        else:
            self._waiting.append(Payload(self._new_id(), events, flush))
        return self._make_room()

    def due(self) -> float | None:
        """Return when `next` has something; None: nothing waits, or something is in flight."""
        if self._in_flight is not None or not self._waiting:
            return None
        return max(self._resume, min(payload.due for payload in self._waiting))

    def next(self, now: float) -> Payload | None:
        """Return what is to be sent now, if anything: its answer must come back here.

        What is to be sent once more goes first, then what failed least.
        """
        due = self.due()
        if due is None or due > now:
            return None
        candidates = [payload for payload in self._waiting if payload.due <= now]
        chosen = min(candidates, key=lambda one: (one.failures != 1, one.failures))
        self._waiting.remove(chosen)
        chosen.was_sent = True
        self._in_flight = chosen
        return chosen

    def answered(self, status: int | None, now: float) -> Outcome:
        """Take the answer for what is in flight; None: there was none."""
        payload, self._in_flight = self._in_flight, None
        outcome = outcome_of(status)
        if payload is None:  # given up meanwhile
            return outcome
        if outcome in {Outcome.TROUBLE, Outcome.REFUSED}:
            self._keep(payload, outcome, now)
            return outcome
        self._recovered()
        if outcome is Outcome.TOO_LARGE:
            self._split(payload)
        elif outcome is Outcome.REJECTED:
            self.losses.add(Loss.REJECTED, len(payload.events))
        return outcome

    def take_back(self) -> None:
        """Let what is in flight wait again: nobody will bring its answer."""
        if self._in_flight is not None:
            self._put(self._in_flight)
            self._in_flight = None

    def hurry(self, *, in_spite_of_refusal: bool = False) -> None:
        """Let everything that waits be due once: somebody asks for it."""
        if self._is_refused and not in_spite_of_refusal:
            return
        self._resume = -math.inf
        for payload in self._waiting:
            payload.due = -math.inf

    def give_up(self) -> None:
        """Drop and count everything, in flight or not."""
        self.losses.add(Loss.UNDELIVERED, self.events)
        self._waiting = []
        self._in_flight = None

    def _all(self) -> list[Payload]:
        return self._waiting if self._in_flight is None else [*self._waiting, self._in_flight]

    def _keep(self, payload: Payload, outcome: Outcome, now: float) -> None:
        payload.failures += 1
        own = min(2.0 ** min(payload.failures - 1, 6), MAX_WAIT)
        if outcome is Outcome.REFUSED:
            self._is_refused = True
        if self._is_refused:  # trouble meanwhile does not mean that it was repaired
            wait = self._extended.next_wait()
        else:
            wait = self._normal.next_wait() if self._was_in_trouble else RETRY_AFTER
        self._was_in_trouble = True
        self._resume = now + wait
        payload.due = now + (wait if self._is_refused else max(wait, own))
        self._put(payload)
        self._make_room()

    def _put(self, payload: Payload) -> None:
        """Let it wait in its place: what is put later was sent earlier."""
        insort_left(self._waiting, payload, key=_age)

    def _recovered(self) -> None:
        self._was_in_trouble = self._is_refused = False
        self._resume = -math.inf
        self._normal.restart()
        self._extended.restart()

    def _split(self, payload: Payload) -> None:
        if len(payload.events) == 1:
            self.losses.add(Loss.TOO_LARGE)
            return
        middle = len(payload.events) // 2
        for events in payload.events[middle:], payload.events[:middle]:
            half = Payload(self._new_id(), events, payload.flush)
            self._put(half)

    def _make_room(self) -> int:
        """Drop the oldest, but never the newest; returns how many events that were."""
        before = self.losses.total
        size = self.size
        while size > self._max_bytes and len(self._waiting) > 1:
            oldest = self._waiting.pop(0)
            size -= oldest.size
            self.losses.add(Loss.BYTES, len(oldest.events))
        return self.losses.total - before


def _age(payload: Payload) -> int:
    return payload.flush
