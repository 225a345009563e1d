"""Big Segments: who is asked, how often, how long anybody waits, and what is said of the answer."""

import logging
from typing import Any

import pytest

from flagkeep._sync.big_segments import TRY_AGAIN
from flagkeep._sync.work import Work
from flagkeep._runtime import threads as runtime
from flagkeep.errors import StoreUnavailable
from flagkeep.model.detail import BigSegmentsStatus
from flagkeep.storage.big_segments import UNAVAILABLE, BigSegmentStoreStatus, hash_of
from tests._sync.segment_store import Asking, SegmentStore
from tests._sync.waiting import pause, until
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


def test_a_store_is_asked_for_the_hash_of_the_key() -> None:
    with Asking() as asking:
        membership = asking.ask("user-key")
        assert membership.included == {"s.g1": True}
        assert membership.status is BigSegmentsStatus.HEALTHY
        assert asking.store.asked == ["CEXjZY7cHJG/ydFy7q4+YEFwVrG3/pkJwA4FAjrbfx0="]


def test_several_keys_are_asked_for_at_the_same_time() -> None:
    with Asking() as asking:
        asking.store.gate.clear()

        def ask() -> None:
            found = asking.big.memberships(("a", "b"), runtime.monotonic() + 10)
            assert {key: one.included for key, one in found.items()} == {
                "a": {"s.g1": True},
                "b": {"s.g1": True},
            }

        task = runtime.spawn("test", ask)
        until(lambda: sorted(asking.store.asked) == sorted([hash_of("a"), hash_of("b")]))
        asking.store.gate.set()
        assert task.join(10)


def test_no_keys_need_no_answer() -> None:
    with Asking() as asking:
        assert asking.big.memberships((), runtime.monotonic() + 10) == {}


def test_twenty_who_want_the_same_at_once_cost_one_question() -> None:
    with Asking(is_polled=False) as asking:
        asking.store.gate.clear()
        asking.store.poll_gate.clear()
        begun: list[int] = []
        statuses: list[str] = []

        def ask() -> None:
            begun.append(1)
            statuses.append(asking.status_for("amal"))

        tasks = [runtime.spawn("test", ask) for _ in range(20)]
        until(lambda: len(begun) == 20 and asking.store.asked != [])
        pause()
        asking.store.let_go()
        assert all([task.join(10) for task in tasks])
        assert statuses == ["HEALTHY"] * 20
        assert asking.store.count("amal") == 1
        assert asking.store.polls == 1


def test_what_was_asked_lately_is_not_asked_again() -> None:
    with Asking() as asking:
        asking.ask("amal")
        asking.store.answer = lambda _: {}
        assert (asking.ask("amal")).included == {"s.g1": True}
        assert asking.store.count("amal") == 1


def test_what_is_remembered_can_be_looked_up_without_asking() -> None:
    with Asking(is_polled=False) as asking:
        remembered = asking.big.remembered
        assert remembered.get("amal") is None
        assert asking.store.asked == []
        asking.ask("amal")
        assert remembered["amal"].status is BigSegmentsStatus.HEALTHY
        assert remembered.get("amal") is not None
        assert list(remembered) == ["amal"]
        assert len(remembered) == 1
        with pytest.raises(KeyError):
            remembered["noor"]
        assert asking.store.count("amal") == 1


def test_nothing_is_remembered_while_it_is_unknown_how_far_it_can_be_trusted() -> None:
    with Asking(is_polled=False) as asking:
        asking.store.poll_gate.clear()
        found = asking.big.memberships(("amal",), runtime.monotonic() + 0.001)
        assert found["amal"].status is BigSegmentsStatus.STORE_ERROR
        until(lambda: bool(asking.big._cache.fresh_keys(runtime.monotonic())))
        assert asking.big.remembered.get("amal") is None
        assert list(asking.big.remembered) == []


