"""The file source, alone and in a client."""

import os
from pathlib import Path

import pytest

from flagkeep._sync.client import Client
from flagkeep._sync.file_source import FileDataSource
from flagkeep._runtime import threads as runtime
from flagkeep.config import Config, FileSource
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.context import Context
from flagkeep.model.status import SourceError, SourceErrorKind, SourceState
from tests._sync.waiting import PATIENCE, until, until_value

USER = Context.create("user-key")


class Recorder:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.applied: list[ChangeSet] = []
        self.errors: list[SourceError] = []

    def apply(self, changes: ChangeSet) -> None:
        self.applied.append(changes)

    def report(self, state: SourceState, error: SourceError | None = None) -> None:
        assert state is SourceState.INTERRUPTED
        assert error is not None
        self.errors.append(error)


def write(path: Path, text: str) -> Path:
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)
    return path


def settings(*paths: Path) -> FileSource:
    return FileSource(*paths, poll_interval=0.02)


def test_the_content_is_delivered_again_when_it_changes(tmp_path: Path) -> None:
    file = write(tmp_path / "flags.json", '{"flagValues":{"v":1}}')
    sink, source = Recorder(), FileDataSource(settings(file))

    def body() -> None:
        source.run(sink)

    task = runtime.spawn("test", body)
    until(lambda: len(sink.applied) == 1)
    write(file, '{"flagValues":{"v":1,"w":2}}')
    until(lambda: len(sink.applied) == 2)
    source.stop()
    assert task.join(PATIENCE)
    first, second = sink.applied
    assert first.full
    assert second.full
    assert (set(first.flags), set(second.flags)) == ({"v"}, {"v", "w"})
    assert sink.errors == []


def test_fix_a_broken_file_is_reported_once_and_nothing_is_delivered(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """FIX (data-sources.md 5): its time was no number, and a traceback went to stderr."""
    file = write(tmp_path / "flags.json", '{"flagValues":{"v":1}}')
    sink, source = Recorder(), FileDataSource(settings(file))

    def body() -> None:
        source.run(sink)

    task = runtime.spawn("test", body)
    until(lambda: len(sink.applied) == 1)
    write(file, '{"flagValues":\n{"v":')
    until(lambda: len(sink.errors) == 1)
    write(file, '{"flagValues":\n{"v":')
    file.unlink()
    until(lambda: len(sink.errors) == 2)
    write(file, '{"flagValues":{"v":2}}')
    until(lambda: len(sink.applied) == 2)
    source.stop()
    assert task.join(PATIENCE)
    broken, missing = sink.errors
    assert broken.kind is missing.kind is SourceErrorKind.INVALID_DATA
    assert broken.message == f"{file}:2:6: not JSON: Expecting value"
    assert missing.message == f"{file}: there is no such file"
    assert 0 < broken.time <= missing.time <= runtime.wall_time()
    assert capfd.readouterr().err == ""


def test_a_source_that_was_stopped_first_returns(tmp_path: Path) -> None:
    for reload in (True, False):
        source = FileDataSource(FileSource(tmp_path / "none.json", reload=reload))
        source.stop()
        source.stop()
        source.run(Recorder())


def test_without_reload_changes_are_not_followed(tmp_path: Path) -> None:
    file = write(tmp_path / "flags.json", '{"flagValues":{"v":1}}')
    sink, source = Recorder(), FileDataSource(FileSource(file, reload=False))

    def body() -> None:
        source.run(sink)

    task = runtime.spawn("test", body)
    until(lambda: len(sink.applied) == 1)
    write(file, '{"flagValues":{"v":2}}')
    assert not task.join(0.1)
    source.stop()
    assert task.join(PATIENCE)
    assert len(sink.applied) == 1


def test_fix_an_edit_reaches_a_client_and_its_listeners(tmp_path: Path) -> None:
    """FIX (data-sources.md 5): versions stayed 1, so that listeners never heard of an edit."""
    file = write(tmp_path / "flags.json", '{"flags":{"f":{"on":true,"variations":[1]}}}')
    write(file, '{"flagValues":{"f":1,"g":1}}')
    changed: list[str] = []
    with Client(Config(source=settings(file))) as client:
        assert client.wait_until_ready(PATIENCE)
        client.on_change("f", lambda change: changed.append(change.key))
        assert client.variation("f", USER, 0) == 1
        write(file, '{"flagValues":{"f":2,"g":1}}')  # of the same version, as the file has none
        until_value(client, "f", USER, 2)
        until(lambda: changed == ["f"])


def test_a_bad_flag_keeps_its_last_good_version_in_a_client(tmp_path: Path) -> None:
    file = write(tmp_path / "flags.json", '{"flagValues":{"f":1,"g":1}}')
    with Client(Config(source=settings(file))) as client:
        assert client.wait_until_ready(PATIENCE)
        write(file, '{"flags":{"f":{"on":5}},"flagValues":{"g":2}}')
        until_value(client, "g", USER, 2)
        assert client.variation("f", USER, 0) == 1
        (bad,) = client.status.bad_items
        assert (bad.key, bad.path) == ("f", "$.on")
        assert os.fspath(file) in bad.problem


def test_a_missing_file_leaves_a_client_unready_until_it_is_there(tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    with Client(Config(source=settings(file))) as client:
        assert not client.wait_until_ready(PATIENCE)  # the answer is known at once
        status = client.status.source
        assert status is not None
        assert status.state is SourceState.INITIALIZING
        assert status.error is not None
        write(file, '{"flagValues":{"f":1}}')
        until_value(client, "f", USER, 1)
        assert client.is_ready
