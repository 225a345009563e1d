"""How "deleted" is written: for stores and sources alike."""

from collections.abc import Mapping
from typing import Any, Final

from flagkeep.model.codec import encode_json
from flagkeep.model.item import Kind, SerializedItem

# The full schema, which every SDK in daemon mode already meets in tombstones.
_TOMBSTONE: Final[Mapping[Kind, Mapping[str, Any]]] = {
    Kind.FLAG: {
        "on": False,
        "prerequisites": [],
        "targets": [],
        "contextTargets": [],
        "rules": [],
        "fallthrough": {},
        "offVariation": None,
        "variations": [],
        "clientSide": False,
        "salt": "",
        "trackEvents": False,
        "trackEventsFallthrough": False,
        "debugEventsUntilDate": None,
    },
    Kind.SEGMENT: {
        "included": [],
        "excluded": [],
        "includedContexts": [],
        "excludedContexts": [],
        "salt": "",
        "rules": [],
        "generation": None,
    },
}


def tombstone(kind: Kind, key: str, version: int) -> SerializedItem:
    """Return "deleted at `version`": the full schema with the real key.

    Of all forms in use this one is readable by the most SDKs (stores spec, section 2.3).
    """
    fields = {"key": key, **_TOMBSTONE[kind], "version": version, "deleted": True}
    return SerializedItem(version, deleted=True, data=encode_json(fields))
