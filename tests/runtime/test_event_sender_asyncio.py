"""Callers of an event sender in asyncio may be cancelled at any time: nothing is lost by that."""

import asyncio

import pytest

from flagkeep.testing import Scripted
from tests._async.event_sending import AsyncSending


async def test_a_flush_that_is_cancelled_goes_on_without_its_caller() -> None:
    async with AsyncSending() as sending:
        sending.upstream.respond("/bulk", Scripted(202, delay=0.1))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sending.deliver("a"), 0.05)
        await sending.upstream.wait_for_events()
        assert await sending.deliver("b")
        assert sending.delivered == ["a", "b"]
        assert len(sending.ids) == 2


async def test_an_end_that_is_cancelled_can_be_begun_again() -> None:
    async with AsyncSending(starts=False) as sending:
        sending.upstream.respond("/bulk", Scripted(behaviour="hang"))
        sending.record("a")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sending.sender.stop(10.0), 0.1)
        assert sending.tried == [["a"]]
        assert await sending.sender.stop(10.0) == {}
        assert sending.delivered == ["a"]
        assert len(set(sending.ids)) == 1


async def test_a_task_that_ends_with_its_loop_leaves_its_payload_to_the_next() -> None:
    async with AsyncSending() as sending:
        sending.upstream.respond("/bulk", Scripted(behaviour="hang"))
        sending.record("a")
        sending.sender.flush_soon()
        await sending.upstream.wait_for_request("/bulk")
        (task,) = [one for one in asyncio.all_tasks() if one.get_name() == "flagkeep-events"]
        task.cancel()
        await asyncio.wait((task,))
        assert await sending.deliver("b")
        assert sending.delivered == ["a", "b"]
