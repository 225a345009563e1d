"""The environment that a fake upstream serves, and its form on the wire."""

import gzip
import zlib
from collections.abc import Mapping
from typing import Any, Final, Literal

from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import encode_json
from flagkeep.model.item import Kind
from flagkeep.protocol.sse import Event, encode

KindName = Literal["flags", "segments"]
KIND_NAMES: Final[Mapping[Kind, KindName]] = {Kind.FLAG: "flags", Kind.SEGMENT: "segments"}


class Environment:
    """Flags and segments as JSON text, by key; not locked."""

    def __init__(self) -> None:
        self._items: dict[KindName, dict[str, bytes]] = {"flags": {}, "segments": {}}
        self._text: bytes | None = None
        self._compressed: bytes | None = None

    def replace(self, flags: Mapping[str, Any], segments: Mapping[str, Any]) -> bytes:
        """Take a whole environment; return the event that says so."""
        self._items = {
            "flags": {key: encode_json(item) for key, item in flags.items()},
            "segments": {key: encode_json(item) for key, item in segments.items()},
        }
        self._changed()
        return self.put_event()

    def patch(self, kind: KindName, key: str, item: bytes) -> bytes:
        """Take one item; return the event that says so."""
        self._items[kind][key] = item
        self._changed()
        path = encode_json(f"/{kind}/{key}")
        return _event("patch", b'{"path":%b,"data":%b}' % (path, item))

    def delete(self, kind: KindName, key: str, version: int) -> bytes:
        """Forget one item; return the event that says so."""
        self._items[kind].pop(key, None)
        self._changed()
        return _event("delete", encode_json({"path": f"/{kind}/{key}", "version": version}))

    def take(self, changes: ChangeSet) -> bytes:
        """Take a change set; return the events that say so."""
        if changes.full:
            self._items = {
                name: {key: item.data for key, item in changes.of(kind).items() if not item.deleted}
                for kind, name in KIND_NAMES.items()
            }
            self._changed()
            return self.put_event()
        return b"".join(
            self.delete(KIND_NAMES[ref.kind], ref.key, item.version)
            if item.deleted
            else self.patch(KIND_NAMES[ref.kind], ref.key, item.data)
            for ref, item in changes.items()
        )

    def put_event(self) -> bytes:
        """Return the event with the whole environment."""
        return _event("put", b'{"path":"/","data":%b}' % self.text())

    def text(self) -> bytes:
        """Return the whole environment as a poll gets it."""
        if self._text is None:
            parts = (b'"%b":{%b}' % (n.encode(), _members(i)) for n, i in self._items.items())
            self._text = b"{%b}" % b",".join(parts)
        return self._text

    def compressed(self) -> bytes:
        """Return the same, gzipped."""
        if self._compressed is None:
            self._compressed = gzip.compress(self.text(), compresslevel=1)
        return self._compressed

    def etag(self) -> str:
        """Return what changes when the data does."""
        text = self.text()
        return f'"{len(text):x}-{zlib.crc32(text):08x}"'

    def _changed(self) -> None:
        self._text = self._compressed = None


def _members(items: Mapping[str, bytes]) -> bytes:
    return b",".join(b"%b:%b" % (encode_json(key), item) for key, item in items.items())


def _event(name: str, data: bytes) -> bytes:
    return encode(Event(name, data))
