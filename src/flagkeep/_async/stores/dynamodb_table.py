"""How a store asks its table: one request after the other, again where that helps, and in time.

Every request is a job of its own, so that nobody waits behind a pause. The batches of a full set
are written in a row as long as nobody waits for a turn: reads pass between them.
"""

import logging
import math
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from flagkeep._async.stores import dynamodb_pages as pages
from flagkeep._async.stores.dynamodb_pages import Take
from flagkeep._async.stores.dynamodb_workers import (
    UNLIMITED,
    AsyncAsked,
    AsyncTurns,
    AsyncWorkers,
    Limit,
)
from flagkeep._runtime import aio as runtime
from flagkeep._runtime.dynamodb_errors import (
    UNCLEAR,
    Busy,
    ConditionFailed,
    Lost,
    OutOfTime,
    Shaky,
)
from flagkeep._runtime.dynamodb_session import DynamoDBSession
from flagkeep._runtime.dynamodb_settings import Settings
from flagkeep.errors import StoreClosed, StoreCorrupt, StoreError, StoreUnavailable
from flagkeep.storage.dynamodb_layout import Key, Place, Row
from flagkeep.storage.dynamodb_requests import KEYS_PER_READ, Answer, Arguments, Requests

__all__ = ["ATTEMPTS", "UNLIMITED", "AsyncDynamoDBTable", "AsyncPauses", "Limit"]

T = TypeVar("T")

log: Final = logging.getLogger("flagkeep.stores.dynamodb")

# Seconds in which something must have gone on where nobody says how long the answer is awaited.
_PATIENCE: Final = 5.0
_WRITERS_PATIENCE: Final = 30.0
_WRITERS: Final = frozenset(("clear", "replace", "upsert"))
_PAUSE: Final = 0.05  # seconds; twice as long every time, up to
_LONGEST_PAUSE: Final = 3.0
_LONGEST_WHILE_IT_GOES_ON: Final = 0.5
_MANY: Final = 20  # doublings
_IN_A_ROW: Final = 0.25  # seconds
_SHORT_PAUSE: Final = 0.005
_LONGEST_SHORT_PAUSE: Final = 0.2
ATTEMPTS: Final = 20

Query = Callable[[str, Key | None], Arguments]


class AsyncCompanion(Protocol):
    """What is told of a long operation."""

    async def go_on(self, operation: str) -> None:
        """Take note that it goes on."""


