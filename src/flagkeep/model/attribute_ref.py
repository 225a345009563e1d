"""Attribute references: names and paths of context attributes (data model spec, section 5)."""

from typing import Self

import msgspec

BUILT_IN = frozenset({"kind", "key", "name", "anonymous"})


class AttributeRef(msgspec.Struct, frozen=True):
    """A parsed reference; equal if the path is, however it was written.

    Attributes:
        components: the path, one attribute name per level; empty if invalid.
        error: what is wrong with it, None if it is valid.
    """

    components: tuple[str, ...]
    error: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reference: a plain name, or a path that begins with a slash. Never raises."""
        if not text.startswith("/"):
            return cls((text,)) if text else cls((), "it is empty")
        if text == "/":
            return cls((), "it is only a slash")
        components = []
        for part in text[1:].split("/"):
            if not part:
                return cls((), "it has an empty part: two slashes, or one at the end")
            unescaped = _unescape(part)
            if unescaped is None:
                return cls((), "'~' must be followed by 0 or 1")
            components.append(unescaped)
        return cls(tuple(components))

    @classmethod
    def literal(cls, name: str) -> Self:
        """Take `name` as the name of a top-level attribute, whatever characters it has."""
        return cls((name,)) if name else cls((), "it is empty")

    def __str__(self) -> str:
        if len(self.components) == 1 and not self.components[0].startswith("/"):
            return self.components[0]
        return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in self.components)


def _unescape(part: str) -> str | None:
    if "~" not in part:
        return part
    if any(following[:1] not in ("0", "1") for following in part.split("~")[1:]):
        return None
    return part.replace("~1", "/").replace("~0", "~")
