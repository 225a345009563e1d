"""Waiting for files to change: with the system's notices, and by looking."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flagkeep._runtime.files import FileWatch
from flagkeep.errors import InvalidFile

NEVER = 600.0
ON = '{"flagValues":{"v":true}}'
OFF = '{"flagValues":{"v":false}}'


@pytest.fixture(params=[pytest.param("notices", marks=pytest.mark.extras), "looking"])
def watching(request: pytest.FixtureRequest) -> Callable[..., FileWatch]:
    """Make a watch; where there are notices, nothing else can wake it."""
    if request.param == "looking":
        return lambda *paths: FileWatch(paths, poll_interval=0.01, force_polling=True)
    pytest.importorskip("watchfiles")
    return lambda *paths: FileWatch(paths, poll_interval=NEVER)


@contextmanager
def watched(watch: FileWatch) -> Iterator["Readings"]:
    readings = Readings(watch)
    thread = threading.Thread(target=readings.collect)
    thread.start()
    try:
        yield readings
    finally:
        watch.stop()
        thread.join(10)
        assert not thread.is_alive()


class Readings:
    """What a watch reads, one after the other: the value of `v`, or what was wrong."""

    def __init__(self, watch: FileWatch) -> None:
        self._watch = watch
        self._news = threading.Condition()
        self._seen: list[str] = []
        self.loads = 0

    def collect(self) -> None:
        self._load()
        while self._watch.wait():
            self._load()

    def expect(self, *values: str) -> None:
        with self._news:
            self._news.wait_for(lambda: tuple(self._seen) == values, 10)
            assert tuple(self._seen) == values

    def expect_last(self, value: str) -> None:
        """Expect it in the end; a writer may be caught halfway."""
        with self._news:
            assert self._news.wait_for(lambda: self._seen[-1:] == [value], 10), self._seen

    def _load(self) -> None:
        try:
            changes = self._watch.load()
        except InvalidFile as error:
            seen = error.problem
        else:
            if changes is None:
                self.loads += 1
                return
            data = changes.flags["v"].data
            seen = "on" if b'"variations":[true]' in data else "off"
        with self._news:
            self.loads += 1
            self._seen.append(seen)
            self._news.notify_all()


def replace(path: Path, text: str) -> None:
    """Write as editors do: a new file takes the place of the old one."""
    beside = path.with_name("." + path.name + ".swp")
    beside.write_text(text)
    beside.replace(path)


def test_an_edit_in_place_is_read(watching: Callable[..., FileWatch], tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    file.write_text(ON)
    with watched(watching(str(file))) as readings:
        readings.expect("on")
        file.write_text(OFF)
        readings.expect_last("off")


def test_every_replacement_is_read_once(watching: Callable[..., FileWatch], tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    file.write_text(ON)
    with watched(watching(str(file))) as readings:
        readings.expect("on")
        replace(file, OFF)
        readings.expect("on", "off")
        file.touch()  # no change of content
        replace(file, OFF)
        replace(file, ON)
        readings.expect("on", "off", "on")


def test_a_file_that_goes_away_is_named_and_read_when_it_is_back(
    watching: Callable[..., FileWatch], tmp_path: Path
) -> None:
    file = tmp_path / "flags.json"
    file.write_text(ON)
    with watched(watching(str(file))) as readings:
        readings.expect("on")
        file.unlink()
        readings.expect("on", "there is no such file")
        replace(file, ON)
        readings.expect("on", "there is no such file", "on")


def test_half_a_file_is_refused_and_the_whole_one_read(
    watching: Callable[..., FileWatch], tmp_path: Path
) -> None:
    file = tmp_path / "flags.json"
    file.write_text(ON)
    with watched(watching(str(file))) as readings:
        readings.expect("on")
        replace(file, OFF[:-2])
        readings.expect("on", "not JSON: Expecting ',' delimiter")
        with file.open("a") as out:
            out.write(OFF[-2:])
        readings.expect("on", "not JSON: Expecting ',' delimiter", "off")


def test_a_swapped_link_is_followed(watching: Callable[..., FileWatch], tmp_path: Path) -> None:
    """A Kubernetes ConfigMap: flags.json -> ..data/flags.json, ..data -> a folder per version."""
    for name, text in (("..1", ON), ("..2", OFF)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "flags.json").write_text(text)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "flags.json").symlink_to("..data/flags.json")
    with watched(watching(str(tmp_path / "flags.json"))) as readings:
        readings.expect("on")
        (tmp_path / "..new").symlink_to("..2")
        (tmp_path / "..new").replace(tmp_path / "..data")
        readings.expect("on", "off")
        (tmp_path / "..2" / "flags.json").write_text(ON)
        readings.expect_last("on")


def test_a_link_to_a_file_elsewhere_is_followed(
    watching: Callable[..., FileWatch], tmp_path: Path
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "flags.json"
    file.write_text(ON)
    link = tmp_path / "etc" / "flags.json"
    link.symlink_to(os.path.relpath(file, link.parent))
    with watched(watching(str(link))) as readings:
        readings.expect("on")
        replace(file, OFF)
        readings.expect("on", "off")


def test_several_files_are_watched(watching: Callable[..., FileWatch], tmp_path: Path) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    first.write_text("{}")
    second.write_text(ON)
    with watched(watching(str(first), str(second))) as readings:
        readings.expect("on")
        replace(first, ON)
        readings.expect("on", f"flag 'v' is already defined in {first}:1:16")
        replace(second, "{}")
        readings.expect("on", f"flag 'v' is already defined in {first}:1:16", "on")


def test_a_folder_that_comes_later_is_found(tmp_path: Path) -> None:
    file = tmp_path / "later" / "flags.json"
    with watched(FileWatch((str(file),), poll_interval=0.01)) as readings:
        readings.expect("there is no such file")
        file.parent.mkdir()
        replace(file, ON)
        readings.expect("there is no such file", "on")


@pytest.mark.extras
def test_fix_reading_and_neighbours_wake_nobody(tmp_path: Path) -> None:
    """FIX (data-sources.md 5): each reload made the next one, thousands in a second."""
    pytest.importorskip("watchfiles")
    file = tmp_path / "flags.json"
    file.write_text(ON)
    with watched(FileWatch((str(file),), poll_interval=NEVER)) as readings:
        readings.expect("on")
        replace(file, OFF)
        readings.expect("on", "off")
        loads = readings.loads
        for number in range(50):
            (tmp_path / f"neighbour{number}").write_text("x")
            file.read_text()
        time.sleep(0.15)  # the proof that nothing happens cannot wait for an event
        assert readings.loads < loads + 10  # some notices of the last change may be late


def test_stop_ends_a_wait_at_once(watching: Callable[..., FileWatch], tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    file.write_text(ON)
    os.utime(file, (0, 0))
    watch = watching(str(file))
    with watched(watch) as readings:
        readings.expect("on")
        watch.stop()
    assert watch.wait() is False


def test_a_change_that_leaves_the_time_as_it_was_is_seen(tmp_path: Path) -> None:
    """Two writes within one tick of the file system's clock."""
    file = tmp_path / "flags.json"
    file.write_text('{"flagValues":{"v":true }}')
    times = (time.time(), time.time())
    os.utime(file, times)
    watch = FileWatch((str(file),), poll_interval=0.01, force_polling=True)
    assert watch.load() is not None
    file.write_text(OFF)
    os.utime(file, times)
    assert watch.wait()
    assert watch.load() is not None


