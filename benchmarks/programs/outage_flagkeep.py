"""flagkeep on a store that fails: `outage_flagkeep.py client|async URL SECONDS`, of the cache."""

import asyncio
import logging
import sys
from functools import partial

from benchmarks.programs import outage
from flagkeep import AsyncClient, CachePolicy, Client, Config, Context
from flagkeep.stores import AsyncRedisStore, RedisStore

CONTEXT = Context.create("user-0001")


def main(colour: str, url: str, seconds: str) -> None:
    """Read everything, then evaluate while the store fails."""
    logging.disable(logging.CRITICAL)
    config = Config(daemon=True, cache=CachePolicy(float(seconds)))
    if colour == "async":
        asyncio.run(main_async(url, config))
        return
    with Client(config, store=RedisStore(url)) as client:
        client.wait_until_ready(60)
        outage.run(outage.keys_from_stdin(), lambda key: client.variation(key, CONTEXT, None))


async def main_async(url: str, config: Config) -> None:
    """Do the same with asyncio."""
    async with AsyncClient(config, store=AsyncRedisStore(url)) as client:
        await client.wait_until_ready(60)
        evaluate = partial(client.variation, context=CONTEXT, default=None)
        await outage.run_async(outage.keys_from_stdin(), evaluate)


if __name__ == "__main__":
    main(*sys.argv[1:])
