"""Several processes on one file: nobody sees half a replace, and readers hear of every change."""

import random
import statistics
import time
from pathlib import Path

import pytest

from flagkeep.model.item import ItemRef, Kind
from flagkeep.storage.contents import StoreChanges
from flagkeep.stores import SQLiteStore
from tests.runtime.test_sqlite_faults import filled, line, process, versions

KILLS = 12
CHANGES = 30


@pytest.mark.slow
def test_a_reader_never_sees_half_a_replace_however_the_writer_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    filled(path)
    chance = random.Random(7)
    reader = SQLiteStore(path)
    seen: set[int] = set()
    for kill in range(KILLS):
        with process("write_generations", path, 2 + 10_000 * kill, 5_000) as writer:
            assert line(writer) == "writing"
            for _ in range(chance.randrange(1, 40)):
                generations = versions(reader)
                assert len(generations) == 1
                seen |= generations
            writer.kill()
            writer.wait()
        assert len(versions(reader)) == 1
        fresh = SQLiteStore(path)
        assert versions(fresh) == versions(reader)
        fresh.close()
    assert len(seen) > KILLS
    reader.close()


@pytest.mark.slow
def test_of_two_writers_each_replaces_everything_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    reader = SQLiteStore(path)
    with (
        process("write_generations", path, 2, 60) as even,
        process("write_generations", path, 3, 60) as odd,
    ):
        assert line(even) == "writing"
        assert line(odd) == "writing"
        while even.poll() is None or odd.poll() is None:
            assert len(versions(reader)) == 1
        assert even.returncode == 0
        assert odd.returncode == 0
    assert versions(reader) in ({2 + 2 * 59}, {3 + 2 * 59})
    reader.close()


@pytest.mark.slow
def test_many_processes_may_make_the_same_file_at_once(tmp_path: Path) -> None:
    for attempt in range(3):
        path = tmp_path / f"flags{attempt}.db"
        with (
            process("write_generations", path, 2, 1) as one,
            process("write_generations", path, 2, 1) as two,
            process("write_generations", path, 2, 1) as three,
        ):
            for writer in (one, two, three):
                assert line(writer) == "writing"
                assert writer.wait(30) == 0
        reader = SQLiteStore(path)
        assert versions(reader) == {2}
        reader.close()


@pytest.mark.slow
def test_a_reader_in_another_process_hears_of_every_change(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    filled(path)
    reader = SQLiteStore(path)
    reader.get_all()
    assert reader.poll_interval is not None
    delays = []
    with process("upsert_when_told", path) as writer:
        assert line(writer) == "ready"
        for version in range(2, 2 + CHANGES):
            assert writer.stdin is not None
            print(version, file=writer.stdin, flush=True)
            while (changes := reader.poll_changes()) is None:
                time.sleep(reader.poll_interval)
            seen = time.monotonic()  # one clock for all processes of a machine
            delays.append(seen - float(line(writer)))
            ref = ItemRef(Kind.FLAG, "a")
            assert changes == StoreChanges((ref,))
            assert reader.get_many([ref])[ref].version == version
    middle, most = statistics.median(delays) * 1000, max(delays) * 1000
    print(f"change seen after {middle:.1f} ms (median), {most:.1f} ms at most")
    reader.close()
