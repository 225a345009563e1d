"""Evaluation contexts (data model spec, section 6).

A context is a value: immutable, hashable, sharing nothing with the caller's data. Bad data makes
an *invalid* context, which says why in `error`; nothing here raises for it. An attribute whose
value is not JSON is left out and reported in the log, the context stays valid.
"""

import logging
from collections.abc import Hashable, Iterable, Mapping
from functools import cached_property
from typing import Any, ClassVar, Self

import msgspec

from flagkeep.model.attribute_ref import AttributeRef
from flagkeep.model.codec import encode_json, parse_json
from flagkeep.model.context_parts import (
    BUILT_IN,
    PLAIN,
    RESERVED,
    USER_TEXTS,
    escape,
    kept_attributes,
    kind_error,
    private_names,
)
from flagkeep.model.values import NotJson, copy_json, frozen_value

log = logging.getLogger("flagkeep.context")


class Context(msgspec.Struct, frozen=True, eq=False, dict=True):
    """Who or what a flag is evaluated for.

    Make one with `create`, `builder`, `multi_builder`, `create_multi`, `from_dict` or
    `from_user`, never with the constructor.

    Attributes:
        valid: whether it can be evaluated; if not, `error` says why.
        kind: of this context; `multi` for several in one.
        key: `""` for a multi-kind context.
        name: None if there is none, and for a multi-kind context.
        anonymous: False for a multi-kind context.
        error: what is wrong, None if nothing is.
        lookup: every attribute by name, built-in ones included. Read only: it is shared.
        members: of a multi-kind context, ordered by kind; otherwise empty.
        private: private attribute references, as given.
    """

    valid: bool
    kind: str
    key: str = ""
    name: str | None = None
    anonymous: bool = False
    error: str | None = None
    lookup: dict[str, Any] = {}
    members: "tuple[Context, ...]" = ()
    private: tuple[str, ...] = ()

    DEFAULT_KIND: ClassVar[str] = "user"
    MULTI_KIND: ClassVar[str] = "multi"

    # --- making one ----------------------------------------------------------------------------

    @classmethod
    def create(cls, key: str, kind: str | None = None) -> Self:
        """Return a context with a key and nothing else; `kind` None means user."""
        if kind is None and type(key) is str and key:  # nearly always, often once per evaluation
            lookup = {"kind": "user", "key": key, "anonymous": False}
            return cls(True, "user", key, None, False, None, lookup, (), ())
        return cls._make("user" if kind is None else kind, key)

    @classmethod
    def create_multi(cls, *contexts: "Context") -> Self:
        """Return several contexts in one; multi-kind ones among them are flattened."""
        members: list[Context] = []
        for one in contexts:
            if not isinstance(one, Context):
                return cls._invalid("a multi-kind context is made of contexts only")
            members.extend(one.members or (one,))
        if not members:
            return cls._invalid("a multi-kind context must contain at least one context")
        errors = [one.error for one in members if one.error is not None]
        if errors:
            return cls._invalid(", ".join(errors))
        if len(members) == 1:
            return cls._as_own(members[0])
        members.sort(key=lambda one: one.kind)
        if len({one.kind for one in members}) < len(members):
            return cls._invalid("a multi-kind context cannot contain the same kind twice")
        own = tuple(cls._as_own(one) for one in members)
        return cls(True, "multi", lookup={"kind": "multi"}, members=own)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | None) -> Self:
        """Read the JSON form, parsed. Legacy users have no kind and are refused: `from_user`."""
        if not isinstance(data, Mapping):
            return cls._invalid("a context must be an object")
        kind = data.get("kind")
        if not isinstance(kind, str):
            return cls._invalid("a context must have a kind, and it must be a string")
        if kind != "multi":
            return cls._from_members(kind, data)
        found = []
        for name, one in data.items():
            if name == "kind":
                continue
            if not isinstance(one, Mapping):
                return cls._invalid(f"{name!r} in a multi-kind context must be an object")
            found.append(cls._from_members(name, one))
        return cls.create_multi(*found)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read the JSON form."""
        try:
            return cls.from_dict(parse_json(text))
        except ValueError as exc:
            return cls._invalid(str(exc))

    @classmethod
    def from_user(cls, user: Mapping[str, Any] | None) -> Self:
        """Read a user in the form before contexts (data model spec, section 6.4)."""
        if not isinstance(user, Mapping):
            return cls._invalid("a user must be an object")
        key = user.get("key")
        if not isinstance(key, str):
            return cls._invalid("the key of a user must be a string")
        attributes: dict[str, Any] = {}
        for name in USER_TEXTS:
            value = user.get(name)
            if not isinstance(value, str | None):
                return cls._invalid(f"{name!r} of a user must be a string")
            attributes[name] = value
        anonymous = user.get("anonymous")
        if not isinstance(anonymous, bool | None):
            return cls._invalid("'anonymous' of a user must be true or false")
        custom = user.get("custom")
        if not isinstance(custom, Mapping | None):
            return cls._invalid("'custom' of a user must be an object")
        reserved = {*RESERVED, *USER_TEXTS}
        attributes |= {
            name: value
            for name, value in (custom or {}).items()
            if isinstance(name, str) and name not in reserved
        }
        private = private_names(user.get("privateAttributeNames"))
        if private is None:
            return cls._invalid("'privateAttributeNames' of a user must be a list of strings")
        refs = tuple(str(AttributeRef.literal(name)) for name in private)
        return cls._make(
            "user",
            key,
            name=attributes.pop("name"),
            anonymous=bool(anonymous),
            attributes=kept_attributes(attributes),
            private=refs,
            may_be_empty=True,
        )

    @classmethod
    def builder(cls, key: str) -> "ContextBuilder":
        """Return a builder of a single context of kind user, unless told otherwise."""
        return ContextBuilder(key, made=cls)

    @classmethod
    def builder_from_context(cls, context: "Context") -> "ContextBuilder":
        """Return a builder that begins with everything a single context has."""
        return ContextBuilder(context.key, copy_from=context, made=cls)

    @classmethod
    def multi_builder(cls) -> "ContextMultiBuilder":
        """Return a builder of a multi-kind context."""
        return ContextMultiBuilder(made=cls)

    # --- looking at it -------------------------------------------------------------------------

    def individual(self, kind: str) -> "Context | None":
        """Return the context of `kind` in this one, None if there is none."""
        if self.kind == kind:
            return self
        for one in self.members:
            if one.kind == kind:
                return one
        return None

    @property
    def multiple(self) -> bool:
        """Whether it is a multi-kind context."""
        return bool(self.members)

    @property
    def individual_context_count(self) -> int:
        """How many contexts it holds; 0 if invalid."""
        return len(self.members) or int(self.valid)

    def get_individual_context(self, kind: int | str) -> "Context | None":
        """Return one of them, by kind or by position in the order of kinds."""
        if isinstance(kind, str):
            return self.individual(kind) if self.valid and kind != "multi" else None
        everyone = self.members or ((self,) if self.valid else ())
        return everyone[kind] if 0 <= kind < len(everyone) else None

    def get(self, attribute: str) -> Any:
        """Return an attribute by its plain name, None if absent; lists and objects as copies."""
        value = self.lookup.get(attribute) if isinstance(attribute, str) else None
        return value if type(value) in PLAIN else copy_json(value)

    def __getitem__(self, attribute: str) -> Any:
        return self.get(attribute)

    @property
    def custom_attributes(self) -> Iterable[str]:
        """The names of all attributes that are not built in."""
        return [name for name in self.lookup if name not in BUILT_IN]

    @property
    def private_attributes(self) -> Iterable[str]:
        """The references of all private attributes, as given."""
        return list(self.private)

    @cached_property
    def fully_qualified_key(self) -> str:
        """One string that names kind and key of every member; `""` if invalid."""
        if not self.valid:
            return ""
        if self.members:
            return ":".join(f"{one.kind}:{escape(one.key)}" for one in self.members)
        return self.key if self.kind == "user" else f"{self.kind}:{escape(self.key)}"

    def without_anonymous_contexts(self) -> Self:
        """Return it without its anonymous members; invalid if none is left."""
        everyone = self.members or ((self,) if self.valid else ())
        return self.create_multi(*(one for one in everyone if not one.anonymous))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form as new objects; `{}` if invalid."""
        if not self.valid:
            return {}
        if not self.members:
            return {"kind": self.kind, **self._body()}
        return {"kind": "multi", **{one.kind: one._body() for one in self.members}}

    def to_json_string(self) -> str:
        """Return the JSON form, compact; `{}` if invalid."""
        return encode_json(self.to_dict()).decode()

    def __str__(self) -> str:
        return self.to_json_string() if self.valid else f"[invalid context: {self.error}]"

    def __repr__(self) -> str:
        return str(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Context):
            return NotImplemented
        return self is other or self._identity == other._identity

    def __ne__(self, other: object) -> bool:  # msgspec's own would compare identities
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    def __hash__(self) -> int:
        return hash(self._identity)

    def __reduce__(self) -> tuple[Any, ...]:
        if not self.valid:
            return type(self)._invalid, (self.error,)
        if self.members:
            return type(self).create_multi, self.members
        return type(self)._restore, (self.lookup, self.private)

    # --- inside --------------------------------------------------------------------------------

    @classmethod
    def _invalid(cls, error: str) -> Self:
        return cls(False, "", error=error)

    @classmethod
    def _make(
        cls,
        kind: object,
        key: object,
        *,
        name: str | None = None,
        anonymous: bool = False,
        attributes: Mapping[str, Any] | None = None,
        private: tuple[str, ...] = (),
        may_be_empty: bool = False,
    ) -> Self:
        """Check and build; `attributes` belong to us already."""
        if kind != "user":
            error = kind_error(kind)
            if error is not None:
                return cls._invalid(error)
        if type(key) is not str:
            if not isinstance(key, str):
                return cls._invalid("the key of a context must be a string")
            key = str.__str__(key)
        if not key and not may_be_empty:
            return cls._invalid("the key of a context must not be empty")
        lookup: dict[str, Any] = {"kind": kind, "key": key, "anonymous": anonymous}
        if name is not None:
            lookup["name"] = name
        if attributes:
            lookup |= attributes
        return cls(True, kind, key, name, anonymous, None, lookup, (), private)  # type: ignore[arg-type]  # kind_error has seen that it is a string

    @classmethod
    def _restore(cls, lookup: dict[str, Any], private: tuple[str, ...]) -> Self:
        return cls(
            True,
            lookup["kind"],
            lookup["key"],
            lookup.get("name"),
            lookup["anonymous"],
            None,
            lookup,
            (),
            private,
        )

    @classmethod
    def _as_own(cls, context: "Context") -> Self:
        if isinstance(context, cls):
            return context
        return cls._restore(context.lookup, context.private)

    @classmethod
    def _from_members(cls, kind: str, data: Mapping[str, Any]) -> Self:
        attributes = {}
        for name, value in data.items():
            if not isinstance(name, str) or not name:
                return cls._invalid("the name of an attribute must be a string that is not empty")
            if name not in RESERVED:
                attributes[name] = value
        full_name, anonymous = data.get("name"), data.get("anonymous", False)
        if not isinstance(full_name, str | None):
            return cls._invalid("the name of a context must be a string")
        if not isinstance(anonymous, bool):
            return cls._invalid("'anonymous' of a context must be true or false")
        meta = data.get("_meta")
        if not isinstance(meta, Mapping | None):
            return cls._invalid("'_meta' of a context must be an object")
        private = private_names((meta or {}).get("privateAttributes"))
        if private is None:
            return cls._invalid("'privateAttributes' of a context must be a list of strings")
        return cls._make(
            kind,
            data.get("key"),
            name=full_name,
            anonymous=anonymous,
            attributes=kept_attributes(attributes),
            private=private,
        )

    def _body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"key": self.key}
        if self.name is not None:
            body["name"] = self.name
        if self.anonymous:
            body["anonymous"] = True
        for name in self.custom_attributes:
            body[name] = self.get(name)
        if self.private:
            body["_meta"] = {"privateAttributes": list(self.private)}
        return body

    @cached_property
    def _identity(self) -> Hashable:
        if self.members:
            return tuple(one._identity for one in self.members)
        private = frozenset(AttributeRef.parse(ref) for ref in self.private)
        return (self.valid, self.error, frozen_value(self.lookup), private)


