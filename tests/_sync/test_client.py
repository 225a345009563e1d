"""The client: the order of its checks, its types, and that nothing ever comes out as an error."""

import json
import logging
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from flagkeep._sync.client import Client
from flagkeep._sync.interfaces import DataSink
from flagkeep._sync.listeners import BACKLOG
from flagkeep._sync.stores.memory import MemoryStore
from flagkeep._sync.stores.sqlite import SQLiteStore
from flagkeep._runtime import threads as runtime
from flagkeep.config import CachePolicy, Config, FileSource, StorePolicy
from flagkeep.errors import ConfigError
from flagkeep.hooks import FlagChange
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.context import Context
from tests._sync.hand_source import HandSource, changes, environment, flag
from tests._sync.waiting import until, until_value

USER = Context.create("user-key")


def client_of(*flags: dict[str, Any], **settings: Any) -> Client:
    """Return a ready client in daemon mode over a memory store with these flags."""
    store = MemoryStore()
    store.replace(environment(*flags))
    client = Client(Config(daemon=True, **settings), store=store)
    assert client.wait_until_ready()
    return client


def reason_of(client: Client, key: Any, context: Any, default: Any = "dflt") -> Any:
    detail = client.variation_detail(key, context, default)
    return detail.value, detail.index, detail.reason.to_dict()


# --- the order of checks (evaluation spec, section 1) ------------------------------------------


def test_offline_answers_the_default() -> None:
    with Client(Config(offline=True)) as client:
        error = {"kind": "ERROR", "errorKind": "CLIENT_NOT_READY"}
        assert reason_of(client, "f", USER) == ("dflt", None, error)
        assert client.variation("f", USER, "dflt") == "dflt"
        assert not (client.all_flags(USER)).valid
        assert client.is_ready is False


def test_a_default_of_the_configuration_outranks_that_of_the_caller() -> None:
    with Client(Config(offline=True, defaults={"f": "configured"})) as client:
        assert client.variation("f", USER, "dflt") == "configured"
        assert client.variation("g", USER, "dflt") == "dflt"


def test_without_data_the_client_says_that_it_is_not_ready() -> None:
    with Client(Config(source=HandSource())) as client:
        error = {"kind": "ERROR", "errorKind": "CLIENT_NOT_READY"}
        assert reason_of(client, "f", USER) == ("dflt", None, error)
        # even for an invalid context: data comes first
        assert reason_of(client, "f", None) == ("dflt", None, error)


@pytest.mark.parametrize("context", [None, {}, "user", 3, Context.create("")])
def test_an_invalid_context_gets_the_default(context: Any) -> None:
    with client_of(flag("f")) as client:
        error = {"kind": "ERROR", "errorKind": "USER_NOT_SPECIFIED"}
        assert reason_of(client, "f", context) == ("dflt", None, error)
        assert client.variation("f", context, "dflt") == "dflt"
        assert not (client.all_flags(context)).valid


@pytest.mark.parametrize(
    "key", ["nope", "", None, 3, b"f", [], {}, math.nan, "\ud800", "x" * 99999]
)
def test_an_unknown_key_of_any_kind_gets_the_default(key: Any) -> None:
    with client_of(flag("f")) as client:
        error = {"kind": "ERROR", "errorKind": "FLAG_NOT_FOUND"}
        assert reason_of(client, key, USER) == ("dflt", None, error)
        assert client.variation(key, USER, "dflt") == "dflt"


def test_a_tombstone_is_no_flag() -> None:
    gone = {"key": "f", "version": 2, "deleted": True}
    with client_of(gone) as client:
        error = {"kind": "ERROR", "errorKind": "FLAG_NOT_FOUND"}
        assert reason_of(client, "f", USER) == ("dflt", None, error)
        assert (client.all_flags(USER)).to_values() == {}


def test_a_flag_that_is_off_and_says_nothing_gives_the_default_without_an_error() -> None:
    with client_of(flag("f", on=False, offVariation=None)) as client:
        assert reason_of(client, "f", USER) == ("dflt", None, {"kind": "OFF"})
        assert client.variation("f", USER, "dflt") == "dflt"


