"""A bar on the terminal, for what takes longer than people like to wait without one."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

PATIENCE: Final = 1.0
"""Seconds before a bar appears: most commands are done by then."""


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Callable[[], object]]:
    """Show what is being done, on stderr, if that is a terminal and it takes a while.

    Args:
        what: such as `reading`.
        total: how many steps; None if nobody can tell.

    Yields:
        What to call after each step.
    """
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich import progress as bars  # noqa: PLC0415  costs 20 ms, and pipes need none of it
    from rich.console import Console  # noqa: PLC0415  the same

    columns = [bars.TextColumn("{task.description}"), bars.BarColumn(), bars.TimeElapsedColumn()]
    if total is not None:
        columns.insert(2, bars.MofNCompleteColumn())
    bar = bars.Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(what, total=total)
    timer = threading.Timer(PATIENCE, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda: bar.advance(task)
    finally:
        timer.cancel()
        timer.join()
        if bar.live.is_started:
            bar.stop()
