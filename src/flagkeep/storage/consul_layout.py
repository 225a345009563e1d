"""How an environment lies in Consul (stores spec, sections 5 and 17): keys, and operations on them.

One key per item below `{prefix}/features/` and `{prefix}/segments/`, its value the text; a marker
that says by being there that a full set was written. Versions are in the texts only. What we keep
for ourselves is below `flagkeep/`, since other SDKs delete everything below the prefix.

Nothing here ever names a key outside of these: another environment may lie below the same prefix.
"""

import base64
import re
from collections.abc import Iterable
from typing import Final

import msgspec

from flagkeep.model.item import ItemRef, Kind

DEFAULT_PREFIX: Final = "launchdarkly"

_TREES: Final = {Kind.FLAG: "features", Kind.SEGMENT: "segments"}
_OWN: Final = "flagkeep"
_RESERVED: Final = re.compile(rb"[^A-Za-z0-9._~/-]")
# What every server takes in a path: some refuse control characters, others tidy up `//` and `..`;
# since 1.21.6 they refuse what looks like a way out of a folder, and spaces at either end.
_PLAIN: Final = re.compile(r"[ -.0-~]+(?:/[ -.0-~]+)*")
_HARMED: Final = re.compile(r"(?:^|/)\.(?:/|$)|\.\.|^ | $")
_LONGEST_PATH: Final = 4096


def in_path(key: str) -> str | None:
    """Return a key as it stands in a URL; None if a URL does not carry it unharmed."""
    if len(key) > _LONGEST_PATH or not _PLAIN.fullmatch(key) or _HARMED.search(key):
        return None
    return escaped(key)


def escaped(text: str) -> str:
    """Return a text for a URL: what is not a letter, digit, `.`, `_`, `~`, `-` or `/` as `%XX`."""
    return _RESERVED.sub(lambda found: b"%%%02X" % ord(found.group()), text.encode()).decode()


def prefix_problem(prefix: str) -> str | None:
    """Return why an environment cannot have a prefix; None if it can.

    The other SDKs name keys in URLs only. What lies where another environment has its items would
    be taken for some of them.
    """
    parts = prefix.split("/")
    if any(part in {"", ".", ".."} for part in parts):
        return "its parts between slashes must not be empty, '.' or '..'"
    for place, part in enumerate(parts[1:], 1):
        if part in _TREES.values():
            above = "/".join(parts[:place])
            return f"that is where the environment {above!r} has its {part}"
    if len(parts) > 1 and parts[0] == _OWN:
        return f"what is below {_OWN}/ is flagkeep's own"
    if not prefix.isprintable():
        return "Consul refuses characters that cannot be printed"
    return None


# --- operations -----------------------------------------------------------------------------------


class Operation(msgspec.Struct, rename="pascal", omit_defaults=True, gc=False):
    """One step of a transaction.

    Attributes:
        verb: what to do.
        key: what it is about.
        value: what it writes; None if it does not.
        index: what the key's ModifyIndex must be, 0 for a key that is not there.
        namespace: of Consul Enterprise, and so the next.
    """

    verb: str
    key: str
    value: bytes | None = None
    index: int | None = None
    namespace: str = ""
    partition: str = ""

    @property
    def most_bytes(self) -> int:
        """How many bytes it has in a transaction, at most."""
        # Six bytes are the longest that JSON makes of a character.
        names = 6 * (len(self.key) + len(self.namespace) + len(self.partition))
        return _FRAME + names + (len(self.value or b"") + 2) // 3 * 4


_FRAME: Final = len(
    b'{"KV":{"Verb":"get-or-empty","Key":"","Value":"","Index":18446744073709551615'
    b',"Namespace":"","Partition":""}},'
)
_ENCODER: Final = msgspec.json.Encoder()


def transaction(operations: Iterable[Operation]) -> bytes:
    """Return what is sent to run these as a whole."""
    return _ENCODER.encode([{"KV": one} for one in operations])


class Names:
    """What the keys of one environment are called.

    Attributes:
        prefix: of the environment.
        trees: by kind, what the keys of items begin with.
        marker: the key that says that a full set was written.
        marker_path: the same as it stands in a URL.
        record: the key of the writer's record.
        record_path: the same as it stands in a URL.
        own: what all keys that are ours alone begin with.
    """

    __slots__ = ("_namespace", "_partition", "_start", "_start_in_path", "marker", "marker_path",
                 "own", "prefix", "record", "record_path", "trees")  # fmt: skip

    def __init__(self, prefix: str, *, namespace: str = "", partition: str = "") -> None:
        self.prefix = prefix or DEFAULT_PREFIX
        self._start = f"{self.prefix}/"
        self._start_in_path = escaped(self._start)
        self.trees = {kind: f"{self._start}{name}/" for kind, name in _TREES.items()}
        self.marker = f"{self._start}$inited"
        self.marker_path = escaped(self.marker)
        self.own = f"{_OWN}/{base64.b32encode(self.prefix.encode()).decode()}/"
        self.record = f"{self.own}record"
        self.record_path = escaped(self.record)
        self._namespace = namespace
        self._partition = partition

    def key(self, ref: ItemRef) -> str:
        """Return where an item lies."""
        return self.trees[ref.kind] + ref.key

    def path(self, ref: ItemRef) -> str | None:
        """Return where an item lies, as it stands in a URL; None if no URL carries it unharmed.

        The prefix stands in URLs however it is written: the other SDKs have no other way.
        """
        path = in_path(self.key(ref)[len(self._start) :])
        return None if path is None else self._start_in_path + path

    def ref(self, key: str) -> ItemRef | None:
        """Return the item that lies there; None if it is another key."""
        for kind, start in self.trees.items():
            if key.startswith(start):
                return ItemRef(kind, key[len(start) :])
        return None

    def get(self, key: str) -> Operation:
        """Read a key, be it there or not."""
        return self._operation("get-or-empty", key)

    def get_present(self, key: str) -> Operation:
        """Read a key; without it the transaction fails. For servers before 1.14."""
        return self._operation("get", key)

    def get_everything(self) -> list[Operation]:
        """Read all there is, as of one moment."""
        starts = [self.marker, *self.trees.values()]
        return [self._operation("get-tree", start) for start in starts]

    def get_record(self) -> Operation:
        """Read the record, be it there or not; what the token may not read is left out."""
        return self._operation("get-tree", self.record)

    def put(self, key: str, value: bytes) -> Operation:
        """Write a key, whatever is there."""
        return Operation("set", key, value, None, self._namespace, self._partition)

    def put_over(self, key: str, value: bytes, index: int) -> Operation:
        """Write a key if its ModifyIndex is this, 0 for a key that is not there."""
        return self._operation("cas", key, value, index)

    def delete(self, key: str) -> Operation:
        """Remove a key, be it there or not."""
        return self._operation("delete", key)

    def delete_everything(self) -> list[Operation]:
        """Remove all there is; not what else lies below the prefix."""
        trees = [self._operation("delete-tree", start) for start in self.trees.values()]
        return [*trees, self.delete(self.marker), self.delete(self.record)]

    def _operation(
        self, verb: str, key: str, value: bytes | None = None, index: int | None = None
    ) -> Operation:
        return Operation(verb, key, value, index, self._namespace, self._partition)
