"""Flag data made in code, for tests of applications."""

from threading import Event
from typing import Any, Self, cast

from flagkeep import testing
from flagkeep.ldclient._processor import SourceProcessor
from flagkeep.ldclient.interfaces import UpdateProcessor
from flagkeep.testing import FALSE_VARIATION_INDEX, TRUE_VARIATION_INDEX

__all__ = [
    "FALSE_VARIATION_INDEX",
    "TRUE_VARIATION_INDEX",
    "FlagBuilder",
    "FlagRuleBuilder",
    "TestData",
]

# The classes below differ from those of `flagkeep.testing` in the names of parameters, which an
# application may use.


class TestData(testing.TestData):
    """Flags made in code, for any number of clients at once.

    ```python
    data = TestData.data_source()
    data.update(data.flag("new-checkout").variation_for_user("amal", True))
    client = LDClient(Config("sdk-key", update_processor_class=data))
    ```

    An update is in force in every running client when the method that made it returns.
    """

    __test__ = False  # its name would make pytest collect it

    def __call__(self, config: Any, store: Any, ready: Event) -> UpdateProcessor:
        """Return a source of its own that writes to `store`."""
        return SourceProcessor(self.source(), config, store, ready)

    @staticmethod
    def data_source() -> "TestData":
        """Return new, empty test data: a value for `Config(update_processor_class=…)`."""
        return TestData()

    def flag(self, key: str) -> "FlagBuilder":
        """Return a copy of the builder that was last given to `update`, or a new one."""
        found = super().flag(key)
        return found if isinstance(found, FlagBuilder) else FlagBuilder(key)

    def update(self, flag_builder: testing.FlagBuilder) -> Self:
        """Make the flag what the builder says; later changes of the builder change nothing."""
        return super().update(flag_builder)


class FlagBuilder(testing.FlagBuilder):
    """What a flag is to be; hand it to `TestData.update`."""

    def copy(self) -> "FlagBuilder":
        """Return an independent builder in the same state."""
        twin = FlagBuilder(self.key)
        vars(twin).update(vars(super().copy()))
        return twin

    def variation_for_user(self, user_key: str, variation: bool | int) -> Self:
        """Give one user a variation, whatever the rules say."""
        return super().variation_for_user(user_key, variation)

    def variation_for_key(
        self,
        context_kind: str,
        context_key: str,
        variation: bool | int,
    ) -> Self:
        """Give the context of this kind and key a variation, whatever the rules say."""
        return super().variation_for_key(context_kind, context_key, variation)

    def if_match(self, attribute: str, *values: Any) -> "FlagRuleBuilder":
        """Begin a rule for users whose attribute is one of `values`."""
        return FlagRuleBuilder(self).and_match(attribute, *values)

    def if_match_context(
        self, context_kind: str, attribute: str, *values: Any
    ) -> "FlagRuleBuilder":
        """Begin a rule for contexts of a kind whose attribute is one of `values`."""
        return FlagRuleBuilder(self).and_match_context(context_kind, attribute, *values)

    def if_not_match(self, attribute: str, *values: Any) -> "FlagRuleBuilder":
        """Begin a rule for users whose attribute is none of `values`."""
        return FlagRuleBuilder(self).and_not_match(attribute, *values)

    def if_not_match_context(
        self, context_kind: str, attribute: str, *values: Any
    ) -> "FlagRuleBuilder":
        """Begin a rule for contexts of a kind whose attribute is none of `values`."""
        return FlagRuleBuilder(self).and_not_match_context(context_kind, attribute, *values)


class FlagRuleBuilder(testing.FlagRuleBuilder):
    """A rule in the making: more conditions, then `then_return`, which adds it to the flag."""

    def __init__(self, flag_builder: FlagBuilder) -> None:
        super().__init__(flag_builder)

    def and_match_context(self, context_kind: str, attribute: str, *values: Any) -> Self:
        """Demand also that the attribute, of the context of a kind, is one of `values`."""
        return super().and_match_context(context_kind, attribute, *values)

    def and_not_match_context(self, context_kind: str, attribute: str, *values: Any) -> Self:
        """Demand also that the attribute, of the context of a kind, is none of `values`."""
        return super().and_not_match_context(context_kind, attribute, *values)

    def then_return(self, variation: bool | int) -> FlagBuilder:
        """Say what contexts get that match, and go back to the flag."""
        return cast(FlagBuilder, super().then_return(variation))
