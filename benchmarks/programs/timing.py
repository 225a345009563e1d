"""The least milliseconds of what is timed in several rounds."""

import time
from collections.abc import Awaitable, Callable


class Least:
    """The least milliseconds by name, of all looks at it.

    Attributes:
        ms: what one call takes.
    """

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}

    def time(self, name: str, call: Callable[[], object], *, times: int = 1) -> None:
        """Have one look: so many calls, one after the other."""
        started = time.perf_counter()
        for _ in range(times):
            call()
        self._note(name, (time.perf_counter() - started) / times)

    async def time_async(
        self, name: str, call: Callable[[], Awaitable[object]], *, times: int = 1
    ) -> None:
        """Do the same with a coroutine function."""
        started = time.perf_counter()
        for _ in range(times):
            await call()
        self._note(name, (time.perf_counter() - started) / times)

    def _note(self, name: str, seconds: float) -> None:
        self.ms[name] = min(self.ms.get(name, float("inf")), seconds * 1_000)
