"""What a store holds, looked at item by item for the commands of `flagkeep store`."""

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated, Final, NamedTuple

import typer

from flagkeep.cli.progress import progress
from flagkeep.cli.stores_opened import Store
from flagkeep.errors import InvalidItem
from flagkeep.model.codec import decode
from flagkeep.model.flag import Flag
from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem
from flagkeep.storage.contents import StoreContents, Tally, WriterRecord

Url = Annotated[
    str,
    typer.Argument(
        metavar="URL",
        help="Of the store, such as redis://localhost:6379/0, dynamodb://table,"
        " consul://localhost:8500 or sqlite:///flags.db.",
    ),
]

_PLACEHOLDER: Final = "null"  # Erlang's SDK writes it, key and text
_TRIES: Final = 3


class State(StrEnum):
    """How an item stands in a store."""

    ON = "on"
    OFF = "off"
    LIVE = "live"  # a segment
    DELETED = "deleted"
    BAD = "bad"


class StoredItem(NamedTuple):
    """One item of a store.

    Attributes:
        version: None where it cannot be told.
        data: the stored text; None if it cannot be had.
        bad: why it cannot be used, if it cannot.
        is_placeholder: whether it is what Erlang's SDK leaves behind, and no item at all.
    """

    ref: ItemRef
    version: int | None
    state: State
    data: bytes | None
    bad: BadItem | None = None
    is_placeholder: bool = False

    @property
    def size(self) -> int:
        """Bytes of the text."""
        return len(self.data or b"")


class Snapshot(NamedTuple):
    """Everything in a store, with the record of its writer, as of one moment.

    Attributes:
        items: flags before segments, by key.
        tally: what a writer's record should say.
        is_half_done: whether a full set was being written meanwhile, or half of one was left there.
    """

    initialized: bool
    items: Sequence[StoredItem]
    record: WriterRecord | None
    tally: Tally
    is_half_done: bool

    def of(self, kind: Kind, *states: State) -> list[StoredItem]:
        """Return the items of a kind that stand like this."""
        return [one for one in self.items if one.ref.kind is kind and one.state in states]

    @property
    def bad(self) -> list[tuple[StoredItem, BadItem]]:
        """The items that cannot be used, and why."""
        return [(one, one.bad) for one in self.items if one.bad is not None]

    @property
    def is_blank(self) -> bool:
        """Whether nothing was ever written."""
        return not (self.initialized or self.items or self.record)


def read_snapshot(store: Store) -> Snapshot:
    """Read everything and open every item."""
    with progress("reading"):
        contents, record = _read(store)
        found = [ItemRef(one.kind, one.key) for one in contents.bad]
        texts = store.get_many(found) if found else {}
    tally = Tally()
    items = [_bad(one, texts.get(one.ref)) for one in contents.bad]
    with progress("checking", len(contents.flags) + len(contents.segments)) as advance:
        for ref, item in _items(contents):
            tally.add(ref, item)
            items.append(look_at(ref, item))
            advance()
    items.sort(key=lambda one: one.ref)
    is_half_done = contents.unfinished is not None
    return Snapshot(contents.initialized, items, record, tally, is_half_done)


def look_at(ref: ItemRef, item: SerializedItem) -> StoredItem:
    """Open one item."""
    if item.deleted:
        return StoredItem(ref, item.version, State.DELETED, item.data)
    try:
        item.data.decode()
        model = decode(ref.kind, item.data, ref.key)
    except UnicodeDecodeError as exc:
        problem = f"not UTF-8 text: {exc.reason} at byte {exc.start}"
        return _bad(BadItem(ref.kind, ref.key, "$", problem), item)
    except InvalidItem as exc:
        return _bad(BadItem(ref.kind, ref.key, exc.path, exc.problem), item)
    state = State.LIVE
    if isinstance(model, Flag):
        state = State.ON if model.on else State.OFF
    return StoredItem(ref, item.version, state, item.data)


def _read(store: Store) -> tuple[StoreContents, WriterRecord | None]:
    """Read contents and record so that they belong together, unless somebody never stops."""
    store.is_initialized()  # raises where nothing may be read, not even the record
    record = store.read_record()
    for _ in range(_TRIES):
        before, contents, record = record, store.get_all(), store.read_record()
        if record == before:
            break
    return contents, record


def _items(contents: StoreContents) -> Iterator[tuple[ItemRef, SerializedItem]]:
    for kind in Kind:
        for key, item in contents.of(kind).items():
            yield ItemRef(kind, key), item


def _bad(bad: BadItem, item: SerializedItem | None) -> StoredItem:
    data = None if item is None else item.data
    is_placeholder = bad.key == _PLACEHOLDER and data == _PLACEHOLDER.encode()
    return StoredItem(bad.ref, _version(data), State.BAD, data, bad, is_placeholder)


def _version(data: bytes | None) -> int | None:
    """Return what looks like the version of a text that cannot be read."""
    found = re.search(rb'"version"\s*:\s*(\d{1,18})\b', data or b"")
    return int(found[1]) if found else None
