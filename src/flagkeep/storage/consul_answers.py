"""What a Consul answers: keys and values, outcomes of transactions, refusals and what to do.

No text of a server is shown: there may be a secret in it.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple, TypeVar

import msgspec

from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem
from flagkeep.storage.consul_layout import Names
from flagkeep.storage.contents import StoreContents, WriterRecord
from flagkeep.storage.items import item_from_row

T = TypeVar("T")

NOTHING: Final = StoreContents(initialized=False, flags={}, segments={})

NOT_CONSUL: Final = "what answers there is not a Consul: are address and port right?"
NONE_GIVEN: Final = "it asks for a token, and none was given"

_FOLDER: Final = "a folder that somebody made in Consul's web interface; it stands for no item"
_INDEX: Final = "x-consul-index"
_FILTERED: Final = "x-consul-results-filtered-by-acls"
_LONGEST_WAIT: Final = 60.0  # seconds


class Why(StrEnum):
    """What a refusal asks for."""

    DENIED = "more rights"
    UNKNOWN = "another token"
    NO_WRITES = "another way"  # this machine may only use GET
    TOO_LARGE = "less at a time"
    NAME = "no such key in a URL"
    BUSY = "patience"
    OTHER = "somebody to look"


class Refusal(NamedTuple):
    """Why there is no answer.

    Attributes:
        why: for the program.
        reason: for people.
        pause: seconds that the server asks to wait; None if it does not say.
    """

    why: Why
    reason: str
    pause: float | None = None


# By what Consul says, in this order, for any status but 200.
_SAID: Final = (
    (b"Access is restricted", Why.NO_WRITES,
     "this machine may not write there (http_config.allow_write_http_from of the agent)"),
    (b"blocked by agent", Why.NO_WRITES,
     "the agent blocks what is needed: /v1/kv and /v1/txn (http_config.block_endpoints)"),
    (b"ACL not found", Why.UNKNOWN,
     "the token is not known there: was it deleted, or has it expired?"),
    (b"anonymous token lacks", Why.DENIED, NONE_GIVEN),
    (b"Permission denied", Why.DENIED, "the token may not do this"),
    (b"No cluster leader", Why.OTHER,
     "its cluster has no leader: do most of its servers run, and do they reach each other?"),
    (b"No known Consul servers", Why.OTHER,
     "its agent knows no server: has it joined a cluster?"),
    (b"No path to datacenter", Why.OTHER, "its cluster knows no such datacenter"),
    (b"Consul Enterprise feature", Why.OTHER,
     "it has no namespaces and no partitions, as it is not Consul Enterprise"),
    (b"invalid key name", Why.NAME,
     "it takes no such key in a URL: Consul 1.21.5 is known for that"),
    (b"HTTP request to an HTTPS server", Why.OTHER,
     "it is to be reached by TLS: write https:// in front of its address"),
    (b"rpc error", Why.OTHER, "its agent does not reach a server of the cluster"),
)  # fmt: skip
_STATUSES: Final = {
    401: "HTTP 401: something in front of it asks for a password, which is not supported",
    403: "HTTP 403: something in front of it does not let this machine pass",
    404: NOT_CONSUL,
    405: NOT_CONSUL,
    407: "HTTP 407: a proxy on the way asks for a password",
    502: "HTTP 502: what stands in front of it does not reach it",
    503: "HTTP 503: it, or what stands in front of it, cannot answer now",
    504: "HTTP 504: what stands in front of it has waited for it in vain",
}
_THROTTLED: Final = b"rate limit"


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Refusal | None:
    """Return why there is no answer; None if there is one, be it that a key is not there.

    Args:
        status: of HTTP.
        headers: names are in lower case.
        body: what came with it.
    """
    if status == 200 or (status == 404 and _INDEX in headers):  # noqa: PLR2004
        if headers.get(_FILTERED) == "true":
            return Refusal(Why.DENIED, "the token may not read all of it")
        return None
    if status == 409 and headers.get("content-type", "").startswith("application/json"):  # noqa: PLR2004
        return None  # a transaction that failed, which says why
    if status == 413:  # noqa: PLR2004
        return Refusal(Why.TOO_LARGE, "it takes nothing of this size")
    pause = _seconds(headers.get("retry-after", ""))
    if status == 429 or (status == 503 and (pause is not None or _THROTTLED in body)):  # noqa: PLR2004
        return Refusal(Why.BUSY, f"it is asked too much (HTTP {status})", pause)
    for text, why, reason in _SAID:
        if text in body:
            return Refusal(why, reason)
    if 300 <= status <= 399:  # noqa: PLR2004
        return Refusal(Why.OTHER, f"HTTP {status}: it is somewhere else; is it https://?")
    reason = _STATUSES.get(status, f"HTTP {status}: the log of its agent may say why")
    return Refusal(Why.OTHER, reason)


def _seconds(text: str) -> float | None:
    return min(float(text), _LONGEST_WAIT) if text.isascii() and text.isdecimal() else None


def is_read(headers: Mapping[str, str]) -> bool:
    """Whether the answer to a read comes from a Consul; names of headers are in lower case."""
    return _INDEX in headers


# --- keys and values ------------------------------------------------------------------------------


class Pair(msgspec.Struct, rename="pascal", gc=False):
    """A key and what it holds.

    Attributes:
        value: None for an empty one, and for a key that is not there.
        modify_index: when it was written last, 0 for a key that is not there.
    """

    key: str
    value: bytes | None = None
    modify_index: int = 0

    @property
    def text(self) -> bytes | None:
        """What it holds; None if it is not there."""
        return (self.value or b"") if self.modify_index else None


class _Result(msgspec.Struct, rename={"kv": "KV"}, gc=False):
    kv: Pair


class Failure(msgspec.Struct, rename="pascal"):
    """Why an operation failed.

    Attributes:
        op_index: which one.
        what: in the server's words.
    """

    op_index: int
    what: str

    @property
    def is_denied(self) -> bool:
        """Whether it may not be done."""
        return "Permission denied" in self.what

    @property
    def is_stale(self) -> bool:
        """Whether somebody else has written the key."""
        return self.what.endswith("index is stale")

    @property
    def is_absent(self) -> bool:
        """Whether the key is not there."""
        return self.what.endswith("doesn't exist")

    @property
    def is_unknown(self) -> bool:
        """Whether the server does not know the operation."""
        return self.what.startswith("unknown KV")


class Reply(msgspec.Struct):
    """What came of a transaction.

    Attributes:
        results: what its operations found, in their order; what the token may not read is missing.
        failures: nothing was done if there are any.
        is_filtered: whether something is missing; None: the server says nothing of that. Consul
            before 1.11 does not, and none does where something is written.
    """

    results: list[_Result] | None = msgspec.field(name="Results")
    failures: list[Failure] | None = msgspec.field(name="Errors", default=None)
    is_filtered: bool | None = msgspec.field(name="ResultsFilteredByACLs", default=None)

    @property
    def is_denied(self) -> bool:
        """Whether the token may not do all of it."""
        return bool(self.is_filtered) or any(one.is_denied for one in self.failures or ())

    def pairs(self) -> dict[str, Pair]:
        """Return what was found, by key."""
        return {result.kv.key: result.kv for result in self.results or ()}


_REPLY: Final = msgspec.json.Decoder(Reply)
_PAIRS: Final = msgspec.json.Decoder(list[Pair])
_KEYS: Final = msgspec.json.Decoder(list[str])


class NotConsul(ValueError):
    """An answer is none of a Consul."""


def reply(body: bytes) -> Reply:
    """Return what came of a transaction.

    Raises:
        NotConsul: nothing that Consul would say.
    """
    return _decoded(_REPLY, body)


def pairs(body: bytes) -> list[Pair]:
    """Return the keys and values that were read without a transaction.

    Raises:
        NotConsul: nothing that Consul would say.
    """
    return _decoded(_PAIRS, body)


def keys(body: bytes) -> list[str]:
    """Return the keys that were listed.

    Raises:
        NotConsul: nothing that Consul would say.
    """
    return _decoded(_KEYS, body)


def _decoded(decoder: "msgspec.json.Decoder[T]", body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise NotConsul from None


def texts(
    names: Names, refs: Iterable[ItemRef], found: Mapping[str, Pair]
) -> dict[ItemRef, bytes | None]:
    """Return the texts of items; None for one that is not there."""
    return {ref: found[names.key(ref)].text for ref in refs}


class Everything(NamedTuple):
    """All there is.

    Attributes:
        pairs: keys and what they hold, the marker and the record among them.
        unfinished: the record of a full replace that was going on.
        is_sure: whether the server would have told if something were missing, at least to those who
            have a token.
    """

    pairs: list[Pair]
    unfinished: WriterRecord | None
    is_sure: bool = False


def as_of_one_moment(names: Names, found: list[Pair], *, is_sure: bool) -> Everything:
    """Return all there is, where the record was read together with it."""
    texts = (pair.text for pair in found if pair.key == names.record)
    record = WriterRecord.decode(next(texts, None))
    unfinished = record if record is not None and record.replacing else None
    return Everything(found, unfinished, is_sure)


def contents(names: Names, everything: Everything, last: StoreContents = NOTHING) -> StoreContents:
    """Return what is there.

    Args:
        names: of the environment.
        everything: all its keys; others are passed over.
        last: what was there at the last call. Items that are as they were are the very same, which
            saves looking into their texts, here and wherever they go.
    """
    is_marked = False
    bad: list[BadItem] = []
    items: dict[Kind, dict[str, SerializedItem]] = {kind: {} for kind in Kind}
    trees = [(start, len(start), kind, last.of(kind)) for kind, start in names.trees.items()]
    for pair in everything.pairs:
        name = pair.key
        for start, length, kind, known in trees:
            if name.startswith(start):
                key, data = name[length:], pair.value or b""
                item = known.get(key)
                if item is None or item.data != data:
                    read = item_from_row(kind, key, None, data)
                    if isinstance(read, BadItem):
                        is_folder = not data and (not key or key.endswith("/"))
                        bad.append(BadItem(kind, key, "$", _FOLDER) if is_folder else read)
                        break
                    item = read
                items[kind][key] = item
                break
        else:
            is_marked = is_marked or name == names.marker
    flags, segments = items[Kind.FLAG], items[Kind.SEGMENT]
    return StoreContents(is_marked, flags, segments, tuple(bad), everything.unfinished)
