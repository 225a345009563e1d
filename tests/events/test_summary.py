"""Summaries: the form of the event, and that they add up (events spec, section 3.2)."""

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flagkeep.events.summary import Counter, FlagSummary, Summary, summary_event
from tests.strategies import LONE_SURROGATE

NOW = 1_700_000_000_000
Evaluation = tuple[str, str, int | None, int | None, int, int]


class Broken(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("no idea")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no idea")

    def __len__(self) -> int:
        return 1


def count(
    summary: Summary,
    key: str = "f",
    *,
    default: Any = "x",
    kinds: tuple[str, ...] = ("user",),
    variation: int | None = 0,
    version: int | None = 4,
    value: Any = "a",
    times: int = 1,
) -> None:
    summary.add(
        key,
        default=default,
        kinds=kinds,
        variation=variation,
        version=version,
        value=value,
        count=times,
    )


def written(summary: Summary) -> Any:
    return json.loads(summary.encode())


def test_the_event_says_per_flag_what_came_out_how_often() -> None:
    summary = Summary()
    summary.extend(NOW, NOW + 500)
    for _ in range(12):
        count(summary, kinds=("user", "org"))
    count(summary, variation=None, value="x")
    count(summary, "nope", default=1, variation=None, version=None, value=1, times=2)
    assert written(summary) == {
        "kind": "summary",
        "startDate": NOW,
        "endDate": NOW + 500,
        "features": {
            "f": {
                "default": "x",
                "contextKinds": ["org", "user"],
                "counters": [
                    {"value": "a", "variation": 0, "version": 4, "count": 12},
                    {"value": "x", "version": 4, "count": 1},
                ],
            },
            "nope": {
                "default": 1,
                "contextKinds": ["user"],
                "counters": [{"value": 1, "unknown": True, "count": 2}],
            },
        },
    }


def test_two_versions_and_two_variations_are_counted_apart() -> None:
    summary = Summary()
    count(summary, version=1)
    count(summary, version=2)
    count(summary, version=2, variation=1, value="b")
    counters = written(summary)["features"]["f"]["counters"]
    assert [(one["version"], one["variation"], one["count"]) for one in counters] == [
        (1, 0, 1),
        (2, 0, 1),
        (2, 1, 1),
    ]


def test_version_and_variation_zero_are_known() -> None:
    summary = Summary()
    count(summary, version=0, variation=0)
    (counter,) = written(summary)["features"]["f"]["counters"]
    assert counter == {"value": "a", "variation": 0, "version": 0, "count": 1}


def test_the_first_default_and_the_first_value_are_shown() -> None:
    summary = Summary()
    count(summary, default="first", variation=None, value="first")
    count(summary, default="second", variation=None, value="second")
    feature = written(summary)["features"]["f"]
    assert feature["default"] == "first"
    assert feature["counters"] == [{"value": "first", "version": 4, "count": 2}]


def test_a_default_of_none_is_there() -> None:
    summary = Summary()
    count(summary, default=None, value=None)
    feature = written(summary)["features"]["f"]
    assert feature["default"] is None
    assert feature["counters"][0]["value"] is None


def test_the_kinds_of_all_contexts_are_listed() -> None:
    summary = Summary()
    count(summary, kinds=("user", "org"))
    count(summary, kinds=("device",), variation=1)
    assert written(summary)["features"]["f"]["contextKinds"] == ["device", "org", "user"]


def test_the_period_is_from_the_first_evaluation_to_the_last() -> None:
    summary = Summary()
    count(summary)
    for moment in (5, 3, 9, 4):
        summary.extend(moment, moment)
    assert (summary.start_ms, summary.end_ms) == (3, 9)
    summary.extend(1, 20)
    assert (written(summary)["startDate"], written(summary)["endDate"]) == (1, 20)


def test_an_empty_summary_says_so() -> None:
    summary = Summary()
    assert summary.is_empty
    count(summary)
    assert not summary.is_empty
    assert written(Summary()) == {"kind": "summary", "startDate": 0, "endDate": 0, "features": {}}


def test_what_was_counted_elsewhere_can_be_written_directly() -> None:
    features = {"f": FlagSummary(True, {"user"}, {(1, 2): Counter(False, 3)})}
    assert json.loads(summary_event(1, 2, features))["features"]["f"]["counters"] == [
        {"value": False, "variation": 1, "version": 2, "count": 3}
    ]


def test_fix_a_default_that_is_not_json_loses_no_count() -> None:
    """FIX (events.md 1): the official SDK loses the whole batch, summary included."""
    summary = Summary()
    count(summary, default=object(), variation=None, value=object(), times=3)
    count(summary, "g", default=Broken(), value={"a": [Broken(), 1]}, times=4)
    count(summary, "h" + LONE_SURROGATE, default=float("nan"), times=5)
    features = written(summary)["features"]
    assert {key: one["counters"][0]["count"] for key, one in features.items()} == {
        "f": 3,
        "g": 4,
        "h" + LONE_SURROGATE: 5,
    }
    assert all(one["default"] is None for one in features.values())


# --- laws ---------------------------------------------------------------------------------------

evaluations = st.lists(
    st.tuples(
        st.sampled_from(["f", "g"]),
        st.sampled_from(["user", "org", "device"]),
        st.sampled_from([None, 0, 1]),
        st.sampled_from([None, 1, 2]),
        st.integers(1, 5),
        st.integers(NOW, NOW + 100),
    ),
    max_size=20,
)


def summed(counted: list[Evaluation]) -> Summary:
    summary = Summary()
    for key, kind, variation, version, times, moment in counted:
        value = [variation, version]
        count(
            summary,
            key,
            kinds=(kind,),
            variation=variation,
            version=version,
            value=value,
            times=times,
        )
        summary.extend(moment, moment)
    return summary


def comparable(summary: Summary) -> Any:
    event = written(summary)
    for feature in event["features"].values():
        feature["counters"].sort(key=json.dumps)
    return event


@given(evaluations, st.randoms(use_true_random=False))
def test_in_any_order_the_sums_are_the_same(counted: list[Evaluation], chance: Any) -> None:
    shuffled = list(counted)
    chance.shuffle(shuffled)
    assert comparable(summed(shuffled)) == comparable(summed(counted))


@given(evaluations, st.lists(st.integers(0, 20)), st.randoms(use_true_random=False))
def test_in_any_parts_the_sums_are_the_same(
    counted: list[Evaluation], cuts: list[int], chance: Any
) -> None:
    bounds = sorted({0, *cuts, len(counted)})
    parts = [counted[start:end] for start, end in pairwise(bounds)]
    chance.shuffle(parts)
    whole = Summary()
    for part in parts:
        before = comparable(one := summed(part))
        whole.merge(one)
        assert comparable(one) == before
    assert comparable(whole) == comparable(summed(counted))


@given(evaluations)
def test_no_count_is_lost(counted: list[Evaluation]) -> None:
    summary = summed(counted)
    features = written(summary)["features"].values()
    total = sum(one["count"] for feature in features for one in feature["counters"])
    assert total == summary.total == sum(times for *_, times, _ in counted)
