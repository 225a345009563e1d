"""Rollouts and experiments (evaluation spec, section 2.7)."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagkeep.evaluation.bucketing import bucket, limit_of
from tests.evaluation.bridge import Object, evaluated, flag_with
from tests.evaluation.profiles import examples
from tests.reference import World
from tests.reference.bucketing import bucket_of

VECTORS: Final = json.loads(Path(__file__).with_name("bucketing_vectors.json").read_text("utf-8"))
FULL: Final = 0xFFFFFFFFFFFFFFF
MALFORMED: Final = {"kind": "ERROR", "errorKind": "MALFORMED_FLAG"}


@pytest.mark.parametrize("vector", VECTORS["flag"] + VECTORS["segment"])
def test_bucket_equals_the_vector(vector: Object) -> None:
    key, salt = vector.get("key", "hashKey"), vector.get("salt", "saltyA")
    assert bucket(key, salt, vector["value"], seed=vector.get("seed")) == vector["bucket"]
    prefix = f"{key}.{salt}" if "seed" not in vector else str(vector["seed"])
    assert bucket_of(prefix, vector["value"]) == vector["bucket"]
    if "digits" in vector:
        assert bucket_of(prefix, vector["value"]) == int(vector["digits"], 16) / float(FULL)


def arms_around(place: float) -> list[Object]:
    """Return arms of which the second, of two thousandths of a per cent, has `place` inside."""
    before = max(int(place * 100_000) - 1, 0)
    return [
        {"variation": 0, "weight": before},
        {"variation": 1, "weight": 3},
        {"variation": 2, "weight": 100_000 - before - 3},
    ]


@pytest.mark.parametrize("vector", VECTORS["bucketBy"])
@pytest.mark.parametrize("kind", ["rollout", "other", None])
def test_rollout_goes_by_the_attribute(vector: Object, kind: str | None) -> None:
    rollout = {
        "kind": kind,
        "contextKind": "user",
        "bucketBy": vector["bucketBy"],
        "variations": arms_around(vector["bucket"]),
    }
    flag = flag_with(key="hashKey", salt="saltyA", fallthrough={"rollout": rollout})
    outcome = evaluated(flag, {"kind": "user", "key": "userKeyA", "n": vector["value"]})
    assert (outcome.index, outcome.reason) == (1, {"kind": "FALLTHROUGH"})


@pytest.mark.parametrize("vector", VECTORS["bucketBy"])
def test_segment_rule_goes_by_the_attribute(vector: Object) -> None:
    def is_in(weight: int) -> bool:
        rule = {
            "clauses": [],
            "weight": weight,
            "rolloutContextKind": "user",
            "bucketBy": vector["bucketBy"],
        }
        segment = {"key": "hashKey", "version": 1, "salt": "saltyA", "rules": [rule]}
        return is_in_segment(segment, {"kind": "user", "key": "userKeyA", "n": vector["value"]})

    below = int(vector["bucket"] * 100_000)
    assert (is_in(below), is_in(below + 1)) == (False, True)


def is_in_segment(segment: Object, context: Object) -> bool:
    clause = {"op": "segmentMatch", "attribute": "", "values": [segment["key"]]}
    flag = flag_with(rules=[{"clauses": [clause], "variation": 0}])
    return evaluated(flag, context, World(segments={segment["key"]: segment})).index == 0


@pytest.mark.parametrize(
    ("key", "weight", "expected"),
    [
        ("user-key", 14950, False),
        ("user-key", 14951, True),
        ("unmatching-key", 36563, False),
        ("unmatching-key", 36564, True),
        ("user-key", None, True),
        ("user-key", 0, False),
        ("user-key", 100_000, True),
    ],
)
def test_segment_rule_lets_in_its_percentage(
    key: str, weight: int | None, *, expected: bool
) -> None:
    segment = {"key": "segment3", "version": 1, "salt": "salty", "rules": [{"weight": weight}]}
    assert is_in_segment(segment, {"kind": "user", "key": key}) is expected


@pytest.mark.parametrize(
    ("key", "index"),
    [
        ("userKeyA", 1),
        ("userKeyB", 2),
        ("userKeyC", 0),
        ("user-key", 0),
        ("x1", 0),
        ("x2", 0),
        ("x3", 2),
        ("x4", 2),
    ],
)
def test_rollout_in_thirds(key: str, index: int) -> None:
    arms = [{"variation": n, "weight": w} for n, w in enumerate([33333, 33333, 33334])]
    flag = flag_with(key="hashKey", salt="saltyA", fallthrough={"rollout": {"variations": arms}})
    outcome = evaluated(flag, {"kind": "user", "key": key})
    assert (outcome.index, outcome.reason) == (index, {"kind": "FALLTHROUGH"})
    assert not outcome.experiment


@pytest.mark.parametrize(
    ("key", "index", "counted"),
    [
        ("userKeyA", 0, True),
        ("userKeyB", 1, True),
        ("userKeyC", 0, False),
        ("x1", 0, False),
        ("x2", 0, False),
        ("x3", 0, True),
    ],
)
def test_experiment_with_seed(key: str, index: int, *, counted: bool) -> None:
    rollout = {
        "kind": "experiment",
        "seed": 61,
        "bucketBy": "ignored",
        "variations": [
            {"variation": 0, "weight": 10000},
            {"variation": 1, "weight": 20000},
            {"variation": 0, "weight": 70000, "untracked": True},
        ],
    }
    flag = flag_with(key="hashKey", salt="saltyA", fallthrough={"rollout": rollout})
    outcome = evaluated(flag, {"kind": "user", "key": key, "ignored": "x"})
    reason = {"kind": "FALLTHROUGH", "inExperiment": True} if counted else {"kind": "FALLTHROUGH"}
    assert (outcome.index, outcome.reason, outcome.experiment) == (index, reason, counted)


def experiment(*weights: int, **more: Any) -> Object:
    arms = [{"variation": index, "weight": weight} for index, weight in enumerate(weights)]
    return {"rollout": {"kind": "experiment", "variations": arms, **more}}


def test_context_without_the_kind_gets_bucket_zero_and_is_not_in_the_experiment() -> None:
    flag = flag_with(fallthrough=experiment(0, 1, 99_999, contextKind="org"))
    outcome = evaluated(flag)
    assert (outcome.index, outcome.reason) == (1, {"kind": "FALLTHROUGH"})
    assert not outcome.experiment


def test_experiment_in_a_rule_is_in_its_reason() -> None:
    flag = flag_with(rules=[{"id": "r", **experiment(100_000)}])
    reason = {"kind": "RULE_MATCH", "ruleIndex": 0, "ruleId": "r", "inExperiment": True}
    outcome = evaluated(flag)
    assert (outcome.index, outcome.reason, outcome.experiment) == (0, reason, True)


def test_past_the_end_is_the_last_arm() -> None:
    outcome = evaluated(flag_with(fallthrough=experiment(0, 0, 0)))
    assert (outcome.index, outcome.reason.get("inExperiment")) == (2, True)


@pytest.mark.parametrize("bucket_by", ["/", "//", "/n/", "/a~2"])
def test_invalid_bucket_by_aborts(bucket_by: str) -> None:
    rollout = {"contextKind": "user", "bucketBy": bucket_by, "variations": [{"weight": 100_000}]}
    assert evaluated(flag_with(fallthrough={"rollout": rollout})).reason == MALFORMED
    literal = {**rollout, "contextKind": None}
    assert evaluated(flag_with(fallthrough={"rollout": literal})).index == 0


def test_invalid_bucket_by_of_an_experiment_does_not_matter() -> None:
    flag = flag_with(fallthrough=experiment(100_000, contextKind="user", bucketBy="//"))
    assert evaluated(flag).index == 0


@pytest.mark.parametrize("weight", [10**400, -(10**400), 2**70, 1e308, -1], ids="abcde")
def test_absurd_weights_do_not_raise(weight: float) -> None:
    arms = [{"variation": 0, "weight": weight}, {"variation": 1, "weight": 100_000}]
    flag = flag_with(fallthrough={"rollout": {"variations": arms}})
    assert evaluated(flag).index == (0 if weight > 0 else 1)


# --- the limits that stand for sums of weights --------------------------------------------------

sums = (
    st.lists(st.integers(-100_000, 200_000), max_size=5).map(
        lambda weights: sum((weight / 100_000.0 for weight in weights), 0.0)
    )
    | st.integers(0, 100_000).map(lambda weight: weight / 100_000.0)
    | st.floats(allow_nan=False)
    | st.integers(0, FULL).map(lambda number: number / float(FULL))
)


@examples(1000)
@given(sums, st.integers(0, FULL), st.integers(0, 15), st.binary(min_size=12, max_size=12))
def test_a_digest_is_below_the_limit_exactly_if_its_bucket_is_below_the_sum(
    total: float, number: int, rest: int, tail: bytes
) -> None:
    limit = limit_of(total)
    boundary = int.from_bytes(limit[:8], "big") >> 4
    near = (boundary + step for step in (-1025, -1, 0, 1, 1025))
    for candidate in (number, 0, FULL, *(one for one in near if 0 <= one <= FULL)):
        digest = (candidate << 4 | rest).to_bytes(8, "big") + tail
        assert (digest < limit) is (float(candidate) / float(FULL) < total)


@examples(300)
@given(st.text(), st.text(), st.text(), st.none() | st.integers())
def test_bucket_equals_the_reference(key: str, salt: str, value: str, seed: int | None) -> None:
    prefix = f"{key}.{salt}" if seed is None else str(seed)
    place = bucket(key, salt, value, seed=seed)
    assert 0 <= place <= 1
    assert place == bucket_of(prefix, value)
