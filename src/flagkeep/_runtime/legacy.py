"""Who delivers what was recorded before a fork: one process, and no other.

That is the process which recorded it, as long as it runs Python. uWSGI's master does not: it loads
the application, forks its workers in C, and never comes back, not even at its end. So what it has
recorded goes to one of its workers. They all inherit the reading end of a pipe with one byte in it:
who reads that is the heir. A worker that is forked later finds the pipe empty.
"""

import os

from flagkeep._runtime import fork


class Legacy:
    """What somebody has recorded in this process and not delivered yet.

    Attributes:
        process: the process that it belongs to.
    """

    __slots__ = ("_pipe", "process")

    def __init__(self) -> None:
        self.process = os.getpid()
        self._pipe: int | None = None

    def prepare(self) -> None:
        """Let it be inherited if this process is about to be forked by C code."""
        if self._pipe is None and fork.is_imminent():
            self._pipe, end = os.pipe()
            os.write(end, b"1")
            os.close(end)

    def is_mine(self) -> bool:
        """Return whether it belongs to this process now; to be asked after a fork.

        Without a master uWSGI's first worker is the process that was forked: then a worker more
        may be the heir, but never two.
        """
        is_same, self.process = self.process == os.getpid(), os.getpid()
        pipe, self._pipe = self._pipe, None
        if pipe is None:
            return is_same
        try:
            return os.read(pipe, 1) == b"1"
        finally:
            os.close(pipe)