def test_a_null_variation_is_a_value_and_not_the_default() -> None:
    with client_of(flag("f", None)) as client:
        assert reason_of(client, "f", USER) == (None, 0, {"kind": "FALLTHROUGH"})
        assert client.variation("f", USER, "dflt") is None


def test_cyclic_and_strange_defaults_come_back_as_they_are() -> None:
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    with client_of(flag("f")) as client:
        for default in (cyclic, math.nan, object(), 10**400, "\ud800"):
            assert client.variation("nope", USER, default) is default
            assert (client.json_variation_detail("nope", USER, default)).value is default


def test_lists_and_objects_belong_to_the_caller() -> None:
    with client_of(flag("f", {"list": [1]})) as client:
        first = client.variation("f", USER, None)
        first["list"].append(2)
        assert client.variation("f", USER, None) == {"list": [1]}
        (client.all_flags(USER)).to_values()["f"]["list"].append(3)
        assert client.variation("f", USER, None) == {"list": [1]}


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
def test_typed_methods_keep_json_types_apart(
    method: str, value: Any, default: Any, expected: Any
) -> None:
    with client_of(flag("f", value)) as client:
        plain = getattr(client, f"{method}_variation")
        detailed = getattr(client, f"{method}_variation_detail")
        detail = detailed("f", USER, default)
        if expected is None:
            wrong = {"kind": "ERROR", "errorKind": "WRONG_TYPE"}
            assert (detail.value, detail.index, detail.reason.to_dict()) == (default, None, wrong)
            assert plain("f", USER, default) == default
        else:
            got = plain("f", USER, default)
            assert (got, type(got)) == (expected, type(expected))
            assert (detail.value, detail.index) == (expected, 0)


def test_the_untyped_method_returns_whatever_the_flag_has() -> None:
    with client_of(flag("f", "text")) as client:
        assert client.variation("f", USER, 3) == "text"


# --- all flags ---------------------------------------------------------------------------------


def test_all_flags_has_values_and_what_client_side_sdks_ask_for() -> None:
    with client_of(
        flag("pre", "on", "off"),
        flag(
            "f", 1, 2, version=7, prerequisites=[{"key": "pre", "variation": 0}], trackEvents=True
        ),
        flag("bad", "x", fallthrough={"variation": 9}, version=3),
        flag("exp", "x", trackEventsFallthrough=True, debugEventsUntilDate=1.0),
    ) as client:
        state = client.all_flags(USER)
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


