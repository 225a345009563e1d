"""One program on the official SDK and on flagkeep, with one Redis: each writes, each reads both.

Differences are listed with their reasons, as in `test_peer.py`.
"""

import sys
from typing import Final

import pytest

from tests.interop import packages
from tests.ldclient.test_peer import PROGRAMS, is_explained, is_of, seen

pytestmark = [pytest.mark.extras, pytest.mark.slow]

CACHES: Final = ("cached", "for ever", "not cached")
STRANGE: Final = ("null", "empty", "broken", "number", "unnamed")
HIDES_NOTHING = "an item that cannot be read is no item, and never hides the others"
ITS_KEY = "an item has the key of its field, whatever it says itself"
EXPLAINED: Final = {
    **{f"{cache}: all with strange {key}": HIDES_NOTHING for cache in CACHES for key in STRANGE},
    **{
        f"{cache}: strange {key}": HIDES_NOTHING
        for cache in CACHES
        for key in ("empty", "broken", "number")
    },
    **{f"{cache}: strange unnamed": ITS_KEY for cache in CACHES},
    **{
        f"{cache}: refused by {key}": "what refused an update is cached under the key asked for"
        for cache in ("cached", "for ever")
        for key in ("go", "nameless")
    },
    **{f"{cache}: one kind": "a full set is everything there is" for cache in CACHES},
    "options {'decode_responses': True}": "how redis-py decodes makes no difference",
}


def test_both_sdks_see_the_same_in_one_redis(redis_url: str) -> None:
    assert (PROGRAMS / "redis_stores.py").exists()
    theirs_is = [packages.python()[0], "redis_stores.py", redis_url]
    ours_is = [sys.executable, "on_flagkeep.py", "redis_stores.py", redis_url]
    seen([*theirs_is, "theirs", "nothing"])
    ours = seen([*ours_is, "ours", "theirs"])
    theirs = seen([*theirs_is, "theirs", "ours"])
    assert theirs.keys() == ours.keys()
    assert len([name for name in ours if name.startswith("other: ")]) == 6
    different = {name for name in theirs if theirs[name] != ours[name]}
    unexplained = [name for name in sorted(different) if not is_explained(name, EXPLAINED)]
    assert not unexplained, [(name, theirs[name], ours[name]) for name in unexplained]
    idle = {reason for reason in EXPLAINED if not any(is_of(name, reason) for name in different)}
    assert not idle, "these do not differ any more"
