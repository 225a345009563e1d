"""Signal handlers and finalizers use the client while the thread they interrupt is at it."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")

HANDLER = """
import signal
import threading

from flagkeep import Client, Config, Context, EventSettings, Streaming
from flagkeep._runtime.guard import Guard
from flagkeep.testing import FakeUpstream

user = Context.create("user-key")
closed = []
take = Guard.__enter__


def interrupted(guard):
    take(guard)
    if threading.current_thread() is threading.main_thread() and armed and armed.pop():
        signal.raise_signal(signal.SIGTERM)


armed = []
Guard.__enter__ = interrupted  # the worst moment: every step of the recorder has a guard
with FakeUpstream() as upstream:
    config = Config(
        sdk_key="key",
        source=Streaming(base_uri=upstream.uri),
        events=EventSettings(base_uri=upstream.uri),
    )
    client = Client(config)
    assert client.wait_until_ready()
    signal.signal(signal.SIGTERM, lambda *_: closed.append(client.close(2.0)))
    client.track("before", user)
    armed.append(True)
    client.track("interrupted", user)
    names = [event["key"] for event in upstream.events("custom")]
    assert "before" in names, names
    assert len(closed) == 1, closed
print("ended")
"""


def test_a_handler_that_closes_the_client_may_interrupt_its_use() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANDLER],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr
