"""Prefixes that are empty: everybody takes the default then, which in DynamoDB is none.

All other tests here have prefixes that are not plain ASCII.
"""

from collections.abc import Iterator

import pytest

from flagkeep.model.item import Kind
from tests._sync.hand_source import environment
from tests.interop import ours
from tests.interop.comparing import assert_same
from tests.interop.dataset import DataSet
from tests.interop.items import LAST, YES, flag, segment
from tests.interop.peers import PAIRS, Peer, of_pairs
from tests.interop.place import Place
from tests.interop.service import streaming
from tests.interop.waiting import until
from tests.servers import consul

pytestmark = [
    pytest.mark.extras,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("dynamodb_here", "consul_here"),
]

DEFAULTS = {"redis": "launchdarkly", "dynamodb": "", "consul": "launchdarkly"}
# Python's SDK takes an empty prefix by its word there, and python-consul refuses keys that begin
# with a slash. Of Java's newer SDK the store is the test's own, which has no default.
OTHERS = {"consul-python", "redis-java"}
SAME = [pair for pair in PAIRS if str(pair) not in OTHERS]
USER = {"kind": "user", "key": "user-1"}
DATA = DataSet(
    [flag("f", fallthrough={"variation": YES}), flag("gone")],
    [segment("s")],
    [
        (False, {"key": "gone", "version": 4, "deleted": True}),
        (False, flag(LAST, fallthrough={"variation": YES})),
    ],
    [USER],
)


@pytest.fixture
def nameless(place: Place, request: pytest.FixtureRequest) -> Iterator[Place]:
    """An empty environment, with an empty prefix."""
    if place.database != "consul":
        yield place.at("")
        return
    url = request.getfixturevalue("consul_server").url  # nobody else's data has this prefix there
    yield place.at("")
    consul.remove(url, "launchdarkly/")
    consul.remove_records(url, "launchdarkly")


def as_named(place: Place) -> Place:
    """Return the same environment, with the prefix that it really has."""
    return place.at(DEFAULTS[place.database])


@of_pairs(SAME)
def test_they_write_and_we_read(peer: Peer, nameless: Place) -> None:
    with streaming(DATA, as_named(nameless)) as stream, peer.writing(nameless, stream):
        until(as_named(nameless).is_written)
    assert_same(ours.expected(DATA), ours.read(nameless, DATA), {})
    assert_same(ours.expected(DATA), ours.read(as_named(nameless), DATA), {})


@of_pairs(SAME)
def test_we_write_and_they_read(peer: Peer, nameless: Place) -> None:
    store = nameless.store()
    try:
        store.replace(environment(*DATA.flags, segments=tuple(DATA.segments)))
        for change in DATA.changes:
            store.upsert(ours.as_change_set(*change))
    finally:
        store.close()
    assert as_named(nameless).texts(Kind.FLAG).keys() == {"f", "gone", LAST}
    assert_same(peer.evaluate(nameless, DATA), ours.expected(DATA), {})
