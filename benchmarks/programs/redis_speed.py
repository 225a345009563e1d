"""Time flagkeep and plain redis-py on one Redis and the same bytes: `redis_speed.py URL ROUNDS`.

Both in turn, so that a busy moment of the machine meets both. Prints milliseconds by name, as JSON.
"""

import asyncio
import json
import sys
from typing import Any, Final

import redis
import redis.asyncio

from benchmarks import flags
from benchmarks.programs.timing import Least
from flagkeep import AsyncClient, CachePolicy, Client, Config, Context
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import SerializedItem
from flagkeep.storage.contents import WriterRecord
from flagkeep.stores import AsyncRedisStore, RedisStore

HASH: Final = "launchdarkly:features"
READS: Final = 200  # in one look
LOOKS: Final = 10  # at what takes little time, in one round
FILLS: Final = 4
READER: Final = Config(daemon=True, cache=CachePolicy.off())
CONTEXT: Final = Context.create("user-0001")


def fill(url: str, rounds: int, least: Least) -> str:
    """Fill an empty database in both ways; returns the key of a flag that is there."""
    plain, store = redis.Redis.from_url(url), RedisStore(url)
    mapping: Any = flags.kilobyte_flags()
    items = {key: SerializedItem(1, deleted=False, data=data) for key, data in mapping.items()}
    changes = ChangeSet(full=True, flags=items, segments={})
    record = WriterRecord(writer="benchmark")  # as a client writes
    for _ in range(rounds * FILLS):
        plain.flushdb()
        least.time("HSET", lambda: plain.hset(HASH, mapping=mapping))
        plain.flushdb()
        least.time("replace", lambda: store.replace(changes, record))
    store.close()
    plain.close()
    return flags.stored_key()


def read(url: str, key: str, rounds: int, least: Least) -> None:
    """Read one flag, and all of them."""
    plain = redis.Redis.from_url(url)
    with Client(READER, store=RedisStore(url)) as client:
        least.time("all_flags, first", lambda: client.all_flags(CONTEXT))
        if client.variation(key, CONTEXT, None) is not True:
            raise SystemExit(f"the client does not have {key!r}")
        for _ in range(rounds * LOOKS):
            least.time("HGET", lambda: plain.hget(HASH, key), times=READS)
            least.time("variation", lambda: client.variation(key, CONTEXT, None), times=READS)
        for _ in range(rounds):
            least.time("HGETALL", lambda: plain.hgetall(HASH))
            least.time("all_flags", lambda: client.all_flags(CONTEXT))
    plain.close()


async def read_async(url: str, key: str, rounds: int, least: Least) -> None:
    """Do the same with asyncio."""
    plain: Any = redis.asyncio.Redis.from_url(url)
    async with AsyncClient(READER, store=AsyncRedisStore(url)) as client:
        await client.wait_until_ready()
        if await client.variation(key, CONTEXT, None) is not True:
            raise SystemExit(f"the client does not have {key!r}")
        for _ in range(rounds * LOOKS):
            await least.time_async("async HGET", lambda: plain.hget(HASH, key), times=READS)
            await least.time_async(
                "async variation", lambda: client.variation(key, CONTEXT, None), times=READS
            )
        for _ in range(rounds):
            await least.time_async("async HGETALL", lambda: plain.hgetall(HASH))
            await least.time_async("async all_flags", lambda: client.all_flags(CONTEXT))
    await plain.aclose()


def main(url: str, rounds: str) -> None:
    """Measure everything."""
    least = Least()
    key = fill(url, int(rounds), least)
    read(url, key, int(rounds), least)
    asyncio.run(read_async(url, key, int(rounds), least))
    json.dump(least.ms, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
