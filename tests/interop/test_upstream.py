"""Official SDKs take the fake upstream for the real thing: they start, follow, send events."""

import json
import subprocess
from collections.abc import Callable
from typing import Any, Self

import pytest

from benchmarks import interpreters
from flagkeep.testing import FakeUpstream, TestData
from tests.interop import packages

# Needs package registries once; the other Pythons need not repeat it.
pytestmark = [pytest.mark.extras, pytest.mark.slow, pytest.mark.timeout(300)]

Command = Callable[[], list[str]]
PATIENCE = 60.0


def python() -> list[str]:
    return [packages.python()[0], str(packages.HERE / "python/connected.py")]


def node() -> list[str]:
    return ["node", str(packages.HERE / "node/connected.js"), *node_package()]


def node_package() -> list[str]:
    return packages.node("current", "@launchdarkly/node-server-sdk")[2:]


class Connected:
    """An official SDK that runs beside the test."""

    def __init__(self, command: Command, upstream: FakeUpstream, *, stream: bool) -> None:
        self.process = subprocess.Popen(
            command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=interpreters.clean_environment(),
        )
        self.ask({"uri": upstream.uri, "stream": stream})

    def ask(self, what: object = None) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def value(self) -> Any:
        self.ask()
        return self.answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.process.communicate(timeout=PATIENCE)
        finally:
            self.process.kill()


@pytest.mark.parametrize("command", [python, node])
@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "polling"])
def test_an_official_sdk_starts_and_its_events_arrive(command: Command, *, stream: bool) -> None:
    data = TestData()
    data.update(data.flag("f").variations("a", "b").variation_for_all(0))
    with FakeUpstream(data, sdk_key="sdk-key") as upstream:
        with Connected(command, upstream, stream=stream) as sdk:
            assert (sdk.answer(), sdk.answer()) == (True, "a")
            if stream:
                data.update(data.flag("f").variation_for_all(1))
                upstream.wait_until(lambda: sdk.value() == "b", PATIENCE, what="no new value")
        assert sdk.process.returncode == 0
        counters = upstream.wait_for_events("summary")[0]["features"]["f"]["counters"]
        assert counters[0]["value"] == "a"
        assert [event["metricValue"] for event in upstream.events("custom")] == [3]
        assert upstream.diagnostics[0]["kind"] == "diagnostic-init"
        assert upstream.requests_to("/all" if stream else "/sdk/latest-all")
        upstream.wait_for_streams(0)
