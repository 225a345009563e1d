"""The same programs on the official SDK and on flagkeep: they see the same, but for what is listed.

The programs are in `peer/`. The official SDK is installed in an environment of its own at the first
run. Where that cannot be done the tests are skipped, and fail in CI.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks import interpreters

HERE: Final = Path(__file__).parent
PROGRAMS: Final = HERE / "peer"
SHOP: Final = HERE.parent.parent / "examples" / "shop"

# Needs a package registry once; the other Pythons need not repeat it.
pytestmark = [pytest.mark.extras, pytest.mark.slow]

MALFORMED = "an invalid attribute is malformed whoever is asked, as in the other SDKs"
OTHER_KIND = "who lacks the kind of a rollout is in bucket 0, so a weight of 0 is not chosen"
WEIGHT = "who lacks the kind of a weighted segment rule is not in it, whatever the weight"
# By flag and context; the same for the value, the detail, and all flags at once.
CORNERS: Final = {
    "in-deep for A": "true is not 1 inside of objects either",
    "huge for A": "a number beyond a double is infinite, and no exception",
    "rollout-by-whole-float for A": "33333.0 is in the bucket of 33333",
    **{f"rollout-of-other-kind for {who}": OTHER_KIND for who in ("A", "B", "C", "org")},
    **{f"segment-weight-other-kind for {who}": WEIGHT for who in ("A", "B", "C", "org")},
    "segment-weight for org": WEIGHT,
    "bad-reference for org": MALFORMED,
    "empty-attribute for org": MALFORMED,
    **{
        f"client-side-new for {who}": "clientSideAvailability counts, not clientSide alone"
        for who in ("A", "B", "C", "org")
    },
}
NEVER_RAISES = "variation and its relatives never raise"
CONTEXTS: Final = {
    "from dict []": "what is no object gives an invalid context",
    "from dict 3": "what is no object gives an invalid context",
    "key None": "a key must be a string",
    "key 3": "a key must be a string",
    "kind 3": "a bad kind gives an invalid context, and no exception",
    "multi, get key": "a multi-kind context has no attribute but its kind",
    "try_set b nan": "NaN is not JSON",
    "try_set c <object ob": "an object is not JSON",
    "emptied": "no attributes are no attributes, however that came about",
    "private in another order": "private attributes are a set",
    "hash": "contexts have a hash that agrees with equality",
    "later changes of the caller": "a context shares nothing with the caller",
}
SETTINGS: Final = {
    "private None": "None is no private attributes",
    "private 'email'": "a text is one name, not its letters",
    "no defaults": "None is no defaults",
    "copy": "a copy keeps application, filter and all others",
    "cache None": "None is no cache",
}
STORES: Final = {
    "bad in init {'version': 1}": "an item has the key under which it is given",
    "all without callback": "the callback has a default, as the interface says",
}
EXTENSIONS: Final = {
    "a hook is interrupted": "only what is an Exception is the hook's own affair",
    "odd error": "the chain goes on after a bad argument, whichever it is",
    "event can be shown": "an event of a migration has a repr",
}
CLIENTS: Final = {
    "flag key []": NEVER_RAISES,
    "context None": NEVER_RAISES,
    "context 'u'": NEVER_RAISES,
    "context 3": NEVER_RAISES,
    "all for None": NEVER_RAISES,
    "all for 'u'": NEVER_RAISES,
    "all for 3": NEVER_RAISES,
    "context {'key': 'u'}": "a user as a dict is taken, with a DeprecationWarning",
    "all for {'key': 'u'}": "a user as a dict is taken, with a DeprecationWarning",
    "detail and others": "a detail can be compared with anything",
    "closed twice": "close may be called again",
    "own store, broken": "what was read last is served",
}


@pytest.mark.parametrize(
    ("program", "arguments", "explained"),
    [
        ("contexts", [], CONTEXTS),
        ("settings", [], SETTINGS),
        ("stores", [], STORES),
        ("clients", [], CLIENTS),
        ("extensions", [], EXTENSIONS),
        ("evaluations", [SHOP / "contexts.json", SHOP / "flags.json"], {}),
        (
            "evaluations",
            [PROGRAMS / "corner_contexts.json", PROGRAMS / "corner_flags.json"],
            CORNERS,
        ),
    ],
    ids=["contexts", "settings", "stores", "clients", "extensions", "shop", "corners"],
)
def test_programs_see_the_same(
    official: Path, program: str, arguments: list[Path], explained: dict[str, str]
) -> None:
    theirs = seen([str(official), f"{program}.py", *map(str, arguments)])
    ours = seen([sys.executable, "on_flagkeep.py", f"{program}.py", *map(str, arguments)])
    assert len(theirs) > 50
    assert_the_same(theirs, ours, explained)


def test_the_description_of_the_public_api_is_true_of_the_official_sdk(official: Path) -> None:
    described = (HERE / "api.json").read_text(encoding="utf-8")
    done = subprocess.run(
        [str(official), "describe.py"],
        input=described,
        check=True,
        capture_output=True,
        text=True,
        cwd=PROGRAMS,
        env=interpreters.clean_environment(),
    )
    assert json.loads(done.stdout) == json.loads(described)


def assert_the_same(
    theirs: dict[str, Any], ours: dict[str, Any], explained: dict[str, str]
) -> None:
    """Check that two recordings differ in what is explained, and in all of that."""
    assert theirs.keys() == ours.keys()
    different = {name for name in theirs if theirs[name] != ours[name]}
    unexplained = [name for name in sorted(different) if not is_explained(name, explained)]
    assert not unexplained, [(name, theirs[name], ours[name]) for name in unexplained]
    idle = {reason for reason in explained if not any(is_of(name, reason) for name in different)}
    assert not idle, "these do not differ any more"


def is_explained(name: str, explained: dict[str, str]) -> bool:
    return any(is_of(name, reason) for reason in explained)


def is_of(name: str, reason: str) -> bool:
    return name == reason or name.startswith((f"{reason},",))


def seen(command: list[str]) -> dict[str, Any]:
    """Return what a program recorded."""
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        cwd=PROGRAMS,
        env=interpreters.clean_environment(),
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    recorded: dict[str, Any] = json.loads(done.stdout)
    return recorded
