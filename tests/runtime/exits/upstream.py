"""What arrived at the upstream of the programs."""

from collections import Counter

from flagkeep.testing import FakeUpstream


def recorded(upstream: FakeUpstream) -> dict[str, int]:
    """How often what was delivered; what was only counted must agree."""
    tracked = Counter(event["key"] for event in upstream.events("custom"))
    counted: Counter[str] = Counter()
    for summary in upstream.events("summary"):
        for key, flag in summary["features"].items():
            counted[key.removeprefix("flag-of-")] += sum(one["count"] for one in flag["counters"])
    assert tracked == counted
    return dict(tracked)
