"""Eight threads that evaluate while events are on: `together.py FACE URL`; prints JSON.

FACE may be `function`: one in Python that counts to 80, which takes about as long as an evaluation.
Threads that compute share one interpreter, which gives each of them 5 ms at a time, so that whoever
is interrupted waits for all others: what that function suffers is the interpreter's doing, and the
rest is the SDK's.

`busy`: every thread evaluates all the time. `serving`: every thread evaluates five times, as for
one request, and waits for a millisecond.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from benchmarks import flags
from benchmarks.programs import connected

THREADS: Final = 8
SECONDS: Final = 6.0  # a delivery of events is always within
ALONE_SECONDS: Final = 2.0
BETWEEN: Final = 5
PAUSE: Final = 0.001
NOTABLE: Final = 0.000_05  # calls that take less are only counted

Variation = Callable[[str, Any, Any], Any]


class Caller:
    """One thread's calls.

    Attributes:
        count: of all calls.
        slow: seconds of those that took long.
    """

    def __init__(self, variation: Variation, context: Any) -> None:
        self._variation = variation
        self._context = context
        self.count = 0
        self.slow: list[float] = []

    def busy(self, ends: float) -> None:
        """Call until it is time to end."""
        variation, context, slow, clock = self._variation, self._context, self.slow, CLOCK
        count, after = 0, clock()
        while after < ends:
            before = clock()
            variation("b", context, None)
            after = clock()
            count += 1
            if after - before > NOTABLE:
                slow.append(after - before)
        self.count += count

    def serving(self, ends: float) -> None:
        """Do the same with pauses."""
        while CLOCK() < ends:
            for _ in range(BETWEEN):
                before = CLOCK()
                self._variation("b", self._context, None)
                after = CLOCK()
                self.count += 1
                if after - before > NOTABLE:
                    self.slow.append(after - before)
            time.sleep(PAUSE)


CLOCK: Final = time.perf_counter


def main(face: str, url: str = "") -> None:
    """Measure both ways and print what was found."""
    variation: Variation
    close: Callable[[], object]
    if face == "function":
        variation, context, close = count_to_80, None, int
    else:
        connected.import_for(face)
        client = connected.connect(face, url)
        builder = connected.context_type(face).builder(flags.key_of(999))
        for name, value in flags.attributes(999).items():
            builder.set(name, value)
        variation, context, close = client.variation, builder.build(), client.close
    alone = Caller(variation, context)
    used = time.process_time()
    alone.busy(CLOCK() + ALONE_SECONDS)
    found = rates("alone", alone.count, ALONE_SECONDS, time.process_time() - used)
    found |= together("busy", variation, context)
    found |= together("serving", variation, context)
    close()
    print(json.dumps(found))


def count_to_80(key: str, context: Any, default: Any) -> Any:  # noqa: ARG001  as an SDK is called
    """Compute for two microseconds."""
    number = 0
    while number < 80:
        number += 1
    return default


def rates(how: str, count: int, seconds: float, used: float) -> dict[str, float]:
    """Return thousands of calls per second, and µs of processor time for each."""
    return {f"{how}, k/s": count / seconds / 1_000, f"{how}, CPU": used / count * 1e6}


def together(how: str, variation: Variation, context: Any) -> dict[str, float]:
    """Let eight threads call."""
    callers = [Caller(variation, context) for _ in range(THREADS)]
    used, ends = time.process_time(), CLOCK() + SECONDS
    threads = [threading.Thread(target=getattr(one, how), args=(ends,)) for one in callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    count = sum(one.count for one in callers)
    found = rates(how, count, SECONDS, time.process_time() - used)
    slow = sorted((seconds for one in callers for seconds in one.slow), reverse=True)
    rank = count // 1_000
    found[f"{how}, worst"] = slow[0] * 1_000 if slow else NOTABLE * 1_000
    found[f"{how}, p99.9"] = slow[rank] * 1_000 if rank < len(slow) else NOTABLE * 1_000
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
