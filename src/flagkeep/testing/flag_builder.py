"""Flags described step by step. Source: data source spec, "Test data"."""

from typing import Any, Final, Self

from flagkeep.model.values import copy_json

TRUE_VARIATION_INDEX: Final = 0
FALSE_VARIATION_INDEX: Final = 1

_USER: Final = "user"


class FlagBuilder:
    """What a flag is to be; hand it to `TestData.update`.

    A new one is a boolean flag that is on: True for everybody, False when switched off. Where a
    variation is asked for, True and False make the flag a boolean one if it is not. Every method
    changes the builder and returns it. Not for use by several threads at once.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._on = True
        self._variations: list[Any] = []
        self._off_variation: int | None = None
        self._fallthrough: int | None = None
        self._targets: dict[str, dict[int, set[str]]] = {}
        self._rules: list[dict[str, Any]] = []
        self.boolean_flag()

    @property
    def key(self) -> str:
        """The key of the flag."""
        return self._key

    def on(self, on: bool) -> Self:  # noqa: FBT001  one obvious argument
        """Switch targeting on or off."""
        self._on = on
        return self

    def boolean_flag(self) -> Self:
        """Make it a flag with the variations True and False, if it is not one."""
        if not self._is_boolean():
            self.variations(True, False)
            self.fallthrough_variation(TRUE_VARIATION_INDEX)
            self.off_variation(FALSE_VARIATION_INDEX)
        return self

    def variations(self, *values: Any) -> Self:
        """Set the values that the flag can have; any JSON.

        Raises:
            NotJson: a value has no JSON form.
        """
        self._variations = [copy_json(value) for value in values]
        return self

    def fallthrough_variation(self, variation: bool | int | None) -> Self:  # noqa: FBT001
        """Set what contexts get that match nothing else."""
        self._fallthrough = self._index(variation)
        return self

    def off_variation(self, variation: bool | int | None) -> Self:  # noqa: FBT001
        """Set what contexts get while targeting is off; None: the caller's default."""
        self._off_variation = self._index(variation)
        return self

    def variation_for_all(self, variation: bool | int) -> Self:  # noqa: FBT001
        """Give everybody one variation: on, without rules and targets."""
        index = self._index(variation)
        return self.clear_rules().clear_targets().on(True).fallthrough_variation(index)

    def value_for_all(self, value: Any) -> Self:
        """Give everybody one value, which becomes the only variation.

        Raises:
            NotJson: the value has no JSON form.
        """
        return self.variations(value).variation_for_all(0)

    def variation_for_user(self, key: str, variation: bool | int) -> Self:  # noqa: FBT001
        """Give one user a variation, whatever the rules say."""
        return self.variation_for_key(_USER, key, variation)

    def variation_for_key(self, kind: str, key: str, variation: bool | int) -> Self:  # noqa: FBT001
        """Give the context of this kind and key a variation, whatever the rules say."""
        index = self._index(variation)
        by_variation = self._targets.setdefault(kind, {})
        for keys in by_variation.values():
            keys.discard(key)
        if index is not None and 0 <= index < len(self._variations):
            by_variation.setdefault(index, set()).add(key)
        return self

    def if_match(self, attribute: str, *values: Any) -> "FlagRuleBuilder":
        """Begin a rule for users whose attribute is one of `values`."""
        return FlagRuleBuilder(self).and_match(attribute, *values)

    def if_match_context(self, kind: str, attribute: str, *values: Any) -> "FlagRuleBuilder":
        """Begin a rule for contexts of a kind whose attribute is one of `values`."""
        return FlagRuleBuilder(self).and_match_context(kind, attribute, *values)

    def if_not_match(self, attribute: str, *values: Any) -> "FlagRuleBuilder":
        """Begin a rule for users whose attribute is none of `values`."""
        return FlagRuleBuilder(self).and_not_match(attribute, *values)

    def if_not_match_context(self, kind: str, attribute: str, *values: Any) -> "FlagRuleBuilder":
        """Begin a rule for contexts of a kind whose attribute is none of `values`."""
        return FlagRuleBuilder(self).and_not_match_context(kind, attribute, *values)

    def clear_rules(self) -> Self:
        """Remove all rules."""
        self._rules = []
        return self

    def clear_targets(self) -> Self:
        """Remove what single users and contexts were given."""
        self._targets = {}
        return self

    def build(self, version: int) -> dict[str, Any]:
        """Return the flag as JSON; it shares nothing with the builder."""
        targets, context_targets = self._built_targets()
        return {
            "key": self._key,
            "version": version,
            "on": self._on,
            "variations": copy_json(self._variations),
            "offVariation": self._off_variation,
            "fallthrough": {"variation": self._fallthrough},
            "targets": targets,
            "contextTargets": context_targets,
            "rules": [
                {"id": f"rule{index}"} | copy_json(rule) for index, rule in enumerate(self._rules)
            ],
            "prerequisites": [],
            "salt": "",
        }

    def copy(self) -> "FlagBuilder":
        """Return an independent builder in the same state."""
        twin = FlagBuilder(self._key)
        twin._on = self._on
        twin._variations = copy_json(self._variations)
        twin._off_variation = self._off_variation
        twin._fallthrough = self._fallthrough
        twin._targets = {
            kind: {index: set(keys) for index, keys in by_variation.items()}
            for kind, by_variation in self._targets.items()
        }
        twin._rules = copy_json(self._rules)
        return twin

    def _built_targets(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """User keys stay in the older list; their place among the others is in the newer one."""
        targets: list[dict[str, Any]] = []
        context_targets: list[dict[str, Any]] = []
        for kind, by_variation in self._targets.items():
            for index, keys in by_variation.items():
                values = sorted(keys)
                if kind == _USER:
                    targets.append({"variation": index, "values": values})
                    values = []
                entry = {"contextKind": kind, "variation": index, "values": values}
                context_targets.append(entry)
        return targets, context_targets

    def _add_rule(self, clauses: list[dict[str, Any]], variation: bool | int) -> None:  # noqa: FBT001
        self._rules.append({"variation": self._index(variation), "clauses": clauses})

    def _index(self, variation: bool | int | None) -> int | None:  # noqa: FBT001
        if isinstance(variation, bool):
            self.boolean_flag()
            return TRUE_VARIATION_INDEX if variation else FALSE_VARIATION_INDEX
        return variation

    def _is_boolean(self) -> bool:
        return (
            len(self._variations) == len((True, False))
            and self._variations[TRUE_VARIATION_INDEX] is True
            and self._variations[FALSE_VARIATION_INDEX] is False
        )


class FlagRuleBuilder:
    """A rule in the making: more conditions, then `then_return`, which adds it to the flag."""

    def __init__(self, flag: FlagBuilder) -> None:
        self._flag = flag
        self._clauses: list[dict[str, Any]] = []

    def and_match(self, attribute: str, *values: Any) -> Self:
        """Demand also that the user's attribute is one of `values`."""
        return self.and_match_context(_USER, attribute, *values)

    def and_match_context(self, kind: str, attribute: str, *values: Any) -> Self:
        """Demand also that the attribute, of the context of a kind, is one of `values`."""
        return self._add(kind, attribute, values, negate=False)

    def and_not_match(self, attribute: str, *values: Any) -> Self:
        """Demand also that the user's attribute is none of `values`."""
        return self.and_not_match_context(_USER, attribute, *values)

    def and_not_match_context(self, kind: str, attribute: str, *values: Any) -> Self:
        """Demand also that the attribute, of the context of a kind, is none of `values`."""
        return self._add(kind, attribute, values, negate=True)

    def then_return(self, variation: bool | int) -> FlagBuilder:  # noqa: FBT001
        """Say what contexts get that match, and go back to the flag."""
        self._flag._add_rule(list(self._clauses), variation)
        return self._flag

    def _add(self, kind: str, attribute: str, values: tuple[Any, ...], *, negate: bool) -> Self:
        clause = {"contextKind": kind, "attribute": attribute, "op": "in", "negate": negate}
        self._clauses.append(clause | {"values": copy_json(values)})
        return self
