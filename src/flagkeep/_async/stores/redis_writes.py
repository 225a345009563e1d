"""How a store in Redis writes: in transactions that fail as a whole, and are then made again."""

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from flagkeep._async.stores import attempts
from flagkeep._runtime import aio as runtime
from flagkeep._runtime.redis_errors import LONG, NO_SCRIPTS, CommandRefused, checked
from flagkeep.errors import StoreError, StoreUnavailable
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import BadItem, ItemRef, SerializedItem
from flagkeep.storage import redis_layout as layout
from flagkeep.storage.contents import Tally, WriterRecord
from flagkeep.storage.items import item_from_row, without_unstorable
from flagkeep.storage.ordering import write_order
from flagkeep.storage.redis_commands import UNWATCH, Command
from flagkeep.storage.unstored import Unstored
from flagkeep.storage.updates import Update, without

if TYPE_CHECKING:
    from flagkeep._async.stores.redis_connections import AsyncConnections, AsyncLease

log: Final = logging.getLogger("flagkeep.stores.redis")


class AsyncRedisWrites:
    """What changes the keys of one environment. Any number of calls may run at a time.

    Args:
        connections: to the server.
        names: of the keys.

    Attributes:
        unstored: what the server does not take.
    """

    def __init__(self, connections: "AsyncConnections", names: layout.Names) -> None:
        self._connections = connections
        self._names = names
        self.unstored = Unstored()
        self._may_script = True
        self._limit = layout.LOWEST_LIMIT  # the largest text that the server is known to take

    async def replace(self, changes: ChangeSet, record: WriterRecord | None) -> None:
        """Put a full set in the place of everything.

        The rows of items that the server does not take stay as they are.
        """
        changes, too_large = await self._storable("replace", changes)
        rows = [(ref, item.data) for ref, item in write_order(changes)]
        for attempt in range(attempts.MOST):
            await attempts.pause(attempt)
            async with self._connections.lease("replace") as lease:
                kept: list[tuple[ItemRef, bytes]] = []
                signed = record
                if record is not None or too_large:
                    previous, kept = await self._read_before(lease, too_large)
                    if record is not None:
                        tally = _tally(changes, kept)
                        signed = record.after_replace(previous, tally, runtime.wall_time())
                if await self._executed(lease, self._names.replacement([*kept, *rows], signed)):
                    return
        raise self._outpaced("replace")

    async def upsert(self, changes: ChangeSet) -> dict[ItemRef, SerializedItem]:
        """Write what is newer; return what is there instead of the rest.

        Nothing is written unless everything still is what the decision was made on.
        """
        changes, _ = await self._storable("upsert", changes)
        for attempt in range(attempts.MOST):
            await attempts.pause(attempt)
            async with self._connections.lease("upsert") as lease:
                update = await self._read_for(lease, changes)
                if await self._written(lease, update):
                    return update.refused
        raise self._outpaced("upsert")

    # --- reading what is to be written over ---------------------------------------------------

    async def _read_before(
        self, lease: "AsyncLease", too_large: Sequence[ItemRef]
    ) -> tuple[WriterRecord | None, list[tuple[ItemRef, bytes]]]:
        """Return the record and the rows that are to stay, and watch them."""
        commands = [
            self._names.watch(too_large),
            self._names.record(),
            *self._names.items(too_large),
        ]
        _, previous, *texts = checked(await lease.ask(commands))
        found = layout.item_texts(too_large, texts) if too_large else {}
        kept = [(ref, text) for ref, text in found.items() if text is not None]
        return WriterRecord.decode(previous), kept

    async def _read_for(self, lease: "AsyncLease", changes: ChangeSet) -> Update:
        """Read what `changes` would take the place of, and say what is to be written."""
        refs = [ref for ref, _ in changes.items()]
        commands = [*self._names.items(refs), self._names.record()]
        if not self._may_script:
            commands.insert(0, self._names.watch(refs))
        replies = checked(await lease.ask(commands))
        *texts, old_record = replies if self._may_script else replies[1:]
        found = layout.item_texts(refs, texts) if refs else {}
        return Update(changes, found, old_record, runtime.wall_time())

    # --- writing ------------------------------------------------------------------------------

    async def _written(self, lease: "AsyncLease", update: Update) -> bool:
        """Write an update; return False if it has to be made again."""
        if not update.items:
            if not self._may_script:  # the connection must not go on watching
                checked(await lease.ask([UNWATCH]))
            return True
        if not self._may_script:
            return await self._executed(lease, self._names.transaction(update))
        (reply,) = await lease.ask([self._names.script(update)])
        if isinstance(reply, CommandRefused) and reply.code in NO_SCRIPTS:
            log.debug("%s: no scripts (%s); WATCH is used", self._connections.label, reply.reason)
            self._may_script = False
            return False
        return bool(checked([reply])[0])

    async def _executed(self, lease: "AsyncLease", commands: Sequence[Command]) -> bool:
        """Run a transaction; return False if something that was watched has changed."""
        *queued, results = await lease.ask(commands, last=LONG * self._connections.timeout)
        checked(queued)  # the first refusal says more than EXEC's, which only says that it failed
        checked([results])
        if results is None:
            return False
        checked(results)
        return True

    def _outpaced(self, operation: str) -> StoreUnavailable:
        reason = f"{attempts.OVERTAKEN}; nothing of this was written"
        return StoreUnavailable(self._connections.label, operation, reason)

    # --- what cannot be stored ----------------------------------------------------------------

    async def _storable(
        self, operation: str, changes: ChangeSet
    ) -> tuple[ChangeSet, list[ItemRef]]:
        """Return what the server can take, and the items that are too large for it."""
        kept, bad = without_unstorable(changes)
        limit, too_large = self._limit, []
        sizes = {ref: size for ref, size in layout.large_items(kept).items() if size > limit}
        if sizes:
            limit = await self._limit_among(operation, sorted(set(sizes.values())))
            too_large = [ref for ref, size in sizes.items() if size > limit]
        problem = f"a text over {limit} bytes is too large for the server (proto-max-bulk-len)"
        complaints = (*bad, *(BadItem(*ref, "$", problem) for ref in too_large))
        self.unstored.note(changes, complaints)
        for complaint in complaints:
            log.warning("%s: not stored: %s", self._connections.label, complaint)
        return (without(kept, too_large) if too_large else kept), too_large

    async def _limit_among(self, operation: str, sizes: Sequence[int]) -> int:
        """Return the largest of these sizes, in order, that the server takes."""
        low, high = 0, len(sizes)  # sizes[:low] are taken, sizes[high:] are not
        while low < high:
            middle = (low + high) // 2
            if await self._takes(operation, sizes[middle]):
                low, self._limit = middle + 1, sizes[middle]
            else:
                high = middle
        return self._limit

    async def _takes(self, operation: str, size: int) -> bool:
        """Return whether the server takes a text of this size: it hangs up where it does not."""
        try:
            await self._ask(operation, self._names.filler(size))
        except StoreError:
            await self._ask(operation, self._names.is_marked())  # or was it something else?
            return False
        return True

    async def _ask(self, operation: str, command: Command) -> None:
        async with self._connections.lease(operation) as lease:
            checked(await lease.ask([command], last=LONG * self._connections.timeout))


def _tally(changes: ChangeSet, kept: Iterable[tuple[ItemRef, bytes]]) -> Tally:
    tally = Tally.of_set(changes)
    for ref, text in kept:
        item = item_from_row(ref.kind, ref.key, None, text)
        if isinstance(item, SerializedItem):
            tally.add(ref, item)
    return tally
