"""What an item must contain so that SDKs in every language can read it from a store.

LaunchDarkly's own payloads always do. Items made by hand (files, test data) often do not: PHP,
Rust and Haskell refuse a flag without `salt`, and Go refuses a null where a boolean belongs.
Source: stores spec, "What a live item must contain so that everybody can read it".
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from flagkeep.errors import InvalidData, InvalidItem
from flagkeep.model.codec import encode_json
from flagkeep.model.envelope import members_of
from flagkeep.model.item import Kind

_FLAG: Final[Mapping[str, bytes]] = {
    "deleted": b"false",
    "on": b"false",
    "salt": b'""',
    "variations": b"[]",
    "offVariation": b"null",
    "fallthrough": b"{}",
    "prerequisites": b"[]",
    "targets": b"[]",
    "rules": b"[]",
    "trackEvents": b"false",
    "trackEventsFallthrough": b"false",
}
_SEGMENT: Final[Mapping[str, bytes]] = {
    "deleted": b"false",
    "salt": b'""',
    "included": b"[]",
    "excluded": b"[]",
    "rules": b"[]",
}
_DECODER: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def fill_required(kind: Kind, key: str, data: bytes, *, version: int = 1) -> bytes:
    """Return the item with what is missing (or null) of the demanded properties added.

    Everything else keeps its text, unknown properties included; a complete item comes back
    unchanged.

    Args:
        kind: whose list of properties counts.
        key: goes in where the item has no key.
        data: the JSON text of one item.
        version: goes in where the item has none.

    Raises:
        InvalidItem: the text is not a JSON object.
    """
    members = _cut(kind, key, data)
    demanded = {"key": encode_json(key), "version": b"%d" % version}
    demanded.update(_FLAG if kind is Kind.FLAG else _SEGMENT)
    missing = {
        name: text
        for name, text in demanded.items()
        if members.get(name, b"null") == b"null" and not (text == b"null" and name in members)
    }
    if not missing:
        return data
    whole = members | missing
    return b"{" + b",".join(encode_json(name) + b":" + whole[name] for name in whole) + b"}"


def _cut(kind: Kind, key: str, data: bytes) -> dict[str, bytes]:
    try:
        return {name: bytes(text).strip() for name, text in _DECODER.decode(data).items()}
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass
    text = data.decode("utf-8", "surrogatepass")
    if not text.lstrip().startswith("{"):
        raise InvalidItem(kind, key, "$", "it must be an object")
    try:
        members = members_of(text, "$")
    except InvalidData as exc:
        raise InvalidItem(kind, key, exc.path, exc.problem) from None
    return {name: one.encode("utf-8", "surrogatepass") for name, one in members.items()}
