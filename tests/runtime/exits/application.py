"""A client that nobody closes, and the applications of servers around it.

EXIT_UPSTREAM: where its events go. They say in which process they were recorded.
"""

import json
import os
from collections.abc import Callable, Iterable
from typing import Any, Final

from flagkeep import Client, Config, Context
from flagkeep.config import EventSettings
from flagkeep.testing import TestData

UPSTREAM: Final = os.environ["EXIT_UPSTREAM"]
CONTEXT: Final = Context.create("user-key")


def new_client() -> Client:
    """Return one whose events wait for the end: no flush comes before it."""
    settings = EventSettings(base_uri=UPSTREAM, flush_interval=1000, diagnostics=False)
    source = TestData()
    client = Client(Config(sdk_key="sdk-key", source=source, events=settings))
    client.wait_until_ready(10)  # not before uWSGI forks
    return client


def record(client: Client, name: str) -> int:
    """Record one event that is there at once, and one that is only counted."""
    client.track(name, CONTEXT, {"process": os.getpid()})
    client.variation(f"flag-of-{name}", CONTEXT, None)
    return os.getpid()


CLIENT: Final = new_client()
RECORDED_BY: Final = record(CLIENT, "import")


def application(
    environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]
) -> Iterable[bytes]:
    """The WSGI application: every request records one event."""
    process = record(CLIENT, environ["PATH_INFO"].strip("/") or "ready")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"process": process, "imported_by": RECORDED_BY}).encode()]
