"""What a migration measures, and the event it makes (events spec, section 3.1)."""

import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from flagkeep.events.migration_op import MigrationOpEvent, MigrationTracker, migration_op_event
from flagkeep.model.context import Context
from flagkeep.model.detail import FALLTHROUGH, Detail, ErrorKind, error_reason
from flagkeep.model.migration import Operation, Origin, Stage

NOW = 1_700_000_000_000
USER_JSON = b'{"kind":"user","key":"u"}'
OLD, NEW = Origin.OLD, Origin.NEW
LIVE: Detail[Any] = Detail("live", 3, FALLTHROUGH)


def never() -> float:
    raise AssertionError("there is nothing to choose")


def uncompared() -> bool:
    raise AssertionError("this time nothing is compared")


def tracker_of(
    key: Any = "mig",
    context: Context | None = None,
    *,
    detail: Detail[Any] = LIVE,
    version: int | None = 2,
    sampling_ratio: int = 1,
    check_ratio: int = 1,
    draw: Callable[[], float] = never,
) -> MigrationTracker:
    return MigrationTracker(
        key,
        Context.create("u") if context is None else context,
        default=Stage.OFF,
        detail=detail,
        version=version,
        sampling_ratio=sampling_ratio,
        check_ratio=check_ratio,
        draw=draw,
    )


def read_of_both(tracker: MigrationTracker) -> MigrationTracker:
    return tracker.operation(Operation.READ).invoked(OLD).invoked(NEW)


def built(tracker: MigrationTracker) -> MigrationOpEvent:
    op = tracker.build()
    assert isinstance(op, MigrationOpEvent), op
    return op


def written(tracker: MigrationTracker) -> Any:
    return json.loads(migration_op_event(NOW, built(tracker), USER_JSON))


def measured(tracker: MigrationTracker) -> dict[str, Any]:
    return {one.pop("key"): one for one in written(tracker)["measurements"]}


def test_the_event_has_evaluation_context_and_what_was_measured() -> None:
    tracker = (
        read_of_both(tracker_of(sampling_ratio=7, check_ratio=5, draw=lambda: 0.1))
        .consistent(lambda: True)
        .latency(OLD, timedelta(milliseconds=12.5))
        .error(NEW)
    )
    assert written(tracker) == {
        "kind": "migration_op",
        "creationDate": NOW,
        "operation": "read",
        "context": {"kind": "user", "key": "u"},
        "evaluation": {
            "key": "mig",
            "value": "live",
            "default": "off",
            "version": 2,
            "variation": 3,
            "reason": {"kind": "FALLTHROUGH"},
        },
        "samplingRatio": 7,
        "measurements": [
            {"key": "invoked", "values": {"old": True, "new": True}},
            {"key": "consistent", "value": True, "samplingRatio": 5},
            {"key": "latency_ms", "values": {"old": 12.5}},
            {"key": "error", "values": {"new": True}},
        ],
    }


def test_ratios_of_one_and_what_is_unknown_or_was_not_measured_are_left_out() -> None:
    failed = Detail("off", None, error_reason(ErrorKind.FLAG_NOT_FOUND))
    tracker = tracker_of(detail=failed, version=None).operation(Operation.WRITE).invoked(NEW)
    assert written(tracker) == {
        "kind": "migration_op",
        "creationDate": NOW,
        "operation": "write",
        "context": {"kind": "user", "key": "u"},
        "evaluation": {
            "key": "mig",
            "value": "off",
            "default": "off",
            "reason": {"kind": "ERROR", "errorKind": "FLAG_NOT_FOUND"},
        },
        "measurements": [{"key": "invoked", "values": {"new": True}}],
    }
    tracker = read_of_both(tracker_of()).consistent(lambda: False)
    assert measured(tracker)["consistent"] == {"value": False}


def test_a_flag_of_version_and_variation_zero_is_known() -> None:
    detail = Detail("off", 0, FALLTHROUGH)
    evaluation = written(read_of_both(tracker_of(detail=detail, version=0)))["evaluation"]
    assert (evaluation["version"], evaluation["variation"]) == (0, 0)


def test_a_value_that_is_a_stage_is_written_as_its_word() -> None:
    detail = Detail(Stage.COMPLETE, 0, FALLTHROUGH)
    assert written(read_of_both(tracker_of(detail=detail)))["evaluation"]["value"] == "complete"


def test_latencies_are_milliseconds_with_fractions_zero_included() -> None:
    tracker = (
        read_of_both(tracker_of())
        .latency(OLD, timedelta())
        .latency(NEW, timedelta(seconds=2, microseconds=250))
    )
    assert measured(tracker)["latency_ms"] == {"values": {"old": 0.0, "new": 2000.25}}


def test_what_is_said_last_counts() -> None:
    tracker = read_of_both(tracker_of()).operation(Operation.WRITE)
    tracker.latency(OLD, timedelta(milliseconds=1)).latency(OLD, timedelta(milliseconds=2))
    tracker.consistent(lambda: True).consistent(lambda: False)
    assert written(tracker)["operation"] == "write"
    assert measured(tracker)["latency_ms"] == {"values": {"old": 2.0}}
    assert measured(tracker)["consistent"] == {"value": False}


