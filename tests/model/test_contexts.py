"""Contexts (data model spec, section 6)."""

import copy
import hmac
import logging
import pickle
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagkeep.model.context import Context
from tests import strategies
from tests.evaluation.profiles import examples

Object = dict[str, Any]
A_TO_Z: Final = "abcdefghijklmnopqrstuvwxyz"
ALLOWED: Final = A_TO_Z + A_TO_Z.upper() + "0123456789._-"


def user(**more: Any) -> Object:
    return {"kind": "user", "key": "a", **more}


# --- what is valid -----------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", None, 3, True, ["a"], b"a", {"a": 1}])
@pytest.mark.parametrize("kind", [None, "user", "org"])
def test_bad_keys(key: Any, kind: str | None) -> None:
    for context in (Context.create(key, kind), Context.builder(key).kind(kind).build()):
        assert not context.valid
        assert context.error
    assert not Context.from_dict({"kind": kind or "user", "key": key}).valid


@pytest.mark.parametrize("kind", ["", "kind", "multi", 3, True, ["user"], "user\n", "\ud800", "é"])
def test_bad_kinds(kind: Any) -> None:
    for context in (Context.create("a", kind), Context.builder("a").kind(kind).build()):
        assert not context.valid
        assert context.error
    assert not Context.from_dict({"kind": kind, "key": "a"}).valid


def test_characters_of_kinds() -> None:
    for code in range(256):
        assert Context.create("a", f"x{chr(code)}").valid is (chr(code) in ALLOWED), code
        assert Context.create("a", chr(code)).valid is (chr(code) in ALLOWED), code


def test_kind_none_means_user() -> None:
    assert Context.create("a", None).kind == "user"
    assert Context.builder("a").kind("org").kind(None).build().kind == "user"


@pytest.mark.parametrize(
    "data",
    [
        *(None, 3, "user", [], [1], True),
        *({}, {"key": "a"}, {"kind": None, "key": "a"}, {"kind": 3, "key": "a"}),
        *({"kind": "multi", "org": 3}, {"kind": "multi"}, {"kind": "multi", "org": {}}),
        *({"kind": "multi", "kind2": None}, {"kind": "multi", "": {"key": "a"}}),
        {"kind": "multi", "multi": {"key": "a"}},
        {"kind": "multi", "org": {"key": ""}},
        *({"kind": "user"}, user(key=None), user(key=3), user(key="")),
        *(user(name=3), user(name=[]), user(name=False)),
        *(user(anonymous=None), user(anonymous="true"), user(anonymous=1)),
        *(user(_meta=3), user(_meta=[]), user(_meta="x")),
        user(_meta={"privateAttributes": "x"}),
        user(_meta={"privateAttributes": {}}),
        user(_meta={"privateAttributes": [3]}),
        user(_meta={"privateAttributes": ["x", None]}),
    ],
)
def test_dicts_that_are_no_context(data: Any) -> None:
    context = Context.from_dict(data)
    assert not context.valid
    assert context.error
    assert context.to_dict() == {}
    assert context.fully_qualified_key == ""
    assert context.individual_context_count == 0
    assert context.get_individual_context("user") is None
    assert context.get_individual_context(0) is None
    assert str(context) == f"[invalid context: {context.error}]"


@pytest.mark.parametrize(
    ("more", "kept"),
    [
        ({"name": None}, {}),
        ({"name": "N"}, {"name": "N"}),
        ({"name": ""}, {"name": ""}),
        ({"anonymous": False}, {}),
        ({"anonymous": True}, {"anonymous": True}),
        ({"_meta": None}, {}),
        ({"_meta": {}}, {}),
        ({"_meta": {"privateAttributes": None}}, {}),
        ({"_meta": {"privateAttributes": []}}, {}),
        ({"_meta": {"privateAttributes": ["x"]}}, {"_meta": {"privateAttributes": ["x"]}}),
        ({"x": None}, {}),
        ({"x": [None]}, {"x": [None]}),
        ({"x": False, "y": 0, "z": ""}, {"x": False, "y": 0, "z": ""}),
        ({"privateAttributes": ["y"]}, {"privateAttributes": ["y"]}),
    ],
)
def test_dicts_that_are_contexts(more: Object, kept: Object) -> None:
    context = Context.from_dict(user(**more))
    assert context.error is None
    assert context.to_dict() == user(**kept)
    multi = Context.from_dict({"kind": "multi", "user": {"key": "a", **more}, "org": {"key": "o"}})
    assert multi.to_dict()["user"] == {"key": "a", **kept}


# --- several kinds -----------------------------------------------------------------------------

USER: Final = Context.create("u")
ORG: Final = Context.create("o", "org")
BAD: Final = Context.create("")
WORSE: Final = Context.create("x", "kind")


