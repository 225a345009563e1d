"""The client: the order of its checks, its types, and that nothing ever comes out as an error."""

import json
import logging
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from flagkeep._async.client import AsyncClient
from flagkeep._async.interfaces import AsyncDataSink
from flagkeep._async.listeners import BACKLOG
from flagkeep._async.stores.memory import AsyncMemoryStore
from flagkeep._async.stores.sqlite import AsyncSQLiteStore
from flagkeep._runtime import aio as runtime
from flagkeep.config import CachePolicy, Config, FileSource, StorePolicy
from flagkeep.errors import ConfigError
from flagkeep.hooks import FlagChange
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.context import Context
from tests._async.hand_source import AsyncHandSource, changes, environment, flag
from tests._async.waiting import until, until_value

USER = Context.create("user-key")


async def client_of(*flags: dict[str, Any], **settings: Any) -> AsyncClient:
    """Return a ready client in daemon mode over a memory store with these flags."""
    store = AsyncMemoryStore()
    await store.replace(environment(*flags))
    client = AsyncClient(Config(daemon=True, **settings), store=store)
    assert await client.wait_until_ready()
    return client


async def reason_of(client: AsyncClient, key: Any, context: Any, default: Any = "dflt") -> Any:
    detail = await client.variation_detail(key, context, default)
    return detail.value, detail.index, detail.reason.to_dict()


# --- the order of checks (evaluation spec, section 1) ------------------------------------------


async def test_offline_answers_the_default() -> None:
    async with AsyncClient(Config(offline=True)) as client:
        error = {"kind": "ERROR", "errorKind": "CLIENT_NOT_READY"}
        assert await reason_of(client, "f", USER) == ("dflt", None, error)
        assert await client.variation("f", USER, "dflt") == "dflt"
        assert not (await client.all_flags(USER)).valid
        assert client.is_ready is False


async def test_a_default_of_the_configuration_outranks_that_of_the_caller() -> None:
    async with AsyncClient(Config(offline=True, defaults={"f": "configured"})) as client:
        assert await client.variation("f", USER, "dflt") == "configured"
        assert await client.variation("g", USER, "dflt") == "dflt"


async def test_without_data_the_client_says_that_it_is_not_ready() -> None:
    async with AsyncClient(Config(source=AsyncHandSource())) as client:
        error = {"kind": "ERROR", "errorKind": "CLIENT_NOT_READY"}
        assert await reason_of(client, "f", USER) == ("dflt", None, error)
        # even for an invalid context: data comes first
        assert await reason_of(client, "f", None) == ("dflt", None, error)


@pytest.mark.parametrize("context", [None, {}, "user", 3, Context.create("")])
async def test_an_invalid_context_gets_the_default(context: Any) -> None:
    async with await client_of(flag("f")) as client:
        error = {"kind": "ERROR", "errorKind": "USER_NOT_SPECIFIED"}
        assert await reason_of(client, "f", context) == ("dflt", None, error)
        assert await client.variation("f", context, "dflt") == "dflt"
        assert not (await client.all_flags(context)).valid


@pytest.mark.parametrize(
    "key", ["nope", "", None, 3, b"f", [], {}, math.nan, "\ud800", "x" * 99999]
)
async def test_an_unknown_key_of_any_kind_gets_the_default(key: Any) -> None:
    async with await client_of(flag("f")) as client:
        error = {"kind": "ERROR", "errorKind": "FLAG_NOT_FOUND"}
        assert await reason_of(client, key, USER) == ("dflt", None, error)
        assert await client.variation(key, USER, "dflt") == "dflt"


async def test_a_tombstone_is_no_flag() -> None:
    gone = {"key": "f", "version": 2, "deleted": True}
    async with await client_of(gone) as client:
        error = {"kind": "ERROR", "errorKind": "FLAG_NOT_FOUND"}
        assert await reason_of(client, "f", USER) == ("dflt", None, error)
        assert (await client.all_flags(USER)).to_values() == {}


