"""A client whose upstream goes wrong, and how much memory that took. A program: path, colour, port.

Prints the growth of the largest resident size in bytes, the value of `f`, and the kind of error.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from flagkeep import AsyncClient, Client, Config, Context
from flagkeep.config import HttpSettings, Polling, Streaming
from flagkeep.model.status import ClientStatus

USER = Context.create("user-key")
GIVE_UP_AFTER = 60.0


def peak() -> int:
    """Return the largest resident size so far, in bytes; not that of the process it came from."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def config(path: str, port: str, limit: int) -> Config:
    source: Any = Streaming(base_uri=f"http://127.0.0.1:{port}", initial_reconnect_delay=0.01)
    if path == "poll":
        source = Polling(base_uri=f"http://127.0.0.1:{port}")
        msgspec.structs.force_setattr(source, "interval", 0.01)
    http = HttpSettings(max_response_bytes=limit) if limit else HttpSettings()
    return Config(sdk_key="sdk-key", send_events=False, source=source, http=http)


class Failures:
    """Counts errors, so that the fault is met several times."""

    def __init__(self) -> None:
        self._times: set[float] = set()

    def are_enough(self, status: ClientStatus, wanted: int) -> bool:
        error = None if status.source is None else status.source.error
        if error is not None:
            self._times.add(error.time)
        return len(self._times) >= wanted


def kind_of(status: ClientStatus) -> str:
    error = None if status.source is None else status.source.error
    return "" if error is None else str(error.kind)


def run_in_threads(settings: Config, wanted: int) -> None:
    failures, give_up = Failures(), time.monotonic() + GIVE_UP_AFTER
    with Client(settings) as client:
        assert client.wait_until_ready()
        before = peak()
        print("ready", flush=True)
        while not failures.are_enough(client.status, wanted):
            assert time.monotonic() < give_up
            time.sleep(0.005)
        value = client.variation("f", USER, None)
        print(peak() - before, value, kind_of(client.status), flush=True)


async def run_in_asyncio(settings: Config, wanted: int) -> None:
    failures, give_up = Failures(), time.monotonic() + GIVE_UP_AFTER
    async with AsyncClient(settings) as client:
        assert await client.wait_until_ready()
        before = peak()
        print("ready", flush=True)
        while not failures.are_enough(client.status, wanted):
            assert time.monotonic() < give_up
            await asyncio.sleep(0.005)
        value = await client.variation("f", USER, None)
        print(peak() - before, value, kind_of(client.status), flush=True)


if __name__ == "__main__":
    path, colour, port, limit, wanted = sys.argv[1:]
    settings = config(path, port, int(limit))
    if colour == "asyncio":
        asyncio.run(run_in_asyncio(settings, int(wanted)))
    else:
        run_in_threads(settings, int(wanted))
