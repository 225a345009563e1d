"""Which environments in one Consul are in the way of each other (stores spec, section 15, C1, C10).

We touch our own keys alone. Others delete more when they write a whole environment: every other SDK
what lies below the prefix, those for Go and the relay whatever begins with it.
"""

from collections.abc import Iterable
from typing import Final

from flagkeep.storage.consul_batches import MOST_OPERATIONS
from flagkeep.storage.consul_layout import Names

_NAMED: Final = 3


def markers_above(names: Names) -> dict[str, str]:
    """Return the prefixes that this one begins with, by their markers; the longest if many."""
    prefix = names.prefix
    starts = [prefix[:end] for end in range(len(prefix) - 1, 0, -1)]
    starts = [start for start in starts if not start.endswith("/")][:MOST_OPERATIONS]
    return {Names(start).marker: start for start in starts}


def complaints(names: Names, above: Iterable[str], beside: Iterable[str]) -> list[str]:
    """Return what to tell people about the neighbours of an environment.

    Args:
        names: of the environment.
        above: prefixes of other environments that this one's begins with.
        beside: what else begins with this one's: keys, and folders of keys.
    """
    prefix = names.prefix
    own = {f"{prefix}/", names.marker, *names.trees.values()}
    strange = sorted(set(beside) - own)
    inside = [key for key in strange if key.startswith(f"{prefix}/")]
    others = [key for key in strange if not key.startswith(f"{prefix}/")]
    found = [
        f"the prefix {prefix!r} begins with {start!r}, which is another environment here:"
        f" {_who(inside=prefix.startswith(f'{start}/'))} deletes this one with every full write of"
        " that one"
        for start in above
    ]
    found += [
        f"{_shown(keys)} {'lies' if len(keys) == 1 else 'lie'} where {who} deletes it with every"
        f" full write of the environment {prefix!r}"
        for keys, who in ((inside, _who(inside=True)), (others, _who(inside=False)))
        if keys
    ]
    return found


def _who(*, inside: bool) -> str:
    return "every other SDK" if inside else "an SDK for Go, or the relay,"


def _shown(keys: list[str]) -> str:
    more = len(keys) - _NAMED
    named = ", ".join(map(repr, keys[:_NAMED]))
    return f"{named} and {more} more" if more > 0 else named
