"""Big Segments: who is asked, how often, how long anybody waits, and what is said of the answer."""

import logging
from typing import Any

import pytest

from flagkeep._async.big_segments import TRY_AGAIN
from flagkeep._async.work import AsyncWork
from flagkeep._runtime import aio as runtime
from flagkeep.errors import StoreUnavailable
from flagkeep.model.detail import BigSegmentsStatus
from flagkeep.storage.big_segments import UNAVAILABLE, BigSegmentStoreStatus, hash_of
from tests._async.segment_store import AsyncAsking, AsyncSegmentStore
from tests._async.waiting import pause, until
from tests.limits import check_within

HEALTHY = BigSegmentStoreStatus(available=True, stale=False)
STALE = BigSegmentStoreStatus(available=True, stale=True)
DOWN = StoreUnavailable("hand-made", "get_membership", "it is down")


def messages(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "flagkeep.bigsegments" and record.levelno >= level
    ]


# --- what is asked, and how often ---------------------------------------------------------------


async def test_a_store_is_asked_for_the_hash_of_the_key() -> None:
    async with AsyncAsking() as asking:
        membership = await asking.ask("user-key")
        assert membership.included == {"s.g1": True}
        assert membership.status is BigSegmentsStatus.HEALTHY
        assert asking.store.asked == ["CEXjZY7cHJG/ydFy7q4+YEFwVrG3/pkJwA4FAjrbfx0="]


async def test_several_keys_are_asked_for_at_the_same_time() -> None:
    async with AsyncAsking() as asking:
        asking.store.gate.clear()

        async def ask() -> None:
            found = await asking.big.memberships(("a", "b"), runtime.monotonic() + 10)
            assert {key: one.included for key, one in found.items()} == {
                "a": {"s.g1": True},
                "b": {"s.g1": True},
            }

        task = runtime.spawn("test", ask)
        await until(lambda: sorted(asking.store.asked) == sorted([hash_of("a"), hash_of("b")]))
        asking.store.gate.set()
        assert await task.join(10)


async def test_no_keys_need_no_answer() -> None:
    async with AsyncAsking() as asking:
        assert await asking.big.memberships((), runtime.monotonic() + 10) == {}


async def test_twenty_who_want_the_same_at_once_cost_one_question() -> None:
    async with AsyncAsking(is_polled=False) as asking:
        asking.store.gate.clear()
        asking.store.poll_gate.clear()
        begun: list[int] = []
        statuses: list[str] = []

        async def ask() -> None:
            begun.append(1)
            statuses.append(await asking.status_for("amal"))

        tasks = [runtime.spawn("test", ask) for _ in range(20)]
        await until(lambda: len(begun) == 20 and asking.store.asked != [])
        await pause()
        asking.store.let_go()
        assert all([await task.join(10) for task in tasks])
        assert statuses == ["HEALTHY"] * 20
        assert asking.store.count("amal") == 1
        assert asking.store.polls == 1


async def test_what_was_asked_lately_is_not_asked_again() -> None:
    async with AsyncAsking() as asking:
        await asking.ask("amal")
        asking.store.answer = lambda _: {}
        assert (await asking.ask("amal")).included == {"s.g1": True}
        assert asking.store.count("amal") == 1


async def test_what_is_remembered_can_be_looked_up_without_asking() -> None:
    async with AsyncAsking(is_polled=False) as asking:
        remembered = asking.big.remembered
        assert remembered.get("amal") is None
        assert asking.store.asked == []
        await asking.ask("amal")
        assert remembered["amal"].status is BigSegmentsStatus.HEALTHY
        assert remembered.get("amal") is not None
        assert list(remembered) == ["amal"]
        assert len(remembered) == 1
        with pytest.raises(KeyError):
            remembered["noor"]
        assert asking.store.count("amal") == 1


async def test_nothing_is_remembered_while_it_is_unknown_how_far_it_can_be_trusted() -> None:
    async with AsyncAsking(is_polled=False) as asking:
        asking.store.poll_gate.clear()
        found = await asking.big.memberships(("amal",), runtime.monotonic() + 0.001)
        assert found["amal"].status is BigSegmentsStatus.STORE_ERROR
        await until(lambda: bool(asking.big._cache.fresh_keys(runtime.monotonic())))
        assert asking.big.remembered.get("amal") is None
        assert list(asking.big.remembered) == []


