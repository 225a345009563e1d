"""Items too large for DynamoDB or Consul: ours as other SDKs see them, and theirs as we do."""

import random
from typing import Any

import pytest

from flagkeep import CachePolicy, Client, Config, Context, StorePolicy
from flagkeep.model.item import Kind
from tests._sync.hand_source import environment
from tests.interop import ours
from tests.interop.dataset import DataSet
from tests.interop.items import YES, Json, flag
from tests.interop.peers import PAIRS, Pair, Peer, of_pairs
from tests.interop.place import Place
from tests.interop.service import streaming
from tests.interop.waiting import PATIENCE, until

pytestmark = [
    pytest.mark.extras,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("dynamodb_here", "consul_here"),
]

USER = {"kind": "user", "key": "user-1"}
OTHER = flag("other", fallthrough={"variation": YES})
KILOBYTE = 1024
NOTHING = ours.DEFAULT


def of(database: str, *names: str) -> list[Pair]:
    return [pair for pair in PAIRS if pair.database == database and pair.peer.name in names]


def large(key: str, version: int, size: int, **more: Any) -> Json:
    """Return a flag that says "yes", with a text of so many bytes that cannot be packed well."""
    text = random.Random(version).randbytes(size // 2).hex()
    return flag(
        key, version=version, fallthrough={"variation": YES}, variations=["no", "yes", text], **more
    )


def small(key: str, version: int) -> Json:
    """Return a flag that says "no"."""
    return flag(key, version=version)


def data_of(*flags: Json, changes: tuple[Json, ...] = ()) -> DataSet:
    return DataSet(flags, [], [(False, one) for one in changes], [USER])


def write(place: Place, data: DataSet) -> None:
    """Put everything into the store, then each change."""
    store = place.store()
    try:
        store.replace(environment(*data.flags))
        for change in data.changes:
            store.upsert(ours.as_change_set(*change))
    finally:
        store.close()


def values(place: Place, *keys: str) -> dict[str, Any]:
    """Return what we read: a client that holds everything, and one that asks for each item."""
    policy = StorePolicy(prefetch=False, deadline=PATIENCE)
    context = Context.from_dict(USER)
    with Client(Config(daemon=True), store=place.store()) as client:
        assert client.wait_until_ready(PATIENCE)
        whole = {key: client.variation(key, context, NOTHING) for key in keys}
    config = Config(daemon=True, cache=CachePolicy.off(), store_policy=policy)
    with Client(config, store=place.store()) as client:
        assert whole == {key: client.variation(key, context, NOTHING) for key in keys}
    return whole


def their_values(peer: Peer, place: Place, *keys: str) -> dict[str, Any]:
    seen = peer.evaluate(place, data_of(*(small(key, 1) for key in keys)))
    found = {key: seen.details[0][key][0] for key in keys}
    assert seen.all_flags == {key: value for key, value in found.items() if value != NOTHING}
    return found


# --- DynamoDB -------------------------------------------------------------------------------------


@of_pairs(of("dynamodb", "python", "go", "node-legacy"))
def test_they_go_on_with_the_last_version_that_fitted(peer: Peer, place: Place) -> None:
    changes = (large("grown", 2, 900 * KILOBYTE), large("born large", 1, 500 * KILOBYTE))
    write(place, data_of(small("grown", 1), OTHER, changes=changes))
    keys = ("grown", "born large", "other")
    assert values(place, *keys) == dict.fromkeys(keys, "yes")
    theirs = {"grown": "no", "born large": NOTHING, "other": "yes"}
    assert their_values(peer, place, *keys) == theirs


@of_pairs(of("dynamodb", "python", "go", "node-legacy"))
def test_what_they_write_after_us_counts_for_us_too(peer: Peer, place: Place) -> None:
    grown = large("grown", 2, 900 * KILOBYTE)
    write(place, data_of(small("grown", 1), OTHER, changes=(grown,)))
    data = data_of(OTHER, small("grown", 1), changes=(small("grown", 3),))
    with streaming(data, place) as stream, peer.writing(place, stream):
        until(lambda: place.items(Kind.FLAG)["grown"]["version"] == 3)
    assert values(place, "grown", "other") == {"grown": "no", "other": "yes"}


@of_pairs(of("dynamodb", "python"))
def test_one_that_is_too_large_for_python_leaves_us_what_was_there(
    peer: Peer, place: Place
) -> None:
    write(place, data_of(small("grown", 1), OTHER))
    data = data_of(small("grown", 2), OTHER, large("born large", 1, 500 * KILOBYTE))
    with streaming(data, place) as stream:
        peer.fail_to_write(place, stream, "has exceeded the maximum allowed size")
    theirs = {"grown": "no", "born large": NOTHING, "other": "yes"}
    assert values(place, "grown", "born large", "other") == theirs
    assert place.items(Kind.FLAG)["grown"]["version"] == 1


@of_pairs(of("dynamodb", "go"))
def test_one_that_is_too_large_for_go_is_gone_for_all(peer: Peer, place: Place) -> None:
    write(place, data_of(small("grown", 1), OTHER))
    data = data_of(large("grown", 2, 500 * KILOBYTE), small("other", 2))
    with streaming(data, place) as stream, peer.writing(place, stream):
        until(lambda: place.items(Kind.FLAG)["other"]["version"] == 2)
    seen = {"grown": NOTHING, "other": "no"}
    assert values(place, "grown", "other") == their_values(peer, place, "grown", "other") == seen


@of_pairs(of("dynamodb", "go"))
def test_what_they_delete_is_gone_for_us_too(peer: Peer, place: Place) -> None:
    grown, born = large("grown", 2, 500 * KILOBYTE), large("born large", 1, 500 * KILOBYTE)
    write(place, data_of(small("grown", 1), OTHER, changes=(grown, born)))
    data = data_of(small("other", 2))
    with streaming(data, place) as stream, peer.writing(place, stream):
        until(lambda: place.items(Kind.FLAG)["other"]["version"] == 2)
    assert values(place, "grown", "other") == {"grown": NOTHING, "other": "no"}


# --- Consul ---------------------------------------------------------------------------------------


@of_pairs(of("consul", "python", "go", "node-legacy"))
def test_they_read_what_is_too_large_for_a_transaction(
    peer: Peer, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    changes = (large("large", 2, 500 * KILOBYTE), large("too large", 2, 600 * KILOBYTE))
    flags = (small("large", 1), small("too large", 1), large("other", 1, 450 * KILOBYTE))
    write(place, data_of(*flags, changes=changes))
    theirs = {"large": "yes", "too large": "no", "other": "yes"}
    assert values(place, *theirs) == their_values(peer, place, *theirs) == theirs
    errors = [one.getMessage() for one in caplog.records if one.levelname in {"ERROR", "WARNING"}]
    assert len(errors) == 1
    assert "'too large'" in errors[0]


@of_pairs(of("consul", "python", "go"))
def test_one_that_is_too_large_for_them_leaves_us_what_was_there(peer: Peer, place: Place) -> None:
    write(place, data_of(small("grown", 1), OTHER))
    data = data_of(large("grown", 2, 600 * KILOBYTE), OTHER)
    with streaming(data, place) as stream:
        peer.fail_to_write(place, stream, "too large")
    theirs = {"grown": "no", "other": "yes"}
    assert values(place, *theirs) == theirs


@of_pairs(of("consul", "go"))
def test_many_that_go_cannot_write_at_once_it_can_read(peer: Peer, place: Place) -> None:
    many = data_of(*(large(f"flag-{number}", 2, 9 * KILOBYTE) for number in range(64)))
    with streaming(many, place) as stream:
        peer.fail_to_write(place, stream, "too large")
    assert not place.is_marked()
    write(place, many)
    keys = many.keys[:-1]
    assert their_values(peer, place, *keys) == dict.fromkeys(keys, "yes")
