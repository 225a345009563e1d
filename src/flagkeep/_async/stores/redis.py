"""A store in Redis, or Valkey, in the layout that all SDKs share."""

import logging
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from flagkeep._runtime import aio as runtime
from flagkeep._runtime.redis_errors import NO_SCRIPTS
from flagkeep._runtime.redis_settings import DEFAULT_URL, Settings
from flagkeep.config import RedisTLS
from flagkeep.errors import ConfigError, MissingExtra, StoreClosed, StoreError, StoreUnavailable
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, SerializedItem
from flagkeep.storage import redis_layout as layout
from flagkeep.storage.contents import StoreChanges, StoreContents, Tally, WriterRecord
from flagkeep.storage.items import without_unstorable
from flagkeep.storage.ordering import write_order

if TYPE_CHECKING:
    from flagkeep._runtime.redis_aio import Client, Connections, Lease, Pool

log: Final = logging.getLogger("flagkeep.stores.redis")

_ATTEMPTS: Final = 10
_PAUSE: Final = 0.002  # seconds; grows with every attempt, up to 0.25
# A whole environment may take longer to arrive or to be written than one answer.
_LONG: Final = 10


class AsyncRedisStore:
    """Flags and segments in a Redis or Valkey server, shared with SDKs in every language.

    Nothing is connected before the first use. Connections are kept, and replaced when they break.

    Args:
        url: `redis://[user[:password]@]host[:port][/database]`, with TLS `rediss://…`, or
            `unix://[user[:password]@]/path/of/socket[?db=number]`.
        prefix: separates environments in one database; `""` is the default too.
        username: outranks the URL's, as do the next two.
        password: of that user.
        database: its number.
        tls: certificates; needs `rediss://`.
        connect_timeout: seconds for making a connection.
        timeout: seconds for one answer; a whole environment may take ten times as long.
        max_connections: how many there may be at a time; 64 if not given.
        client: a client of redis-py to use, whose connections are never closed by the store. Its
            address and its settings count, and none may be given here.
        pool: a connection pool of redis-py to use in the same way.
        options: further arguments of redis-py's connections. How they decode answers and whether
            they try again has no effect.

    Raises:
        ConfigError: an argument cannot work.
        MissingExtra: redis-py is not installed.
    """

    name: str = "redis"
    poll_interval: float | None = None

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        prefix: str = layout.DEFAULT_PREFIX,
        username: str | None = None,
        password: str | None = None,
        database: int | None = None,
        tls: RedisTLS | None = None,
        connect_timeout: float = 1.0,
        timeout: float = 2.0,
        max_connections: int | None = None,
        client: "Client | None" = None,
        pool: "Pool | None" = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        settings = Settings(
            url,
            username=username,
            password=password,
            database=database,
            tls=tls,
            connect_timeout=connect_timeout,
            timeout=timeout,
            max_connections=max_connections,
            options=options,
            is_given=client is not None or pool is not None,
        )
        self._names = layout.Names(_checked_prefix(prefix))
        self._connections = _connections(settings, client, pool)
        self._may_script = True
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._connections.label} prefix={self._names.prefix!r}>"

    async def get_many(
        self, wanted: Iterable[ItemRef], *, timeout: float | None = None
    ) -> dict[ItemRef, SerializedItem]:
        """Return those of `wanted` that are there, tombstones included.

        Args:
            wanted: what to read.
            timeout: seconds for all of it, connecting included.
        """
        operation = "get_many"
        self._check_open(operation)
        refs = [ref for ref in wanted if layout.can_be_stored(ref.key)]
        if not refs:
            return {}
        replies = await self._ask(operation, self._names.items(refs), timeout=timeout)
        return layout.found_items(layout.item_texts(refs, replies))

    async def get_all(self, *, timeout: float | None = None) -> StoreContents:
        """Return everything, as of one moment."""
        commands, last = self._names.everything(), _LONG * self._connections.timeout
        *_, reply = await self._ask("get_all", commands, timeout=timeout, last=last)
        return layout.contents(_checked(reply))

    async def is_initialized(self, *, timeout: float | None = None) -> bool:
        """Return whether a full set was ever written."""
        (reply,) = await self._ask("is_initialized", [self._names.is_marked()], timeout=timeout)
        return bool(reply)

    async def read_record(self) -> WriterRecord | None:
        """Return who wrote last; None if nobody said."""
        (reply,) = await self._ask("read_record", [self._names.record()])
        return WriterRecord.decode(reply)

    async def poll_changes(self) -> StoreChanges | None:
        """Return None: there is no cheap way to ask."""
        self._check_open("poll_changes")
        return None

    async def replace(self, changes: ChangeSet, record: WriterRecord | None = None) -> None:
        """Put a full set in the place of everything, in one transaction."""
        operation = "replace"
        self._check_open(operation)
        changes = _storable(changes)
        rows = [(ref, item.data) for ref, item in write_order(changes)]
        tally = Tally() if record is None else Tally.of_set(changes)
        for attempt in range(_ATTEMPTS):
            await _pause(attempt)
            async with self._connections.lease(operation) as lease:
                signed = record
                if record is not None:
                    watch = [self._names.watch(), self._names.record()]
                    _, previous = _checked(await lease.ask(watch))
                    before = WriterRecord.decode(previous)
                    signed = record.after_replace(before, tally, runtime.wall_time())
                commands = self._names.replacement(rows, signed)
                if await self._executed(lease, commands):
                    return
        raise self._outpaced(operation)

    async def upsert(self, changes: ChangeSet) -> dict[ItemRef, SerializedItem]:
        """Write what is newer; return what is there instead of the rest.

        Nothing is written unless everything still is what the decision was made on.
        """
        operation = "upsert"
        self._check_open(operation)
        changes = _storable(changes)
        for attempt in range(_ATTEMPTS):
            await _pause(attempt)
            async with self._connections.lease(operation) as lease:
                update = await self._read_for(lease, changes)
                if await self._written(lease, update):
                    return update.refused
        raise self._outpaced(operation)

    async def clear(self) -> None:
        """Remove everything under the prefix but Big Segments, at once; for tools and tests."""
        await self._ask("clear", [self._names.nothing()])

    async def aclose(self) -> None:
        """Close the connections that the store made; a second call does nothing."""
        if not self._is_closed:
            self._is_closed = True
            await self._connections.aclose()

    # --- writing ------------------------------------------------------------------------------

    async def _read_for(self, lease: "Lease", changes: ChangeSet) -> layout.Update:
        """Read what `changes` would take the place of, and say what is to be written."""
        refs = [ref for ref, _ in changes.items()]
        commands = [*self._names.items(refs), self._names.record()]
        if not self._may_script:
            commands.insert(0, self._names.watch(changes))
        replies = _checked(await lease.ask(commands))
        *texts, old_record = replies[0 if self._may_script else 1 :]
        found = layout.item_texts(refs, texts)
        return layout.Update(changes, found, old_record, runtime.wall_time())

    async def _written(self, lease: "Lease", update: layout.Update) -> bool:
        """Write an update; return False if it has to be made again."""
        if not update.items:
            if not self._may_script:  # the connection must not go on watching
                _checked(await lease.ask([layout.UNWATCH]))
            return True
        if not self._may_script:
            return await self._executed(lease, self._names.transaction(update))
        (reply,) = await lease.ask([self._names.script(update)])
        if getattr(reply, "code", None) in NO_SCRIPTS:
            log.debug("%s: no scripts (%s); WATCH is used", self._connections.label, reply.reason)
            self._may_script = False
            return False
        return bool(_checked([reply])[0])

    async def _executed(self, lease: "Lease", commands: Sequence[layout.Command]) -> bool:
        """Run a transaction; return False if something that was watched has changed."""
        last = _LONG * self._connections.timeout
        *queued, results = await lease.ask(commands, last=last)
        _checked(queued)  # the first refusal says more than EXEC's, which only says that it failed
        _checked([results])
        if results is None:
            return False
        _checked(results)
        return True

    def _outpaced(self, operation: str) -> StoreUnavailable:
        reason = (
            f"others wrote the same at the same time, {_ATTEMPTS} times in a row; nothing of this"
            " was written"
        )
        return StoreUnavailable(self._connections.label, operation, reason)

    # --- asking -------------------------------------------------------------------------------

    async def _ask(
        self,
        operation: str,
        commands: Sequence[layout.Command],
        *,
        timeout: float | None = None,
        last: float | None = None,
    ) -> list[Any]:
        self._check_open(operation)
        async with self._connections.lease(operation, timeout=timeout) as lease:
            return _checked(await lease.ask(commands, last=last))

    def _check_open(self, operation: str) -> None:
        if self._is_closed:
            raise StoreClosed(self._connections.label, operation)


def _connections(settings: Settings, client: object, pool: object) -> "Connections":
    """Return the connections of a store. The driver is imported here, which takes its time."""
    try:
        from flagkeep._runtime.redis_aio import Connections  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        if exc.name != "redis":
            raise
        raise MissingExtra("redis", "a store in Redis") from None
    return Connections(settings, client, pool)


def _checked_prefix(prefix: object) -> str:
    if not isinstance(prefix, str) or not layout.can_be_stored(prefix):
        raise ConfigError(f"prefix must be text without lone surrogates, not {prefix!r}")
    return prefix


def _checked(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, StoreError):
            raise reply
    return replies


def _storable(changes: ChangeSet) -> ChangeSet:
    kept, bad = without_unstorable(changes)
    for complaint in bad:
        log.warning("not stored: %s", complaint)
    return kept


async def _pause(attempt: int) -> None:
    """Wait before any attempt but the first: longer each time, and not as long as the others."""
    if attempt:
        seconds = min(0.25, _PAUSE * 2**attempt) * random.uniform(0.5, 1.5)  # noqa: S311
        await runtime.Event().wait(seconds)
