"""The same programs connected, on the official SDK and on flagkeep: answers and events are alike.

As in `test_peer.py`: what differs is listed with its reason. Each run has a fake upstream of its
own, and the events that arrive there are compared, too.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from flagkeep.testing import FakeUpstream
from tests.ldclient.test_peer import assert_the_same, seen

pytestmark = [pytest.mark.extras, pytest.mark.slow]

COMPLETE: Final = "who has no source has nothing to wait for: as in the client for threads"
CONNECTED: Final = {"error": "a connection that was refused is a network error"}
ASYNC: Final = {
    "offline": COMPLETE,
    "daemon": COMPLETE,
    "sourced": "a custom source that delivered is valid: as in the client for threads",
}


def flag(key: str, value: str, **more: Any) -> dict[str, Any]:
    plain = {"key": key, "version": 3, "on": True, "variations": [value, "other"]}
    return plain | {"fallthrough": {"variation": 0}, "salt": "s"} | more


WHOLE: Final = {"variation": 0, "weight": 100_000}
EXPERIMENT: Final = {"rollout": {"kind": "experiment", "seed": 5, "variations": [WHOLE]}}
NEEDED: Final = [{"key": "tracked", "variation": 0}, {"key": "off", "variation": 0}]
FLAGS: Final = {
    "plain": flag("plain", "a"),
    "tracked": flag("tracked", "b", trackEvents=True),
    "needs": flag("needs", "c", prerequisites=NEEDED),
    "off": flag("off", "d", on=False, offVariation=1),
    "experiment": flag("experiment", "e", fallthrough=EXPERIMENT),
    "migration": flag("migration", "shadow"),
}


@pytest.mark.parametrize(
    ("program", "explained", "count"),
    [("connected", CONNECTED, 17), ("async_clients", ASYNC, 6)],
)
def test_connected_programs_see_and_report_the_same(
    official: Path, program: str, explained: dict[str, str], count: int
) -> None:
    theirs, events_of_theirs = connected([str(official), f"{program}.py"])
    ours, events_of_ours = connected([sys.executable, "on_flagkeep.py", f"{program}.py"])
    assert_the_same(theirs, ours, explained)
    assert len(events_of_ours) == count
    assert Counter(map(comparable, events_of_ours)) == Counter(map(comparable, events_of_theirs))


def connected(command: list[str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return what a program recorded, and the events it sent."""
    with FakeUpstream() as upstream:
        upstream.put(FLAGS)
        recorded = seen([*command, upstream.uri])
        return recorded, upstream.events()


def comparable(event: dict[str, Any]) -> str:
    """Return an event without its times, and in one order."""
    plain = {name: value for name, value in event.items() if not name.endswith("Date")}
    for one in plain.get("measurements", []):
        if one["key"] == "latency_ms":
            one["values"] = dict.fromkeys(one["values"], 0)
    for one in plain.get("features", {}).values():
        one["contextKinds"].sort()
        one["counters"].sort(key=json.dumps)
    sort_redacted(plain.get("context"))
    return json.dumps(plain, sort_keys=True)


def sort_redacted(part: Any) -> None:
    """Bring lists of redacted attributes into one order, wherever they are."""
    for name, value in part.items() if isinstance(part, dict) else ():
        if name == "redactedAttributes":
            value.sort()
        sort_redacted(value)
