"""Who may ask a Consul now: turns are never lost, whoever gives up."""

import asyncio
import threading
from contextlib import suppress

import pytest

from flagkeep._async.stores.consul_turns import AsyncTurns
from flagkeep._sync.stores.consul_turns import Turns


async def test_a_cancelled_task_gives_its_place_and_its_turn_back() -> None:
    turns = AsyncTurns(1)
    assert await turns.take(1)
    waiting = [asyncio.create_task(turns.take(60)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # in the midst of its waiting
    with suppress(asyncio.CancelledError):
        await waiting[0]
    turns.give()
    waiting[1].cancel()  # its turn has come, and it has not seen that yet
    with suppress(asyncio.CancelledError):
        await waiting[1]
    assert await waiting[2]
    assert not await turns.take(0)
    turns.give()
    assert await turns.take(0)


async def test_turns_come_in_the_order_of_asking() -> None:
    turns = AsyncTurns(2)
    order: list[int] = []

    async def ask(number: int) -> None:
        assert await turns.take(60)
        order.append(number)
        await asyncio.sleep(0)
        turns.give()

    await asyncio.gather(*(ask(number) for number in range(20)))
    assert order == list(range(20))


def test_threads_share_turns_with_a_limit_to_their_patience() -> None:
    turns = Turns(3)
    now, most = [0], [0]
    lock = threading.Lock()

    def ask() -> None:
        for _ in range(50):
            assert turns.take(60)
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            with lock:
                now[0] -= 1
            turns.give()

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert 1 <= most[0] <= 3
    for _ in range(3):
        assert turns.take(0)
    assert not turns.take(0.01)
    turns.give()
    assert turns.take(0)


def test_a_turn_that_comes_as_somebody_gives_up_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    from flagkeep._runtime import threads as runtime  # noqa: PLC0415  to change it

    turns = Turns(1)
    assert turns.take(0)

    class Late(runtime.Event):
        def wait(self, timeout: float | None) -> bool:
            assert not super().wait(timeout)
            turns.give()
            return False

    monkeypatch.setattr(runtime, "Event", Late)
    assert turns.take(0.01)
    assert not turns._waiting


def test_a_child_of_a_fork_has_all_turns() -> None:
    turns = Turns(2)
    assert turns.take(0)
    assert turns.take(0)
    turns.after_fork()
    assert turns.take(0)
    assert turns.take(0)
    assert not turns.take(0)
