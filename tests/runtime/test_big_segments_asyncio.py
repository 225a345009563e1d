"""Big Segments in asyncio: who is cancelled, and who is not."""

import asyncio
from collections.abc import Mapping

import pytest

from tests._async.segment_store import AsyncAsking, AsyncSegmentStore
from tests._async.waiting import until


async def test_who_is_cancelled_while_waiting_takes_the_answer_from_nobody() -> None:
    async with AsyncAsking() as asking:
        asking.store.gate.clear()
        first = asyncio.create_task(asking.status_for("amal"))
        await until(lambda: asking.store.asked != [])
        second = asyncio.create_task(asking.status_for("amal"))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        asking.store.gate.set()
        assert await second == "HEALTHY"
        assert asking.store.count("amal") == 1


async def test_a_driver_that_cancels_itself_is_a_failure_of_the_store() -> None:
    class Cancelling(AsyncSegmentStore):
        async def get_membership(self, context_hash: str) -> Mapping[str, bool] | None:
            self.asked.append(context_hash)
            raise asyncio.CancelledError

    async with AsyncAsking(Cancelling()) as asking:
        assert await asking.status_for("amal") == "STORE_ERROR"
        assert await asking.status_for("amal") == "STORE_ERROR"
        assert asking.store.count("amal") == 2


async def test_a_question_that_is_given_up_is_cancelled() -> None:
    cancelled = asyncio.Event()

    class Hanging(AsyncSegmentStore):
        async def get_membership(self, context_hash: str) -> Mapping[str, bool] | None:
            self.asked.append(context_hash)
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
            return None

    async with AsyncAsking(Hanging(), patience=0.02, longest=0.05) as asking:
        assert await asking.status_for("amal") == "STORE_ERROR"
        await asyncio.wait_for(cancelled.wait(), 10)


def test_a_loop_that_ends_while_a_store_hangs_ends_without_a_word() -> None:
    async def main() -> None:
        asking = AsyncAsking(patience=0.01)
        asking.work.start()
        asking.store.gate.clear()
        assert await asking.status_for("amal") == "STORE_ERROR"
        asking.work.stop()

    asyncio.run(main())
