"""The file source, alone and in a client."""

import os
from pathlib import Path

import pytest

from flagkeep._async.client import AsyncClient
from flagkeep._async.file_source import AsyncFileDataSource
from flagkeep._runtime import aio as runtime
from flagkeep.config import Config, FileSource
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.context import Context
from flagkeep.model.status import SourceError, SourceErrorKind, SourceState
from tests._async.waiting import PATIENCE, until, until_value

USER = Context.create("user-key")


class AsyncRecorder:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.applied: list[ChangeSet] = []
        self.errors: list[SourceError] = []

    async def apply(self, changes: ChangeSet) -> None:
        self.applied.append(changes)

    async def report(self, state: SourceState, error: SourceError | None = None) -> None:
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


async def test_the_content_is_delivered_again_when_it_changes(tmp_path: Path) -> None:
    file = write(tmp_path / "flags.json", '{"flagValues":{"v":1}}')
    sink, source = AsyncRecorder(), AsyncFileDataSource(settings(file))

    async def body() -> None:
        await source.run(sink)

    task = runtime.spawn("test", body)
    await until(lambda: len(sink.applied) == 1)
    write(file, '{"flagValues":{"v":1,"w":2}}')
    await until(lambda: len(sink.applied) == 2)
    source.stop()
    assert await task.join(PATIENCE)
    first, second = sink.applied
    assert first.full
    assert second.full
    assert (set(first.flags), set(second.flags)) == ({"v"}, {"v", "w"})
    assert sink.errors == []


async def test_fix_a_broken_file_is_reported_once_and_nothing_is_delivered(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """FIX (data-sources.md 5): its time was no number, and a traceback went to stderr."""
    file = write(tmp_path / "flags.json", '{"flagValues":{"v":1}}')
    sink, source = AsyncRecorder(), AsyncFileDataSource(settings(file))

    async def body() -> None:
        await source.run(sink)

    task = runtime.spawn("test", body)
    await until(lambda: len(sink.applied) == 1)
    write(file, '{"flagValues":\n{"v":')
    await until(lambda: len(sink.errors) == 1)
    write(file, '{"flagValues":\n{"v":')
    file.unlink()
    await until(lambda: len(sink.errors) == 2)
    write(file, '{"flagValues":{"v":2}}')
    await until(lambda: len(sink.applied) == 2)
    source.stop()
    assert await task.join(PATIENCE)
    broken, missing = sink.errors
    assert broken.kind is missing.kind is SourceErrorKind.INVALID_DATA
    assert broken.message == f"{file}:2:6: not JSON: Expecting value"
    assert missing.message == f"{file}: there is no such file"
    assert 0 < broken.time <= missing.time <= runtime.wall_time()
    assert capfd.readouterr().err == ""


async def test_a_source_that_was_stopped_first_returns(tmp_path: Path) -> None:
    for reload in (True, False):
        source = AsyncFileDataSource(FileSource(tmp_path / "none.json", reload=reload))
        source.stop()
        source.stop()
        await source.run(AsyncRecorder())


async def test_without_reload_changes_are_not_followed(tmp_path: Path) -> None:
    file = write(tmp_path / "flags.json", '{"flagValues":{"v":1}}')
    sink, source = AsyncRecorder(), AsyncFileDataSource(FileSource(file, reload=False))

    async def body() -> None:
        await source.run(sink)

    task = runtime.spawn("test", body)
    await until(lambda: len(sink.applied) == 1)
    write(file, '{"flagValues":{"v":2}}')
    assert not await task.join(0.1)
    source.stop()
    assert await task.join(PATIENCE)
    assert len(sink.applied) == 1


async def test_fix_an_edit_reaches_a_client_and_its_listeners(tmp_path: Path) -> None:
    """FIX (data-sources.md 5): versions stayed 1, so that listeners never heard of an edit."""
    file = write(tmp_path / "flags.json", '{"flags":{"f":{"on":true,"variations":[1]}}}')
    write(file, '{"flagValues":{"f":1,"g":1}}')
    changed: list[str] = []
    async with AsyncClient(Config(source=settings(file))) as client:
        assert await client.wait_until_ready(PATIENCE)
        client.on_change("f", lambda change: changed.append(change.key))
        assert await client.variation("f", USER, 0) == 1
        write(file, '{"flagValues":{"f":2,"g":1}}')  # of the same version, as the file has none
        await until_value(client, "f", USER, 2)
        await until(lambda: changed == ["f"])


async def test_a_bad_flag_keeps_its_last_good_version_in_a_client(tmp_path: Path) -> None:
    file = write(tmp_path / "flags.json", '{"flagValues":{"f":1,"g":1}}')
    async with AsyncClient(Config(source=settings(file))) as client:
        assert await client.wait_until_ready(PATIENCE)
        write(file, '{"flags":{"f":{"on":5}},"flagValues":{"g":2}}')
        await until_value(client, "g", USER, 2)
        assert await client.variation("f", USER, 0) == 1
        (bad,) = client.status.bad_items
        assert (bad.key, bad.path) == ("f", "$.on")
        assert os.fspath(file) in bad.problem


async def test_a_missing_file_leaves_a_client_unready_until_it_is_there(tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    async with AsyncClient(Config(source=settings(file))) as client:
        assert not await client.wait_until_ready(PATIENCE)  # the answer is known at once
        status = client.status.source
        assert status is not None
        assert status.state is SourceState.INITIALIZING
        assert status.error is not None
        write(file, '{"flagValues":{"f":1}}')
        await until_value(client, "f", USER, 1)
        assert client.is_ready