def test_all_flags_can_be_reduced() -> None:
    with client_of(
        flag("seen", 1, clientSide=True),
        flag("hidden", 1, clientSide=True, clientSideAvailability={"usingEnvironmentId": False}),
        flag("tracked", 1, clientSide=True, trackEvents=True, version=4),
    ) as client:
        state = client.all_flags(
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


def test_one_flag_that_fails_does_not_hide_the_others() -> None:
    deep = [
        flag(f"deep{n}", prerequisites=[{"key": f"deep{n + 1}", "variation": 0}])
        for n in range(600)
    ]
    with client_of(flag("good", 1), *deep) as client:
        detail = client.variation_detail("deep0", USER, "dflt")
        assert (detail.value, detail.reason.to_dict()["errorKind"]) == ("dflt", "EXCEPTION")
        state = client.all_flags(USER)
        assert state.value("good") == 1
        assert state.value("deep0") is None
        # the last of the chain is not to blame for the length of it
        assert client.variation("deep599", USER, None) is False


# --- where data comes from ---------------------------------------------------------------------


def test_a_change_of_the_source_is_seen_and_heard_of() -> None:
    source = HandSource()
    with Client(Config(source=source)) as client:
        heard: list[Any] = []
        client.on_change("f", heard.append)
        source.deliver(environment(flag("f", "a"), flag("g", "a")))
        assert client.wait_until_ready()
        assert client.variation("f", USER, None) == "a"
        until(lambda: len(heard) == 1)
        client.on_value_change("f", USER, heard.append)
        source.deliver(changes(flag("f", "b", version=2)))
        assert client.variation("f", USER, None) == "b"
        until(lambda: len(heard) == 3)
        assert (heard[0].key, heard[1].key) == ("f", "f")
        assert (heard[2].old_value, heard[2].new_value) == ("a", "b")


def test_an_older_version_changes_nothing_and_nobody_hears_of_it() -> None:
    source = HandSource()
    with Client(Config(source=source)) as client:
        heard: list[Any] = []
        source.deliver(environment(flag("f", "new", version=5)))
        client.on_change(None, heard.append)
        source.deliver(changes(flag("f", "old", version=5)))
        source.deliver(changes(flag("g", "x")))
        until(lambda: bool(heard))
        assert [change.key for change in heard] == ["g"]
        assert client.variation("f", USER, None) == "new"


def test_listeners_hear_of_what_a_flag_depends_on() -> None:
    source = HandSource()
    match = {"clauses": [{"op": "segmentMatch", "values": ["s"]}], "variation": 0}
    inner = {"clauses": [{"op": "segmentMatch", "values": ["t"]}]}
    s = {"key": "s", "version": 1, "rules": [inner]}
    flags = (
        flag("by-segment", rules=[match]),
        flag("by-prerequisite", prerequisites=[{"key": "by-segment", "variation": 0}]),
        flag("alone"),
    )
    with Client(Config(source=source)) as client:
        heard: list[str] = []
        source.deliver(environment(*flags, segments=(s, {"key": "t", "version": 1})))
        client.on_change(None, lambda change: heard.append(change.key))
        t = {"key": "t", "version": 2, "included": ["user-key"]}
        source.deliver(environment(*flags, segments=(s, t)))
        until(lambda: len(heard) == 2)
        assert heard == ["by-prerequisite", "by-segment"]


def test_changes_that_a_slow_listener_misses_are_told_as_one() -> None:
    source = HandSource()
    gate, told = runtime.Event(), list[str]()

    def slow(change: FlagChange) -> None:
        assert gate.wait(10)
        told.append(change.key)

    with Client(Config(source=source)) as client:
        source.deliver(environment(flag("f", 0)))
        until_value(client, "f", USER, 0)
        client.on_change(None, slow)
        for number in range(1, 1001):
            source.deliver(changes(flag("f", number, version=1 + number)))
        source.deliver(changes(flag("last", 1)))
        assert client.variation("f", USER, None) == 1000
        gate.set()
        until(lambda: "last" in told)
        assert len(told) <= BACKLOG + 3


def test_a_listener_that_raises_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    source = HandSource()

    def broken(_: object) -> None:
        raise RuntimeError("my own mistake")

    with Client(Config(source=source)) as client:
        heard: list[Any] = []
        client.on_change("f", broken)
        client.on_change("f", heard.append)
        source.deliver(environment(flag("f")))
        until(lambda: len(heard) == 1)
    assert "my own mistake" in caplog.text


def test_a_removed_listener_hears_nothing_more() -> None:
    source = HandSource()
    with Client(Config(source=source)) as client:
        removed: list[Any] = []
        kept: list[Any] = []
        remove = client.on_change("f", removed.append)
        client.on_change("f", kept.append)
        remove()
        remove()
        source.deliver(environment(flag("f")))
        until(lambda: len(kept) == 1)
        assert removed == []


def test_a_source_that_fails_leaves_the_data_and_says_so() -> None:
    source = HandSource()
    with Client(Config(source=source)) as client:
        source.fail("no route")
        assert client.status.source is not None
        assert client.status.source.state == "initializing"
        source.deliver(environment(flag("f", "kept")))
        assert (client.variation_detail("f", USER, None)).data_age is None
        source.fail("no route")
        status = client.status.source
        assert status is not None
        assert status.error is not None
        assert (status.state, status.error.message) == ("interrupted", "no route")
        detail = client.variation_detail("f", USER, None)
        assert detail.value == "kept"
        assert detail.data_age is not None


class BreakingSource(HandSource):
    """Raises what no source may."""

    def run(self, sink: DataSink) -> None:
        sink.apply(environment(flag("f", "x")))
        raise ZeroDivisionError


def test_a_source_that_breaks_leaves_the_data_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Client(Config(source=BreakingSource())) as client:
        until(lambda: client.status.data_age is not None and client.is_ready)
        until(lambda: client.status.source is not None and bool(client.status.source.error))
        status = client.status.source
        assert status is not None
        assert status.error is not None
        assert (status.state, status.error.kind) == ("interrupted", "unknown")
        assert "ZeroDivisionError" in status.error.message
        assert client.variation("f", USER, None) == "x"
        assert (client.close()).complete
    errors = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert [one.getMessage().split(":")[0] for one in errors] == [
        "the source hand ended with an error; no more changes come"
    ]


def test_data_beyond_its_maximum_age_is_not_served() -> None:
    source = HandSource()
    policy = StorePolicy(max_age=0.02)
    with Client(Config(source=source, store_policy=policy)) as client:
        source.deliver(environment(flag("f", "kept")))
        source.fail("no route")
        until_value(client, "f", USER, None)
        detail = client.variation_detail("f", USER, "dflt")
        assert (detail.value, detail.reason.error_kind) == ("dflt", "CLIENT_NOT_READY")
        source.deliver(environment(flag("f", "fresh", version=2)))
        assert client.variation("f", USER, None) == "fresh"


def test_a_file_fills_the_store_and_survives_a_restart(tmp_path: Path) -> None:
    file, db = tmp_path / "flags.json", tmp_path / "flags.db"
    file.write_text(json.dumps({"flagValues": {"f": "from the file"}}))
    source = FileSource(file)
    with Client(Config(source=source), store=SQLiteStore(db)) as client:
        assert client.wait_until_ready()
        report = client.close()
    assert report.complete
    file.unlink()
    with Client(Config(source=source), store=SQLiteStore(db)) as client:
        assert client.wait_until_ready()
        assert client.variation("f", USER, None) == "from the file"
        status = client.status
        assert status.source is not None
        assert status.source.state == "initializing"
    with Client(Config(daemon=True), store=SQLiteStore(db)) as client:
        assert client.variation("f", USER, None) == "from the file"


# --- daemon mode -------------------------------------------------------------------------------


def test_an_empty_store_has_no_flags_and_needs_no_marker() -> None:
    with Client(Config(daemon=True), store=MemoryStore()) as client:
        assert client.is_ready
        detail = client.variation_detail("f", USER, "dflt")
        assert (detail.value, detail.reason.error_kind) == ("dflt", "FLAG_NOT_FOUND")
        assert (client.all_flags(USER)).valid


def test_items_without_a_marker_are_served() -> None:
    store = MemoryStore()
    store.upsert(changes(flag("f", "x")))
    with Client(Config(daemon=True), store=store) as client:
        assert client.variation("f", USER, None) == "x"


def test_the_first_evaluation_fetches_everything_it_needs_itself() -> None:
    store = MemoryStore()
    match = {"clauses": [{"op": "segmentMatch", "values": ["s"]}], "variation": 1}
    nested = {"clauses": [{"op": "segmentMatch", "values": ["t"]}]}
    s = {"key": "s", "version": 1, "rules": [nested]}
    t = {"key": "t", "version": 1, "included": ["user-key"]}
    store.replace(
        environment(
            flag("f", "a", "b", prerequisites=[{"key": "p", "variation": 0}], rules=[match]),
            flag("p", True),
            segments=(s, t),
        )
    )
    with Client(Config(daemon=True), store=store) as client:
        assert client.variation("f", USER, None) == "b"


def test_what_others_write_is_pushed(tmp_path: Path) -> None:
    db = tmp_path / "flags.db"
    writer = SQLiteStore(db)
    writer.replace(environment(flag("f", "a"), flag("g", "a")))
    with Client(Config(daemon=True), store=SQLiteStore(db)) as client:
        assert client.wait_until_ready()
        heard: list[Any] = []
        client.on_value_change("f", USER, heard.append)
        writer.upsert(changes(flag("f", "b", version=2)))
        until_value(client, "f", USER, "b")
        writer.replace(environment(flag("f", "c", version=1)))
        until_value(client, "f", USER, "c")
        until_value(client, "g", USER, None)
        until(lambda: len(heard) == 2)
        assert [change.new_value for change in heard] == ["b", "c"]
        status = client.status.store
        assert status is not None
        assert status.push == "push"
    writer.close()


def test_without_push_the_cache_time_decides(tmp_path: Path) -> None:
    db = tmp_path / "flags.db"
    writer = SQLiteStore(db)
    writer.replace(environment(flag("f", "a")))
    config = Config(daemon=True, store_policy=StorePolicy(push=False), cache=CachePolicy(0.05))
    with Client(config, store=SQLiteStore(db)) as client:
        assert client.wait_until_ready()
        writer.upsert(changes(flag("f", "b", version=2)))
        until_value(client, "f", USER, "b")
        status = client.status.store
        assert status is not None
        assert status.push == "poll"
    writer.close()


def test_with_the_cache_off_every_evaluation_asks_the_store() -> None:
    store = MemoryStore()
    store.replace(environment(flag("f", "a")))
    policy = StorePolicy(push=False, prefetch=False)
    config = Config(daemon=True, cache=CachePolicy.off(), store_policy=policy)
    with Client(config, store=store) as client:
        assert client.variation("f", USER, None) == "a"
        store.upsert(changes(flag("f", "b", version=2)))
        assert client.variation("f", USER, None) == "b"
        assert (client.all_flags(USER)).value("f") == "b"
        store.replace(environment(flag("g", "x")))
        assert client.variation("f", USER, None) is None


def test_a_missing_store_is_picked_up_when_it_appears(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "flagkeep")
    db = tmp_path / "flags.db"
    with Client(Config(daemon=True), store=SQLiteStore(db)) as client:
        detail = client.variation_detail("f", USER, "dflt")
        assert (detail.value, detail.reason.error_kind) == ("dflt", "EXCEPTION")
        status = client.status.store
        assert status is not None
        assert status.available is False
        assert str(db) in status.reason
        writer = SQLiteStore(db)
        writer.replace(environment(flag("f", "there")))
        until_value(client, "f", USER, "there")
        writer.close()
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert str(db) in lines[0]
    assert "works again" in lines[1]


def test_a_store_that_vanishes_or_is_emptied_takes_no_flag_away(tmp_path: Path) -> None:
    db = tmp_path / "flags.db"
    writer = SQLiteStore(db)
    writer.replace(environment(flag("f", "kept")))
    writer.close()
    with Client(Config(daemon=True), store=SQLiteStore(db)) as client:
        assert client.wait_until_ready()
        shutil.rmtree(db.parent)
        db.parent.mkdir()
        until(lambda: client.status.store is not None and not client.status.store.available)
        detail = client.variation_detail("f", USER, None)
        assert detail.value == "kept"
        assert detail.data_age is not None
        other = SQLiteStore(db)
        other.upsert(changes(flag("new", "x")))  # a new file, no marker, other items
        until(lambda: client.status.store is not None and client.status.store.wiped)
        assert client.variation("f", USER, None) == "kept"
        other.replace(environment(flag("f", "back")))
        until_value(client, "f", USER, "back")
        status = client.status
        assert status.store is not None
        assert (status.store.wiped, status.data_age) == (False, None)
        other.close()


@pytest.mark.parametrize("emptied", ["flagValues", "segments"])
def test_the_last_item_of_a_kind_may_be_removed(tmp_path: Path, emptied: str) -> None:
    db, file = tmp_path / "flags.db", tmp_path / "flags.json"
    document: dict[str, Any] = {"flagValues": {"f": 1}, "segments": {"s": {"included": ["u"]}}}
    file.write_text(json.dumps(document))
    config = Config(source=FileSource(file))
    with Client(config, store=SQLiteStore(db)) as writer:
        assert writer.wait_until_ready()
        with Client(Config(daemon=True), store=SQLiteStore(db)) as reader:
            until_value(reader, "f", USER, 1)
            document["flagValues"] = {"f": 2}
            del document[emptied]
            file.write_text(json.dumps(document))
            until_value(reader, "f", USER, document.get("flagValues", {}).get("f"))
            status = reader.status.store
            assert status is not None
            assert not status.wiped


def test_data_is_as_old_as_the_last_look_that_found_nothing_new(tmp_path: Path) -> None:
    db = tmp_path / "flags.db"
    writer = SQLiteStore(db)
    writer.replace(environment(flag("f", "kept")))
    writer.close()
    config = Config(daemon=True, cache=CachePolicy.forever())
    with Client(config, store=SQLiteStore(db)) as client:
        assert client.wait_until_ready()
        read_at = runtime.monotonic()
        until(lambda: runtime.monotonic() - read_at > 0.3)
        shutil.rmtree(db.parent)
        until(lambda: client.status.store is not None and not client.status.store.available)
        age = (client.variation_detail("f", USER, None)).data_age
        assert age is not None
        assert age < runtime.monotonic() - read_at - 0.1


def test_no_context_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with client_of(flag("f")) as client:
        by_mistake: Any = {"key": "u", "email": "someone@example.com"}
        assert client.variation("f", by_mistake, "dflt") == "dflt"
    assert "dict" in caplog.text
    assert "someone" not in caplog.text


def test_a_wiped_store_is_believed_where_the_policy_says_so(tmp_path: Path) -> None:
    db = tmp_path / "flags.db"
    writer = SQLiteStore(db)
    writer.replace(environment(flag("f", "kept")))
    config = Config(daemon=True, store_policy=StorePolicy(keep_when_wiped=False))
    with Client(config, store=SQLiteStore(db)) as client:
        assert client.wait_until_ready()
        writer.replace(environment())
        until_value(client, "f", USER, None)
    writer.close()


def test_a_bad_item_is_named_and_its_last_good_version_stays(tmp_path: Path) -> None:
    db = tmp_path / "flags.db"
    writer = SQLiteStore(db)
    writer.replace(environment(flag("f", "good"), flag("g", "good")))
    with Client(Config(daemon=True), store=SQLiteStore(db)) as client:
        assert client.wait_until_ready()
        good = environment(flag("f", "bad", version=2), flag("g", "newer", version=2))
        broken = good.flags["f"].data.replace(b'"on":true', b'"on":"yes"')
        spoilt = type(good.flags["f"])(2, False, broken)
        writer.replace(type(good)(full=True, flags={**good.flags, "f": spoilt}))
        until_value(client, "g", USER, "newer")
        assert client.variation("f", USER, None) == "good"
        (bad,) = client.status.bad_items
        assert (bad.key, bad.path) == ("f", "$.on")
        writer.replace(environment(flag("f", "mended", version=3)))
        until_value(client, "f", USER, "mended")
        assert client.status.bad_items == ()
    writer.close()


def test_a_pattern_that_re2_refuses_is_named_in_the_status() -> None:
    clause = {"attribute": "key", "op": "matches", "values": ["(?=look)"]}
    refused = flag("f", "no", rules=[{"clauses": [clause], "variation": 0}], version=1)
    with client_of(refused) as client:
        assert client.variation("f", USER, None) == "no"
        (warning,) = client.status.warnings
        assert warning.key == "f"
        assert "(?=look)" in warning.problem


# --- connected with a store --------------------------------------------------------------------


@pytest.mark.slow  # a store that is down is tried every half second
def test_a_store_that_is_down_neither_stops_the_source_nor_stays_empty(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "later"
    source = HandSource()
    store = SQLiteStore(folder / "flags.db")
    with Client(Config(source=source), store=store) as client:
        source.deliver(environment(flag("f", "a")))
        source.deliver(changes(flag("f", "b", version=2), flag("g", "x")))
        assert client.variation("f", USER, None) == "b"
        until(lambda: client.status.store is not None and client.status.store.stale)
        folder.mkdir()
        until(lambda: client.status.store is not None and not client.status.store.stale)
        assert (client.close()).complete
    with Client(
        Config(daemon=True), store=SQLiteStore(folder / "flags.db")
    ) as reader:
        assert reader.variation("f", USER, None) == "b"
        assert reader.variation("g", USER, None) == "x"


def test_the_store_keeps_the_last_good_version_of_a_bad_item(tmp_path: Path) -> None:
    db = tmp_path / "flags.db"
    file = tmp_path / "flags.json"
    good = {"f": flag("f", "good"), "g": flag("g", "good")}
    file.write_text(json.dumps({"flags": good}))
    with Client(Config(source=FileSource(file)), store=SQLiteStore(db)) as client:
        assert client.wait_until_ready()
        broken = {"f": {**good["f"], "on": "yes"}, "g": flag("g", "newer")}
        file.write_text(json.dumps({"flags": broken}))
        until_value(client, "g", USER, "newer")
        assert client.variation("f", USER, None) == "good"
        assert [bad.key for bad in client.status.bad_items] == ["f"]
    with Client(Config(daemon=True), store=SQLiteStore(db)) as reader:
        assert reader.variation("f", USER, None) == "good"
        assert reader.variation("g", USER, None) == "newer"


# --- life --------------------------------------------------------------------------------------


def test_close_is_repeatable_and_evaluation_goes_on() -> None:
    client = client_of(flag("f", "x"))
    first = client.close()
    assert first.complete
    assert client.close() is first
    assert client.variation("f", USER, None) == "x"
    assert client.variation("nope", USER, "dflt") == "dflt"
    assert (client.all_flags(USER)).value("f") == "x"


@pytest.mark.parametrize(
    "settings",
    [
        {"sdk_key": 3},
        {"source": 3},
        {"source": FileSource("x.json"), "daemon": True},
        {"defaults": [1]},
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Config(**settings)


def test_daemon_mode_without_a_store_is_refused() -> None:
    with pytest.raises(ConfigError, match="store"):
        Client(Config(daemon=True))
    with pytest.raises(ConfigError, match="Config"):
        Client("sdk-key")  # type: ignore[arg-type]  # what people try first


@pytest.mark.slow  # the store is looked at every half second
def test_a_client_with_a_key_alone_streams_and_serves_its_store_until_it_is_connected(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = MemoryStore()
    store.upsert(changes(flag("f", "x")))
    with Client(Config(sdk_key="key", send_events=False), store=store) as client:
        detail = client.variation_detail("f", USER, "dflt")
        assert detail.reason.error_kind == "CLIENT_NOT_READY"  # connected: the marker counts
        until(lambda: client.status.source is not None and bool(client.status.source.error))
        lines = [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]
        assert len(lines) == 1
        assert "https://stream.launchdarkly.com/all" in lines[0]
        store.replace(environment(flag("f", "x")))
        until_value(client, "f", USER, "x")


class _Looked(dict[str, Any]):
    """Flags; notes down what somebody else sees of the client while they are taken in."""

    def __init__(self, flags: Any, client: Client) -> None:
        super().__init__(flags)
        self._client = client
        self.seen: list[bool] = []

    def __iter__(self) -> Any:  # else a copy asks nobody
        return super().__iter__()

    def keys(self) -> Any:
        self.seen.append(self._client.is_ready)
        return super().keys()


def test_a_client_is_not_ready_before_its_flags_are_in_memory() -> None:
    source = HandSource()
    heard: list[Any] = []
    with Client(Config(source=source)) as client:

        def listener(change: FlagChange) -> None:
            heard.append((client.is_ready, client.variation_detail(change.key, USER, None)))

        client.on_change("f", listener)
        flags = _Looked(environment(flag("f", "a")).flags, client)
        source.deliver(ChangeSet(full=True, flags=flags))
        assert flags.seen
        assert set(flags.seen) == {False}
        assert client.is_ready
        until(lambda: bool(heard))
        is_ready, detail = heard[0]
        assert (is_ready, detail.value) == (True, "a")