def test_it_is_asked_again_when_its_time_is_up() -> None:
    with Asking(context_cache_time=0.01) as asking:
        asking.ask("amal")
        asking.store.answer = lambda _: {"s.g1": False}
        give_up = runtime.monotonic() + 10
        while (asking.ask("amal")).included != {"s.g1": False}:
            assert runtime.monotonic() < give_up
            pause()
        assert asking.store.count("amal") == 2


@pytest.mark.parametrize("nothing", [None, {}])
def test_to_be_in_no_segment_is_remembered_too(nothing: Any) -> None:
    with Asking() as asking:
        asking.store.answer = lambda _: nothing
        for _ in range(3):
            assert (asking.ask("amal")).included == {}
        assert asking.status_for("amal") == "HEALTHY"
        assert asking.store.count("amal") == 1


def test_there_is_room_for_so_many_contexts() -> None:
    with Asking(context_cache_size=2) as asking:
        for key in ("a", "b", "b", "c", "a"):
            asking.ask(key)
        assert asking.store.asked == [hash_of(key) for key in ("a", "b", "c", "a")]


def test_an_error_is_not_remembered() -> None:
    with Asking() as asking:
        asking.store.failure = DOWN
        assert asking.status_for("amal") == "STORE_ERROR"
        asking.store.failure = None
        assert asking.status_for("amal") == "HEALTHY"
        assert asking.store.count("amal") == 2


def test_an_error_for_one_context_is_none_for_others() -> None:
    with Asking() as asking:

        def answer(hashed: str) -> dict[str, bool]:
            if hashed == hash_of("bad"):
                raise DOWN
            return {"s.g1": True}

        asking.store.answer = answer
        assert asking.status_for("bad") == "STORE_ERROR"
        assert asking.status_for("amal") == "HEALTHY"
        assert asking.status_for("bad") == "STORE_ERROR"


def test_while_the_store_fails_what_was_known_last_is_used_and_says_so() -> None:
    """DESIGN.md, promise 1: what was once read is served."""
    with Asking(context_cache_time=0.001) as asking:
        asking.ask("amal")
        pause()
        asking.store.failure = DOWN
        membership = asking.ask("amal")
        assert membership.included == {"s.g1": True}
        assert membership.status is BigSegmentsStatus.STORE_ERROR
        assert asking.store.count("amal") == 2


def test_what_was_known_last_is_used_until_its_age_is_too_high() -> None:
    with Asking(context_cache_time=0.001, max_age=0.002) as asking:
        asking.ask("amal")
        pause()
        asking.store.failure = DOWN
        assert (asking.ask("amal")).included == {}


def test_what_a_store_changes_afterwards_is_not_seen() -> None:
    with Asking() as asking:
        members = {"s.g1": True}
        asking.store.answer = lambda _: members
        asking.ask("amal")
        members["s.g1"] = False
        assert (asking.ask("amal")).included == {"s.g1": True}


# --- a store that hangs -------------------------------------------------------------------------


def test_nobody_waits_longer_than_the_evaluation_may_take() -> None:
    with Asking(patience=0.05) as asking:
        asking.store.gate.clear()
        began = runtime.monotonic()
        assert asking.status_for("amal") == "STORE_ERROR"
        check_within(4.0, since=began)  # which it would not be without an end


@pytest.mark.slow
def test_a_store_that_hangs_is_not_asked_by_evaluations_until_it_answers_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """DESIGN.md, promise 1: while the store is known to be down, reads answer at once."""
    with Asking(patience=0.2, context_cache_time=0.001) as asking:
        asking.ask("noor")
        asking.store.gate.clear()
        assert asking.status_for("amal") == "STORE_ERROR"
        asked = list(asking.store.asked)
        for key in ("noor", "amal", "zoe"):
            assert asking.status_for(key) == "STORE_ERROR"
        assert (asking.ask("noor")).included == {"s.g1": True}
        assert asking.store.asked == asked  # and nothing else is there to wait for
        asking.store.gate.set()
        give_up = runtime.monotonic() + 10
        while asking.status_for("zoe") != "HEALTHY":
            assert runtime.monotonic() < give_up
            pause()
    assert messages(caplog) == [
        "hand-made does not answer; what was known last is used until it does",
        "hand-made answers again",
    ]


