"""How a store in DynamoDB writes what is too large for a row: in parts, which only flagkeep reads.

The row of such an item stays as it is, the last version that fitted, for all other SDKs.
"""

import logging
from collections.abc import Iterable
from functools import partial
from typing import Final

from flagkeep._async.stores.dynamodb_reads import NOTHING_SEEN, AsyncDynamoDBReads, Seen
from flagkeep._async.stores.dynamodb_table import ATTEMPTS, AsyncDynamoDBTable
from flagkeep._runtime.dynamodb_errors import UNCLEAR, ConditionFailed, Refused
from flagkeep.model.item import BadItem, ItemRef, SerializedItem
from flagkeep.storage.dynamodb_layout import ROW_BYTES, Names
from flagkeep.storage.dynamodb_parts import Cut
from flagkeep.storage.dynamodb_plan import deletions
from flagkeep.storage.items import is_newer
from flagkeep.storage.unstored import Unstored

log: Final = logging.getLogger("flagkeep.stores.dynamodb")

# Refusals of what is written in parts that say nothing of the rest: it is too much, the service has
# no transactions, or the credentials may not do all that one needs.
_ABOUT_THE_ITEM: Final = frozenset(
    (
        "AccessDenied",
        "AccessDeniedException",
        "ItemCollectionSizeLimitExceededException",
        "UnknownOperationException",
        "ValidationErrorException",
        "ValidationException",
    )
)


class AsyncDynamoDBLargeItems:
    """What writes items in parts. Any number of calls may run at a time.

    Args:
        table: where it is.
        reads: of the same environment.
        names: of its rows.
        unstored: takes note of what the table refuses.
    """

    def __init__(
        self,
        table: AsyncDynamoDBTable,
        reads: AsyncDynamoDBReads,
        names: Names,
        unstored: Unstored,
    ) -> None:
        self._table = table
        self._name = table.requests.table
        self._reads = reads
        self._names = names
        self._unstored = unstored

    async def put(
        self, operation: str, ref: ItemRef, item: SerializedItem, old: Iterable[int]
    ) -> bool:
        """Put an item, whatever is there; return whether the table has taken it.

        Args:
            operation: of the store.
            ref: of the item.
            item: what is too large for a row.
            old: the numbers of the parts that are there.
        """
        cut = await self._table.work(partial(Cut, self._names, ref, item))
        for attempt in range(ATTEMPTS):
            row = await self._table.get(operation, self._names.item(ref))
            try:
                for transaction in cut.transactions(self._name, row, keep_newer=False):
                    await self._table.ask(operation, "transact_write_items", transaction)
            except ConditionFailed:
                await self._table.pause_after(operation, attempt)
            except Refused as exc:
                self._complain(ref, exc)
                return False
            else:
                self._say(ref, cut)
                superfluous = [self._names.part(ref, at) for at in old if at >= cut.count]
                await self._table.write(operation, deletions(superfluous))
                return True
        raise self._table.outpaced(operation)

    async def upsert(self, operation: str, ref: ItemRef, item: SerializedItem) -> tuple[Seen, bool]:
        """Put an item if what is there is older; return what was there, and whether it was put."""
        cut = await self._table.work(partial(Cut, self._names, ref, item))
        for attempt in range(ATTEMPTS):
            seen = (await self._reads.look(operation, [ref])).get(ref, NOTHING_SEEN)
            if isinstance(seen.item, SerializedItem) and not is_newer(seen.item, item):
                return seen, False
            try:
                for transaction in cut.transactions(self._name, seen.row, keep_newer=True):
                    await self._table.ask_once(operation, "transact_write_items", transaction)
            except ConditionFailed:
                await self._table.pause_after(operation, attempt)
            except UNCLEAR as exc:
                await self._table.pause_after(operation, attempt)
                await self._reads.after_doubt(operation, ref, item, exc)
            except Refused as exc:
                self._complain(ref, exc)
                return NOTHING_SEEN, False
            else:
                self._say(ref, cut)
                await self.remove(operation, ref, item.version, range(cut.count, seen.parts))
                return seen, True
        raise self._table.outpaced(operation)

    async def remove(
        self, operation: str, ref: ItemRef, version: int, numbers: Iterable[int]
    ) -> None:
        """Remove parts that are older than a version."""
        for at in numbers:
            place = self._names.part(ref, at)
            arguments = self._table.requests.delete_older(place, version)
            try:
                await self._table.ask(operation, "delete_item", arguments)
            except ConditionFailed:  # somebody has written newer ones
                return

    def _say(self, ref: ItemRef, cut: Cut) -> None:
        log.error(
            "%s: %s %r is over %d bytes, too large for a row: it is kept in %s, which only flagkeep"
            " reads; other SDKs go on with the last version that fitted, if there was one",
            self._table.label,
            ref.kind,
            ref.key,
            ROW_BYTES,
            "one part" if cut.count == 1 else f"{cut.count} parts",
        )

    def _complain(self, ref: ItemRef, why: Refused) -> None:
        """Say what is wrong with the item, so that it holds nothing else up.

        Raises:
            Refused: that is not what is wrong.
        """
        if why.code not in _ABOUT_THE_ITEM:
            raise why
        problem = f"over {ROW_BYTES} bytes, and cannot be kept in parts: {why.reason}"
        log.error("%s: not stored: %s %r is %s", self._table.label, ref.kind, ref.key, problem)
        self._unstored.refuse(BadItem(*ref, "$", problem))
