"""Files that cannot be used, and disks that cannot be written: a reason each time, nothing lost."""

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from flagkeep._runtime import sqlite_file
from flagkeep.errors import (
    StoreCorrupt,
    StoreError,
    StoreLayoutTooNew,
    StoreMissing,
    StoreUnavailable,
)
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.storage.contents import StoreChanges
from flagkeep.stores import SQLiteStore
from tests.runtime.sqlite_processes import ITEMS, generation

EVERYTHING = StoreChanges(None)


@contextmanager
def process(role: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run a role of `sqlite_processes` and end it with the block."""
    command = [sys.executable, "-m", "tests.runtime.sqlite_processes", role, *map(str, arguments)]
    root = Path(__file__).parent.parent.parent
    with subprocess.Popen(
        command,
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def line(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    return running.stdout.readline().strip()


def tell(running: subprocess.Popen[str], text: str) -> str:
    assert running.stdin is not None
    running.stdin.write(text + "\n")
    running.stdin.flush()
    return line(running)


def filled(path: Path, number: int = 1) -> None:
    store = SQLiteStore(path)
    store.replace(generation(number))
    store.close()


def versions(store: SQLiteStore) -> set[int]:
    contents = store.get_all()
    assert len(contents.flags) == ITEMS
    assert len(contents.segments) == ITEMS // 10
    return {item.version for kind in Kind for item in contents.of(kind).values()}


def one(version: int) -> ChangeSet:
    item = SerializedItem(version, deleted=False, data=b'{"key":"a","version":%d}' % version)
    return ChangeSet(full=False, flags={"a": item})


def test_a_missing_file_is_named_and_picked_up_when_it_appears(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    reader = SQLiteStore(path)
    assert reader.poll_changes() is None
    with pytest.raises(StoreMissing, match="start what writes it") as caught:
        reader.get_all()
    assert str(path) in caught.value.reason
    assert reader.poll_changes() is None
    assert not path.exists()  # reading makes nothing
    filled(path)
    assert reader.poll_changes() == EVERYTHING
    assert versions(reader) == {1}
    assert reader.poll_changes() is None
    reader.close()


def test_an_empty_file_counts_as_missing_and_is_filled_by_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    path.touch()
    reader = SQLiteStore(path)
    with pytest.raises(StoreMissing):
        reader.is_initialized()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")  # a header, and no table
    with pytest.raises(StoreMissing):
        reader.is_initialized()
    filled(path)
    assert versions(reader) == {1}
    reader.close()


def test_a_deleted_file_is_said_once_and_its_successor_too(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    filled(path)
    reader = SQLiteStore(path)
    reader.get_all()
    for name in (path, tmp_path / "flags.db-wal", tmp_path / "flags.db-shm"):
        name.unlink(missing_ok=True)
    assert reader.poll_changes() == EVERYTHING
    assert reader.poll_changes() is None
    with pytest.raises(StoreMissing):
        reader.get_many([ItemRef(Kind.FLAG, "f0")])
    filled(path, 2)
    assert reader.poll_changes() == EVERYTHING
    assert versions(reader) == {2}
    reader.close()


def test_a_replaced_file_means_check_everything(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    filled(path)
    filled(tmp_path / "other.db", 7)
    reader = SQLiteStore(path)
    reader.get_all()
    for name in ("flags.db-wal", "flags.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "other.db").rename(path)
    assert reader.poll_changes() == EVERYTHING
    assert reader.poll_changes() is None
    assert versions(reader) == {7}
    reader.close()


def test_a_writer_makes_a_new_file_where_its_own_was_deleted(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    writer = SQLiteStore(path)
    writer.replace(generation(1))
    for name in (path, tmp_path / "flags.db-wal", tmp_path / "flags.db-shm"):
        name.unlink()
    writer.upsert(one(1))
    assert not writer.is_initialized()
    assert list(writer.get_all().flags) == ["a"]
    writer.close()


@pytest.mark.parametrize("content", [b"not a database " * 100, b"{}", b"\0" * 5000])
def test_what_is_no_database_is_never_overwritten(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    path.write_bytes(content)
    store = SQLiteStore(path)
    with pytest.raises(StoreCorrupt, match="not a SQLite database") as caught:
        store.get_all()
    assert str(path) in caught.value.reason
    with pytest.raises(StoreCorrupt):
        store.replace(generation(1))
    with pytest.raises(StoreCorrupt):
        store.poll_changes()
    assert path.read_bytes() == content
    store.close()


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_reported_never_overwritten_and_found_when_restored(
    part: float, tmp_path: Path
) -> None:
    path, copy = tmp_path / "flags.db", tmp_path / "copy.db"
    filled(path)
    shutil.copy(path, copy)
    content = path.read_bytes()
    content = content[: int(len(content) * part)]
    path.write_bytes(content)
    store = SQLiteStore(path)
    with pytest.raises(StoreCorrupt, match="restore it, or move it away"):
        store.get_all()
    with pytest.raises(StoreCorrupt):
        store.replace(generation(2))
    assert path.read_bytes() == content
    copy.rename(path)
    assert store.poll_changes() == EVERYTHING
    assert versions(store) == {1}
    store.replace(generation(2))
    assert versions(store) == {2}
    store.close()


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
    content = path.read_bytes()
    store = SQLiteStore(path)
    with pytest.raises(StoreCorrupt, match="another program"):
        store.get_all()
    with pytest.raises(StoreCorrupt, match="another program"):
        store.replace(generation(1))
    assert path.read_bytes() == content
    store.close()


def test_a_database_with_half_of_our_tables_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE items (name TEXT)")
    store = SQLiteStore(path)
    with pytest.raises(StoreCorrupt, match="another program"):
        store.get_all()
    store.close()


def test_a_newer_layout_is_refused_at_once_and_while_open(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    filled(path)
    watching = SQLiteStore(path)
    watching.get_all()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(StoreLayoutTooNew) as caught:
        watching.poll_changes()
    assert (caught.value.found, caught.value.known) == (9, 1)
    opening = SQLiteStore(path)
    with pytest.raises(StoreLayoutTooNew, match="upgrade flagkeep"):
        opening.get_all()
    with pytest.raises(StoreLayoutTooNew):
        opening.replace(generation(2))
    watching.close()
    opening.close()


def test_a_lock_is_waited_for_and_then_reported(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    filled(path)
    store = SQLiteStore(path, busy_timeout=0.05)
    store.get_all()
    with process("hold_the_lock", path) as holder:
        assert line(holder) == "locked"
        with pytest.raises(StoreUnavailable, match=r"locked by another process .* 0\.05 s"):
            store.replace(generation(2))
        with pytest.raises(StoreUnavailable, match="locked"):
            store.upsert(one(2))
        assert versions(store) == {1}  # in WAL mode readers do not wait for writers
    store.replace(generation(2))
    assert versions(store) == {2}
    store.close()


def test_waiting_for_a_lock_ends_when_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    filled(path)
    store = SQLiteStore(path, busy_timeout=30)
    with process("hold_the_lock", path) as holder:
        assert line(holder) == "locked"
        writing = threading.Thread(target=store.replace, args=(generation(2),))
        writing.start()
        tell(holder, "go on")
        writing.join(30)
    assert versions(store) == {2}
    store.close()


def test_a_read_waits_no_longer_than_its_answer_is_worth(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    filled(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")  # in which readers wait for writers
    store = SQLiteStore(path, busy_timeout=30)
    wanted = [ItemRef(Kind.FLAG, "f0")]
    with process("hold_the_lock", path) as holder:
        assert line(holder) == "locked"
        with pytest.raises(StoreUnavailable, match=r"locked by another process .* 0\.0"):
            store.get_many(wanted, timeout=0.02)
        patient = threading.Thread(target=store.get_all)
        patient.start()
        with pytest.raises(StoreUnavailable, match=r"busy with another call after 0\.02 s"):
            until_it_fails(lambda: store.get_many(wanted, timeout=0.02))
        tell(holder, "go on")
        patient.join(30)
    assert store.get_many(wanted, timeout=0.02)[wanted[0]].version == 1
    assert versions(store) == {1}
    store.close()


def until_it_fails(do: Callable[[], object]) -> None:
    """Calls go one after the other, and another thread's may not have begun."""
    for _ in range(1000):
        try:
            do()
        except StoreUnavailable as exc:
            if "busy with another call" in exc.reason:
                raise


def test_a_full_disk_leaves_the_old_data_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    filled(path)
    with process("fill_a_limited_file", path) as limited:
        assert line(limited).startswith("StoreUnavailable")
        assert line(limited) == f"{ITEMS} 1"
    store = SQLiteStore(path)
    assert versions(store) == {1}
    store.close()


@pytest.mark.skipif(
    sys.platform != "linux" or os.getuid() != 0, reason="mounting a small disk takes root on Linux"
)
def test_a_really_full_disk_is_called_full_and_works_again_with_room(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("this container may not mount")
    try:
        store = SQLiteStore(disk / "flags.db")
        store.replace(generation(1, size=50))
        with pytest.raises(StoreUnavailable, match="the disk is full"):
            store.replace(generation(2, size=5000))
        assert versions(store) == {1}
        store.replace(generation(3, size=50))
        assert versions(store) == {3}
        store.close()
    finally:
        subprocess.run(["umount", str(disk)], check=True)  # noqa: S607  as mount above


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that other users can reach, but not write to."""
    folder = Path("/tmp") / f"flagkeep-test-{os.getpid()}"  # noqa: S108  pytest's own is private
    folder.mkdir(mode=0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


needs_users = pytest.mark.skipif(
    sys.platform == "win32" or os.getuid() != 0, reason="becoming another user takes root"
)


@needs_users
def test_a_reader_that_may_not_write_the_folder_reads_all_the_same(shared: Path) -> None:
    path = shared / "flags.db"
    filled(path)
    path.chmod(0o644)
    with process("read_as_nobody", path) as reader:
        assert line(reader) == str(ITEMS)
        assert tell(reader, "") == "False 1"
        writer = SQLiteStore(path)
        writer.replace(generation(2))
        assert tell(reader, "") == "True 2"
        writer.replace(generation(3))
        writer.close()
        assert tell(reader, "") == "True 3"
        assert tell(reader, "") == "False 3"


@needs_users
def test_a_reader_that_would_miss_what_a_dead_writer_left_says_so(shared: Path) -> None:
    path = shared / "flags.db"
    filled(path)
    with process("write_generations", path, 2, 10_000) as writer:
        assert line(writer) == "writing"
    (shared / "flags.db-shm").unlink()
    path.chmod(0o644)
    with process("read_as_nobody", path) as reader:
        answer = line(reader)
    assert answer.startswith("StoreUnavailable")
    assert "-wal" in answer


@needs_users
def test_files_are_made_for_their_owner_only(shared: Path) -> None:
    path = shared / "flags.db"
    writer = SQLiteStore(path)
    writer.replace(generation(1))
    for name in ("flags.db", "flags.db-wal", "flags.db-shm"):
        assert (shared / name).stat().st_mode & 0o777 == 0o600, name
    with process("read_as_nobody", path) as reader:
        answer = line(reader)
    assert answer.startswith("StoreUnavailable")
    assert "may not" in answer
    writer.close()


@needs_users
def test_a_folder_or_file_that_may_not_be_written_is_named(shared: Path) -> None:
    path = shared / "flags.db"
    with process("write_as_nobody", path) as writer:
        answer = line(writer)
    assert answer.startswith("StoreUnavailable")
    assert f"is {shared} writable?" in answer
    filled(path)
    path.chmod(0o644)
    with process("write_as_nobody", path) as writer:
        answer = line(writer)
    assert answer.startswith("StoreUnavailable")
    assert "read-only" in answer
    store = SQLiteStore(path)
    assert versions(store) == {1}
    store.close()


def test_a_folder_that_is_not_there_or_is_the_path_itself(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be created"):
        SQLiteStore(tmp_path / "none" / "flags.db").replace(generation(1))
    with pytest.raises(StoreMissing):
        SQLiteStore(tmp_path / "none" / "flags.db").get_all()
    for use in (SQLiteStore.get_all, SQLiteStore.poll_changes):
        with pytest.raises(StoreUnavailable, match="is not a file"):
            use(SQLiteStore(tmp_path))


def test_a_network_file_system_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr(sqlite_file, "_MOUNTS", str(mounts))
    filled_elsewhere = SQLiteStore(tmp_path / "flags.db")
    with pytest.raises(StoreUnavailable, match=r"network file system \(nfs4\)"):
        filled_elsewhere.replace(generation(1))
    assert not (tmp_path / "flags.db").exists()
    monkeypatch.setattr(sqlite_file, "_MOUNTS", str(tmp_path / "not linux"))
    filled_elsewhere.replace(generation(1))
    filled_elsewhere.close()


@pytest.mark.parametrize("name", ["a b%20?c#d.db", "ü日.db", "a;b&mode=ro.db"])
def test_odd_file_names_work(name: str, tmp_path: Path) -> None:
    filled(tmp_path / name)
    store = SQLiteStore(tmp_path / name)
    assert versions(store) == {1}
    store.close()
    allowed = {name, f"{name}-wal", f"{name}-shm"}  # a reader may not remove what it shared
    assert name in {path.name for path in tmp_path.iterdir()} <= allowed


def test_every_error_of_a_store_is_a_store_error(tmp_path: Path) -> None:
    for error in (StoreMissing, StoreUnavailable, StoreCorrupt, StoreLayoutTooNew):
        assert issubclass(error, StoreError)
    with pytest.raises(StoreError) as caught:
        SQLiteStore(tmp_path / "none.db").read_record()
    assert caught.value.store == f"sqlite {tmp_path / 'none.db'}"
    assert caught.value.operation == "read_record"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_uses_a_connection_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    filled(path)
    store = SQLiteStore(path)
    assert versions(store) == {1}
    child = os.fork()
    if child == 0:
        good = False
        try:
            good = versions(store) == {1}
            store.replace(generation(2))
            good = good and versions(store) == {2}
        finally:
            os._exit(0 if good else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert store.poll_changes() is not None
    assert versions(store) == {2}
    store.replace(generation(3))
    assert versions(store) == {3}
    store.close()