async def test_a_flag_that_is_off_and_says_nothing_gives_the_default_without_an_error() -> None:
    async with await client_of(flag("f", on=False, offVariation=None)) as client:
        assert await reason_of(client, "f", USER) == ("dflt", None, {"kind": "OFF"})
        assert await client.variation("f", USER, "dflt") == "dflt"


async def test_a_null_variation_is_a_value_and_not_the_default() -> None:
    async with await client_of(flag("f", None)) as client:
        assert await reason_of(client, "f", USER) == (None, 0, {"kind": "FALLTHROUGH"})
        assert await client.variation("f", USER, "dflt") is None


async def test_cyclic_and_strange_defaults_come_back_as_they_are() -> None:
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    async with await client_of(flag("f")) as client:
        for default in (cyclic, math.nan, object(), 10**400, "\ud800"):
            assert await client.variation("nope", USER, default) is default
            assert (await client.json_variation_detail("nope", USER, default)).value is default


async def test_lists_and_objects_belong_to_the_caller() -> None:
    async with await client_of(flag("f", {"list": [1]})) as client:
        first = await client.variation("f", USER, None)
        first["list"].append(2)
        assert await client.variation("f", USER, None) == {"list": [1]}
        (await client.all_flags(USER)).to_values()["f"]["list"].append(3)
        assert await client.variation("f", USER, None) == {"list": [1]}


# --- types -------------------------------------------------------------------------------------

TYPED = [
    # method, flag value, default, expected value (None: WRONG_TYPE)
    ("bool", True, False, True),
    ("bool", 1, False, None),
    ("bool", "true", False, None),
    ("int", 3, 9, 3),
    ("int", 3.7, 9, 3),
    ("int", -3.7, 9, -3),
    ("int", 10**30, 9, 10**30),
    ("int", True, 9, None),
    ("int", "3", 9, None),
    ("float", 3, 9.5, 3.0),
    ("float", 3.5, 9.5, 3.5),
    ("float", 10**400, 9.5, None),
    ("float", False, 9.5, None),
    ("str", "x", "d", "x"),
    ("str", 3, "d", None),
    ("str", None, "d", None),
    ("json", {"a": [1]}, "d", {"a": [1]}),
]


@pytest.mark.parametrize(("method", "value", "default", "expected"), TYPED)
async def test_typed_methods_keep_json_types_apart(
    method: str, value: Any, default: Any, expected: Any
) -> None:
    async with await client_of(flag("f", value)) as client:
        plain = getattr(client, f"{method}_variation")
        detailed = getattr(client, f"{method}_variation_detail")
        detail = await detailed("f", USER, default)
        if expected is None:
            wrong = {"kind": "ERROR", "errorKind": "WRONG_TYPE"}
            assert (detail.value, detail.index, detail.reason.to_dict()) == (default, None, wrong)
            assert await plain("f", USER, default) == default
        else:
            got = await plain("f", USER, default)
            assert (got, type(got)) == (expected, type(expected))
            assert (detail.value, detail.index) == (expected, 0)


async def test_the_untyped_method_returns_whatever_the_flag_has() -> None:
    async with await client_of(flag("f", "text")) as client:
        assert await client.variation("f", USER, 3) == "text"


# --- all flags ---------------------------------------------------------------------------------


async def test_all_flags_has_values_and_what_client_side_sdks_ask_for() -> None:
    async with await client_of(
        flag("pre", "on", "off"),
        flag(
            "f", 1, 2, version=7, prerequisites=[{"key": "pre", "variation": 0}], trackEvents=True
        ),
        flag("bad", "x", fallthrough={"variation": 9}, version=3),
        flag("exp", "x", trackEventsFallthrough=True, debugEventsUntilDate=1.0),
    ) as client:
        state = await client.all_flags(USER)
        experiment = {
            "variation": 0,
            "version": 1,
            "reason": {"kind": "FALLTHROUGH"},
            "trackEvents": True,
            "trackReason": True,
            "debugEventsUntilDate": 1,
        }
        assert state.to_dict() == {
            "pre": "on",
            "f": 1,
            "bad": None,
            "exp": "x",
            "$flagsState": {
                "pre": {"variation": 0, "version": 1},
                "f": {"variation": 0, "version": 7, "trackEvents": True, "prerequisites": ["pre"]},
                "bad": {"version": 3},
                "exp": experiment,
            },
            "$valid": True,
        }
        assert json.loads(state.to_json()) == state.to_dict()


