"""From a patch of one flag to its new value: `patch.py FACE URL FLAG HOW`; prints JSON.

The value is the time at which the patch was sent. HOW is `poll`: evaluate, and sleep for 50 µs, so
that the thread that reads the stream can have the interpreter (in asyncio: evaluate, and let the
loop have its turn); or `listener`: be told of it.
"""

import asyncio
import json
import statistics
import sys
import time
from typing import Any, Final

from benchmarks.programs import connected

PATCHES: Final = 100
PAUSE: Final = 0.000_05
LASTS: Final = 30.0

Seconds = list[float]


def main(face: str, url: str, key: str, how: str) -> None:
    """Measure some patches."""
    connected.import_for(face)
    context = connected.context_type(face).create("user-0001")
    taken: Seconds = []
    if face == "async":
        asyncio.run(main_async(url, key, context, how, taken))
    else:
        client = connected.connect(face, url)
        if how == "listener":
            client.listen(key, context, lambda sent: note(taken, sent))
            wait_for(taken)
        else:
            poll(client, key, context, taken)
        client.close()
    if len(taken) < PATCHES:
        sys.exit(f"only {len(taken)} patches came")
    ms = sorted(one * 1_000 for one in taken)
    found = {"least": ms[0], "median": statistics.median(ms), "p90": ms[int(len(ms) * 0.9)]}
    json.dump(found, sys.stdout)


def note(taken: Seconds, sent: Any) -> None:
    """Take note of a value that is new."""
    if isinstance(sent, float):
        taken.append(time.monotonic() - sent)


def wait_for(taken: Seconds) -> None:
    """Wait until there are enough."""
    ends = time.monotonic() + LASTS
    while len(taken) < PATCHES and time.monotonic() < ends:
        time.sleep(0.05)


def poll(client: connected.Connected, key: str, context: Any, taken: Seconds) -> None:
    """Evaluate until there were enough new values."""
    variation, before = client.variation, None
    ends = time.monotonic() + LASTS
    while len(taken) < PATCHES and time.monotonic() < ends:
        value = variation(key, context, None)
        if value != before:
            note(taken, value)
            before = value
        time.sleep(PAUSE)


async def main_async(url: str, key: str, context: Any, how: str, taken: Seconds) -> None:
    """Do the same in an event loop."""
    client = await connected.connect_async(url)
    ends = time.monotonic() + LASTS
    if how == "listener":
        client.on_value_change(key, context, lambda change: note(taken, change.new_value))
    before = None
    while len(taken) < PATCHES and time.monotonic() < ends:
        if how == "listener":
            await asyncio.sleep(0.05)
            continue
        value = await client.variation(key, context, None)
        if value != before:
            note(taken, value)
            before = value
        await asyncio.sleep(0)
    await client.aclose()


if __name__ == "__main__":
    main(*sys.argv[1:])
