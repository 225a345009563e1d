"""Contexts: what a flag is evaluated for.

`Context` is the core's context with the JSON text of the official SDK; both clients take either.
"""

import json
from collections.abc import Mapping
from typing import Any, Self, cast

from flagkeep.model import context as core


class Context(core.Context, frozen=True, eq=False, dict=True):
    """A user, a device, an organisation…, or several of them in one.

    Make one with `create`, `builder`, `create_multi`, `multi_builder` or `from_dict`. Bad data
    gives an invalid context, which says why in `error`; nothing raises for it.
    """

    @classmethod
    def from_dict(cls, props: Mapping[str, Any] | None) -> Self:
        """Read the JSON form, parsed; a dict without a kind gives an invalid context."""
        return super().from_dict(props)

    @classmethod
    def builder(cls, key: str) -> "ContextBuilder":
        """Return a builder of a context of one kind, user unless told otherwise."""
        return ContextBuilder(key)

    @classmethod
    def builder_from_context(cls, context: core.Context) -> "ContextBuilder":
        """Return a builder that begins with everything a context of one kind has."""
        return ContextBuilder(context.key, context)

    @classmethod
    def multi_builder(cls) -> "ContextMultiBuilder":
        """Return a builder of a multi-kind context."""
        return ContextMultiBuilder()

    def get_individual_context(self, kind: int | str) -> "Context | None":
        """Return one of them, by kind or by position in the order of kinds."""
        return cast("Context | None", super().get_individual_context(kind))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form as new objects; `{}` if invalid."""
        whole = super().to_dict()
        if not whole or self.multiple:
            return whole
        return {"key": whole.pop("key"), **whole}

    def to_json_string(self) -> str:
        """Return the JSON form, compact and in ASCII."""
        return json.dumps(self.to_dict(), separators=(",", ":"))


class ContextBuilder(core.ContextBuilder):
    """Builds contexts of one kind; may be used again after `build`.

    Args:
        key: of the context.
        copy_from: a context to begin with.
    """

    def __init__(self, key: str, copy_from: core.Context | None = None) -> None:
        super().__init__(key, copy_from, made=Context)

    def build(self) -> Context:
        """Return the context; what is wrong with it is in its `error`."""
        return cast(Context, super().build())


class ContextMultiBuilder(core.ContextMultiBuilder):
    """Builds multi-kind contexts."""

    def __init__(self) -> None:
        super().__init__(made=Context)

    def build(self) -> Context:
        """Return the context; a single one is returned as it is."""
        return cast(Context, super().build())