async def test_it_is_asked_again_when_its_time_is_up() -> None:
    async with AsyncAsking(context_cache_time=0.01) as asking:
        await asking.ask("amal")
        asking.store.answer = lambda _: {"s.g1": False}
        give_up = runtime.monotonic() + 10
        while (await asking.ask("amal")).included != {"s.g1": False}:
            assert runtime.monotonic() < give_up
            await pause()
        assert asking.store.count("amal") == 2


@pytest.mark.parametrize("nothing", [None, {}])
async def test_to_be_in_no_segment_is_remembered_too(nothing: Any) -> None:
    async with AsyncAsking() as asking:
        asking.store.answer = lambda _: nothing
        for _ in range(3):
            assert (await asking.ask("amal")).included == {}
        assert await asking.status_for("amal") == "HEALTHY"
        assert asking.store.count("amal") == 1


async def test_there_is_room_for_so_many_contexts() -> None:
    async with AsyncAsking(context_cache_size=2) as asking:
        for key in ("a", "b", "b", "c", "a"):
            await asking.ask(key)
        assert asking.store.asked == [hash_of(key) for key in ("a", "b", "c", "a")]


async def test_an_error_is_not_remembered() -> None:
    async with AsyncAsking() as asking:
        asking.store.failure = DOWN
        assert await asking.status_for("amal") == "STORE_ERROR"
        asking.store.failure = None
        assert await asking.status_for("amal") == "HEALTHY"
        assert asking.store.count("amal") == 2


async def test_an_error_for_one_context_is_none_for_others() -> None:
    async with AsyncAsking() as asking:

        def answer(hashed: str) -> dict[str, bool]:
            if hashed == hash_of("bad"):
                raise DOWN
            return {"s.g1": True}

        asking.store.answer = answer
        assert await asking.status_for("bad") == "STORE_ERROR"
        assert await asking.status_for("amal") == "HEALTHY"
        assert await asking.status_for("bad") == "STORE_ERROR"


async def test_while_the_store_fails_what_was_known_last_is_used_and_says_so() -> None:
    """DESIGN.md, promise 1: what was once read is served."""
    async with AsyncAsking(context_cache_time=0.001) as asking:
        await asking.ask("amal")
        await pause()
        asking.store.failure = DOWN
        membership = await asking.ask("amal")
        assert membership.included == {"s.g1": True}
        assert membership.status is BigSegmentsStatus.STORE_ERROR
        assert asking.store.count("amal") == 2


async def test_what_was_known_last_is_used_until_its_age_is_too_high() -> None:
    async with AsyncAsking(context_cache_time=0.001, max_age=0.002) as asking:
        await asking.ask("amal")
        await pause()
        asking.store.failure = DOWN
        assert (await asking.ask("amal")).included == {}


async def test_what_a_store_changes_afterwards_is_not_seen() -> None:
    async with AsyncAsking() as asking:
        members = {"s.g1": True}
        asking.store.answer = lambda _: members
        await asking.ask("amal")
        members["s.g1"] = False
        assert (await asking.ask("amal")).included == {"s.g1": True}


# --- a store that hangs -------------------------------------------------------------------------


async def test_nobody_waits_longer_than_the_evaluation_may_take() -> None:
    async with AsyncAsking(patience=0.05) as asking:
        asking.store.gate.clear()
        began = runtime.monotonic()
        assert await asking.status_for("amal") == "STORE_ERROR"
        check_within(4.0, since=began)  # which it would not be without an end


@pytest.mark.slow
async def test_a_store_that_hangs_is_not_asked_by_evaluations_until_it_answers_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """DESIGN.md, promise 1: while the store is known to be down, reads answer at once."""
    async with AsyncAsking(patience=0.2, context_cache_time=0.001) as asking:
        await asking.ask("noor")
        asking.store.gate.clear()
        assert await asking.status_for("amal") == "STORE_ERROR"
        asked = list(asking.store.asked)
        for key in ("noor", "amal", "zoe"):
            assert await asking.status_for(key) == "STORE_ERROR"
        assert (await asking.ask("noor")).included == {"s.g1": True}
        assert asking.store.asked == asked  # and nothing else is there to wait for
        asking.store.gate.set()
        give_up = runtime.monotonic() + 10
        while await asking.status_for("zoe") != "HEALTHY":
            assert runtime.monotonic() < give_up
            await pause()
    assert messages(caplog) == [
        "hand-made does not answer; what was known last is used until it does",
        "hand-made answers again",
    ]


