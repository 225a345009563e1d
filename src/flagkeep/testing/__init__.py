"""For tests of programs that use flagkeep: flag data made in code, without files or servers."""

from flagkeep.testing.flag_builder import (
    FALSE_VARIATION_INDEX,
    TRUE_VARIATION_INDEX,
    FlagBuilder,
    FlagRuleBuilder,
)
from flagkeep.testing.test_data import TestData

__all__ = [
    "FALSE_VARIATION_INDEX",
    "TRUE_VARIATION_INDEX",
    "FlagBuilder",
    "FlagRuleBuilder",
    "TestData",
]
