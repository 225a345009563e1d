"""What evaluations cost while their events are recorded and sent: `events.py FACE URL`; JSON.

The upstream has the flags of the cases, and `tracked`, which is A with every event in full. Times
are those of the calling thread, in µs, the least of many looks; "CPU" is that of the whole process,
divided by the number of calls, with a delivery after each second of them.
"""

import asyncio
import gc
import itertools
import json
import sys
import time
import timeit
from collections.abc import Callable
from typing import Any, Final

from benchmarks import cases
from benchmarks.programs import connected

LOOK_SECONDS: Final = 0.002
LOOKS: Final = 300
STRANGERS: Final = 20_000  # so many in turn are new each time
FEW: Final = 2_000  # events in full between two deliveries, which fit into every queue
FEW_LOOKS: Final = 10
SETTLE: Final = 0.3
CPU_SECONDS: Final = 1.0

Us = dict[str, float]


def main(face: str, url: str) -> None:
    """Measure everything and print it."""
    connected.import_for(face)
    names = context_names(face)
    contexts = {case: eval(one.context, names) for case, one in CASES.items()}  # noqa: S307  ours
    if face == "async":
        print(json.dumps(asyncio.run(main_async(url, contexts))))
        return
    client = connected.connect(face, url)
    found: Us = {}
    for case, one in CASES.items():
        names |= {"variation": client.variation, "context": contexts[case]}
        call = f"variation({one.flag!r}, context, False)"
        found[case] = best_us(call, names)
        found[f"{case}, CPU"] = cpu_us(call, names, client.deliver)
    found |= of_events(client, names, contexts[next(iter(CASES))])
    client.close()
    print(json.dumps(found))


CASES: Final = {
    one.name: one for one in cases.CASES if one.ask == "variation" and one.budget_us is not None
}


def context_names(face: str) -> dict[str, Any]:
    """Return what the expressions that build contexts refer to."""
    context = connected.context_type(face)
    return {"create": context.create, "builder": context.builder}


def best_us(call: str, names: dict[str, Any]) -> float:
    """Return the least time of one call, bound to local names as in a program's function."""
    local = "; ".join(f"{name} = names[{name!r}]" for name in names)
    timer = timeit.Timer(call, f"gc.enable(); {local}", globals={"names": names, "gc": gc})
    once = min(timer.repeat(3, 100)) / 100
    number = max(1, int(LOOK_SECONDS / once))
    return min(timer.repeat(LOOKS, number)) / number * 1e6


def cpu_us(call: str, names: dict[str, Any], deliver: Callable[[], object]) -> float:
    """Return the processor time of one call, the sender's share of it included."""
    local = "; ".join(f"{name} = names[{name!r}]" for name in names)
    timer = timeit.Timer(call, f"gc.enable(); {local}", globals={"names": names, "gc": gc})
    number = max(100, int(CPU_SECONDS / (min(timer.repeat(3, 1_000)) / 1_000)))
    deliver()
    time.sleep(SETTLE)
    least = float("inf")
    for _ in range(3):
        before = time.process_time()
        timer.timeit(number)
        deliver()
        time.sleep(SETTLE)
        least = min(least, (time.process_time() - before) / number)
    return least * 1e6


def of_events(client: connected.Connected, names: dict[str, Any], context: Any) -> Us:
    """Time what makes an event of its own each time."""
    create = names["create"]
    strangers = itertools.cycle([create(f"stranger-{number}") for number in range(STRANGERS)])
    variation, track, identify = client.variation, client.track, client.identify
    return {
        **few("A, a new context", lambda: variation("a", next(strangers), False), client.deliver),
        **few("A, tracked", lambda: variation("tracked", context, False), client.deliver),
        **few("track", lambda: track("bought", context), client.deliver),
        **few("identify", lambda: identify(context), client.deliver),
    }


def few(name: str, call: Callable[[], object], deliver: Callable[[], object]) -> Us:
    """Time a few thousand calls between deliveries, so that no event is dropped."""
    wall, cpu = [], []
    for _ in range(FEW_LOOKS):
        deliver()
        time.sleep(SETTLE)
        used, started = time.process_time(), time.perf_counter()
        for _ in range(FEW):
            call()
        wall.append(time.perf_counter() - started)
        deliver()
        time.sleep(SETTLE)
        cpu.append(time.process_time() - used)
    return {name: min(wall) / FEW * 1e6, f"{name}, CPU": min(cpu) / FEW * 1e6}


async def main_async(url: str, contexts: dict[str, Any]) -> Us:
    """Measure the cases in an event loop."""
    client = await connected.connect_async(url)
    found: Us = {}
    for case, one in CASES.items():
        context = contexts[case]
        once = await look(client.variation, one.flag, context, 100)
        number = max(1, int(LOOK_SECONDS / once))
        times = [await look(client.variation, one.flag, context, number) for _ in range(LOOKS)]
        found[case] = min(times) * 1e6
        number = int(CPU_SECONDS / min(times))
        await client.flush()
        before = time.process_time()
        await look(client.variation, one.flag, context, number)
        await client.flush()
        found[f"{case}, CPU"] = (time.process_time() - before) / number * 1e6
    await client.aclose()
    return found


async def look(variation: Any, key: str, context: Any, number: int) -> float:
    """Return the seconds of one call, of so many."""
    started = time.perf_counter()
    for _ in itertools.repeat(None, number):
        await variation(key, context, False)
    return (time.perf_counter() - started) / number


if __name__ == "__main__":
    main(*sys.argv[1:])