@pytest.mark.slow
async def test_one_question_hangs_and_no_second_one_is_asked_for_the_same() -> None:
    async with AsyncAsking(patience=0.02) as asking:
        asking.store.gate.clear()
        assert await asking.status_for("amal") == "STORE_ERROR"
        await runtime.Event().wait(TRY_AGAIN * 1.5)
        assert asking.store.count("amal") == 1


@pytest.mark.slow
async def test_a_question_that_hangs_for_ever_is_given_up_and_asked_again() -> None:
    async with AsyncAsking(patience=0.02, longest=0.05) as asking:
        asking.store.gate.clear()
        assert await asking.status_for("amal") == "STORE_ERROR"
        await until(lambda: bool(asking.store.count("amal") >= 2))


async def test_an_evaluation_with_little_time_left_does_not_blame_the_store(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with AsyncAsking() as asking:
        assert await asking.big.status() == HEALTHY
        asking.store.gate.clear()
        found = await asking.big.memberships(("amal",), runtime.monotonic() + 0.001)
        assert found["amal"].status is BigSegmentsStatus.STORE_ERROR
        found = await asking.big.memberships(("noor",), runtime.monotonic() - 1)
        assert found["noor"].status is BigSegmentsStatus.STORE_ERROR
        asking.store.gate.set()
        assert await asking.status_for("amal") == "HEALTHY"
    assert messages(caplog) == []


async def test_a_store_that_takes_too_long_to_fail_is_not_asked_either() -> None:
    async with AsyncAsking(patience=0.05) as asking:
        assert await asking.big.status() == HEALTHY
        asking.store.gate.clear()
        asking.store.failure = DOWN
        assert await asking.status_for("amal") == "STORE_ERROR"
        asking.store.gate.set()  # fails now, which is late
        await until(lambda: not asking.big._asked)
        asked = list(asking.store.asked)
        assert await asking.status_for("noor") == "STORE_ERROR"
        assert asking.store.asked == asked


async def test_a_store_that_never_says_how_old_it_is_holds_nobody_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with AsyncAsking(patience=0.05) as asking:
        asking.store.poll_gate.clear()
        membership = await asking.ask("amal")
        assert membership.included == {"s.g1": True}
        assert membership.status is BigSegmentsStatus.STORE_ERROR
        assert await asking.big.status() == UNAVAILABLE
        asking.store.poll_gate.set()
        give_up = runtime.monotonic() + 10
        while await asking.status_for("amal") != "HEALTHY":
            assert runtime.monotonic() < give_up
            await pause()
    assert "hand-made does not answer" in messages(caplog)[0]


async def test_a_poll_that_hangs_makes_the_store_unavailable() -> None:
    async with AsyncAsking(longest=0.05, status_poll_interval=0.02) as asking:
        assert await asking.big.status() == HEALTHY
        asking.store.poll_gate.clear()
        give_up = runtime.monotonic() + 10
        while await asking.big.status() != UNAVAILABLE:
            assert runtime.monotonic() < give_up
            await pause()


async def test_who_asks_for_the_status_first_does_not_wait_for_ever() -> None:
    async with AsyncAsking(is_polled=False, longest=0.02) as asking:
        asking.store.poll_gate.clear()
        assert await asking.big.status() == UNAVAILABLE


# --- how old the data is ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "expected"), [(0.0, "HEALTHY"), (119.0, "HEALTHY"), (121.0, "STALE"), (None, "STALE")]
)
async def test_an_answer_says_how_old_the_data_is(age: float | None, expected: str) -> None:
    async with AsyncAsking() as asking:
        asking.store.age = age
        assert await asking.status_for("amal") == expected
        assert (await asking.ask("amal")).included == {"s.g1": True}


async def test_data_is_stale_after_as_long_as_the_settings_say() -> None:
    async with AsyncAsking(stale_after=10.0) as asking:
        asking.store.age = 11.0
        assert await asking.big.status() == STALE


