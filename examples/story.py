"""flagkeep's main job, told as a story (`python examples/story.py`).

A file of flags fills a store through one process; another process evaluates out of the store, and
goes on doing so whatever happens to the file, to the first process and to the store. Then the flags
come from an upstream on this machine, over a stream, and that goes away, too. Everything that is
claimed is checked before it is printed; if something does not hold, the story says what and ends
with exit code 1.

The store is a SQLite file in a temporary folder. `STORE=sqlite:///path` puts it where you want it;
`STORE=redis://host:6379/0`, `dynamodb://table?region=…&endpoint=…` or `consul://host:8500` tells
the same on a database, under a prefix of its own that goes at the end.
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
from given import SQLITE, store_at
from places import Place, SQLitePlace
from server_places import PLACES
from telling import say
from upstream_acts import UpstreamChapter

from flagkeep.errors import ConfigError, MissingExtra, StoreError


def place_of_user() -> Place | None:
    """Return what STORE names, None if it names nothing; end here if it cannot be used."""
    wanted = os.environ.get("STORE", "")
    if not wanted:
        return None
    if wanted.startswith(SQLITE):
        return SQLitePlace(new_file(wanted.removeprefix(SQLITE)), is_ours=False)
    if wanted.partition("://")[0].lower() not in PLACES:
        refuse(
            f"name {SQLITE}flags.db, redis://localhost:6379/0, dynamodb://table?region=eu-west-1 or"
            " consul://localhost:8500, the story knows no other store"
        )
    try:
        return reached(wanted)
    except StoreError as exc:
        refuse(f"{exc.store} cannot be used: {exc.reason}")
    except (ConfigError, MissingExtra) as exc:
        refuse(str(exc))


def new_file(path: str) -> Path:
    """Return the path of a database that is to be made."""
    if not path:
        refuse(f"a path is missing: {SQLITE}flags.db, or {SQLITE}/var/lib/flags.db")
    if not Path(path).absolute().parent.is_dir():
        refuse(f"{Path(path).absolute().parent} is not a folder")
    if Path(path).exists():
        refuse(f"{path} is there already, and the story would overwrite it: name a new file")
    return Path(path)


def reached(url: str) -> Place:
    """Return a place in a database that answers."""
    store_at(url, "").close()  # looks at the URL only
    place = PLACES[url.partition("://")[0].lower()](url)
    store = place.open()
    try:
        store.is_initialized()
    finally:
        store.close()
    return place


def refuse(problem: str) -> NoReturn:
    """End because of a setting."""
    print(f"STORE: {problem}", file=sys.stderr)
    sys.exit(2)


def what_next(place: Place) -> None:
    """Say how to go on."""
    say()
    say("All of this was checked while it happened. What to try next:", style="good")
    here = Path.cwd()
    python = Path(sys.executable)
    shown = shlex.quote(str(python.relative_to(here) if python.is_relative_to(here) else python))
    hints = {
        "the same in ten lines": f"{shown} examples/quickstart.py",
        **command_line(shown, place),
        "the flags of the shop": "examples/shop/flags.json",
        "your own program": "docs/quickstart.md",
        "connecting it": "docs/connecting.md",
        "the tests": "make test",
    }
    if place.stays:
        hints["the store, which stays"] = place.stays
    for meaning, hint in hints.items():
        say(f"   {meaning:24}{hint}")


def command_line(python: str, place: Place) -> dict[str, str]:
    """Return hints for the command line, where it is installed."""
    if any(importlib.util.find_spec(name) is None for name in ("flagkeep.__main__", "typer")):
        return {}
    explain = f"{python} -m flagkeep explain checkout-v2"
    hints = {"why a flag is as it is": f"{explain} -c amal -f examples/shop/flags.json"}
    if place.stays:
        url = shlex.quote(f"{SQLITE}{place.stays}")
        hints["what the store holds"] = f"{python} -m flagkeep store status {url}"
    return hints


def end_by_signal(number: int, _frame: FrameType | None) -> None:
    """Unwind, so that processes and folder are cleaned up."""
    sys.exit(128 + number)


def tell_in(folder: Path, place: Place) -> None:
    """Tell the story with a folder that is there for it alone."""
    story = Story(folder, place)
    chapter = UpstreamChapter(story)
    say("flagkeep: feature flags that go on when everything around them fails", style="bold")
    try:
        story.tell()
        chapter.tell()
    except StoryFailedError as exc:
        say()
        say(f"This did not hold: {exc}", style="bad")
        for child in story.children:
            for line in child.log[-5:]:
                say(f"   process {child.pid} logged: {line}")
        sys.exit(1)
    finally:
        story.end()
        chapter.end()
        place.clean_up()
    what_next(place)


def temporary(folder: Path) -> Place:
    """Return a place that goes with the folder of the story."""
    (folder / "store").mkdir()
    return SQLitePlace(folder / "store" / "flags.db", is_ours=True)


def main() -> None:
    """Tell the story, and leave nothing behind."""
    signal.signal(signal.SIGTERM, end_by_signal)
    place = place_of_user()
    folder = Path(tempfile.mkdtemp(prefix="flagkeep story "))
    try:
        tell_in(folder, place or temporary(folder))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
