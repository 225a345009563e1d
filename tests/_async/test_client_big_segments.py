"""A client with a Big Segment store: what its evaluations say (evaluation spec, section 2.6)."""

from typing import Any

import pytest

from flagkeep._async.client import AsyncClient
from flagkeep._runtime import aio as runtime
from flagkeep.config import BigSegmentSettings, Config, StorePolicy
from flagkeep.hooks import FlagValueChange
from flagkeep.model.context import Context
from flagkeep.storage.big_segments import BigSegmentStoreStatus, hash_of
from flagkeep.testing import BigSegmentData
from tests._async.hand_source import AsyncHandSource, changes, environment
from tests._async.segment_store import AsyncSegmentStore
from tests._async.waiting import until
from tests.limits import check_within

USER = Context.create("user-key")
FALLTHROUGH = {"kind": "FALLTHROUGH"}
RULE_MATCH = {"kind": "RULE_MATCH", "ruleIndex": 0, "ruleId": "r"}


def flag_for(*segments: str, key: str = "f", version: int = 1, kind: str = "user") -> Any:
    """Return a flag that is true for who is in one of the segments, and else false."""
    clause = {"attribute": "", "op": "segmentMatch", "values": list(segments), "contextKind": kind}
    return {
        "key": key,
        "version": version,
        "on": True,
        "variations": [False, True],
        "fallthrough": {"variation": 0},
        "offVariation": 0,
        "rules": [{"id": "r", "variation": 1, "clauses": [clause]}],
    }


def big(key: str = "s", **more: Any) -> Any:
    return {"key": key, "version": 1, "unbounded": True, "generation": 1, **more}


def rule_for(key: str) -> Any:
    return [{"clauses": [{"attribute": "key", "op": "in", "values": [key]}]}]


async def reason_of(client: AsyncClient, key: str, context: Context) -> Any:
    detail = await client.variation_detail(key, context, None)
    reason = detail.reason.to_dict()
    return detail.value, reason.pop("bigSegmentsStatus", None), reason


async def client_of(
    store: Any, *segments: Any, flags: tuple[Any, ...] = (), **settings: Any
) -> AsyncClient:
    """Return a ready client with a flag for the first segment, or with these flags."""
    source = AsyncHandSource()
    client = AsyncClient(Config(source=source, **settings), big_segment_store=store)
    await source.deliver(
        environment(*(flags or (flag_for(segments[0]["key"]),)), segments=segments)
    )
    assert await client.wait_until_ready()
    return client


# --- who is in ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("age", "status"), [(0.0, "HEALTHY"), (500.0, "STALE"), (None, "STALE")])
@pytest.mark.parametrize(
    ("said", "rules", "expected"),
    [
        (None, [], False),
        (None, rule_for("user-key"), True),
        (True, [], True),
        (False, [], False),
        (False, rule_for("user-key"), False),
    ],
)
async def test_the_store_decides_and_where_it_says_nothing_the_rules_do(
    said: bool | None,  # noqa: FBT001
    rules: Any,
    expected: bool,  # noqa: FBT001
    age: float | None,
    status: str,
) -> None:
    data = BigSegmentData().updated(age)
    if said is not None:
        (data.include if said else data.exclude)("s", "user-key")
    async with await client_of(data.async_store(), big(rules=rules)) as client:
        reason = RULE_MATCH if expected else FALLTHROUGH
        assert await reason_of(client, "f", USER) == (expected, status, reason)
        assert await client.variation("f", USER, None) is expected
        assert data.asked == [hash_of("user-key")]


async def test_the_lists_of_a_big_segment_are_ignored() -> None:
    segment = big(included=["user-key"])
    async with await client_of(BigSegmentData().async_store(), segment) as client:
        assert await reason_of(client, "f", USER) == (False, "HEALTHY", FALLTHROUGH)


