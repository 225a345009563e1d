"""What a client counts, and how much it keeps (events spec, sections 1, 3.2 and 9)."""

import time
from typing import Any

import pytest

from flagkeep.model.context import Context
from flagkeep.testing import Scripted
from tests._sync.connecting import lines_of
from tests._sync.hand_source import changes, flag
from tests._sync.reporting import ANN, Reporting

pytestmark = pytest.mark.anyio

ORG = Context.create("acme", "org")


def counter(value: Any, count: int, **more: Any) -> dict[str, Any]:
    return {"value": value, "count": count, **more}


def count_of(one: dict[str, Any]) -> int:
    count: int = one["count"]
    return count


def test_each_variation_of_each_version_has_its_counter() -> None:
    by_plan = [{"variation": 1, "clauses": [{"attribute": "plan", "op": "in", "values": ["gold"]}]}]
    with Reporting(flag("f", "a", "b", rules=by_plan), flag("g", 5)) as made:
        made.evaluate("f", ANN, times=2)
        made.evaluate("f", Context.create("bob"), times=3)
        made.evaluate("g")
        made.source.deliver(changes(flag("f", "a", "b", version=2, rules=by_plan)))
        made.evaluate("f", ANN)
        features = made.summary()
        counters = features["f"].pop("counters")
        assert sorted(counters, key=count_of) == [
            counter("b", 1, variation=1, version=2),
            counter("b", 2, variation=1, version=1),
            counter("a", 3, variation=0, version=1),
        ]
        assert features["f"] == {"default": "none", "contextKinds": ["user"]}
        assert features["g"]["counters"] == [counter(5, 1, variation=0, version=1)]


def test_an_unknown_flag_is_counted_as_such() -> None:
    with Reporting() as made:
        made.evaluate("nope", times=2)
        assert made.summary() == {
            "nope": {
                "default": "none",
                "contextKinds": ["user"],
                "counters": [counter("none", 2, unknown=True)],
            }
        }


def test_what_is_evaluated_before_there_is_data_is_counted_as_unknown() -> None:
    with Reporting(data=False) as made:
        made.evaluate("f")
        assert (made.summary())["f"]["counters"] == [counter("none", 1, unknown=True)]


def test_a_flag_that_gives_no_variation_is_counted_with_its_version() -> None:
    off = {"on": False, "offVariation": None}
    with Reporting(flag("f", "a", version=3, **off)) as made:
        made.evaluate("f")
        assert (made.summary())["f"]["counters"] == [counter("none", 1, version=3)]


def test_kinds_of_all_contexts_are_named() -> None:
    with Reporting(flag("f", "a")) as made:
        made.evaluate("f", ANN)
        made.evaluate("f", Context.create_multi(ANN, ORG))
        (features,) = (made.summary()).values()
        assert sorted(features["contextKinds"]) == ["org", "user"]
        assert features["counters"] == [counter("a", 2, variation=0, version=1)]


def test_the_first_default_of_a_period_is_named() -> None:
    with Reporting(flag("f", "a")) as made:
        made.client.variation("f", ANN, "one")
        made.client.variation("f", ANN, "two")
        assert (made.summary())["f"]["default"] == "one"
        made.client.variation("f", ANN, "two")
        assert (made.summary())["f"]["default"] == "two"


def test_a_summary_lasts_from_the_first_evaluation_to_the_last() -> None:
    with Reporting(flag("f", "a")) as made:
        before = int(time.time() * 1000)
        made.evaluate("f", times=2)
        after = int(time.time() * 1000)
        assert made.client.flush(10)
        (summary,) = made.upstream.events("summary")
        assert before <= summary["startDate"] <= summary["endDate"] <= after


def test_counting_begins_anew_with_each_delivery() -> None:
    with Reporting(flag("f", "a")) as made:
        for times in (3, 2):
            made.evaluate("f", times=times)
            assert (made.summary())["f"]["counters"][0]["count"] == times
        assert made.events() == []
        assert made.upstream.requests_to("/bulk") == []