# --- what cannot be read -----------------------------------------------------------------------


def problem_of(path: Path | str) -> str:
    with pytest.raises(InvalidFile) as info:
        FileWatch((str(path),)).load()
    assert info.value.file == str(path)
    return info.value.problem


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert problem_of(tmp_path) == "it is a directory: name the files in it"


def test_a_missing_file_is_named_as_configured(tmp_path: Path) -> None:
    assert problem_of(tmp_path / "none.json") == "there is no such file"
    assert problem_of("none/../none.json") == "there is no such file"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert problem_of(tmp_path / "pipe") == "it is not a regular file"


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has no such permissions")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    file = tmp_path / "secret.json"
    file.write_text(ON)
    file.chmod(0)
    tmp_path.chmod(0o755)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        assert problem_of(file) in ("no permission to read it", "there is no such file")
    finally:
        if user == 0:
            os.seteuid(user)


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert "cannot be read" in problem_of(tmp_path / "a")
    with watched(FileWatch((str(tmp_path / "a"),), poll_interval=0.01)) as readings:
        (tmp_path / "a").unlink()
        replace(tmp_path / "a", ON)
        readings.expect_last("on")


def test_a_name_that_no_file_can_have_is_refused() -> None:
    assert "cannot be read" in problem_of("a\0b")