async def test_all_flags_can_be_reduced() -> None:
    async with await client_of(
        flag("seen", 1, clientSide=True),
        flag("hidden", 1, clientSide=True, clientSideAvailability={"usingEnvironmentId": False}),
        flag("tracked", 1, clientSide=True, trackEvents=True, version=4),
    ) as client:
        state = await client.all_flags(
            USER, client_side_only=True, with_reasons=True, details_only_for_tracked_flags=True
        )
        assert state.to_dict()["$flagsState"] == {
            "seen": {"variation": 0},
            "tracked": {
                "variation": 0,
                "version": 4,
                "reason": {"kind": "FALLTHROUGH"},
                "trackEvents": True,
            },
        }


async def test_one_flag_that_fails_does_not_hide_the_others() -> None:
    deep = [
        flag(f"deep{n}", prerequisites=[{"key": f"deep{n + 1}", "variation": 0}])
        for n in range(600)
    ]
    async with await client_of(flag("good", 1), *deep) as client:
        detail = await client.variation_detail("deep0", USER, "dflt")
        assert (detail.value, detail.reason.to_dict()["errorKind"]) == ("dflt", "EXCEPTION")
        state = await client.all_flags(USER)
        assert state.value("good") == 1
        assert state.value("deep0") is None
        # the last of the chain is not to blame for the length of it
        assert await client.variation("deep599", USER, None) is False


# --- where data comes from ---------------------------------------------------------------------


async def test_a_change_of_the_source_is_seen_and_heard_of() -> None:
    source = AsyncHandSource()
    async with AsyncClient(Config(source=source)) as client:
        heard: list[Any] = []
        client.on_change("f", heard.append)
        await source.deliver(environment(flag("f", "a"), flag("g", "a")))
        assert await client.wait_until_ready()
        assert await client.variation("f", USER, None) == "a"
        await until(lambda: len(heard) == 1)
        client.on_value_change("f", USER, heard.append)
        await source.deliver(changes(flag("f", "b", version=2)))
        assert await client.variation("f", USER, None) == "b"
        await until(lambda: len(heard) == 3)
        assert (heard[0].key, heard[1].key) == ("f", "f")
        assert (heard[2].old_value, heard[2].new_value) == ("a", "b")


async def test_an_older_version_changes_nothing_and_nobody_hears_of_it() -> None:
    source = AsyncHandSource()
    async with AsyncClient(Config(source=source)) as client:
        heard: list[Any] = []
        await source.deliver(environment(flag("f", "new", version=5)))
        client.on_change(None, heard.append)
        await source.deliver(changes(flag("f", "old", version=5)))
        await source.deliver(changes(flag("g", "x")))
        await until(lambda: bool(heard))
        assert [change.key for change in heard] == ["g"]
        assert await client.variation("f", USER, None) == "new"


async def test_listeners_hear_of_what_a_flag_depends_on() -> None:
    source = AsyncHandSource()
    match = {"clauses": [{"op": "segmentMatch", "values": ["s"]}], "variation": 0}
    inner = {"clauses": [{"op": "segmentMatch", "values": ["t"]}]}
    s = {"key": "s", "version": 1, "rules": [inner]}
    flags = (
        flag("by-segment", rules=[match]),
        flag("by-prerequisite", prerequisites=[{"key": "by-segment", "variation": 0}]),
        flag("alone"),
    )
    async with AsyncClient(Config(source=source)) as client:
        heard: list[str] = []
        await source.deliver(environment(*flags, segments=(s, {"key": "t", "version": 1})))
        client.on_change(None, lambda change: heard.append(change.key))
        t = {"key": "t", "version": 2, "included": ["user-key"]}
        await source.deliver(environment(*flags, segments=(s, t)))
        await until(lambda: len(heard) == 2)
        assert heard == ["by-prerequisite", "by-segment"]


