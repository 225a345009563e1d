"""Delivers events: takes them from whoever records them, and posts them one payload at a time.

What an answer means, what waits how long and what is dropped is decided in `events.delivery`. Here
is who does the posting: a short-lived thread (in asyncio a task) while there is something to post;
where threads do not run, the caller whose evaluation finds that something is due; at the end,
whoever calls `stop`. Rules: one at a time, who holds the turn; only that one takes events, so that
none is taken that nobody delivers; and who gives the turn back has looked whether anybody wants
something meanwhile.

Source: events spec, sections 1, 8 and 9.
"""

import logging
from collections.abc import Callable
from functools import partial

from flagkeep._async.event_posts import AsyncEventPosts
from flagkeep._async.work import AsyncWork
from flagkeep._runtime import aio as runtime
from flagkeep._runtime import at_exit, process
from flagkeep._runtime.http_aio import AsyncHttp
from flagkeep._runtime.legacy import Legacy
from flagkeep.config import EventSettings
from flagkeep.events.delivery import MAX_WAIT, RETRY_AFTER, Delivery, Outcome, Payload, outcome_of
from flagkeep.events.losses import Loss
from flagkeep.events.news import DeliveryNews
from flagkeep.protocol.backoff import Doubling, ExtendedBackoff
from flagkeep.protocol.http import Requester

log = logging.getLogger("flagkeep.events")

LONGEST_POST = 120.0  # seconds, for a server that answers a byte now and then


class _Turn:
    """Whoever holds it may take events and post.

    Attributes:
        give_up: no post lasts longer; on the monotonic clock.
    """

    __slots__ = ("give_up",)

    def __init__(self, give_up: float | None = None) -> None:
        self.give_up = give_up

    def is_over(self, now: float) -> bool:
        return self.give_up is not None and now >= self.give_up

    def timeout(self, now: float) -> float:
        if self.give_up is None:
            return LONGEST_POST
        return min(LONGEST_POST, max(0.001, self.give_up - now))


class _Waiter:
    """Somebody who waits for a flush.

    Attributes:
        changed: set once it is known what became of it.
        takes_turns: whether it is set for a free turn, too.
    """

    __slots__ = ("changed", "flush", "give_up", "lost_before", "takes_turns")

    def __init__(self, flush: int, give_up: float, lost_before: int) -> None:
        self.flush = flush
        self.give_up = give_up
        self.lost_before = lost_before
        self.changed = runtime.Event()
        self.takes_turns = False