def test_multi_rules() -> None:
    both = Context.create_multi(USER, ORG)
    assert (both.kind, both.key, both.name, both.anonymous) == ("multi", "", None, False)
    assert both.multiple
    assert both.individual_context_count == 2
    assert [both.get_individual_context(n) for n in (0, 1, 2, -1)] == [ORG, USER, None, None]
    assert both.get_individual_context("org") == ORG
    assert both.get_individual_context("device") is None
    assert both.get_individual_context("multi") is None
    assert both == Context.create_multi(ORG, USER)
    assert list(both.to_dict()) == ["kind", "org", "user"]


def test_multi_of_one_is_that_one() -> None:
    assert Context.create_multi(ORG) == ORG
    assert Context.multi_builder().add(ORG).build() == ORG
    assert Context.from_dict({"kind": "multi", "org": {"key": "o"}}) == ORG


def test_multi_in_multi_is_flattened() -> None:
    device = Context.create("d", "device")
    flat = Context.create_multi(device, Context.create_multi(USER, ORG))
    assert flat == Context.create_multi(USER, ORG, device)
    assert flat.individual_context_count == 3


def test_bad_multi() -> None:
    assert not Context.create_multi().valid
    assert not Context.multi_builder().build().valid
    assert not Context.create_multi(USER, Context.create("other")).valid
    assert not Context.create_multi(USER, "org").valid  # type: ignore[arg-type]  # bad input
    bad = Context.create_multi(USER, BAD, WORSE)
    assert bad.error == f"{BAD.error}, {WORSE.error}"


def test_kind_inside_a_member_is_ignored() -> None:
    context = Context.from_dict({"kind": "multi", "org": {"key": "o", "kind": "x"}})
    assert context == ORG


def test_attributes_of_multi() -> None:
    both = Context.create_multi(USER, ORG)
    assert both.get("kind") == "multi"
    assert [both.get(name) for name in ("key", "name", "anonymous", "x")] == [None] * 4
    assert list(both.custom_attributes) == []


def test_without_anonymous() -> None:
    anonymous = Context.builder("a").kind("device").anonymous(True).build()
    assert Context.create_multi(USER, anonymous).without_anonymous_contexts() == USER
    assert not anonymous.without_anonymous_contexts().valid
    assert USER.without_anonymous_contexts() == USER


# --- what follows from it ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (Context.create("a:b%c"), "a:b%c"),
        (Context.create("a:b%c", "org"), "org:a%3Ab%25c"),
        (
            Context.create_multi(Context.create("a:b%c"), Context.create("x", "org")),
            "org:x:user:a%3Ab%25c",
        ),
        (Context.create("%3A", "org"), "org:%253A"),
        (Context.create("é /", "org"), "org:é /"),
        (BAD, ""),
    ],
)
def test_fully_qualified_key(context: Context, expected: str) -> None:
    assert context.fully_qualified_key == expected


def test_lookup_by_name() -> None:
    context = Context.builder("a").name("N").set("x", {"y": [1]}).set("/x/y", 2).build()
    assert [context.get(name) for name in ("kind", "key", "name")] == ["user", "a", "N"]
    assert context.get("anonymous") is False
    assert context["x"] == {"y": [1]}
    assert context["/x/y"] == 2
    assert context["gone"] is None
    assert Context.create("a").get("name") is None
    assert sorted(context.custom_attributes) == ["/x/y", "x"]


# --- the builder -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("key", None), ("key", 3), ("kind", None), ("kind", 3), ("name", 3), ("name", True)),
        *(("anonymous", None), ("anonymous", "true"), ("anonymous", 1), ("", 1)),
        *(("x", float("nan")), ("x", {1}), ("x", {1: 2}), ("x", object()), ("x", [10**5000])),
    ],
)
def test_builder_refuses(name: str, value: Any) -> None:
    builder = Context.builder("a").name("N").anonymous(True).set("x", 1)
    before = builder.build()
    assert not builder.try_set(name, value)
    assert builder.build() == before
    builder.set(name, value)
    assert builder.build() == before


def test_builder_sets() -> None:
    builder = Context.builder("z")
    for name, value in user(kind="org", name="N", anonymous=True, x=[1]).items():
        assert builder.try_set(name, value)
    context = builder.build()
    assert context.to_dict() == user(kind="org", name="N", anonymous=True, x=[1])
    assert builder.try_set("name", None)
    assert builder.try_set("x", None)
    assert builder.try_set("never there", None)
    assert builder.build().to_dict() == {"kind": "org", "key": "a", "anonymous": True}
    assert context.get("x") == [1]


def test_refused_values_are_logged_without_the_value(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "flagkeep.context"):
        Context.builder("a").set("x", {"secret"}).build()
        Context.from_dict(user(x={"secret"}))
    assert len(caplog.records) == 2
    assert "secret" not in caplog.text


