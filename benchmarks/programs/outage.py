"""Evaluations of what was read before, while something happens to the store.

Used by the programs of both SDKs, which hand in how one flag is evaluated. Prints `ready` and then
evaluates for some seconds, a few thousand times in each, while whoever started the program does
harm to the store. Prints what came of it as JSON.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

SECONDS: Final = 5.0
PAUSE: Final = 0.0005  # the system makes a whole millisecond of it
BETWEEN: Final = 5  # so many evaluations between two pauses, as if for one request

Answers = dict[str, Any]


class Record:
    """What evaluations took, and how many gave another value than before."""

    def __init__(self, before: Answers) -> None:
        self._before = before
        self._taken: list[float] = []
        self._wrong = 0

    def note(self, key: str, value: object, seconds: float) -> None:
        """Take one evaluation."""
        self._taken.append(seconds)
        self._wrong += value != self._before[key]

    def print(self) -> None:
        """Print it."""
        taken = sorted(self._taken)
        found = {
            "count": len(taken),
            "p50": taken[len(taken) // 2] * 1_000,
            "p99.9": taken[int(len(taken) * 0.999)] * 1_000,
            "longest": taken[-1] * 1_000,
            "wrong": self._wrong / len(taken) * 100,
        }
        print(json.dumps(found), flush=True)


def run(keys: Sequence[str], evaluate: Callable[[str], Any]) -> None:
    """Evaluate these flags in turn."""
    record = Record({key: evaluate(key) for key in keys})
    print("ready", flush=True)
    ends, number = time.perf_counter() + SECONDS, 0
    while (started := time.perf_counter()) < ends:
        key = keys[number % len(keys)]
        value = evaluate(key)
        record.note(key, value, time.perf_counter() - started)
        number += 1
        if number % BETWEEN == 0:
            time.sleep(PAUSE)
    record.print()


async def run_async(keys: Sequence[str], evaluate: Callable[[str], Awaitable[Any]]) -> None:
    """Do the same with asyncio."""
    record = Record({key: await evaluate(key) for key in keys})
    print("ready", flush=True)
    ends, number = time.perf_counter() + SECONDS, 0
    while (started := time.perf_counter()) < ends:
        key = keys[number % len(keys)]
        value = await evaluate(key)
        record.note(key, value, time.perf_counter() - started)
        number += 1
        if number % BETWEEN == 0:
            await asyncio.sleep(PAUSE)
    record.print()


def keys_from_stdin() -> list[str]:
    """Return the flags to evaluate, which are on the first line, with spaces between."""
    return sys.stdin.readline().split()
