"""flagkeep's main job, told as a story (`python examples/story.py`).

A file of flags fills a SQLite store through one process; another process evaluates out of the
store, and goes on doing so whatever happens to the file, to the first process and to the database.
Everything that is claimed is checked before it is printed; if something does not hold, the story
says what and ends with exit code 1. `STORE=sqlite:///path` puts the store where you want it.
"""

import importlib.util
import os
import shlex
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import NoReturn

from acts import Story
from children import StoryFailedError
from telling import say


def database_of_user() -> Path | None:
    """Return the path that STORE names, None if there is none; end here if it cannot be used."""
    wanted, scheme = os.environ.get("STORE", ""), "sqlite:///"
    if not wanted:
        return None
    if not wanted.startswith(scheme):
        name = wanted.partition(":")[0]
        refuse(f"{name} is not built in this release, try STORE={scheme}flags.db")
    path = wanted.removeprefix(scheme)
    if not path:
        refuse(f"a path is missing: {scheme}flags.db, or {scheme}/var/lib/flags.db")
    if not Path(path).absolute().parent.is_dir():
        refuse(f"{Path(path).absolute().parent} is not a folder")
    if Path(path).exists():
        refuse(f"{path} is there already, and the story would overwrite it: name a new file")
    return Path(path)


def refuse(problem: str) -> NoReturn:
    """End because of a setting."""
    print(f"STORE: {problem}", file=sys.stderr)
    sys.exit(2)


def what_next(database: Path | None) -> None:
    """Say how to go on."""
    say()
    say("All of this was checked while it happened. What to try next:", style="good")
    here = Path.cwd()
    python = Path(sys.executable)
    shown = shlex.quote(str(python.relative_to(here) if python.is_relative_to(here) else python))
    hints = {
        "the same in ten lines": f"{shown} examples/quickstart.py",
        **command_line(shown),
        "the flags of the shop": "examples/shop/flags.json",
        "your own program": "docs/quickstart.md",
        "the tests": "make test",
    }
    if database is not None:
        hints["the store, which stays"] = str(database)
    for meaning, hint in hints.items():
        say(f"   {meaning:24}{hint}")


def command_line(python: str) -> dict[str, str]:
    """Return hints for the command line, where it is installed."""
    if any(importlib.util.find_spec(name) is None for name in ("flagkeep.__main__", "typer")):
        return {}
    explain = f"{python} -m flagkeep explain checkout-v2"
    return {"why a flag is as it is": f"{explain} -c amal -f examples/shop/flags.json"}


def end_by_signal(number: int, _frame: FrameType | None) -> None:
    """Unwind, so that processes and folder are cleaned up."""
    sys.exit(128 + number)


def tell_in(folder: Path, database: Path | None) -> None:
    """Tell the story in a folder that is there for it alone."""
    if database is None:
        (folder / "store").mkdir()
    place = database or folder / "store" / "flags.db"
    story = Story(folder, place, is_ours=database is None)
    say("flagkeep: feature flags that go on when everything around them fails", style="bold")
    try:
        story.tell()
    except StoryFailedError as exc:
        say()
        say(f"This did not hold: {exc}", style="bad")
        for child in story.children:
            for line in child.log[-5:]:
                say(f"   process {child.pid} logged: {line}")
        sys.exit(1)
    finally:
        story.end()
    what_next(database)


def main() -> None:
    """Tell the story, and leave nothing behind."""
    signal.signal(signal.SIGTERM, end_by_signal)
    database = database_of_user()
    folder = Path(tempfile.mkdtemp(prefix="flagkeep story "))
    try:
        tell_in(folder, database)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