class AsyncDynamoDBTable:
    """One table. Any number of calls may run at a time; each is told when it must be over.

    Args:
        settings: how to reach it.

    Attributes:
        label: what errors call it.
        requests: what is asked of it.
        has_keys: whether its keys are as they must be; None: nobody has looked.
    """

    def __init__(self, settings: Settings) -> None:
        self._session = DynamoDBSession(settings)
        self._workers = AsyncWorkers(self._session, settings.connections)
        self._closed = runtime.Event()
        self._said_busy_at = -math.inf
        self.label = settings.label
        self.requests = Requests(settings.table)
        self.has_keys: bool | None = None

    def check_open(self, operation: str) -> None:
        """Raise StoreClosed if it is closed."""
        if self._closed.is_set():
            raise StoreClosed(self.label, operation)

    def prepare(self) -> None:
        """Begin to make ready for the first request, beside the caller."""
        self._session.prepare()

    @staticmethod
    def limit(timeout: float | None) -> Limit:
        """Return the limit of what begins now and may take so many seconds; None: any number."""
        return UNLIMITED if timeout is None else Limit(timeout, runtime.monotonic() + timeout)

    # --- reading ------------------------------------------------------------------------------

    async def get(self, operation: str, place: Place, limit: Limit = UNLIMITED) -> Row | None:
        """Return one row, as it is now; None if there is none."""
        answer = await self.ask(operation, "get_item", self.requests.get(place), limit)
        return answer.get("Item")

    async def get_many(
        self, operation: str, places: Iterable[Place], limit: Limit = UNLIMITED
    ) -> dict[Place, Row]:
        """Return those rows that are there, as they are now."""
        keys = [place.as_key() for place in dict.fromkeys(places)]
        found: dict[Place, Row] = {}
        for at in range(0, len(keys), KEYS_PER_READ):
            pauses = self._pauses(operation, limit)
            left: Sequence[Key] = keys[at : at + KEYS_PER_READ]
            while left:
                arguments = self.requests.get_many(left)
                answer = await self.ask(operation, "batch_get_item", arguments, limit)
                for row in _flat(answer.get("Responses")):
                    found[Place(row["namespace"]["S"], row["key"]["S"])] = row
                undone = answer.get("UnprocessedKeys") or {}
                rest = [key for one in undone.values() for key in one["Keys"]]
                await pauses.after(len(left) - len(rest), len(rest))
                left = rest
        return found

    async def pages(
        self,
        operation: str,
        ask: Query,
        namespace: str,
        take: Take,
        limit: Limit = UNLIMITED,
    ) -> None:
        """Hand all rows of a namespace to `take`, page by page, beside the event loop."""
        with self._looking_at_keys():
            await pages.read(self, operation, partial(ask, namespace), limit, take)

    async def pages_from_both_ends(self, operation: str, namespace: str, take: Take) -> None:
        """Hand what is known of all rows of a namespace to `take`, of some of them twice."""
        ask = partial(self.requests.query_known, namespace)
        back = partial(ask, backwards=True)
        with self._looking_at_keys():
            await pages.read_from_both_ends(self, operation, ask, back, take)

    @contextmanager
    def _looking_at_keys(self) -> Iterator[None]:
        try:
            yield
        except StoreCorrupt:
            self.has_keys = False
            raise

    # --- writing ------------------------------------------------------------------------------

    async def write(
        self,
        operation: str,
        batches: Iterable[Sequence[Arguments]],
        companion: AsyncCompanion | None = None,
    ) -> None:
        """Put and delete rows, batch by batch; done when all of it is done.

        Args:
            operation: of the store.
            batches: each is as much as one request may hold.
            companion: is told again and again.
        """
        make = partial(self._session.call, operation, "batch_write_item")
        row = _InARow(make, self._workers.turns, self.requests, batches)
        pauses = self._pauses(operation, UNLIMITED)
        try:
            while row.left:
                done, undone, why = await self._ask(operation, row.write_some, UNLIMITED)
                if companion is not None:
                    await companion.go_on(operation)
                await pauses.after(done, undone, why)
                if not undone:
                    pauses = self._pauses(operation, UNLIMITED)
        finally:
            row.is_given_up = True

    async def put(self, operation: str, row: Row) -> None:
        """Put a row, whatever is there."""
        await self.ask(operation, "put_item", self.requests.put(row))

    async def put_if(self, operation: str, arguments: Arguments) -> Row | None:
        """Put a row on a condition, and return what it took the place of.

        Raises:
            ConditionFailed: something else is there.
            UNCLEAR: nobody can tell whether it was put.
        """
        answer = await self.ask_once(operation, "put_item", arguments)
        return answer.get("Attributes")

    async def delete(self, operation: str, place: Place) -> None:
        """Delete a row, if it is there."""
        await self.ask(operation, "delete_item", self.requests.delete(place))

    async def amend(
        self,
        operation: str,
        place: Place,
        row: Row | None,
        change: Callable[[Row | None], Row | None],
    ) -> Row | None:
        """Put what `change` makes of a row, again if others have put something else there.

        Args:
            operation: of the store.
            place: of the row.
            row: as it was when it was read.
            change: returns what to put in the place of a row; None: leave it as it is.

        Returns:
            What was put.
        """
        for attempt in range(ATTEMPTS):
            new = change(row)
            if new is None:
                return None
            try:
                await self.put_if(operation, self.requests.put_over(new, row))
            except ConditionFailed as exc:
                if attempt == 0 and exc.row is not None:
                    row = exc.row
                    continue
                await self.pause_after(operation, attempt)
                row = await self.get(operation, place)
            except UNCLEAR:
                await self.pause_after(operation, attempt)
                row = await self.get(operation, place)
                if row == new:
                    return new
            else:
                return new
        raise self.outpaced(operation)

    # --- asking -------------------------------------------------------------------------------

    async def ask(
        self,
        operation: str,
        method: str,
        arguments: Arguments,
        limit: Limit = UNLIMITED,
        ahead: AsyncAsked[Answer] | None = None,
    ) -> Answer:
        """Return the answer to a request.

        Args:
            operation: of the store.
            method: of boto3's client.
            arguments: of that.
            limit: on all of what it is a part of.
            ahead: the same request, if it is under way already.

        Raises:
            StoreError: there is none in time, or it is a refusal.
        """
        call = partial(self._session.call, operation, method, arguments)
        return await self._ask(operation, call, limit, ahead)

    async def _ask(
        self,
        operation: str,
        call: Callable[[float], T],
        limit: Limit,
        ahead: AsyncAsked[T] | None = None,
    ) -> T:
        pauses = self._pauses(operation, limit)
        while True:
            try:
                asked = ahead or await self._workers.begin(operation, call, limit)
                return await asked.answer()
            except (Busy, Shaky) as exc:
                await pauses.before_another_try(exc)
            except Lost as exc:
                pauses.note_loss(exc)
            except OutOfTime as exc:
                raise pauses.why or exc from None
            ahead = None

    async def ask_once(self, operation: str, method: str, arguments: Arguments) -> Answer:
        """Return the answer to a request that must not be done twice.

        Raises:
            UNCLEAR: nobody can tell whether it was done.
            StoreError: it was not.
        """
        pauses = self._pauses(operation, UNLIMITED)
        while True:
            try:
                asked = await self.begin(operation, method, arguments, UNLIMITED)
                return await asked.answer()
            except Busy as exc:
                await pauses.before_another_try(exc)

    async def begin(
        self, operation: str, method: str, arguments: Arguments, limit: Limit
    ) -> AsyncAsked[Answer]:
        """Begin a request; return what to wait for."""
        call = partial(self._session.call, operation, method, arguments)
        return await self._workers.begin(operation, call, limit)

    async def take(self, take: Take, rows: list[Row]) -> None:
        """Hand rows on, beside the event loop where there is one."""
        await self.work(partial(take, rows))

    async def work(self, fn: Callable[[], T]) -> T:
        """Return what `fn` makes of much data, beside the event loop where there is one."""
        return await self._workers.work(fn)

    async def aclose(self) -> None:
        """Let go of everything at once, whatever hangs; a second call does nothing."""
        if not self._closed.is_set():
            self._closed.set()
            self._session.close()
            self._workers.close()

    def _pauses(self, operation: str, limit: Limit) -> "AsyncPauses":
        return AsyncPauses(self, operation, limit.ends)

    def busy(self, operation: str) -> Busy:
        """Return what is wrong if the table takes a part of a request only, and then nothing."""
        reason = "the table is throttled: give it more capacity, or on-demand billing"
        return Busy(self.label, operation, reason)

    def outpaced(self, operation: str) -> StoreUnavailable:
        """Return what is wrong if others were faster again and again."""
        reason = f"others wrote the same at the same time, {ATTEMPTS} times in a row"
        return StoreUnavailable(self.label, operation, reason)

    def say_busy(self, operation: str, why: StoreError) -> None:
        """Say now and then that a request has to wait."""
        now = runtime.monotonic()
        if now - self._said_busy_at > _WRITERS_PATIENCE:
            self._said_busy_at = now
            log.warning("%s: %s goes on more slowly: %s", self.label, operation, why.reason)

    async def pause_after(self, operation: str, attempt: int) -> None:
        """Wait before something that others were faster with is tried again."""
        longest = min(_LONGEST_SHORT_PAUSE, _SHORT_PAUSE * 2.0**attempt)
        await self.pause(operation, longest * random.uniform(0.2, 1.0))  # noqa: S311  not as long as they

    async def pause(self, operation: str, seconds: float) -> None:
        """Wait.

        Raises:
            StoreClosed: the table was closed meanwhile.
        """
        if await self._closed.wait(seconds):
            raise StoreClosed(self.label, operation)


