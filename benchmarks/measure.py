"""Time one face in this interpreter and print the minima as JSON.

`python -m benchmarks.measure FACE [--seconds S]`; the runner starts it with each SDK's own Python.
"""

import argparse
import gc
import hashlib
import json
import logging
import sys
import threading
import time
import timeit
from collections.abc import Callable, Mapping
from typing import Any, Final

from benchmarks import flags
from benchmarks.cases import CASES, DATA, PREBUILT, Case
from benchmarks.faces import FACES, Face

THREADS: Final = 8
# Short looks, many of them: on a machine that does other things too, some of them go undisturbed.
LOOK_SECONDS: Final = 0.002
CONTEXTS: Final = 1_000


def main() -> None:
    """Measure the face that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.measure")
    parser.add_argument("face", choices=sorted(FACES))
    parser.add_argument("--seconds", type=float, default=0.1, help="how long a case is timed")
    parser.add_argument("--check", action="store_true", help="print values instead of times")
    wanted = parser.parse_args()
    logging.disable(logging.CRITICAL)  # both SDKs warn that events are not sent
    faces = {name: FACES[wanted.face](make()) for name, make in DATA.items()}
    report: dict[str, Any]
    if wanted.check:
        report = checked_values(faces)
    else:
        report = {"us": measured(faces, wanted.seconds), "threads": thread_rates(faces["abc"])}
    for face in faces.values():
        face.close()
    json.dump(report, sys.stdout)


def measured(faces: Mapping[str, Face], seconds: float) -> dict[str, float]:
    """Return the microseconds of every case that these faces know."""
    times: dict[str, float] = {}
    for case in CASES:
        face = faces[case.data]
        statement = statement_of(case, face)
        if statement is not None:
            times[case.name] = best_us(statement, case, face, seconds)
    return times


def statement_of(case: Case, face: Face) -> str | None:
    """Return the statement to time, or None if the face has no such form."""
    context = case.context if case.anew else PREBUILT
    if not case.ask:
        return context
    template: str | None = getattr(face, case.ask)
    return template and template.format(key=case.flag, context=context)


def best_us(statement: str, case: Case, face: Face, seconds: float) -> float:
    """Return the least time of one run of `statement` in microseconds."""
    # Bound to local names, as in a program's function; the collector is on, as in a program.
    local = "; ".join(f"{name} = names[{name!r}]" for name in face.names)
    setup = f"gc.enable(); {local}; {PREBUILT} = {case.context}"
    timer = timeit.Timer(statement, setup, globals={"names": face.names, "gc": gc})
    once = min(timer.repeat(3, 3)) / 3
    number = max(1, int(LOOK_SECONDS / once))
    looks = max(3, int(seconds / (number * once)))
    return min(timer.repeat(looks, number)) / number * 1e6


def checked_values(faces: Mapping[str, Face]) -> dict[str, Any]:
    """Return what the face evaluates B to for 1,000 contexts, and one digest over all flags."""
    contexts = [build(faces["abc"], number, flags.attributes) for number in range(CONTEXTS)]
    early = [build(faces["abc"], number, flags.early_attributes) for number in range(CONTEXTS)]
    asked = faces["abc"].value
    every = faces["all"].value
    keys = flags.all_flags()
    values = [every(key, context) for context in contexts[:20] for key in keys]
    return {
        "b": [asked("b", context) for context in contexts],
        "b, first clauses fail": [asked("b", context) for context in early],
        "c": [asked("c", context) for context in contexts],
        "all": hashlib.sha256(json.dumps(values).encode()).hexdigest(),
    }


def build(face: Face, number: int, attributes: Callable[[int], Mapping[str, object]]) -> Any:
    """Return the context of user `number` as the face's SDK builds it."""
    builder: Any = face.names["builder"]
    made = builder(flags.key_of(number))
    for name, value in attributes(number).items():
        made.set(name, value)
    return made.build()


def thread_rates(face: Face) -> dict[str, float]:
    """Return evaluations of B per second in one thread and in eight together."""
    context = build(face, 999, flags.attributes)
    statement = face.variation.format(key="b", context=PREBUILT)
    local = "; ".join(f"{name} = names[{name!r}]" for name in face.names)
    number = 20_000
    timers = [
        timeit.Timer(statement, local, globals={"names": face.names, PREBUILT: context})
        for _ in range(THREADS)
    ]
    single = min(timers[0].repeat(3, number))
    together = min(_together(timers, number // 4) for _ in range(3))
    return {"1": number / single, str(THREADS): THREADS * (number // 4) / together}


def _together(timers: list[timeit.Timer], number: int) -> float:
    """Return the seconds until all timers, each in a thread of its own, have run `number` times."""
    gate = threading.Barrier(len(timers) + 1)

    def work(timer: timeit.Timer) -> None:
        gate.wait()
        timer.timeit(number)

    threads = [threading.Thread(target=work, args=(timer,)) for timer in timers]
    for thread in threads:
        thread.start()
    gate.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
