"""How an environment lies in Redis (stores spec, sections 3 and 17): keys, commands, replies.

One hash per kind, its fields the keys of items and its values their texts; a marker that says by
being there that a full set was written. Versions are in the texts only. `$flagkeep` is a hash that
no other SDK reads: its field `record` says who wrote last.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem
from flagkeep.storage.contents import StoreContents, WriterRecord
from flagkeep.storage.items import item_from_row
from flagkeep.storage.redis_commands import EXEC, MULTI, Command, together
from flagkeep.storage.updates import Update

DEFAULT_PREFIX: Final = "launchdarkly"
NOTHING: Final = StoreContents(initialized=False, flags={}, segments={})

_NAMES: Final = {Kind.FLAG: "features", Kind.SEGMENT: "segments"}
_RECORD: Final = b"record"
_PAIRS_PER_COMMAND: Final = 500
# A server's limit for one text (proto-max-bulk-len, 512 MB unless changed) cannot be set lower.
LOWEST_LIMIT: Final = 1 << 20
# Erlang's SDK puts this field, with this value, into both hashes (stores spec, section 2.3).
_PLACEHOLDER: Final = b"null"

# Writes fields only if all of them still hold what was read: nothing, or exactly this text.
# Arguments, five for each field: number of its key, field, "1" if it held something, that, new.
COMPARE_AND_SET: Final = b"""
for i = 1, #ARGV, 5 do
  local now = redis.call('HGET', KEYS[tonumber(ARGV[i])], ARGV[i + 1])
  if ARGV[i + 2] == '1' then
    if now ~= ARGV[i + 3] then return 0 end
  elseif now then
    return 0
  end
end
for i = 1, #ARGV, 5 do
  redis.call('HSET', KEYS[tonumber(ARGV[i])], ARGV[i + 1], ARGV[i + 4])
end
return 1
"""


class Names:
    """What the keys of one environment are called."""

    __slots__ = ("hashes", "marker", "own", "prefix")

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix or DEFAULT_PREFIX
        start = self.prefix.encode() + b":"
        self.hashes = {kind: start + name.encode() for kind, name in _NAMES.items()}
        self.marker = start + b"$inited"
        self.own = start + b"$flagkeep"

    # --- reading ------------------------------------------------------------------------------

    def item(self, ref: ItemRef) -> Command:
        """Read one item; the reply is its text."""
        return (b"HGET", self.hashes[ref.kind], ref.key.encode())

    def items(self, refs: Iterable[ItemRef]) -> list[Command]:
        """Read items: one command per kind."""
        keys: dict[Kind, list[bytes]] = {}
        for ref in refs:
            keys.setdefault(ref.kind, []).append(ref.key.encode())
        return [(b"HMGET", self.hashes[kind], *fields) for kind, fields in keys.items()]

    def everything(self) -> list[Command]:
        """Read all there is."""
        return [self.is_marked(), *((b"HGETALL", name) for name in self.hashes.values())]

    def is_marked(self) -> Command:
        """Ask for the marker."""
        return (b"EXISTS", self.marker)

    def record(self) -> Command:
        """Read the writer's record."""
        return (b"HGET", self.own, _RECORD)

    def watch(self, refs: Iterable[ItemRef]) -> Command:
        """Let the next EXEC fail if the record, or an item of the kinds of `refs`, changes."""
        return (b"WATCH", *(self.hashes[kind] for kind in _kinds(refs)), self.own)

    def filler(self, size: int) -> Command:
        """Do nothing, with a text of this size."""
        return (b"EXISTS", self.own.ljust(size))

    # --- writing ------------------------------------------------------------------------------

    def replacement(
        self, rows: Iterable[tuple[ItemRef, bytes]], record: WriterRecord | None
    ) -> list[Command]:
        """Put these rows, in this order, in the place of everything."""
        clear: list[Command] = [(b"DEL", name) for name in self.hashes.values()]
        sign: Command = (b"HDEL", self.own, _RECORD)
        if record is not None:
            sign = (b"HSET", self.own, _RECORD, record.encode())
        return [MULTI, *clear, *self._puts(rows), (b"SET", self.marker, b""), sign, EXEC]

    def nothing(self) -> Command:
        """Remove everything."""
        return (b"DEL", *self.hashes.values(), self.marker, self.own)

    def _puts(self, rows: Iterable[tuple[ItemRef, bytes]]) -> Iterator[Command]:
        name = b""
        fields: list[bytes] = []
        for (kind, key), data in rows:
            if self.hashes[kind] != name or len(fields) == 2 * _PAIRS_PER_COMMAND:
                if fields:
                    yield (b"HSET", name, *fields)
                name, fields = self.hashes[kind], []
            fields += (key.encode(), data)
        if fields:
            yield (b"HSET", name, *fields)

    def script(self, update: Update) -> Command:
        """Write an update by the script, which answers 1, or 0 if something else is there now."""
        numbers = {kind: b"%d" % number for number, kind in enumerate(self.hashes, 1)}
        arguments: list[bytes] = []
        for ref, (old, item) in update.items.items():
            had, text = _expected(old)
            arguments += (numbers[ref.kind], ref.key.encode(), had, text, item.data)
        if update.record is not None:
            had, text = _expected(update.old_record)
            own = b"%d" % (len(numbers) + 1)
            arguments += (own, _RECORD, had, text, update.record)
        keys = (*self.hashes.values(), self.own)
        return (b"EVAL", COMPARE_AND_SET, b"%d" % len(keys), *keys, *arguments)

    def transaction(self, update: Update) -> list[Command]:
        """Write an update where WATCH has been said before its items were read."""
        rows = [(ref, item.data) for ref, (_, item) in update.items.items()]
        puts = list(self._puts(rows))
        if update.record is not None:
            puts.append((b"HSET", self.own, _RECORD, update.record))
        return together(puts)


