"""How a namespace is read page by page: from its beginning, or from both ends at a time.

The next page is asked for before the rows of one are taken, so that the table and whoever takes
them need not wait for each other.
"""

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from flagkeep._sync.stores.dynamodb_workers import UNLIMITED, Asked, Limit
from flagkeep.storage.dynamodb_layout import Key, Row
from flagkeep.storage.dynamodb_requests import Answer, Arguments

_QUERY: Final = "query"
Ask = Callable[[Key | None], Arguments]
Take = Callable[[list[Row]], None]


class Asker(Protocol):
    """What asks a table."""

    def ask(
        self,
        operation: str,
        method: str,
        arguments: Arguments,
        limit: Limit,
        ahead: Asked[Answer] | None,
    ) -> Answer:
        """Return the answer to a request, which may be under way already."""

    def begin(
        self, operation: str, method: str, arguments: Arguments, limit: Limit
    ) -> Asked[Answer]:
        """Begin a request; return what to wait for."""

    def take(self, take: Take, rows: list[Row]) -> None:
        """Hand rows on, beside the event loop where there is one."""


class _Way:
    """The way through a namespace from one of its ends.

    Attributes:
        reached: the last key of the last page, if there is more behind it.
    """

    def __init__(self, asker: Asker, operation: str, ask: Ask, limit: Limit) -> None:
        self._asker = asker
        self._operation = operation
        self._ask = ask
        self._limit = limit
        self._page = ask(None)
        self._ahead: Asked[Answer] | None = None
        self.reached: Key | None = None

    def rows(self) -> list[Row]:
        """Return the rows of a page."""
        ahead, self._ahead = self._ahead, None
        answer = self._asker.ask(self._operation, _QUERY, self._page, self._limit, ahead)
        self.reached = answer.get("LastEvaluatedKey")
        return answer.get("Items") or []

    def go_on(self) -> None:
        """Ask for the next page, which is the first one if there was none."""
        if self.reached is not None:
            self._page = self._ask(self.reached)
        begin = self._asker.begin
        self._ahead = begin(self._operation, _QUERY, self._page, self._limit)

    def leave(self) -> None:
        """Wait for nothing any more."""
        if self._ahead is not None:
            self._ahead.leave()


def read(asker: Asker, operation: str, ask: Ask, limit: Limit, take: Take) -> None:
    """Hand all rows to `take`, each once, from the first to the last."""
    way = _Way(asker, operation, ask, limit)
    try:
        while True:
            rows = way.rows()
            if way.reached is not None:
                way.go_on()
            asker.take(take, rows)
            if way.reached is None:
                return
    finally:
        way.leave()


def read_from_both_ends(
    asker: Asker, operation: str, ask: Ask, ask_back: Ask, take: Take
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
    way, other = (_Way(asker, operation, one, UNLIMITED) for one in (ask, ask_back))
    try:
        rows = way.rows()
        is_over = way.reached is None
        if not is_over:
            way.go_on()
            other.go_on()
        asker.take(take, rows)
        while not is_over:
            rows = way.rows()
            is_over = way.reached is None or _is_among(other.reached, rows)
            if not is_over:
                way.go_on()
            asker.take(take, rows)
            way, other = other, way
    finally:
        way.leave()
        other.leave()


def _is_among(key: Key | None, rows: Iterable[Row]) -> bool:
    """Whether a key is that of one of the rows, so that there the two ways have met."""
    return key is not None and any(row["key"]["S"] == key["key"]["S"] for row in rows)