def test_typed_methods_count_the_value_that_they_gave() -> None:
    with Reporting(flag("f", 3.7)) as made:
        assert made.client.int_variation("f", ANN, 1) == 3
        assert made.client.str_variation("f", ANN, "none") == "none"
        counters = (made.summary())["f"]["counters"]
        assert sorted(one["value"] for one in counters if one["value"] != "none") == [3]
        assert counter("none", 1, version=1) in counters


# --- bounds ---------------------------------------------------------------------------------------


def test_fix_a_small_capacity_loses_no_count() -> None:
    """FIX (events.md 1): of 5,000 evaluations the official SDK counts 200 with capacity 10."""
    with Reporting(flag("f", "a"), flag("g", "a"), capacity=10) as made:
        for number in range(5000):
            made.evaluate("f" if number % 2 else "g", Context.create(str(number % 100)))
        features = made.summary()
        assert [one["counters"][0]["count"] for one in features.values()] == [2500, 2500]


def test_the_first_events_are_kept_and_the_summary_always_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Reporting(flag("f", "a"), capacity=20) as made:
        for number in range(23):
            made.client.track(f"event-{number}", ANN)
        made.evaluate("f")
        index, *custom, summary = made.events()
        assert (index["kind"], summary["kind"]) == ("index", "summary")
        assert [one["key"] for one in custom] == [f"event-{number}" for number in range(19)]
        made.client.track("later", ANN)
        assert made.kinds() == ["custom"]
        report = made.client.close()
        assert report.events_lost == {"capacity": 4}
    assert [level for level, _ in lines_of(caplog, "flagkeep.events")] == ["WARNING"]


def test_a_second_overflow_is_said_again_only_after_a_delivery_without_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Reporting(capacity=2) as made:
        for _ in range(2):
            for _ in range(5):
                made.client.identify(ANN)
            made.events()
        assert len(lines_of(caplog, "flagkeep.events")) == 1
        made.client.identify(ANN)
        made.events()
        for _ in range(5):
            made.client.identify(ANN)
        assert len(lines_of(caplog, "flagkeep.events")) == 2


def test_events_are_bounded_by_their_size_too() -> None:
    with Reporting(max_bytes=4000) as made:
        for number in range(20):
            made.client.track(f"event-{number}", ANN, "x" * 400)
        assert len(made.events()) < 6
        report = made.client.close()
        assert report.events_lost["bytes"] > 14


def test_fix_closing_delivers_the_rest_though_there_is_no_room_for_more() -> None:
    """FIX (events.md 9): the official SDK can lose its last delivery if its inbox is full."""
    with Reporting(flag("f", "a"), capacity=3) as made:
        for _ in range(10):
            made.client.track("bought", ANN)
        made.evaluate("f", times=100)
        report = made.client.close()
        kinds = [one["kind"] for one in made.upstream.events()]
        assert kinds == ["index", "custom", "custom", "summary"]
        (summary,) = made.upstream.events("summary")
        assert summary["features"]["f"]["counters"][0]["count"] == 100
        assert report.events_lost == {"capacity": 8}
        assert not report.complete


def test_after_the_end_nothing_is_recorded() -> None:
    with Reporting(flag("f", "a", trackEvents=True)) as made:
        made.client.close()
        assert made.client.variation("f", ANN, "none") == "a"
        made.client.track("bought", ANN)
        made.client.identify(ANN)
        assert made.client.flush(1)
        assert made.upstream.requests_to("/bulk") == []


def test_a_service_that_is_down_costs_no_count_and_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Reporting(flag("f", "a")) as made:
        made.upstream.always("/bulk", Scripted(503))
        for _ in range(3):
            made.evaluate("f", times=10)
            assert not made.client.flush(0.05)
        made.upstream.always("/bulk", None)
        assert made.client.flush(10)
        counted = sum(
            one["features"]["f"]["counters"][0]["count"] for one in made.upstream.events("summary")
        )
        assert counted == 30
        assert (made.client.close()).complete
    levels = [level for level, _ in lines_of(caplog, "flagkeep.events")]
    assert levels == ["WARNING"]
