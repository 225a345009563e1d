"""What the kernel says of other processes. Where it says nothing there is nothing to see."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
_A_WHILE: Final = 0.2  # seconds
HAS_PROC: Final = (PROC / "self/fd").exists()


def open_files(process: int) -> list[str]:
    """What the descriptors of a process stand for, such as `/a/file` or `socket:[1234]`."""
    found = []
    for descriptor in (PROC / str(process) / "fd").iterdir():
        try:
            found.append(str(descriptor.readlink()))
        except FileNotFoundError:  # closed meanwhile
            continue
    return found


def has_locked(process: int, file: Path) -> bool:
    """Whether a process holds a lock of its own on a file; a child inherits none."""
    place = f":{file.stat().st_ino}"
    locks = (line.split() for line in (PROC / "locks").read_text().splitlines())
    return any(
        lock[1] == "POSIX" and int(lock[4]) == process and lock[5].endswith(place) for lock in locks
    )


def socket_of(port: int, peer: int) -> str | None:
    """The connection between two ports of loopback, as `open_files` of who has the first calls it.

    None if there is none. One port may have connections to several others.
    """
    ends = f":{port:04X}", f":{peer:04X}"
    for _ in range(20):  # the kernel lists a long table in pieces, and may leave a line out
        for line in (PROC / "net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(ends[0]) and fields[2].endswith(ends[1]):
                return f"socket:[{fields[9]}]"
    return None


def children(process: int) -> list[int]:
    """The processes that it has started, and those that they have started."""
    parents = {}
    for folder in PROC.iterdir():
        if folder.name.isdecimal():
            try:
                parents[int(folder.name)] = int(_stat(int(folder.name))[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    found = [process]
    for known in found:  # which grows meanwhile
        found += [child for child, parent in parents.items() if parent == known]
    return found[1:]


def until_idle(process: int) -> None:
    """Wait until the main thread of a process has not run for a while, and does not want to."""
    seen, since, give_up = None, 0.0, time.monotonic() + 20.0
    while HAS_PROC:
        now = time.monotonic()
        assert now < give_up, "it is never idle"
        stands = _stat(process)[0] in {"S", "Z"}, _switches(process)
        if stands != seen or not stands[0]:
            seen, since = stands, now
        elif now - since > _A_WHILE:
            return
        time.sleep(0.01)


def threads(process: int) -> list[int]:
    """The threads of a process, the main one among them by the process's own number."""
    return [int(folder.name) for folder in (PROC / str(process) / "task").iterdir()]


def blocks(thread: int, number: signal.Signals) -> bool:
    """Whether a thread gets no such signal."""
    return bool(int(_status(thread)["SigBlk"], 16) >> (number - 1) & 1)


def _switches(thread: int) -> tuple[str, ...]:
    """How often it has run."""
    status = _status(thread)
    return status["voluntary_ctxt_switches"], status["nonvoluntary_ctxt_switches"]


def _status(thread: int) -> dict[str, str]:
    lines = (PROC / str(thread) / "status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _stat(process: int) -> list[str]:
    """Return what its `stat` has after the name: first its state, then its parent."""
    return (PROC / str(process) / "stat").read_text().rpartition(")")[2].split()


@contextmanager
def paused(process: int) -> Iterator[None]:
    """Let a process stand still."""
    os.kill(process, signal.SIGSTOP)
    try:
        while HAS_PROC and _stat(process)[0] != "T":
            time.sleep(0.001)
        yield
    finally:
        os.kill(process, signal.SIGCONT)