async def test_changes_that_a_slow_listener_misses_are_told_as_one() -> None:
    source = AsyncHandSource()
    gate, told = runtime.Event(), list[str]()

    async def slow(change: FlagChange) -> None:
        assert await gate.wait(10)
        told.append(change.key)

    async with AsyncClient(Config(source=source)) as client:
        await source.deliver(environment(flag("f", 0)))
        await until_value(client, "f", USER, 0)
        client.on_change(None, slow)
        for number in range(1, 1001):
            await source.deliver(changes(flag("f", number, version=1 + number)))
        await source.deliver(changes(flag("last", 1)))
        assert await client.variation("f", USER, None) == 1000
        gate.set()
        await until(lambda: "last" in told)
        assert len(told) <= BACKLOG + 3


async def test_a_listener_that_raises_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    source = AsyncHandSource()

    def broken(_: object) -> None:
        raise RuntimeError("my own mistake")

    async with AsyncClient(Config(source=source)) as client:
        heard: list[Any] = []
        client.on_change("f", broken)
        client.on_change("f", heard.append)
        await source.deliver(environment(flag("f")))
        await until(lambda: len(heard) == 1)
    assert "my own mistake" in caplog.text


async def test_a_removed_listener_hears_nothing_more() -> None:
    source = AsyncHandSource()
    async with AsyncClient(Config(source=source)) as client:
        removed: list[Any] = []
        kept: list[Any] = []
        remove = client.on_change("f", removed.append)
        client.on_change("f", kept.append)
        remove()
        remove()
        await source.deliver(environment(flag("f")))
        await until(lambda: len(kept) == 1)
        assert removed == []


async def test_a_source_that_fails_leaves_the_data_and_says_so() -> None:
    source = AsyncHandSource()
    async with AsyncClient(Config(source=source)) as client:
        await source.fail("no route")
        assert client.status.source is not None
        assert client.status.source.state == "initializing"
        await source.deliver(environment(flag("f", "kept")))
        assert (await client.variation_detail("f", USER, None)).data_age is None
        await source.fail("no route")
        status = client.status.source
        assert status is not None
        assert status.error is not None
        assert (status.state, status.error.message) == ("interrupted", "no route")
        detail = await client.variation_detail("f", USER, None)
        assert detail.value == "kept"
        assert detail.data_age is not None


class AsyncBreakingSource(AsyncHandSource):
    """Raises what no source may."""

    async def run(self, sink: AsyncDataSink) -> None:
        await sink.apply(environment(flag("f", "x")))
        raise ZeroDivisionError


async def test_a_source_that_breaks_leaves_the_data_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with AsyncClient(Config(source=AsyncBreakingSource())) as client:
        await until(lambda: client.status.data_age is not None and client.is_ready)
        await until(lambda: client.status.source is not None and bool(client.status.source.error))
        status = client.status.source
        assert status is not None
        assert status.error is not None
        assert (status.state, status.error.kind) == ("interrupted", "unknown")
        assert "ZeroDivisionError" in status.error.message
        assert await client.variation("f", USER, None) == "x"
        assert (await client.aclose()).complete
    errors = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert [one.getMessage().split(":")[0] for one in errors] == [
        "the source hand ended with an error; no more changes come"
    ]


async def test_data_beyond_its_maximum_age_is_not_served() -> None:
    source = AsyncHandSource()
    policy = StorePolicy(max_age=0.02)
    async with AsyncClient(Config(source=source, store_policy=policy)) as client:
        await source.deliver(environment(flag("f", "kept")))
        await source.fail("no route")
        await until_value(client, "f", USER, None)
        detail = await client.variation_detail("f", USER, "dflt")
        assert (detail.value, detail.reason.error_kind) == ("dflt", "CLIENT_NOT_READY")
        await source.deliver(environment(flag("f", "fresh", version=2)))
        assert await client.variation("f", USER, None) == "fresh"


