"""Which events a client sends, and what is in them (events spec, sections 2 to 7)."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flagkeep.model.context import Context
from flagkeep.model.migration import Operation, Origin, Stage
from tests._async.hand_source import changes, flag
from tests._async.reporting import ANN, NOBODY, AsyncReporting

pytestmark = pytest.mark.anyio

ACME = Context.builder("acme").kind("org").set("size", 5).build()
ANN_THERE = Context.create_multi(ANN, ACME)
SHOWN = {"kind": "user", "key": "ann", "plan": "gold"}
FALLTHROUGH = {"kind": "FALLTHROUGH"}


def rollout(**more: Any) -> dict[str, Any]:
    """Return the fallthrough of an experiment."""
    arms = [{"variation": 0, "weight": 100_000, **more}]
    return {"rollout": {"kind": "experiment", "seed": 1, "variations": arms}}


# --- what makes which event -----------------------------------------------------------------------


async def test_an_evaluation_describes_its_context_once_and_is_counted() -> None:
    async with AsyncReporting(flag("f", "a", "b")) as made:
        await made.evaluate("f", times=3)
        index, summary = await made.events()
        assert index == {"kind": "index", "context": SHOWN}
        assert set(summary) == {"kind", "features"}
        assert summary["features"]["f"]["counters"][0]["count"] == 3
        await made.evaluate("f")
        assert await made.kinds() == ["summary"]


async def test_a_tracked_flag_sends_each_evaluation_in_full() -> None:
    async with AsyncReporting(flag("f", "a", version=4, trackEvents=True)) as made:
        await made.evaluate("f", times=2)
        index, first, second, summary = await made.events()
        assert first == second
        assert first == {
            "kind": "feature", "key": "f", "version": 4, "variation": 0, "value": "a",
            "default": "none", "context": SHOWN,
        }  # fmt: skip
        assert (index["kind"], summary["kind"]) == ("index", "summary")


async def test_detail_methods_send_the_reason_and_others_do_not() -> None:
    async with AsyncReporting(flag("f", "a", trackEvents=True)) as made:
        await made.client.variation_detail("f", ANN, "none")
        await made.client.str_variation_detail("f", ANN, "none")
        await made.client.str_variation("f", ANN, "none")
        full = [one for one in await made.events() if one["kind"] == "feature"]
        assert [one.get("reason") for one in full] == [FALLTHROUGH, FALLTHROUGH, None]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"fallthrough": rollout()}, {**FALLTHROUGH, "inExperiment": True}),
        ({"trackEventsFallthrough": True}, FALLTHROUGH),
        (
            {"rules": [{"id": "r", "variation": 0, "clauses": [], "trackEvents": True}]},
            {"kind": "RULE_MATCH", "ruleIndex": 0, "ruleId": "r"},
        ),
    ],
)
async def test_an_experiment_sends_each_evaluation_with_its_reason(
    fields: dict[str, Any], reason: dict[str, Any]
) -> None:
    async with AsyncReporting(flag("f", "a", **fields)) as made:
        await made.evaluate("f")
        assert (await made.only("feature"))["reason"] == reason


async def test_an_arm_that_is_not_tracked_is_no_experiment() -> None:
    async with AsyncReporting(flag("f", "a", fallthrough=rollout(untracked=True))) as made:
        await made.evaluate("f")
        assert await made.kinds() == ["index", "summary"]


async def test_identify_is_sent_each_time_and_makes_the_context_known() -> None:
    async with AsyncReporting(flag("f", "a")) as made:
        made.client.identify(ANN)
        made.client.identify(ANN)
        await made.evaluate("f")
        first, second, summary = await made.events()
        assert first == second == {"kind": "identify", "context": SHOWN}
        assert summary["kind"] == "summary"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {}),
        ({"data": None, "metric_value": None}, {}),
        ({"data": {"a": [1]}, "metric_value": 2.5}, {"data": {"a": [1]}, "metricValue": 2.5}),
        ({"data": False, "metric_value": 0}, {"data": False, "metricValue": 0}),
    ],
)
async def test_track_sends_what_it_is_told(given: dict[str, Any], sent: dict[str, Any]) -> None:
    async with AsyncReporting() as made:
        made.client.track("bought", ANN, **given)
        assert await made.events() == [
            {"kind": "index", "context": SHOWN},
            {"kind": "custom", "key": "bought", "context": SHOWN, **sent},
        ]


async def test_prerequisites_are_reported_before_the_flag_that_has_them() -> None:
    deep = flag("deep", "c", "d", trackEvents=True)
    middle = flag("m", "a", trackEvents=True, prerequisites=[{"key": "deep", "variation": 0}])
    top = flag("f", "x", trackEvents=True, prerequisites=[{"key": "m", "variation": 0}])
    async with AsyncReporting(deep, middle, top) as made:
        await made.evaluate("f")
        _, *full, summary = await made.events()
        seen = [(one["key"], one.get("prereqOf"), one["default"], one["value"]) for one in full]
        assert seen == [("deep", "m", None, "c"), ("m", "f", None, "a"), ("f", None, "none", "x")]
        assert not any("reason" in one for one in full)
        counted = {key: one["counters"][0]["count"] for key, one in summary["features"].items()}
        assert counted == {"deep": 1, "m": 1, "f": 1}
        await made.client.variation_detail("f", ANN, "none")
        full = [one for one in await made.events() if one["kind"] == "feature"]
        assert [one["reason"] for one in full] == [FALLTHROUGH] * 3


async def test_a_flag_that_fails_is_reported_with_its_version_and_the_default() -> None:
    async with AsyncReporting(
        flag("f", "a", version=7, trackEvents=True, fallthrough={"variation": 9})
    ) as made:
        await made.evaluate("f")
        full = await made.only("feature")
        assert full["value"] == full["default"] == "none"
        assert full["version"] == 7
        assert "variation" not in full


async def test_listeners_and_all_flags_leave_nothing() -> None:
    async with AsyncReporting(flag("f", "a", "b", trackEvents=True)) as made:
        heard: list[Any] = []
        made.client.on_value_change("f", ANN, heard.append)
        await made.source.deliver(changes(flag("f", "b", version=2, trackEvents=True)))
        assert (await made.client.all_flags(ANN, with_reasons=True)).valid
        assert await made.events() == []
        assert made.upstream.requests_to("/bulk") == []


async def test_a_client_that_is_offline_sends_nothing() -> None:
    async with AsyncReporting(flag("f", "a"), offline=True) as made:
        await made.evaluate("f")
        made.client.track("bought", ANN)
        made.client.identify(ANN)
        assert await made.events() == []


async def test_an_invalid_context_leaves_nothing() -> None:
    async with AsyncReporting(flag("f", "a", trackEvents=True)) as made:
        await made.evaluate("f", Context.create(""))
        made.client.track("bought", Context.create(""))
        made.client.identify(Context.create(""))
        assert await made.events() == []


async def test_a_migration_describes_nobody() -> None:
    """An `index` event comes with the evaluation, and not with what was measured."""
    stages = flag("mig", "off", "live")
    async with AsyncReporting(stages) as made:
        _, tracker = await made.client.migration("mig", ANN, Stage.OFF)
        tracker.operation(Operation.READ).invoked(Origin.OLD)
        await made.events()
        made.client.track_migration(tracker)
        assert await made.kinds() == ["migration_op"]


# --- who is described, and how --------------------------------------------------------------------


async def test_contexts_with_several_members_count_as_one() -> None:
    async with AsyncReporting(flag("f", "a")) as made:
        await made.evaluate("f", ANN)
        await made.evaluate("f", ANN_THERE)
        await made.evaluate("f", ANN_THERE)
        described = [one["context"] for one in await made.events() if one["kind"] == "index"]
        acme = {"key": "acme", "size": 5}
        ann = {"key": "ann", "plan": "gold"}
        assert described == [SHOWN, {"kind": "multi", "user": ann, "org": acme}]


async def test_contexts_are_described_again_when_their_time_is_up() -> None:
    async with AsyncReporting(flag("f", "a"), context_keys_flush_interval=0.05) as made:
        await made.evaluate("f")
        assert await made.kinds() == ["index", "summary"]
        give_up = time.monotonic() + 10
        while await made.kinds() != ["index", "summary"]:
            assert time.monotonic() < give_up
            await made.evaluate("f")


async def test_more_contexts_than_are_remembered_are_described_again() -> None:
    async with AsyncReporting(flag("f", "a"), context_keys_capacity=2) as made:
        for key in ("a", "b", "c", "a"):
            await made.evaluate("f", Context.create(key))
        kinds = await made.kinds()
        assert kinds.count("index") == 4


async def test_anonymous_contexts_keep_their_attributes_where_they_are_described() -> None:
    async with AsyncReporting(flag("f", "a", trackEvents=True)) as made:
        await made.evaluate("f", NOBODY)
        made.client.track("bought", NOBODY)
        made.client.identify(NOBODY)
        index, feature, custom, identify, _ = await made.events()
        shown = {"kind": "user", "key": "nobody", "anonymous": True, "plan": "free"}
        hidden = {
            "kind": "user", "key": "nobody", "anonymous": True,
            "_meta": {"redactedAttributes": ["plan"]},
        }  # fmt: skip
        assert index["context"] == identify["context"] == shown
        assert feature["context"] == custom["context"] == hidden


async def test_anonymous_contexts_may_be_left_out_where_contexts_are_described() -> None:
    async with AsyncReporting(flag("f", "a"), omit_anonymous_contexts=True) as made:
        await made.evaluate("f", NOBODY)
        made.client.identify(NOBODY)
        made.client.track("bought", NOBODY)
        assert await made.kinds() == ["custom", "summary"]
        made.client.identify(Context.create_multi(NOBODY, ACME))
        described = await made.only("identify")
        assert described["context"] == {"kind": "org", "key": "acme", "size": 5}


@pytest.mark.parametrize(
    ("settings", "kept"),
    [({"private_attributes": ("plan",)}, {"size": 1}), ({"all_attributes_private": True}, {})],
)
async def test_private_attributes_are_in_no_event(
    settings: dict[str, Any], kept: dict[str, Any]
) -> None:
    context = Context.builder("ann").set("plan", "gold").set("size", 1).build()
    until = (time.time() + 3600) * 1000
    debugged = flag("f", "a", trackEvents=True, debugEventsUntilDate=until)
    async with AsyncReporting(debugged, **settings) as made:
        await made.evaluate("f", context)
        made.client.identify(context)
        made.client.track("bought", context)
        described = [one["context"] for one in await made.events() if "context" in one]
        assert len(described) == 5
        for one in described:
            hidden = one.pop("_meta")["redactedAttributes"]
            assert one == {"kind": "user", "key": "ann", **kept}
            assert set(hidden) == {"plan", "size"} - set(kept)


# --- how many of them -----------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [0, -1])
async def test_a_ratio_of_nothing_sends_no_evaluation_and_counts_it(ratio: int) -> None:
    until = (time.time() + 3600) * 1000
    sampled = flag("f", "a", trackEvents=True, debugEventsUntilDate=until, samplingRatio=ratio)
    async with AsyncReporting(sampled) as made:
        await made.evaluate("f", times=20)
        index, summary = await made.events()
        assert index["kind"] == "index"
        assert summary["features"]["f"]["counters"][0]["count"] == 20


async def test_of_a_ratio_of_two_about_half_are_sent_and_say_so() -> None:
    async with AsyncReporting(flag("f", "a", trackEvents=True, samplingRatio=2)) as made:
        await made.evaluate("f", times=400)
        full = [one for one in await made.events() if one["kind"] == "feature"]
        assert 100 < len(full) < 300
        assert {one["samplingRatio"] for one in full} == {2}


async def test_a_flag_may_be_left_out_of_summaries() -> None:
    async with AsyncReporting(flag("f", "a", excludeFromSummaries=True)) as made:
        await made.evaluate("f", times=3)
        assert await made.kinds() == ["index"]


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("flag_until", "service_says", "is_sent"),
    [
        (HOUR, None, True),
        (-HOUR, None, False),
        (HOUR, HOUR - timedelta(minutes=1), True),
        (HOUR, HOUR + timedelta(minutes=1), False),
        (-HOUR, -HOUR - timedelta(minutes=1), False),
    ],
)
async def test_debugging_ends_by_our_clock_or_by_that_of_the_service(
    flag_until: timedelta, service_says: timedelta | None, *, is_sent: bool
) -> None:
    now = datetime.now(UTC)
    until = (now + flag_until).timestamp() * 1000
    async with AsyncReporting(flag("f", "a", debugEventsUntilDate=until)) as made:
        made.upstream.date = "" if service_says is None else now + service_says
        made.client.identify(NOBODY)
        await made.events()  # whose answer says what time it is there
        await made.evaluate("f", NOBODY)
        debug = [one for one in await made.events() if one["kind"] == "debug"]
        assert len(debug) == is_sent
        if is_sent:
            shown = {"kind": "user", "key": "nobody", "anonymous": True, "plan": "free"}
            assert debug[0] == {
                "kind": "debug", "key": "f", "version": 1, "variation": 0, "value": "a",
                "default": "none", "context": shown,
            }  # fmt: skip


async def test_a_flag_that_is_tracked_and_debugged_sends_both() -> None:
    until = (time.time() + 3600) * 1000
    async with AsyncReporting(flag("f", "a", trackEvents=True, debugEventsUntilDate=until)) as made:
        await made.evaluate("f")
        assert await made.kinds() == ["index", "feature", "debug", "summary"]
