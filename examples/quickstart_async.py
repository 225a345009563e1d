"""The shortest asyncio program, with a store. `python examples/quickstart_async.py`."""

import asyncio
import tempfile
from pathlib import Path

from flagkeep import AsyncClient, Config, Context, FileSource
from flagkeep.stores import AsyncSQLiteStore

FLAGS = Path(__file__).parent / "shop" / "flags.json"


async def main() -> None:
    """Fill a store from the file, and read it as another process would."""
    bruno = Context.builder("bruno").set("orders", 27).build()
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "flags.db"
        writer = AsyncClient(Config(source=FileSource(FLAGS)), store=AsyncSQLiteStore(database))
        async with writer:
            await writer.wait_until_ready()
        async with AsyncClient(Config(daemon=True), store=AsyncSQLiteStore(database)) as reader:
            items = await reader.int_variation("max-cart-items", bruno, 10)
            print("Items in a cart:", items)
            print("All flags:", len(await reader.all_flags(bruno)))


asyncio.run(main())