async def test_a_file_fills_the_store_and_survives_a_restart(tmp_path: Path) -> None:
    file, db = tmp_path / "flags.json", tmp_path / "flags.db"
    file.write_text(json.dumps({"flagValues": {"f": "from the file"}}))
    source = FileSource(file)
    async with AsyncClient(Config(source=source), store=AsyncSQLiteStore(db)) as client:
        assert await client.wait_until_ready()
        report = await client.aclose()
    assert report.complete
    file.unlink()
    async with AsyncClient(Config(source=source), store=AsyncSQLiteStore(db)) as client:
        assert await client.wait_until_ready()
        assert await client.variation("f", USER, None) == "from the file"
        status = client.status
        assert status.source is not None
        assert status.source.state == "initializing"
    async with AsyncClient(Config(daemon=True), store=AsyncSQLiteStore(db)) as client:
        assert await client.variation("f", USER, None) == "from the file"


# --- daemon mode -------------------------------------------------------------------------------


async def test_an_empty_store_has_no_flags_and_needs_no_marker() -> None:
    async with AsyncClient(Config(daemon=True), store=AsyncMemoryStore()) as client:
        assert client.is_ready
        detail = await client.variation_detail("f", USER, "dflt")
        assert (detail.value, detail.reason.error_kind) == ("dflt", "FLAG_NOT_FOUND")
        assert (await client.all_flags(USER)).valid


async def test_items_without_a_marker_are_served() -> None:
    store = AsyncMemoryStore()
    await store.upsert(changes(flag("f", "x")))
    async with AsyncClient(Config(daemon=True), store=store) as client:
        assert await client.variation("f", USER, None) == "x"


async def test_the_first_evaluation_fetches_everything_it_needs_itself() -> None:
    store = AsyncMemoryStore()
    match = {"clauses": [{"op": "segmentMatch", "values": ["s"]}], "variation": 1}
    nested = {"clauses": [{"op": "segmentMatch", "values": ["t"]}]}
    s = {"key": "s", "version": 1, "rules": [nested]}
    t = {"key": "t", "version": 1, "included": ["user-key"]}
    await store.replace(
        environment(
            flag("f", "a", "b", prerequisites=[{"key": "p", "variation": 0}], rules=[match]),
            flag("p", True),
            segments=(s, t),
        )
    )
    async with AsyncClient(Config(daemon=True), store=store) as client:
        assert await client.variation("f", USER, None) == "b"


async def test_what_others_write_is_pushed(tmp_path: Path) -> None:
    db = tmp_path / "flags.db"
    writer = AsyncSQLiteStore(db)
    await writer.replace(environment(flag("f", "a"), flag("g", "a")))
    async with AsyncClient(Config(daemon=True), store=AsyncSQLiteStore(db)) as client:
        assert await client.wait_until_ready()
        heard: list[Any] = []
        client.on_value_change("f", USER, heard.append)
        await writer.upsert(changes(flag("f", "b", version=2)))
        await until_value(client, "f", USER, "b")
        await writer.replace(environment(flag("f", "c", version=1)))
        await until_value(client, "f", USER, "c")
        await until_value(client, "g", USER, None)
        await until(lambda: len(heard) == 2)
        assert [change.new_value for change in heard] == ["b", "c"]
        status = client.status.store
        assert status is not None
        assert status.push == "push"
    await writer.aclose()


async def test_without_push_the_cache_time_decides(tmp_path: Path) -> None:
    db = tmp_path / "flags.db"
    writer = AsyncSQLiteStore(db)
    await writer.replace(environment(flag("f", "a")))
    config = Config(daemon=True, store_policy=StorePolicy(push=False), cache=CachePolicy(0.05))
    async with AsyncClient(config, store=AsyncSQLiteStore(db)) as client:
        assert await client.wait_until_ready()
        await writer.upsert(changes(flag("f", "b", version=2)))
        await until_value(client, "f", USER, "b")
        status = client.status.store
        assert status is not None
        assert status.push == "poll"
    await writer.aclose()


