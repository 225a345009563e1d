"""Contexts as events show them (events spec, section 4)."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagkeep.events.contexts import ContextFormatter, without_anonymous
from flagkeep.model.attribute_ref import AttributeRef
from flagkeep.model.context import Context
from tests.strategies import LONE_SURROGATE, contexts, private_references

Json = Any


def formatted(
    context: Context | dict[str, Any],
    private: Iterable[str] = (),
    *,
    all_private: bool = False,
    redact_anonymous: bool = False,
) -> Json:
    if isinstance(context, dict):
        context = Context.from_dict(context)
    assert context.valid, context.error
    formatter = ContextFormatter(all_private=all_private, private=private)
    return json.loads(formatter.format(context, redact_anonymous=redact_anonymous))


def user(**attributes: Json) -> dict[str, Json]:
    return {"kind": "user", "key": "u", **attributes}


def redacted(*references: str) -> dict[str, Json]:
    return {"redactedAttributes": list(references)}


def test_a_context_with_nothing_private_is_shown_as_it_is() -> None:
    whole = user(name="N", anonymous=True, a=1, b=[{"c": None}], d={"e": 1.5}, f=False)
    assert formatted(whole) == whole
    assert formatted(Context.create("k")) == {"kind": "user", "key": "k"}


def test_a_multi_kind_context_has_its_members_by_kind_without_their_kinds() -> None:
    several = {"kind": "multi", "org": {"key": "o", "a": 1}, "user": {"key": "u", "name": "N"}}
    assert formatted(several) == several


def test_not_anonymous_is_not_said() -> None:
    assert formatted(user(anonymous=False)) == user()


def test_all_private_leaves_kind_key_and_anonymous() -> None:
    whole = user(name="a", b="c", anonymous=True, **{"/d": 1, "~e": 2})
    assert formatted(whole, all_private=True) == user(
        anonymous=True, _meta=redacted("name", "b", "/~1d", "~e")
    )
    assert formatted(user(), all_private=True) == user()


def test_all_private_holds_for_every_member() -> None:
    several = {"kind": "multi", "org": {"key": "o", "a": 1}, "user": {"key": "u"}}
    assert formatted(several, all_private=True) == {
        "kind": "multi",
        "org": {"key": "o", "_meta": redacted("a")},
        "user": {"key": "u"},
    }


def test_attributes_are_private_by_configuration_and_by_their_own_context() -> None:
    whole = user(name="a", b="c", d="e", _meta={"privateAttributes": ["b"]})
    assert formatted(whole, ["name"]) == user(d="e", _meta=redacted("name", "b"))


@pytest.mark.parametrize("reference", ["kind", "key", "anonymous", "/key", "/kind", "/anonymous"])
def test_kind_key_and_anonymous_are_never_private(reference: str) -> None:
    whole = user(anonymous=True)
    assert formatted(whole, [reference]) == whole
    assert formatted({**whole, "_meta": {"privateAttributes": [reference]}}) == whole


@pytest.mark.parametrize("reference", ["", "/", "//", "/a/", "/a//b", "/a~2", "/~"])
def test_an_invalid_reference_is_ignored(reference: str) -> None:
    whole = user(a={"b": 1}, **{"a~2": 1, "~": 2})
    assert formatted(whole, [reference, "x"]) == whole


@pytest.mark.parametrize("reference", ["x", "/x", "/a/x", "/a/b/x", "/s/x", "/l/0", "/name/x"])
def test_what_does_not_exist_is_not_listed(reference: str) -> None:
    whole = user(name="N", a={"b": 1}, s="text", l=[1, {"x": 2}])
    assert formatted(whole, [reference]) == whole


def test_one_property_is_removed_and_its_path_listed_as_configured() -> None:
    whole = user(
        b={"prop1": True, "prop2": 3},
        c={"prop1": {"sub1": True}, "prop2": {"sub1": 4, "sub2": 5}},
        _meta={"privateAttributes": ["/b/prop1"]},
    )
    assert formatted(whole, ["/c/prop2/sub1"]) == user(
        b={"prop2": 3},
        c={"prop1": {"sub1": True}, "prop2": {"sub2": 5}},
        _meta=redacted("/b/prop1", "/c/prop2/sub1"),
    )


def test_an_object_that_redaction_empties_stays() -> None:
    assert formatted(user(a={"b": {"c": 1}}), ["/a/b/c"]) == user(
        a={"b": {}}, _meta=redacted("/a/b/c")
    )


def test_objects_within_lists_are_not_looked_into() -> None:
    whole = user(a=[{"b": 1}], c={"d": [{"b": 1}]})
    assert formatted(whole, ["/a/b", "/a/0/b", "/c/d/b", "/c/d/0/b"]) == whole


def test_what_goes_with_something_larger_is_not_listed() -> None:
    whole = user(a={"b": {"c": 1}, "d": 2})
    assert formatted(whole, ["/a/b/c", "/a/b"]) == user(a={"d": 2}, _meta=redacted("/a/b"))
    assert formatted(whole, ["/a/b/c", "/a/b", "a"]) == user(_meta=redacted("a"))


def test_a_reference_that_is_given_twice_is_listed_once() -> None:
    whole = user(a=1, b={"c": 1}, _meta={"privateAttributes": ["/a", "/b/c"]})
    assert formatted(whole, ["a", "/b/c"]) == user(b={}, _meta=redacted("a", "/b/c"))


def test_names_are_listed_in_a_form_that_means_them() -> None:
    whole = user(**{"/a": 1, "b/c": 2, "~d": 3, "e": {"f/g": 4, "~h": 5}})
    private = ["/~1a", "b/c", "/~0d", "/e/f~1g", "/e/~0h"]
    assert formatted(whole, private) == user(
        e={}, _meta=redacted("/~1a", "b/c", "~d", "/e/f~1g", "/e/~0h")
    )


def test_anonymous_contexts_are_redacted_where_that_is_asked_for() -> None:
    whole = user(anonymous=True, name="N", setup="s", punchline={"a": 1})
    assert formatted(whole, redact_anonymous=True) == user(
        anonymous=True, _meta=redacted("name", "setup", "punchline")
    )
    assert formatted(whole, redact_anonymous=False) == whole
    assert formatted(user(name="N"), redact_anonymous=True) == user(name="N")


def test_anonymous_members_are_redacted_one_by_one() -> None:
    several = {
        "kind": "multi",
        "org": {"key": "o", "name": "O", "setup": 1},
        "user": {"key": "u", "name": "U", "setup": 1, "anonymous": True},
    }
    assert formatted(several, ["setup"], redact_anonymous=True) == {
        "kind": "multi",
        "org": {"key": "o", "name": "O", "_meta": redacted("setup")},
        "user": {"key": "u", "anonymous": True, "_meta": redacted("name", "setup")},
    }


@pytest.mark.parametrize("declaring", ["org", "user"])
def test_what_one_member_keeps_private_the_others_show(declaring: str) -> None:
    several: dict[str, Json] = {
        "kind": "multi",
        "org": {"key": "o", "own": 1, "everyone": 2, "shown": 3},
        "user": {"key": "u", "own": 1, "everyone": 2, "shown": 3},
    }
    several[declaring]["_meta"] = {"privateAttributes": ["own"]}
    found = formatted(several, ["everyone"])
    other = "user" if declaring == "org" else "org"
    assert found[declaring]["_meta"] == redacted("everyone", "own")
    assert "own" not in found[declaring]
    assert found[other]["_meta"] == redacted("everyone")
    assert found[other]["own"] == 1


def test_what_one_context_keeps_private_later_ones_show() -> None:
    formatter = ContextFormatter(private=["everyone"])
    whole = user(own=1, everyone=2)
    shy = Context.from_dict({**whole, "_meta": {"privateAttributes": ["own"]}})
    first = json.loads(formatter.format(shy, redact_anonymous=False))
    second = json.loads(formatter.format(Context.from_dict(whole), redact_anonymous=False))
    assert first == user(_meta=redacted("everyone", "own"))
    assert second == user(own=1, _meta=redacted("everyone"))


def test_the_context_itself_is_left_as_it_is() -> None:
    whole = user(name="N", a={"b": {"c": 1}}, anonymous=True)
    context = Context.from_dict(whole)
    formatted(context, ["/a/b/c", "name"])
    formatted(context, all_private=True)
    formatted(context, redact_anonymous=True)
    assert context.to_dict() == whole


def test_text_that_utf_8_cannot_carry_is_escaped() -> None:
    whole = user(key="u" + LONE_SURROGATE, a=LONE_SURROGATE, n=2**70)
    assert formatted(whole) == whole


def test_an_old_user_with_an_empty_key_can_be_shown() -> None:
    old = {"key": "", "email": "e", "custom": {"a": 1}, "privateAttributeNames": ["email"]}
    assert formatted(Context.from_user(old)) == {
        "kind": "user",
        "key": "",
        "a": 1,
        "_meta": redacted("email"),
    }


# --- contexts that are not described ------------------------------------------------------------


def test_omitting_anonymous_contexts_leaves_the_others() -> None:
    known, shadow = Context.create("k", "org"), Context.builder("a").anonymous(True).build()
    device = Context.create("d", "device")
    assert without_anonymous(known) is known
    assert without_anonymous(shadow) is None
    assert without_anonymous(Context.create_multi(known, shadow)) == known
    assert without_anonymous(Context.create_multi(known, shadow, device)) == (
        Context.create_multi(known, device)
    )
    hidden = Context.builder("h").kind("x").anonymous(True).build()
    assert without_anonymous(Context.create_multi(hidden, shadow)) is None
    several = Context.create_multi(known, device)
    assert without_anonymous(several) == several


# --- laws ---------------------------------------------------------------------------------------


def comparable(context: Context) -> Json:
    return json.loads(json.dumps(context.to_dict()))


@given(contexts())
def test_what_is_shown_parses_back_where_nothing_is_private(source: Json) -> None:
    for member in [source, *source.values()]:
        if isinstance(member, dict):
            member.pop("_meta", None)
    context = Context.from_dict(source)
    assert formatted(context) == comparable(context)
    assert Context.from_dict(formatted(context)) == context


def reachable(value: Json, path: tuple[str, ...]) -> bool:
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return False
        value = value[name]
    return True


def pruned(value: Json, paths: list[tuple[str, ...]], at: tuple[str, ...] = ()) -> Json:
    """Say, slowly and plainly, what redaction leaves of an object."""
    if not isinstance(value, dict):
        return value
    return {
        name: pruned(one, paths, (*at, name))
        for name, one in value.items()
        if (*at, name) not in paths
    }


@given(contexts(), private_references, st.booleans(), st.booleans())
def test_redaction_never_shows_a_private_value_and_hides_nothing_else(
    source: Json,
    private: list[str],
    all_private: bool,  # noqa: FBT001  Hypothesis draws it
    redact_anonymous: bool,  # noqa: FBT001  likewise
) -> None:
    context = Context.from_dict(source)
    shown = formatted(context, private, all_private=all_private, redact_anonymous=redact_anonymous)
    members = context.members or (context,)
    found = [shown[one.kind] for one in members] if context.members else [shown]
    for member, body in zip(members, found, strict=True):
        before = comparable(member)
        meta = body.pop("_meta", None)
        for name in ("kind", "key", "anonymous"):
            if name in before and not (name == "kind" and context.members):
                assert body.pop(name) == before[name]
            before.pop(name, None)
        before.pop("_meta", None)
        refs = [AttributeRef.parse(one) for one in (*private, *member.private)]
        paths = [one.components for one in refs if one.components]
        if all_private or (redact_anonymous and member.anonymous):
            paths = [(name,) for name in before]
        assert body == pruned(before, paths)
        listed = [] if meta is None else meta["redactedAttributes"]
        assert meta is None or list(meta) == ["redactedAttributes"]
        assert meta is None or listed
        gone = [AttributeRef.parse(one).components for one in listed]
        assert len(set(gone)) == len(gone)
        assert set(gone) <= set(paths)
        assert all(reachable(before, path) for path in gone)
        assert pruned(before, gone) == body
