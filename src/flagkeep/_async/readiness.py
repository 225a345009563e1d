"""Letting a store make ready for its first use as soon as there is a client."""

import logging
from typing import Final

from flagkeep._runtime import aio as runtime
from flagkeep._runtime import fork

log: Final = logging.getLogger("flagkeep.client")


def make_ready(store: object) -> None:
    """Call `prepare` of a store that has it, which begins to make ready and returns at once.

    Where no thread can run it could only wait. In the child of a fork nobody calls this: whether
    the child evaluates anything, its first evaluation tells.
    """
    prepare = getattr(store, "prepare", None)
    if not callable(prepare) or runtime.needs_pumping() or fork.is_imminent():
        return
    try:
        prepare()
    except Exception:
        log.exception("%r could not make ready", store)
