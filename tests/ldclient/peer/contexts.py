"""Contexts of every shape: what they say of themselves."""

# mypy: ignore-errors
# The names are those of the official SDK, which the environment of the type checker does not have.
# ruff: noqa: B023  what uses a variable of a loop is called at once

import pickle
from typing import Any

from ldclient import Context
from recording import finish, record

KEYS = ["a", "", "a:b%c", "é", " "]
KINDS = [None, "user", "org", "", "kind", "multi", "b c", "ü", "a.b_c-D9", "b\n"]
DICTS: list[Any] = [
    {},
    {"kind": None, "key": "a"},
    {"kind": 3, "key": "a"},
    {"kind": "user"},
    {"kind": "user", "key": None},
    {"kind": "user", "key": 3},
    {"kind": "user", "key": ""},
    {"kind": "", "key": "x"},
    {"kind": "user", "key": "a", "name": 3},
    {"kind": "user", "key": "a", "name": None},
    {"kind": "user", "key": "a", "name": "n", "anonymous": True, "x": [1, {"y": None}], "z": None},
    {"kind": "user", "key": "a", "anonymous": None},
    {"kind": "user", "key": "a", "anonymous": "true"},
    {"kind": "user", "key": "a", "_meta": 3},
    {"kind": "user", "key": "a", "_meta": None},
    {"kind": "user", "key": "a", "_meta": {"privateAttributes": 3}},
    {"kind": "user", "key": "a", "_meta": {"privateAttributes": [3]}},
    {"kind": "user", "key": "a", "_meta": {"privateAttributes": None}},
    {"kind": "user", "key": "a", "_meta": {"privateAttributes": ["x", "/y/z"]}},
    {"kind": "user", "key": "a", "": 3},
    {"kind": "multi"},
    {"kind": "multi", "org": 3},
    {"kind": "multi", "org": {"key": "x"}},
    {"kind": "multi", "org": {"key": "x"}, "user": {"key": ""}},
    {"kind": "multi", "user": {"key": "u", "name": "n"}, "org": {"key": "a:b"}},
    None,
    [],
    3,
]


def shown(context: Context) -> Any:
    if not context.valid:
        return ["invalid", isinstance(context.error, str), context.to_dict(), context.kind]
    return [
        str(context),
        repr(context),
        context.to_json_string(),
        context.to_dict(),
        [context.kind, context.key, context.name, context.anonymous, context.multiple],
        context.fully_qualified_key,
        context.individual_context_count,
        sorted(context.custom_attributes),
        list(context.private_attributes),
        [context.get("kind"), context["name"], context.get("x")],
        pickle.loads(pickle.dumps(context)) == context,  # noqa: S301  our own
    ]


user, org = Context.create("u"), Context.create("o", "org")
hidden = Context.builder("h").kind("h").anonymous(True).build()
for key in KEYS:
    for kind in KINDS:
        record(f"create {key!r} {kind!r}", lambda: shown(Context.create(key, kind)))
for data in DICTS:
    record(f"from dict {data!r}", lambda: shown(Context.from_dict(data)))
record("key None", lambda: Context.create(None).valid)  # type: ignore[arg-type]
record("key 3", lambda: Context.create(3).valid)  # type: ignore[arg-type]
record("kind 3", lambda: Context.create("a", 3).valid)  # type: ignore[arg-type]

record("multi", lambda: shown(Context.create_multi(user, org)))
record("multi of one", lambda: shown(Context.create_multi(user)))
record("multi of none", lambda: shown(Context.create_multi()))
record("multi twice", lambda: shown(Context.create_multi(user, user)))
record(
    "multi in multi", lambda: shown(Context.create_multi(Context.create_multi(user, org), hidden))
)
record("multi of invalid", lambda: shown(Context.create_multi(user, Context.create(""))))
record("multi builder", lambda: shown(Context.multi_builder().add(org).add(user).build()))
both = Context.create_multi(user, org)
for which in [0, 1, 2, -1, "user", "org", "x", "multi"]:
    record(f"member {which!r}", lambda: str(both.get_individual_context(which)))
    record(f"member {which!r} of one", lambda: str(user.get_individual_context(which)))
record(
    "without anonymous",
    lambda: str(Context.create_multi(user, hidden).without_anonymous_contexts()),
)
record("only anonymous", lambda: hidden.without_anonymous_contexts().valid)
record("multi, get key", lambda: both.get("key"))

builder = Context.builder("k").name("n").set("email", "e").set("tags", ["x", {"y": 1}])
first = builder.private("email").private("/tags/y").build()
record("built", lambda: shown(first))
record("built again", lambda: shown(builder.kind("org").anonymous(True).set("email", None).build()))
record("copied", lambda: shown(Context.builder_from_context(first).key("other").build()))
for attribute, value in [
    ("key", 3),
    ("key", "j"),
    ("kind", None),
    ("kind", "x"),
    ("name", None),
    ("name", 3),
    ("anonymous", "x"),
    ("anonymous", False),
    ("", 3),
    ("privateAttributes", ["x"]),
    ("a", None),
    ("a", 1.5),
    ("b", float("nan")),
    ("c", object()),
]:
    record(
        f"try_set {attribute} {value!r:.10}", lambda: Context.builder("k").try_set(attribute, value)
    )

record("equal", lambda: user == Context.create("u"))
record("equal to other things", lambda: [user == "u", user != "u", user is None])
record("not equal", lambda: [user == org, user != org, user == both])
alike = Context.builder("u").set("x", 1).set("y", {"z": [1]})
record(
    "equal attributes",
    lambda: alike.build() == Context.builder("u").set("y", {"z": [1]}).set("x", 1).build(),
)
record("emptied", lambda: Context.builder("u").set("x", 1).set("x", None).build() == user)
record(
    "private in another order",
    lambda: (
        Context.builder("u").private("a", "b").build()
        == Context.builder("u").private("b", "a").build()
    ),
)
record("hash", lambda: hash(user) == hash(Context.create("u")))
values = ["x"]
kept = Context.builder("u").set("v", values).build()
values.append("y")
record("later changes of the caller", lambda: kept.get("v"))
finish()
