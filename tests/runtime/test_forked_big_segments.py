"""Big Segments in the child of a bare fork, through a client that was made before it."""

import os
from pathlib import Path

import pytest

from tests.runtime.test_forked_clients import run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
]

FLAGS = """
from flagkeep import BigSegmentSettings
from flagkeep.testing import BigSegmentData, TestData

members = BigSegmentData().include("s", "user-key")
flags = TestData()
flags.update_segment({"key": "s", "version": 1, "unbounded": True, "generation": 1})
flags.use_preconfigured_flag({
    "key": "f", "version": 1, "on": True, "variations": [False, True], "offVariation": 0,
    "fallthrough": {"variation": 0},
    "rules": [{"variation": 1, "clauses": [
        {"attribute": "", "op": "segmentMatch", "values": ["s"]}]}],
})
settings = BigSegmentSettings(status_poll_interval=0.02)
OTHER = Context.create("other")
"""


def test_a_child_asks_and_polls_for_itself_and_keeps_what_was_known(tmp_path: Path) -> None:
    run(
        tmp_path,
        FLAGS
        + """
client = Client(Config(source=flags, big_segments=settings), big_segment_store=members.store())
assert client.wait_until_ready(10)
assert client.variation("f", USER, None) is True

def child():
    asked = len(members.asked)
    assert client.variation("f", USER, None) is True
    assert len(members.asked) == asked          # memory stays
    assert client.variation("f", OTHER, None) is False
    assert len(members.asked) == asked + 1
    members.updated(None)
    until(lambda: client.big_segment_status().stale, "no poll in the child")
    client.close()

wait(in_child(child))
assert not client.big_segment_status().stale
assert client.close().complete
""",
    )


def test_a_child_does_not_wait_for_what_hangs_in_its_parent(tmp_path: Path) -> None:
    run(
        tmp_path,
        FLAGS
        + """
class Hanging:
    name = "hanging"
    told = 0

    def __init__(self):
        self.inner = members.store()
        self.parent = os.getpid()

    def get_metadata(self):
        return self.inner.get_metadata()

    def get_membership(self, hashed):
        if os.getpid() == self.parent:
            threading.Event().wait()
        return self.inner.get_membership(hashed)

    def after_fork(self):
        self.told += 1

    def close(self):
        pass

store = Hanging()
policy = StorePolicy(deadline=0.1)
client = Client(
    Config(source=flags, big_segments=settings, store_policy=policy), big_segment_store=store
)
assert client.wait_until_ready(10)
client.big_segment_status()
detail = client.variation_detail("f", USER, None)
assert detail.reason.big_segments_status == "STORE_ERROR", detail

def child():
    assert store.told == 1
    until_value(client, True)
    client.close()

wait(in_child(child))
assert store.told == 0
client.close()
""",
    )
