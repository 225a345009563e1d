"""A Big Segment store that counts what it is asked, waits when told to, and fails when told to."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from flagkeep._async.big_segments import AsyncBigSegments
from flagkeep._async.work import AsyncWork
from flagkeep._runtime import aio as runtime
from flagkeep.config import BigSegmentSettings
from flagkeep.evaluation.inputs import Membership
from flagkeep.storage.big_segments import BigSegmentMetadata, hash_of


class AsyncSegmentStore:
    """Everybody is in `s.g1`, unless told otherwise.

    Attributes:
        asked: the hashes asked for, in order.
        polls: how often it was asked how old its data is.
        age: what it says of that, in seconds; None: never complete.
        gate: questions for members wait until it is open.
        poll_gate: questions for the age wait until it is open.
        failure: raised by questions for members.
        poll_failure: raised by questions for the age.
        answer: makes the answer to a question for members.
    """

    name = "hand-made"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.polls = 0
        self.age: float | None = 0.0
        self.gate = runtime.Event()
        self.gate.set()
        self.poll_gate = runtime.Event()
        self.poll_gate.set()
        self.close_gate = runtime.Event()
        self.close_gate.set()
        self.failure: Exception | None = None
        self.poll_failure: Exception | None = None
        self.answer: Callable[[str], Any] = lambda _: {"s.g1": True}
        self.closes = 0

    async def get_metadata(self) -> BigSegmentMetadata:
        """Return how old the data is."""
        self.polls += 1
        await self.poll_gate.wait(None)
        if self.poll_failure is not None:
            raise self.poll_failure
        if self.age is None:
            return BigSegmentMetadata(None)
        return BigSegmentMetadata(int((runtime.wall_time() - self.age) * 1000))

    async def get_membership(self, context_hash: str) -> Mapping[str, bool] | None:
        """Return the segments of one context."""
        self.asked.append(context_hash)
        await self.gate.wait(None)
        if self.failure is not None:
            raise self.failure
        members: Mapping[str, bool] | None = self.answer(context_hash)
        return members

    async def aclose(self) -> None:
        """Let go of everything."""
        self.closes += 1
        await self.close_gate.wait(None)
        if self.failure is not None:
            raise self.failure

    def count(self, key: str) -> int:
        """Return how often was asked for a context key."""
        return self.asked.count(hash_of(key))

    def let_go(self) -> None:
        """Keep nobody waiting any more."""
        for gate in (self.gate, self.poll_gate, self.close_gate):
            gate.set()


class AsyncAsking:
    """The Big Segments of a client that there is not, over such a store."""

    def __init__(
        self,
        store: Any = None,
        *,
        patience: float = 5.0,
        longest: float = 5.0,
        max_age: float | None = None,
        is_polled: bool = True,
        **settings: Any,
    ) -> None:
        self.store = store or AsyncSegmentStore()
        self.work = AsyncWork()
        self.patience = patience
        self._is_polled = is_polled
        self.big = AsyncBigSegments(
            self.store,
            BigSegmentSettings(**settings),
            self.work,
            patience=patience,
            longest=longest,
            max_age=max_age,
        )

    async def __aenter__(self) -> Self:
        self.work.start()
        if self._is_polled:
            self.big.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        by_hand = self.store if isinstance(self.store, AsyncSegmentStore) else None
        if by_hand is not None:
            by_hand.failure = None
            by_hand.close_gate.set()
        assert await self.big.stop(10)  # what hangs says nothing any more when it is let go
        if by_hand is not None:
            by_hand.let_go()
        self.work.stop()
        assert await self.work.join(10)

    async def ask(self, key: str) -> Membership:
        """Return the membership of one key, as an evaluation would get it."""
        found = await self.big.memberships((key,), runtime.monotonic() + self.patience)
        assert list(found) == [key]
        return found[key]

    async def status_for(self, key: str) -> str:
        """Return how far the membership of one key is trusted."""
        return (await self.ask(key)).status.value