@pytest.mark.slow
def test_one_question_hangs_and_no_second_one_is_asked_for_the_same() -> None:
    with Asking(patience=0.02) as asking:
        asking.store.gate.clear()
        assert asking.status_for("amal") == "STORE_ERROR"
        runtime.Event().wait(TRY_AGAIN * 1.5)
        assert asking.store.count("amal") == 1


@pytest.mark.slow
def test_a_question_that_hangs_for_ever_is_given_up_and_asked_again() -> None:
    with Asking(patience=0.02, longest=0.05) as asking:
        asking.store.gate.clear()
        assert asking.status_for("amal") == "STORE_ERROR"
        until(lambda: bool(asking.store.count("amal") >= 2))


def test_an_evaluation_with_little_time_left_does_not_blame_the_store(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Asking() as asking:
        assert asking.big.status() == HEALTHY
        asking.store.gate.clear()
        found = asking.big.memberships(("amal",), runtime.monotonic() + 0.001)
        assert found["amal"].status is BigSegmentsStatus.STORE_ERROR
        found = asking.big.memberships(("noor",), runtime.monotonic() - 1)
        assert found["noor"].status is BigSegmentsStatus.STORE_ERROR
        asking.store.gate.set()
        assert asking.status_for("amal") == "HEALTHY"
    assert messages(caplog) == []


def test_a_store_that_takes_too_long_to_fail_is_not_asked_either() -> None:
    with Asking(patience=0.05) as asking:
        assert asking.big.status() == HEALTHY
        asking.store.gate.clear()
        asking.store.failure = DOWN
        assert asking.status_for("amal") == "STORE_ERROR"
        asking.store.gate.set()  # fails now, which is late
        until(lambda: not asking.big._asked)
        asked = list(asking.store.asked)
        assert asking.status_for("noor") == "STORE_ERROR"
        assert asking.store.asked == asked


def test_a_store_that_never_says_how_old_it_is_holds_nobody_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Asking(patience=0.05) as asking:
        asking.store.poll_gate.clear()
        membership = asking.ask("amal")
        assert membership.included == {"s.g1": True}
        assert membership.status is BigSegmentsStatus.STORE_ERROR
        assert asking.big.status() == UNAVAILABLE
        asking.store.poll_gate.set()
        give_up = runtime.monotonic() + 10
        while asking.status_for("amal") != "HEALTHY":
            assert runtime.monotonic() < give_up
            pause()
    assert "hand-made does not answer" in messages(caplog)[0]


def test_a_poll_that_hangs_makes_the_store_unavailable() -> None:
    with Asking(longest=0.05, status_poll_interval=0.02) as asking:
        assert asking.big.status() == HEALTHY
        asking.store.poll_gate.clear()
        give_up = runtime.monotonic() + 10
        while asking.big.status() != UNAVAILABLE:
            assert runtime.monotonic() < give_up
            pause()


def test_who_asks_for_the_status_first_does_not_wait_for_ever() -> None:
    with Asking(is_polled=False, longest=0.02) as asking:
        asking.store.poll_gate.clear()
        assert asking.big.status() == UNAVAILABLE


# --- how old the data is ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "expected"), [(0.0, "HEALTHY"), (119.0, "HEALTHY"), (121.0, "STALE"), (None, "STALE")]
)
def test_an_answer_says_how_old_the_data_is(age: float | None, expected: str) -> None:
    with Asking() as asking:
        asking.store.age = age
        assert asking.status_for("amal") == expected
        assert (asking.ask("amal")).included == {"s.g1": True}


def test_data_is_stale_after_as_long_as_the_settings_say() -> None:
    with Asking(stale_after=10.0) as asking:
        asking.store.age = 11.0
        assert asking.big.status() == STALE