def test_builder_is_reusable() -> None:
    builder = Context.builder("a").set("x", [1]).private("x")
    first = builder.build()
    second = builder.key("b").set("x", 2).private("y").build()
    assert first.to_dict() == user(x=[1], _meta={"privateAttributes": ["x"]})
    assert second.to_dict() == user(key="b", x=2, _meta={"privateAttributes": ["x", "y"]})


def test_builder_from_context() -> None:
    context = Context.from_dict(
        user(kind="org", name="N", anonymous=True, x={"y": 1}, _meta={"privateAttributes": ["x"]})
    )
    builder = Context.builder_from_context(context)
    assert builder.build() == context
    assert builder.set("x", 1).build() != context
    assert context.get("x") == {"y": 1}


# --- equality ----------------------------------------------------------------------------------


def private(*references: str) -> Object:
    return user(_meta={"privateAttributes": list(references)})


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (user(), user()),
        (user(), user(anonymous=False, x=None, name=None)),
        (user(x=1), user(x=1.0)),
        (user(x={"a": [1, {"b": 2}], "c": 3}), user(x={"c": 3.0, "a": [1.0, {"b": 2}]})),
        (user(x=1, y=2), user(y=2, x=1)),
        (private("x", "y"), private("y", "x")),
        (private("x", "/x"), private("x")),
        (private("x"), private("/x")),
        (private("/a~1b"), private("a/b")),
        (private("/a~0b"), private("a~b")),
    ],
)
def test_equal_contexts(left: Object, right: Object) -> None:
    one, other = Context.from_dict(left), Context.from_dict(right)
    assert one == other
    assert not one != other  # noqa: SIM202  both operators
    assert hash(one) == hash(other)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (user(), user(kind="org")),
        (user(), user(key="b")),
        (user(), user(name="")),
        (user(), user(anonymous=True)),
        (user(x=1), user(x=True)),
        (user(x=0), user(x=False)),
        (user(x=1), user(x="1")),
        (user(x={"a": 1}), user(x={"a": True})),
        (user(x=[0]), user(x=[False])),
        (user(x=[]), user(x={})),
        (user(x=[]), user(x="")),
        (user(x=[1, 2]), user(x=[2, 1])),
        (user(x=[None]), user(x=[])),
        (user(x={"a": None}), user(x={})),
        (user(x=2**53), user(x=2**53 + 1)),
        (user(x=["a", ["b"]]), user(x=[["a"], "b"])),
        (private("/a/b"), private("a/b")),
        (private("x"), private("x", "y")),
        (private("x"), user()),
        (user(), {"kind": "multi", "user": {"key": "a"}, "org": {"key": "o"}}),
        (user(), {}),
    ],
)
def test_different_contexts(left: Object, right: Object) -> None:
    assert Context.from_dict(left) != Context.from_dict(right)


def test_an_attribute_removed_again_leaves_no_trace() -> None:
    assert Context.builder("a").set("x", 1).set("x", None).build() == Context.create("a")


def test_contexts_equal_nothing_else() -> None:
    assert Context.create("a") != user()
    assert Context.create("a") != "a"
    assert Context.create("").__eq__(3) is NotImplemented


# --- immutability ------------------------------------------------------------------------------


def test_the_callers_data_is_copied() -> None:
    inner: list[Any] = [1]
    attributes: Object = {"list": inner, "object": {"list": inner}, "tuple": (inner,)}
    references = ["x"]
    data = user(**attributes, _meta={"privateAttributes": references})
    expected = copy.deepcopy(data)
    expected["tuple"] = [[1]]
    builder = Context.builder("a")
    for name, value in attributes.items():
        builder.set(name, value)
    contexts = [Context.from_dict(data), builder.private(*references).build()]
    inner.append(2)
    references.append("y")
    attributes["object"]["new"] = 1
    data["new"] = 1
    for context in contexts:
        assert context.to_dict() == expected


def test_what_is_handed_out_is_a_copy() -> None:
    data = user(x={"y": [1]}, _meta={"privateAttributes": ["x"]})
    context = Context.from_dict(data)
    context.get("x")["y"].append(2)
    out = context.to_dict()
    out["x"]["y"].append(3)
    out["_meta"]["privateAttributes"].append("z")
    assert context.to_dict() == data


def test_contexts_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Context.create("a").key = "b"  # type: ignore[misc]  # on purpose


