"""The application that everybody here runs: its client is made where the module is imported.

Settings come by the environment. FORKS_STORE: the store's address. FORKS_HEARD: a file to which the
listener adds "process value" whenever it is called.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from flagkeep import Client, Config, Context
from flagkeep.config import CachePolicy
from flagkeep.hooks import FlagChange
from flagkeep.stores import SQLiteStore

STORE: Final = os.environ["FORKS_STORE"]
HEARD: Final = os.environ["FORKS_HEARD"]
CONTEXT: Final = Context.create("user-key")
CONFIG: Final = Config(daemon=True, cache=CachePolicy(0.1))
PATIENCE: Final = 20.0  # seconds
IMPORTED_BY: Final = os.getpid()


LAST_HEARD: Final[dict[str, str]] = {}  # by this process or one before it


def open_store(*, prefix: str = "", timeout: float = 1.0) -> Any:
    if STORE.startswith("sqlite:///"):
        path = STORE.removeprefix("sqlite:///")
        return SQLiteStore(path, prefix=prefix, busy_timeout=timeout)
    from flagkeep.stores import RedisStore  # noqa: PLC0415  SQLite's tests need no driver

    return RedisStore(STORE, prefix=prefix, timeout=timeout)


def new_client() -> Client:
    client = Client(CONFIG, store=open_store())

    def hear(change: FlagChange) -> None:
        value = client.variation(change.key, CONTEXT, None)
        with open(HEARD, "a", encoding="utf-8") as file:  # noqa: PTH123  one write, one line
            file.write(f"{os.getpid()} {change.key} {value}\n")
        LAST_HEARD[change.key] = value

    client.on_change(None, hear)
    assert client.wait_until_ready(PATIENCE)
    return client


def our_threads() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("flagkeep")]


CLIENT: Final = new_client()
BEFORE: Final = CLIENT.variation("flag", CONTEXT, None)
THREADS_BEFORE: Final = len(our_threads())


def report() -> dict[str, Any]:
    """What this process sees, and what it is."""
    begun = time.monotonic()
    value = CLIENT.variation("flag", CONTEXT, None)
    took = time.monotonic() - begun
    return {
        "process": os.getpid(),
        "imported_by": IMPORTED_BY,
        "before": BEFORE,
        "threads_before": THREADS_BEFORE,
        "value": value,
        "all": CLIENT.all_flags(CONTEXT).to_values(),
        "heard": LAST_HEARD.get("flag"),
        "seconds": took,
        "available": CLIENT.status.store is not None and CLIENT.status.store.available,
        "threads": our_threads(),
    }


def close() -> dict[str, Any]:
    begun = time.monotonic()
    complete = CLIENT.close().complete
    return {"process": os.getpid(), "complete": complete, "seconds": time.monotonic() - begun}


def application(
    environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]
) -> Iterable[bytes]:
    """The WSGI application: `/` reports, `/close` closes the client."""
    answer = close() if environ["PATH_INFO"] == "/close" else report()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