async def test_with_the_cache_off_every_evaluation_asks_the_store() -> None:
    store = AsyncMemoryStore()
    await store.replace(environment(flag("f", "a")))
    policy = StorePolicy(push=False, prefetch=False)
    config = Config(daemon=True, cache=CachePolicy.off(), store_policy=policy)
    async with AsyncClient(config, store=store) as client:
        assert await client.variation("f", USER, None) == "a"
        await store.upsert(changes(flag("f", "b", version=2)))
        assert await client.variation("f", USER, None) == "b"
        assert (await client.all_flags(USER)).value("f") == "b"
        await store.replace(environment(flag("g", "x")))
        assert await client.variation("f", USER, None) is None


async def test_a_missing_store_is_picked_up_when_it_appears(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "flagkeep")
    db = tmp_path / "flags.db"
    async with AsyncClient(Config(daemon=True), store=AsyncSQLiteStore(db)) as client:
        detail = await client.variation_detail("f", USER, "dflt")
        assert (detail.value, detail.reason.error_kind) == ("dflt", "EXCEPTION")
        status = client.status.store
        assert status is not None
        assert status.available is False
        assert str(db) in status.reason
        writer = AsyncSQLiteStore(db)
        await writer.replace(environment(flag("f", "there")))
        await until_value(client, "f", USER, "there")
        await writer.aclose()
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert str(db) in lines[0]
    assert "works again" in lines[1]


async def test_a_store_that_vanishes_or_is_emptied_takes_no_flag_away(tmp_path: Path) -> None:
    db = tmp_path / "flags.db"
    writer = AsyncSQLiteStore(db)
    await writer.replace(environment(flag("f", "kept")))
    await writer.aclose()
    async with AsyncClient(Config(daemon=True), store=AsyncSQLiteStore(db)) as client:
        assert await client.wait_until_ready()
        shutil.rmtree(db.parent)
        db.parent.mkdir()
        await until(lambda: client.status.store is not None and not client.status.store.available)
        detail = await client.variation_detail("f", USER, None)
        assert detail.value == "kept"
        assert detail.data_age is not None
        other = AsyncSQLiteStore(db)
        await other.upsert(changes(flag("new", "x")))  # a new file, no marker, other items
        await until(lambda: client.status.store is not None and client.status.store.wiped)
        assert await client.variation("f", USER, None) == "kept"
        await other.replace(environment(flag("f", "back")))
        await until_value(client, "f", USER, "back")
        status = client.status
        assert status.store is not None
        assert (status.store.wiped, status.data_age) == (False, None)
        await other.aclose()


@pytest.mark.parametrize("emptied", ["flagValues", "segments"])
async def test_the_last_item_of_a_kind_may_be_removed(tmp_path: Path, emptied: str) -> None:
    db, file = tmp_path / "flags.db", tmp_path / "flags.json"
    document: dict[str, Any] = {"flagValues": {"f": 1}, "segments": {"s": {"included": ["u"]}}}
    file.write_text(json.dumps(document))
    config = Config(source=FileSource(file))
    async with AsyncClient(config, store=AsyncSQLiteStore(db)) as writer:
        assert await writer.wait_until_ready()
        async with AsyncClient(Config(daemon=True), store=AsyncSQLiteStore(db)) as reader:
            await until_value(reader, "f", USER, 1)
            document["flagValues"] = {"f": 2}
            del document[emptied]
            file.write_text(json.dumps(document))
            await until_value(reader, "f", USER, document.get("flagValues", {}).get("f"))
            status = reader.status.store
            assert status is not None
            assert not status.wiped