async def test_another_generation_is_another_segment() -> None:
    data = BigSegmentData().include("s", "user-key", generation=1)
    async with await client_of(data.async_store(), big(generation=2)) as client:
        assert await client.variation("f", USER, None) is False


async def test_a_context_of_another_kind_is_not_asked_for() -> None:
    data = BigSegmentData().include("s", "user-key")
    segment = big(unboundedContextKind="org")
    async with await client_of(data.async_store(), segment) as client:
        assert await reason_of(client, "f", USER) == (False, None, FALLTHROUGH)
        assert data.asked == []


async def test_a_segment_without_generation_is_not_configured() -> None:
    data = BigSegmentData().include("s", "user-key")
    segment = big()
    del segment["generation"]
    async with await client_of(data.async_store(), segment) as client:
        assert await reason_of(client, "f", USER) == (False, "NOT_CONFIGURED", FALLTHROUGH)
        assert data.asked == []


async def test_without_a_store_it_is_not_configured_and_rules_still_count() -> None:
    async with await client_of(None, big(rules=rule_for("user-key"))) as client:
        assert await reason_of(client, "f", USER) == (True, "NOT_CONFIGURED", RULE_MATCH)
        assert (await client.big_segment_status()).available is False


# --- how often the store is asked ---------------------------------------------------------------


async def test_one_evaluation_asks_once_for_a_context_however_many_segments_there_are() -> None:
    data = BigSegmentData().exclude("s1", "user-key").include("s2", "user-key")
    segments = (big("s1"), big("s2"))
    flags = (flag_for("s1", "s2"),)
    async with await client_of(data.async_store(), *segments, flags=flags) as client:
        assert await client.variation("f", USER, None) is True
        assert data.asked == [hash_of("user-key")]


async def test_contexts_of_several_kinds_are_asked_for_by_key() -> None:
    data = BigSegmentData().include("s3", "org-key")
    segments = (big("s1"), big("s2"), big("s3", unboundedContextKind="org"))
    both = Context.create_multi(USER, Context.create("org-key", "org"))
    flags = (flag_for("s1", "s2", "s3"),)
    async with await client_of(data.async_store(), *segments, flags=flags) as client:
        assert await client.variation("f", both, None) is True
        assert data.asked == [hash_of("user-key"), hash_of("org-key")]


async def test_one_question_serves_two_kinds_with_the_same_key() -> None:
    data = BigSegmentData().include("s2", "user-key")
    segments = (big("s1"), big("s2", unboundedContextKind="org"))
    both = Context.create_multi(USER, Context.create("user-key", "org"))
    flags = (flag_for("s1", "s2"),)
    async with await client_of(data.async_store(), *segments, flags=flags) as client:
        assert await client.variation("f", both, None) is True
        assert data.asked == [hash_of("user-key")]


async def test_a_prerequisite_and_its_flag_share_what_was_asked() -> None:
    data = BigSegmentData().include("s", "user-key")
    child = {**flag_for("s", key="child"), "prerequisites": [{"key": "f", "variation": 1}]}
    async with await client_of(data.async_store(), big(), flags=(flag_for("s"), child)) as client:
        assert await reason_of(client, "child", USER) == (True, "HEALTHY", RULE_MATCH)
        assert data.asked == [hash_of("user-key")]


async def test_all_flags_ask_once_for_a_context() -> None:
    data = BigSegmentData().include("s1", "user-key")
    flags = (flag_for("s1", key="f1"), flag_for("s2", key="f2"))
    async with await client_of(data.async_store(), big("s1"), big("s2"), flags=flags) as client:
        state = await client.all_flags(USER, with_reasons=True)
        assert state.to_values() == {"f1": True, "f2": False}
        assert data.asked == [hash_of("user-key")]


async def test_evaluations_ask_for_the_age_once_at_most() -> None:
    data = BigSegmentData()
    async with await client_of(data.async_store(), big()) as client:
        assert (await client.big_segment_status()).available is True
        for number in range(10):
            await client.variation("f", Context.create(f"user-{number}"), None)
        assert len(data.asked) == 10
        assert data.times_asked_for_age == 1


