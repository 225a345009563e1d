"""Listeners in a process that can start no thread more, as one that ends: Python 3.12 refuses."""

import threading

import pytest

from flagkeep import Client, Config, Context, EventSettings, Streaming
from flagkeep.hooks import FlagValueChange
from flagkeep.testing import FakeUpstream, TestData


def test_listeners_are_told_and_the_stream_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start
    heard: list[str] = []
    is_told = threading.Event()

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "flagkeep-notices":
            raise RuntimeError("can't start new thread")
        start(thread)

    def hear(change: FlagValueChange) -> None:
        heard.append(change.new_value)
        is_told.set()

    data = TestData()
    data.update(data.flag("greeting").variations("one", "two", "three").variation_for_all(0))
    with FakeUpstream(data) as upstream:
        config = Config(
            sdk_key="sdk-key",
            source=Streaming(base_uri=upstream.uri),
            events=EventSettings(base_uri=upstream.uri, diagnostics=False),
        )
        with Client(config) as client:
            assert client.wait_until_ready(5)
            client.on_value_change("greeting", Context.create("ann"), hear)
            monkeypatch.setattr(threading.Thread, "start", refuse)
            for number, value in ((1, "two"), (2, "three")):
                is_told.clear()
                data.update(data.flag("greeting").variation_for_all(number))
                assert is_told.wait(5)
                assert heard[-1] == value
            assert client.status.source is not None
            assert client.status.source.error is None
        upstream.wait_for_streams(0)
        assert len(upstream.requests_to("/all")) == 1
