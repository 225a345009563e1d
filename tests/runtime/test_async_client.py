"""What only asyncio can get wrong: loops that come later, cancellation, being held up."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flagkeep import AsyncClient, Config, Context, FileSource, StorePolicy
from flagkeep.stores import AsyncSQLiteStore
from tests._async.hand_source import AsyncHandSource, changes, environment, flag
from tests._async.waiting import until

USER = Context.create("user-key")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep everybody else from even reading a SQLite file."""
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("PRAGMA journal_mode = DELETE")
    holder.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        holder.execute("COMMIT")
        holder.close()


async def filled(path: Path, *flags: dict[str, Any]) -> None:
    store = AsyncSQLiteStore(path)
    await store.replace(environment(*flags))
    await store.aclose()


def test_a_client_may_be_made_before_there_is_a_loop(tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    file.write_text('{"flagValues": {"f": 1}}')
    client = AsyncClient(Config(source=FileSource(file)))

    async def main() -> None:
        async with client:
            assert await client.wait_until_ready()
            assert await client.variation("f", USER, None) == 1

    asyncio.run(main())


def test_a_client_made_before_there_is_a_loop_starts_at_its_first_evaluation(
    tmp_path: Path,
) -> None:
    path = tmp_path / "flags.db"
    asyncio.run(filled(path, flag("f", "x")))
    client = AsyncClient(Config(daemon=True), store=AsyncSQLiteStore(path))

    async def main() -> None:
        assert await client.variation("f", USER, None) == "x"
        await client.aclose()

    asyncio.run(main())


async def test_listeners_may_be_coroutines() -> None:
    source = AsyncHandSource()
    heard: list[str] = []

    async def listen(change: Any) -> None:
        await asyncio.sleep(0)
        heard.append(change.key)

    async with AsyncClient(Config(source=source)) as client:
        client.on_change(None, listen)
        client.on_value_change("f", USER, listen)
        await source.deliver(environment(flag("f", "a")))
        await source.deliver(changes(flag("f", "b", version=2)))
        await until(lambda: len(heard) == 4)


async def test_the_loop_goes_on_while_the_store_does_not_answer(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    await filled(path, flag("f", "x"))
    policy = StorePolicy(deadline=0.2)
    store = AsyncSQLiteStore(path)
    with locked(path):
        async with AsyncClient(Config(daemon=True, store_policy=policy), store=store) as client:
            turns = 0

            async def count() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0.01)

            counting = asyncio.create_task(count())
            detail = await client.variation_detail("f", USER, "dflt")
            counting.cancel()
            assert (detail.value, detail.reason.error_kind) == ("dflt", "EXCEPTION")
            assert turns > 5


async def test_a_cancelled_evaluation_leaves_a_client_that_works(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    await filled(path, flag("f", "x"))
    async with AsyncClient(Config(daemon=True), store=AsyncSQLiteStore(path)) as client:
        with locked(path):
            asking = asyncio.create_task(client.variation("f", USER, "dflt"))
            await asyncio.sleep(0)
            asking.cancel()
            results = await asyncio.gather(asking, return_exceptions=True)
            assert isinstance(results[0], asyncio.CancelledError)
        await until(lambda: client.status.store is not None and client.status.store.available)
        assert await client.wait_until_ready()
        assert await client.variation("f", USER, "dflt") == "x"


async def test_a_client_has_no_thread_but_one_per_driver(tmp_path: Path) -> None:
    before = set(threading.enumerate())  # other tests may have left some

    def own() -> list[str]:
        new = (thread.name for thread in threading.enumerate() if thread not in before)
        return sorted(name.rsplit("_", 1)[0] for name in new)

    file = tmp_path / "flags.json"
    file.write_text('{"flagValues": {"f": 1}}')
    store = AsyncSQLiteStore(tmp_path / "flags.db")
    async with AsyncClient(Config(source=FileSource(file)), store=store) as client:
        assert await client.wait_until_ready()
        await until(lambda: own() == ["flagkeep-files", "flagkeep-sqlite"])
    await until(lambda: own() == [])