async def test_a_store_that_cannot_say_it_is_not_trusted_but_used() -> None:
    async with AsyncAsking() as asking:
        asking.store.poll_failure = DOWN
        membership = await asking.ask("amal")
        assert membership.included == {"s.g1": True}
        assert membership.status is BigSegmentsStatus.STORE_ERROR
        assert await asking.big.status() == UNAVAILABLE


async def test_the_first_who_wants_the_status_asks_for_it_once() -> None:
    async with AsyncAsking(is_polled=False) as asking:
        assert await asking.big.status() == HEALTHY
        assert await asking.big.status() == HEALTHY
        assert asking.store.polls == 1


async def test_evaluations_do_not_ask_how_old_the_data_is_once_that_was_said() -> None:
    async with AsyncAsking(is_polled=False) as asking:
        assert await asking.big.status() == HEALTHY
        for key in "abcdefghij":
            assert await asking.status_for(key) == "HEALTHY"
        assert asking.store.polls == 1


async def test_it_is_asked_at_once_and_again_and_again() -> None:
    async with AsyncAsking(status_poll_interval=0.01) as asking:
        await until(lambda: bool(asking.store.polls >= 4))


async def test_listeners_are_told_of_each_change_after_the_first_status() -> None:
    seen: list[BigSegmentStoreStatus] = []
    async with AsyncAsking(status_poll_interval=0.01) as asking:
        remove = asking.big.listeners.add(seen.append)
        assert await asking.big.status() == HEALTHY
        for _ in range(3):
            polls = asking.store.polls
            await until(lambda: bool(asking.store.polls > polls))  # noqa: B023
        assert seen == []
        asking.store.poll_failure = DOWN
        await until(lambda: seen == [UNAVAILABLE])
        asking.store.age, asking.store.poll_failure = 500.0, None
        await until(lambda: seen == [UNAVAILABLE, STALE])
        asking.store.age = 0.0
        await until(lambda: seen == [UNAVAILABLE, STALE, HEALTHY])
        remove()
        asking.store.age = None
        give_up = runtime.monotonic() + 10
        while await asking.big.status() != STALE:
            assert runtime.monotonic() < give_up
            await pause()
        assert seen == [UNAVAILABLE, STALE, HEALTHY]


async def test_a_change_of_status_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async with AsyncAsking(status_poll_interval=0.005) as asking:
        asking.store.age = None
        await until(lambda: bool(asking.store.polls >= 3))
        asking.store.poll_failure = ValueError("password=secret")
        polls = asking.store.polls
        await until(lambda: bool(asking.store.polls >= polls + 4))
        asking.store.poll_failure, asking.store.age = None, 0.0
        polls = asking.store.polls
        await until(lambda: bool(asking.store.polls >= polls + 4))
    stale, failed, well = messages(caplog)
    assert stale == "hand-made: its data is stale: is something writing to it?"
    assert failed == (
        "hand-made: get_metadata failed: it raised ValueError, where a store raises StoreError;"
        " what was known last is used until it works again"
    )
    assert well == "hand-made is up to date again"


async def test_failing_questions_are_logged_once_in_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with AsyncAsking() as asking:
        asking.store.failure = DOWN
        for key in "abcdef":
            await asking.ask(key)
    assert messages(caplog) == [
        "hand-made: get_membership failed: it is down; what was known last is used"
    ]


# --- stores of somebody else --------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["s.g1", 7, object()])
async def test_what_is_no_answer_counts_as_a_failure(answer: Any) -> None:
    async with AsyncAsking() as asking:
        asking.store.answer = lambda _: answer
        assert await asking.status_for("amal") == "STORE_ERROR"


async def test_no_metadata_counts_as_a_failure() -> None:
    class NoMetadata(AsyncSegmentStore):
        async def get_metadata(self) -> Any:
            return None

    async with AsyncAsking(NoMetadata()) as asking:
        assert await asking.big.status() == UNAVAILABLE


async def test_no_secret_of_a_store_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with AsyncAsking() as asking:
        asking.store.failure = OSError("redis://:secret@host")
        assert await asking.status_for("amal") == "STORE_ERROR"
    assert "OSError" in caplog.text
    assert "secret" not in caplog.text


