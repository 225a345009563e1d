"""The commands about contexts, which need no client."""

from typing import Any

import msgspec

from flagkeep import Context
from flagkeep.model.attribute_ref import AttributeRef
from tests.contract import messages


def read(about: messages.About) -> Context:
    """Return the context that a command is about."""
    if about.user is not None:
        return Context.from_user(about.user)
    return Context.from_dict(about.context)


def build(wanted: messages.ContextBuild) -> dict[str, str]:
    """Build a context; answer its JSON, or what is wrong with it."""
    if wanted.single is not None:
        return _described(_built(wanted.single))
    builder = Context.multi_builder()
    for one in wanted.multi or ():
        builder.add(_built(one))
    return _described(builder.build())


def convert(wanted: messages.ContextConvert) -> dict[str, str]:
    """Read a context, or a user, and write it again."""
    try:
        data = msgspec.json.decode(wanted.input)
    except msgspec.DecodeError as exc:
        return {"error": str(exc)}
    is_user = isinstance(data, dict) and "kind" not in data
    return _described(Context.from_user(data) if is_user else Context.from_json(wanted.input))


def compare(wanted: messages.ContextComparison) -> dict[str, bool]:
    """Build two contexts and compare them."""
    return {"equals": _built_to_compare(wanted.context1) == _built_to_compare(wanted.context2)}


def _built(wanted: messages.SingleContext) -> Context:
    builder = Context.builder(wanted.key)
    if wanted.kind is not None:
        builder.kind(wanted.kind)
    if wanted.name is not None:
        builder.name(wanted.name)
    if wanted.anonymous is not None:
        builder.anonymous(wanted.anonymous)
    builder.private(*wanted.private or ())
    for name, value in (wanted.custom or {}).items():
        builder.set(name, value)
    return builder.build()


def _built_to_compare(wanted: messages.ComparedContexts) -> Context:
    if wanted.single is not None:
        return _built_with_attributes(wanted.single)
    return Context.create_multi(*map(_built_with_attributes, wanted.multi or ()))


def _built_with_attributes(wanted: messages.ComparedContext) -> Context:
    builder = Context.builder(wanted.key).kind(wanted.kind)
    for attribute in wanted.attributes or ():
        builder.set(attribute.name, attribute.value)
    for private in wanted.private_attributes or ():
        is_name = bool(private.literal)
        builder.private(str(AttributeRef.literal(private.value)) if is_name else private.value)
    return builder.build()


def _described(context: Context) -> dict[str, Any]:
    return {"output": context.to_json_string()} if context.valid else {"error": context.error}
