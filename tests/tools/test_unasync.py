"""The generator of the sync twins."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tools import unasync
from tools.unasync import Refusal, Renamer, twin_of


def twin(source: str) -> str:
    return twin_of(textwrap.dedent(source), Renamer())


def write_tree(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("async def get(): return await store.get()", "def get(): return store.get()"),
        ("async with a as b, c: pass", "with a as b, c: pass"),
        ("async for x in y: pass", "for x in y: pass"),
        ("z = [x async for x in y if await x]", "z = [x for x in y if x]"),
        ("x = (await a) + (await  b)", "x = (a) + (b)"),
        ("await client.aclose()", "client.close()"),
        ("async def __aenter__(self): ...", "def __enter__(self): ..."),
        ("async def __aexit__(self, *a): ...", "def __exit__(self, *a): ..."),
        (
            "from flagkeep._async.client import AsyncClient",
            "from flagkeep._sync.client import Client",
        ),
        (
            "from flagkeep._runtime import aio as runtime",
            "from flagkeep._runtime import threads as runtime",
        ),
        ("def f() -> AsyncIterator[int]: ...", "def f() -> Iterator[int]: ..."),
        ("class _AsyncThing(AsyncFeatureStore): ...", "class _Thing(FeatureStore): ..."),
    ],
)
def test_code_loses_its_colour(source: str, expected: str) -> None:
    assert twin(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        "Asynchronous = 1",
        "FakeAsyncStore = 1",
        "my_aclose = 1",
        "async_ = 1",
        "Async = 1",
        "awaited = 1",
    ],
)
def test_names_that_only_look_alike_stay(source: str) -> None:
    assert twin(source) == source


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"""The AsyncClient; see `aclose`."""', '"""The Client; see `close`."""'),
        ('__all__ = ["AsyncClient"]', '__all__ = ["Client"]'),
        ('def f() -> "AsyncClient": ...', 'def f() -> "Client": ...'),
        ("x = 1  # AsyncStore only", "x = 1  # Store only"),
        ('"""Nothing is async here; await it."""', '"""Nothing is async here; await it."""'),
        ('"""An AsyncClient or an `AsyncStore`."""', '"""A Client or a `Store`."""'),
        ('"""An AsyncEvent."""', '"""An Event."""'),
        ('log = getLogger("flagkeep.client")', 'log = getLogger("flagkeep.client")'),
        ('x = r"\\w AsyncClient"', 'x = r"\\w Client"'),
    ],
)
def test_strings_and_comments_are_renamed_but_keep_their_words(source: str, expected: str) -> None:
    assert twin(source) == expected


def test_line_numbers_agree() -> None:
    source = '''
        """Line two.

        AsyncClient
        """
        async def f(
            a: int,
        ) -> None:
            """Doc."""
            await g(
                a,
                # AsyncStore
            )
            return (
                await
                h()
            )
        '''
    assert twin(source).count("\n") == textwrap.dedent(source).count("\n")
    compile(twin(source), "twin", "exec")


def test_text_outside_ascii_and_windows_line_ends_stay_in_place() -> None:
    assert twin_of('x = "ä😀"; await y("ü")  # ö\r\nawait z\r\n', Renamer()) == (
        'x = "ä😀"; y("ü")  # ö\r\nz\r\n'
    )


def test_a_second_pass_changes_nothing() -> None:
    once = twin("async def f(c: AsyncClient): await c.aclose()")
    assert twin(once) == once


@pytest.mark.parametrize(
    "source",
    [
        'f"an AsyncClient"',
        'f"{await x}"',
        'f"{x.aclose}"',
        'f"an AsyncClient {x}"',
        'rf"{a:{await b}}"',
        'f"""\n{await x}\n"""',
        "f\"{f('{}')} {await x}\"",
        'f"{g({1: {}}, await x)}"',
        'f"{a:{b}} {await x}"',
    ],
)
def test_f_strings_with_something_to_replace_are_refused(source: str) -> None:
    with pytest.raises(Refusal):
        twin_of(source, Renamer())


@pytest.mark.parametrize(
    "source", ['f"{x} is not async; or await {y}"', 'f"{{await}} {x:>{w}} await"']
)
def test_f_strings_without_colour_stay(source: str) -> None:
    assert twin(source) == source


@pytest.mark.parametrize("name", sorted(unasync.REFUSED))
def test_what_has_no_twin_is_refused_with_its_line(name: str) -> None:
    with pytest.raises(Refusal) as caught:
        twin_of(f"import x\nx = {name}\n", Renamer())
    assert caught.value.line == 2
    assert caught.value.problem.startswith(name)


RENAMES = {"aclose": "close"}


def run(root: Path, *arguments: str) -> int:
    return unasync.main(["--root", str(root), *arguments], RENAMES)


def test_written_twins_pass_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tree(
        tmp_path,
        {
            "src/flagkeep/_async/a.py": "async def f(): await x.aclose()\n",
            "src/flagkeep/_async/stores/b.py": "x = AsyncStore\n",
            "tests/_async/test_a.py": "async def test_a() -> None: ...\n",
        },
    )
    assert run(tmp_path) == 0
    assert (tmp_path / "src/flagkeep/_sync/a.py").read_text() == "def f(): x.close()\n"
    assert (tmp_path / "src/flagkeep/_sync/stores/b.py").read_text() == "x = Store\n"
    assert (tmp_path / "tests/_sync/test_a.py").exists()
    capsys.readouterr()
    assert run(tmp_path, "--check") == 0
    assert capsys.readouterr().out == "unasync: 3 twins in step\n"


def test_a_stale_twin_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tree(tmp_path, {"src/flagkeep/_async/a.py": "x.aclose()\n"})
    run(tmp_path)
    write_tree(tmp_path, {"src/flagkeep/_sync/a.py": "edited by hand\n"})
    capsys.readouterr()
    assert run(tmp_path, "--check") == 1
    assert capsys.readouterr().out == "src/flagkeep/_sync/a.py: stale: run `make unasync`\n"


def test_an_orphaned_twin_is_named_and_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    orphan = "src/flagkeep/_sync/old.py"
    write_tree(tmp_path, {"src/flagkeep/_async/a.py": "x.aclose()\n"})
    run(tmp_path)
    write_tree(tmp_path, {orphan: ""})
    capsys.readouterr()
    assert run(tmp_path, "--check") == 1
    assert capsys.readouterr().out.startswith(f"{orphan}: orphaned:")
    assert run(tmp_path) == 0
    assert not (tmp_path / orphan).exists()


def test_a_rename_that_nobody_needs_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tree(tmp_path, {"src/flagkeep/_async/a.py": "x = 1\n"})
    run(tmp_path)
    capsys.readouterr()
    assert run(tmp_path, "--check") == 1
    assert capsys.readouterr().out == (
        "tools/unasync.py: rename 'aclose' is never used: delete it\n"
    )


@pytest.mark.parametrize("arguments", [(), ("--check",)])
def test_a_refusal_names_file_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    write_tree(tmp_path, {"tests/_async/a.py": "x.aclose()\nf'{await x}'\n"})
    assert run(tmp_path, *arguments) == 1
    assert "tests/_async/a.py:2: 'await' in an f-string" in capsys.readouterr().out


def test_source_that_is_not_python_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tree(tmp_path, {"tests/_async/a.py": "x.aclose(\n"})
    assert run(tmp_path, "--check") == 1
    assert capsys.readouterr().out.startswith("tests/_async/a.py: ")
