"""The application with a client that is connected to an upstream, and what leaves traces of it.

Settings come by the environment. FORKS_UPSTREAM: its address; FORKS_CA: who has signed its
certificate. FORKS_SOURCE: "streaming" or "polling". FORKS_STORE: the address of a store, if any.
FORKS_TRACES: a file to which every process adds what it has done:

    did PROCESS NAME COUNT        evaluated so often, and recorded an event of that name
    is PROCESS INSTANCE -         what its client is called by the upstream
    heard PROCESS VALUE TIME      was told of a change of the flag
"""

import json
import os
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any, Final

from flagkeep import Client, Config, Context
from flagkeep.config import EventSettings, HttpSettings, Polling, Streaming
from flagkeep.hooks import FlagValueChange
from flagkeep.stores import SQLiteStore

UPSTREAM: Final = os.environ["FORKS_UPSTREAM"]
TRACES: Final = os.environ["FORKS_TRACES"]
CONTEXT: Final = Context.create("user-key")
PATIENCE: Final = 20.0  # seconds
IMPORTED_BY: Final = os.getpid()

LAST_HEARD: Final = ["nothing"]  # by this process or one before it


def new_config() -> Config:
    """Return the settings: events go out often, so that some are under way when it comes to it."""
    polls = os.environ["FORKS_SOURCE"] == "polling"
    return Config(
        sdk_key="sdk-key",
        source=Polling(base_uri=UPSTREAM) if polls else Streaming(base_uri=UPSTREAM),
        events=EventSettings(base_uri=UPSTREAM, flush_interval=0.3, diagnostics=False),
        http=HttpSettings(ca_file=os.environ["FORKS_CA"]),
    )


def open_store() -> Any:
    """Return the store, None if there is none."""
    address = os.environ.get("FORKS_STORE", "")
    if not address:
        return None
    if address.startswith("sqlite:///"):
        return SQLiteStore(address.removeprefix("sqlite:///"))
    from flagkeep.stores import RedisStore  # noqa: PLC0415  SQLite's tests need no driver

    return RedisStore(address)


def trace(what: str, *facts: object) -> None:
    """Leave a trace of this process."""
    line = " ".join(map(str, (what, os.getpid(), *facts)))
    with open(TRACES, "a", encoding="utf-8") as file:  # noqa: PTH123  one write, one line
        file.write(line + "\n")


def hear(change: FlagValueChange) -> None:
    """Leave a trace of a change."""
    LAST_HEARD[0] = change.new_value
    trace("heard", change.new_value, time.monotonic())


def work() -> str:
    """Evaluate three times, record an event, leave a trace of that; returns the flag's value."""
    CLIENT.variation("flag", CONTEXT, None)
    value: str = CLIENT.str_variation("flag", CONTEXT, "default")
    CLIENT.variation_detail("flag", CONTEXT, None)
    name = uuid.uuid4().hex
    CLIENT.track(name, CONTEXT)
    trace("did", name, 3)
    trace("is", CLIENT.instance_id, "-")
    return value


def wait_for_writer() -> None:
    """Wait until what came is in the store: a test may stop this process after its answer."""
    writer = CLIENT._data._writer
    if writer is not None:
        writer.idle.wait(PATIENCE)


def report() -> dict[str, Any]:
    """Work, and say what this process is."""
    is_ready = CLIENT.wait_until_ready(PATIENCE)  # nothing has come where uWSGI has just forked
    value = work()
    wait_for_writer()
    return {
        "process": os.getpid(),
        "imported_by": IMPORTED_BY,
        "ready": is_ready,
        "value": value,
        "instance": CLIENT.instance_id,
    }


def answer(path: str) -> dict[str, Any]:
    """Return what a request or task gets: `/close` closes the client, `/flush` delivers events."""
    if path == "/close":
        closed = CLIENT.close()
        return {"process": os.getpid(), "complete": closed.complete, "lost": closed.events_lost}
    if path == "/flush":
        return {"process": os.getpid(), "delivered": CLIENT.flush(PATIENCE)}
    return report()


def application(
    environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]
) -> Iterable[bytes]:
    """The WSGI application."""
    body = json.dumps(answer(environ["PATH_INFO"])).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]


CLIENT: Final = Client(new_config(), store=open_store())
CLIENT.on_value_change("flag", CONTEXT, hear)
CLIENT.wait_until_ready(PATIENCE)  # not before uWSGI forks
work()
