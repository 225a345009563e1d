"""From the constructor to the first data of a stream: `stream.py FACE URL`; prints JSON.

The SDK is imported before the clock starts, and so are the modules that the first line of the
standard input names: those that it loads late, as an earlier run printed them.
"""

import asyncio
import gc
import json
import sys
import time
from typing import Any

from benchmarks.programs import connected
from benchmarks.programs.resident import peak_mb, resident_mb


def main(face: str, url: str) -> None:
    """Measure one start."""
    connected.import_for(face, sys.stdin.readline())
    context = connected.context_type(face).create("user-0001")
    gc.collect()
    known, before = set(sys.modules), resident_mb()
    if face == "async":
        asyncio.run(main_async(url, known, before))
        return
    started = time.perf_counter()
    client = connected.connect(face, url)
    taken = time.perf_counter() - started
    report(taken, known, before)
    if client.variation("there-is-none", context, "default") != "default":
        sys.exit("a flag that does not exist has a value")
    client.close()


async def main_async(url: str, known: set[str], before: float) -> None:
    """Do the same in an event loop."""
    started = time.perf_counter()
    client = await connected.connect_async(url)
    report(time.perf_counter() - started, known, before)
    await client.aclose()


def report(taken: float, known: set[str], before: float) -> None:
    """Print what was found."""
    late = sorted(set(sys.modules) - known)
    peak = peak_mb()
    time.sleep(0.3)  # for what ends behind the first data, such as what frees its text
    found: dict[str, Any] = {
        "ms": taken * 1_000,
        "resident": resident_mb(),
        "grown": resident_mb() - before,
        "peak": peak,
        "late": late,
    }
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