async def test_a_store_is_called_by_its_label_if_it_has_one() -> None:
    class Labelled(AsyncSegmentStore):
        label = "redis db1:6379"

    assert AsyncAsking(Labelled()).big.name == "redis db1:6379"
    assert AsyncAsking().big.name == "hand-made"


# --- processes, and the end ---------------------------------------------------------------------


async def test_the_child_of_a_fork_does_not_wait_for_what_its_parent_asks() -> None:
    async with AsyncAsking(patience=0.2) as asking:
        await asking.ask("noor")
        asking.store.gate.clear()
        assert await asking.status_for("amal") == "STORE_ERROR"
        asking.big.forget_parent()
        parents, asking.store.gate = asking.store.gate, runtime.Event()  # a new connection
        asking.store.gate.set()
        assert await asking.status_for("amal") == "HEALTHY"
        assert asking.store.count("noor") == 1  # memory stays
        parents.set()


async def test_where_nothing_runs_beside_the_callers_they_ask_themselves() -> None:
    asking = AsyncAsking(is_polled=False)
    asking.work.is_pumped = True
    asking.big.start()
    await asking.work.run_due(runtime.monotonic() + 10)
    assert asking.store.polls == 1
    assert await asking.status_for("amal") == "HEALTHY"
    assert asking.store.polls == 1
    assert await asking.big.stop(1)


async def test_where_no_more_threads_can_be_had_it_is_a_failure_of_the_store(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Full(AsyncWork):
        def aside(self, name: str, job: Any) -> None:  # noqa: ARG002
            raise RuntimeError("can't start new thread")

    asking = AsyncAsking(is_polled=False)
    asking.big._work = Full()
    assert await asking.status_for("amal") == "STORE_ERROR"
    assert await asking.big.status() == UNAVAILABLE
    assert not asking.big._asked
    assert await asking.big.stop(1)
    assert asking.store.closes == 1
    assert "it raised RuntimeError" in caplog.text


async def test_the_end_closes_the_store_once_and_nothing_is_asked_any_more() -> None:
    async with AsyncAsking(context_cache_time=0.001) as asking:
        await asking.ask("amal")
        assert await asking.big.stop(10)
        assert await asking.big.stop(10)
        assert asking.store.closes == 1
        await pause()
        membership = await asking.ask("amal")
        assert membership.included == {"s.g1": True}
        assert membership.status is BigSegmentsStatus.STORE_ERROR
        assert asking.store.count("amal") == 1
        assert await asking.big.status() == HEALTHY


async def test_a_store_that_hangs_when_closed_is_not_waited_for() -> None:
    async with AsyncAsking() as asking:
        asking.store.close_gate.clear()
        assert not await asking.big.stop(0.01)
        assert not await asking.big.stop(0.01)
        asking.store.close_gate.set()
        assert await asking.big.stop(10)
        assert asking.store.closes == 1


async def test_a_store_that_fails_when_closed_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    async with AsyncAsking() as asking:
        asking.store.failure = DOWN
        assert await asking.big.stop(10)
    assert messages(caplog) == ["hand-made could not be closed"]


async def test_what_fails_after_the_end_is_not_complained_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with AsyncAsking(patience=0.05) as asking:
        assert await asking.big.status() == HEALTHY
        asking.store.gate.clear()
        assert await asking.status_for("amal") == "STORE_ERROR"
        caplog.clear()
        assert await asking.big.stop(10)
        asking.store.failure = DOWN
        asking.store.gate.set()
        await until(lambda: not asking.big._asked)
    assert messages(caplog) == []


async def test_to_begin_twice_is_to_begin_once() -> None:
    async with AsyncAsking() as asking:
        asking.big.start()
        assert await asking.big.status() == HEALTHY
        for _ in range(3):
            await pause()
        assert asking.store.polls == 1


async def test_an_answer_that_came_meanwhile_is_no_reason_to_ask_again() -> None:
    async with AsyncAsking() as asking:
        await asking.ask("amal")  # somebody else, between our look at the cache and our question
        assert (await asking.big._ask("amal")).included == {"s.g1": True}
        assert (await asking.big._ask(None)).over.is_set()
        assert asking.store.count("amal") == 1
        assert asking.store.polls == 1
