"""A `FeatureStore` of the application as a store of the core.

Its items are dicts; the core wants text. It cannot tell of changes, so it is asked at every
evaluation, as the official SDK does; what it said last is kept for when it fails.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from flagkeep.errors import InvalidItem, StoreUnavailable
from flagkeep.ldclient._items import as_dict, opened
from flagkeep.ldclient.versioned_data_kind import FEATURES, SEGMENTS, VersionedDataKind
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import decode_head, encode_json
from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.storage.contents import StoreChanges, StoreContents, WriterRecord
from flagkeep.storage.items import is_newer
from flagkeep.storage.ordering import write_order

log = logging.getLogger("ldclient.util")

KINDS: Final[Mapping[Kind, VersionedDataKind]] = {Kind.FLAG: FEATURES, Kind.SEGMENT: SEGMENTS}
UNUSABLE: Final = SerializedItem(0, deleted=False, data=b"null")
UNCOUNTED: Final = WriterRecord(writer="")


class ForeignStore:
    """A store of the core around a `FeatureStore`. It is never closed: the application made it."""

    poll_interval: float | None = None

    def __init__(self, store: Any) -> None:
        self.name = type(store).__name__
        self._store = store
        self._failing: Callable[[], object] | None = None

    def get_many(
        self,
        wanted: Iterable[ItemRef],
        *,
        timeout: float | None = None,  # noqa: ARG002  a foreign store has its own limits
    ) -> dict[ItemRef, SerializedItem]:
        """Return those of `wanted` that are there, one question for each."""
        found = {}
        for ref in wanted:
            with self._errors("get", partial(self._get, ref)):
                item = self._get(ref)
            if item is not None:
                found[ref] = item
        return found

    def get_all(self, *, timeout: float | None = None) -> StoreContents:  # noqa: ARG002
        """Return everything."""
        with self._errors("all", partial(self._all, Kind.FLAG)):
            return StoreContents(
                bool(self._store.initialized), self._all(Kind.FLAG), self._all(Kind.SEGMENT)
            )

    def is_initialized(self, *, timeout: float | None = None) -> bool:  # noqa: ARG002
        """Return whether a full set was ever written.

        This is also how the client finds out whether the store works again. One that fails may
        still know that it is initialized, so the read that failed last has to work first.
        """
        with self._errors("initialized"):
            if self._failing is not None:
                self._failing()
                self._failing = None
            return bool(self._store.initialized)

    def replace(self, changes: ChangeSet, record: WriterRecord | None = None) -> None:  # noqa: ARG002  it has no place for a record
        """Replace everything: segments first, prerequisites before what needs them."""
        data: dict[VersionedDataKind, dict[str, Any]] = {SEGMENTS: {}, FEATURES: {}}
        for ref, item in write_order(changes):
            data[KINDS[ref.kind]][ref.key] = dict(opened(item))
        with self._errors("init"):
            self._store.init(data)

    def upsert(self, changes: ChangeSet) -> dict[ItemRef, SerializedItem]:
        """Write those that are newer than what is there; return what is there of the others."""
        refused = {}
        with self._errors("upsert"):
            for ref, item in write_order(changes):
                existing = self._get(ref)
                if existing is not None and not is_newer(existing, item):
                    refused[ref] = existing
                elif item.deleted:
                    self._store.delete(KINDS[ref.kind], ref.key, item.version)
                else:
                    self._store.upsert(KINDS[ref.kind], dict(opened(item)))
        return refused

    def poll_changes(self) -> StoreChanges | None:
        """Return None: it cannot tell."""
        return None

    def read_record(self) -> WriterRecord | None:
        """Return a record that counts no items, since it has no place for one.

        The store hides what was deleted: a kind without items is no sign that data was lost.
        """
        return UNCOUNTED

    def close(self) -> None:
        """Do nothing: other clients, of now or later, may use the same store."""

    def _get(self, ref: ItemRef) -> SerializedItem | None:
        try:
            item = self._store.get(KINDS[ref.kind], ref.key, _as_it_is)
        except InvalidItem:  # of a caching wrapper: one item is bad, and the store is well
            return UNUSABLE
        return None if item is None else unchecked(ref, item)

    def _all(self, kind: Kind) -> dict[str, SerializedItem]:
        items = self._store.all(KINDS[kind], _as_it_is) or {}
        return {key: unchecked(ItemRef(kind, key), item) for key, item in items.items()}

    @contextmanager
    def _errors(self, operation: str, again: Callable[[], object] | None = None) -> Iterator[None]:
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


def _as_it_is(value: Any) -> Any:
    return value


def unchecked(ref: ItemRef, item: Any) -> SerializedItem:
    """Return an item as text. What is no item is passed on too: the core names it and goes on."""
    try:
        text = encode_json(as_dict(item))
    except (InvalidItem, TypeError, ValueError, RecursionError):
        return UNUSABLE
    try:
        version, deleted = decode_head(ref.kind, ref.key, text)
    except InvalidItem:
        return SerializedItem(0, deleted=False, data=text)
    return SerializedItem(version, deleted, text)
