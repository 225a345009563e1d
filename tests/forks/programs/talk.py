"""How a program of the tests talks to the test, and makes children."""

import faulthandler
import json
import os
import time
import traceback
from collections.abc import Callable
from typing import Any, Final

PATIENCE: Final = 30.0  # seconds: longer than the test's, which then asks where everybody is

faulthandler.enable()  # who is aborted says where its threads are


def say(who: str, **facts: Any) -> None:
    """Say something: a line of JSON on standard output."""
    line = json.dumps({"who": who, "process": os.getpid(), **facts}) + "\n"
    os.write(1, line.encode())  # no buffer that a child would inherit


def until(condition: Callable[[], bool]) -> None:
    """Wait until it is so; the test finds out that it never was."""
    give_up = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < give_up:
        time.sleep(0.01)


def fork(child: Callable[[], object]) -> int:
    """Run `child` in a child of this process; return the child's number."""
    return _fork(child, lambda: os._exit(0))


def fork_in_peace(child: Callable[[], object]) -> int:
    """The same, where the child ends as a program does: what is to be done at exit is done."""

    def leave() -> None:
        raise SystemExit(0)

    return _fork(child, leave)


def _fork(child: Callable[[], object], leave: Callable[[], None]) -> int:
    process = os.fork()
    if process:
        return process
    try:
        child()
    except BaseException as exc:
        if isinstance(exc, SystemExit):  # of a child of the child
            raise
        traceback.print_exc()
        os._exit(1)  # nothing of the parent's may run in the child
    leave()
    raise AssertionError("it is still there")


def wait_for(process: int) -> None:
    """Wait for the end of a child, and say how it came."""
    _, status = os.waitpid(process, 0)
    say("end", child=process, code=os.waitstatus_to_exitcode(status))
