"""Looking a name up: the system cannot end that, but nobody has to wait for it."""

import asyncio
import threading
import time

import pytest

from flagkeep._runtime.http_network_aio import found
from flagkeep._runtime.http_network_threads import found_within
from flagkeep._runtime.http_stop import Stop, Stopped, TooSlow
from tests.limits import check_within


def test_lookup_in_threads_ends_at_its_limit() -> None:
    answer = threading.Event()
    with pytest.raises(TooSlow, match="does the DNS answer"):
        found_within(0.05, lambda: [answer.wait(10)], Stop())
    answer.set()


def test_lookup_in_threads_ends_when_it_is_stopped() -> None:
    answer, stop = threading.Event(), Stop()
    threading.Timer(0.05, stop.set).start()
    began = time.monotonic()
    with pytest.raises(Stopped):
        found_within(None, lambda: [answer.wait(10)], stop)
    check_within(1, since=began)
    answer.set()


def test_lookup_is_the_callers_work_where_no_thread_can_begin() -> None:
    usual = threading.stack_size(1 << 46)  # more than there is: what a full machine says
    try:
        assert found_within(1.0, lambda: ["address"], Stop()) == ["address"]
        assert asyncio.run(found(lambda: ["address"])) == ["address"]
    finally:
        threading.stack_size(usual)


def test_end_of_a_loop_does_not_wait_for_a_lookup() -> None:
    answer = threading.Event()

    async def look_up() -> None:
        async with asyncio.timeout(0.05):
            await found(lambda: [answer.wait(10)])

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(look_up())
    check_within(1, since=began)
    answer.set()