def test_a_store_that_cannot_say_it_is_not_trusted_but_used() -> None:
    with Asking() as asking:
        asking.store.poll_failure = DOWN
        membership = asking.ask("amal")
        assert membership.included == {"s.g1": True}
        assert membership.status is BigSegmentsStatus.STORE_ERROR
        assert asking.big.status() == UNAVAILABLE


def test_the_first_who_wants_the_status_asks_for_it_once() -> None:
    with Asking(is_polled=False) as asking:
        assert asking.big.status() == HEALTHY
        assert asking.big.status() == HEALTHY
        assert asking.store.polls == 1


def test_evaluations_do_not_ask_how_old_the_data_is_once_that_was_said() -> None:
    with Asking(is_polled=False) as asking:
        assert asking.big.status() == HEALTHY
        for key in "abcdefghij":
            assert asking.status_for(key) == "HEALTHY"
        assert asking.store.polls == 1


def test_it_is_asked_at_once_and_again_and_again() -> None:
    with Asking(status_poll_interval=0.01) as asking:
        until(lambda: bool(asking.store.polls >= 4))


def test_listeners_are_told_of_each_change_after_the_first_status() -> None:
    seen: list[BigSegmentStoreStatus] = []
    with Asking(status_poll_interval=0.01) as asking:
        remove = asking.big.listeners.add(seen.append)
        assert asking.big.status() == HEALTHY
        for _ in range(3):
            polls = asking.store.polls
            until(lambda: bool(asking.store.polls > polls))  # noqa: B023
        assert seen == []
        asking.store.poll_failure = DOWN
        until(lambda: seen == [UNAVAILABLE])
        asking.store.age, asking.store.poll_failure = 500.0, None
        until(lambda: seen == [UNAVAILABLE, STALE])
        asking.store.age = 0.0
        until(lambda: seen == [UNAVAILABLE, STALE, HEALTHY])
        remove()
        asking.store.age = None
        give_up = runtime.monotonic() + 10
        while asking.big.status() != STALE:
            assert runtime.monotonic() < give_up
            pause()
        assert seen == [UNAVAILABLE, STALE, HEALTHY]


def test_a_change_of_status_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with Asking(status_poll_interval=0.005) as asking:
        asking.store.age = None
        until(lambda: bool(asking.store.polls >= 3))
        asking.store.poll_failure = ValueError("password=secret")
        polls = asking.store.polls
        until(lambda: bool(asking.store.polls >= polls + 4))
        asking.store.poll_failure, asking.store.age = None, 0.0
        polls = asking.store.polls
        until(lambda: bool(asking.store.polls >= polls + 4))
    stale, failed, well = messages(caplog)
    assert stale == "hand-made: its data is stale: is something writing to it?"
    assert failed == (
        "hand-made: get_metadata failed: it raised ValueError, where a store raises StoreError;"
        " what was known last is used until it works again"
    )
    assert well == "hand-made is up to date again"


def test_failing_questions_are_logged_once_in_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Asking() as asking:
        asking.store.failure = DOWN
        for key in "abcdef":
            asking.ask(key)
    assert messages(caplog) == [
        "hand-made: get_membership failed: it is down; what was known last is used"
    ]


# --- stores of somebody else --------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["s.g1", 7, object()])
def test_what_is_no_answer_counts_as_a_failure(answer: Any) -> None:
    with Asking() as asking:
        asking.store.answer = lambda _: answer
        assert asking.status_for("amal") == "STORE_ERROR"


def test_no_metadata_counts_as_a_failure() -> None:
    class NoMetadata(SegmentStore):
        def get_metadata(self) -> Any:
            return None

    with Asking(NoMetadata()) as asking:
        assert asking.big.status() == UNAVAILABLE


def test_no_secret_of_a_store_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with Asking() as asking:
        asking.store.failure = OSError("redis://:secret@host")
        assert asking.status_for("amal") == "STORE_ERROR"
    assert "OSError" in caplog.text
    assert "secret" not in caplog.text