class AsyncPauses:
    """The pauses of one request: longer every time; they have no end while something goes on.

    Args:
        table: where it is made.
        operation: of the store.
        ends: when it must be over.

    Attributes:
        why: what it has been tried again for last.
    """

    __slots__ = (
        "_ends",
        "_gives_up",
        "_has_lost",
        "_number",
        "_operation",
        "_patience",
        "_table",
        "why",
    )

    def __init__(self, table: AsyncDynamoDBTable, operation: str, ends: float) -> None:
        self._table = table
        self._operation = operation
        self._ends = ends
        self._patience = _WRITERS_PATIENCE if operation in _WRITERS else _PATIENCE
        self._has_lost = False
        self._number = 0
        self._gives_up = self._new_end()
        self.why: StoreError | None = None

    async def after(self, done: int, left: int, why: StoreError | None = None) -> None:
        """Pause after an answer if something is left; what is done lets patience begin anew.

        Args:
            done: how much is done.
            left: how much is not.
            why: the reason; None: the table takes no more at a time.

        Raises:
            StoreError: nothing has gone on for too long.
        """
        if not left:
            return
        why = why or self._table.busy(self._operation)
        if not done:
            await self.before_another_try(why)
            return
        await self._pause(why, _LONGEST_WHILE_IT_GOES_ON, self._ends)
        self._gives_up = self._new_end()

    async def before_another_try(self, why: StoreError) -> None:
        """Pause.

        Raises:
            StoreError: it has been tried for too long.
        """
        await self._pause(why, _LONGEST_PAUSE, self._gives_up)

    def _new_end(self) -> float:
        return min(self._ends, runtime.monotonic() + self._patience)

    async def _pause(self, why: StoreError, longest: float, ends: float) -> None:
        longest = min(longest, _PAUSE * 2.0**self._number)
        seconds = longest * random.uniform(0.5, 1.0)  # noqa: S311  not as long as the others
        self._number = min(self._number + 1, _MANY)
        self.why = why
        if runtime.monotonic() + seconds >= ends:
            raise why from None
        if self._number > 1:
            self._table.say_busy(self._operation, why)
        await self._table.pause(self._operation, seconds)

    def note_loss(self, why: StoreError) -> None:
        """Let the first lost connection be replaced at once, and raise the second."""
        if self._has_lost:
            raise why from None
        self._has_lost = True