# --- consistency --------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [0, -1])
def test_a_check_ratio_below_one_compares_nothing(ratio: int) -> None:
    tracker = read_of_both(tracker_of(check_ratio=ratio)).consistent(uncompared)
    assert built(tracker).consistent is None
    assert "consistent" not in measured(tracker)


def test_one_in_so_many_is_compared() -> None:
    drawn = iter([0.3, 0.2])
    tracker = read_of_both(tracker_of(check_ratio=4, draw=lambda: next(drawn)))
    assert built(tracker.consistent(uncompared)).consistent is None
    assert built(tracker.consistent(lambda: True)).consistent is True


def test_a_comparison_that_raises_is_logged_and_measures_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail() -> bool:
        raise ValueError("not comparable")

    tracker = read_of_both(tracker_of())
    with caplog.at_level(logging.INFO, "flagkeep.events"):
        assert tracker.consistent(fail) is tracker
    assert built(tracker).consistent is None
    (record,) = caplog.records
    assert "'mig'" in record.getMessage()
    assert record.exc_info is not None


def test_a_comparison_counts_as_true_or_false() -> None:
    answers: list[Any] = [1, "", None]
    found = [
        built(read_of_both(tracker_of()).consistent(lambda: answer)).consistent  # noqa: B023  called at once
        for answer in answers
    ]
    assert found == [True, False, False]


# --- what makes no sense ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda tracker: tracker.operation("read"),
        lambda tracker: tracker.operation(None),
        lambda tracker: tracker.invoked("old"),
        lambda tracker: tracker.error("old"),
        lambda tracker: tracker.error(None),
        lambda tracker: tracker.latency("old", timedelta(1)),
        lambda tracker: tracker.latency(None, timedelta(1)),
        lambda tracker: tracker.latency(OLD, 12.5),
        lambda tracker: tracker.latency(OLD, timedelta(milliseconds=-1)),
        lambda tracker: tracker.consistent(True),
    ],
)
def test_fix_a_bad_argument_is_ignored_and_the_chain_goes_on(
    call: Callable[[MigrationTracker], object],
) -> None:
    """FIX (python-api.md 8): the official `error` and `latency` then return None."""
    tracker = tracker_of()
    assert call(tracker) is tracker
    expected = built(read_of_both(tracker_of()))
    assert built(read_of_both(tracker)) == expected


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (lambda: tracker_of().invoked(OLD), "operation"),
        (lambda: read_of_both(tracker_of("")), "key"),
        (lambda: read_of_both(tracker_of(None)), "key"),
        (lambda: tracker_of().operation(Operation.READ), "invoked"),
        (lambda: read_of_both(tracker_of(context=Context.create(""))), "context"),
        (
            lambda: tracker_of().operation(Operation.READ).invoked(OLD).latency(NEW, timedelta(1)),
            "'new' has a latency",
        ),
        (
            lambda: tracker_of().operation(Operation.WRITE).invoked(NEW).error(OLD),
            "'old' has an error",
        ),
        (
            lambda: tracker_of().operation(Operation.READ).invoked(OLD).consistent(lambda: True),
            "consistency",
        ),
    ],
)
def test_what_is_missing_or_contradictory_is_said_in_words(
    make: Callable[[], MigrationTracker], wrong: str
) -> None:
    problem = make().build()
    assert isinstance(problem, str)
    assert wrong in problem


def test_an_event_keeps_what_was_known_when_it_was_built() -> None:
    tracker = read_of_both(tracker_of())
    op = built(tracker)
    tracker.error(OLD).latency(NEW, timedelta(1)).consistent(lambda: True)
    assert (op.errors, op.latencies, op.consistent) == (frozenset(), {}, None)


def test_fix_an_event_has_a_repr_without_the_context() -> None:
    """FIX (python-api.md 8): the official one raises TypeError. Attributes belong into no log."""
    context = Context.builder("u").set("secret", "hidden-value").build()
    op = built(read_of_both(tracker_of(context=context)))
    assert repr(op) == "MigrationOpEvent('mig', read, 'live')"
    assert str(op) == repr(op)
    assert "hidden-value" not in repr(tracker_of(context=context))


def test_threads_may_track_at_once() -> None:
    tracker = tracker_of().operation(Operation.WRITE)

    def run(origin: Origin) -> list[object]:
        seen: list[object] = []
        for turn in range(500):
            tracker.invoked(origin).error(origin).latency(origin, timedelta(milliseconds=turn))
            seen.append(tracker.build())
        return seen

    with ThreadPoolExecutor(2) as pool:
        outcomes = [one for part in pool.map(run, Origin) for one in part]
    assert all(isinstance(one, MigrationOpEvent) for one in outcomes)
    assert measured(tracker)["latency_ms"] == {"values": {"old": 499.0, "new": 499.0}}
