"""An `AsyncFeatureStore` of the application as a store of the core; as `_foreign_store`."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from flagkeep.errors import InvalidItem, StoreUnavailable
from flagkeep.ldclient._foreign_store import KINDS, UNCOUNTED, UNUSABLE, unchecked
from flagkeep.ldclient._items import opened
from flagkeep.ldclient.versioned_data_kind import FEATURES, SEGMENTS, VersionedDataKind
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.storage.contents import StoreChanges, StoreContents, WriterRecord
from flagkeep.storage.items import is_newer
from flagkeep.storage.ordering import write_order

log = logging.getLogger("ldclient.util")


class AsyncForeignStore:
    """A store of the core around an `AsyncFeatureStore`. The application made it, and closes it."""

    poll_interval: float | None = None

    def __init__(self, store: Any) -> None:
        self.name = type(store).__name__
        self._store = store
        self._failing: Callable[[], Awaitable[object]] | None = None

    async def get_many(
        self,
        wanted: Iterable[ItemRef],
        *,
        timeout: float | None = None,  # noqa: ARG002  a foreign store has its own limits
    ) -> dict[ItemRef, SerializedItem]:
        """Return those of `wanted` that are there, one question for each."""
        found = {}
        for ref in wanted:
            async with self._errors("get", partial(self._get, ref)):
                item = await self._get(ref)
            if item is not None:
                found[ref] = item
        return found

    async def get_all(self, *, timeout: float | None = None) -> StoreContents:  # noqa: ARG002
        """Return everything."""
        async with self._errors("all", partial(self._all, Kind.FLAG)):
            return StoreContents(
                bool(await self._store.is_initialized()),
                await self._all(Kind.FLAG),
                await self._all(Kind.SEGMENT),
            )

    async def is_initialized(self, *, timeout: float | None = None) -> bool:  # noqa: ARG002
        """Return whether a full set was ever written.

        As in `_foreign_store`, the read that failed last has to work first.
        """
        async with self._errors("is_initialized"):
            if self._failing is not None:
                await self._failing()
                self._failing = None
            return bool(await self._store.is_initialized())
        return False

    async def replace(self, changes: ChangeSet, record: WriterRecord | None = None) -> None:  # noqa: ARG002  it has no place for a record
        """Replace everything: segments first, prerequisites before what needs them."""
        data: dict[VersionedDataKind, dict[str, Any]] = {SEGMENTS: {}, FEATURES: {}}
        for ref, item in write_order(changes):
            data[KINDS[ref.kind]][ref.key] = dict(opened(item))
        async with self._errors("init"):
            await self._store.init(data)

    async def upsert(self, changes: ChangeSet) -> dict[ItemRef, SerializedItem]:
        """Write those that are newer than what is there; return what is there of the others."""
        refused = {}
        async with self._errors("upsert"):
            for ref, item in write_order(changes):
                existing = await self._get(ref)
                if existing is not None and not is_newer(existing, item):
                    refused[ref] = existing
                elif item.deleted:
                    await self._store.delete(KINDS[ref.kind], ref.key, item.version)
                else:
                    await self._store.upsert(KINDS[ref.kind], dict(opened(item)))
        return refused

    async def poll_changes(self) -> StoreChanges | None:
        """Return None: it cannot tell."""
        return None

    async def read_record(self) -> WriterRecord | None:
        """Return a record that counts no items, since it has no place for one."""
        return UNCOUNTED

    async def aclose(self) -> None:
        """Do nothing: other clients, of now or later, may use the same store."""

    async def _get(self, ref: ItemRef) -> SerializedItem | None:
        try:
            item = await self._store.get(KINDS[ref.kind], ref.key)
        except InvalidItem:  # of a caching wrapper: one item is bad, and the store is well
            return UNUSABLE
        return None if item is None else unchecked(ref, item)

    async def _all(self, kind: Kind) -> dict[str, SerializedItem]:
        items = await self._store.all(KINDS[kind]) or {}
        return {key: unchecked(ItemRef(kind, key), item) for key, item in items.items()}

    @asynccontextmanager
    async def _errors(
        self, operation: str, again: Callable[[], Awaitable[object]] | None = None
    ) -> AsyncIterator[None]:
        """Raise StoreUnavailable for whatever the application's code raises.

        Args:
            operation: its name.
            again: does it once more.
        """
        try:
            yield
        except Exception as exc:
            self._failing = again or self._failing
            log.debug("%s.%s failed", self.name, operation, exc_info=True)
            reason = f"{type(exc).__name__}: {exc}"
            raise StoreUnavailable(self.name, operation, reason) from exc
