"""Big Segments with threads: crowds that start at one moment, forks, and what is left behind."""

import os
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest

from flagkeep.storage.big_segments import BigSegmentMetadata
from tests._sync.segment_store import Asking, SegmentStore
from tests._sync.waiting import until
from tests.limits import check_within


class Crowd:
    """Threads that ask for the same keys at one moment."""

    def __init__(self, asking: Asking, count: int) -> None:
        self.statuses: list[str] = []
        self._asking = asking
        self._start = threading.Barrier(count)
        self._threads = [threading.Thread(target=self._ask) for _ in range(count)]

    def _ask(self) -> None:
        self._start.wait()
        for key in ("amal", "noor", "zoe"):
            self.statuses.append(self._asking.status_for(key))

    def run(self) -> None:
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            thread.join()


def test_twenty_threads_that_start_together_cost_one_question_for_each_key() -> None:
    for _ in range(20):
        with Asking(is_polled=False) as asking:
            crowd = Crowd(asking, 20)
            crowd.run()
            assert crowd.statuses == ["HEALTHY"] * 60
            assert [asking.store.count(key) for key in ("amal", "noor", "zoe")] == [1, 1, 1]
            assert asking.store.polls == 1


def test_a_crowd_before_a_store_that_hangs_has_a_thread_for_each_question_and_an_end() -> None:
    with Asking(patience=0.2) as asking:
        assert asking.status_for("somebody") == "HEALTHY"
        before = set(threading.enumerate())
        asking.store.gate.clear()
        crowd = Crowd(asking, 20)
        began = time.monotonic()
        crowd.run()
        check_within(10.0, since=began)  # far less, but for busy machines
        assert set(crowd.statuses) == {"STORE_ERROR"}
        hanging = set(threading.enumerate()) - before
        assert len(hanging) <= 3
        assert all(one.daemon for one in hanging)  # a process can end all the same
    until(lambda: not any(one.is_alive() for one in hanging))


def test_a_question_that_is_answered_late_is_remembered() -> None:
    with Asking(patience=0.02) as asking:
        asking.store.gate.clear()
        assert asking.status_for("amal") == "STORE_ERROR"
        asking.store.gate.set()
        until(lambda: bool(asking.ask("amal").included == {"s.g1": True}))
        assert asking.store.count("amal") <= 2  # the question and a trial


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_the_child_of_a_fork_asks_for_itself_what_its_parent_waits_for() -> None:
    with Asking(patience=0.2) as asking:
        asking.store.gate.clear()
        assert asking.status_for("amal") == "STORE_ERROR"  # a thread hangs, in the parent
        child = os.fork()
        if child == 0:
            status = 1
            try:
                asking.work.forget_parent()
                asking.big.forget_parent()
                asking.store.gate.set()
                asking.work.start()
                asking.big.start()
                polls = asking.store.polls
                status = 0 if asking.status_for("amal") == "HEALTHY" else 2
                until(lambda: bool(asking.store.polls > polls))
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_listener_may_ask_for_the_status() -> None:
    seen: list[Any] = []
    with Asking(status_poll_interval=0.01) as asking:
        asking.big.status()
        asking.big.listeners.add(lambda status: seen.append((status, asking.big.status())))
        asking.store.age = None
        until(lambda: seen != [])
    assert seen[0][0] == seen[0][1]


def test_a_store_that_is_as_plain_as_can_be_will_do() -> None:
    class Plain:
        """No name, no label, no base class."""

        def get_metadata(self) -> BigSegmentMetadata:
            return BigSegmentMetadata(int(time.time() * 1000))

        def get_membership(self, _: str) -> Mapping[str, bool] | None:
            return None

        def close(self) -> None:
            pass

    asking = Asking(Plain())
    asking.work.start()
    try:
        assert asking.status_for("amal") == "HEALTHY"
        assert "Plain" in asking.big.name
        assert asking.big.stop(10)
    finally:
        asking.work.stop()
        assert asking.work.join(10)
    assert isinstance(SegmentStore().name, str)
