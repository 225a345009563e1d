"""Contexts of this face: the core's, with the official text and types."""

import pickle

from flagkeep.ldclient import Context, ContextBuilder, ContextMultiBuilder
from flagkeep.model import context as core


def test_the_text_is_ascii_with_the_key_first() -> None:
    context = Context.builder("é").kind("org").name("N").anonymous(True).set("x", [1]).build()
    assert str(context) == ('{"key":"\\u00e9","kind":"org","name":"N","anonymous":true,"x":[1]}')
    assert repr(context) == context.to_json_string() == str(context)


def test_the_text_of_several_has_them_in_order_of_their_kinds() -> None:
    both = Context.create_multi(Context.create("u"), Context.create("o", "org"))
    assert str(both) == '{"kind":"multi","org":{"key":"o"},"user":{"key":"u"}}'


def test_an_invalid_context_says_why() -> None:
    context = Context.create("")
    assert str(context).startswith("[invalid context: ")
    assert (context.valid, context.to_dict()) == (False, {})


def test_builders_are_of_this_face_and_so_is_what_they_build() -> None:
    builder = Context.builder("k")
    assert isinstance(builder, ContextBuilder)
    assert isinstance(Context.builder_from_context(builder.build()), ContextBuilder)
    assert isinstance(Context.multi_builder(), ContextMultiBuilder)
    for built in (
        builder.build(),
        ContextBuilder("k").build(),
        ContextMultiBuilder().add(core.Context.create("k")).build(),
        Context.create_multi(core.Context.create("k"), Context.create("o", "org")),
        Context.from_dict({"kind": "user", "key": "k"}),
    ):
        assert type(built) is Context


def test_a_builder_begins_with_what_a_context_has() -> None:
    first = Context.builder("k").name("N").set("x", 1).private("x").build()
    assert Context.builder_from_context(first).build() == first


def test_members_are_found_by_kind_and_by_place() -> None:
    both = Context.create_multi(Context.create("u"), Context.create("o", "org"))
    org = both.get_individual_context("org")
    assert org is not None
    assert (org.key, org) == ("o", both.get_individual_context(0))
    assert both.get_individual_context("device") is None


def test_contexts_of_face_and_core_are_equal_and_hash_alike() -> None:
    ours, plain = Context.create("k"), core.Context.create("k")
    assert ours == plain
    assert hash(ours) == hash(plain)


def test_contexts_can_be_pickled() -> None:
    both = Context.create_multi(Context.create("u"), Context.create("o", "org"))
    for context in (both, Context.create("u"), Context.create("")):
        again = pickle.loads(pickle.dumps(context))  # noqa: S301  our own
        assert type(again) is Context
        assert again == context
