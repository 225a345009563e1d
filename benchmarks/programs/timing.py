"""The least milliseconds of what is timed in several rounds."""

import time
from collections.abc import Awaitable, Callable
from typing import Final

CPU: Final = "cpu: "  # what names of processor time begin with


class Least:
    """The least milliseconds by name, of all looks at it.

    Attributes:
        ms: what one call takes.
        cpu_ms: what it takes of the process's own time: on a busy machine that says more.
    """

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}
        self.cpu_ms: dict[str, float] = {}

    def report(self) -> dict[str, float]:
        """Return all of it; the process's own time has names of its own."""
        return self.ms | {CPU + name: ms for name, ms in self.cpu_ms.items()}

    def time(self, name: str, call: Callable[[], object], *, times: int = 1) -> None:
        """Have one look: so many calls, one after the other."""
        started, cpu = time.perf_counter(), time.process_time()
        for _ in range(times):
            call()
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
        self._note(self.ms, name, seconds / times)
        self._note(self.cpu_ms, name, cpu_seconds / times)

    async def time_async(
        self, name: str, call: Callable[[], Awaitable[object]], *, times: int = 1
    ) -> None:
        """Do the same with a coroutine function."""
        started, cpu = time.perf_counter(), time.process_time()
        for _ in range(times):
            await call()
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
        self._note(self.ms, name, seconds / times)
        self._note(self.cpu_ms, name, cpu_seconds / times)

    @staticmethod
    def _note(found: dict[str, float], name: str, seconds: float) -> None:
        found[name] = min(found.get(name, float("inf")), seconds * 1_000)
