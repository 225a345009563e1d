"""A store in Consul's key-value store, in the layout that all SDKs share."""

import os
from collections.abc import Iterable
from typing import Final

from flagkeep._async.stores.consul_neighbours import AsyncConsulNeighbours
from flagkeep._async.stores.consul_reads import AsyncConsulReads
from flagkeep._async.stores.consul_requests import AsyncConsulRequests
from flagkeep._async.stores.consul_writes import AsyncConsulWrites
from flagkeep._runtime import aio as runtime
from flagkeep._runtime.consul_settings import (
    DEFAULT_CONNECT_TIMEOUT,
    DEFAULT_TIMEOUT,
    DEFAULT_URL,
    LONG,
    Consistency,
    Settings,
)
from flagkeep.config import HttpSettings
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import BadItem, ItemRef, SerializedItem
from flagkeep.storage import consul_answers as answers
from flagkeep.storage.consul_layout import DEFAULT_PREFIX
from flagkeep.storage.contents import StoreChanges, StoreContents, WriterRecord
from flagkeep.storage.updates import can_be_stored, found_items

_LIKELY_SIZE: Final = 500  # bytes of an item


class AsyncConsulStore:
    """Flags and segments in Consul's key-value store, shared with SDKs in every language.

    Nothing is connected before the first use. Requests go to an agent, 16 of them at a time.

    Args:
        url: of the agent: `http://host:8500`, with TLS `https://…`; `consul://host:8500` is http.
        prefix: separates environments; `""` is the default too.
        token: who we are to Consul; None: nobody.
        token_file: a file that holds it; it is read again whenever a request is refused.
        datacenter: whose data is used; None: the agent's.
        namespace: of Consul Enterprise; None: the token's.
        partition: of Consul Enterprise; None: the agent's.
        consistency: of reads: `consistent` asks the leader to make sure that it is one, `stale`
            lets any server answer, also without a leader.
        http: certificates and proxy. Its times have no effect: the next two count.
        connect_timeout: seconds for making a connection.
        timeout: seconds for one answer. A whole environment may take ten times as long, but never
            be silent for longer.

    Raises:
        ConfigError: an argument cannot work.
    """

    name: str = "consul"
    poll_interval: float | None = None

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        prefix: str = DEFAULT_PREFIX,
        token: str | None = None,
        token_file: str | os.PathLike[str] | None = None,
        datacenter: str | None = None,
        namespace: str | None = None,
        partition: str | None = None,
        consistency: Consistency = "default",
        http: HttpSettings | None = None,
        connect_timeout: float = DEFAULT_CONNECT_TIMEOUT,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        self._settings = Settings(
            url,
            prefix=prefix,
            token=token,
            token_file=token_file,
            datacenter=datacenter,
            namespace=namespace,
            partition=partition,
            consistency=consistency,
            http=http,
            connect_timeout=connect_timeout,
            timeout=timeout,
        )
        self.label = self._settings.label
        self._names = self._settings.names
        self._requests = AsyncConsulRequests(self._settings)
        self._reads = AsyncConsulReads(self._requests)
        self._writes = AsyncConsulWrites(self._requests)
        self._neighbours = AsyncConsulNeighbours(self._requests)
        self._last = answers.NOTHING

    @property
    def unstored(self) -> tuple[BadItem, ...]:
        """What was written through this object and is not in the store, by item."""
        return self._writes.unstored.items

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.label} prefix={self._names.prefix!r}>"

    async def get_many(
        self, wanted: Iterable[ItemRef], *, timeout: float | None = None
    ) -> dict[ItemRef, SerializedItem]:
        """Return those of `wanted` that are there, tombstones included.

        As of one moment, if there are not more than 64.

        Args:
            wanted: what to read.
            timeout: seconds for all of it, connecting included.
        """
        operation = "get_many"
        self._requests.check_open(operation)
        refs = [ref for ref in wanted if can_be_stored(ref.key)]
        if not refs:
            return {}
        ends = self._requests.ends(timeout, self._settings.timeout)
        if len(refs) == 1:
            return found_items({refs[0]: await self._reads.item(operation, refs[0], ends)})
        return found_items(await self._reads.items(operation, refs, ends))

    async def get_all(self, *, timeout: float | None = None) -> StoreContents:
        """Return everything, as of one moment."""
        operation = "get_all"
        self._requests.check_open(operation)
        ends = self._requests.ends(timeout, LONG * self._settings.timeout)
        found = await self._reads.everything(operation, ends)
        size = _LIKELY_SIZE * len(found.pairs)
        contents = await runtime.beside(size, answers.contents, self._names, found, self._last)
        self._last = contents
        return contents

    async def is_initialized(self, *, timeout: float | None = None) -> bool:
        """Return whether a full set was ever written."""
        operation = "is_initialized"
        self._requests.check_open(operation)
        ends = self._requests.ends(timeout, self._settings.timeout)
        return await self._reads.is_marked(operation, ends)

    async def read_record(self) -> WriterRecord | None:
        """Return who wrote last; None if nobody said, or the token may not read it."""
        operation = "read_record"
        self._requests.check_open(operation)
        ends = self._requests.ends(None, self._settings.timeout)
        return WriterRecord.decode(await self._reads.record(operation, ends))

    async def poll_changes(self) -> StoreChanges | None:
        """Return None: there is no cheap way to ask."""
        self._requests.check_open("poll_changes")
        return None

    async def replace(self, changes: ChangeSet, record: WriterRecord | None = None) -> None:
        """Put a full set in the place of everything: at once if it fits into one transaction.

        Else a reader may see a part of it, and `record`, if it is given, says so meanwhile.
        """
        operation = "replace"
        self._requests.check_open(operation)
        await self._writes.replace(changes, record)
        await self._neighbours.look(operation)

    async def upsert(self, changes: ChangeSet) -> dict[ItemRef, SerializedItem]:
        """Write what is newer; return what is there instead of the rest.

        At once if it fits into one transaction, as nearly always.
        """
        self._requests.check_open("upsert")
        return await self._writes.upsert(changes)

    async def clear(self) -> None:
        """Remove everything, at once; for tools and tests. Environments below the prefix stay."""
        self._requests.check_open("clear")
        await self._writes.clear()

    async def aclose(self) -> None:
        """Close all connections; a second call does nothing."""
        await self._requests.aclose()
