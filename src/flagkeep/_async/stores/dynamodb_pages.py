"""How a namespace is read page by page: from its beginning, or from both ends at a time.

The next page is asked for before the rows of one are taken, so that the table and whoever takes
them need not wait for each other.
"""

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from flagkeep._async.stores.dynamodb_workers import UNLIMITED, AsyncAsked, Limit
from flagkeep.storage.dynamodb_layout import Key, Row
from flagkeep.storage.dynamodb_requests import Answer, Arguments

_QUERY: Final = "query"
Ask = Callable[[Key | None], Arguments]
Take = Callable[[list[Row]], None]


class AsyncAsker(Protocol):
    """What asks a table."""

    async def ask(
        self,
        operation: str,
        method: str,
        arguments: Arguments,
        limit: Limit,
        ahead: AsyncAsked[Answer] | None,
    ) -> Answer:
        """Return the answer to a request, which may be under way already."""

    async def begin(
        self, operation: str, method: str, arguments: Arguments, limit: Limit
    ) -> AsyncAsked[Answer]:
        """Begin a request; return what to wait for."""

    async def take(self, take: Take, rows: list[Row]) -> None:
        """Hand rows on, beside the event loop where there is one."""


class _AsyncWay:
    """The way through a namespace from one of its ends.

    Attributes:
        reached: the last key of the last page, if there is more behind it.
    """

    def __init__(self, asker: AsyncAsker, operation: str, ask: Ask, limit: Limit) -> None:
        self._asker = asker
        self._operation = operation
        self._ask = ask
        self._limit = limit
        self._page = ask(None)
        self._ahead: AsyncAsked[Answer] | None = None
        self.reached: Key | None = None

    async def rows(self) -> list[Row]:
        """Return the rows of a page."""
        ahead, self._ahead = self._ahead, None
        answer = await self._asker.ask(self._operation, _QUERY, self._page, self._limit, ahead)
        self.reached = answer.get("LastEvaluatedKey")
        return answer.get("Items") or []

    async def go_on(self) -> None:
        """Ask for the next page, which is the first one if there was none."""
        if self.reached is not None:
            self._page = self._ask(self.reached)
        begin = self._asker.begin
        self._ahead = await begin(self._operation, _QUERY, self._page, self._limit)

    def leave(self) -> None:
        """Wait for nothing any more."""
        if self._ahead is not None:
            self._ahead.leave()


async def read(asker: AsyncAsker, operation: str, ask: Ask, limit: Limit, take: Take) -> None:
    """Hand all rows to `take`, each once, from the first to the last."""
    way = _AsyncWay(asker, operation, ask, limit)
    try:
        while True:
            rows = await way.rows()
            if way.reached is not None:
                await way.go_on()
            await asker.take(take, rows)
            if way.reached is None:
                return
    finally:
        way.leave()


async def read_from_both_ends(
    asker: AsyncAsker, operation: str, ask: Ask, ask_back: Ask, take: Take
) -> None:
    """Hand all rows to `take`, some of them twice, in half the time that many pages take.

    A page at most is asked for in vain.

    Args:
        asker: what asks the table.
        operation: of the store.
        ask: returns what asks for a page after a key.
        ask_back: likewise, for one before a key.
        take: is given pages as they come.
    """
    way, other = (_AsyncWay(asker, operation, one, UNLIMITED) for one in (ask, ask_back))
    try:
        rows = await way.rows()
        is_over = way.reached is None
        if not is_over:
            await way.go_on()
            await other.go_on()
        await asker.take(take, rows)
        while not is_over:
            rows = await way.rows()
            is_over = way.reached is None or _is_among(other.reached, rows)
            if not is_over:
                await way.go_on()
            await asker.take(take, rows)
            way, other = other, way
    finally:
        way.leave()
        other.leave()


def _is_among(key: Key | None, rows: Iterable[Row]) -> bool:
    """Whether a key is that of one of the rows, so that there the two ways have met."""
    return key is not None and any(row["key"]["S"] == key["key"]["S"] for row in rows)