async def test_data_is_as_old_as_the_last_look_that_found_nothing_new(tmp_path: Path) -> None:
    db = tmp_path / "flags.db"
    writer = AsyncSQLiteStore(db)
    await writer.replace(environment(flag("f", "kept")))
    await writer.aclose()
    config = Config(daemon=True, cache=CachePolicy.forever())
    async with AsyncClient(config, store=AsyncSQLiteStore(db)) as client:
        assert await client.wait_until_ready()
        read_at = runtime.monotonic()
        await until(lambda: runtime.monotonic() - read_at > 0.3)
        shutil.rmtree(db.parent)
        await until(lambda: client.status.store is not None and not client.status.store.available)
        age = (await client.variation_detail("f", USER, None)).data_age
        assert age is not None
        assert age < runtime.monotonic() - read_at - 0.1


async def test_no_context_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with await client_of(flag("f")) as client:
        by_mistake: Any = {"key": "u", "email": "someone@example.com"}
        assert await client.variation("f", by_mistake, "dflt") == "dflt"
    assert "dict" in caplog.text
    assert "someone" not in caplog.text


async def test_a_wiped_store_is_believed_where_the_policy_says_so(tmp_path: Path) -> None:
    db = tmp_path / "flags.db"
    writer = AsyncSQLiteStore(db)
    await writer.replace(environment(flag("f", "kept")))
    config = Config(daemon=True, store_policy=StorePolicy(keep_when_wiped=False))
    async with AsyncClient(config, store=AsyncSQLiteStore(db)) as client:
        assert await client.wait_until_ready()
        await writer.replace(environment())
        await until_value(client, "f", USER, None)
    await writer.aclose()


async def test_a_bad_item_is_named_and_its_last_good_version_stays(tmp_path: Path) -> None:
    db = tmp_path / "flags.db"
    writer = AsyncSQLiteStore(db)
    await writer.replace(environment(flag("f", "good"), flag("g", "good")))
    async with AsyncClient(Config(daemon=True), store=AsyncSQLiteStore(db)) as client:
        assert await client.wait_until_ready()
        good = environment(flag("f", "bad", version=2), flag("g", "newer", version=2))
        broken = good.flags["f"].data.replace(b'"on":true', b'"on":"yes"')
        spoilt = type(good.flags["f"])(2, False, broken)
        await writer.replace(type(good)(full=True, flags={**good.flags, "f": spoilt}))
        await until_value(client, "g", USER, "newer")
        assert await client.variation("f", USER, None) == "good"
        (bad,) = client.status.bad_items
        assert (bad.key, bad.path) == ("f", "$.on")
        await writer.replace(environment(flag("f", "mended", version=3)))
        await until_value(client, "f", USER, "mended")
        assert client.status.bad_items == ()
    await writer.aclose()


async def test_a_pattern_that_re2_refuses_is_named_in_the_status() -> None:
    clause = {"attribute": "key", "op": "matches", "values": ["(?=look)"]}
    refused = flag("f", "no", rules=[{"clauses": [clause], "variation": 0}], version=1)
    async with await client_of(refused) as client:
        assert await client.variation("f", USER, None) == "no"
        (warning,) = client.status.warnings
        assert warning.key == "f"
        assert "(?=look)" in warning.problem


# --- connected with a store --------------------------------------------------------------------