def test_a_store_is_called_by_its_label_if_it_has_one() -> None:
    class Labelled(SegmentStore):
        label = "redis db1:6379"

    assert Asking(Labelled()).big.name == "redis db1:6379"
    assert Asking().big.name == "hand-made"


# --- processes, and the end ---------------------------------------------------------------------


def test_the_child_of_a_fork_does_not_wait_for_what_its_parent_asks() -> None:
    with Asking(patience=0.2) as asking:
        asking.ask("noor")
        asking.store.gate.clear()
        assert asking.status_for("amal") == "STORE_ERROR"
        asking.big.forget_parent()
        parents, asking.store.gate = asking.store.gate, runtime.Event()  # a new connection
        asking.store.gate.set()
        assert asking.status_for("amal") == "HEALTHY"
        assert asking.store.count("noor") == 1  # memory stays
        parents.set()


def test_where_nothing_runs_beside_the_callers_they_ask_themselves() -> None:
    asking = Asking(is_polled=False)
    asking.work.is_pumped = True
    asking.big.start()
    asking.work.run_due(runtime.monotonic() + 10)
    assert asking.store.polls == 1
    assert asking.status_for("amal") == "HEALTHY"
    assert asking.store.polls == 1
    assert asking.big.stop(1)


def test_where_no_more_threads_can_be_had_it_is_a_failure_of_the_store(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Full(Work):
        def aside(self, name: str, job: Any) -> None:  # noqa: ARG002
            raise RuntimeError("can't start new thread")

    asking = Asking(is_polled=False)
    asking.big._work = Full()
    assert asking.status_for("amal") == "STORE_ERROR"
    assert asking.big.status() == UNAVAILABLE
    assert not asking.big._asked
    assert asking.big.stop(1)
    assert asking.store.closes == 1
    assert "it raised RuntimeError" in caplog.text


def test_the_end_closes_the_store_once_and_nothing_is_asked_any_more() -> None:
    with Asking(context_cache_time=0.001) as asking:
        asking.ask("amal")
        assert asking.big.stop(10)
        assert asking.big.stop(10)
        assert asking.store.closes == 1
        pause()
        membership = asking.ask("amal")
        assert membership.included == {"s.g1": True}
        assert membership.status is BigSegmentsStatus.STORE_ERROR
        assert asking.store.count("amal") == 1
        assert asking.big.status() == HEALTHY


def test_a_store_that_hangs_when_closed_is_not_waited_for() -> None:
    with Asking() as asking:
        asking.store.close_gate.clear()
        assert not asking.big.stop(0.01)
        assert not asking.big.stop(0.01)
        asking.store.close_gate.set()
        assert asking.big.stop(10)
        assert asking.store.closes == 1


def test_a_store_that_fails_when_closed_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    with Asking() as asking:
        asking.store.failure = DOWN
        assert asking.big.stop(10)
    assert messages(caplog) == ["hand-made could not be closed"]


def test_what_fails_after_the_end_is_not_complained_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Asking(patience=0.05) as asking:
        assert asking.big.status() == HEALTHY
        asking.store.gate.clear()
        assert asking.status_for("amal") == "STORE_ERROR"
        caplog.clear()
        assert asking.big.stop(10)
        asking.store.failure = DOWN
        asking.store.gate.set()
        until(lambda: not asking.big._asked)
    assert messages(caplog) == []


def test_to_begin_twice_is_to_begin_once() -> None:
    with Asking() as asking:
        asking.big.start()
        assert asking.big.status() == HEALTHY
        for _ in range(3):
            pause()
        assert asking.store.polls == 1


def test_an_answer_that_came_meanwhile_is_no_reason_to_ask_again() -> None:
    with Asking() as asking:
        asking.ask("amal")  # somebody else, between our look at the cache and our question
        assert (asking.big._ask("amal")).included == {"s.g1": True}
        assert (asking.big._ask(None)).over.is_set()
        assert asking.store.count("amal") == 1
        assert asking.store.polls == 1