# --- legacy users (section 6.4) ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("legacy", "expected"),
    [
        ({"key": "a"}, user()),
        ({"key": "a", "anonymous": None, "custom": None, "name": None}, user()),
        ({"key": "a", "anonymous": True, "name": "N"}, user(anonymous=True, name="N")),
        (
            {"key": "a", "custom": {"x": [1], "y": None}, "email": "e", "ip": None},
            user(x=[1], email="e"),
        ),
        ({"key": "a", "privateAttributeNames": ["x"]}, private("x")),
        ({"key": "a", "privateAttributeNames": ["/x"]}, private("/~1x")),
        ({"key": "a", "privateAttributeNames": None}, user()),
        (
            {
                "key": "a",
                **{name: name for name in ("firstName", "lastName", "country", "avatar")},
            },
            user(firstName="firstName", lastName="lastName", country="country", avatar="avatar"),
        ),
        ({"key": "a", "custom": {"key": "x", "kind": "org", "anonymous": True}}, user()),
    ],
)
def test_legacy_users(legacy: Object, expected: Object) -> None:
    assert Context.from_user(legacy) == Context.from_dict(expected)


def test_legacy_users_may_have_an_empty_key() -> None:
    context = Context.from_user({"key": ""})
    assert context.valid
    assert (context.kind, context.key) == ("user", "")


@pytest.mark.parametrize(
    "legacy",
    [
        *(None, 3, [], {}, {"key": None}, {"key": 3}),
        {"key": "a", "custom": 3},
        {"key": "a", "custom": []},
        {"key": "a", "anonymous": "true"},
        {"key": "a", "anonymous": 1},
        {"key": "a", "privateAttributeNames": "x"},
        {"key": "a", "privateAttributeNames": {}},
        {"key": "a", "privateAttributeNames": [3]},
        *({"key": "a", name: 3} for name in ("firstName", "lastName", "email", "country")),
        *({"key": "a", name: 3} for name in ("avatar", "ip", "name")),
    ],
)
def test_what_is_no_legacy_user(legacy: Any) -> None:
    assert not Context.from_user(legacy).valid


# --- laws --------------------------------------------------------------------------------------


@examples(400)
@given(strategies.contexts())
def test_decoding_undoes_encoding(data: Object) -> None:
    context = Context.from_dict(data)
    assert context.valid
    for twin in (
        Context.from_dict(context.to_dict()),
        Context.from_json(context.to_json_string()),
        Context.from_json(context.to_json_string().encode()),
        pickle.loads(pickle.dumps(context)),  # noqa: S301  our own
        copy.deepcopy(context),
        copy.copy(context),
    ):
        assert twin == context
        assert hash(twin) == hash(context)
        assert twin.to_dict() == context.to_dict()


@examples(400)
@given(strategies.contexts(), strategies.contexts())
def test_equality_agrees_with_hash_and_json(left: Object, right: Object) -> None:
    one, other = Context.from_dict(left), Context.from_dict(right)
    assert (one == other) is (other == one)
    if one == other:
        assert hash(one) == hash(other)
    if one.to_json_string() == other.to_json_string():
        assert one == other


@examples(400)
@given(
    data=strategies.any_json | st.dictionaries(st.text(), strategies.any_json),
    named=st.booleans(),
)
def test_any_json_makes_a_context_valid_or_not(*, data: Any, named: bool) -> None:
    if named and isinstance(data, dict):
        data = user(**{name: value for name, value in data.items() if name != "kind"})
    context = Context.from_dict(data)
    assert context.valid is (context.error is None)
    assert Context.from_dict(context.to_dict()) == context or not context.valid
    assert Context.from_user(data).valid in (True, False)
    assert isinstance(hash(context), int)
    assert str(context)


def test_invalid_contexts_survive_pickling() -> None:
    assert pickle.loads(pickle.dumps(BAD)) == BAD  # noqa: S301  our own


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (
            Context.create("user-key"),
            "12a38d8e0c8d5172b1c49ed0fcc487b09ca5cdd4409fd0c6b1b453c9fdca9020",
        ),
        (
            Context.create_multi(Context.create("u"), Context.create("o:1", "org")),
            "a9cdd7594a353ecc07a131f8c2f9a9998b216612dc11c921927397a77ad1db0c",
        ),
    ],
)
def test_the_secure_mode_hash_is_of_the_fully_qualified_key(
    context: Context, expected: str
) -> None:
    message = context.fully_qualified_key.encode()
    assert hmac.new(b"sdk-key", message, "sha256").hexdigest() == expected


@pytest.mark.parametrize("name", ["", "_meta", 3, None, [], {}])
def test_a_name_that_no_attribute_can_have_is_refused(name: Any) -> None:
    builder = Context.builder("a")
    assert builder.try_set(name, {"x": 1}) is False
    context = builder.build()
    assert Context.from_dict(context.to_dict()) == context == Context.create("a")
    assert context.get(name) is None


@pytest.mark.parametrize("name", ["", "_meta", 3, None])
def test_a_custom_attribute_of_a_user_with_such_a_name_is_left_out(name: Any) -> None:
    context = Context.from_user({"key": "a", "custom": {name: 1, "ok": 2}})
    assert context.to_dict() == {"kind": "user", "key": "a", "ok": 2}
