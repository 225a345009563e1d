"""A process and its children around one upstream, seen from that upstream."""

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from flagkeep.stores import RedisStore, SQLiteStore
from flagkeep.testing import FakeUpstream
from tests.forks.world import until

Store = RedisStore | SQLiteStore

AT_ONCE: Final = 1.0  # seconds in which a change is everywhere
TRIES: Final = 5  # a loaded machine may be slower than that now and then
STREAM: Final = "/all"
INSTANCE: Final = "x-launchdarkly-instance-id"


class Family:
    """Processes that are connected to an upstream, which says that `flag` is "one".

    Attributes:
        upstream: speaks TLS, so that a byte too much breaks a connection.
        store: what they write to, if anything.
        value: what the flag is now.
    """

    def __init__(self, upstream: FakeUpstream, traces: Path, store: Store | None) -> None:
        self.upstream = upstream
        self.store = store
        self._traces = traces
        traces.touch()
        self._version = 0
        self.set("one")

    def set(self, value: str) -> None:
        """Let the flag have another value."""
        self._version += 1
        self.value = value
        flag = {
            "key": "flag",
            "version": self._version,
            "on": False,
            "offVariation": 0,
            "variations": [value],
            "salt": "",
        }
        if self._version == 1:
            self.upstream.put({"flag": flag})
        else:
            self.upstream.patch("flags", flag)

    def heard(self, value: str) -> dict[int, float]:
        """Which processes have been told of a value, and when."""
        return {
            process: float(facts[1])
            for what, process, *facts in self._lines()
            if what == "heard" and facts[0] == value
        }

    def until_heard(
        self, value: str, processes: Iterable[int], silent: int = 0
    ) -> dict[int, float]:
        """Wait until all of them, and some more, have heard of a value; returns who and when."""
        known = set(processes)

        def have_heard() -> bool:
            heard = self.heard(value).keys()
            return known <= heard and len(heard) >= len(known) + silent

        until(have_heard, lambda: f"{known} have not all heard of {value}: {self._lines()}")
        return self.heard(value)

    def change_reaches(self, processes: Iterable[int], *, silent: int = 0) -> str:
        """Check that a change is seen in each of them at once; returns the value.

        Args:
            silent: more processes, whose numbers are not known.
        """
        wanted, seconds = set(processes), 0.0
        for _ in range(TRIES):
            value, begun = f"value-{self._version}", time.monotonic()
            self.set(value)
            times = self.until_heard(value, wanted, silent)
            assert len(times) == len(wanted) + silent
            seconds = max(times.values()) - begun
            if seconds < AT_ONCE:
                return value
        raise AssertionError(f"a change takes {seconds:.3f} s")

    def instances(self) -> list[str]:
        """Who has opened streams, in that order."""
        return [request.headers[INSTANCE] for request in self.upstream.requests_to(STREAM)]

    def check_streams(self, processes: int, *, ever: int | None = None) -> None:
        """Check that each process has a stream of its own, and that none was ever opened again.

        Args:
            ever: processes, with those that are no more or have closed their client.
        """
        self.upstream.wait_for_streams(processes, timeout=20)
        known = self.instances()
        assert len(known) == (processes if ever is None else ever), known
        assert len(set(known)) == len(known)

    def check_events(self) -> None:
        """Check that what the processes have done was delivered, all of it and once."""
        done = {str(facts[0]): int(facts[1]) for what, _, *facts in self._lines() if what == "did"}
        until(
            lambda: len(self.upstream.events("custom")) >= len(done),
            lambda: f"done: {self._lines()}; delivered: {self.upstream.events('custom')}",
        )
        assert Counter(event["key"] for event in self.upstream.events("custom")) == Counter(
            done.keys()
        )
        counted = [
            counter["count"]
            for summary in self.upstream.events("summary")
            for counter in summary["features"]["flag"]["counters"]
        ]
        assert sum(counted) == sum(done.values())
        senders = {request.headers[INSTANCE] for request in self.upstream.requests_to("/bulk")}
        owners = {(one, process) for what, process, one, _ in self._lines() if what == "is"}
        known = [one for one, _ in owners]
        assert senders <= set(known)
        assert len(set(known)) == len(known)  # nobody goes by the name of another process

    def check_store(self, value: str) -> None:
        """Check that the store, if there is one, has a value of the flag."""
        if (store := self.store) is not None:
            until(lambda: f'"{value}"'.encode() in store.get_all().flags["flag"].data)

    def _lines(self) -> list[tuple[str, int, str, str]]:
        lines = self._traces.read_text(encoding="utf-8").splitlines()
        return [
            (what, int(process), one, other)
            for what, process, one, other in (line.split() for line in lines)
        ]
