"""Contexts as events show them: without what is private (events spec, section 4)."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, NamedTuple, final

from flagkeep.events.encoding import encode
from flagkeep.model.attribute_ref import AttributeRef
from flagkeep.model.context import Context

SHOWN: Final = frozenset({"kind", "key", "anonymous"})
"""Attributes that are never private."""


class _Private(NamedTuple):
    """Something that is not shown.

    Attributes:
        path: one name per level.
        shown: the reference that says that it was there.
    """

    path: tuple[str, ...]
    shown: str


@final
class ContextFormatter:
    """Writes contexts for events. Safe to share between threads.

    Args:
        all_private: show only kind, key and anonymous of every context.
        private: references of attributes that are never shown; invalid ones are ignored.
    """

    __slots__ = ("_all_private", "_references")

    def __init__(self, *, all_private: bool = False, private: Iterable[str] = ()) -> None:
        self._all_private = all_private
        self._references = tuple(private)

    def format(self, context: Context, *, redact_anonymous: bool) -> bytes:
        """Return the JSON of a valid context, without private attributes.

        Args:
            redact_anonymous: show only kind, key and anonymous of anonymous contexts; so it is
                in `feature`, `custom` and `migration_op` events.
        """
        if not context.members:
            return encode(self._shown(context, redact_anonymous))
        shown: dict[str, Any] = {"kind": "multi"}
        for member in context.members:
            shown[member.kind] = body = self._shown(member, redact_anonymous)
            del body["kind"]
        return encode(shown)

    def _shown(self, context: Context, redact_anonymous: bool) -> dict[str, Any]:  # noqa: FBT001
        if self._all_private or (redact_anonymous and context.anonymous):
            return _bare(context)
        body = dict(context.lookup)
        if not context.anonymous:
            del body["anonymous"]
        references = self._references + context.private
        if references:
            _redact(body, _private(references))
        return body


def without_anonymous(context: Context) -> Context | None:
    """Return a context without its anonymous members, None if none is left.

    For `index` and `identify` events where anonymous contexts are not to be described.
    """
    if not context.members:
        return None if context.anonymous else context
    left = context.without_anonymous_contexts()
    return left if left.valid else None


def _bare(context: Context) -> dict[str, Any]:
    body: dict[str, Any] = {"kind": context.kind, "key": context.key}
    if context.anonymous:
        body["anonymous"] = True
    redacted = [_reference(name) for name in context.lookup if name not in SHOWN]
    if redacted:
        body["_meta"] = {"redactedAttributes": redacted}
    return body


def _redact(body: dict[str, Any], private: Iterable[_Private]) -> None:
    """Remove from `body`, and list there, whatever of `private` it has; values stay untouched."""
    redacted = []
    for path, shown in private:
        name = path[0]
        if name not in body:
            continue
        if len(path) == 1:
            del body[name]
            redacted.append(shown)
            continue
        before = body[name]
        after = _without(before, path, 1)
        if after is not before:
            body[name] = after
            redacted.append(shown)
    if redacted:
        body["_meta"] = {"redactedAttributes": redacted}


def _without(value: Any, path: tuple[str, ...], depth: int) -> Any:
    """Return `value` without the property at `path`; the very same if it has none."""
    name = path[depth]
    if type(value) is not dict or name not in value:
        return value
    if depth == len(path) - 1:
        return {other: one for other, one in value.items() if other != name}
    before = value[name]
    after = _without(before, path, depth + 1)
    return value if after is before else {**value, name: after}


@lru_cache(maxsize=256)  # contexts of one application declare the same few lists
def _private(references: tuple[str, ...]) -> tuple[_Private, ...]:
    """Return what can be redacted, short paths first: what lies within them is then gone."""
    found = {}
    for reference in references:
        path = AttributeRef.parse(reference).components
        if path and not (len(path) == 1 and path[0] in SHOWN):
            shown = _reference(path[0]) if len(path) == 1 else reference
            found[path] = _Private(path, shown)
    return tuple(sorted(found.values(), key=lambda one: len(one.path)))


def _reference(name: str) -> str:
    return str(AttributeRef.literal(name)) if name.startswith("/") else name
