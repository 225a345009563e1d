"""What is compared: an environment, what becomes of it, and who is asked about."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from tests.interop import contexts, items
from tests.interop.items import Change, Json


@dataclass(frozen=True, eq=False)  # it is itself only, so that answers can be kept for it
class DataSet:
    """An environment with a history.

    Attributes:
        flags: at first.
        segments: at first.
        changes: what happens to them; some of it is older than what is there.
        contexts: for which every flag is evaluated.
    """

    flags: Sequence[Json]
    segments: Sequence[Json]
    changes: Sequence[Change]
    contexts: Sequence[Json]

    def of_some(self, number: int) -> "DataSet":
        """Return the same for so many of the contexts."""
        return replace(self, contexts=self.contexts[:number])

    @property
    def keys(self) -> list[str]:
        """What is asked of every reader: all that was ever there, and what was not."""
        changed = (item for is_segment, item in self.changes if not is_segment)
        keys = [item["key"] for item in (*self.flags, *changed)]
        return [*dict.fromkeys(keys), "never-heard-of"]

    def after_changes(self) -> tuple[list[Json], list[Json]]:
        """Return the flags and segments that are left when everything has happened."""
        flags = {item["key"]: item for item in self.flags}
        segments = {item["key"]: item for item in self.segments}
        for is_segment, item in self.changes:
            kind = segments if is_segment else flags
            known = kind.get(item["key"])
            if known is None or item["version"] > known["version"]:
                kind[item["key"]] = item
        return _live(flags), _live(segments)


def _live(items: dict[str, Json]) -> list[Json]:
    return [item for item in items.values() if not item["deleted"]]


def _is_of_users(item: Json) -> bool:
    """Whether SDKs of the time before contexts can do it, and without following a cycle."""
    text = json.dumps(item)
    names = ("contextKind", "rolloutContextKind", "unboundedContextKind")
    knows_kinds = any(f'"{name}"' in text for name in names) or '"attribute": "kind"' in text
    return not knows_kinds and item["key"] not in ("cycle-1", "cycle-2", "needs-itself")


EVERYTHING: Final = DataSet(items.FLAGS, items.SEGMENTS, items.CHANGES, contexts.CONTEXTS)
OF_USERS: Final = DataSet(
    list(filter(_is_of_users, items.FLAGS)),
    list(filter(_is_of_users, items.SEGMENTS)),
    items.CHANGES,
    contexts.USERS,
)
