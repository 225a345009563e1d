"""Clients of the official API in forked children, with `postfork` and without."""

import threading
from pathlib import Path
from typing import Final

import pytest

from flagkeep.testing import FakeUpstream
from tests.ldclient.programs import PATIENCE, run
from tests.ldclient.sources import flag

HEAD: Final = """
import os, sys, threading, time, warnings
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
import flagkeep.ldclient
flagkeep.ldclient.install()
import ldclient
from ldclient import Config, Context, LDClient
from ldclient.feature_store import CacheConfig
from ldclient.integrations import Redis
from ldclient.integrations.test_data import TestData
from ldclient.interfaces import UpdateProcessor
from ldclient.versioned_data_kind import FEATURES, SEGMENTS

USER = Context.create("u")
how = sys.argv[1]

def flag(value, version):
    return {"key": "f", "version": version, "on": True, "variations": [value], "salt": "",
            "fallthrough": {"variation": 0}}

def until(client, expected):
    give_up = time.monotonic() + 20
    while (seen := client.variation("f", USER, None)) != expected:
        assert time.monotonic() < give_up, f"still {seen!r} in {os.getpid()}"
        time.sleep(0.005)

def in_child(client, look):
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    try:
        if how == "postfork":
            client.postfork()
        look()
        client.close()
        os._exit(0)
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)

def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""

REDIS: Final = (
    HEAD
    + """
url = sys.argv[2]
store = Redis.new_feature_store(url, caching=CacheConfig(expiration=0.1))
store.init({FEATURES: {"f": flag(1, 1)}, SEGMENTS: {}})
config = Config("k", use_ldd=True, send_events=False, feature_store=store)
with LDClient(config) as client:
    until(client, 1)
    children = [in_child(client, lambda: until(client, 2)) for _ in range(2)]
    other = Redis.new_feature_store(url)
    other.upsert(FEATURES, flag(2, 2))
    print([ended(child) for child in children])
    until(client, 2)
    other.upsert(FEATURES, flag(3, 3))
    until(client, 3)
    other.close()
print(store.get(FEATURES, "f")["version"])
store.close()
"""
)

SHARED: Final = (
    HEAD
    + """
store = Redis.new_feature_store(sys.argv[2], caching=CacheConfig.disabled())
store.init({FEATURES: {"f": flag(1, 1)}, SEGMENTS: {}})
ldclient.set_config(Config("k", use_ldd=True, send_events=False, feature_store=store))
until(ldclient.get(), 1)
store.get(FEATURES, "f")  # the store has a connection of its own now

def look():
    until(ldclient.get(), 1)
    store.upsert(FEATURES, flag(2, 2))
    assert store.get(FEATURES, "f")["version"] == 2
    until(ldclient.get(), 2)
    store.close()

print([ended(in_child(ldclient.get(), look))])
until(ldclient.get(), 2)
print(store.get(FEATURES, "f")["version"])
ldclient.get().close()
store.close()
"""
)

OWN_SOURCE: Final = (
    HEAD
    + """
path = sys.argv[2]

class FollowingFile(UpdateProcessor):
    def __init__(self, config, store, ready):
        self.store, self.ready, self.stopped = store, ready, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.process = os.getpid()
    def start(self):
        self.thread.start()
    def run(self):
        known = None
        while not self.stopped.wait(0.005):
            with open(path) as file:
                value = int(file.read() or 0)
            if value != known:
                known = value
                self.store.init({FEATURES: {"f": flag(value, value)}, SEGMENTS: {}})
                self.ready.set()
    def stop(self):
        assert self.process == os.getpid(), "the parent's"
        self.stopped.set()
    def initialized(self):
        return self.ready.is_set()

def write(value):
    with open(path + ".new", "w") as file:
        file.write(str(value))
    os.replace(path + ".new", path)

write(1)
config = Config("k", send_events=False, update_processor_class=FollowingFile)
with LDClient(config) as client:
    until(client, 1)

    def look():
        until(client, 2)
        write(3)
        until(client, 3)

    child = in_child(client, look)
    write(2)
    print([ended(child)])
    until(client, 3)
print("closed")
"""
)

TEST_DATA: Final = (
    HEAD
    + """
data = TestData.data_source()
data.update(data.flag("f").value_for_all(1))
config = Config("k", send_events=False, update_processor_class=data)
with LDClient(config) as client:
    until(client, 1)

    def look():
        until(client, 1)
        data.update(data.flag("f").value_for_all(2))
        until(client, 2)
        config.feature_store.upsert(FEATURES, flag(9, 99))
        until(client, 9)

    print([ended(in_child(client, look))])
    until(client, 1)
print("closed")
"""
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]
by_itself_or_not = pytest.mark.parametrize("how", ["by itself", "postfork"])


@pytest.mark.extras
@by_itself_or_not
def test_children_of_a_reader_of_redis_see_new_values(redis_url: str, how: str) -> None:
    assert run(REDIS, how, redis_url).splitlines() == ["[0, 0]", "3"]


@pytest.mark.extras
@by_itself_or_not
def test_parent_and_child_each_use_store_and_shared_client(redis_url: str, how: str) -> None:
    assert run(SHARED, how, redis_url).splitlines() == ["[0]", "2"]


@by_itself_or_not
def test_a_source_of_the_application_begins_anew_in_the_child(tmp_path: Path, how: str) -> None:
    assert run(OWN_SOURCE, how, str(tmp_path / "value")).splitlines() == ["[0]", "closed"]


@by_itself_or_not
def test_test_data_works_on_in_the_child(how: str) -> None:
    assert run(TEST_DATA, how).splitlines() == ["[0]", "closed"]


UPSTREAM: Final = (
    HEAD
    + """
uri = sys.argv[2]
config = Config("k", stream_uri=uri, events_uri=uri, flush_interval=3600, diagnostic_opt_out=True)
client = LDClient(config)
until(client, "first")
client.track("in parent", USER)

def look():
    until(client, "second")
    client.track("in child", Context.create("child"))

child = in_child(client, look)
print("forked", flush=True)
assert ended(child) == 0
until(client, "second")
client.close()
"""
)


@pytest.mark.parametrize("how", ["by itself", "postfork"])
def test_fix_a_connected_client_works_in_the_child_and_events_are_sent_once(how: str) -> None:
    """FIX (python-api.md 4): official relies on locks that may be held at fork time."""
    with FakeUpstream() as upstream:
        upstream.put({"f": flag("f", "first")})
        program = threading.Thread(target=run, args=(UPSTREAM, how, upstream.uri))
        program.start()
        upstream.wait_for_streams(1, timeout=PATIENCE)
        upstream.wait_for_request("/all", 2, timeout=PATIENCE)
        upstream.patch("flags", flag("f", "second", 2))
        program.join()
        tracked = [(event["key"], event["context"]["key"]) for event in upstream.events("custom")]
        assert sorted(tracked) == [("in child", "child"), ("in parent", "u")]
        streams = upstream.requests_to("/all")
        assert len({one.headers["x-launchdarkly-instance-id"] for one in streams}) == len(streams)
