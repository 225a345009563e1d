"""Time flagkeep and bare requests on one Consul and the same bytes: `consul_speed.py URL ROUNDS`.

The bare ones go over flagkeep's own HTTP driver, and over that of the standard library. All in
turn, so that a busy moment of the machine meets all. Every fill meets an empty environment. Prints
milliseconds by name, as JSON.
"""

import asyncio
import base64
import http.client
import json
import sys
from collections import deque
from typing import Final
from urllib.parse import urlsplit

from benchmarks import flags
from benchmarks.programs.timing import Least
from flagkeep import AsyncClient, CachePolicy, Client, Config, Context, HttpSettings
from flagkeep._runtime.http_aio import AsyncHttp
from flagkeep._runtime.http_threads import Http
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.storage.contents import WriterRecord
from flagkeep.stores import AsyncConsulStore, ConsulStore
from tests.servers.consul import call, remove, remove_records

PREFIX: Final = "launchdarkly"
FEATURES: Final = f"{PREFIX}/features/"
MARKER: Final = f"{PREFIX}/$inited"
OPERATIONS: Final = 64
SECONDS: Final = 20.0
READS: Final = 50  # in one look
LOOKS: Final = 10  # at a read, in one round
READER: Final = Config(daemon=True, cache=CachePolicy.off())
CONTEXT: Final = Context.create("user-0001")
RECORD: Final = WriterRecord(writer="benchmark")  # as a client writes


class Plain:
    """One connection of the standard library."""

    def __init__(self, url: str) -> None:
        at = urlsplit(url)
        self._connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=SECONDS)

    def request(self, method: str, path: str, body: bytes | None = None) -> int:
        """Return the status of an answer that was read to its end."""
        self._connection.request(method, path, body)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def close(self) -> None:
        """Close it."""
        self._connection.close()


def transactions(texts: dict[str, bytes]) -> list[bytes]:
    """Return the bodies of the transactions that the store sends, but for its record."""
    writes = {FEATURES + key: data for key, data in texts.items()} | {MARKER: b""}
    steps = [
        {"KV": {"Verb": "set", "Key": key, "Value": base64.b64encode(data).decode()}}
        for key, data in writes.items()
    ]
    return [
        json.dumps(steps[at : at + OPERATIONS], separators=(",", ":")).encode()
        for at in range(0, len(steps), OPERATIONS)
    ]


def stored(url: str) -> dict[str, bytes]:
    """Return all keys of the environment, with their values."""
    found = call(url, "GET", f"/v1/kv/{PREFIX}/?recurse&consistent").json()
    return {one["Key"]: base64.b64decode(one["Value"] or "") for one in found}


def check(status: int) -> None:
    """End the program if something was not done."""
    if status != http.client.OK:
        raise SystemExit(f"Consul says {status}")


class Fills:
    """An environment, and several ways to put it where there is none."""

    def __init__(self, url: str, runner: asyncio.Runner) -> None:
        self._url = url
        self._run = runner.run
        texts = flags.kilobyte_flags()
        items = {key: SerializedItem(1, deleted=False, data=data) for key, data in texts.items()}
        self._changes = ChangeSet(full=True, flags=items, segments={})
        self._content = {FEATURES + key: data for key, data in texts.items()} | {MARKER: b""}
        self._bodies = transactions(texts)
        self._plain = Plain(url)
        self._http, self._async_http = Http(HttpSettings()), AsyncHttp(HttpSettings())
        self._store, self._async_store = ConsulStore(url), AsyncConsulStore(url)
        self._txn = f"{url}/v1/txn"
        self._ways = deque(
            (
                ("transactions by http.client", self._write_plain),
                ("transactions", self._write),
                ("replace", self._replace),
                ("async transactions", lambda: self._run(self._write_async())),
                ("async replace", lambda: self._run(self._replace_async())),
            )
        )
        # All are connected before anything is timed.
        self._store.is_initialized()
        self._run(self._async_store.is_initialized())

    def round(self, least: Least) -> None:
        """Fill an empty environment in all ways, each time beginning with another one."""
        for name, fill in self._ways:
            remove(self._url, f"{PREFIX}/")
            remove_records(self._url, PREFIX)
            is_first = name not in least.ms
            least.time(name, fill)
            if is_first and stored(self._url) != self._content:
                raise SystemExit(f"{name} has written something else than the flags")
            if name == "replace":
                least.time("refill", fill)
        self._ways.rotate(2)

    def close(self) -> None:
        """Close all connections; the environment stays."""
        self._plain.close()
        self._http.close()
        self._store.close()
        self._run(self._async_http.aclose())
        self._run(self._async_store.aclose())

    def _write_plain(self) -> None:
        for body in self._bodies:
            check(self._plain.request("PUT", "/v1/txn", body))

    def _write(self) -> None:
        for body in self._bodies:
            check(self._http.request("PUT", self._txn, {}, body, timeout=SECONDS).status)

    async def _write_async(self) -> None:
        for body in self._bodies:
            answer = await self._async_http.request("PUT", self._txn, {}, body, timeout=SECONDS)
            check(answer.status)

    def _replace(self) -> None:
        self._store.replace(self._changes, RECORD)

    async def _replace_async(self) -> None:
        await self._async_store.replace(self._changes, RECORD)


def read(url: str, rounds: int, least: Least) -> None:
    """Read one flag that is in no cache."""
    key = flags.stored_key()
    path = f"/v1/kv/{FEATURES}{key}?raw"
    driver, plain = Http(HttpSettings()), Plain(url)

    def get() -> None:
        check(driver.request("GET", url + path, {}, timeout=SECONDS).status)

    store = ConsulStore(url)
    ref = ItemRef(Kind.FLAG, key)
    with Client(READER, store=store) as client:
        if client.variation(key, CONTEXT, None) is not True:
            raise SystemExit(f"the client does not have {key!r}")
        for _ in range(rounds * LOOKS):
            least.time("GET by http.client", lambda: check(plain.request("GET", path)), times=READS)
            least.time("GET", get, times=READS)
            least.time("get_many", lambda: store.get_many((ref,), timeout=SECONDS), times=READS)
            least.time("variation", lambda: client.variation(key, CONTEXT, None), times=READS)
    plain.close()
    driver.close()


async def read_async(url: str, rounds: int, least: Least) -> None:
    """Do the same with asyncio."""
    key = flags.stored_key()
    path = f"{url}/v1/kv/{FEATURES}{key}?raw"
    driver = AsyncHttp(HttpSettings())

    async def get() -> None:
        check((await driver.request("GET", path, {}, timeout=SECONDS)).status)

    async with AsyncClient(READER, store=AsyncConsulStore(url)) as client:
        await client.wait_until_ready()
        if await client.variation(key, CONTEXT, None) is not True:
            raise SystemExit(f"the client does not have {key!r}")
        for _ in range(rounds * LOOKS):
            await least.time_async("async GET", get, times=READS)
            await least.time_async(
                "async variation", lambda: client.variation(key, CONTEXT, None), times=READS
            )
    await driver.aclose()


def main(url: str, rounds: str) -> None:
    """Measure everything."""
    least = Least()
    with asyncio.Runner() as runner:
        fills = Fills(url, runner)
        for _ in range(int(rounds)):
            fills.round(least)
        fills.close()
        read(url, int(rounds), least)
        runner.run(read_async(url, int(rounds), least))
    json.dump(least.report(), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