class _InARow:
    """Batches that are written in a row, on one thread: to wake it for each takes a fifth more.

    Args:
        call: makes a request.
        turns: of requests; this is one, and ends where somebody else wants to have one.
        requests: what is asked of the table.
        batches: what is written.

    Attributes:
        left: those that are yet to be written.
        is_given_up: whether nobody waits any more: what is under way is the last one then.
    """

    def __init__(
        self,
        call: Callable[[Arguments, float], Answer],
        turns: AsyncTurns,
        requests: Requests,
        batches: Iterable[Sequence[Arguments]],
    ) -> None:
        self._call = call
        self._turns = turns
        self._requests = requests
        self.left = deque(batches)
        self.is_given_up = False

    def write_some(self, ends: float) -> tuple[int, int, StoreError | None]:
        """Write until something was left undone, or for some time.

        Returns:
            How many rows were written, how many of the last batch were not, and why, if there was
            an error.

        Raises:
            StoreError: nothing was written, or it was a refusal.
        """
        until, done = runtime.monotonic() + _IN_A_ROW, 0
        while True:
            batch = self.left[0]
            try:
                answer = self._call(self._requests.write(batch), ends)
            except (Busy, Shaky, Lost) as exc:
                if not done:
                    raise
                return done, len(batch), exc
            rest = _flat(answer.get("UnprocessedItems"))
            done += len(batch) - len(rest)
            if rest:
                self.left[0] = rest
            else:
                self.left.popleft()
            is_enough = self.is_given_up or self._turns.is_wanted() or runtime.monotonic() > until
            if rest or is_enough or not self.left:
                return done, len(rest), None


def _flat(by_table: Mapping[str, Sequence[Any]] | None) -> list[Any]:
    return [one for rows in (by_table or {}).values() for one in rows]