class AsyncEventSender:
    """Delivers the events of one client. All but `flush` and `stop` may be called anywhere.

    Args:
        settings: where events go, and how.
        http: the connections.
        requester: who asks.
        work: the client's queue.
        take: returns the events recorded since it was last called; never raises.
        pumped_timeout: seconds that delivering may take of a caller's time, where callers do it.

    Attributes:
        requester: who asks; to be set anew in the child of a fork.
    """

    def __init__(
        self,
        settings: EventSettings,
        http: AsyncHttp,
        requester: Requester,
        work: AsyncWork,
        take: Callable[[], list[bytes]],
        *,
        pumped_timeout: float = 1.0,
    ) -> None:
        self._settings = settings
        self._posts = AsyncEventPosts(settings, http)
        self.requester = requester
        self._work = work
        self._take = take
        self._pumped_timeout = pumped_timeout
        self._guard = runtime.Guard()
        self._legacy = Legacy()
        self._is_over = False
        self._begin_anew()
        runtime.at_exit(self._finish, self._complain)

    def _begin_anew(self) -> None:
        self._delivery = Delivery(
            self._settings.max_bytes // 2,  # the other half is for what is recorded meanwhile
            new_id=process.new_uuid,
            normal=Doubling(2 * RETRY_AFTER, MAX_WAIT, runtime.draw),
            extended=ExtendedBackoff(runtime.draw),
        )
        self._news = DeliveryNews()
        self._wanted = self._taken = 0  # numbers of flushes
        self._let_go()

    def _let_go(self) -> None:
        self._turn: _Turn | None = None
        self._waiters: list[_Waiter] = []
        self._alarm: float | None = None

    # --- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to deliver in intervals; at the end of the process, too, if nobody calls `stop`."""
        self._legacy.prepare()
        self._alarm = None
        self._work.later(self._settings.flush_interval, self._tick)

    def forget_parent(self) -> bool:
        """In the child of a fork, or in another event loop: whoever was sending is not there.

        Returns:
            Whether what was recorded up to now is to be delivered here, and so may be kept. In a
            child it is not: its parent does that.
        """
        is_ours = self._legacy.is_mine()
        if is_ours:
            self._delivery.take_back()
            self._let_go()
        else:
            self._begin_anew()
        return is_ours

    @property
    def server_time_ms(self) -> int:
        """What time it was for the service when it last answered; 0: it never did."""
        return self._posts.server_time_ms

    @property
    def dropped(self) -> dict[str, int]:
        """How many events were dropped after they were taken, by reason."""
        return self._delivery.losses.as_dict()

    def flush_soon(self) -> None:
        """Deliver without waiting for the interval to pass; returns at once."""
        with self._guard:
            self._wanted += 1
        self._work.soon(self._begin)

    async def flush(self, timeout: float) -> bool:
        """Deliver what was recorded so far, within `timeout` seconds.

        Returns:
            Whether the service has it all. If not it is kept, and sent again, unless it was
            refused for good. It may be known before the time is up.
        """
        with self._guard:
            if self._is_over:
                return False
            self._delivery.hurry()
            waiter = self._new_waiter(timeout)
        try:
            if self._work.is_pumped:
                await self._send_until(waiter.give_up)
            else:
                self._work.soon(self._begin)
                await waiter.changed.wait(timeout)
        finally:
            self._leave(waiter)
        with self._guard:
            return self._is_delivered(waiter)

    async def stop(self, timeout: float) -> dict[str, int]:
        """Deliver what there is within `timeout` seconds, and end.

        Returns:
            How many events were lost ever since, by reason. Calling it again returns the same.
        """
        with self._guard:
            self._delivery.hurry(in_spite_of_refusal=True)
            waiter = self._new_waiter(timeout)
            waiter.takes_turns = True
        try:
            while not self._is_over:
                await self._send_until(waiter.give_up)
                waiter.changed.clear()
                now = runtime.monotonic()
                with self._guard:
                    is_done = self._is_settled(waiter) or now >= waiter.give_up
                    due = self._delivery.due() or waiter.give_up
                if is_done:
                    break
                await waiter.changed.wait(max(0.0, min(due, waiter.give_up) - now))
        finally:
            self._leave(waiter)
        self._end()
        return self.dropped

    def post_diagnostic(self, body: bytes) -> None:
        """Post a diagnostic event beside the queue: at most twice, whatever the answer."""
        self._aside_diagnostic(body, 2)

    def _aside_diagnostic(self, body: bytes, tries: int) -> None:
        post = partial(self._post_diagnostic, body, tries)
        self._work.aside("flagkeep-diagnostics", post)

    async def _finish(self, seconds: float) -> None:
        """The process ends, and nobody has called `stop`."""
        if self._is_at_work:
            lost = sum((await self.stop(seconds)).values())
            if lost:
                log.warning("the process ends, and %d events are lost: close the client", lost)

    def _complain(self, _seconds: float) -> None:
        """The process ends, and so did whatever could call `stop`."""
        if self._is_at_work:
            lost = self._delivery.events + len(self._take())
            if lost:
                log.warning("the process ends, and %d events are lost: call aclose()", lost)

    @property
    def _is_at_work(self) -> bool:
        """Whether events of this very process may be waiting."""
        return not self._is_over and self._legacy.process == at_exit.this_process()

    # --- turns ---------------------------------------------------------------------------------

    async def _tick(self) -> None:
        if self._is_over:
            return
        self._work.later(self._settings.flush_interval, self._tick)
        with self._guard:
            self._wanted += 1
        await self._begin()

    async def _ring(self) -> None:
        """A payload is due that had to wait."""
        self._alarm = None
        await self._begin()

    async def _begin(self) -> None:
        """Begin to send, unless somebody does: who sends will look before the end."""
        if self._work.is_pumped:
            await self._send_until(runtime.monotonic() + self._pumped_timeout)
            return
        turn = self._claim(None)
        if turn is not None:
            payload = self._first(turn)
            if payload is None:
                return
            try:
                self._work.aside("flagkeep-events", partial(self._send, turn, payload))
            except RuntimeError:  # no more threads, as the interpreter or its machine has no room
                await self._send(turn, payload)

    async def _send_until(self, give_up: float) -> None:
        """Send on the caller's time, unless somebody else does."""
        turn = self._claim(give_up)
        if turn is not None:
            await self._send(turn, self._first(turn))

    def _claim(self, give_up: float | None) -> _Turn | None:
        with self._guard:
            if self._turn is not None or self._is_over:
                return None
            self._turn = turn = _Turn(give_up)
            return turn

    async def _send(self, turn: _Turn, payload: Payload | None) -> None:
        try:
            while payload is not None:
                await self._post(turn, payload)
                payload = self._next(turn)
        finally:
            self._drop_turn(turn)

    def _first(self, turn: _Turn) -> Payload | None:
        """Return what to post first, as `_next`; who is interrupted here holds no turn for ever."""
        try:
            return self._next(turn)
        except BaseException:
            self._drop_turn(turn)
            raise

    def _next(self, turn: _Turn) -> Payload | None:
        """Return what to post; None: nothing, and the turn was given back."""
        while True:
            now = runtime.monotonic()
            with self._guard:
                if self._turn is not turn or self._is_over:
                    return None
                flush = self._wanted
                if flush == self._taken:
                    payload = None if turn.is_over(now) else self._delivery.next(now)
                    if payload is None:
                        self._turn = None
                        self._wake()
                        self._set_alarm()
                    return payload
            self._collect(flush)

    def _drop_turn(self, turn: _Turn) -> None:
        """Give back a turn that was broken off: what was being posted waits again."""
        with self._guard:
            if self._turn is turn:
                self._delivery.take_back()
                self._turn = None
                self._wake()
                self._set_alarm()

    def _set_alarm(self) -> None:
        due = self._delivery.due()
        if due is None or (self._alarm is not None and self._alarm <= due):
            return
        self._alarm = due
        self._work.at(due, self._ring)

    def _collect(self, flush: int) -> None:
        events = self._take()
        with self._guard:
            self._taken = flush
            if self._is_over:  # the end did not wait
                self._delivery.losses.add(Loss.UNDELIVERED, len(events))
                return
            gave_way = self._delivery.offer(events, flush)
        if gave_way:
            line = self._news.gave_way(gave_way, max_bytes=self._settings.max_bytes // 2)
            log.log(line.level, line.message, *line.arguments)

    def _end(self) -> None:
        with self._guard:
            if self._is_over:
                return
            self._is_over = True
            self._delivery.give_up()
            self._turn = None
            self._wake()
            is_taken = self._taken == self._wanted
        if not is_taken:
            self._collect(self._wanted)

    def _leave(self, waiter: _Waiter) -> None:
        with self._guard:
            if waiter in self._waiters:  # not if everybody was let go of meanwhile
                self._waiters.remove(waiter)

    # --- who waits; the guard is held ------------------------------------------------------------

    def _new_waiter(self, timeout: float) -> _Waiter:
        self._wanted += 1
        give_up = runtime.monotonic() + timeout
        waiter = _Waiter(self._wanted, give_up, self._delivery.losses.total)
        self._waiters.append(waiter)
        return waiter

    def _wake(self) -> None:
        for waiter in self._waiters:
            is_free = self._turn is None and waiter.takes_turns
            if is_free or self._is_over or self._is_settled(waiter):
                waiter.changed.set()

    def _is_settled(self, waiter: _Waiter) -> bool:
        """Whether it is known what becomes of the flush in its time."""
        if self._taken < waiter.flush:
            return False
        due = self._delivery.due()
        if due is not None and due >= waiter.give_up:
            return True
        return not self._delivery.holds(waiter.flush)

    def _is_delivered(self, waiter: _Waiter) -> bool:
        is_sent = self._taken >= waiter.flush and not self._delivery.holds(waiter.flush)
        return is_sent and self._delivery.losses.total == waiter.lost_before

    # --- posts ---------------------------------------------------------------------------------

    async def _post(self, turn: _Turn, payload: Payload) -> None:
        timeout = turn.timeout(runtime.monotonic())
        status, problem = await self._posts.analytics(self.requester, payload, timeout)
        with self._guard:
            if self._turn is not turn:  # the end did not wait
                return
            outcome = self._delivery.answered(status, runtime.monotonic())
            self._wake()
        line = self._news.answered(
            outcome, events=len(payload.events), size=payload.size, problem=problem
        )
        if line is not None:
            log.log(line.level, line.message, *line.arguments)

    async def _post_diagnostic(self, body: bytes, tries: int) -> None:
        timeout = self._pumped_timeout if self._work.is_pumped else LONGEST_POST
        status, problem = await self._posts.diagnostic(self.requester, body, timeout)
        if outcome_of(status) is Outcome.DELIVERED:
            return
        log.debug("a diagnostic event could not be delivered: %s", problem)
        if tries > 1 and not self._is_over:

            async def post_again() -> None:
                self._aside_diagnostic(body, tries - 1)

            self._work.later(RETRY_AFTER, post_again)