@pytest.mark.slow  # a store that is down is tried every half second
async def test_a_store_that_is_down_neither_stops_the_source_nor_stays_empty(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "later"
    source = AsyncHandSource()
    store = AsyncSQLiteStore(folder / "flags.db")
    async with AsyncClient(Config(source=source), store=store) as client:
        await source.deliver(environment(flag("f", "a")))
        await source.deliver(changes(flag("f", "b", version=2), flag("g", "x")))
        assert await client.variation("f", USER, None) == "b"
        await until(lambda: client.status.store is not None and client.status.store.stale)
        folder.mkdir()
        await until(lambda: client.status.store is not None and not client.status.store.stale)
        assert (await client.aclose()).complete
    async with AsyncClient(
        Config(daemon=True), store=AsyncSQLiteStore(folder / "flags.db")
    ) as reader:
        assert await reader.variation("f", USER, None) == "b"
        assert await reader.variation("g", USER, None) == "x"


async def test_the_store_keeps_the_last_good_version_of_a_bad_item(tmp_path: Path) -> None:
    db = tmp_path / "flags.db"
    file = tmp_path / "flags.json"
    good = {"f": flag("f", "good"), "g": flag("g", "good")}
    file.write_text(json.dumps({"flags": good}))
    async with AsyncClient(Config(source=FileSource(file)), store=AsyncSQLiteStore(db)) as client:
        assert await client.wait_until_ready()
        broken = {"f": {**good["f"], "on": "yes"}, "g": flag("g", "newer")}
        file.write_text(json.dumps({"flags": broken}))
        await until_value(client, "g", USER, "newer")
        assert await client.variation("f", USER, None) == "good"
        assert [bad.key for bad in client.status.bad_items] == ["f"]
    async with AsyncClient(Config(daemon=True), store=AsyncSQLiteStore(db)) as reader:
        assert await reader.variation("f", USER, None) == "good"
        assert await reader.variation("g", USER, None) == "newer"


# --- life --------------------------------------------------------------------------------------


async def test_close_is_repeatable_and_evaluation_goes_on() -> None:
    client = await client_of(flag("f", "x"))
    first = await client.aclose()
    assert first.complete
    assert await client.aclose() is first
    assert await client.variation("f", USER, None) == "x"
    assert await client.variation("nope", USER, "dflt") == "dflt"
    assert (await client.all_flags(USER)).value("f") == "x"


@pytest.mark.parametrize(
    "settings",
    [
        {"sdk_key": 3},
        {"source": 3},
        {"source": FileSource("x.json"), "daemon": True},
        {"defaults": [1]},
    ],
)
async def test_settings_that_cannot_work_are_refused_at_once(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Config(**settings)


async def test_daemon_mode_without_a_store_is_refused() -> None:
    with pytest.raises(ConfigError, match="store"):
        AsyncClient(Config(daemon=True))
    with pytest.raises(ConfigError, match="Config"):
        AsyncClient("sdk-key")  # type: ignore[arg-type]  # what people try first


@pytest.mark.slow  # the store is looked at every half second
async def test_a_client_with_a_key_alone_streams_and_serves_its_store_until_it_is_connected(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = AsyncMemoryStore()
    await store.upsert(changes(flag("f", "x")))
    async with AsyncClient(Config(sdk_key="key", send_events=False), store=store) as client:
        detail = await client.variation_detail("f", USER, "dflt")
        assert detail.reason.error_kind == "CLIENT_NOT_READY"  # connected: the marker counts
        await until(lambda: client.status.source is not None and bool(client.status.source.error))
        lines = [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]
        assert len(lines) == 1
        assert "https://stream.launchdarkly.com/all" in lines[0]
        await store.replace(environment(flag("f", "x")))
        await until_value(client, "f", USER, "x")


class _Looked(dict[str, Any]):
    """Flags; notes down what somebody else sees of the client while they are taken in."""

    def __init__(self, flags: Any, client: AsyncClient) -> None:
        super().__init__(flags)
        self._client = client
        self.seen: list[bool] = []

    def __iter__(self) -> Any:  # else a copy asks nobody
        return super().__iter__()

    def keys(self) -> Any:
        self.seen.append(self._client.is_ready)
        return super().keys()


async def test_a_client_is_not_ready_before_its_flags_are_in_memory() -> None:
    source = AsyncHandSource()
    heard: list[Any] = []
    async with AsyncClient(Config(source=source)) as client:

        async def listener(change: FlagChange) -> None:
            heard.append((client.is_ready, await client.variation_detail(change.key, USER, None)))

        client.on_change("f", listener)
        flags = _Looked(environment(flag("f", "a")).flags, client)
        await source.deliver(ChangeSet(full=True, flags=flags))
        assert flags.seen
        assert set(flags.seen) == {False}
        assert client.is_ready
        await until(lambda: bool(heard))
        is_ready, detail = heard[0]
        assert (is_ready, detail.value) == (True, "a")
