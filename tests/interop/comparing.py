"""Two readers' views of the same contexts, and which differences have a reason."""

import json
from collections import Counter
from collections.abc import Hashable
from typing import Any

from flagkeep.model.values import frozen_value
from tests.interop import contexts
from tests.interop.explained import Explained
from tests.interop.peers import Detail, Seen


def assert_same(theirs: Seen, ours: Seen, explained: Explained) -> None:
    """Check that all details are equal, but for those explained.

    Of all 200 contexts, there must be exactly as many differences as it says.
    """
    assert 0 < len(theirs.details) == len(ours.details), len(theirs.details)
    different: Counter[str] = Counter()
    example: dict[str, str] = {}
    for number, (their, our) in enumerate(zip(theirs.details, ours.details, strict=True)):
        assert their.keys() == our.keys()
        for key in our:
            if comparable(their[key]) != comparable(our[key]):
                different[key] += 1
                example.setdefault(key, f"context {number}: {their[key]} and {our[key]}")
    counted = {key: number for key, (number, _) in explained.items()}
    if len(ours.details) < contexts.NUMBER:
        counted = {key: different[key] for key in counted}
    news = {key: (different[key], example.get(key)) for key in {*different, *counted}}
    news = {key: seen for key, seen in news.items() if seen[0] != counted.get(key)}
    assert not news, f"more or fewer differences than explained: {news}"
    assert_same_values(theirs.all_flags, ours.all_flags, explained)


def assert_same_values(theirs: Any, ours: Any, explained: Explained) -> None:
    """Check that all flags at once are the same ones, with the same values."""
    assert theirs is not None
    assert theirs.keys() == ours.keys()
    different = {key for key in ours if frozen_value(theirs[key]) != frozen_value(ours[key])}
    assert different <= explained.keys(), different - explained.keys()


def comparable(detail: Detail) -> tuple[Hashable, ...]:
    """Return a detail in a form that is equal if it says the same.

    The numbers 1 and 1.0 are the same, 1 and true are not; a rule may have an id that is null or
    none at all.
    """
    value, index, reason = detail
    said = {name: what for name, what in reason.items() if what is not None}
    return frozen_value(value), index, json.dumps(said, sort_keys=True)