class ContextBuilder:
    """Builds single contexts; may be used again after `build`."""

    def __init__(
        self, key: str, copy_from: Context | None = None, *, made: type[Context] = Context
    ) -> None:
        self._made = made
        self._key: object = key
        self._kind: object = "user"
        self._name: str | None = None
        self._anonymous = False
        self._attributes: dict[str, Any] = {}
        self._private: tuple[str, ...] = ()
        if copy_from is not None:
            self._kind = copy_from.kind
            self._name = copy_from.name
            self._anonymous = copy_from.anonymous
            names = copy_from.custom_attributes
            self._attributes = {name: copy_from.lookup[name] for name in names}
            self._private = copy_from.private

    def key(self, key: str) -> Self:
        """Set the key."""
        self._key = key
        return self

    def kind(self, kind: str | None) -> Self:
        """Set the kind; None means user."""
        self._kind = "user" if kind is None else kind
        return self

    def name(self, name: str | None) -> Self:
        """Set the name, or remove it with None. Another type is ignored."""
        self.try_set("name", name)
        return self

    def anonymous(self, anonymous: bool) -> Self:  # noqa: FBT001  the official signature
        """Say whether the key is one that was made up. Another type is ignored."""
        self.try_set("anonymous", anonymous)
        return self

    def set(self, attribute: str, value: Any) -> Self:
        """Set any attribute, None removes it; what `try_set` refuses is ignored and logged."""
        # Contexts are often built for a single evaluation: the common case makes no second call.
        kind = type(value)
        is_plain = kind is str or kind is bool or (kind is int and -(1 << 63) < value < 1 << 63)
        if is_plain and type(attribute) is str and attribute not in RESERVED:
            self._attributes[attribute] = value
        elif not self.try_set(attribute, value):
            log.warning("attribute %r of a context is left out: its value is no use", attribute)
        return self

    def try_set(self, attribute: str, value: Any) -> bool:
        """Set any attribute, None removes it.

        Returns:
            False, and nothing changed, if `value` is not JSON (NaN, infinity, over 100 levels or
            640 digits, a type JSON does not have), of the wrong type for `kind`, `key`, `name` or
            `anonymous`, or if `attribute` is `""` or `_meta`.
        """
        if not isinstance(attribute, str):
            return False
        if attribute in RESERVED:
            return self._try_set_reserved(attribute, value)
        if value is None:
            self._attributes.pop(attribute, None)
        elif type(value) in PLAIN:
            self._attributes[attribute] = value
        else:
            try:
                self._attributes[attribute] = copy_json(value)
            except NotJson:
                return False
        return True

    def private(self, *references: str) -> Self:
        """Keep attributes out of analytics events, by name or path; adds to earlier calls."""
        self._private += tuple(ref for ref in references if isinstance(ref, str))
        return self

    def build(self) -> Context:
        """Return the context; what is wrong with it is in its `error`."""
        return self._made._make(
            self._kind,
            self._key,
            name=self._name,
            anonymous=self._anonymous,
            attributes=self._attributes,
            private=self._private,
        )

    def _try_set_reserved(self, attribute: str, value: object) -> bool:
        if attribute == "anonymous":
            if not isinstance(value, bool):
                return False
            self._anonymous = value
        elif attribute == "name" and value is None:
            self._name = None
        elif not isinstance(value, str):
            return False
        elif attribute == "name":
            self._name = str.__str__(value)
        elif attribute == "key":
            self._key = value
        elif attribute == "kind":
            self._kind = value
        else:
            return False
        return True


class ContextMultiBuilder:
    """Builds multi-kind contexts."""

    def __init__(self, *, made: type[Context] = Context) -> None:
        self._made = made
        self._contexts: list[Context] = []

    def add(self, context: Context) -> Self:
        """Add a context; a multi-kind one adds its members."""
        self._contexts.append(context)
        return self

    def build(self) -> Context:
        """Return the context; a single one is returned as it is."""
        return self._made.create_multi(*self._contexts)
