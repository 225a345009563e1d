"""Counts of evaluations: every thread counts for itself, and none is lost or told twice."""

import gc
import threading
from collections.abc import Callable

from flagkeep import Client, Config, Context, EventSettings
from flagkeep._runtime.counts import Counts, Entry
from flagkeep.events.summary import Summary
from flagkeep.testing import FakeUpstream, TestData

THREADS = 8


def entry(key: str) -> Entry:
    """Return an outcome that was seen once."""
    return Entry(key, ("user",), variation=0, version=1, value="a", default=None, now=1.0)


def seen(counts: Counts, key: str) -> None:
    """Count one evaluation, as the thread that calls."""
    others = counts.tally().others
    slot = (key, ("user",), 0, 1)
    if slot in others:
        others[slot].count += 1
    else:
        others[slot] = entry(key)


def drained(counts: Counts) -> dict[str, int]:
    """Take what was counted, by flag."""
    summary = Summary()
    counts.drain(summary)
    return {
        key: sum(one.count for one in flag.counters.values())
        for key, flag in summary.features.items()
    }


def in_threads(number: int, fn: Callable[[], None]) -> None:
    threads = [threading.Thread(target=fn) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_what_was_taken_is_not_told_again() -> None:
    counts = Counts()
    seen(counts, "f")
    seen(counts, "f")
    assert drained(counts) == {"f": 2}
    assert drained(counts) == {}
    seen(counts, "f")
    assert drained(counts) == {"f": 1}


def test_a_thread_that_is_about_to_count_while_its_tally_is_taken_loses_nothing() -> None:
    counts = Counts()
    seen(counts, "f")
    found = counts.tally()  # a thread holds this, and is interrupted
    assert drained(counts) == {"f": 1}
    found.others["f", ("user",), 0, 1].count += 1
    found.others["g", ("user",), 0, 1] = entry("g")
    seen(counts, "f")  # it has gone on
    assert drained(counts) == {"f": 2, "g": 1}
    assert drained(counts) == {}


def test_a_thread_that_has_ended_leaves_its_counts_and_nothing_else() -> None:
    counts = Counts()
    in_threads(THREADS, lambda: seen(counts, "f"))
    gc.collect()
    assert drained(counts) == {"f": THREADS}
    drained(counts)
    assert counts._shelves == {}


def test_the_child_of_a_fork_begins_with_nothing() -> None:
    counts = Counts()
    seen(counts, "f")
    counts.forget()
    assert drained(counts) == {}
    seen(counts, "f")
    assert drained(counts) == {"f": 1}


def test_fix_no_count_is_lost_while_threads_evaluate_and_events_are_delivered() -> None:
    """FIX (events.md 1): the official SDK counts through a queue that can be full."""
    flags = TestData()
    for key in ("f", "g"):
        flags.update(flags.flag(key).variation_for_all(True))
    with FakeUpstream() as upstream:
        events = EventSettings(base_uri=upstream.uri, capacity=1, diagnostics=False)
        client = Client(Config(sdk_key="sdk-key", source=flags, events=events))
        assert client.wait_until_ready(10)
        are_done = threading.Event()

        def evaluate() -> None:
            context = Context.create(threading.current_thread().name)
            for number in range(1000):
                client.variation("f" if number % 2 else "g", context, False)

        def deliver() -> None:
            while not are_done.is_set():
                client.flush(10)

        flusher = threading.Thread(target=deliver)
        flusher.start()
        in_threads(THREADS, evaluate)
        are_done.set()
        flusher.join()
        client.close()
        totals = {"f": 0, "g": 0}
        for summary in upstream.events("summary"):
            for key, flag in summary["features"].items():
                totals[key] += sum(one["count"] for one in flag["counters"])
        assert totals == {"f": 500 * THREADS, "g": 500 * THREADS}
