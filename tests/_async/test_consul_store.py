"""What is particular to the store in Consul; what it shares with others is in the suite."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from flagkeep._async.stores.consul import AsyncConsulStore
from flagkeep._runtime import aio as runtime
from flagkeep.errors import InvalidItem, StoreUnavailable
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import decode
from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.model.tombstone import tombstone
from flagkeep.storage.consul_layout import Names
from flagkeep.storage.contents import Tally, WriterRecord
from tests._async import consul_stores
from tests._async.consul_stores import ME, many, record_at, sized, value
from tests._async.store_suite import flag, flags, full, part, refs
from tests._async.test_stores_rows import TOMBSTONES
from tests.servers.consul import ConsulServer
from tests.servers.consul_faults import ConsulFaults
from tests.servers.http_faults import Ask, Reply, Request

opened = consul_stores.opened
faults = consul_stores.faults
beset = consul_stores.beset
content = consul_stores.content


# --- the layout -----------------------------------------------------------------------------------


async def test_a_full_set_lies_where_every_sdk_looks_for_it(
    opened: Callable[..., AsyncConsulStore], content: Callable[[], dict[str, bytes]]
) -> None:
    store = opened()
    gone = tombstone(Kind.FLAG, "gone", 7)
    await store.replace(full({**flags(a=1), "gone": gone}, segments=["s"]))
    assert content() == {
        "$inited": b"",
        "features/a": flag("a").data,
        "features/gone": gone.data,
        "segments/s": flag("s").data,
    }
    await store.replace(full({}), ME)
    assert content() == {"$inited": b""}
    await store.aclose()


async def test_without_a_prefix_it_is_the_shared_default(consul_server: ConsulServer) -> None:
    store = AsyncConsulStore(consul_server.url, prefix="")
    try:
        await store.replace(full(flags(a=1)), ME)
        assert consul_server.get("launchdarkly/features/a") == flag("a").data
        assert record_at(consul_server, "launchdarkly")["writer"] == "me"
        assert consul_server.get("flagkeep/NRQXK3TDNBSGC4TLNR4Q====/record") is not None
    finally:
        await store.clear()
        await store.aclose()
    assert consul_server.content("launchdarkly/") == {}
    assert record_at(consul_server, "launchdarkly") == {}


@pytest.mark.parametrize("prefix", ["größe", "日本語/ö v+%2F?#", "a..b", "x" * 3000])
async def test_a_prefix_may_be_written_in_any_way(
    prefix: str,
    opened: Callable[..., AsyncConsulStore],
    content: Callable[[], dict[str, bytes]],
    faults: ConsulFaults,
    consul_prefix: str,
) -> None:
    store = opened(f"/{prefix}")
    assert not await store.is_initialized()
    assert await store.read_record() is None
    items = {**flags(a=1), "é": flag("é", 2), "big": sized("big", 1, 450_000)}
    await store.replace(full(items, segments=["s"]), ME)
    assert await store.is_initialized()
    record = await store.read_record()
    assert record is not None
    assert record.writer == "me"
    assert content().keys() == {
        f"{prefix}/{name}"
        for name in ("$inited", "features/a", "features/é", "features/big", "segments/s")
    }
    assert (await store.get_all()).flags == items
    assert [await value(store, key) for key in ("a", "é", "big", "none")] == [1, 2, 1, None]
    newer = {**flags(a=3), "big": sized("big", 2, 450_000)}
    assert await store.upsert(part(newer)) == {}
    reader = AsyncConsulStore(faults.url, prefix=f"{consul_prefix}/{prefix}")
    assert await value(reader, "a") == 3
    assert faults.counts == {"GET kv": 1}
    faults.say("PUT txn", 403, b"Access is restricted")  # by GET alone
    assert await reader.is_initialized()
    assert (await reader.get_all()).flags == {**items, **newer}
    assert await reader.get_many(refs("é", "none")) == {refs("é")[0]: items["é"]}
    await store.replace(full(flags(a=4)))
    assert content().keys() == {f"{prefix}/{name}" for name in ("$inited", "features/a")}
    await store.clear()
    assert not await store.is_initialized()
    assert content() == {}
    for each in (store, reader):
        await each.aclose()


async def test_neighbours_are_neither_touched_nor_read(
    opened: Callable[..., AsyncConsulStore], consul_server: ConsulServer, consul_prefix: str
) -> None:
    names = ("/env1", "/env10", "/env1/sub", "/env", "")
    stores = [opened(name) for name in names]
    for number, store in enumerate(stores, 1):
        await store.replace(full(flags(own=number), segments=["s"]), ME)
    foreign = {
        "/env1/features2/x": b"1",
        "/env1/metrics/x": b"2",
        "/env1/featuresx": b"3",
        "/env1/own": b"4",
        "/env1x": b"5",
    }
    for key, text in foreign.items():
        consul_server.put(consul_prefix + key, text)
    env1, *others = stores
    before = consul_server.content(consul_prefix)
    await env1.replace(full(many(70)), ME)
    await env1.replace(full({}))
    await env1.clear()
    after = consul_server.content(consul_prefix)
    own = f"{consul_prefix}/env1/"
    removed = {f"{own}$inited", f"{own}features/own", f"{own}segments/s"}
    assert after == {key: text for key, text in before.items() if key not in removed}
    for number, store in enumerate(others, 2):
        contents = await store.get_all()
        assert (contents.flags, contents.bad) == (flags(own=number), ())
        assert await store.read_record() is not None
    for store in stores:
        await store.aclose()


async def test_neighbours_that_others_would_delete_are_named_once(
    opened: Callable[..., AsyncConsulStore],
    consul_server: ConsulServer,
    consul_prefix: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def said() -> list[str]:
        lines = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
        caplog.clear()
        return [line.replace(f"{consul_prefix}/", "") for line in lines]

    alone = opened("/env1")
    await alone.replace(full(many(100)), ME)
    await alone.replace(full(flags(a=1)), ME)
    assert said() == []
    longer, below = opened("/env10"), opened("/env1/sub")
    await longer.replace(full(flags(a=1)))
    (line,) = said()
    assert "'env10' begins with 'env1'" in line
    assert "Go, or the relay" in line
    await below.replace(full(flags(a=1)))
    (line,) = said()
    assert "'env1/sub' begins with 'env1'" in line
    assert "every other SDK deletes this one" in line
    for number in range(3):
        consul_server.put(f"{consul_prefix}/env1-{number}", b"x")
    shorter = opened("/env1")
    for _ in range(2):
        await shorter.replace(full(flags(a=2)), ME)
    inside, others = said()  # once
    assert "'env1/sub/' lies where every other SDK deletes it" in inside
    assert "'env1-0', 'env1-1', 'env1-2' and 1 more lie where an SDK for Go" in others
    for store in (alone, longer, below, shorter):
        await store.aclose()


async def test_nothing_depends_on_what_is_beside(
    beset: AsyncConsulStore, faults: ConsulFaults, caplog: pytest.LogCaptureFixture
) -> None:
    faults.deny("GET kv", where=lambda request: "separator" in request.path)
    await beset.replace(full(flags(a=1)), ME)
    assert (await beset.get_all()).flags == flags(a=1)
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []
    await beset.aclose()


async def test_any_key_comes_back_alone_and_among_others(
    opened: Callable[..., AsyncConsulStore],
) -> None:
    store = opened("/ö v+%2F?#")
    keys = [".", "..", "/", "//", "/a", "a/", "a//b", "a/../b", "./a", "a b", "%2F", "é", "?raw"]
    keys += [
        "a\u200db",
        "\ue000",
        "\x7f",
        "a\r\nb: c",
        "x" * 5000,
        "",
        "$inited",
        "+",
        "#",
        "\\u0000",
    ]
    items = {key: flag("k", number) for number, key in enumerate(keys)}
    assert await store.upsert(part(items)) == {}
    assert (await store.get_all()).flags == items
    for key, item in items.items():
        assert await store.get_many(refs(key)) == {ItemRef(Kind.FLAG, key): item}
        assert await store.upsert(part({key: flag("k", 100)})) == {}
    newest = {ItemRef(Kind.FLAG, key): flag("k", 100) for key in keys}
    assert await store.get_many(refs(*keys, "none", "", "a//c")) == newest
    await store.replace(full({}))
    assert (await store.get_all()).flags == {}
    await store.aclose()


async def test_what_others_have_written_is_read_by_its_key_and_the_version_in_its_text(
    opened: Callable[..., AsyncConsulStore], consul_server: ConsulServer, consul_prefix: str
) -> None:
    store = opened()
    consul_server.put(f"{consul_prefix}/$inited", "any")
    text = b'{"key": "other", "version": 12, "on": true}'
    consul_server.put(f"{consul_prefix}/features/mine", text)
    contents = await store.get_all()
    assert contents.initialized
    assert contents.flags == {"mine": SerializedItem(12, deleted=False, data=text)}
    assert await value(store, "mine") == 12
    assert await store.upsert(part(flags(mine=12))) == {
        refs("mine")[0]: SerializedItem(12, deleted=False, data=text)
    }
    await store.aclose()


@pytest.mark.parametrize("writer", [name for name in TOMBSTONES if "dynamodb" not in name])
async def test_every_form_of_tombstone_reads_as_deleted(
    writer: str,
    opened: Callable[..., AsyncConsulStore],
    consul_server: ConsulServer,
    consul_prefix: str,
) -> None:
    store = opened()
    await store.replace(full(flags(good=1), segments=["fine"]))
    tree, text = TOMBSTONES[writer]
    kind = Kind.FLAG if tree == "features" else Kind.SEGMENT
    consul_server.put(f"{consul_prefix}/{tree}/gone", text)
    contents = await store.get_all()
    assert contents.bad == ()
    assert contents.flags["good"] == flag("good")
    found = contents.of(kind)["gone"]
    assert (found.deleted, found.version) == (True, 7)
    ref = ItemRef(kind, "gone")
    assert await store.get_many([ref]) == {ref: found}
    assert await store.upsert(ChangeSet.partial({ref: flag("gone", 7)})) == {ref: found}
    assert await store.upsert(ChangeSet.partial({ref: flag("gone", 8)})) == {}
    await store.aclose()


async def test_a_bad_item_is_named_and_hides_no_other(
    opened: Callable[..., AsyncConsulStore], consul_server: ConsulServer, consul_prefix: str
) -> None:
    store = opened()
    await store.replace(full(flags(good=3)), ME)
    bad = {
        "null": b"null",
        "empty": b"",
        "binary": b"\xff\0",
        "list": b"[]",
        "cut": b'{"version":1',
    }
    for key, text in bad.items():
        consul_server.put(f"{consul_prefix}/features/{key}", text)
    contents = await store.get_all()
    assert contents.flags.keys() == {"good"}
    assert {one.key for one in contents.bad} == bad.keys()
    found = await store.get_many(refs("good", *bad))
    assert found.pop(refs("good")[0]) == flag("good", 3)
    assert {ref.key: item.data for ref, item in found.items()} == bad
    for ref, item in found.items():
        with pytest.raises(InvalidItem):
            decode(ref.kind, item.data, ref.key)
    assert await store.upsert(part({key: flag("k") for key in bad})) == {}
    contents = await store.get_all()
    assert contents.flags.keys() == {"good", *bad}
    assert contents.bad == ()
    await store.aclose()


async def test_keys_without_a_form_are_passed_over(
    opened: Callable[..., AsyncConsulStore], caplog: pytest.LogCaptureFixture
) -> None:
    store = opened()
    items = {**flags(a=1), "\ud800": flag("x"), "huge": SerializedItem(2**70, False, b"{}")}
    await store.replace(full(items))
    assert (await store.get_all()).flags == flags(a=1)
    assert await store.get_many(refs("\ud800", "a")) == {refs("a")[0]: flag("a")}
    assert len([one for one in caplog.records if "not stored" in one.getMessage()]) == 2
    await store.aclose()


# --- full sets ------------------------------------------------------------------------------------


async def test_a_small_set_is_written_in_one_transaction(
    beset: AsyncConsulStore, faults: ConsulFaults
) -> None:
    await beset.replace(full(many(50), segments=["s"]), ME)
    writes = [one for one in faults.requests if b'"set"' in one.body]
    assert len(writes) == 1
    assert writes[0].body.count(b'"Verb"') == 53  # with marker and record
    record = await beset.read_record()
    assert record is not None
    assert (record.replacing, record.replaces) == (False, 1)
    await beset.aclose()


async def test_a_large_set_is_written_in_batches_the_marker_last(
    beset: AsyncConsulStore, faults: ConsulFaults, consul_prefix: str
) -> None:
    await beset.replace(full(many(100)), ME)
    faults.requests.clear()
    items = {**many(150, 2), "z": flag("z", 1, prerequisites='[{"key":"y"}]'), "y": flag("y")}
    await beset.replace(full({key: items[key] for key in items if key != "f7"}, ["s"]), ME)
    bodies = [json.loads(one.body) for one in faults.requests if one.operation == "PUT txn"]
    steps = [[(one["KV"]["Verb"], one["KV"]["Key"]) for one in body] for body in bodies]
    assert [len(batch) for batch in steps] == [1, 64, 64, 26, 2]  # the first one reads the record
    flat = [(verb, key.removeprefix(f"{consul_prefix}/")) for batch in steps for verb, key in batch]
    record, marker = ("set", Names(consul_prefix).record), ("set", "$inited")
    assert flat[1:3] == [record, ("set", "segments/s")]
    assert flat[-3:] == [("delete", "features/f7"), marker, record]
    assert flat.index(("set", "features/y")) < flat.index(("set", "features/z"))
    written = [json.loads(one) for one in _records(bodies, consul_prefix)]
    assert [one.get("replacing", False) for one in written] == [True, False]
    assert [one["replaces"] for one in written] == [1, 2]
    assert (await beset.get_all()).flags.keys() == items.keys() - {"f7"}
    await beset.aclose()


def _records(bodies: list[Any], prefix: str) -> list[bytes]:
    import base64  # noqa: PLC0415  here only

    operations = [one["KV"] for body in bodies for one in body]
    own = [one for one in operations if one["Key"] == Names(prefix).record and "Value" in one]
    return [base64.b64decode(one["Value"]) for one in own]


async def test_a_transaction_that_fails_is_an_error_and_nothing_of_the_marker_is_written(
    beset: AsyncConsulStore,
    faults: ConsulFaults,
    content: Callable[[], dict[str, bytes]],
    consul_server: ConsulServer,
    consul_prefix: str,
) -> None:
    def is_second_batch(request: Request) -> bool:
        return b'"set"' in request.body

    faults.lose_leader("PUT txn", where=is_second_batch, after=1)
    with pytest.raises(StoreUnavailable, match="replace failed: its cluster has no leader"):
        await beset.replace(full(many(150)), ME)
    stored = content()
    assert len(stored) == 63
    assert "$inited" not in stored
    assert not await beset.is_initialized()
    record = record_at(consul_server, consul_prefix)
    assert (record["writer"], record["replacing"]) == ("me", True)
    faults.pass_on()
    await beset.replace(full(many(150)), ME)
    assert (await beset.get_all()).flags == many(150)
    again = await beset.read_record()
    assert again is not None
    assert (again.replacing, again.replaces, again.counts[Kind.FLAG]) == (False, 1, 150)
    await beset.aclose()


async def test_a_change_keeps_the_record_of_a_replace_that_never_ended(
    opened: Callable[..., AsyncConsulStore], consul_server: ConsulServer, consul_prefix: str
) -> None:
    left = WriterRecord(writer="you", replacing=True, replaces=3)
    consul_server.put(Names(consul_prefix).record, left.encode())
    store = opened()
    await store.upsert(part(flags(a=1)))
    record = await store.read_record()
    assert record is not None
    assert (record.writer, record.replacing, record.replaces) == ("you", True, 3)
    assert record.counts[Kind.FLAG] == 1
    await store.aclose()


async def test_an_item_larger_than_a_transaction_is_written_alone(
    beset: AsyncConsulStore, faults: ConsulFaults
) -> None:
    items = {"big": sized("big", 1, 512 * 1024), **flags(a=1, b=1)}
    await beset.replace(full(items), ME)
    assert (await beset.get_all()).flags == items
    assert faults.counts["PUT kv"] == 1
    record = await beset.read_record()
    assert record is not None
    assert record.digest == Tally.of_set(full(items)).digest
    newer = {"big": sized("big", 2, 400_000), **flags(a=2)}
    assert await beset.upsert(part(newer)) == {}
    assert await beset.upsert(part({"big": sized("big", 1, 400_000)})) == {
        refs("big")[0]: newer["big"]
    }
    assert faults.counts["PUT kv"] == 2
    record = await beset.read_record()
    assert record is not None
    assert record.digest == Tally.of_set(full({**items, **newer})).digest
    assert (await beset.get_all()).flags == {**items, **newer}
    await beset.aclose()


async def test_an_item_over_the_limit_is_named_and_keeps_its_last_good_text(
    opened: Callable[..., AsyncConsulStore], caplog: pytest.LogCaptureFixture
) -> None:
    store = opened()
    await store.replace(full(flags(big=1, gone=1)), ME)
    odd, limit = "a//b", 512 * 1024
    items = {
        "big": sized("big", 2, limit + 1),
        "new": sized("new", 2, 2_000_000),
        odd: sized(odd, 2, 450_000),  # it must stand in a transaction
        **flags(a=2),
    }
    await store.replace(full(items), ME)
    contents = await store.get_all()
    assert contents.initialized
    assert contents.flags == flags(big=1, a=2)
    record = await store.read_record()
    assert record is not None
    assert record.counts[Kind.FLAG] == 2
    assert record.digest == Tally.of_set(full(flags(big=1, a=2))).digest
    said = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert ["'big'" in said[0], "'new'" in said[1], odd in said[2]] == [True] * 3
    assert "524289 bytes" in said[0]
    assert "txn_max_req_len" in said[2]
    assert len(said) == 3
    assert await store.upsert(part({**items, **flags(a=3)})) == {}
    assert (await store.get_all()).flags == flags(big=1, a=3)
    await store.aclose()


@pytest.mark.slow
@pytest.mark.usefixtures("consul_here")
async def test_a_server_that_takes_less_gets_less_at_a_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = {"limits": {"kv_max_value_size": 6000, "txn_max_req_len": 6000}}
    with ConsulServer(limits) as server:
        store = AsyncConsulStore(server.url, prefix="p")
        items = many(100, size=300)
        await store.replace(full({**items, "big": sized("big", 1, 5500)}, ["s"]), ME)
        contents = await store.get_all()
        assert contents.initialized
        assert contents.flags == {**items, "big": sized("big", 1, 5500)}
        newer = many(100, 2, size=300)
        assert await store.upsert(part({**newer, "big": sized("big", 2, 7000)})) == {}
        assert (await store.get_all()).flags == {**newer, "big": sized("big", 1, 5500)}
        said = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
        assert len(said) == 1
        assert "'big'" in said[0]
        await store.aclose()


@pytest.mark.slow
@pytest.mark.usefixtures("consul_here")
async def test_a_server_that_takes_nothing_at_all_is_named() -> None:
    with ConsulServer({"limits": {"kv_max_value_size": 10, "txn_max_req_len": 10}}) as server:
        store = AsyncConsulStore(server.url)
        with pytest.raises(StoreUnavailable, match="takes nothing of this size"):
            await store.replace(full({}))
        await store.aclose()


async def test_a_server_that_takes_no_transaction_of_any_size_is_named(
    beset: AsyncConsulStore, faults: ConsulFaults
) -> None:
    faults.refuse_size("PUT txn", where=lambda request: b"Value" in request.body)
    with pytest.raises(StoreUnavailable, match=r"not even take .* one short key.*txn_max_req_len"):
        await beset.replace(full({}))
    assert await beset.upsert(part(flags(a=1, b=1))) == {}  # each by itself
    assert faults.counts["PUT kv"] == 2
    assert (await beset.get_all()).flags == flags(a=1, b=1)
    faults.refuse_size("PUT txn")
    for ask in (
        lambda: beset.upsert(part(flags(a=2, b=2))),
        lambda: beset.upsert(part(flags(a=2))),
        lambda: beset.replace(full(flags(a=2))),
        beset.clear,
        beset.get_all,
        lambda: beset.get_many(refs("a", "b")),
    ):
        with pytest.raises(StoreUnavailable, match="takes nothing of this size"):
            await ask()
    assert await value(beset) == 1
    await beset.aclose()


@pytest.mark.slow
@pytest.mark.usefixtures("consul_here")
async def test_a_server_that_takes_less_is_asked_for_less_at_a_time() -> None:
    limits = {"limits": {"kv_max_value_size": 3000, "txn_max_req_len": 3000}}
    with ConsulServer(limits) as server:
        store = AsyncConsulStore(server.url, prefix="a/longer/prefix/than/usual")
        items = many(100)
        await store.replace(full(items), ME)
        found = await store.get_many(refs(*items, "none"))
        assert {ref.key: item for ref, item in found.items()} == items
        await store.aclose()


async def test_what_no_transaction_deletes_is_deleted_alone(
    beset: AsyncConsulStore, faults: ConsulFaults, content: Callable[[], dict[str, bytes]]
) -> None:
    await beset.replace(full(flags(a=1, gone=1), segments=["s"]))
    faults.refuse_size("PUT txn", where=lambda request: b'"delete"' in request.body)
    await beset.replace(full(flags(a=2)))
    assert content() == {"$inited": b"", "features/a": flag("a", 2).data}
    assert faults.counts["DELETE kv"] == 2
    odd = "a//b"
    await beset.upsert(part({odd: flag(odd)}))
    with pytest.raises(StoreUnavailable, match=r"not even take .* one short key"):
        await beset.replace(full(flags(a=3)))
    assert content()[f"features/{odd}"] == flag(odd).data  # and not an empty text
    await beset.aclose()


async def test_too_large_now_and_then_is_halved_and_goes_on(
    beset: AsyncConsulStore, faults: ConsulFaults
) -> None:
    def is_write(request: Request) -> bool:
        return b'"set"' in request.body or b'"cas"' in request.body

    faults.refuse_size("PUT txn", where=is_write, times=2)
    await beset.replace(full(many(40)), ME)
    assert (await beset.get_all()).flags == many(40)
    assert await beset.is_initialized()
    faults.refuse_size("PUT txn", where=is_write, times=3)
    assert await beset.upsert(part(many(10, 2))) == {}
    assert (await beset.get_all()).flags == {**many(40), **many(10, 2)}
    await beset.aclose()


async def test_a_server_that_hangs_up_on_too_much_holds_nothing_else_up(
    beset: AsyncConsulStore, faults: ConsulFaults, caplog: pytest.LogCaptureFixture
) -> None:
    faults.cut("PUT kv", after_bytes=-1, where=lambda request: len(request.body) > 512 * 1024)
    await beset.replace(full({"big": sized("big", 1, 600_000), **flags(a=1)}), ME)
    assert (await beset.get_all()).flags == flags(a=1)
    assert "'big'" in caplog.text
    faults.pass_on()
    faults.cut("PUT kv", after_bytes=-1)
    with pytest.raises(StoreUnavailable, match="broke"):  # that was not too much
        await beset.replace(full({"big": sized("big", 1, 450_000)}), ME)
    await beset.aclose()


async def test_a_server_that_is_too_slow_for_much_is_not_said_to_refuse_it(
    faults: ConsulFaults, consul_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = AsyncConsulStore(faults.url, prefix=consul_prefix, timeout=0.3)
    faults.hang("PUT kv")
    for write in (store.replace, store.upsert):
        with pytest.raises(StoreUnavailable, match=r"nothing came for 0\.3 s"):
            await write(full({"big": sized("big", 1, 520_000)}))
    assert "not stored" not in caplog.text
    faults.pass_on()
    await store.aclose()


async def test_an_agent_that_takes_hardly_any_name_in_a_url(
    beset: AsyncConsulStore, faults: ConsulFaults, caplog: pytest.LogCaptureFixture
) -> None:
    def is_refused(request: Request) -> bool:
        return "%" in request.path.partition("?")[0]

    text = b'invalid key name, keys should respect the "^[a-zA-Z0-9,_./\\\\-?&=]+$" format'
    for operation in ("GET kv", "PUT kv"):
        faults.say(operation, 500, text, where=is_refused)
    assert not await beset.is_initialized()
    assert not (await beset.get_all()).initialized
    large, odd = sized("big", 1, 450_000), sized("b:c", 1, 450_000)
    items = {**flags(a=1), "b:d": flag("b:d", 2), "big": large}
    await beset.replace(full({**items, "b:c": odd}), ME)
    assert "b:c" in caplog.text  # no transaction and no URL
    assert await beset.is_initialized()
    assert [await value(beset, key) for key in ("a", "b:d", "b:e")] == [1, 2, None]
    assert (await beset.get_all()).flags == items
    assert await beset.upsert(part({"b:d": flag("b:d", 3)})) == {}
    faults.say("PUT txn", 403, b"Access is restricted")
    for ask in (beset.is_initialized, beset.get_all, lambda: value(beset, "b:d")):
        with pytest.raises(StoreUnavailable, match=r"may not write|1\.21\.5"):
            await ask()
    await beset.aclose()


# --- changes --------------------------------------------------------------------------------------


async def race(stores: list[AsyncConsulStore], count: int) -> None:
    """Let every store write versions of the same flags at the same time."""
    failures: list[Exception] = []

    async def write(store: AsyncConsulStore, first: int) -> None:
        try:
            for version in range(first, first + 2 * count, 2):
                await store.upsert(part(flags(a=version, b=version)))
                await store.upsert(part({f"{first}-{version}": flag("x")}))
        except Exception as exc:  # noqa: BLE001  told to the test
            failures.append(exc)

    def of(store: AsyncConsulStore, number: int) -> Any:
        return lambda: write(store, number)

    tasks = [runtime.spawn("w", of(store, number)) for number, store in enumerate(stores, 1)]
    for task in tasks:
        assert await task.join(30)
    assert failures == []


@pytest.mark.slow
@pytest.mark.parametrize("record", [None, ME])
async def test_no_update_is_lost_when_two_write(
    record: WriterRecord | None, opened: Callable[..., AsyncConsulStore]
) -> None:
    stores = [opened() for _ in range(2)]
    await stores[0].replace(full(flags(a=0, b=0)), record)
    await race(stores, 20)
    contents = await stores[0].get_all()
    assert (contents.flags["a"].version, contents.flags["b"].version) == (40, 40)
    assert len(contents.flags) == 42
    found = await stores[1].read_record()
    assert (found is None) == (record is None)
    if found is not None:
        assert found.counts[Kind.FLAG] == 42
        assert found.digest == Tally.of_set(full(contents.flags)).digest
    for store in stores:
        await store.aclose()


async def test_what_changes_between_reading_and_writing_is_looked_at_again(
    beset: AsyncConsulStore,
    faults: ConsulFaults,
    consul_server: ConsulServer,
    consul_prefix: str,
) -> None:
    await beset.replace(full(flags(a=1)), ME)

    def overtaken(request: Request, ask: Ask) -> Reply:
        for key in ("a", "new"):
            consul_server.put(f"{consul_prefix}/features/{key}", flag(key, 5).data)
        return ask(request)

    faults.on("PUT txn", overtaken, times=1, where=lambda request: b'"cas"' in request.body)
    assert await beset.upsert(part(flags(a=4, new=6, b=1))) == {refs("a")[0]: flag("a", 5)}
    assert (await beset.get_all()).flags == flags(a=5, new=6, b=1)
    await beset.aclose()


@pytest.mark.parametrize(("operation", "size"), [("PUT txn", 100), ("PUT kv", 450_000)])
@pytest.mark.parametrize("again", [None, 1, 5])
async def test_what_is_deleted_between_reading_and_writing_is_looked_at_again(
    beset: AsyncConsulStore,
    faults: ConsulFaults,
    consul_server: ConsulServer,
    consul_prefix: str,
    *,
    again: int | None,
    operation: str,
    size: int,
) -> None:
    key = f"{consul_prefix}/features/a"
    new = sized("a", 4, size)
    await beset.replace(full(flags(a=1)), ME)
    overtook: list[str] = []

    def overtaken(request: Request, ask: Ask) -> Reply:
        overtook.append(request.operation)
        consul_server.delete(key)
        if again is not None:
            consul_server.put(key, flag("a", again).data)
        return ask(request)

    def is_compared(request: Request) -> bool:
        return b'"cas"' in request.body or "cas=" in request.path

    faults.on(operation, overtaken, times=1, where=is_compared)
    refused = {refs("a")[0]: flag("a", 5)} if again == 5 else {}
    assert await beset.upsert(part({"a": new})) == refused
    assert (await beset.get_all()).flags == {"a": flag("a", 5) if again == 5 else new}
    assert overtook == [operation]
    await beset.aclose()


async def test_a_large_item_that_is_overtaken_is_looked_at_again(
    beset: AsyncConsulStore,
    faults: ConsulFaults,
    consul_server: ConsulServer,
    consul_prefix: str,
) -> None:
    await beset.replace(full(flags(a=1)), ME)
    big = sized("a", 6, 450_000)

    def overtaken(request: Request, ask: Ask) -> Reply:
        consul_server.put(f"{consul_prefix}/features/a", flag("a", 5).data)
        return ask(request)

    faults.on("PUT kv", overtaken, times=1)
    assert await beset.upsert(part({"a": big})) == {}
    assert (await beset.get_all()).flags == {"a": big}
    record = await beset.read_record()
    assert record is not None
    assert record.counts == {Kind.FLAG: 1, Kind.SEGMENT: 0}
    await beset.aclose()


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, None])
async def test_the_record_of_a_large_item_follows_as_well_as_it_can(
    times: int | None,
    beset: AsyncConsulStore,
    faults: ConsulFaults,
    consul_server: ConsulServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "flagkeep.stores.consul")
    await beset.replace(full(flags(a=1)), ME)
    record = beset._names.record
    digest = Tally.of_set(full(flags(a=1))).digest
    overtakings: list[int] = []

    def overtaken(request: Request, ask: Ask) -> Reply:
        overtakings.append(1)  # the same text would count as no change
        other = WriterRecord(writer="other", digest=digest, epoch=len(overtakings))
        consul_server.put(record, other.encode())
        return ask(request)

    faults.on("PUT txn", overtaken, times=times, where=lambda request: b'"cas"' in request.body)
    big = sized("a", 2, 450_000)
    assert await beset.upsert(part({"a": big})) == {}
    assert await value(beset) == 2
    found = await beset.read_record()
    assert found is not None
    assert found.writer == "other"
    is_counted = found.digest == Tally.of_set(full({"a": big})).digest
    assert is_counted == (times == 1)
    assert ("does not count the last change" in caplog.text) == (times is None)
    await beset.aclose()


@pytest.mark.slow
@pytest.mark.parametrize("size", [100, 450_000])
async def test_writers_that_never_stop_are_given_up_on(
    size: int,
    beset: AsyncConsulStore,
    faults: ConsulFaults,
    consul_server: ConsulServer,
    consul_prefix: str,
) -> None:
    await beset.replace(full(flags(a=1)))
    overtakings: list[int] = []

    def overtaken(request: Request, ask: Ask) -> Reply:
        overtakings.append(1)
        consul_server.put(f"{consul_prefix}/features/a", b'{"n":%d}' % len(overtakings))
        return ask(request)

    faults.on(None, overtaken, where=lambda one: b'"cas"' in one.body or "cas=" in one.path)
    with pytest.raises(StoreUnavailable, match="10 times in a row; 1 item was not written"):
        await beset.upsert(part({"a": sized("a", 9, size)}))
    assert len(overtakings) == 10
    assert consul_server.get(f"{consul_prefix}/features/a") == b'{"n":10}'
    await beset.aclose()


async def test_a_change_that_was_done_without_saying_so_is_done(
    beset: AsyncConsulStore, faults: ConsulFaults
) -> None:
    await beset.replace(full(flags(a=1)), ME)
    faults.lose_answers("PUT txn", times=1, where=lambda request: b'"cas"' in request.body)
    try:
        refused = await beset.upsert(part(flags(a=2)))
    except StoreUnavailable:
        refused = await beset.upsert(part(flags(a=2)))
    assert refused == {refs("a")[0]: flag("a", 2)}
    assert await value(beset) == 2
    record = await beset.read_record()
    assert record is not None
    assert record.digest == Tally.of_set(full(flags(a=2))).digest
    await beset.aclose()


async def test_many_changes_are_written_in_several_transactions(
    opened: Callable[..., AsyncConsulStore],
) -> None:
    store = opened()
    await store.replace(full(many(150, 5), segments=["s"]), ME)
    changes = {**many(140, 6), "f149": flag("f149", 1)}
    assert await store.upsert(part(changes)) == {
        refs("f149")[0]: many(150, 5)["f149"],
    }
    contents = await store.get_all()
    assert contents.flags == {**many(150, 5), **many(140, 6)}
    record = await store.read_record()
    assert record is not None
    expected = full(contents.flags, segments=["s"])
    assert record.digest == Tally.of_set(expected).digest
    await store.aclose()


# --- reading --------------------------------------------------------------------------------------


async def test_one_item_is_one_get(beset: AsyncConsulStore, faults: ConsulFaults) -> None:
    await beset.replace(full(flags(a=1), segments=["s"]))
    faults.counts.clear()
    assert await value(beset) == 1
    assert await value(beset, "none") is None
    assert await beset.is_initialized()
    assert faults.counts == {"GET kv": 3}
    assert len(await beset.get_many(refs("a", "none"))) == 1
    await beset.get_all()
    assert faults.counts == {"GET kv": 3, "PUT txn": 2}
    await beset.aclose()


async def test_more_than_a_transaction_holds_is_read_in_several(
    opened: Callable[..., AsyncConsulStore],
) -> None:
    store = opened()
    await store.replace(full(many(150)))
    found = await store.get_many(refs(*many(150), "none", "f1", "f1"))
    assert {ref.key: item for ref, item in found.items()} == many(150)
    await store.aclose()


async def test_what_is_read_together_is_of_one_moment(
    opened: Callable[..., AsyncConsulStore],
) -> None:
    reader, writer = opened(), opened()
    sets = [
        ChangeSet(full=True, flags={"a": flag("a", n)}, segments={"s": flag("s", n)})
        for n in (1, 2)
    ]
    await writer.replace(sets[0])

    async def write() -> None:
        for number in range(60):
            await writer.replace(sets[number % 2])

    task = runtime.spawn("w", write)
    both = [*refs("a"), *refs("s", kind=Kind.SEGMENT)]
    while not await task.join(0):
        found = await reader.get_many(both)
        assert found[both[0]].version == found[both[1]].version
        contents = await reader.get_all()
        assert contents.flags["a"].version == contents.segments["s"].version
    for store in (reader, writer):
        await store.aclose()


async def test_items_that_are_as_they_were_are_the_same(
    opened: Callable[..., AsyncConsulStore],
) -> None:
    store = opened()
    await store.replace(full(flags(a=1, b=1)))
    first = await store.get_all()
    await store.upsert(part(flags(b=2)))
    second = await store.get_all()
    assert second.flags["a"] is first.flags["a"]
    assert second.flags["b"].version == 2
    await store.aclose()


async def test_a_large_environment_is_read_whole(opened: Callable[..., AsyncConsulStore]) -> None:
    store = opened()
    items = many(700, size=700)
    await store.replace(full(items, segments=["s"]), ME)
    contents = await store.get_all()
    assert (contents.flags, contents.initialized) == (items, True)
    await store.aclose()


@pytest.mark.parametrize("what", ['unknown KV verb "get-or-empty"', "Permission denied"])
async def test_a_server_before_1_14_reads_what_is_there_and_what_is_not(
    what: str, beset: AsyncConsulStore, faults: ConsulFaults
) -> None:
    def old(request: Request, ask: Ask) -> Reply:
        if b'"get-or-empty"' not in request.body:
            return ask(request)
        operations = range(request.body.count(b'"get-or-empty"'))
        errors = [{"OpIndex": number, "What": what} for number in operations]
        text = json.dumps({"Results": None, "Errors": errors}).encode()
        return Reply(409, text, {"Content-Type": "application/json"})

    faults.on("PUT txn", old)
    assert await beset.get_many(refs("a", "b")) == {}
    await beset.replace(full(flags(a=1, c=1)), ME)
    assert await beset.upsert(part(flags(a=2, b=2, c=1))) == {refs("c")[0]: flag("c", 1)}
    assert await beset.get_many(refs("b", "none", "a")) == {
        refs("a")[0]: flag("a", 2),
        refs("b")[0]: flag("b", 2),
    }
    assert await beset.get_many(refs("a", "b", "a")) != {}
    assert faults.reached["PUT txn"] > 0
    unknown = [one for one in faults.requests if b"get-or-empty" in one.body]
    assert len(unknown) == 1  # it is not asked again
    await beset.aclose()
