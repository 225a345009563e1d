"""Big Segments in SQLite: the suite, what is particular, and a client whose file is gone."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flagkeep._async.stores.sqlite import AsyncSQLiteStore
from flagkeep._async.stores.sqlite_big_segments import AsyncSQLiteBigSegmentStore
from flagkeep.errors import ConfigError, StoreCorrupt, StoreMissing, StoreUnavailable
from flagkeep.storage.big_segments import hash_of
from tests._async.big_segment_backends import client_of, in_sqlite, now_ms, seen_by, until_seen
from tests._async.big_segment_suite import CHECKS, HASH, NAMES
from tests._async.store_suite import flags, full, part
from tests.servers.big_segments import SQLiteWriter


@pytest.mark.parametrize("name", NAMES)
async def test_sqlite(name: str, tmp_path: Path) -> None:
    backend = in_sqlite(tmp_path)
    backend.writer("p")  # there is a file
    await CHECKS[NAMES.index(name)](backend)


async def test_what_the_store_writes_is_what_its_layout_says(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    store = AsyncSQLiteBigSegmentStore(path, prefix="p")
    with pytest.raises(StoreMissing, match="holds no store yet"):
        await store.get_membership(HASH)
    with pytest.raises(StoreMissing):
        await store.get_metadata()
    assert not path.exists()
    await store.put_membership(HASH, ["a.g1", "b.g1"], ["b.g1", "c.g1"])
    await store.put_membership(hash_of("other"), {"a.g1"}, ())
    await store.set_synchronized_on(17)
    assert set(rows(path, "SELECT * FROM big_segments")) == {
        ("p", HASH, "a.g1", 1),
        ("p", HASH, "b.g1", 0),
        ("p", HASH, "b.g1", 1),
        ("p", HASH, "c.g1", 0),
        ("p", hash_of("other"), "a.g1", 1),
    }
    assert rows(path, "SELECT * FROM meta WHERE prefix = 'p'") == [
        ("p", "big_segments_synchronized_on", "17")
    ]
    assert path.stat().st_mode & 0o777 == 0o600
    assert await store.get_membership(HASH) == {"a.g1": True, "b.g1": True, "c.g1": False}
    assert (await store.get_metadata()).last_up_to_date_ms == 17
    await store.put_membership(HASH, (), ())
    await store.set_synchronized_on(None)
    assert await store.get_membership(HASH) == {}
    assert await store.get_membership(hash_of("other")) == {"a.g1": True}
    assert (await store.get_metadata()).last_up_to_date_ms is None
    await store.aclose()


def rows(path: Path, query: str) -> list[Any]:
    """Return what another program sees."""
    seen = run("print(json.dumps(connection.execute(sys.argv[2]).fetchall()))", path, query)
    return [tuple(row) for row in json.loads(seen)]


def run(program: str, *arguments: object) -> str:
    """Run a program in another process, and return what it prints."""
    begin = "import json, sqlite3, sys; connection = sqlite3.connect(sys.argv[1])\n"
    command = [sys.executable, "-c", begin + program, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout


async def test_what_another_process_writes_is_seen(tmp_path: Path) -> None:
    store = AsyncSQLiteBigSegmentStore(tmp_path / "flags.db", prefix="p")
    await store.put_membership(HASH, ["a.g1"], [])
    reader = AsyncSQLiteBigSegmentStore(tmp_path / "flags.db", prefix="p")
    assert await reader.get_membership(HASH) == {"a.g1": True}
    program = (
        "from flagkeep.stores import SQLiteBigSegmentStore\n"
        "store = SQLiteBigSegmentStore(sys.argv[1], prefix='p')\n"
        "store.put_membership(sys.argv[2], [], ['a.g1']); store.set_synchronized_on(18)"
    )
    run(program, tmp_path / "flags.db", HASH)
    assert await reader.get_membership(HASH) == {"a.g1": False}
    assert (await reader.get_metadata()).last_up_to_date_ms == 18
    for one in (store, reader):
        await one.aclose()


async def test_flags_and_big_segments_share_a_file_and_do_not_disturb_each_other(
    tmp_path: Path,
) -> None:
    path = tmp_path / "flags.db"
    store, members = AsyncSQLiteStore(path), AsyncSQLiteBigSegmentStore(path)
    await store.replace(full(flags(a=1)))
    reader = AsyncSQLiteStore(path)
    assert (await reader.get_all()).flags == flags(a=1)
    await members.put_membership(HASH, ["a.g1"], [])
    await members.set_synchronized_on(1)
    assert await reader.poll_changes() is None  # nothing that concerns flags
    assert await store.poll_changes() is None
    await store.upsert(part(flags(a=2)))
    changes = await reader.poll_changes()
    assert changes is not None
    assert changes.refs is not None
    assert [ref.key for ref in changes.refs] == ["a"]
    await store.replace(full({}))
    await store.clear()
    assert await members.get_membership(HASH) == {"a.g1": True}
    assert (await members.get_metadata()).last_up_to_date_ms == 1
    for one in (store, members, reader):
        await one.aclose()


async def test_rows_that_nobody_should_have_written_harm_no_other(tmp_path: Path) -> None:
    writer = SQLiteWriter(tmp_path / "flags.db", "p")
    writer.put(HASH, ["a.g1"], [])
    with writer._connect() as connection:
        for row in ((b"\xff", 1), ("b.g1", 7), ("c.g1", "x"), (b"d.g1", 0), (5, 1)):
            connection.execute("INSERT INTO big_segments VALUES ('p', ?, ?, ?)", (HASH, *row))
    connection.close()
    store = AsyncSQLiteBigSegmentStore(tmp_path / "flags.db", prefix="p")
    assert await store.get_membership(HASH) == {"a.g1": True, "d.g1": False, "5": True}
    await store.aclose()


async def test_a_file_that_is_locked_is_not_waited_for_beyond_the_timeout(tmp_path: Path) -> None:
    store = AsyncSQLiteBigSegmentStore(tmp_path / "flags.db", prefix="p", busy_timeout=0.05)
    await store.put_membership(HASH, ["a.g1"], [])
    writer = SQLiteWriter(tmp_path / "flags.db", "p")._connect()
    writer.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked by another process"):
        await store.put_membership(HASH, [], [])
    assert await store.get_membership(HASH, timeout=0.1) == {"a.g1": True}
    writer.close()
    await store.put_membership(HASH, [], [])
    assert await store.get_membership(HASH) == {}
    await store.aclose()


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    path.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    store = AsyncSQLiteBigSegmentStore(path)
    for ask in (
        lambda: store.get_membership(HASH),
        store.get_metadata,
        lambda: store.put_membership(HASH, ["a.g1"], []),
    ):
        with pytest.raises(StoreCorrupt, match="not a SQLite database"):
            await ask()
    path.unlink()
    await store.put_membership(HASH, ["a.g1"], [])
    assert await store.get_membership(HASH) == {"a.g1": True}
    await store.aclose()


@pytest.mark.parametrize(
    "given", [{"path": ":memory:"}, {"prefix": "\ud800"}, {"busy_timeout": -1}]
)
def test_what_cannot_work_in_sqlite_is_refused_at_once(given: Any) -> None:
    with pytest.raises(ConfigError, match=next(iter(given))):
        AsyncSQLiteBigSegmentStore(**{"path": "flags.db", **given})


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("included", "abc"),
        ("included", ["\ud800"]),
        ("included", [b"a.g1"]),
        ("excluded", ["a.g1", 5]),
        ("excluded", None),
        ("excluded", b"abc"),
        ("context_hash", "\ud800"),
        ("context_hash", None),
    ],
)
async def test_no_member_is_taken_that_is_none(name: str, given: Any, tmp_path: Path) -> None:
    store = AsyncSQLiteBigSegmentStore(tmp_path / "flags.db")
    await store.put_membership(HASH, ["b.g1"], ["c.g1"])
    arguments = {"context_hash": HASH, "included": ["x.g1"], "excluded": ["y.g1"]}
    with pytest.raises(ConfigError, match=rf"^{name} must"):
        await store.put_membership(**{**arguments, name: given})
    assert await store.get_membership(HASH) == {"b.g1": True, "c.g1": False}
    await store.put_membership(HASH, (one for one in ("d.g1",)), {})  # type: ignore[arg-type]  # looked at once
    assert await store.get_membership(HASH) == {"d.g1": True}
    await store.aclose()


@pytest.mark.parametrize("given", ["17", 1.5, True, -1, 10**18, float("nan")])
async def test_no_time_is_taken_that_would_be_read_as_never(given: Any, tmp_path: Path) -> None:
    store = AsyncSQLiteBigSegmentStore(tmp_path / "flags.db")
    await store.set_synchronized_on(17)
    with pytest.raises(ConfigError, match=r"^ms must be a whole number"):
        await store.set_synchronized_on(given)
    assert (await store.get_metadata()).last_up_to_date_ms == 17
    for time in (0, 10**18 - 1):
        await store.set_synchronized_on(time)
        assert (await store.get_metadata()).last_up_to_date_ms == time
    await store.aclose()


def members_of(folder: Path) -> AsyncSQLiteBigSegmentStore:
    return AsyncSQLiteBigSegmentStore(folder / "flags.db")


async def test_a_sqlite_file_that_is_gone_leaves_what_was_known(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    writer, store = members_of(tmp_path), members_of(tmp_path)
    await writer.put_membership(HASH, ["s.g1"], [])
    await writer.set_synchronized_on(int(now_ms()))
    client = await client_of(store, context_cache_time=0.001, status_poll_interval=0.02)
    assert await seen_by(client) == (True, "HEALTHY")
    await writer.aclose()
    for ending in ("", "-wal", "-shm"):
        path.with_name(f"flags.db{ending}").unlink(missing_ok=True)
    await until_seen(client, (True, "STORE_ERROR"))
    assert not path.exists()
    again = members_of(tmp_path)
    await again.put_membership(HASH, [], ["s.g1"])
    await again.set_synchronized_on(int(now_ms()))
    await until_seen(client, (False, "HEALTHY"))
    for one in (client, again):
        await one.aclose()
