"""What the tests fetch or build once, and keep in the user's cache directory.

It is shared by everything that runs tests here: workers, Pythons, checkouts. Whoever comes first
makes it while the others wait; a folder is there whole or not at all, and a new one is made when
what it is made from changes.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, wraps
from pathlib import Path
from typing import Final, ParamSpec

from tests import outward

ROOT: Final = Path(__file__).resolve().parent.parent.parent
DIGITS: Final = 12
ONE_AT_A_TIME: Final = frozenset({"mvn"})  # programs that two must not run at once, in one home

P = ParamSpec("P")


class NotMade(Exception):
    """It is not there and cannot be made; the message says in one line what to do."""


def folder() -> Path:
    """Return where everything is kept."""
    given = os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path.home() / ".cache") / "flagkeep-tests"


def place_of(name: str, made_from: Sequence[Path]) -> Path:
    """Return the folder where something is kept, or will be.

    Args:
        name: what the folder's name begins with.
        made_from: files of ours that say what is to be in it.
    """
    content = [file.read_bytes() for file in made_from]
    content.append(f"{sys.platform} {platform.machine()}".encode())
    digest = hashlib.sha256(b"\0".join(content)).hexdigest()[:DIGITS]
    return folder() / f"{name}-{digest}"


def kept(place: Path, make: Callable[[Path], None]) -> Path:
    """Return a place with what `make` puts into it.

    Args:
        place: of `place_of`.
        make: fills an empty folder, or raises `NotMade`.
    """
    if place.exists():
        return place
    with alone(place):
        if place.exists():  # somebody else has made it meanwhile
            return place
        unfinished = place.with_name(f"{place.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        make(unfinished)
        unfinished.rename(place)
    return place


@contextmanager
def alone(place: Path) -> Iterator[None]:
    """Let other processes that ask for the same wait until the block ends; it is not reentrant.

    Args:
        place: what is changed meanwhile; the lock is a file beside it.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name(f"{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def once(make: Callable[P, Path]) -> Callable[P, Path]:
    """Let it be tried at most once in this process: who asks again hears of the same failure."""

    @cache
    def outcome(*args: P.args, **kwargs: P.kwargs) -> Path | NotMade:
        try:
            return make(*args, **kwargs)
        except NotMade as exc:
            return exc

    @wraps(make)
    def repeated(*args: P.args, **kwargs: P.kwargs) -> Path:
        made = outcome(*args, **kwargs)  # type: ignore[arg-type]  # names, which can be kept apart
        if isinstance(made, NotMade):
            raise NotMade(*made.args)
        return made

    return repeated


def run(command: Sequence[str], cwd: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run what fetches or builds, with the way out of this machine open; `NotMade` if it fails."""
    outward.close()  # where nobody has, there is nothing to open
    name = Path(command[0]).name
    with _in_turn(name), outward.opened():
        done = subprocess.run(
            command,
            check=False,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    if done.returncode:
        last_words = " | ".join(done.stdout.strip().splitlines()[-4:])[-1000:]
        raise NotMade(f"{name} failed; is there a network? It said: {last_words}")


def _in_turn(program: str) -> AbstractContextManager[None]:
    return alone(folder() / program) if program in ONE_AT_A_TIME else nullcontext()