def _expected(text: bytes | None) -> tuple[bytes, bytes]:
    return (b"0", b"") if text is None else (b"1", text)


def large_items(changes: ChangeSet) -> dict[ItemRef, int]:
    """Return the items that not every server takes, with the size of their larger text."""
    sizes = {
        ItemRef(kind, key): max(len(item.data), len(key.encode()))
        for kind in Kind
        for key, item in changes.of(kind).items()
        if len(item.data) > LOWEST_LIMIT or 4 * len(key) > LOWEST_LIMIT
    }
    return {ref: size for ref, size in sizes.items() if size > LOWEST_LIMIT}


# --- replies --------------------------------------------------------------------------------------


def item_texts(refs: Collection[ItemRef], replies: Sequence[Any]) -> dict[ItemRef, bytes | None]:
    """Return the texts in the replies to `Names.items`."""
    if len(replies) == 1:
        return dict(zip(refs, replies[0], strict=True))
    texts: dict[ItemRef, bytes | None] = {}
    waiting = {kind: iter(reply) for kind, reply in zip(_kinds(refs), replies, strict=True)}
    for ref in refs:
        texts[ref] = next(waiting[ref.kind])
    return texts


def _kinds(refs: Iterable[ItemRef]) -> Iterable[Kind]:
    return dict.fromkeys(ref.kind for ref in refs)


def contents(reply: Sequence[Any], last: StoreContents = NOTHING) -> StoreContents:
    """Return what is there, out of the replies to `Names.everything`.

    Args:
        reply: the replies.
        last: what was there at the last call. Items that are as they were are the very same, which
            saves looking into their texts, here and wherever they go.
    """
    bad: list[BadItem] = []
    marked, *hashes = reply
    found = {
        kind: _items(kind, pairs, last.of(kind), bad)
        for kind, pairs in zip(_NAMES, hashes, strict=True)
    }
    return StoreContents(bool(marked), found[Kind.FLAG], found[Kind.SEGMENT], tuple(bad))


def _items(
    kind: Kind, reply: Any, last: Mapping[str, SerializedItem], bad: list[BadItem]
) -> dict[str, SerializedItem]:
    items = {}
    for name, data in _pairs(reply):
        try:
            key = name.decode()
        except UnicodeDecodeError:
            shown = name.decode(errors="backslashreplace")
            bad.append(BadItem(kind, shown, "$.key", "the field is not UTF-8"))
            continue
        known = last.get(key)
        if known is not None and known.data == data:
            items[key] = known
            continue
        item = item_from_row(kind, key, None, data)
        if isinstance(item, SerializedItem):
            items[key] = item
        elif name == data == _PLACEHOLDER:
            problem = "a placeholder that the Erlang SDK writes; it stands for no item"
            bad.append(BadItem(kind, key, "$", problem))
        else:
            bad.append(item)
    return items


def _pairs(reply: Any) -> Iterator[tuple[bytes, bytes]]:
    """Yield fields and values: a map in the protocol's third version, a flat list in its second."""
    if isinstance(reply, Mapping):
        return iter(reply.items())
    flat = iter(reply)
    return zip(flat, flat, strict=True)