# --- faults -------------------------------------------------------------------------------------


async def test_a_store_that_fails_is_named_in_the_reason_and_rules_still_count() -> None:
    data = BigSegmentData()
    data.is_down = True
    async with await client_of(data.async_store(), big(rules=rule_for("user-key"))) as client:
        assert await reason_of(client, "f", USER) == (True, "STORE_ERROR", RULE_MATCH)


async def test_fix_the_worst_status_of_an_evaluation_is_kept() -> None:
    """FIX (evaluation.md 2.6): the official SDK keeps the latest status."""
    segments = (big("s1"), big("s2"))
    del segments[0]["generation"]
    flags = (flag_for("s1", "s2"),)
    data = BigSegmentData().include("s2", "user-key")
    async with await client_of(data.async_store(), *segments, flags=flags) as client:
        assert await reason_of(client, "f", USER) == (True, "NOT_CONFIGURED", RULE_MATCH)


@pytest.mark.slow
async def test_a_store_that_hangs_costs_an_evaluation_its_deadline_and_the_next_nothing() -> None:
    """DESIGN.md, promise 1: one deadline per evaluation; then reads answer at once."""
    store = AsyncSegmentStore()
    policy = StorePolicy(deadline=0.4)
    client = await client_of(store, big(), store_policy=policy)
    assert (await client.big_segment_status()).available
    store.gate.clear()
    began = runtime.monotonic()
    assert await reason_of(client, "f", USER) == (False, "STORE_ERROR", FALLTHROUGH)
    check_within(4.0, since=began)  # which it would not be without an end
    asked = len(store.asked)
    for number in range(20):
        await client.variation("f", Context.create(f"user-{number}"), None)
    assert len(store.asked) <= asked + 1  # a trial, at most
    store.let_go()
    assert (await client.aclose()).complete
    assert store.closes == 1


async def test_a_closed_client_answers_what_it_knows_and_asks_nobody() -> None:
    data = BigSegmentData().include("s", "user-key")
    client = await client_of(data.async_store(), big())
    assert await client.variation("f", USER, None) is True
    await client.aclose()
    assert await reason_of(client, "f", USER) == (True, "HEALTHY", RULE_MATCH)
    assert (await reason_of(client, "f", Context.create("other")))[1] == "STORE_ERROR"
    assert data.asked == [hash_of("user-key")]


# --- listeners ----------------------------------------------------------------------------------


async def test_a_change_of_the_stores_status_is_told() -> None:
    data = BigSegmentData()
    settings = BigSegmentSettings(status_poll_interval=0.01)
    async with await client_of(data.async_store(), big(), big_segments=settings) as client:
        assert await client.big_segment_status() == BigSegmentStoreStatus(
            available=True, stale=False
        )
        seen: list[BigSegmentStoreStatus] = []
        client.on_big_segment_status(seen.append)
        data.updated(None)
        await until(lambda: seen == [BigSegmentStoreStatus(available=True, stale=True)])


async def test_a_change_of_a_value_that_a_big_segment_decides_is_told() -> None:
    data = BigSegmentData().include("s2", "user-key")
    source = AsyncHandSource()
    client = AsyncClient(Config(source=source), big_segment_store=data.async_store())
    segments = (big("s1"), big("s2"))
    await source.deliver(environment(flag_for("s1"), segments=segments))
    seen: list[FlagValueChange] = []
    client.on_value_change("f", USER, seen.append)
    assert await client.variation("f", USER, None) is False
    await source.deliver(changes(flag_for("s1", version=2)))
    await source.deliver(changes(flag_for("s2", version=3)))
    await until(lambda: seen == [FlagValueChange("f", old_value=False, new_value=True)])
    await client.aclose()
